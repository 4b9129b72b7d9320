"""None, one or many objects out of a model's queries."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from processor_support import small_processor, small_tokenizer
from transformers_uniref.frontends.cli.main import main
from transformers_uniref.metrics.region import iou
from transformers_uniref.processors.all_targets import ObjectChoice, choose_objects
from transformers_uniref.processors.processing_uniref import UniRefProcessor
from transformers_uniref.worlds import World

SIDE = 16


def boxes(*corners: tuple[int, int, int, int]) -> torch.Tensor:
    """Rectangles x0, y0, x1, y1 as masks (n, SIDE, SIDE)."""
    masks = torch.zeros(len(corners), SIDE, SIDE, dtype=torch.bool)
    for mask, (x0, y0, x1, y1) in zip(masks, corners, strict=True):
        mask[y0:y1, x0:x1] = True
    return masks


LEFT, RIGHT, WHOLE = (0, 0, 6, 8), (9, 0, 16, 8), (0, 0, 16, 8)


@pytest.mark.parametrize(
    ("corners", "scores", "chosen"),
    [
        ([LEFT, RIGHT], [0.5, 0.8], [1, 0]),  # best first
        ([LEFT, RIGHT], [0.8, 0.3], [0]),  # far below the best
        ([LEFT, (0, 0, 6, 7), RIGHT], [0.7, 0.8, 0.6], [1, 2]),  # the same twice
        ([LEFT, (1, 1, 4, 4), RIGHT], [0.9, 0.8, 0.7], [0, 2]),  # a part
        ([LEFT, RIGHT, WHOLE], [0.9, 0.8, 0.7], [0, 1]),  # all of them together
        ([WHOLE, LEFT, RIGHT], [0.9, 0.8, 0.7], [0]),  # a group that scores better than its members
        ([LEFT, (3, 3, 3, 3)], [0.6, 0.9], [0]),  # an empty mask
        ([LEFT, RIGHT], [0.25, 0.24], []),  # nothing passes
    ],
)
def test_each_object_comes_once_and_the_best_first(
    corners: list[tuple[int, int, int, int]], scores: list[float], chosen: list[int]
) -> None:
    assert choose_objects(boxes(*corners), torch.tensor(scores), threshold=0.3) == chosen


@pytest.mark.parametrize(
    ("choice", "chosen"),
    [
        (ObjectChoice(), [0, 1]),
        (ObjectChoice(least_share=0.8), [0]),
        (ObjectChoice(least_share=0.0), [0, 1, 2]),
        (ObjectChoice(least_share=0.0, least_score=0.3), [0, 1]),
        (ObjectChoice(least_score=0.95), [0]),  # the best one is a matter of the gate alone
        (ObjectChoice(threshold=0.95), [0, 1]),
        (ObjectChoice(least_share=0.0, same_overlap=0.0), [0, 2]),
        (ObjectChoice(least_share=0.0, covered=0.1), [0, 2]),
    ],
)
def test_what_counts_beside_the_best_is_the_models_own(choice: ObjectChoice, chosen: list[int]) -> None:
    masks = boxes(LEFT, (4, 0, 12, 8), (8, 0, 16, 8))
    assert choose_objects(masks, torch.tensor([0.9, 0.5, 0.2]), 0.3, choice) == chosen


def test_a_processor_carries_what_its_model_counts_as_an_object(tmp_path: Path) -> None:
    def made(**options: Any) -> UniRefProcessor:
        return UniRefProcessor(small_processor().image_processor, small_tokenizer(), **options)

    plain = made()
    assert "all_targets" not in plain.to_dict() and plain.object_choice == ObjectChoice()
    assert plain.picture_gate("all") == plain.picture_gate() == 0.3
    tuned = made(all_targets={"threshold": 0.1, "least_share": 0.9})
    tuned.save_pretrained(tmp_path)
    read = UniRefProcessor.from_pretrained(tmp_path)
    assert read.object_choice == tuned.object_choice == ObjectChoice(0.1, 0.9)
    assert (read.picture_gate("all"), read.picture_gate("one")) == (0.1, 0.3)
    given = outputs(boxes(LEFT, RIGHT), [0.2, 0.15])
    (answer,) = read.post_process_answers(given, targets="all")
    assert len(answer["objects"]) == 1 and answer["threshold"] == 0.1
    (answer,) = plain.post_process_answers(given, targets="all", threshold=0.1)
    assert len(answer["objects"]) == 2
    assert not read.post_process_answers(given)[0]["passed"]
    assert read.init_video_session().object_choice == read.object_choice
    with pytest.raises(ValueError, match="`all_targets` must hold some of threshold, least_share.*, got most"):
        made(all_targets={"most": 3})
    with pytest.raises(ValueError, match="`least_share` must be between 0 and 1, got 2"):
        made(all_targets={"least_share": 2})


def test_without_a_gate_something_is_always_found() -> None:
    assert choose_objects(boxes(LEFT, RIGHT), torch.tensor([0.01, 0.002])) == [0]
    assert choose_objects(boxes(), torch.zeros(0)) == []


def outputs(masks: torch.Tensor, scores: list[float], decoded: int | None = None) -> Any:
    """What a model returns for one picture of SIDE x SIDE, its masks at full size."""
    count = len(scores) if decoded is None else decoded
    centres = torch.tensor([[0.5, 0.25, 0.2, 0.4]]).repeat(len(scores), 1)
    return SimpleNamespace(
        logits=torch.tensor(scores).logit()[None, :, None],
        pred_boxes=centres[None],
        pred_masks=(masks.float()[None, :count] - 0.5) * 20,
        mask_queries=torch.arange(count)[None],
        image_sizes=torch.tensor([[SIDE, SIDE]]),
        padded_sizes=torch.tensor([[SIDE, SIDE]]),
    )


def test_the_answer_is_the_union_and_its_objects() -> None:
    processor = small_processor()
    given = outputs(boxes(LEFT, RIGHT, (0, 9, 16, 16)), [0.5, 0.8, 0.1])
    (result,) = processor.post_process_referring_segmentation(given, threshold=0.3, targets="all")
    assert torch.equal(result["segmentation"], boxes(LEFT, RIGHT).any(0))
    assert result["score"] == pytest.approx(0.8) and result["box"].tolist() == [0, 0, 16, 8]
    assert [one["score"] for one in result["objects"]] == pytest.approx([0.8, 0.5])
    assert torch.equal(result["objects"][1]["segmentation"], boxes(LEFT)[0])
    assert result["objects"][1]["box"].shape == (4,)
    (one,) = processor.post_process_referring_segmentation(given, threshold=0.3)
    assert torch.equal(one["segmentation"], boxes(RIGHT)[0]) and "objects" not in one


def test_nothing_is_an_answer() -> None:
    given = outputs(boxes(LEFT, RIGHT), [0.2, 0.1])
    (result,) = small_processor().post_process_referring_segmentation(given, threshold=0.3, targets="all")
    assert result["objects"] == [] and not result["segmentation"].any() and result["box"].tolist() == [0, 0, 0, 0]
    processor = small_processor(score_threshold=0.3)
    (answer,) = processor.post_process_answers(given, targets="all")
    assert not answer["passed"] and answer["objects"] == []
    (answer,) = processor.post_process_answers(given, targets="all", understood=[False], threshold=0.1)
    assert not answer["passed"] and answer["objects"] == [] and not answer["segmentation"].any()
    (answer,) = processor.post_process_answers(given, targets="all", threshold=0.1)
    assert answer["passed"] and len(answer["objects"]) == 2


def test_unfit_arguments_are_named() -> None:
    processor = small_processor()
    with pytest.raises(ValueError, match="`targets` must be 'one' .* or 'all' .*, got 'many'"):
        processor.post_process_referring_segmentation(outputs(boxes(LEFT), [0.5]), targets="many")
    with pytest.raises(ValueError, match="masks of 1 of 2 queries.*num_masks='all'"):
        processor.post_process_referring_segmentation(outputs(boxes(LEFT, RIGHT), [0.5, 0.4], 1), targets="all")


def test_the_pipeline_gives_each_object_and_nothing_for_nothing() -> None:
    from PIL import Image
    from transformers import pipeline

    find = pipeline("referring-segmentation")
    scene = World("test", size=128).image(3)
    image = Image.fromarray(scene["image"])
    named = scene["sentences"][1][0]
    best, absent = find(image, text=[named, "the circle"])
    found = find(image, text=[named, "the circle"], targets="all")
    assert best["passed"] and not absent["passed"]
    # The best object comes first; the sentence that means nothing here has none.
    assert {one["label"] for one in found} == {named}
    assert found[0]["score"] == pytest.approx(best["score"], abs=1e-4)
    assert iou(np.asarray(found[0]["mask"]) > 0, np.asarray(best["mask"]) > 0) > 0.99
    every = find(image, text=named, targets="all", threshold=0)
    assert len(every) >= len(found) and all(one["passed"] for one in every)
    with pytest.raises(ValueError, match="`targets` must be 'one'"):
        find(image, text=named, targets="some")


def test_the_command_writes_all_objects(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    scene = World("test", size=128).image(3)
    Image.fromarray(scene["image"]).save(tmp_path / "scene.png")
    given = ["segment", str(tmp_path / "scene.png"), "--text", scene["sentences"][1][0], "--text", "the circle"]
    assert main([*given, "--targets", "all", "--json", "--quiet", "--output", str(tmp_path / "out")]) == 0
    objects = json.loads(capsys.readouterr().out)["objects"]
    assert [one["id"] for one in objects] == list(range(1, len(objects) + 1))
    # A sentence without an object keeps its line, so that it can be told as not found.
    assert [one["pixels"] for one in objects if one["text"] == "the circle"] == [0]
    assert objects[0]["passed"] and objects[0]["pixels"] > 0
