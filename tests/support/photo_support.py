"""A small folder of sequences with masks: coloured ellipses that travel over grey noise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

PAINT = {"apple": (205, 40, 40), "leaf": (40, 170, 50), "pond": (45, 60, 200), "cherry": (190, 25, 60)}
NAMES = {
    "apple": {"nouns": ["apple", "fruit"], "colours": ["red"], "details": ["on a plate"]},
    "leaf": {"nouns": ["leaf"], "colours": ["green"], "clutter": ["pond"]},
    "pond": "pond",
    "cherry": {"nouns": ["apple", "cherry"], "perhaps": ["fruit"], "colours": ["red"]},
}
FRAMES = 5


def write_sequence(folder: Path, paint: tuple[int, int, int], offset: int) -> None:
    """An ellipse that travels to the right over grey noise, with a string that no picture should keep."""
    (folder / "frames").mkdir(parents=True)
    (folder / "masks").mkdir()
    generator = np.random.default_rng(offset)
    for time in range(FRAMES):
        image = Image.fromarray(generator.integers(100, 140, (120, 220, 1), np.uint8).repeat(3, 2))
        mask = Image.new("1", image.size)
        box = (20 + offset + 8 * time, 40, 60 + offset + 8 * time, 70)
        for canvas, colour in ((image, paint), (mask, 1)):
            ImageDraw.Draw(canvas).ellipse(box, fill=colour)
            ImageDraw.Draw(canvas).line((box[2], 40, 218, 2), fill=colour)
        image.save(folder / "frames" / f"{time:05d}.jpg", quality=95)
        mask.save(folder / "masks" / f"{time:05d}.png")


def write_folder(path: Path) -> Path:
    """Four sequences and their names."""
    for number, (name, paint) in enumerate(PAINT.items()):
        write_sequence(path / name, paint, 6 * number)
    (path / "names.json").write_text(json.dumps(NAMES))
    return path
