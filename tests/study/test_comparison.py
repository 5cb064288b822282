"""Two benchmarks compared on drawn samples: nothing is timed here."""

import json

import numpy as np
import pandas as pd
import pytest

from pose_utils.errors import InputError
from pose_utils.study.comparison import compare, comparison_sentence, read_earlier

NOT_TIMED = json.dumps([{"config": "a", "pipeline": "pose", "persons": 1, "block_medians_ms": None}])


def table(factors, seed, blocks=6, spread=0.03):
    """Block medians around 100 ms, one row a configuration, as `bench_table` gives them."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {"config": f"config-{index}", "pipeline": "detect+pose", "persons": 1,
         "block_medians_ms": list(100 * factor * rng.lognormal(0, spread, blocks))}
        for index, factor in enumerate(factors)
    )  # fmt: skip


def test_two_runs_of_the_same_are_not_told_apart():
    pairs = [(table([1] * 8, 2 * seed), table([1] * 8, 2 * seed + 1)) for seed in range(50)]
    alarms = [(compare(*pair)["verdict"] != "cannot be told apart").any() for pair in pairs]
    assert np.mean(alarms) <= 0.1


@pytest.mark.parametrize(("factor", "verdict"), [(1.2, "slower"), (1 / 1.2, "faster")])
def test_a_planted_fifth_is_found_and_nothing_else(factor, verdict):
    for seed in range(20):
        changes = compare(table([1] * 8, 2 * seed), table([1, 1, factor, 1, 1, 1, 1, 1], 2 * seed + 1))
        found = changes.set_index("config")["verdict"]
        assert found["config-2"] == verdict
        assert (found.drop("config-2") == "cannot be told apart").sum() >= 6
        row = changes.set_index("config").loc["config-2"]
        assert row["change_low"] < row["change"] < row["change_high"]
        assert row["change"] == pytest.approx(factor - 1, abs=0.07)


def test_a_fifth_in_a_machine_that_is_noisier_than_that_is_not_claimed():
    changes = compare(table([1], 0, spread=0.5), table([1.2], 1, spread=0.5))
    assert list(changes["verdict"]) == ["cannot be told apart"]


def test_one_block_decides_nothing():
    changes = compare(table([1], 0, blocks=1), table([3], 1, blocks=1))
    assert list(changes["verdict"]) == ["cannot be told apart"] and changes["change_low"].isna().all()


def test_a_certain_change_that_is_tiny_is_noise_between_processes():
    changes = compare(table([1], 0, spread=1e-6), table([1.02], 1, spread=1e-6))
    assert list(changes["verdict"]) == ["cannot be told apart"]


def test_what_hits_all_alike_is_the_machine():
    changes = compare(table([1] * 6, 0), table([1.3] * 6, 1))
    assert "rather the machine" in comparison_sentence(changes)
    assert "rather" not in comparison_sentence(compare(table([1] * 6, 0), table([1.3, *[1] * 5], 1)))


def test_rows_that_only_one_run_timed_are_left_out():
    now = table([1, 1], 1)
    now.at[1, "block_medians_ms"] = None
    assert list(compare(table([1, 1, 1], 0), now)["config"]) == ["config-0"]
    assert "No configuration" in comparison_sentence(compare(table([1], 0).assign(persons=4), now))


def test_a_file_is_read_as_bench_wrote_it(tmp_path):
    path = tmp_path / "rows.json"
    before = table([1, 1], 0)
    before.at[1, "block_medians_ms"] = None
    path.write_text(before.to_json(orient="records"))
    assert list(compare(read_earlier(path), before)["change"]) == [pytest.approx(0, abs=1e-9)]


@pytest.mark.parametrize("text", ["", "{", "[]", '[{"config": "a"}]', NOT_TIMED])
def test_what_is_no_benchmark_is_refused(tmp_path, text):
    path = tmp_path / "rows.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"rows\.json"):
        read_earlier(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.json"):
        read_earlier(tmp_path / "nothing.json")
