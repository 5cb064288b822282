"""AP, recall and OKS against pycocotools and against figures worked out by hand."""

import contextlib
import copy
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pose_utils.errors import InputError
from pose_utils.runtime.similarity import pair_up
from pose_utils.study import accuracy, intervals, oks, tallies
from pose_utils.types import FLIP_PAIRS, OKS_SIGMAS, Poses
from tests.study.scenes import truth_of


def official(truth, results, kind):
    """pycocotools on its own, from the dictionary."""
    with contextlib.redirect_stdout(io.StringIO()):
        reference = COCO()
        reference.dataset = copy.deepcopy(truth.dataset)
        reference.createIndex()
        run = COCOeval(reference, reference.loadRes(copy.deepcopy(results)), kind)
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run


def random_study(seed, images=12):
    """Persons, and predictions near them, lost or made up, with many equal scores."""
    rng = np.random.default_rng(seed)
    layout, results = [], []
    for image_id in range(1, images + 1):
        persons = []
        for _ in range(rng.integers(0, 5)):
            size = rng.choice([20.0, 60.0, 200.0])
            keypoints = np.column_stack(
                [
                    rng.uniform(0, size, (17, 2)) + rng.uniform(0, 300, 2),
                    rng.choice([0, 1, 2], 17, p=[0.3, 0.2, 0.5]),
                ]
            )
            persons.append({"keypoints": keypoints, "crowd": rng.random() < 0.1, "size": size})
        layout.append(persons)
        for person in persons + [
            {"keypoints": np.column_stack([rng.uniform(0, 400, (17, 2)), np.ones(17)]), "size": 60.0}
        ] * rng.integers(0, 2):
            if rng.random() < 0.8:
                near = person["keypoints"][:, :2] + rng.normal(0, 0.05 * person["size"], (17, 2))
                results.append(
                    Poses(
                        near[None],
                        rng.uniform(0, 1, (1, 17)),
                        [[*near.min(0), *near.max(0)]],
                        [rng.choice([0.4, 0.6, 0.9])],
                    ).to_coco(image_id)[0]
                    | {"score": float(rng.choice([0.2, 0.5, 0.7]))}
                )
    return truth_of(layout), results


@pytest.mark.parametrize("seed", range(6))
def test_figures_equal_pycocotools(seed):
    truth, results = random_study(seed)
    plain = [{k: r[k] for k in ("image_id", "category_id", "keypoints", "score")} for r in results]
    stats = official(truth, plain, "keypoints").stats
    names = ["ap", "ap50", "ap75", "ap_medium", "ap_large", "ar", "ar50", "ar75", "ar_medium", "ar_large"]
    ours = accuracy.evaluate_keypoints(truth, results)
    for name, value in zip(names, stats, strict=True):
        assert np.isnan(ours[name]) if value == -1 else ours[name] == pytest.approx(value, abs=1e-12), name
    boxes = [
        {k: r[k] for k in ("image_id", "category_id", "bbox")} | {"score": r["bbox_score"]} for r in results
    ]
    stats = official(truth, boxes, "bbox").stats
    ours = accuracy.evaluate_boxes(truth, results)
    names = dict(
        zip(
            [
                "ap",
                "ap50",
                "ap75",
                "ap_small",
                "ap_medium",
                "ap_large",
                "",
                "",
                "ar",
                "ar_small",
                "ar_medium",
                "ar_large",
            ],
            stats,
            strict=True,
        )
    )
    for name in filter(None, names):
        value = names[name]
        assert np.isnan(ours[name]) if value == -1 else ours[name] == pytest.approx(value, abs=1e-12), name


@pytest.mark.parametrize("seed", range(4))
def test_a_resample_equals_pycocotools_on_a_set_with_those_copies(seed):
    truth, results = random_study(seed, images=8)
    for number, result in enumerate(results):
        result["score"] = 0.9 - 0.003 * number  # no ties: copies are the only equal scores
    drawn = np.random.default_rng(seed).multinomial(8, np.full(8, 1 / 8))
    copies = [image for image, count in enumerate(drawn) for _ in range(count)]
    repeated = {"images": [], "annotations": [], "categories": truth.dataset["categories"], "info": {}}
    repeated_results = []
    for number, image in enumerate(copies, start=1):
        repeated["images"].append({"id": number})
        for entry in truth.dataset["annotations"]:
            if entry["image_id"] == image + 1:
                repeated["annotations"].append(
                    entry | {"image_id": number, "id": len(repeated["annotations"]) + 1}
                )
        repeated_results += [
            {k: r[k] for k in ("category_id", "keypoints", "score")} | {"image_id": number}
            for r in results
            if r["image_id"] == image + 1
        ]
    wanted = official(type(truth)(truth.images, repeated, {}), repeated_results, "keypoints").stats
    matches = accuracy.match_keypoints(truth, results)
    weights = drawn[None].astype(float)
    assert matches.precision(weights)[0] == pytest.approx(wanted[0], abs=1e-12)
    assert matches.precision(weights, threshold=0.75)[0] == pytest.approx(wanted[2], abs=1e-12)
    assert matches.recall(weights)[0] == pytest.approx(wanted[5], abs=1e-12)


