"""What visitors can try at once: scenes drawn at the start, and a few photographs that come with the package."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from ...core.palette import save_label_map
from ...media.video.io import VideoWriter, read_frames
from ...worlds.drawn.world import World

PHOTOGRAPHS = Path(__file__).with_name("examples")
SCENES, CLIPS, CLIP_FRAMES, FRAMES_PER_SECOND = 3, 2, 24, 8.0
SIZE, ICON_SIDE = 128, 96

PHOTOGRAPH_SENTENCES = {"zebra.jpg": "zebra top left", "pizza.jpg": "a pizza with a yellow sign on top of it"}
PHOTOGRAPH_PAIRS = {"a cat": ("cat_00.jpg", "cat_01.jpg", "cat_00_mask.png")}
PHOTOGRAPH_CLIPS = {"blackswan.mp4": "black swan"}


@dataclass(frozen=True)
class Example:
    """Something to try.

    Attributes:
        name: what its button says.
        files: in the order in which the tab asks for them.
        text: sentences, one a line.
        icon: a small picture of it.
    """

    name: str
    files: tuple[str, ...]
    text: str
    icon: str


@dataclass(frozen=True)
class ExampleInputs:
    """What each tab offers: pictures with sentences; example, picture to search and mask; clips with a sentence."""

    sentences: list[Example] = field(default_factory=list)
    pairs: list[Example] = field(default_factory=list)
    clips: list[Example] = field(default_factory=list)


def make_examples(folder: Path) -> ExampleInputs:
    """Draws the scenes and copies the photographs, all into a folder that exists."""
    world = World(split="test", size=SIZE, seed=0)
    return ExampleInputs(
        sentences=[
            *(_drawn_picture(world, index, folder) for index in range(SCENES)),
            *(_photograph(name, text, folder) for name, text in PHOTOGRAPH_SENTENCES.items()),
        ],
        pairs=[
            *_drawn_pairs(world, folder),
            *(_photographed_pair(name, files, folder) for name, files in PHOTOGRAPH_PAIRS.items()),
        ],
        clips=[
            *(_drawn_clip(world, index, folder) for index in range(CLIPS)),
            *(_filmed_clip(name, text, folder) for name, text in PHOTOGRAPH_CLIPS.items()),
        ],
    )


# ---------------------------------------------------------------------------------------------------------------- drawn
def _drawn_picture(world: World, index: int, folder: Path) -> Example:
    scene = world.image(index)
    file = _saved(scene["image"], folder / f"scene-{index}.png")
    sentences = [sentences[0] for sentences in scene["sentences"] if sentences]
    return Example(sentences[0], (file,), "\n".join(sentences), _icon([scene["image"]], folder, f"scene-{index}"))


def _drawn_pairs(world: World, folder: Path) -> list[Example]:
    """Pairs of objects of different kinds, so that their buttons do not say the same."""
    pairs: dict[str, Example] = {}
    for index in itertools.count():
        scene = world.few_shot(index)
        name = f"the {scene['category']}"
        if name in pairs:
            continue
        pictures = [scene["reference_images"][0], scene["image"]]
        files = [
            _saved(pictures[0], folder / f"example-{index}.png"),
            _saved(pictures[1], folder / f"query-{index}.png"),
            str(folder / f"example-{index}-mask.png"),
        ]
        save_label_map(files[2], scene["reference_masks"][0])
        pairs[name] = Example(name, tuple(files), "", _icon(pictures, folder, f"pair-{index}"))
        if len(pairs) == SCENES:
            break
    return list(pairs.values())


def _drawn_clip(world: World, index: int, folder: Path) -> Example:
    clip = world.clip(index, frames=CLIP_FRAMES)
    file = folder / f"clip-{index}.mp4"
    with VideoWriter(file, FRAMES_PER_SECOND) as writer:
        for frame in clip["frames"]:
            writer.write(frame)
    sentence = next((sentences[0] for sentences in clip["sentences"].values() if sentences), "")
    return Example(sentence, (str(file),), sentence, _icon([clip["frames"][0]], folder, f"clip-{index}"))


# --------------------------------------------------------------------------------------------------------- photographed
def _photograph(name: str, text: str, folder: Path) -> Example:
    file = shutil.copy(PHOTOGRAPHS / name, folder)
    return Example(text, (str(file),), text, _icon([_pixels(name)], folder, Path(name).stem))


def _photographed_pair(name: str, names: Sequence[str], folder: Path) -> Example:
    files = tuple(str(shutil.copy(PHOTOGRAPHS / file, folder)) for file in names)
    return Example(name, files, "", _icon([_pixels(file) for file in names[:2]], folder, Path(names[0]).stem))


def _filmed_clip(name: str, text: str, folder: Path) -> Example:
    file = shutil.copy(PHOTOGRAPHS / name, folder)
    first = next(iter(read_frames(file)))
    return Example(text, (str(file),), text, _icon([np.asarray(first)], folder, Path(name).stem))


def _pixels(name: str) -> np.ndarray:
    with Image.open(PHOTOGRAPHS / name) as image:
        return np.asarray(image.convert("RGB"))


def _saved(picture: np.ndarray, file: Path) -> str:
    Image.fromarray(picture).save(file)
    return str(file)


def _icon(pictures: Sequence[np.ndarray], folder: Path, name: str) -> str:
    """Squares from the middle of the pictures, side by side."""
    sheet = Image.new("RGB", (ICON_SIDE * len(pictures), ICON_SIDE))
    for place, picture in enumerate(pictures):
        image = Image.fromarray(picture)
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = image.crop((left, top, left + side, top + side)).resize((ICON_SIDE, ICON_SIDE))
        sheet.paste(square, (place * ICON_SIDE, 0))
    return _saved(np.asarray(sheet), folder / f"{name}-icon.png")
