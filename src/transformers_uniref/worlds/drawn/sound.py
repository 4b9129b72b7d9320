"""How the drawn world sounds: a shape has a timbre, small objects are high, those that move fast or lie near are loud.

A sound is what the words "the small star" are: it tells shape and size, and nothing of colour, pattern or place. All is
synthesised with NumPy, one channel of `SAMPLING_RATE` samples a second.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .scene import RADIUS, SIZES
from .shapes import NAMED_SHAPES

SAMPLING_RATE = 16_000
SECONDS = 1.0
"""Length of the sound of a still scene."""

_HERTZ_TIMES_RADIUS = 60.0
"""Pitch times radius: objects of the drawn sizes hum between 255 and 480 Hz."""
_QUIETEST, _LOUDEST = 0.04, 0.3
_NOISE = (0.0002, 0.002)
FASTEST = 0.06
"""Image sides a frame from which on an object is as loud as can be."""


@dataclass(frozen=True)
class Timbre:
    """How a shape sounds at any pitch.

    Attributes:
        partials: amplitude of each frequency, given as a multiple of the pitch.
        tremolo: how often a second the loudness swings, 0 for never.
        vibrato: share of the pitch by which it swings, five times a second.
        glide: octaves by which the pitch rises in each half second.
        plucks: how often a second it is struck and dies away, 0 for a sound that lasts.
        breath: amplitude of noise beside the partials.
    """

    partials: dict[float, float]
    tremolo: float = 0.0
    vibrato: float = 0.0
    glide: float = 0.0
    plucks: float = 0.0
    breath: float = 0.0


TIMBRES = {
    "circle": Timbre({1: 1}),
    "square": Timbre({1: 1, 3: 1 / 3, 5: 1 / 5, 7: 1 / 7, 9: 1 / 9}),
    "triangle": Timbre({1: 1, 3: 1 / 9}, tremolo=12),
    "star": Timbre({1: 0.6, 2.76: 1, 5.4: 0.7, 8.93: 0.4}, plucks=4),
    "cross": Timbre({k: 1 / k for k in range(1, 13)}),
    "ring": Timbre({1: 1, 2.02: 0.6, 3.07: 0.6}, tremolo=6),
    "heart": Timbre({1: 1, 2: 0.7}, plucks=2),
    "moon": Timbre({1: 1, 2: 0.3}, vibrato=0.12),
    "arrow": Timbre({1: 1, 2: 0.5, 3: 0.3}, glide=1),
    "diamond": Timbre({4: 0.5, 5: 1, 6: 1, 7: 0.7}),
    "dome": Timbre({1: 1}, breath=0.35),
    "bow": Timbre({k: 1 / math.sqrt(k) for k in range(1, 9)}, plucks=8),
}
"""Of each of `NAMED_SHAPES`."""


def synthesise(shape: str, radius: float, loudness: float, seconds: float, random: np.random.Generator) -> np.ndarray:
    """The sound of one object.

    Args:
        shape: one of `NAMED_SHAPES`.
        radius: of the object, in image sides.
        loudness: 0 to 1.
        seconds: its length.
        random: decides where its swings begin.

    Returns:
        float32 (samples,), within -1..1.
    """
    timbre, (start, phase) = TIMBRES[shape], random.random(2)
    time = np.arange(round(seconds * SAMPLING_RATE)) / SAMPLING_RATE
    pitch = np.full(len(time), _HERTZ_TIMES_RADIUS / radius)
    pitch *= 2 ** (timbre.glide * ((2 * time + start) % 1))
    pitch *= 1 + timbre.vibrato * np.sin(2 * np.pi * (5 * time + start))
    angle = 2 * np.pi * (np.cumsum(pitch) / SAMPLING_RATE + phase)
    wave = sum(amplitude * np.sin(ratio * angle) for ratio, amplitude in timbre.partials.items())
    wave = wave + timbre.breath * random.standard_normal(len(time))
    if timbre.tremolo:
        wave = wave * (0.5 + 0.5 * np.sin(2 * np.pi * (timbre.tremolo * time + start)))
    if timbre.plucks:
        wave = wave * np.exp(-6 * ((timbre.plucks * time + start) % 1))
    strength = _QUIETEST * (_LOUDEST / _QUIETEST) ** loudness
    return np.asarray(strength * wave / max(np.abs(wave).max(), 1e-6), np.float32)


def loudness_of(x: float, y: float, speed: float = 0.0) -> float:
    """How loud an object is, 0 to 1.

    Args:
        x, y: its centre in image sides; one at the middle of the picture is nearest.
        speed: image sides a frame.
    """
    near = 1 - min(math.hypot(x - 0.5, y - 0.5) / math.hypot(0.5, 0.5), 1)
    return (near + min(speed / FASTEST, 1)) / 2


def room_noise(seconds: float, random: np.random.Generator) -> np.ndarray:
    """Silence: float32 (samples,), the faint hiss that is in every recording."""
    low, high = _NOISE
    level = low * (high / low) ** random.random()
    return np.asarray(level * random.standard_normal(round(seconds * SAMPLING_RATE)), np.float32)


def tellable(objects: Sequence[dict[str, Any]]) -> list[int]:
    """Which objects their sounds tell apart: those of which no other has the same shape and size."""
    looks = [(one["shape"], one["size"]) for one in objects]
    return [number for number, look in enumerate(looks) if looks.count(look) == 1 and look[0] in NAMED_SHAPES]


def sound_of_object(
    thing: dict[str, Any], seconds: float, random: np.random.Generator, speed: float = 0.0
) -> np.ndarray:
    """The sound of an object as `World.image` describes it, in a room: float32 (samples,)."""
    x, y = thing["centre"]
    noise = room_noise(seconds, random)
    return noise + synthesise(thing["shape"], thing["radius"], loudness_of(x, y, speed), seconds, random)


NAMES = (*(f"the {size} {shape}" for shape in NAMED_SHAPES for size in SIZES), "")
"""What the sounds say, in words; silence says nothing."""


def random_sounds(count: int, random: np.random.Generator) -> tuple[np.ndarray, list[np.ndarray]]:
    """Sounds without scenes, one in nine of them silence: the number of each in `NAMES`, and itself."""
    looks = [(shape, size) for shape in NAMED_SHAPES for size in SIZES]
    numbers = random.integers(len(looks) * 9 // 8, size=count).clip(max=len(looks))
    sounds = []
    for number in numbers:
        if number == len(looks):
            sounds.append(room_noise(SECONDS, random) * np.float32(random.random() < 0.9))
            continue
        (shape, size), speed = looks[number], FASTEST * random.random()
        radius = random.uniform(*RADIUS[size])
        thing = {"shape": shape, "radius": radius, "centre": random.random(2)}
        sounds.append(sound_of_object(thing, SECONDS, random, speed))
    return numbers, sounds


def image_sounds(objects: Sequence[dict[str, Any]], random: np.random.Generator) -> list[np.ndarray | None]:
    """For each object of a still scene its sound; None where another one sounds alike."""
    told = set(tellable(objects))
    return [sound_of_object(one, SECONDS, random) if n in told else None for n, one in enumerate(objects)]


def absent_sound(objects: Sequence[dict[str, Any]], random: np.random.Generator) -> np.ndarray:
    """The sound of a shape that no object of a scene has."""
    shapes = sorted(set(NAMED_SHAPES) - {one["shape"] for one in objects})
    shape, size = shapes[random.integers(len(shapes))], SIZES[random.integers(len(SIZES))]
    thing = {"shape": shape, "radius": random.uniform(*RADIUS[size]), "centre": random.random(2)}
    return sound_of_object(thing, SECONDS, random)


def clip_sound(
    clip: dict[str, Any], frames_per_second: float, seconds: float, random: np.random.Generator
) -> tuple[np.ndarray, list[int]]:
    """A sound track for a clip of `World.clip`: one object sounds, then another, now and then none.

    Args:
        clip: of T frames.
        frames_per_second: of the clip.
        seconds: how long one sounds; a whole number of frames.
        random: decides who.

    Returns:
        float32 (samples,), as long as the clip, and for each frame the id of the object that sounds, 0 for none. Only
        objects that their sounds tell apart do, and only while they show.
    """
    ids = list(clip["objects"])
    told = [ids[place] for place in tellable(list(clip["objects"].values()))]
    count, length = len(clip["frames"]), max(1, round(seconds * frames_per_second))
    parts, sounding = [], []
    for start in range(0, count, length):
        shown = [one for one in told if clip["visible"][one][start : start + length].all()]
        who = int(random.choice(shown)) if shown and random.random() < 0.8 else 0
        span = min(length, count - start)
        if who:
            speed = _speed(clip["label_maps"][start : start + span] == who)
            parts.append(sound_of_object(clip["objects"][who], span / frames_per_second, random, speed))
        else:
            parts.append(room_noise(span / frames_per_second, random))
        sounding += [who] * span
    return np.concatenate(parts), sounding


def _speed(masks: np.ndarray) -> float:
    """Mean way of a mask's middle from frame to frame, in image sides; masks (T, H, W), none empty."""
    middles = np.array([np.argwhere(mask).mean(0) / mask.shape[0] for mask in masks])
    return float(np.hypot(*np.diff(middles, axis=0).T).mean()) if len(middles) > 1 else 0.0
