"""Figures show what was found and what was attended to, and leave matplotlib as it was."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("matplotlib")

from noise import OPERATION, assert_same
from transformers_uniref import UniRefModel, UniRefProcessor
from transformers_uniref.core.model_names import model_location
from transformers_uniref.core.palette import COLOUR_BLIND_SAFE, colour_blind_safe
from transformers_uniref.inference.refinement import refine_masks
from transformers_uniref.interchange import AnnotatedClip, AnnotatedImage, AnnotatedObject
from transformers_uniref.visualization import attention_maps, plot_attention, plot_masks, plot_video
from transformers_uniref.visualization.attended import AttentionMaps, _example_maps, _Frame, _words
from transformers_uniref.worlds import World

WORLD = World("test")


@pytest.fixture(scope="module")
def model() -> UniRefModel:
    return UniRefModel.from_pretrained(model_location("uniref-pp")).eval()


@pytest.fixture(scope="module")
def processor() -> UniRefProcessor:
    return UniRefProcessor.from_pretrained(model_location("uniref-pp"))


def pixels(figure) -> np.ndarray:
    """uint8 (H, W, 3): the figure as it is saved."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def texts(figure) -> list[str]:
    legend = [text.get_text() for one in figure.legends for text in one.get_texts()]
    titles = [axis.get_title(loc="left") for axis in figure.axes]
    return [text for text in [*titles, *legend] if text]


def mask(top: int, left: int, bottom: int, right: int, size: tuple[int, int] = (40, 60)) -> np.ndarray:
    made = np.zeros(size, dtype=bool)
    made[top:bottom, left:right] = True
    return made


