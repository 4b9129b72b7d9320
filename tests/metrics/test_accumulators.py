"""Accumulators: what they compute, that no sharding changes it, and how bad states are refused."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from transformers_uniref.metrics import (
    Accumulator,
    FewShotScores,
    GeneralizedReferringScores,
    ReferringScores,
    VideoScores,
    boundary_measure,
    generalized_measures,
    image_mean_iou,
    iou,
    precision_at,
)

UNHURRIED = settings(deadline=None, max_examples=30)
masks = arrays(bool, (6, 7))
label_maps = arrays(np.uint8, (6, 7), elements=st.integers(0, 3))


def drawn(pixels: int) -> np.ndarray:
    """A mask of 100 pixels of which the first ones are the object."""
    return (np.arange(100) < pixels).reshape(10, 10)


# --------------------------------------------------------------------------------------------------------------- shards
def add_image(scores: Accumulator, pair: tuple[np.ndarray, np.ndarray], number: int) -> None:
    if isinstance(scores, FewShotScores):
        scores.update(*pair, f"class {number % 3}", sample_id=str(number))
    elif isinstance(scores, (ReferringScores, GeneralizedReferringScores)):
        scores.update(*pair, sample_id=str(number))


@UNHURRIED
@given(
    st.sampled_from([ReferringScores, GeneralizedReferringScores, FewShotScores]),
    st.lists(st.tuples(masks, masks), min_size=2, max_size=8),
    st.lists(st.integers(0, 2), min_size=8, max_size=8),
    st.randoms(use_true_random=False),
)
def test_sharding_and_order_change_no_bit(
    kind: Callable[[], Accumulator], pairs: list[tuple[np.ndarray, np.ndarray]], owners: list[int], random: object
) -> None:
    # A first pair with foreground and background, without which nothing can be measured.
    pairs = [(drawn(30)[:6, :7], drawn(40)[:6, :7]), *pairs]
    whole, shards = kind(), [kind() for _ in range(3)]
    order = list(range(len(pairs)))
    for number in order:
        add_image(whole, pairs[number], number)
    random.shuffle(order)  # type: ignore[attr-defined]
    for number in order:
        add_image(shards[owners[number % 8]], pairs[number], number)
    gathered = kind()
    for shard in reversed(shards):
        # A state passes through JSON: it holds plain numbers and strings alone.
        gathered.load_state_dict(json.loads(json.dumps(shard.state_dict())))
    assert gathered.compute() == whole.compute()
    assert len(gathered) == len(whole) == len(pairs)


@UNHURRIED
@given(
    st.sampled_from(["davis-semi-supervised", "davis-unsupervised", "youtube-vos", "lvos-v2", "mose-v2"]),
    st.lists(st.tuples(label_maps, label_maps), min_size=5, max_size=6),
    st.integers(1, 4),
)
def test_sharding_clips_by_frames_changes_no_bit(
    protocol: str, frames: list[tuple[np.ndarray, np.ndarray]], cut: int
) -> None:
    whole, first, second = (VideoScores(protocol) for _ in range(3))
    for number, (predicted, target) in enumerate(frames):
        whole.update("clip", str(number), predicted, target, [1, 2])
        (first if number < cut else second).update("clip", str(number), predicted, target, [1, 2])
    assert second.merge(first).compute() == whole.compute()


@UNHURRIED
@given(st.sampled_from(["davis-semi-supervised", "mose-v1", "mose-v2"]), st.lists(label_maps, min_size=3, max_size=5))
def test_the_truth_scores_1_by_every_protocol(protocol: str, clip: list[np.ndarray]) -> None:
    clip[0][0, :3] = [1, 2, 3]
    scores = VideoScores(protocol).update_clip("clip", {f"{n:05d}": (labels, labels) for n, labels in enumerate(clip)})
    result = scores.compute()
    assert result["J"] == result["F"] == result["J&F"] == 1 and result["objects"] == 3


# ------------------------------------------------------------------------------------------------------------ referring
def test_referring_measures_of_known_pixels() -> None:
    scores = ReferringScores()
    scores.update(drawn(50), drawn(100)).update(drawn(10), drawn(10)).update(drawn(0), drawn(20))
    result = scores.compute()
    assert result["oIoU"] == (50 + 10) / (100 + 10 + 20) and result["mIoU"] == pytest.approx(1.5 / 3)
    assert (result["P@0.5"], result["P@0.9"], result["samples"]) == (pytest.approx(1 / 3), pytest.approx(1 / 3), 3)
    assert ReferringScores(inclusive=True).update(drawn(50), drawn(100)).compute()["P@0.5"] == 1
    assert precision_at([0.5, 0.4], (0.5,), inclusive=True) == {0.5: 0.5}


# ---------------------------------------------------------------------------------------------------------- generalised
def test_sentences_without_a_target_count_as_in_rela() -> None:
    scores = GeneralizedReferringScores()
    scores.update(drawn(80), drawn(100))  # a target, found: IoU .8
    scores.update(drawn(0), drawn(50))  # a target, denied: IoU 0, its pixels in the unions
    scores.update(drawn(0), drawn(0))  # no target, denied: IoU 1
    scores.update(drawn(30), drawn(0))  # no target, invented: IoU 0, the invented pixels in the unions
    result = scores.compute()
    assert result["gIoU"] == pytest.approx((0.8 + 0 + 1 + 0) / 4)
    assert result["cIoU"] == 80 / (100 + 50 + 30)
    assert (result["N-acc"], result["T-acc"]) == (0.5, 0.5)
    assert (result["P@0.7"], result["P@0.8"], result["P@0.9"]) == (0.5, 0.5, 0)


def test_a_denial_outweighs_the_mask() -> None:
    result = GeneralizedReferringScores().update(drawn(50), drawn(50), predicted_no_target=True).compute()
    assert (result["gIoU"], result["cIoU"], result["T-acc"], result["N-acc"]) == (0, 0, 0, None)
    result = GeneralizedReferringScores().update(drawn(50), drawn(0), predicted_no_target=True).compute()
    assert (result["gIoU"], result["cIoU"], result["N-acc"], result["T-acc"]) == (1, None, 1, None)


@UNHURRIED
@given(st.lists(st.tuples(masks, masks), min_size=1, max_size=6))
def test_with_targets_alone_generalised_measures_are_the_plain_ones(
    pairs: list[tuple[np.ndarray, np.ndarray]],
) -> None:
    general, plain = GeneralizedReferringScores(), ReferringScores()
    for predicted, target in pairs:
        target[0, 0] = True
        general.update(predicted, target)
        plain.update(predicted, target)
    assert general.compute()["gIoU"] == pytest.approx(plain.compute()["mIoU"])
    assert general.compute()["cIoU"] == plain.compute()["oIoU"]


# ------------------------------------------------------------------------------------------------------------- few-shot
def test_the_two_few_shot_means_differ_and_void_is_not_judged() -> None:
    scores = FewShotScores()
    for found, category in ((100, "cat"), (50, "cat"), (25, "dog")):
        scores.update(drawn(found), drawn(100 if found > 25 else 50), category)
    result = scores.compute()
    assert result["classes"] == {"cat": 150 / 200, "dog": 0.5}
    assert result["mIoU_class"] == pytest.approx(0.625) and result["mIoU_image"] == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert image_mean_iou([0, 1], [0, 2]) == 0.75
    void = ~drawn(60)
    judged = FewShotScores().update(drawn(30), drawn(90), "cat", void=void).compute()
    # 60 pixels are left: 30 right, 30 missed, none of the background.
    assert (judged["mIoU_image"], judged["FB-IoU"]) == (0.5, 0.25)


# ---------------------------------------------------------------------------------------------------------------- video
def clip_of(*rows: tuple[int, int]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """A clip in which object 1 has so many predicted and true pixels."""
    return {f"{n:05d}": tuple(drawn(count).astype(np.uint8) for count in row) for n, row in enumerate(rows)}  # type: ignore[misc]


def test_void_is_background_in_one_davis_task_and_nobodys_in_the_other() -> None:
    target = drawn(40).astype(np.uint8)
    target[5:] = 255
    clip = {f"{n:05d}": (drawn(60).astype(np.uint8), target) for n in range(3)}
    supervised, unsupervised = (
        VideoScores(name).update_clip("clip", clip).compute()
        for name in ("davis-semi-supervised", "davis-unsupervised")
    )
    assert supervised["J"] == pytest.approx(40 / 60) and unsupervised["J"] == pytest.approx(40 / 50)
    void = target == 255
    assert unsupervised["J"] == pytest.approx(float(iou(drawn(60), target == 1, void=void)))
    assert unsupervised["F"] == pytest.approx(boundary_measure(drawn(60), target == 1, void=void))


def test_proposals_are_assigned_so_that_the_sum_is_highest() -> None:
    target = np.zeros((10, 30), dtype=np.uint8)
    target[2:8, 2:10], target[2:8, 12:20] = 1, 2
    swapped = np.select([target == 1, target == 2], [5, 3]).astype(np.uint8)
    clip = {f"{n:05d}": (swapped, target) for n in range(3)}
    result = VideoScores("davis-unsupervised").update_clip("clip", clip).compute()
    objects = result["sequences"]["clip"]["objects"]
    assert result["J&F"] == 1 and (objects["1"]["prediction"], objects["2"]["prediction"]) == (5, 3)
    # By the same id, nothing fits.
    assert VideoScores("ref-davis17-by-id").update_clip("clip", clip).compute()["J"] == 0
    # One proposal for two objects: the other one has none, and nothing of it is found.
    single = {frame: (np.where(found == 5, 1, 0).astype(np.uint8), truth) for frame, (found, truth) in clip.items()}
    assert VideoScores("davis-unsupervised").update_clip("clip", single).compute()["J"] == 0.5


def test_unseen_objects_weigh_as_much_as_seen_ones() -> None:
    scores = VideoScores("youtube-vos")
    for name, found in (("a", 50), ("b", 50), ("c", 100)):
        scores.update_clip(name, clip_of((100, 100), (found, 100)))
    assert scores.compute()["J"] == pytest.approx(2 / 3) and scores.compute()["G"] is None
    for entry in ("c", "c/1"):
        result = scores.compute(unseen=[entry, "not measured"])
        assert (result["J_seen"], result["J_unseen"], result["J"]) == (0.5, 1, 0.75)
        assert result["G"] == result["J&F"] == (result["J"] + result["F"]) / 2
    with pytest.raises(ValueError, match="got no unseen one: it names d; measured: a, b, c"):
        scores.compute(unseen=["d"])
    with pytest.raises(ValueError, match="knows no unseen categories"):
        VideoScores("mose-v1").update_clip("a", clip_of((9, 9), (9, 9), (9, 9))).compute(unseen=["a"])


def test_lvos_reports_how_much_the_quality_varies() -> None:
    clip = clip_of((100, 100), (100, 100), (50, 100))
    result = VideoScores("lvos-v1").update_clip("clip", clip).compute()
    values = np.array([1, 1, (0.5 + boundary_measure(drawn(50), drawn(100))) / 2])
    assert result["V"] == pytest.approx(np.sqrt(round(float(values.var()), 4)))


def test_mose_v2_smooths_j_and_tells_disappearing_from_returning() -> None:
    # Gone in frames 2 and 3, back in 4; the first and the last frame do not count.
    clip = clip_of((50, 50), (50, 50), (0, 0), (10, 0), (25, 50), (50, 50))
    result = VideoScores("mose-v2").update_clip("clip", clip).compute()
    j = [1, 1, 1 / 11, 26 / 51]
    assert result["J"] == pytest.approx(np.mean(j))
    f_back = boundary_measure(drawn(25), drawn(50), radius=min(1, 0.008 * np.hypot(10, 10)))
    assert result["J&F-dot_disappearance"] == pytest.approx(((1 + 1 / 11) / 2 + (1 + 0) / 2) / 2)
    assert result["J&F-dot_reappearance"] == pytest.approx((26 / 51 + f_back) / 2)
    steady = VideoScores("mose-v2").update_clip("clip", clip_of((9, 9), (9, 9), (9, 9))).compute()
    assert steady["J&F-dot_disappearance"] is None and steady["J&F-dot"] == 1


# ------------------------------------------------------------------------------------------------------------ bad input
def test_a_sample_counts_once() -> None:
    scores = ReferringScores().update(drawn(1), drawn(1), "sentence 7")
    with pytest.raises(ValueError, match="`sample_id` must name a sample that was not measured yet, got 'sentence 7'"):
        scores.update(drawn(1), drawn(1), "sentence 7")
    with pytest.raises(ValueError, match="sentence 7"):
        ReferringScores().update(drawn(1), drawn(1), "sentence 7").merge(scores)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ReferringScores().compute(), ValueError, "at least one sample"),
        (lambda: VideoScores("mose-v1").compute(), ValueError, "at least one sample"),
        (lambda: ReferringScores().merge(FewShotScores()), TypeError, "must be a ReferringScores, got FewShotScores"),
        (lambda: ReferringScores().load_state_dict({"kind": "video"}), ValueError, "of kind 'referring', got 'video'"),
        (lambda: VideoScores("mose-v1").merge(VideoScores("mose-v2")), ValueError, "'mose-v1'.*got.*'mose-v2'"),
        (lambda: VideoScores("mose"), ValueError, r"one of davis-semi-supervised, .*got 'mose'; did you mean mose-v"),
        (
            lambda: generalized_measures([1], [1], [True], []),
            ValueError,
            "equally many and at least one, got 1, 1, 1, 0",
        ),
        (lambda: image_mean_iou([], []), ValueError, "equally many"),
        (
            lambda: VideoScores("mose-v1").update("a", "0", drawn(1).astype(int), drawn(1)[:5].astype(int), [1]),
            ValueError,
            r"one size, got \(10, 10\) and \(5, 10\)",
        ),
        (lambda: VideoScores("mose-v1").update("a", "0", drawn(1), drawn(1), [1]), TypeError, "integers, got bool"),
        (
            lambda: VideoScores("mose-v1").update_clip("a", clip_of((9, 9), (9, 9))),
            ValueError,
            "at least 3 annotated frames",
        ),
        (
            lambda: VideoScores("mose-v1").update_clip("a", clip_of((9, 0), (9, 9), (9, 9))),
            ValueError,
            "an id of 1..254 in the first frame",
        ),
    ],
)
def test_wrong_use_is_named(call: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
