"""How photographs are put together: cut-outs at a place, who covers whom, and the light over all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageFilter

from ..drawn.draws import Draws
from ..drawn.scene import LEAST_VISIBLE, Pose, draw_light, overlap
from .base import LEAST_PIXELS, SceneSource, choose_base, crop_picture
from .folder import CutOut

_LARGEST_BLOW_UP = 1.4
_EXTENTS = (0.2, 0.58)
"""Side of the square with the area of an object's bounding box, in image sides."""


@dataclass(frozen=True)
class PastedObject:
    """An object that is pasted into a scene.

    Attributes:
        sequence: what it is; empty for a thing without a name.
        cutouts: what is pasted, one a picture.
        times: the frames that they come from.
        scale: pixels of the picture for one of the frame.
        radius: half the side of the square with the area of its first bounding box, in image sides.
        mirrored: turn left and right.
        gain: float32 (3,), factor on its colours.
        softness: radius of its blur in pixels, 0 for none.
    """

    sequence: str
    cutouts: tuple[CutOut, ...]
    times: tuple[int, ...]
    scale: float
    radius: float
    mirrored: bool
    gain: np.ndarray
    softness: float


@dataclass(frozen=True)
class Raster:
    """A pasted object in pixels of one picture.

    Attributes:
        pose: where it is.
        left, top: picture coordinates of the first pixel; may lie outside.
        rgb: float32 (h, w, 3), 0 to 255.
        alpha: float32 (h, w), share of each pixel that it covers.
        solid: bool (h, w), covered by at least one half: what masks call the object.
        area: solid pixels, those outside the picture included.
    """

    pose: Pose
    left: int
    top: int
    rgb: np.ndarray
    alpha: np.ndarray
    solid: np.ndarray
    area: int


def draw_pasted_object(
    draws: Draws,
    source: SceneSource,
    sequence: str,
    times: Sequence[int],
    brightness: float,
    largest: float = _EXTENTS[1],
) -> PastedObject | None:
    """Takes an object out of frames of its sequence and decides about its size and light.

    Args:
        times: frames, one a picture. From the first one on that gives no cut-out, the one before it stays.
        brightness: mean value of the scene, 0 to 255; objects are brought some way towards it.
        largest: greatest extent in image sides.

    Returns:
        The object, or `None` when the first frame gives no cut-out.
    """
    first = source.folder.cutout(sequence, times[0])
    if first is None:
        return None
    cutouts = [first]
    frozen = len(set(times)) == 1
    for time in times[1:]:
        found = None if frozen else source.folder.cutout(sequence, time)
        # What came back after a while would jump.
        frozen = found is None
        cutouts.append(found or cutouts[-1])
    return make_pasted_object(draws, sequence, tuple(cutouts), tuple(times), source.size, brightness, largest)


def make_pasted_object(
    draws: Draws,
    sequence: str,
    cutouts: tuple[CutOut, ...],
    times: tuple[int, ...],
    size: int,
    brightness: float,
    largest: float,
) -> PastedObject:
    """Decides about the size and light of cut-outs; for the arguments see `PastedObject` and `draw_pasted_object`."""
    first = cutouts[0]
    extents = [math.sqrt(one.image.width * one.image.height) for one in cutouts]
    wanted = math.exp(draws.uniform(math.log(_EXTENTS[0]), math.log(largest))) * size
    # What grows over the clip must not fill the picture.
    scale = min(wanted / extents[0], _LARGEST_BLOW_UP, 0.75 * size / max(extents))
    array = np.asarray(first.image.reduce(4) if min(first.image.size) > 8 else first.image, np.float32)
    weight = np.maximum(array[..., 3].sum(), 1)
    own = float((array[..., :3].mean(2) * array[..., 3]).sum() / weight)
    towards = (max(brightness, 20) / max(own, 20)) ** draws.uniform(0.0, 0.4)
    gain = min(max(towards, 0.8), 1.25) * draws.uniform(0.88, 1.12)
    tint = np.array([draws.uniform(0.96, 1.04) for _ in range(3)], np.float32)
    softness = draws.uniform(0.3, 0.8) if draws.chance(0.2) else 0.0
    return PastedObject(
        sequence,
        cutouts,
        times,
        scale,
        extents[0] * scale / size / 2,
        draws.chance(0.5),
        gain * tint,
        softness,
    )


