"""The one place where a user's mask is read: a file, a PIL image, an array or a tensor, whatever stands in it.

A mask says which object each pixel belongs to, by its number or, where there is one object, in black and white. Files
also say it by the colours of the DAVIS palette and by transparency. What cannot be told for sure is refused, and what
is read otherwise than it is stored (soft edges, void pixels) is said in a warning: see `docs/references.md`.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps

from .errors import KindError, UsageError
from .palette import davis_palette
from .picture_input import load_image

VOID = 255
"""What data sets write where it is not decided whose a pixel is."""

_HIGHEST_ID_BESIDE_VOID = 64
"""Data sets with void pixels number few objects or classes. Beside larger numbers 255 may well be an object."""

_LOSSY_FORMATS = ("JPEG", "MPO", "JPEG2000")
_WHITE = {8: 255, 16: 65535}
_SMALL_IDS = 16
_ADVICE = "binarise it first (`mask > 0.5`), or give a label map of object ids"


@dataclass(frozen=True)
class GivenMask:
    """A mask as it was meant.

    Attributes:
        values: integer (H, W), not negative: 0 nothing, else the object's number.
        plain: whether it is black and white, one object without a number of its own; `values` is then 0 and 1.
        soft: what there is between black and white, if anything; it was cut at one half.
        name: the argument's name and the file, for messages.
    """

    values: np.ndarray
    plain: bool = False
    soft: str = ""
    name: str = ""

    def ids(self) -> list[int]:
        """The numbers in it, ascending, without void pixels.

        Raises:
            ValueError: 255 stands beside numbers that leave open what it means.

        Warns:
            UserWarning: 255 was taken for void.
        """
        ids = [int(value) for value in np.unique(self.values) if value]
        if self.plain or len(ids) < 2 or ids[-1] != VOID:
            return ids
        others = ", ".join(str(value) for value in ids[:-1][:6]) + (", ..." if len(ids) > 7 else "")
        if ids[-2] > _HIGHEST_ID_BESIDE_VOID:
            raise UsageError(
                f"{self.name} holds 255 beside {others}: write 0 where 255 means void, or another number where it is "
                "an object."
            )
        warnings.warn(
            f"{self.name} holds 255 beside {others}: those pixels are taken for void, no object's", stacklevel=3
        )
        return ids[:-1]

    def objects(self) -> dict[int, np.ndarray]:
        """Bool (H, W) by the number of the object; see `ids`."""
        return {number: self.values == number for number in self.ids()}


def read_mask(mask: Any, name: str) -> GivenMask:
    """A mask or label map of any kind.

    - Palette, grey and 1-bit images give their stored values, upright as EXIF says, arrays theirs; 16 bits are read
      whole. (1, H, W), (H, W, 1) and a grey picture repeated in three channels count as (H, W).
    - 0 with 255, or with 65535, is one object, as is a black and white palette, whatever its indices.
    - A colour image gives the indices of its colours in the DAVIS palette.
    - Transparent pixels are nobody's. What is opaque has the values that it shows; where these are no label map (a
      cut-out photograph, a shape of one colour), it is one object.
    - Black and white with soft edges (antialiased, JPEG, probabilities) is cut at one half, with a warning.

    Args:
        mask: path, URL, PIL image, array or tensor of type bool, integer or float.
        name: the argument's name, for messages.

    Raises:
        TypeError: no picture and no array, or not of numbers.
        ValueError: unreadable, without pixels, not two-dimensional; negative, not finite; colours outside the palette;
            a photograph; a JPEG that is not black and white; wholly transparent.

    Warns:
        UserWarning: soft edges were cut.
    """
    file = f": {os.fspath(mask)}" if isinstance(mask, (str, os.PathLike)) else ""
    mask = load_image(mask, name)
    try:
        given = _interpreted(mask, name)
    except ValueError as error:
        raise UsageError(f"{str(error).removesuffix('.')}{file or '.'}") from error
    if given.soft:
        warnings.warn(
            f"`{name}` is black and white with soft edges ({given.soft}): it is read as one object, grey cut at one "
            f"half{file}",
            stacklevel=2,
        )
    return replace(given, name=f"`{name}`{file and f' ({file[2:]})'}")


def is_mask(value: Any) -> bool:
    """Whether it is one mask, and not a list or a stack of them.

    Arrays are (H, W), (H, W, 1), or (H, W, 3) and (H, W, 4) of a size that no stack of masks has.
    """
    if isinstance(value, (np.ndarray, torch.Tensor)):
        return value.ndim == 2 or (value.ndim == 3 and value.shape[-1] in (1, 3, 4) and min(value.shape[:2]) > 4)
    return isinstance(value, (Image.Image, str, os.PathLike))


def _interpreted(mask: Any, name: str) -> GivenMask:
    if isinstance(mask, Image.Image):
        lossy = mask.format in _LOSSY_FORMATS
        try:
            return _from_picture(ImageOps.exif_transpose(mask), name, lossy)
        except (OSError, SyntaxError) as error:
            raise UsageError(f"`{name}` has a mask that cannot be decoded ({error}).") from error
    array = _flat_array(mask, name)
    if array.ndim == 3:
        return _from_channels(array, name)
    if np.issubdtype(array.dtype, np.floating):
        return _from_floats(array, name)
    return _from_numbers(array, name)


# ------------------------------------------------------------------------------------------------------------- pictures
def _from_picture(image: Image.Image, name: str, lossy: bool) -> GivenMask:
    if 0 in image.size:
        raise UsageError(f"`{name}` has a mask without pixels: width x height = {image.size[0]} x {image.size[1]}.")
    if image.mode == "P":
        return _from_palette(image, name)
    if image.mode == "F":
        return _from_floats(np.asarray(image), name)
    if image.mode == "1":
        return _one_object(np.asarray(image))
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        see_through = image.info.get("transparency")
        return _from_numbers(np.where(values == see_through, 0, values) if see_through else values, name)
    if "transparency" in image.info or {"A", "a"} & set(image.getbands()):
        return _from_rgba(np.asarray(image.convert("RGBA")), name)
    if image.mode == "L":
        return _from_numbers(np.asarray(image), name, lossy)
    return _from_rgb(np.asarray(image.convert("RGB")), name, lossy)


def _from_palette(image: Image.Image, name: str) -> GivenMask:
    indices, shown = np.asarray(image), np.asarray(image.convert("RGBA"))
    seen = shown[..., 3] > 0
    colours = np.unique(shown[seen][:, :3], axis=0)
    if seen.all():
        grey = bool((colours == colours[:, :1]).all())
        if grey and (colours.tolist() == [[0] * 3, [255] * 3] or _has_soft_edges(shown[..., 0], 255)):
            return _from_numbers(shown[..., 0], name)
        if np.array_equal(davis_palette()[indices], shown[..., :3]):
            numbers = set(np.unique(indices).tolist())
            return _one_object(indices > 0) if numbers == {0, VOID} else GivenMask(indices)
        return _from_numbers(indices, name)
    # Only where index 0 is the background do the indices tell the objects; painting programs number colours as they
    # come.
    first = shown[indices == 0]
    numbered = not len(first) or not first[0, 3] or not first[0, :3].any()
    evenly = len(np.unique(shown[seen][:, 3])) <= 1
    if not numbered or not evenly or len(colours) == 1:
        return _from_rgba(shown, name)
    values = np.where(seen, indices, 0)
    return _one_object(seen) if _is_photograph(values) else _from_numbers(values, name)


def _from_rgba(shown: np.ndarray, name: str) -> GivenMask:
    alpha = shown[..., 3].astype(np.int64)
    if not alpha.any():
        raise UsageError(f"`{name}` has a mask that is wholly transparent.")
    if alpha.min() == alpha.max():
        return _from_rgb(shown[..., :3], name)
    # An overlay may be translucent throughout.
    seen = 2 * alpha >= alpha.max()
    soft = "half transparent pixels" if ((alpha > 0) & (alpha < alpha.max())).any() else ""
    cut_out = _one_object(seen, soft)
    colours = np.where(seen[..., None], shown[..., :3], 0)
    if len(np.unique(colours[seen], axis=0)) == 1:
        return cut_out
    try:
        labels = _from_rgb(colours, name)
    except ValueError:
        return cut_out
    return replace(labels, soft=labels.soft or soft)


def _from_rgb(rgb: np.ndarray, name: str, lossy: bool = False) -> GivenMask:
    # Chroma of a JPEG is off by a little.
    spread = int((rgb.max(-1).astype(np.int64) - rgb.min(-1)).max())
    if spread <= (8 if lossy else 0):
        grey = rgb[..., 1]
        if set(np.unique(grey).tolist()) <= {0, 255} or _has_soft_edges(grey, 255, lossy):
            return _from_numbers(grey, name, lossy)
    if lossy:
        _refuse_lossy(name)
    return GivenMask(_places_in_palette(rgb, name))


def _places_in_palette(rgb: np.ndarray, name: str) -> np.ndarray:
    weights = (1 << 16, 1 << 8, 1)
    codes, known = rgb.astype(np.int64) @ weights, davis_palette().astype(np.int64) @ weights
    order = np.argsort(known)
    places = order[np.searchsorted(known, codes, sorter=order).clip(max=255)]
    foreign = known[places] != codes
    if foreign.any():
        row, column = np.argwhere(foreign)[0]
        raise UsageError(
            f"`{name}` must be a label map, or coloured with the DAVIS palette, got the colour "
            f"{tuple(rgb[row, column].tolist())} at row {row}, column {column}."
        )
    return places.astype(np.uint8)


# --------------------------------------------------------------------------------------------------------------- arrays
def _flat_array(mask: Any, name: str) -> np.ndarray:
    """A NumPy array of numbers, (H, W), or (H, W, 3) and (H, W, 4)."""
    if isinstance(mask, torch.Tensor):
        mask = (mask.float() if mask.is_floating_point() else mask).detach().cpu().numpy()
    if not isinstance(mask, np.ndarray):
        raise KindError(
            f"`{name}` must be PIL images, paths, NumPy arrays or torch tensors, got {type(mask).__name__}."
        )
    given = mask.shape
    while mask.ndim > 2 and mask.shape[0] == 1:
        mask = mask[0]
    if mask.ndim == 3 and mask.shape[-1] == 1:
        mask = mask[..., 0]
    if not is_mask(mask) or 0 in mask.shape:
        raise UsageError(f"`{name}` must be two-dimensional, (height, width), got shape {given}.")
    if not any(np.issubdtype(mask.dtype, kind) for kind in (np.bool_, np.integer, np.floating)):
        raise KindError(f"`{name}` must be of type bool, an integer or a floating type, got {mask.dtype}.")
    return mask


def _from_channels(array: np.ndarray, name: str) -> GivenMask:
    """(H, W, 3) or (H, W, 4): grey that was repeated, or with a channel of transparency."""
    colours = array[..., :3]
    if not (colours == colours[..., :1]).all():
        raise UsageError(
            f"`{name}` must be two-dimensional, (height, width), got colours of shape {array.shape}: an array does not "
            "say in which order they are; give the file or a PIL image."
        )
    if array.shape[-1] == 3:
        return _interpreted(colours[..., 0], name)
    if array.dtype != np.uint8:
        raise UsageError(f"`{name}` with four channels must be of type uint8, got {array.dtype}.")
    return _from_rgba(array, name)


def _from_floats(values: np.ndarray, name: str) -> GivenMask:
    if not np.isfinite(values).all():
        raise UsageError(f"`{name}` has pixels that are NaN or infinite; every pixel must be a finite number.")
    if (values == np.rint(values)).all():
        return _from_numbers(values.astype(np.int64), name)
    low, high = float(values.min()), float(values.max())
    if low < 0:
        raise UsageError(
            f"`{name}` of type {values.dtype} must hold 0..1 or object ids, got {low:g}..{high:g}; {_ADVICE}."
        )
    if high > 1:
        return _from_numbers(np.rint(values).astype(np.int64), name, lossy=True)
    between = (values > 0.125) & (values < 0.875)
    # Probabilities differ from pixel to pixel; a level between 0 and 1 that fills areas is a number of something.
    if high < 0.875 or between.mean() > 0.5 or _even_share(values, between) >= 0.5:
        raise UsageError(
            f"`{name}` of type {values.dtype} holds fractions, {low:g} to {high:g}, that are neither near 0 nor near "
            f"1; {_ADVICE}."
        )
    return _one_object(values >= 0.5, "fractions between 0 and 1")


def _from_numbers(values: np.ndarray, name: str, lossy: bool = False) -> GivenMask:
    if values.dtype == np.bool_:
        return _one_object(values)
    if values.min() < 0:
        raise UsageError(f"`{name}` must hold 0 and object ids from 1, got {values.min()}; write 0 where nothing is.")
    highest = int(values.max())
    white = _WHITE[8] if highest <= _WHITE[8] else _WHITE[16]
    if highest == white and ((values == 0) | (values == white)).all():
        return _one_object(values > 0)
    if _has_soft_edges(values, white, lossy):
        return _one_object(values > white // 2, f"{len(np.unique(values))} shades of grey")
    if lossy and values.any():
        _refuse_lossy(name)
    if _is_photograph(values):
        raise UsageError(
            f"`{name}` is neither black and white nor a label map: it holds {len(np.unique(values))} values, which "
            f"differ from pixel to pixel as in a photograph; {_ADVICE}."
        )
    return GivenMask(values)


# ---------------------------------------------------------------------------------------------------------------- kinds
def _one_object(pixels: np.ndarray, soft: str = "") -> GivenMask:
    return GivenMask(pixels.astype(np.uint8), True, soft)


def _has_soft_edges(values: np.ndarray, white: int, lossy: bool = False) -> bool:
    """Whether it is black and white but for a little between: at edges, or as a lossy format leaves it."""
    inner = (values > 0) & (values < white)
    if not inner.any() or int(values.max()) < white * 15 // 16 or int(values.min()) > white // 16:
        return False
    lit = values[values > white // 16]
    if ((lit > white // 8) & (lit < white - white // 8)).mean() > 0.6:
        return False
    # Objects with small numbers beside void, however small they are.
    return lossy or (int(values[inner].max()) > _SMALL_IDS and _even_share(values, inner) < 0.5)


def _is_photograph(values: np.ndarray) -> bool:
    """Whether the values differ from pixel to pixel, as numbers of objects do not."""
    shades = len(np.unique(values))
    many = shades > 32 or (shades > 8 and int(values.max()) >= 64)
    return many and _even_share(values, values > 0) < 0.2


def _even_share(values: np.ndarray, among: np.ndarray) -> float:
    """The share of some pixels that have the value of all four neighbours, as those inside an object have."""
    padded = np.pad(values, 1, mode="edge")
    neighbours = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    even = np.logical_and.reduce([values == neighbour for neighbour in neighbours])
    return float(even[among].mean()) if among.any() else 1.0


def _refuse_lossy(name: str) -> None:
    raise UsageError(f"`{name}` must be of a lossless format such as PNG, got a JPEG, whose labels blur.")


def load_label_map(path: str | os.PathLike[str], name: str = "mask") -> np.ndarray:
    """Reads a label map or a binary mask from an image file; the module says what files may hold.

    Args:
        path: the file.
        name: the argument's name, for messages.

    Returns:
        uint8 (H, W), or uint16 and more where a file has 16 bits and ids above 255; 0 = background, 1.. = object ids.
        A black and white mask is one object, id 1; 255 beside other ids stays 255.

    Raises:
        FileNotFoundError, ValueError: see `read_mask`.
    """
    values = read_mask(path, name).values
    return values.astype(np.min_scalar_type(int(values.max())))