def person_at(x, y=100.0, size=100.0):
    grid = np.array([(x + size * (i % 4) / 3, y + size * (i // 4) / 4) for i in range(17)])
    return {"keypoints": np.column_stack([grid, np.full(17, 2.0)]), "size": size}


def result_for(person, image_id, score, shift=0.0):
    points = person["keypoints"][:, :2] + shift
    return {
        "image_id": image_id,
        "category_id": 1,
        "score": score,
        "keypoints": np.column_stack([points, np.ones(17)]).ravel().tolist(),
        "bbox": [*points.min(0).tolist(), *np.ptp(points, axis=0).tolist()],
    }


def test_ap_of_a_hand_made_scene():
    # Two persons; predictions by falling score: right (.9), nothing there (.8), right (.7).
    # Precision 1/1 up to recall .5, then 2/3: recall 0..0.50 are 51 levels, .51..1 are 50.
    persons = [person_at(50), person_at(300)]
    truth = truth_of([persons])
    ghost = person_at(600, 600)
    results = [result_for(persons[0], 1, 0.9), result_for(ghost, 1, 0.8), result_for(persons[1], 1, 0.7)]
    found = accuracy.evaluate_keypoints(truth, results)
    assert found["ap"] == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)
    assert found["ar"] == 1
    assert accuracy.evaluate_keypoints(truth, results[:1])["ap"] == pytest.approx(51 / 101)
    assert accuracy.evaluate_keypoints(truth, results[:1])["ar"] == 0.5


def test_recall_above_a_score_counts_only_what_is_above():
    persons = [person_at(50), person_at(300), person_at(550)]
    truth = truth_of([persons])
    results = [result_for(person, 1, score) for person, score in zip(persons, (0.9, 0.25, 0.1), strict=True)]
    matches = accuracy.match_boxes(truth, results)
    assert matches.recall(matches.once, threshold=0.5)[0] == 1
    assert matches.recall(matches.once, threshold=0.5, floor=0.2)[0] == pytest.approx(2 / 3)
    assert matches.recall(matches.once, threshold=0.5, floor=0.3)[0] == pytest.approx(1 / 3)


def test_no_prediction_is_ap_zero_and_no_person_is_undefined():
    assert accuracy.evaluate_keypoints(truth_of([[person_at(50)]]), [])["ap"] == 0
    assert np.isnan(accuracy.evaluate_keypoints(truth_of([[]]), [])["ap"])


def test_a_result_of_an_unknown_image_is_refused():
    with pytest.raises(InputError, match="do not hold"):
        accuracy.evaluate_keypoints(truth_of([[person_at(50)]]), [result_for(person_at(50), 9, 0.5)])


def test_evaluation_prints_nothing_and_leaves_the_truth_alone(capsys):
    truth, results = random_study(0)
    before = copy.deepcopy(truth.dataset)
    accuracy.evaluate_keypoints(truth, results)
    assert capsys.readouterr().out == "" and truth.dataset == before


@pytest.mark.parametrize("seed", range(3))
def test_oks_equals_pycocotools(seed):
    truth, results = random_study(seed)
    plain = [{k: r[k] for k in ("image_id", "category_id", "keypoints", "score")} for r in results]
    run = official(truth, plain, "keypoints")
    compared = 0
    for image in truth.images:
        wanted = np.array(run.ious[image.id, 1])
        if wanted.size:
            mine = sorted((r for r in plain if r["image_id"] == image.id), key=lambda r: -r["score"])[:20]
            points = np.array([r["keypoints"] for r in mine]).reshape(-1, 17, 3)[:, :, :2]
            persons = image.persons
            ours = oks.oks(points, persons.keypoints, persons.areas, persons.boxes)
            np.testing.assert_allclose(ours, wanted, atol=1e-12)
            compared += wanted.size
    assert compared > 20


poses = st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).uniform(0, 200, (2, 17, 2)))


@settings(max_examples=50, deadline=None)
@given(poses, st.floats(-500, 500), st.floats(0.1, 10))
def test_oks_is_one_for_itself_and_ignores_shift_scale_and_mirror(points, shift, scale):
    reference = np.concatenate([points, np.full((2, 17, 1), 2.0)], axis=-1)
    areas = np.array([900.0, 2500.0])
    plain = oks.oks(points, reference, areas)
    assert np.allclose(np.diag(plain), 1) and (plain <= 1).all() and (plain >= 0).all()
    moved = reference * [scale, scale, 1] + [shift, shift, 0]
    assert np.allclose(oks.oks(points * scale + shift, moved, areas * scale**2), plain, atol=1e-6)
    swap = np.arange(17)
    for left, right in FLIP_PAIRS:
        swap[[left, right]] = right, left
    mirror = np.array([-1, 1])
    mirrored = np.concatenate([reference[:, swap, :2] * mirror, reference[:, swap, 2:]], axis=-1)
    assert np.allclose(oks.oks(points[:, swap] * mirror, mirrored, areas), plain)


def test_oks_by_hand():
    # One labelled keypoint, a wrist (k = 2 * .062), moved by exactly k * sqrt(area): exp(-1/2).
    reference = np.zeros((1, 17, 3))
    reference[0, 9, 2] = 2
    point = np.zeros((1, 17, 2))
    point[0, 9, 0] = 2 * OKS_SIGMAS[9] * 50
    assert oks.oks(point, reference, [2500])[0, 0] == pytest.approx(np.exp(-0.5))


def test_pairing_takes_the_best_total_not_the_first_best():
    assert sorted(pair_up(np.array([[0.9, 0.8], [0.85, 0.1]]), 0.05)) == [(0, 1), (1, 0)]
    assert pair_up(np.array([[0.2]]), 0.5) == [] and pair_up(np.zeros((0, 3)), 0.5) == []


def pose_of(person, shift=0.0, score=0.9):
    points = person["keypoints"][:, :2] + shift
    return Poses(points[None], np.full((1, 17), score), [[*points.min(0), *points.max(0)]], [score])


def test_pck_counts_a_missed_person_as_wrong_joints():
    truth = truth_of([[person_at(50), person_at(300)], [person_at(50)]])
    persons = [image.persons for image in truth.images]
    # Image 1: one of two found exactly; image 2: found, all joints off by 30 of a 100-pixel box.
    right, labelled = tallies.pck(persons, [pose_of(person_at(50)), pose_of(person_at(50), shift=[30, 0])])
    assert (labelled == [[2] * 17, [1] * 17]).all()
    assert (right == [[1] * 17, [0] * 17]).all()
    assert tallies.ratio((right, labelled), np.ones((1, 2))) == pytest.approx(np.full((1, 17), 1 / 3))


def test_consistency_counts_lost_and_moved_persons():
    near = pose_of(person_at(50))
    nudged = pose_of(person_at(50), shift=12.0)
    predicted = [near, Poses.empty(), pose_of(person_at(50), shift=300.0), nudged]
    (alike, persons), (kept, _) = tallies.consistency([near] * 4, predicted)
    assert alike[:3] == pytest.approx([1, 0, 0], abs=1e-6) and 0.1 < alike[3] < 0.5
    assert kept.tolist() == [1, 0, 0, 0] and persons.tolist() == [1, 1, 1, 1]


def test_the_size_of_a_pose_is_that_of_its_keypoints_not_of_its_box():
    # A ghost of medium extent in a large box: officially a false medium person, ranked above the right one.
    person, ghost = person_at(50, size=80.0), result_for(person_at(400, 400, size=80.0), 1, 0.9)
    ghost["bbox"] = [0.0, 0.0, 600.0, 600.0]
    found = accuracy.evaluate_keypoints(truth_of([[person]]), [ghost, result_for(person, 1, 0.5)])
    assert found["ap_medium"] == pytest.approx(0.5)


def test_published_metrics_by_hand():
    found = tallies.presence(
        [pose_of(person_at(50), score=0.8), Poses.empty(), pose_of(person_at(9), score=0.4)]
    )
    once = np.ones((1, 3))
    assert tallies.ratio(found["detection_rate"], once)[0] == pytest.approx(2 / 3)
    assert tallies.ratio(found["mean_confidence"], once)[0] == pytest.approx(0.6)


def test_intervals_hold_the_figure_and_pairs_cancel():
    weights = intervals.resampling_weights(40, 500, seed=1)
    assert (weights[0] == 1).all() and (weights.sum(axis=1) == 40).all()
    values = np.random.default_rng(0).normal(5, 1, 40)
    clean = intervals.estimate(tallies.ratio((values, np.ones(40)), weights))
    moved = intervals.estimate(tallies.ratio((values - 0.5, np.ones(40)), weights))
    low, high = clean.interval()
    standard_error = values.std() / np.sqrt(40)
    assert low < clean.value < high and (high - low) == pytest.approx(2 * 1.96 * standard_error, rel=0.15)
    assert (moved - clean).interval() == pytest.approx((-0.5, -0.5))


def test_mean_performance_under_corruption_by_hand():
    flat = [intervals.Estimate(value, np.full(3, value)) for value in (0.6, 0.45, 0.15)]
    found = intervals.corruption_means(flat[0], flat[1:])
    assert found["mpc"].value == pytest.approx(0.3) and found["rpc"].value == pytest.approx(0.5)
