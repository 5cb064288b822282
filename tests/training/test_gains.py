"""What a training buys is the paired difference of two robustness runs."""

import pytest

from pose_utils.errors import UsageError
from pose_utils.study.records import RunFolder
from pose_utils.study.robustness import run_robustness
from tests.study.known_pipeline import BlindInTheDark, ByBrightness, draw_pictures
from training.gains import compare_runs


@pytest.fixture
def pictures(tmp_path):
    return draw_pictures(tmp_path)


def run_of(pipeline, folder, pictures, conditions=("low_light_severe",)):
    run = RunFolder.create({}, folder)
    paths, truth = pictures
    run_robustness(pipeline, paths, conditions, truth=truth, seed=0, run=run, boxes=("detected", "truth"),
                   bootstrap=2, progress=False)  # fmt: skip
    return run


def test_a_gain_is_told_by_condition_and_on_average(tmp_path, pictures):
    before = run_of(BlindInTheDark(), tmp_path / "before", pictures)
    after = run_of(ByBrightness(), tmp_path / "after", pictures)
    table = compare_runs(before, after, pictures[1], bootstrap=20)
    rows = table[table["boxes"] == "detected"].set_index("condition")
    assert rows.loc["clean", "gain"] == rows.loc["clean", "gain_high"] == 0
    assert rows.loc["low_light_severe", ["before", "after", "gain"]].tolist() == pytest.approx([0, 1, 1])
    assert rows.loc["corrupted", "gain"] == rows.loc["low_light_severe", "gain"]
    assert set(table["images"]) == {len(pictures[0])}


def test_runs_of_other_conditions_or_of_a_part_of_the_pictures_are_refused(tmp_path, pictures):
    whole = run_of(ByBrightness(), tmp_path / "whole", pictures)
    other = run_of(ByBrightness(), tmp_path / "other", pictures, ("noise_heavy",))
    with pytest.raises(UsageError, match="same conditions"):
        compare_runs(whole, other, pictures[1])
    part = run_of(ByBrightness(), tmp_path / "part", (pictures[0][:1], pictures[1]))
    with pytest.raises(UsageError, match="annotated pictures"):
        compare_runs(whole, part, pictures[1])
