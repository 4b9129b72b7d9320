"""What the pages' code works on: drawn scenes under the names that the pages use, and files that they mention.

A page takes what it needs in an invisible block: `from page_examples import image, sentence, model, processor`. The
model is the bundled one and is loaded once, however many pages ask for it. `show` leaves a picture for the page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from transformers_uniref.core.model_names import model_location
from transformers_uniref.core.palette import save_label_map
from transformers_uniref.media.overlays import contact_sheet, overlay_masks
from transformers_uniref.media.video.io import VideoWriter
from transformers_uniref.worlds import World

MADE = "made"
"""The folder, in the working directory, for pictures that a page shows."""

SEED, SCENE, EPISODE, CLIP, FRAMES = 7, 7, 0, 0, 6


@cache
def world() -> World:
    """Scenes that the bundled model was not trained on."""
    return World(split="test", size=128, seed=SEED)


@cache
def scene() -> dict[str, Any]:
    """A picture with three or four objects and sentences about each."""
    return world().image(SCENE)


@cache
def episode() -> dict[str, Any]:
    """A picture, and an annotated example of what to find in it."""
    return world().few_shot(EPISODE)


@cache
def clip() -> dict[str, Any]:
    """A short clip of moving objects."""
    return world().clip(CLIP, frames=FRAMES)


@cache
def _model() -> Any:
    from transformers import AutoModel

    return AutoModel.from_pretrained(model_location("uniref-pp")).eval()


@cache
def _processor() -> Any:
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(model_location("uniref-pp"))


_MAKERS: dict[str, Callable[[], Any]] = {
    "image": lambda: Image.fromarray(scene()["image"]),
    "sentence": lambda: next(sentences[0] for sentences in scene()["sentences"] if sentences),
    "query": lambda: Image.fromarray(episode()["image"]),
    "example": lambda: Image.fromarray(episode()["reference_images"][0]),
    "mask": lambda: episode()["reference_masks"][0],
    "frames": lambda: list(clip()["frames"]),
    "first_frame_masks": lambda: clip()["label_maps"][0],
    "sentences": lambda: {number: texts[0] for number, texts in clip()["sentences"].items() if texts},
    "model": _model,
    "processor": _processor,
}


def __getattr__(name: str) -> Any:
    if name not in _MAKERS:
        raise AttributeError(f"page_examples has no {name!r}; there are {', '.join(_MAKERS)}.")
    return _MAKERS[name]()


def fill(folder: Path) -> None:
    """Writes the files that the pages name: pictures, a clip (as a file, as frames), the bundled model's folder.

    `src` is that of the repository, since its README reads pictures there.
    """
    (folder / "src").symlink_to(Path(__file__).parents[2] / "src")
    (folder / "uniref-pp").symlink_to(model_location("uniref-pp"))
    image, example, frames = (_MAKERS[name]() for name in ("image", "example", "frames"))
    image.save(folder / "photo.jpg", quality=95)
    example.save(folder / "example.jpg", quality=95)
    Image.fromarray(np.where(_MAKERS["mask"](), 255, 0).astype(np.uint8)).save(folder / "example-mask.png")
    save_label_map(folder / "first.png", _MAKERS["first_frame_masks"]())
    (folder / "frames").mkdir()
    with VideoWriter(folder / "clip.mp4", 4.0) as writer:
        for number, frame in enumerate(frames):
            Image.fromarray(frame).save(folder / "frames" / f"{number:05d}.jpg", quality=95)
            writer.write(frame)


def outlined(image: Any, masks: Mapping[int, Any] | Any) -> np.ndarray:
    """A picture twice as large, uint8 (2H, 2W, 3), with what is outside of the masks faded and each mask outlined."""
    picture = np.asarray(image)
    given = masks if isinstance(masks, Mapping) else {1: masks}
    clean = {number: np.asarray(mask) > 0 for number, mask in given.items()}
    inside = np.any([*clean.values(), np.zeros(picture.shape[:2], dtype=bool)], axis=0)
    faded = np.where(inside[..., None], picture, 0.45 * picture + 40).astype(np.uint8)
    large = {number: mask.repeat(2, 0).repeat(2, 1) for number, mask in clean.items()}
    return overlay_masks(faded.repeat(2, 0).repeat(2, 1), large, opacity=0.1)


def show(name: str, pictures: Sequence[Any], captions: Sequence[str], columns: int | None = None) -> None:
    """Leaves a sheet of captioned pictures as `made/NAME`."""
    arrays = [np.asarray(picture) for picture in pictures]
    sheet = contact_sheet(arrays, list(captions), columns=columns or len(arrays), cell=(256, 256))
    Path(MADE).mkdir(exist_ok=True)
    Image.fromarray(sheet).save(Path(MADE) / name, optimize=True)