def rasterise(pasted_object: PastedObject, step: int, pose: Pose, size: int) -> Raster:
    """Draws a pasted object for one picture."""
    image = pasted_object.cutouts[step].image
    scale = pasted_object.scale * pose.scale
    width, height = max(2, round(image.width * scale)), max(2, round(image.height * scale))
    if pasted_object.mirrored:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    if abs(pose.rotation) > 0.01:
        image = image.rotate(-math.degrees(pose.rotation), Image.Resampling.BILINEAR, expand=True)
    if pasted_object.softness:
        soft = image.convert("RGBa").filter(ImageFilter.GaussianBlur(pasted_object.softness))
        image = soft.convert("RGBA")
    array = np.asarray(image, np.float32)
    alpha = array[..., 3] * np.float32(1 / 255)
    solid = alpha >= 0.5
    left, top = round(pose.x * size - image.width / 2), round(pose.y * size - image.height / 2)
    return Raster(pose, left, top, array[..., :3] * pasted_object.gain, alpha, solid, int(np.count_nonzero(solid)))


def shifted(raster: Raster, pose: Pose, size: int) -> Raster:
    """The same pixels moved by whole pixels to about another place."""
    dx, dy = round((pose.x - raster.pose.x) * size), round((pose.y - raster.pose.y) * size)
    place = replace(raster.pose, x=raster.pose.x + dx / size, y=raster.pose.y + dy / size)
    return replace(raster, left=raster.left + dx, top=raster.top + dy, pose=place)


@dataclass(frozen=True)
class Occluder:
    """Something unnamed before everything else, such as a pole: alpha (size, size) and colours (size, size, 3)."""

    alpha: np.ndarray
    rgb: np.ndarray


def draw_occluder(draws: Draws, source: SceneSource) -> Occluder | None:
    """A strip across the picture that shows a piece of another photograph."""
    base, size = choose_base(draws, source, source.plain, with_object=False), source.size
    if base is None:
        return None
    angle = draws.uniform(-0.25, 0.25) + (math.pi / 2 if draws.chance(0.25) else 0.0)
    width, place = draws.uniform(0.02, 0.06) * size, draws.uniform(0.1, 0.9) * size
    axis = np.arange(size, dtype=np.float32) + 0.5
    away = (axis[None] - size / 2) * math.cos(angle) + (axis[:, None] - size / 2) * math.sin(angle) + size / 2 - place
    alpha = np.clip(width + 0.5 - np.abs(away), 0, 1)
    return Occluder(alpha, crop_picture(source, base, 0) * np.float32(draws.uniform(0.5, 1.0)))


@dataclass(frozen=True)
class Layers:
    """Who owns which pixel of a picture.

    Attributes:
        owner: int8 (size, size): 0 for the photograph's own object, k for the k-th raster, -1 for anything else.
        visible: pixels of each, the photograph's own object first.
        areas: the same with hidden pixels.
    """

    owner: np.ndarray
    visible: tuple[int, ...]
    areas: tuple[int, ...]


def stack(
    base_mask: np.ndarray | None, rasters: Sequence[Raster], size: int, occluder: Occluder | None = None
) -> Layers:
    """Lays rasters over the photograph, the last on top."""
    owner = np.full((size, size), -1, np.int8)
    own = 0
    if base_mask is not None:
        owner[base_mask] = 0
        own = int(np.count_nonzero(base_mask))
    for number, raster in enumerate(rasters, start=1):
        parts = overlap(raster.left, raster.top, raster.solid.shape, size)
        if parts:
            owner[parts[0]][raster.solid[parts[1]]] = number
    if occluder is not None:
        owner[occluder.alpha >= 0.5] = -1
    counts = np.bincount((owner + 1).ravel(), minlength=len(rasters) + 2)
    return Layers(owner, tuple(int(n) for n in counts[1:]), (own, *(raster.area for raster in rasters)))


def place_pasted_objects(
    draws: Draws,
    pasted_objects: Sequence[PastedObject],
    base_mask: np.ndarray | None,
    size: int,
    occluder: Occluder | None = None,
    attempts: int = 14,
) -> tuple[list[PastedObject], list[Raster]]:
    """Finds places such that all objects of a still scene show enough of themselves; depths are random.

    Actors that find no place are left out.
    """
    placed: list[tuple[float, PastedObject, Raster]] = []
    for pasted_object in pasted_objects:
        depth = draws.random()
        edge = min(pasted_object.radius * 0.8, 0.5)
        turn = draws.uniform(-0.12, 0.12) if draws.chance(0.4) else 0.0
        raster = rasterise(pasted_object, 0, Pose(0.5, 0.5, turn), size)
        for _ in range(attempts):
            pose = Pose(draws.uniform(edge, 1 - edge), draws.uniform(edge, 1 - edge), turn)
            trial = [*placed, (depth, pasted_object, shifted(raster, pose, size))]
            trial.sort(key=lambda one: one[0])
            layers = stack(base_mask, [one for _, _, one in trial], size, occluder)
            if shows_enough(layers, size, base_mask is not None):
                placed = trial
                break
    return [one for _, one, _ in placed], [one for _, _, one in placed]


