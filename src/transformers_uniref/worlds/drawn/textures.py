"""Colours and surface patterns of the objects."""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from .draws import Draws

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (214, 34, 38),
    "orange": (244, 136, 22),
    "yellow": (242, 222, 44),
    "green": (36, 158, 56),
    "cyan": (56, 212, 222),
    "blue": (38, 70, 214),
    "purple": (142, 44, 176),
    "white": (242, 242, 242),
    "black": (26, 26, 28),
}
"""Colour names and their sRGB values before jitter."""

TEXTURES = ("plain", "striped", "dotted", "checkered")

# Dark colours carry a light pattern and light ones a dark pattern, so that the pattern shows and the name stays right.
_PALE_PATTERN = {"red": 0.62, "blue": 0.66, "purple": 0.66, "black": 0.62}
_DARK_PATTERN = {"orange": 0.36, "yellow": 0.34, "green": 0.3, "cyan": 0.34, "white": 0.38}


def paint_pair(colour: str, draws: Draws) -> np.ndarray:
    """Body and pattern colour of one object with a little jitter: float32 (2, 3), 0 to 255."""
    jitter = [draws.uniform(-11, 11) for _ in range(3)]
    body = np.array([min(255.0, max(0.0, value + delta)) for value, delta in zip(COLOURS[colour], jitter, strict=True)])
    pale = _PALE_PATTERN.get(colour)
    pattern = body * _DARK_PATTERN[colour] if pale is None else body + (255 - body) * pale
    return np.stack([body, pattern]).astype(np.float32)


@cache
def _axis(extent: int) -> np.ndarray:
    return np.arange(extent, dtype=np.float32) + 0.5


def pattern_strength(
    texture: str, extent: int, centre: tuple[float, float], period: float, rotation: float, phase: tuple[float, float]
) -> np.ndarray | None:
    """How far each pixel of a patch shows the pattern colour.

    Args:
        texture: one of `TEXTURES`.
        extent: side of the patch in pixels.
        centre: (x, y) of the object in the patch; the pattern turns with the object around it.
        period: distance of repeated stripes, dots or pairs of checks, in pixels.
        rotation: radians, clockwise on the screen.
        phase: shift of the pattern along its two axes, radians.

    Returns:
        float32 (extent, extent) in [0, 1], or `None` for a plain surface.
    """
    if texture == "plain":
        return None
    x, y = _axis(extent)[None, :] - centre[0], _axis(extent)[:, None] - centre[1]
    wave = 2 * math.pi / period
    along = np.cos(x * (wave * math.cos(rotation)) + (y * (wave * math.sin(rotation)) + phase[0]))
    sharpness = period / 6.0
    if texture == "striped":
        return np.clip(0.5 + sharpness * (along - 0.15), 0, 1)
    across = np.cos(x * (-wave * math.sin(rotation)) + (y * (wave * math.cos(rotation)) + phase[1]))
    if texture == "dotted":
        return np.clip(0.5 + sharpness * (along + across - 0.62), 0, 1)
    return np.clip(0.5 + 1.6 * sharpness * along * across, 0, 1)
