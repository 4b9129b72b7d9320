"""All objects of a picture or a clip, without any reference."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from model_support import small_model
from processor_support import small_processor
from transformers_uniref.frontends.cli.main import main
from transformers_uniref.metrics import ProposalScores
from transformers_uniref.modeling.object_choice import choose_everything
from transformers_uniref.modeling.video.session import UniRefVideoSession
from transformers_uniref.modeling.video.state import restore_session, session_state
from transformers_uniref.worlds import World

SIDE = 16
LEFT, RIGHT, WHOLE = (0, 0, 6, 8), (9, 0, 16, 8), (0, 0, 16, 8)


def boxes(*corners: tuple[int, int, int, int]) -> torch.Tensor:
    """Rectangles x0, y0, x1, y1 as masks (n, SIDE, SIDE)."""
    masks = torch.zeros(len(corners), SIDE, SIDE, dtype=torch.bool)
    for mask, (x0, y0, x1, y1) in zip(masks, corners, strict=True):
        mask[y0:y1, x0:x1] = True
    return masks


# ------------------------------------------------------------------------------------------------------------- pictures
@pytest.mark.parametrize(
    ("corners", "scores", "chosen"),
    [
        ([LEFT, RIGHT], [0.5, 0.8], [1, 0]),
        ([LEFT, RIGHT], [0.9, 0.31], [0, 1]),  # far below the best, but above the gate
        ([LEFT, RIGHT], [0.9, 0.29], [0]),
        ([LEFT, (0, 0, 6, 7), RIGHT], [0.7, 0.8, 0.6], [1, 2]),  # the same twice
        ([WHOLE, LEFT, RIGHT], [0.9, 0.8, 0.7], [0, 1, 2]),  # what lies in another is one, too
        ([(3, 3, 3, 3), LEFT], [0.9, 0.6], [1]),  # an empty mask
    ],
)
def test_each_object_passes_the_gate_by_itself_and_comes_once(
    corners: list[tuple[int, int, int, int]], scores: list[float], chosen: list[int]
) -> None:
    assert choose_everything(boxes(*corners), torch.tensor(scores), threshold=0.3) == chosen
    assert choose_everything(boxes(*corners), torch.tensor(scores), threshold=0.3, most=1) == chosen[:1]


def test_the_processor_gives_masks_scores_and_their_boxes() -> None:
    masks, processor = boxes(LEFT, RIGHT, (0, 0, 6, 7)), small_processor()
    outputs = SimpleNamespace(
        logits=torch.tensor([[[1.0], [2.0], [0.5]]]),
        pred_boxes=torch.full((1, 3, 4), 0.5),
        pred_masks=torch.where(masks, 9.0, -9.0)[None],
        mask_queries=torch.arange(3)[None],
        image_sizes=torch.tensor([[SIDE, SIDE]]),
        padded_sizes=torch.tensor([[SIDE, SIDE]]),
    )
    [found] = processor.post_process_mask_generation(outputs, target_sizes=[(2 * SIDE, SIDE)])
    assert found["scores"].tolist() == pytest.approx(torch.tensor([2.0, 1.0]).sigmoid().tolist())
    assert found["masks"].shape == (2, 2 * SIDE, SIDE) and found["masks"][0, :16, 9:].all()
    assert found["boxes"].tolist() == [[9, 0, 16, 16], [0, 0, 6, 16]]
    [none] = processor.post_process_mask_generation(outputs, threshold=0.9)
    assert none["masks"].shape == (0, SIDE, SIDE) and none["boxes"].shape == (0, 4)
    outputs.mask_queries = outputs.mask_queries[:, :1]
    with pytest.raises(ValueError, match="for all objects call the model with num_masks='all'"):
        processor.post_process_mask_generation(outputs)
    with pytest.raises(ValueError, match="`max_objects` must be 1 or more, got 0"):
        processor.post_process_mask_generation(outputs, max_objects=0)


def test_the_command_finds_all_objects_of_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(World("test", size=64).image(2)["image"]).save(tmp_path / "photo.png")
    given = ["segment", str(tmp_path / "photo.png"), "--everything", "--quiet", "--json"]
    results = {}
    for name, more in (("all", ["--all"]), ("none", ["--threshold", "1"]), ("two", ["--all", "--max-objects", "2"])):
        assert main([*given, *more, "--output", str(tmp_path / name), "--formats", "palette"]) == 0
        results[name] = json.loads(capsys.readouterr().out)["objects"]
    assert 2 <= len(results["all"]) <= 20 and all(one["pixels"] > 0 for one in results["all"])
    assert results["two"] == results["all"][:2]
    [nothing] = results["none"]
    assert not nothing["passed"] and nothing["pixels"] == 0 and nothing["score"] == results["all"][0]["score"]
    for wrong, message in (
        (["--text", "the circle"], "--everything asks for all objects"),
        (["--max-objects", "256"], "--max-objects must be 255 at most"),
    ):
        assert main([*given, *wrong]) == 2
        assert message in capsys.readouterr().err
    assert main(["segment", str(tmp_path / "photo.png"), "--text", "a", "--max-objects", "3"]) == 2
    assert "--max-objects needs --everything" in capsys.readouterr().err


# ---------------------------------------------------------------------------------------------------------------- clips
class Shown:
    """Stands in for the search without a reference: finds given rectangles, and counts how often it is asked."""

    def __init__(self, model: Any, found: list[tuple[int, int, int, int]]) -> None:
        self.found, self.asked = found, 0
        self._follow = model.segment_objects
        model.segment_objects = self

    def __call__(self, features: Any, references: Any, choose: Any = None) -> tuple[torch.Tensor, torch.Tensor]:
        if choose is None:
            return self._follow(features, references)
        assert not references
        self.asked += 1
        height, width = features.pixel_values.shape[-2:]
        logits = torch.full((len(self.found), height, width), -9.0)
        for one, (x0, y0, x1, y1) in zip(logits, self.found, strict=True):
            one[y0:y1, x0:x1] = 9.0
        scores = torch.linspace(0.9, 0.8, len(self.found))
        chosen = choose(logits, scores)
        return scores[chosen], logits[chosen]


def stream(**options: Any) -> UniRefVideoSession:
    session = UniRefVideoSession(vos_score_threshold=None, **options)
    session.add_everything(0, max_objects=3, every=2)
    return session


def frame(seed: int) -> torch.Tensor:
    return torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def test_objects_are_found_in_key_frames_and_keep_their_ids_on_bounded_memory() -> None:
    model = small_model()
    shown = Shown(model, [(0, 0, 24, 24), (40, 0, 64, 24), (0, 40, 24, 64), (40, 40, 64, 64)])
    session = stream()
    ids, sizes = [], []
    for index in range(5):
        output = model(inference_session=session, frame=frame(index))
        ids.append(output.object_ids)
        sizes.append(session.num_bytes())
        assert output.object_masks.sum(0).max() <= 1
    assert shown.asked == 3
    # Out of sight, an object also keeps where it was.
    assert ids[0] == [1, 2, 3] and all(len(one) <= 3 for one in ids) and max(sizes) <= sizes[0] + 3 * 64 * 64


@torch.no_grad()
def test_a_stream_goes_on_from_its_saved_state() -> None:
    model = small_model()
    Shown(model, [(0, 0, 24, 24), (40, 0, 64, 24)])
    session = stream()
    for index in range(2):
        model(inference_session=session, frame=frame(index))
    other = stream()
    restore_session(other, session_state(session))
    first, second = (model(inference_session=one, frame=frame(2)) for one in (session, other))
    assert first.object_ids == second.object_ids and torch.equal(first.object_masks, second.object_masks)


def test_what_cannot_be_looked_for_is_refused() -> None:
    for name, value in (("max_objects", 0), ("patience", -1), ("every", 0)):
        with pytest.raises(ValueError, match=f"`{name}` must be an integer of at least"):
            small_processor().add_everything_prompt(UniRefVideoSession(), **{name: value})


def test_the_command_follows_all_objects_of_a_clip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = World("test", size=64).clip(3, frames=3)
    (tmp_path / "clip").mkdir()
    for number, picture in enumerate(clip["frames"]):
        Image.fromarray(picture).save(tmp_path / "clip" / f"{number:05d}.png")
    given = ["track", str(tmp_path / "clip"), "--quiet", "--json", "--formats", "palette,overlay,rle", "--tags"]
    more = ["--everything", "--threshold", "0.02", "--max-objects", "2", "--output", str(tmp_path / "out")]
    assert main([*given, *more]) == 0
    objects = json.loads(capsys.readouterr().out)["objects"]
    assert [one["id"] for one in objects][:2] == [1, 2] and objects[0]["frames"] == 3
    assert main([*given, "--text", "the circle", "--look-every", "2"]) == 2
    assert "--look-every needs --everything" in capsys.readouterr().err
    track = ["track", str(tmp_path / "clip"), "--formats", "rle", "--everything"]
    assert main([*track, "--threshold", "1", "--output", str(tmp_path / "none")]) == 0
    assert "\nno object was found\n" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------------------- measures
def test_average_recall_counts_what_the_best_masks_meet() -> None:
    truth = boxes(LEFT, RIGHT).numpy()
    right = ProposalScores().update(truth, [0.9, 0.8], truth).compute()
    assert right["AR@5"] == right["AR@20"] == right["R@0.5"] == right["AP@0.5"] == 1
    # Six eighths of an object: met up to an IoU of .75, six of the ten.
    part = boxes((0, 0, 6, 6)).numpy()
    assert ProposalScores().update(part, [0.9], truth).compute()["AR@20"] == pytest.approx(0.5 * 0.6)
    many = np.concatenate([boxes(*[WHOLE] * 5).numpy(), truth])
    late = ProposalScores().update(many, np.linspace(0.9, 0.1, 7), truth).compute()
    assert late["AR@5"] < late["AR@10"] == 1
    empty = ProposalScores().update(part, [0.9], truth[:0]).compute()
    assert empty["AR@20"] is None and empty["samples"] == 1
    with pytest.raises(ValueError, match="`scores` must be as many"):
        ProposalScores().update(part, [], truth)


def test_drawn_scenes_photographs_and_clips_are_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("datasets")
    from photograph_support import write_coco

    command = ["evaluate", "--quiet", "--json", "--dataset"]
    assert main([*command, "world-everything", "--images", "2", "--size", "64", "--output", str(tmp_path / "run")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert list(told["measures"]) == ["AR@5", "AR@10", "AR@20", "R@0.5", "AP@0.5"]
    assert told["measures"]["AR@20"] >= told["measures"]["AR@5"] >= 0 and told["settings"]["gate"] is None
    assert (tmp_path / "run" / "best.png").is_file()
    coco = write_coco(tmp_path / "coco", pictures=2)
    assert main([*command, "photos-everything", "--source", str(coco)]) == 0
    assert 0 <= json.loads(capsys.readouterr().out)["measures"]["AR@20"] <= 1
    scene = World("test", size=64).clip(3, frames=3)
    for name in ("frames", "masks"):
        (tmp_path / "clips" / "one" / name).mkdir(parents=True)
    for number, (picture, labels) in enumerate(zip(scene["frames"], scene["label_maps"], strict=True)):
        Image.fromarray(picture).save(tmp_path / "clips" / "one" / "frames" / f"{number:05d}.jpg")
        Image.fromarray(labels).save(tmp_path / "clips" / "one" / "masks" / f"{number:05d}.png")
    options = ["davis-like-unsupervised", "--source", str(tmp_path / "clips"), "--threshold", "0.02"]
    assert main([*command, *options]) == 0
    assert 0 < json.loads(capsys.readouterr().out)["measures"]["J&F"] <= 1