def shows_enough(layers: Layers, size: int, has_base: bool, exempt: Sequence[int] = ()) -> bool:
    """Whether every object shows a good part of itself, and enough pixels at all; `exempt` are raster numbers."""
    return all(
        number in exempt
        or (number == 0 and not has_base)
        or visible >= max(LEAST_VISIBLE * area, LEAST_PIXELS * size * size)
        for number, (visible, area) in enumerate(zip(layers.visible, layers.areas, strict=True))
    )


@dataclass(frozen=True)
class Look:
    """Light and lens of a scene; the same for all frames of a clip.

    Attributes:
        light: float32 (size, size, 1), a gradient of brightness.
        tint: float32 (3,), factor on the colours.
        contrast, saturation: 1 leaves them.
        blur: radius in pixels, 0 for none.
        noise: standard deviation, 0 to 255.
        shadow: shift (x, y) in pixels of a 128-pixel picture and strength.
    """

    light: np.ndarray
    tint: np.ndarray
    contrast: float
    saturation: float
    blur: float
    noise: float
    shadow: tuple[int, int, float]


def draw_appearance(draws: Draws, size: int) -> Look:
    """A look; half of all scenes are close to how the camera saw them."""
    strength = draws.choice((0.3, 1.0))
    return Look(
        light=draw_light(draws, size) * np.float32(1 + strength * draws.uniform(-0.22, 0.22)),
        tint=np.array([1 + strength * draws.uniform(-0.06, 0.06) for _ in range(3)], np.float32),
        contrast=1 + strength * draws.uniform(-0.25, 0.25),
        saturation=1 + strength * draws.uniform(-0.35, 0.3),
        blur=draws.uniform(0.3, 0.9) if draws.chance(0.25) else 0.0,
        noise=draws.uniform(1.0, 6.0) if draws.chance(0.25) else 0.0,
        shadow=(draws.choice((-3, -2, 2, 3)), draws.choice((1, 2, 3)), draws.uniform(0.1, 0.3))
        if draws.chance(0.3)
        else (0, 0, 0.0),
    )


def paint(
    canvas: np.ndarray, rasters: Sequence[Raster], occluder: Occluder | None, look: Look, draws: Draws
) -> np.ndarray:
    """Pastes rasters on a photograph and puts the look on all of it.

    Args:
        canvas: float32 (size, size, 3), 0 to 255; changed in place.
        rasters: in painting order.
        occluder: painted last, if any.

    Returns:
        uint8 (size, size, 3).
    """
    size = canvas.shape[0]
    for raster in rasters:
        dx, dy, strength = look.shadow
        step = max(1, round(size / 128))
        cast = overlap(raster.left + dx * step, raster.top + dy * step, raster.alpha.shape, size) if strength else None
        if cast:
            canvas[cast[0]] *= 1 - (raster.alpha[cast[1]] * np.float32(strength))[..., None]
        parts = overlap(raster.left, raster.top, raster.alpha.shape, size)
        if parts:
            region = canvas[parts[0]]
            region += (raster.rgb[parts[1]] - region) * raster.alpha[parts[1]][..., None]
    if occluder is not None:
        canvas += (occluder.rgb - canvas) * occluder.alpha[..., None]
    canvas *= look.light * look.tint
    grey = canvas.mean(2, keepdims=True)
    middle = float(grey.mean())
    # out = (grey + (canvas - grey) * saturation - middle) * contrast + middle
    canvas *= look.saturation * look.contrast
    canvas += grey * ((1 - look.saturation) * look.contrast) + middle * (1 - look.contrast)
    if look.noise:
        canvas += draws.generator.standard_normal(canvas.shape, dtype=np.float32) * np.float32(look.noise)
    np.clip(canvas, 0, 255, out=canvas)
    picture = canvas.astype(np.uint8)
    if look.blur:
        picture = np.array(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(look.blur)))
    return picture