def near(found: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((np.abs(found.astype(int) - colour).max(-1) < 8).sum())


# ----------------------------------------------------------------------------------------------------- masks and clips
def test_masks_are_drawn_in_their_colours_with_labels_and_scores() -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    objects = [AnnotatedObject(mask(5, 5, 25, 25), "the dog", 0.75), AnnotatedObject(mask(0, 0, 0, 0), "the cat", 0.25)]
    figure = plot_masks(image, AnnotatedImage((40, 60), objects), opacity=1.0, title="a title")
    assert texts(figure) == ["a title", "1  the dog  0.75", "2  the cat  0.25  (no pixel)"]
    found = pixels(figure)
    assert near(found, colour_blind_safe(1)) > 10 * near(found, colour_blind_safe(3))
    height, width = found.shape[:2]
    place = figure.axes[0].get_position()
    row = round((1 - place.y1 + 8 / 40 * place.height) * height)
    column = round((place.x0 + 8 / 60 * place.width) * width)
    assert np.abs(found[row, column].astype(int) - colour_blind_safe(1)).max() < 8
    assert place.width * width / (place.height * height) == pytest.approx(60 / 40, rel=0.02)


def test_masks_may_be_a_result_of_the_processor() -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    result = {"segmentation": torch.from_numpy(mask(1, 1, 9, 9)), "score": 0.5, "box": torch.tensor([1.0, 1, 9, 9])}
    assert texts(plot_masks(image, result, "the dog", boxes=True)) == ["the dog  0.50"]
    with pytest.raises(ValueError, match=r"masks of the picture's size \(40, 60\), got \(5, 5\)"):
        plot_masks(image, AnnotatedImage((5, 5)))


def test_a_clip_is_shown_from_its_first_to_its_last_frame() -> None:
    frames = [np.full((40, 60, 3), 10 * index, np.uint8) for index in range(9)]
    results = [{2: mask(index, 0, index + 9, 9), 7: mask(20, 20, 30, 30)} for index in range(9)]
    figure = plot_video(frames, results, {2: "the dog"}, frames=3, columns=2)
    assert texts(figure) == ["frame 0", "frame 4", "frame 8", "2  the dog", "7  object"]
    assert texts(plot_video(frames, results[:2]))[:2] == ["frame 0", "frame 1"]
    assert texts(plot_video(frames, results, frames=[5]))[0] == "frame 5"
    clip = AnnotatedClip([AnnotatedImage((40, 60))])
    assert texts(plot_video(frames, clip)) == ["frame 0"]


@pytest.mark.parametrize(
    ("frames", "message"), [([9], "of 0 to 1, which have results, got"), (0, "`frames` must be 1 or more, got 0")]
)
def test_frames_without_results_are_refused(frames, message: str) -> None:
    pictures = [np.zeros((4, 4, 3), np.uint8)] * 2
    with pytest.raises(ValueError, match=message):
        plot_video(pictures, [{1: mask(0, 0, 2, 2, (4, 4))}] * 2, frames=frames)


def test_no_state_of_matplotlib_changes(tmp_path: Path) -> None:
    program = """
import sys
import numpy as np
import matplotlib
before = dict(matplotlib.rcParams)
from transformers_uniref.visualization import plot_masks
figure = plot_masks(np.zeros((8, 8, 3), np.uint8), {"segmentation": np.eye(8, dtype=bool), "score": 0.5})
figure.savefig(sys.argv[1])
assert dict(matplotlib.rcParams) == before
import matplotlib.pyplot
assert matplotlib.pyplot.get_fignums() == []
"""
    file = tmp_path / "figure.png"
    done = subprocess.run([sys.executable, "-c", program, str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert file.read_bytes()[:4] == b"\x89PNG"


def test_the_colours_differ_in_lightness_or_hue_for_every_eye() -> None:
    colours = np.array(COLOUR_BLIND_SAFE, float)
    assert len({tuple(colour) for colour in COLOUR_BLIND_SAFE}) == 7
    assert colour_blind_safe(8) == colour_blind_safe(1)
    # Seen without the difference of red and green: blue, and the mean of red and green.
    seen = np.stack([colours[:, :2].mean(1), colours[:, 2]], 1)
    distances = np.linalg.norm(seen[:, None] - seen[None], axis=-1) + 1e9 * np.eye(7)
    assert distances.min() > 15


# ------------------------------------------------------------------------------------------------------------ attention
def test_attention_to_words_sums_to_one_everywhere_and_names_the_words(model, processor) -> None:
    scene = WORLD.image(3)
    sentence = next(group[0] for group in scene["sentences"] if group)
    maps = attention_maps(model, processor, scene["image"], sentence)
    assert maps.words[0] == "[CLS]" and maps.words[-1] == "[SEP]"
    assert " ".join(maps.words[1:-1]) == sentence
    assert maps.word_maps.shape[0] == len(maps.words)
    assert maps.word_maps.sum(0) == pytest.approx(np.ones(maps.word_maps.shape[1:]), abs=1e-3)
    assert maps.word_shares().sum() == pytest.approx(1, abs=1e-3)
    assert maps.word_shares(maps.segmentation).sum() == pytest.approx(1, abs=1e-3)
    shown = texts(plot_attention(maps))
    assert shown[1] == "attention to each word"
    assert [text.split("  ")[0] for text in shown[2:]] == list(maps.words[1:-1])
    every = texts(plot_attention(maps, special_tokens=True, shared_scale=True))
    assert [text.split("  ")[0] for text in every[2:]] == list(maps.words)


def test_attention_to_examples_is_a_share_of_one_and_knows_the_mask(model, processor) -> None:
    scene = WORLD.few_shot(2, shots=2)
    examples, masks = list(scene["reference_images"]), list(scene["reference_masks"])
    maps = attention_maps(model, processor, scene["image"], reference_images=examples, reference_masks=masks, level=0)
    assert [heat.ndim for heat in maps.example_maps] == [2, 2]
    assert sum(heat.sum() for heat in maps.example_maps) == pytest.approx(1, abs=1e-3)
    assert all(0 <= share <= 1 for share in maps.example_shares())
    shown = texts(plot_attention(maps))
    assert shown[1].startswith(f"example 1: {maps.example_shares()[0]:.0%} on the mask")
    assert len(shown) == 3


def test_both_references_are_drawn_together(model, processor) -> None:
    scene = WORLD.few_shot(2)
    maps = attention_maps(
        model,
        processor,
        scene["image"],
        f"the {scene['category']}",
        reference_images=scene["reference_images"][0],
        reference_masks=scene["reference_masks"][0],
    )
    assert len(maps.example_maps) == 1
    assert len(plot_attention(maps).axes) == 1 + 1 + (len(maps.words) - 2) + 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "`text` and `reference_images` are both missing"),
        ({"text": ["the dog"]}, "`text` must be one sentence"),
        ({"text": "the star", "level": 9}, "`level` must be from 0 to 3, got 9"),
    ],
)
def test_attention_to_nothing_is_refused(model, processor, arguments, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        attention_maps(model, processor, np.zeros((64, 64, 3), np.uint8), **arguments)


def test_pieces_of_a_word_are_one_word(processor) -> None:
    sentence = "the star zzz"
    words, groups = _words(processor.tokenizer, sentence, 77)
    assert words[1:3] == ["the", "star"]
    assert sorted(place for group in groups for place in group) == list(
        range(len(processor.tokenizer(sentence).input_ids))
    )


def test_the_map_of_an_example_shows_the_places_that_the_region_looks_at() -> None:
    # Two examples of 32 x 32 pixels in cells of 8; the picture's left half looks at one cell of the second example.
    frame = _Frame((32, 32), (32, 32), (8, 16))
    weights = torch.full((1, 1, 16, 32), 1 / 32)
    weights[0, 0].unflatten(0, (4, 4))[:, :2] = torch.nn.functional.one_hot(torch.tensor(16 + 6), 32).float()
    region = torch.zeros(32, 32, dtype=torch.bool)
    region[:, :16] = True
    first, second = _example_maps([weights], region, frame, [frame, frame], [0])
    assert second[1, 2] == pytest.approx(1)
    assert first.sum() == pytest.approx(0, abs=1e-6)
    first, second = _example_maps([weights], ~region, frame, [frame, frame], [0])
    assert_same(first, np.full((4, 4), 1 / 32), OPERATION)


def test_shares_weigh_cells_by_what_a_mask_covers() -> None:
    word_maps = np.zeros((2, 2, 2), np.float32)
    word_maps[0, :, 0] = word_maps[1, :, 1] = 1
    maps = AttentionMaps(np.zeros((4, 4, 3), np.uint8), mask(0, 0, 4, 3, (4, 4)), 0.5, "a b", ["a", "b"], word_maps)
    assert maps.word_shares().tolist() == [0.5, 0.5]
    assert maps.word_shares(maps.segmentation) == pytest.approx([2 / 3, 1 / 3])


# ----------------------------------------------------------------------------------------------------------- refinement
def test_a_box_becomes_the_mask_of_its_object(model, processor) -> None:
    from transformers_uniref.datasets.schema import tight_box
    from transformers_uniref.processors.drawn_references import box_mask

    scene = WORLD.few_shot(0)
    picture, truth = scene["reference_images"][0], scene["reference_masks"][0]
    rough = box_mask(tight_box(truth), truth.shape)
    (refined,) = refine_masks(model, processor, picture, [rough])

    def iou(given: np.ndarray) -> float:
        return float((given & truth).sum() / (given | truth).sum())

    assert iou(refined) > 0.85 > iou(rough)


def test_refinement_is_the_model_asked_about_the_example_itself(model, processor) -> None:
    picture = WORLD.image(3, easy=True)
    masks = list(picture["masks"][:2])
    tall = np.pad(picture["image"], ((0, 30), (0, 0), (0, 0)))
    rough = [np.pad(one, ((0, 30), (0, 0))) for one in masks]
    examples = processor(images=tall, reference_images=[[tall]] * 2, reference_masks=[[one] for one in rough])
    with torch.no_grad():
        output = model(**examples)
    results = processor.post_process_referring_segmentation(output, target_sizes=[tall.shape[:2]] * 2)
    refined = refine_masks(model, processor, tall, rough)
    for result, one in zip(results, refined, strict=True):
        assert (result["segmentation"].numpy() != one).mean() < 1e-3


def test_an_answer_that_is_not_believed_leaves_the_rough_mask(model, processor) -> None:
    picture = WORLD.few_shot(0)["reference_images"][0]
    rough = mask(0, 0, 6, 6, picture.shape[:2])
    assert refine_masks(model, processor, picture, []) == []
    (kept,) = refine_masks(model, processor, picture, [rough], threshold=1.0)
    assert np.array_equal(kept, rough)
