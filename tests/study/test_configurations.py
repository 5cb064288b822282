"""Which rows the table has, and that their names are theirs alone."""

import pytest

from pose_utils.errors import UsageError
from pose_utils.report.published import published_benchmark
from pose_utils.study.configurations import Config, select_configs, standard_configs

PAIR = "rtmdet-m+rtmpose-m"


def test_all_eight_published_configurations_are_rows():
    ours = {(each.backend, each.device, each.precision, each.pipeline) for each in standard_configs(PAIR)}
    keys = ["backend", "device", "precision", "pipeline"]
    assert len(published_benchmark()) == 8
    assert set(published_benchmark()[keys].itertuples(index=False, name=None)) <= ours


def test_names_are_unique_and_say_other_models():
    configs = standard_configs(PAIR, others=["rtmdet-nano+rtmpose-t", PAIR, "rtmdet-nano+rtmpose-t"])
    names = [config.name for config in configs]
    assert len(set(names)) == len(names)
    assert "rtmdet-nano+rtmpose-t-openvino-bf16-cpu" in names
    assert not any(name.startswith(PAIR) for name in names), "the models of the table need no name"


def test_what_takes_minutes_to_compile_is_a_row_where_it_is_asked_for():
    assert not any("compile" in config.name for config in standard_configs(PAIR))
    assert "torch-compile-fp32-cpu" in {config.name for config in standard_configs(PAIR, compiled=True)}


def test_half_precision_is_asked_for_on_every_machine():
    assert {"openvino-int8-cpu", "onnxruntime-int8-cpu", "openvino-bf16-cpu-pose"} <= {
        config.name for config in standard_configs(PAIR)
    }


def test_selected_configurations_keep_the_order_asked_for():
    configs = [Config(PAIR, "torch"), Config(PAIR, "openvino", "bf16")]
    assert select_configs(configs, ["openvino-bf16-cpu", "torch-fp32-cpu"]) == configs[::-1]
    assert select_configs(configs, []) == configs
    with pytest.raises(UsageError, match="torch-fp64-cpu"):
        select_configs(configs, ["torch-fp64-cpu"])
