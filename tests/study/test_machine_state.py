"""What the machine tells is recorded, what it doesn't is NaN; no figure of this machine is judged."""

import numpy as np
import pytest

from pose_utils.study import machine_state
from pose_utils.study.machine_state import MachineState, Reading
from pose_utils.study.schemas import SCHEMAS


def reading(**changes):
    counters = dict.fromkeys(("seconds", "busy", "own", "stolen", "throttled", "cpu_joules"), 0.0)
    return Reading(**(counters | {"gpu_joules": np.nan} | changes))


def test_a_reading_of_this_machine_fills_the_table():
    state = MachineState()
    row = state.between(state.read(), state.read())
    assert set(row) | {"config", "persons", "block", "calls"} == set(SCHEMAS["machine.csv"])
    assert row["seconds"] > 0 and row["others_cores"] >= 0


def test_cores_that_others_keep_busy_are_told_from_our_own(monkeypatch):
    row = MachineState().between(reading(), reading(seconds=2.0, busy=5.0, own=2.0))
    assert row["others_cores"] == pytest.approx(1.5)


def test_energy_is_a_difference_of_counters_that_may_wrap():
    state = MachineState()
    assert state.between(reading(cpu_joules=5.0), reading(seconds=1, cpu_joules=12.0))["cpu_joules"] == 7
    state._rapl_range = [100e6]
    assert state.between(reading(cpu_joules=95.0), reading(seconds=1, cpu_joules=2.0))["cpu_joules"] == 7
    state._rapl_range = []
    assert np.isnan(state.between(reading(cpu_joules=95.0), reading(seconds=1, cpu_joules=2.0))["cpu_joules"])


def test_powercap_is_read_in_joules(monkeypatch, tmp_path):
    zone = tmp_path / "intel-rapl:0"
    zone.mkdir()
    (zone / "energy_uj").write_text("2500000\n")
    (zone / "max_energy_range_uj").write_text("65532610987\n")
    monkeypatch.setattr(machine_state, "_POWERCAP", tmp_path)
    assert MachineState().read().cpu_joules == 2.5
    (zone / "energy_uj").unlink()
    assert np.isnan(MachineState().read().cpu_joules)


def test_a_machine_that_tells_nothing_is_no_error(monkeypatch, tmp_path):
    monkeypatch.setattr(machine_state, "_POWERCAP", tmp_path / "absent")
    monkeypatch.setattr(machine_state, "_CPU", tmp_path / "absent")
    state = MachineState()
    row = state.between(state.read(), state.read())
    assert np.isnan(row["cpu_joules"]) and np.isnan(row["throttled"]) and row["governor"] == "not told"
