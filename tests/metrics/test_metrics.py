"""Measures of masks: their properties, their definitions spelled out, and the official numbers on real sequences."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from places import SHARED_DATA
from transformers_uniref.metrics import (
    boundary_map,
    boundary_measure,
    class_mean_iou,
    evaluated_frames,
    foreground_background_iou,
    frame_scores,
    intersection_and_union,
    iou,
    mean_iou,
    most_overlapping,
    overall_iou,
    precision_at,
    score_sequence,
    sequence_statistics,
)

DAVIS = SHARED_DATA / "davis"

UNHURRIED = settings(deadline=None, max_examples=50)

masks = arrays(bool, (9, 13))
mask_pairs = st.tuples(masks, masks)
tolerances = st.sampled_from([0.05, 0.1, 0.2])


def drawn(*rows: str) -> np.ndarray:
    return np.array([[letter == "#" for letter in row] for row in rows])


# --------------------------------------------------------------------------------------------------------------- region
@UNHURRIED
@given(mask_pairs)
def test_iou_is_symmetric_and_1_for_equal_masks_alone(pair: tuple[np.ndarray, np.ndarray]) -> None:
    first, second = pair
    assert 0 <= iou(first, second) == iou(second, first) <= 1
    assert (iou(first, second) == 1) == np.array_equal(first, second)
    assert iou(first, first) == 1


@UNHURRIED
@given(mask_pairs, st.integers(0, 8))
def test_iou_counts_pixels_wherever_they_are(pair: tuple[np.ndarray, np.ndarray], shift: int) -> None:
    first, second = pair
    moved = [np.roll(mask, shift, axis=1)[::-1] for mask in pair]
    assert iou(first, second) == iou(*moved)
    assert np.array_equal(iou(np.stack(pair), second), [iou(first, second), 1])


def test_smoothing_is_added_to_intersection_and_union_alike() -> None:
    first, second = drawn("##..", "...."), drawn("#.#.", "....")
    assert iou(first, second) == 1 / 3 and iou(first, second, smoothing=1) == (1 + 1) / (3 + 1)
    nothing = np.zeros_like(first)
    assert iou(first, nothing, smoothing=1) == 1 / 3 and iou(nothing, nothing, smoothing=1) == 1


def test_nothing_found_where_there_is_nothing_counts_as_right() -> None:
    nothing, something = np.zeros((4, 4), dtype=bool), np.eye(4, dtype=bool)
    assert iou(nothing, nothing) == 1 and iou(nothing, something) == iou(something, nothing) == 0


@UNHURRIED
@given(st.lists(mask_pairs, min_size=1, max_size=5))
def test_overall_iou_weighs_sentences_by_their_pixels(pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
    counts = [intersection_and_union(*pair) for pair in pairs]
    inside, outside = (np.array(values) for values in zip(*counts, strict=True))
    if not outside.any():
        with pytest.raises(ValueError, match="must hold a pixel"):
            overall_iou(inside, outside)
        return
    together = [np.concatenate(side) for side in zip(*pairs, strict=True)]
    assert overall_iou(inside, outside) == pytest.approx(float(iou(*together)))
    order = np.random.default_rng(0).permutation(len(pairs))
    assert overall_iou(inside[order], outside[order]) == overall_iou(inside, outside)


def test_mean_iou_and_precision_of_known_values() -> None:
    ious = [0.5, 0.75, 1.0, 0.0]
    assert mean_iou(ious) == 0.5625
    # Strictly above the threshold: the first 0.5 does not count.
    assert precision_at(ious, (0.5, 0.75)) == {0.5: 0.5, 0.75: 0.25}
    assert list(precision_at(ious)) == [0.5, 0.6, 0.7, 0.8, 0.9]


def test_a_mask_is_on_the_object_that_fits_it_best_not_on_the_one_it_covers_most() -> None:
    objects = np.stack([drawn("######", "######"), drawn("##....", "......"), np.zeros((2, 6), dtype=bool)])
    assert most_overlapping(drawn("##....", "#....."), objects) == 1
    assert most_overlapping(drawn("####..", "####.."), objects) == 0
    assert most_overlapping(np.zeros((2, 6), dtype=bool), objects) is None
    assert most_overlapping(drawn("....##", "......"), objects[1:]) is None


# ------------------------------------------------------------------------------------------------------------- boundary
def test_an_outline_lies_up_and_left_of_where_the_value_changes() -> None:
    mask = drawn("......", "..##..", "..##..", "......")
    assert np.array_equal(boundary_map(mask), drawn(".###..", ".#.#..", ".###..", "......"))
    assert np.array_equal(boundary_map(~mask), boundary_map(mask))


def test_the_edge_of_the_picture_is_no_outline() -> None:
    assert not boundary_map(np.ones((3, 4), dtype=bool)).any()
    assert np.array_equal(boundary_map(drawn("..##", "..##")), drawn(".#..", ".#.."))
    assert np.array_equal(boundary_map(drawn("....", "####")), drawn("####", "...."))


def plain_boundary_measure(predicted: np.ndarray, target: np.ndarray, tolerance: float) -> float:
    """The definition, pixel by pixel."""
    radius = math.ceil(tolerance * math.hypot(*target.shape))
    found, wanted = (list(zip(*np.nonzero(boundary_map(mask)), strict=True)) for mask in (predicted, target))

    def near(point: tuple[int, int], others: list[tuple[int, int]]) -> bool:
        return any((point[0] - y) ** 2 + (point[1] - x) ** 2 <= radius**2 for y, x in others)

    if not found and not wanted:
        return 1.0
    precision = sum(near(point, wanted) for point in found) / len(found) if found else 1.0
    recall = sum(near(point, found) for point in wanted) / len(wanted) if wanted else 1.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@settings(UNHURRIED, max_examples=60)
@given(mask_pairs, tolerances, st.floats(0, 1))
def test_boundary_measure_is_its_definition(
    pair: tuple[np.ndarray, np.ndarray], tolerance: float, sparsity: float
) -> None:
    random = np.random.default_rng(0)
    first, second = (mask & (random.random(mask.shape) < sparsity) for mask in pair)
    assert boundary_measure(first, second, tolerance) == pytest.approx(plain_boundary_measure(first, second, tolerance))


@UNHURRIED
@given(mask_pairs, tolerances)
def test_boundary_measure_is_symmetric_and_1_on_identity(pair: tuple[np.ndarray, np.ndarray], tolerance: float) -> None:
    first, second = pair
    assert 0 <= boundary_measure(first, second, tolerance) <= 1
    assert boundary_measure(first, second, tolerance) == pytest.approx(boundary_measure(second, first, tolerance))
    assert boundary_measure(first, first, tolerance) == 1
    assert boundary_measure(first, second, tolerance) <= boundary_measure(first, second, 2 * tolerance) + 1e-12


def test_outlines_may_be_off_by_the_tolerance_and_no_more() -> None:
    # The diagonal is 500 pixels, the tolerance therefore 4.
    square = np.zeros((300, 400), dtype=bool)
    square[100:200, 100:200] = True
    assert boundary_measure(np.roll(square, 4, axis=1), square) == 1
    assert boundary_measure(np.roll(square, 5, axis=1), square) < 0.75


def test_missing_and_invented_objects_have_no_outline_in_common() -> None:
    nothing, something = np.zeros((9, 9), dtype=bool), np.zeros((9, 9), dtype=bool)
    something[3:6, 3:6] = True
    assert boundary_measure(nothing, nothing) == 1
    assert boundary_measure(nothing, something) == boundary_measure(something, nothing) == 0


# ---------------------------------------------------------------------------------------------------------------- video
def test_the_first_and_the_last_frame_are_left_out_unless_all_are_asked_for() -> None:
    assert evaluated_frames(5) == slice(1, 4) and evaluated_frames(5, "all") == slice(0, 5)
    target = np.zeros((4, 8, 8), dtype=bool)
    target[:, 2:5, 2:5] = True
    predicted = target.copy()
    predicted[[0, 3]] = False
    assert score_sequence(predicted, target).jf == 1
    assert score_sequence(predicted, target, "all").j.mean == 0.5


def test_a_frame_without_the_object_counts_by_whether_the_prediction_is_empty() -> None:
    target = np.zeros((3, 8, 8), dtype=bool)
    predicted = target.copy()
    predicted[1, 2:5, 2:5] = True
    j, f = frame_scores(predicted, target)
    assert j.tolist() == f.tolist() == [1, 0, 1]


def test_statistics_of_known_values() -> None:
    found = sequence_statistics(np.array([1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2]))
    # The quarters of nine frames are cut at frames 1, 3, 5, 7, 9.
    assert (found.mean, found.recall) == (pytest.approx(0.6), pytest.approx(5 / 9))
    assert found.decay == pytest.approx(0.9 - 0.3)
    assert sequence_statistics(np.array([0.7])).decay == 0
    assert sequence_statistics(np.linspace(1, 0, 400)).decay == pytest.approx(0.75, abs=0.01)


@pytest.mark.skipif(not DAVIS.is_dir(), reason="the sequences of DAVIS are not beside the repository")
@pytest.mark.parametrize(
    ("sequence", "j", "f", "decay", "j_of_all", "kept_j", "kept_f"),
    [
        ("blackswan", 0.943020, 0.974096, 0.0014, 0.943148, 0.5450, 0.3340),
        ("car-shadow", 0.928402, 0.917407, 0.1103, 0.923675, 0.4077, 0.2523),
        ("libby", 0.623027, 0.751232, 0.4986, 0.619766, 0.3040, 0.3577),
    ],
)
def test_official_numbers_of_a_published_method_are_reproduced(
    sequence: str, j: float, f: float, decay: float, j_of_all: float, kept_j: float, kept_f: float
) -> None:
    target, predicted = (
        np.stack([np.asarray(Image.open(file)) > 0 for file in sorted((DAVIS / sequence / folder).glob("*.png"))])
        for folder in ("masks", "osvos")
    )
    scores = score_sequence(predicted, target)
    assert (scores.j.mean, scores.f.mean) == (pytest.approx(j, abs=1e-6), pytest.approx(f, abs=1e-6))
    assert scores.j.decay == pytest.approx(decay, abs=1e-4)
    assert iou(predicted, target).mean() == pytest.approx(j_of_all, abs=1e-6)
    kept = score_sequence(np.broadcast_to(target[:1], target.shape), target)
    assert (kept.j.mean, kept.f.mean) == (pytest.approx(kept_j, abs=1e-4), pytest.approx(kept_f, abs=1e-4))


# ------------------------------------------------------------------------------------------------------------- few-shot
def test_classes_count_alike_however_many_pictures_they_have() -> None:
    inside, outside, categories = [1, 3, 0, 8], [2, 4, 0, 8], ["cat", "cat", "fog", "dog"]
    mean, by_class = class_mean_iou(inside, outside, categories)
    assert by_class == {"cat": 4 / 6, "dog": 1.0}
    assert mean == pytest.approx((4 / 6 + 1) / 2)
    again, _ = class_mean_iou(inside[::-1], outside[::-1], categories[::-1])
    assert again == pytest.approx(mean)


@UNHURRIED
@given(st.lists(mask_pairs, min_size=1, max_size=4))
def test_background_is_measured_like_foreground(pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
    first, second = (np.stack(side) for side in zip(*pairs, strict=True))
    if not (first | second).any() or (first & second).all():
        return
    inside, outside = intersection_and_union(first, second)
    expected = [overall_iou(*intersection_and_union(*sides)) for sides in ((first, second), (~first, ~second))]
    assert foreground_background_iou(inside, outside, 9 * 13) == pytest.approx(np.mean(expected))


# ------------------------------------------------------------------------------------------------------------ bad input
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: iou(m.astype(int), m), TypeError, "`predicted` must be a bool array, got int64"),
        (lambda m: iou(m, m[:-1]), ValueError, r"one size, got \(9, 13\) and \(8, 13\)"),
        (lambda m: iou(m[0], m), ValueError, r"`predicted` must have shape \(..., height, width\)"),
        (lambda m: boundary_measure(m[None], m[None]), ValueError, "height, width"),
        (lambda m: frame_scores(m, m), ValueError, r"one shape \(frames, height, width\)"),
        (lambda m: score_sequence(m[None], m[None]), ValueError, "at least 3 frames"),
        (lambda m: evaluated_frames(8, "most"), ValueError, "one of all, inner, got 'most'"),
        (lambda m: mean_iou([]), ValueError, "`ious` must be a list of at least one number"),
        (lambda m: sequence_statistics(np.array([])), ValueError, "`values`"),
        (lambda m: overall_iou([1], [2, 3]), ValueError, "`unions` must be as many"),
        (lambda m: class_mean_iou([1], [2], []), ValueError, "equally many, got 1, 1 and 0"),
        (lambda m: foreground_background_iou([1], [1], 1), ValueError, "only one of them"),
    ],
)
def test_wrong_arguments_are_named(call: Callable[[np.ndarray], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(np.ones((9, 13), dtype=bool))


def test_measures_need_no_torch() -> None:
    program = "import sys, transformers_uniref.evaluation.world; assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
