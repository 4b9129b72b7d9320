"""What visitors can try at once: scenes drawn at the start, and a few photographs that come with the package."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from ..data.world import World
from ..media.video_io import VideoWriter

PHOTOGRAPHS = Path(__file__).with_name("examples")
SCENES, CLIPS, CLIP_FRAMES, FRAMES_PER_SECOND = 3, 2, 24, 8.0
SIZE = 128

PHOTOGRAPH_SENTENCES = {"zebra.jpg": "zebra top left", "pizza.jpg": "a pizza with a yellow sign on top of it"}
PHOTOGRAPH_PAIRS = [("cat_00.jpg", "cat_01.jpg")]
PHOTOGRAPH_CLIPS = {"blackswan.mp4": "black swan"}


@dataclass(frozen=True)
class ExampleInputs:
    """Rows of the tables of examples.

    Attributes:
        sentences: picture and sentences, one a line.
        pairs: example picture and picture to search.
        clips: clip and sentence.
    """

    sentences: list[list[str]] = field(default_factory=list)
    pairs: list[list[str]] = field(default_factory=list)
    clips: list[list[str]] = field(default_factory=list)


def make_examples(folder: Path, seed: int = 0) -> ExampleInputs:
    """Draws the scenes and names the photographs.

    Args:
        folder: for the drawn files; exists.
        seed: another one draws other scenes.
    """
    world = World(split="test", size=SIZE, seed=seed)
    examples = ExampleInputs()
    for index in range(SCENES):
        examples.sentences.append(_drawn_picture(world, index, folder))
        examples.pairs.append(_drawn_pair(world, index, folder))
    for index in range(CLIPS):
        examples.clips.append(_drawn_clip(world, index, folder))
    examples.sentences.extend([str(PHOTOGRAPHS / name), text] for name, text in PHOTOGRAPH_SENTENCES.items())
    examples.pairs.extend([str(PHOTOGRAPHS / name) for name in pair] for pair in PHOTOGRAPH_PAIRS)
    examples.clips.extend([str(PHOTOGRAPHS / name), text] for name, text in PHOTOGRAPH_CLIPS.items())
    return examples


def _drawn_picture(world: World, index: int, folder: Path) -> list[str]:
    scene = world.image(index)
    file = folder / f"scene-{index}.png"
    Image.fromarray(scene["image"]).save(file)
    return [str(file), "\n".join(sentences[0] for sentences in scene["sentences"] if sentences)]


def _drawn_pair(world: World, index: int, folder: Path) -> list[str]:
    scene = world.few_shot(index)
    files = [folder / f"example-{index}.png", folder / f"query-{index}.png"]
    for file, picture in zip(files, (scene["reference_images"][0], scene["image"]), strict=True):
        Image.fromarray(picture).save(file)
    return [str(file) for file in files]


def _drawn_clip(world: World, index: int, folder: Path) -> list[str]:
    clip = world.clip(index, frames=CLIP_FRAMES)
    file = folder / f"clip-{index}.mp4"
    with VideoWriter(file, FRAMES_PER_SECOND) as writer:
        for frame in clip["frames"]:
            writer.write(frame)
    sentence = next((sentences[0] for sentences in clip["sentences"].values() if sentences), "")
    return [str(file), sentence]
