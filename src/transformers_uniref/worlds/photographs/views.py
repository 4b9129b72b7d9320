"""What a model is shown of a photograph: a window of it, perhaps mirrored, pasted onto and tinted."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from ...core.mask_boxes import window_of
from ...datasets.mirrored_sentences import mirrored_sentence
from ..drawn.draws import Draws
from .folders import DecodedPhotograph, PhotographFolder

LEAST_SHARE = 0.0015
"""A target covers at least this share of the picture."""
LEAST_VISIBLE = 0.35
"""A target that the window cuts shows at least this share of itself."""
_LEAST_CUT_OUT = 0.02


@dataclass(frozen=True)
class View:
    """A square picture and what shows in it.

    Attributes:
        image: uint8 (size, size, 3).
        masks: bool (n, size, size).
        names: n classes.
        crowd: n flags, see `DecodedPhotograph`.
        asked: n flags: enough of it shows to be asked for. The others still count when a sentence must be unambiguous.
        captions: sentences about the picture, left and right exchanged where it is mirrored.
        complete: whether the view shows most of the photograph, as those who wrote the captions saw it.
    """

    image: np.ndarray
    masks: np.ndarray
    names: tuple[str, ...]
    crowd: tuple[bool, ...]
    asked: tuple[bool, ...]
    captions: tuple[str, ...]
    complete: bool


def whole_view(shot: DecodedPhotograph, size: int) -> View:
    """The photograph as it is, brought to a square."""
    height, width = shot.image.shape[:2]
    return _cut(shot, (0, 0, height, width), size, mirrored=False)


def draw_view(draws: Draws, shot: DecodedPhotograph, size: int, tint: float = 0.25, whole: float = 0.25) -> View:
    """A window of the photograph.

    Args:
        size: side of the view in pixels.
        tint: largest change of brightness, contrast and saturation.
        whole: how often the window is the whole photograph.
    """
    height, width = shot.image.shape[:2]
    window = (0, 0, height, width)
    if not draws.chance(whole):
        share = draws.uniform(0.4, 1.0)
        aspect = draws.uniform(0.75, 1.333)
        side = (share * height * width) ** 0.5
        rows, columns = min(height, round(side / aspect**0.5)), min(width, round(side * aspect**0.5))
        window = (draws.integer(0, height - rows), draws.integer(0, width - columns), rows, columns)
    view = _cut(shot, window, size, mirrored=draws.chance(0.5))
    if not tint:
        return view
    return replace(view, image=_tinted(draws, view.image, tint))


def _cut(shot: DecodedPhotograph, window: tuple[int, int, int, int], size: int, mirrored: bool) -> View:
    top, left, rows, columns = window
    inside = (slice(top, top + rows), slice(left, left + columns))
    image = np.asarray(Image.fromarray(shot.image[inside]).resize((size, size), Image.Resampling.BILINEAR))
    masks = nearest(shot.masks[(slice(None), *inside)], size)
    before = shot.masks.sum((1, 2))
    shown = shot.masks[(slice(None), *inside)].sum((1, 2)) / np.maximum(before, 1)
    shares = masks.mean((1, 2))
    kept = np.flatnonzero(shares > 0)
    if mirrored:
        image, masks = image[:, ::-1], masks[:, :, ::-1]
    complete = rows * columns >= 0.55 * shot.image.shape[0] * shot.image.shape[1]
    captions = tuple(mirrored_sentence(one) if mirrored else one for one in shot.captions)
    return View(
        np.ascontiguousarray(image),
        np.ascontiguousarray(masks[kept]),
        tuple(shot.names[n] for n in kept),
        tuple(shot.crowd[n] for n in kept),
        tuple(bool(shares[n] >= LEAST_SHARE and shown[n] >= LEAST_VISIBLE) for n in kept),
        captions,
        complete,
    )


def nearest(masks: np.ndarray, size: int) -> np.ndarray:
    """Bool (n, H, W) at (n, size, size), by the pixel at each centre."""
    height, width = masks.shape[-2:]
    rows = ((np.arange(size) + 0.5) * height / size).astype(int)
    columns = ((np.arange(size) + 0.5) * width / size).astype(int)
    return masks[:, rows[:, None], columns[None]]


def _tinted(draws: Draws, image: np.ndarray, most: float) -> np.ndarray:
    values = image.astype(np.float32)
    grey = values.mean(-1, keepdims=True)
    values = grey + (values - grey) * draws.uniform(1 - most, 1 + most)
    values = (values - values.mean()) * draws.uniform(1 - most, 1 + most) + values.mean()
    values = values * draws.uniform(1 - most, 1 + most)
    return values.clip(0, 255).astype(np.uint8)


def paste(draws: Draws, view: View, folder: PhotographFolder, classes: list[str]) -> View:
    """The view with an object of another photograph in it, a rare class as often as a common one."""
    for _ in range(4):
        name = draws.choice(classes)
        shot = folder.read(draws.choice(folder.by_class[name]))
        whole = shot.image.shape[0] * shot.image.shape[1]
        usable = [
            number
            for number, other in enumerate(shot.names)
            if other == name and not shot.crowd[number] and shot.masks[number].sum() >= _LEAST_CUT_OUT * whole
        ]
        if usable:
            return _pasted(draws, view, shot, draws.choice(usable))
    return view


def _pasted(draws: Draws, view: View, shot: DecodedPhotograph, number: int) -> View:
    mask = shot.masks[number]
    box = window_of(mask)
    size = view.image.shape[0]
    share = draws.uniform(0.15, 0.6)
    height, width = (side.stop - side.start for side in box)
    scale = share * size / max(height, width)
    high, wide = max(8, round(height * scale)), max(8, round(width * scale))
    picture = np.asarray(Image.fromarray(shot.image[box]).resize((wide, high), Image.Resampling.BILINEAR))
    soft = Image.fromarray((mask[box] * 255).astype(np.uint8)).resize((wide, high), Image.Resampling.BILINEAR)
    alpha = np.asarray(soft, np.float32)[..., None] / 255
    if draws.chance(0.5):
        picture, alpha = picture[:, ::-1], alpha[:, ::-1]
    top, left = draws.integer(0, size - high), draws.integer(0, size - wide)
    place = (slice(top, top + high), slice(left, left + wide))
    image = view.image.copy()
    image[place] = (image[place] * (1 - alpha) + picture * alpha).astype(np.uint8)
    new = np.zeros((size, size), bool)
    new[place] = alpha[..., 0] > 0.5
    masks = view.masks & ~new
    before, after = view.masks.sum((1, 2)), masks.sum((1, 2))
    kept = [n for n in range(len(masks)) if after[n] > 0]
    asked = [view.asked[n] and after[n] >= 0.4 * before[n] and after[n] >= LEAST_SHARE * size * size for n in kept]
    return View(
        image,
        np.concatenate([masks[kept], new[None]]),
        (*(view.names[n] for n in kept), shot.names[number]),
        (*(view.crowd[n] for n in kept), False),
        (*asked, bool(new.mean() >= LEAST_SHARE)),
        (),  # the people who wrote them did not see what was pasted
        False,
    )
