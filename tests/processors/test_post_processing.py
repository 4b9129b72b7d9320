"""What the processor makes of the outputs of the model."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from processor_support import (
    RecordingSession,
    small_processor,
)
from transformers_uniref.processors.post_processing import class_wise_nms, pairwise_iou


def outputs(seed: int = 0, queries: int = 6, classes: int = 1, decoded: int = 1) -> SimpleNamespace:
    """Two entries in a batch padded to 64 x 96; the valid sizes are 64 x 96 and 50 x 70."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, queries, classes, generator=generator)
    return SimpleNamespace(
        logits=logits,
        pred_boxes=torch.rand(2, queries, 4, generator=generator) * 0.4 + 0.2,
        pred_masks=torch.randn(2, decoded, 16, 24, generator=generator) * 4,
        mask_queries=logits.amax(-1).topk(decoded, dim=1).indices,
        image_sizes=torch.tensor([[64, 96], [50, 70]]),
    )


def test_the_mask_is_grown_cut_thresholded_and_only_then_resized():
    given = outputs()
    results = small_processor().post_process_referring_segmentation(given, target_sizes=[(128, 192), (100, 133)])
    for index, (valid, target) in enumerate([((64, 96), (128, 192)), ((50, 70), (100, 133))]):
        grown = F.interpolate(given.pred_masks[index][None], scale_factor=4, mode="bilinear", align_corners=False)
        binary = (grown.sigmoid() > 0.5).float()[..., : valid[0], : valid[1]]
        expected = F.interpolate(binary, size=target, mode="nearest")[0, 0].bool()
        assert results[index]["segmentation"].dtype == torch.bool
        assert torch.equal(results[index]["segmentation"], expected)


def test_score_and_box_are_those_of_the_best_query():
    given = outputs()
    for index, result in enumerate(small_processor().post_process_referring_segmentation(given, [(100, 200)] * 2)):
        best = int(given.logits[index, :, 0].argmax())
        cx, cy, w, h = given.pred_boxes[index, best].tolist()
        expected = [(cx - w / 2) * 200, (cy - h / 2) * 100, (cx + w / 2) * 200, (cy + h / 2) * 100]
        assert result["score"] == pytest.approx(float(given.logits[index, best].sigmoid()))
        assert result["box"].tolist() == pytest.approx(expected, abs=1e-3)


def test_boxes_are_clipped_to_the_picture():
    given = outputs()
    given.pred_boxes[:] = torch.tensor([0.1, 0.9, 0.6, 0.6])
    (first, _) = small_processor().post_process_referring_segmentation(given, [(100, 200)] * 2)
    assert first["box"].tolist() == pytest.approx([0, 60, 80, 100], abs=1e-3)


def test_a_score_that_is_not_above_the_gate_empties_the_mask():
    given = outputs()
    score = small_processor().post_process_referring_segmentation(given)[0]["score"]
    gate = small_processor().post_process_referring_segmentation
    assert gate(given, threshold=score - 1e-6)[0]["segmentation"].any()
    closed = gate(given, threshold=score)[0]
    assert not closed["segmentation"].any()
    assert closed["score"] == score


def test_without_target_sizes_results_have_the_unpadded_network_size():
    results = small_processor().post_process_referring_segmentation(outputs())
    assert [tuple(result["segmentation"].shape) for result in results] == [(64, 96), (50, 70)]


def test_masks_of_all_queries_give_the_same_best_object():
    given = outputs()
    every = outputs(decoded=6)
    every.mask_queries = torch.arange(6).repeat(2, 1)
    for index in range(2):
        every.pred_masks[index, given.mask_queries[index, 0]] = given.pred_masks[index, 0]
    processor = small_processor()
    for one, best in zip(
        processor.post_process_referring_segmentation(given),
        processor.post_process_referring_segmentation(every),
        strict=True,
    ):
        assert torch.equal(one["segmentation"], best["segmentation"])
        assert one["score"] == best["score"]


def test_full_resolution_masks_are_not_grown():
    given = outputs()
    given.pred_masks = torch.randn(2, 1, 64, 96)
    result = small_processor().post_process_referring_segmentation(given, mask_stride=1)[1]
    assert torch.equal(result["segmentation"], given.pred_masks[1, 0, :50, :70] > 0)
    told = small_processor().post_process_referring_segmentation(given)[1]
    assert torch.equal(told["segmentation"], result["segmentation"])


def test_overlap_of_boxes():
    boxes = torch.tensor([[0.0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6]])
    expected = torch.tensor([[1, 1 / 3, 0], [1 / 3, 1, 0], [0, 0, 1]])
    assert torch.allclose(pairwise_iou(boxes), expected)


def test_suppression_acts_within_a_class_only():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 9], [0, 0, 10, 5]])
    scores = torch.tensor([0.5, 0.9, 0.8, 0.7])
    assert class_wise_nms(boxes, scores, torch.tensor([0, 0, 1, 0])).tolist() == [1, 2, 3]


def test_detection_returns_distinct_objects_best_first():
    given = outputs(queries=5, decoded=5)
    given.mask_queries = torch.arange(5).repeat(2, 1)
    given.logits[0, :, 0] = torch.tensor([2.0, 1.0, 3.0, -5.0, 1.5])
    given.pred_boxes[0, 0] = given.pred_boxes[0, 2]  # the same object, less sure
    given.pred_boxes[0, [1, 3, 4]] = torch.tensor([[0.1, 0.1, 0.1, 0.1], [0.5, 0.9, 0.1, 0.1], [0.9, 0.1, 0.1, 0.1]])
    detect = small_processor().post_process_instance_segmentation
    found = detect(given, target_sizes=[(100, 200)] * 2, threshold=0.5)[0]
    assert found["scores"].tolist() == pytest.approx(torch.tensor([3.0, 1.5, 1.0]).sigmoid().tolist())
    assert found["labels"].tolist() == [0, 0, 0]
    assert found["boxes"][2].tolist() == pytest.approx([10, 5, 30, 15], abs=1e-3)
    assert found["masks"].shape == (3, 100, 200)
    single = small_processor().post_process_referring_segmentation(given, [(100, 200)] * 2)[0]
    assert torch.equal(found["masks"][0], single["segmentation"])
    assert len(detect(given, threshold=0.5, top_k=2)[0]["scores"]) == 2
    nothing = detect(given, threshold=1.0)[0]
    assert nothing["masks"].shape == (0, 64, 96)


def test_one_box_may_be_detected_as_two_classes():
    given = outputs(queries=2, classes=3, decoded=2)
    given.mask_queries = torch.arange(2).repeat(2, 1)
    given.logits[0] = torch.tensor([[2.0, 1.0, -9.0], [-9.0, -9.0, -9.0]])
    found = small_processor().post_process_instance_segmentation(given)[0]
    assert found["labels"].tolist() == [0, 1]
    assert torch.equal(found["masks"][0], found["masks"][1])


def test_video_masks_are_disjoint_and_named_by_object():
    out = SimpleNamespace(object_ids=[5, 2], pred_masks=torch.rand(2, 8, 9), object_scores=torch.ones(2))
    masks = small_processor().post_process_video_masks(out, RecordingSession(video_size=(8, 9)))
    assert list(masks) == [5, 2]
    assert not (masks[5] & masks[2]).any()
    assert masks[5].dtype == torch.bool
    empty = SimpleNamespace(object_ids=[], pred_masks=torch.zeros(0, 8, 9))
    assert small_processor().post_process_video_masks(empty, RecordingSession()) == {}
