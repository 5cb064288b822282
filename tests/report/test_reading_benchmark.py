"""Sentences and tables of the benchmark, from made-up records."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pose_utils.report import reading_benchmark as reader
from pose_utils.study.configurations import standard_configs
from pose_utils.study.records import RunFolder
from pose_utils.study.sessions import bench_table


@pytest.fixture
def table(synthetic, tmp_path):
    run = RunFolder.create({}, tmp_path / "run")
    run.write("latency.parquet", synthetic.latency())
    run.write("configs.csv", synthetic.configs())
    run.write("machine.csv", synthetic.machine(cpu_joules=12.0))
    run.write("accuracy.csv", synthetic.accuracy(bf16=0.004))
    return bench_table(run)


def test_the_eight_published_names_stand_first_with_both_figures_whether_or_not_they_ran(synthetic):
    pair = "rtmdet-m+rtmpose-m"
    rows = pd.DataFrame(
        {"config": each.name, "models": each.models, "backend": each.backend, "precision": each.precision,
         "device": each.device, "pipeline": each.pipeline, "status": "skipped", "reason": "r"}
        for each in standard_configs(pair, others=["rtmdet-nano+rtmpose-t"])
    )  # fmt: skip
    table = reader.every_row(rows, synthetic.latency())
    names = table["name"]
    assert (names[:8] != reader.NOT_PUBLISHED).all() and names[:8].is_unique
    assert (names[8:] == reader.NOT_PUBLISHED).all() and len(names) == len(rows)
    assert table["published_ms"][:8].gt(0).all() and table["published_ms"][8:].isna().all()
    ours = table.set_index("config")["median_ms"]
    assert ours["openvino-bf16-cpu"] > 0 and np.isnan(ours["tensorrt-fp16-cuda"])


def test_the_bench_table_has_what_the_issue_names(table):
    assert {"config", "pipeline", "persons", "status", "reason", "median_ms", "p95_ms", "p99_ms", "speedup",
            "speedup_low", "speedup_high", "peak_memory_mb", "load_s", "size_mb", "ap",
            "block_medians_ms"} <= set(table)  # fmt: skip
    row = table[(table["config"] == "openvino-bf16-cpu") & (table["persons"] == 1)].iloc[0]
    assert row["speedup"] == pytest.approx(6.1, abs=0.1) and len(row["block_medians_ms"]) == 5
    lost = table[table["status"] != "ok"]
    assert len(lost) == 2 and lost["median_ms"].isna().all()


def test_the_accuracy_of_the_timed_files_stands_in_every_row_of_the_table(table):
    points = reader.speed_table(table).set_index(["config", "persons"])["points"]
    assert points["torch-fp32-cpu", 4] == "70.0" and points["openvino-bf16-cpu", 1] == "69.6"
    assert set(reader.speed_table(table.drop(columns="ap"))["points"]) == {"not measured"}


def test_energy_is_told_where_the_machine_tells_it(table):
    told = reader.speed_table(table).set_index(["config", "persons"])["energy"]
    assert told["torch-fp32-cpu", 1] == "2.00 J CPU"
    assert told["openvino-bf16-cpu", 1] == "not told"


def test_rows_that_cannot_be_told_apart_are_counted_and_named(synthetic, tmp_path):
    alike = {"a-cpu": ("openvino", "fp32", 31.0, 5.7), "b-cpu": ("onnxruntime", "fp32", 31.0, 5.7),
             "c-cpu": ("torch", "fp32", 90.0, 5.7)}  # fmt: skip
    run = RunFolder.create({}, tmp_path / "alike")
    run.write("latency.parquet", synthetic.latency(configs=alike))
    rows = synthetic.configs().head(3).assign(config=list(alike))
    run.write("configs.csv", rows)
    run.write("machine.csv", synthetic.machine())
    table = bench_table(run)
    assert set(reader.alike_table(table)["config"]) == {"a-cpu", "b-cpu"}
    counts = reader.speed_table(table).groupby("config")["alike"].max()
    assert counts.to_dict() == {"a-cpu": 1, "b-cpu": 1, "c-cpu": 0}


def test_accuracy_is_in_points_with_its_loss(synthetic):
    row = reader.accuracy_table(synthetic.accuracy(bf16=0.004)).set_index("config").loc["openvino-bf16-cpu"]
    assert row["ap"] == pytest.approx(69.6) and row["loss_interval"] == "0.00 to 0.80"
    assert "4 of 5 configurations on 24 annotated pictures" in reader.accuracy_sentence(synthetic.accuracy())
    none = synthetic.accuracy().assign(status="skipped", reason="random weights have no accuracy")
    assert reader.accuracy_sentence(none) == "AP was not measured: random weights have no accuracy."


def test_the_pareto_rows_are_whole_pipelines_with_an_accuracy(synthetic):
    rows = reader.accuracy_and_latency(synthetic.latency(), synthetic.accuracy())
    assert (
        len(rows) == 4
        and set(rows["persons"]) == {1}
        and {"accuracy", "accuracy_low", "median_ms"} <= set(rows)
    )


def test_a_machine_that_tells_nothing_is_said_to(synthetic):
    text = reader.noise_sentence(synthetic.machine(), synthetic.latency())
    assert (
        "0.25 cores busy" in text
        and "temperature is not told" in text
        and "not tell whether it throttled" in text
    )
    text = reader.noise_sentence(
        synthetic.machine(clock_mhz=2600.0, temperature_c=61.0, throttled=1.0, stolen_share=0.08),
        synthetic.latency(),
    )
    assert (
        "2600 to 2600 MHz" in text and "61 to 61 °C" in text and "throttled 2 times" in text and "8%" in text
    )


def test_shares_and_the_cost_of_one_more_person_come_from_the_stages(synthetic):
    latency = synthetic.latency()
    assert "openvino-bf16-cpu" in reader.share_sentence(latency)
    quiet = 1.3 + 2.1 + 0.4 + 0.2
    frame = 31.0 + quiet + 6.2
    assert f"{(quiet + 0.5) / frame:.1%} with 1"[:3] in reader.share_sentence(latency)
    sentence = reader.persons_sentence(latency)
    assert np.isclose(float(sentence.split(": ")[1].split()[0]), 6.2 / 5.7, atol=0.05)
    assert "is open" in reader.persons_sentence(latency[latency["persons"] == 1])
