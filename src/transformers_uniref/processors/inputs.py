"""A user's images and masks, whatever their container, checked and brought to one form.

Images become uint8 RGB arrays (H, W, 3), masks bool arrays (H, W). Nothing here resizes to the network's size.
"""

from __future__ import annotations

import os
import struct
import warnings
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL import Image, ImageOps

ImageLike: TypeAlias = "Image.Image | np.ndarray | torch.Tensor | str | os.PathLike[str]"
Tree: TypeAlias = "Any | list[Tree]"

# PIL modes that hold more than 8 bits a channel. `Image.convert("RGB")` would clip them instead of scaling.
_DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N")

UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
"""What Pillow raises for files that are damaged, of no format that it knows, or larger than it decodes."""


# --------------------------------------------------------------------------------------------------------------- images
def load_image(image: ImageLike, name: str = "images") -> Image.Image | np.ndarray | torch.Tensor:
    """Opens a path or URL; anything else passes through. The mode of the file is kept (see `rgb_array`).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no readable image.
    """
    if not isinstance(image, (str, os.PathLike)):
        return image
    path = os.fspath(image)
    if path.startswith(("http://", "https://")):
        from transformers.image_utils import load_image as download

        return download(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"`{name}` names a file that does not exist: {path}")
    try:
        with Image.open(path) as opened:
            opened.load()
            return opened
    except UNREADABLE as error:
        raise ValueError(f"`{name}` names a file that is no readable image: {path} ({error})") from error


def rgb_array(image: ImageLike, name: str = "images", input_data_format: str | None = None) -> np.ndarray:
    """Any picture as uint8 RGB (H, W, 3), upright.

    A PIL image is turned as its EXIF orientation says; transparency is laid over white; grey is repeated;
    16-bit values are divided by 257. Integer arrays hold 0..255. Float arrays hold 0..1, or 0..255 when any value
    exceeds 1; both are rounded to 8 bits, since resizing is defined on 8 bits. A NumPy array is read as (H, W, C),
    a torch tensor as (C, H, W), unless only the other order gives 1, 3 or 4 channels or `input_data_format` decides.

    Args:
        image: PIL image, path, URL, or array / tensor (H, W), (H, W, C), (C, H, W).
        name: the argument's name, for messages.
        input_data_format: "channels_first" or "channels_last" where the order is ambiguous.

    Raises:
        TypeError: not a picture at all.
        ValueError: unreadable file, no pixels, wrong number of channels, NaN or values out of range.
    """
    image = load_image(image, name)
    if isinstance(image, Image.Image):
        return _rgb_from_pil(image, name)
    if isinstance(image, torch.Tensor):
        image = image.detach()
        channels_first = True
        array = (image.float() if image.is_floating_point() else image).cpu().numpy()
    elif isinstance(image, np.ndarray):
        channels_first = False
        array = image
    else:
        raise TypeError(
            f"`{name}` must be PIL images, paths, NumPy arrays or torch tensors, got {type(image).__name__}."
        )
    array = _channels_last(array, name, channels_first, input_data_format)
    return _over_white(_eight_bits(array, name))


def _rgb_from_pil(image: Image.Image, name: str) -> np.ndarray:
    if 0 in image.size:
        raise ValueError(f"`{name}` has an image without pixels: width x height = {image.size[0]} x {image.size[1]}.")
    try:
        image = ImageOps.exif_transpose(image)
        if image.mode in _DEEP_MODES or image.mode == "F":
            return _over_white(_eight_bits(_deep_array(image)[..., None], name))
        if "A" in image.getbands() or "transparency" in image.info:
            return _over_white(np.asarray(image.convert("RGBA")))
        return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError) as error:
        raise ValueError(f"`{name}` has an image that cannot be decoded ({error}).") from error


def _deep_array(image: Image.Image) -> np.ndarray:
    values = np.asarray(image)
    if image.mode == "F":
        return values
    # Pillow opens some 16-bit files as 32-bit "I"; real 8-bit content in that mode stays below 256.
    if image.mode == "I" and values.max() <= 255:
        return values
    return values.astype(np.uint16) if values.min() >= 0 and values.max() <= 65535 else values


def _channels_last(array: np.ndarray, name: str, channels_first: bool, input_data_format: str | None) -> np.ndarray:
    if array.ndim == 2:
        array = array[..., None]
    elif array.ndim == 3:
        if input_data_format is not None:
            channels_first = str(getattr(input_data_format, "value", input_data_format)) == "channels_first"
        elif array.shape[0 if channels_first else -1] not in (1, 3, 4):
            channels_first = not channels_first
        if channels_first:
            array = np.moveaxis(array, 0, -1)
    if array.ndim != 3 or array.shape[-1] not in (1, 3, 4):
        raise ValueError(
            f"`{name}` must be (H, W), (H, W, C) or (C, H, W) with C = 1, 3 or 4, got an array of shape {array.shape}."
        )
    if 0 in array.shape:
        raise ValueError(f"`{name}` has an image without pixels: shape {array.shape}.")
    return array


def _eight_bits(array: np.ndarray, name: str) -> np.ndarray:
    """(H, W, C) of any numeric type -> uint8."""
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.uint16:
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if np.issubdtype(array.dtype, np.integer):
        if array.min() < 0 or array.max() > 255:
            raise ValueError(
                f"`{name}` of type {array.dtype} must hold 0..255 (16-bit pictures: uint16), got values "
                f"{array.min()}..{array.max()}."
            )
        return array.astype(np.uint8)
    if not np.issubdtype(array.dtype, np.floating):
        raise TypeError(f"`{name}` must be of an integer or floating type, got {array.dtype}.")
    if not np.isfinite(array).all():
        raise ValueError(f"`{name}` has pixels that are NaN or infinite; every pixel must be a finite number.")
    low, high = float(array.min()), float(array.max())
    if low < 0 or high > 255:
        raise ValueError(
            f"`{name}` of type {array.dtype} must hold 0..1 or 0..255, got values {low:g}..{high:g}. "
            "Pictures that are normalised already go to the model directly, as `pixel_values`."
        )
    return np.rint(array * (255.0 if high <= 1 else 1.0)).astype(np.uint8)


def _over_white(array: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 1 | 3 | 4) -> (H, W, 3)."""
    if array.shape[-1] == 1:
        return np.repeat(array, 3, axis=-1)
    if array.shape[-1] == 3:
        return array
    alpha = array[..., 3:].astype(np.uint32)
    blended = array[..., :3] * alpha + 255 * (255 - alpha)
    return ((blended + 127) // 255).astype(np.uint8)


# ---------------------------------------------------------------------------------------------------------------- masks
def mask_values(mask: Any, name: str) -> np.ndarray:
    """The stored values of one mask or label map: bool or integer (H, W). Palette images give their indices.

    Raises:
        TypeError: not a mask, or of a floating type.
        ValueError: unreadable, not two-dimensional, or without pixels.
    """
    mask = load_image(mask, name)
    if isinstance(mask, Image.Image):
        try:
            mask = ImageOps.exif_transpose(mask)
            if len(mask.getbands()) != 1:
                raise ValueError(f"`{name}` must have one channel (PIL mode 1, L, P or I), got mode {mask.mode}.")
            mask = np.asarray(mask)
        except (OSError, SyntaxError) as error:
            raise ValueError(f"`{name}` has a mask that cannot be decoded ({error}).") from error
    elif isinstance(mask, torch.Tensor):
        mask = (mask.float() if mask.is_floating_point() else mask).detach().cpu().numpy()
    if not isinstance(mask, np.ndarray):
        raise TypeError(
            f"`{name}` must be PIL images, paths, NumPy arrays or torch tensors, got {type(mask).__name__}."
        )
    if mask.ndim != 2 or 0 in mask.shape:
        raise ValueError(f"`{name}` must be two-dimensional, (height, width), got shape {mask.shape}.")
    if mask.dtype != np.bool_ and not np.issubdtype(mask.dtype, np.integer):
        raise TypeError(
            f"`{name}` must be of type bool or an integer type, got {mask.dtype}; binarise it first (`mask > 0.5`)."
        )
    return mask


def binary_mask(mask: Any, size: tuple[int, int] | None, name: str, *, allow_empty: bool = False) -> np.ndarray:
    """One object's mask as bool (H, W).

    Args:
        mask: PIL image, path, array or tensor with 0 and one other value.
        size: the (height, width) that it must have; None accepts any.
        name: the argument's name, for messages.
        allow_empty: accept a mask without a pixel of the object.

    Raises:
        TypeError: see `mask_values`.
        ValueError: other size, more than two values, no pixel of the object.
    """
    values = mask_values(mask, name)
    if size is not None and values.shape != tuple(size):
        raise ValueError(f"`{name}` must have its picture's size, (height, width) = {tuple(size)}, got {values.shape}.")
    present = np.unique(values)
    objects = present[present != 0]
    if len(objects) > 1:
        shown = ", ".join(str(value) for value in present[:6]) + (", ..." if len(present) > 6 else "")
        raise ValueError(
            f"`{name}` must hold 0 and one other value, got {shown}. "
            "Choose one object of a label map with `mask == id`."
        )
    if len(objects) == 0 and not allow_empty:
        raise ValueError(f"`{name}` has a mask without a single pixel of the object.")
    return values != 0


def fit_mask(mask: np.ndarray, size: tuple[int, int], name: str) -> np.ndarray:
    """A mask that misses its frame's size by a hair (at most 2 pixels or 1 % a side) is resized; more is refused.

    Annotations are often drawn on a video whose width was rounded differently.

    Args:
        mask: (H, W), any type; resized by nearest neighbour.
        size: the frame's (height, width).

    Raises:
        ValueError: the sizes differ by more.

    Warns:
        UserWarning: the mask was resized.
    """
    size = (int(size[0]), int(size[1]))
    if mask.shape == size:
        return mask
    if any(abs(have - want) > max(2, want // 100) for have, want in zip(mask.shape, size, strict=True)):
        raise ValueError(f"`{name}` must have the frame's size, (height, width) = {size}, got {mask.shape}.")
    warnings.warn(f"`{name}` of size {mask.shape} was resized to the frame's size {size}.", stacklevel=3)
    return nearest_resize(mask, size)


def nearest_resize(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Nearest-neighbour resizing of the last two axes, each output pixel reading the input under its centre.

    This is the rule of PIL's NEAREST; written out so that both image backends agree to the pixel.
    """
    height, width = mask.shape[-2:]
    if (height, width) == tuple(size):
        return mask
    rows, columns = _nearest_positions(height, size[0]), _nearest_positions(width, size[1])
    return mask[..., rows[:, None], columns[None, :]]


def _nearest_positions(old: int, new: int) -> np.ndarray:
    # Added up step by step as PIL does: where a centre falls on the border of two pixels, its rounding decides.
    steps = np.full(new, old / new)
    steps[0] /= 2
    return np.minimum(np.add.accumulate(steps).astype(np.int64), old - 1)


def object_ids(obj_ids: Any) -> list[int]:
    """One id or several as a list of distinct integers from 1 (0 is the background).

    Raises:
        TypeError: not integers.
        ValueError: none, smaller than 1, or repeated.
    """
    given = [obj_ids] if isinstance(obj_ids, (int, np.integer)) else obj_ids
    if isinstance(given, (np.ndarray, torch.Tensor)):
        given = given.tolist()
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise TypeError(f"`obj_ids` must be an integer or a list of integers, got {type(obj_ids).__name__}.")
    for obj_id in given:
        if not isinstance(obj_id, (int, np.integer)) or isinstance(obj_id, bool):
            raise TypeError(f"`obj_ids` must be integers, got {obj_id!r}.")
        if obj_id < 1:
            raise ValueError(f"`obj_ids` must be 1 or more (0 is the background), got {obj_id}.")
    ids = [int(obj_id) for obj_id in given]
    if not ids:
        raise ValueError("`obj_ids` must name at least one object, got none.")
    if len(set(ids)) != len(ids):
        raise ValueError(f"`obj_ids` must be distinct, got {ids}.")
    return ids


def object_masks(masks: Any, ids: list[int], name: str = "masks") -> list[np.ndarray]:
    """One bool mask (H, W) for each object, out of a label map or of binary masks.

    Args:
        masks: one (H, W) label map that holds the ids, or one binary mask for each id: a list, or an array (n, H, W).
            With a single id, a (H, W) mask of 0 and one of {1, 255, the id} is that object's.
        ids: from `object_ids`.

    Raises:
        TypeError, ValueError: see `binary_mask`; an id that the label map lacks; another number of masks than ids.
    """
    if not isinstance(masks, (list, tuple)) and getattr(masks, "ndim", 2) != 3:
        values = mask_values(masks, name)
        if len(ids) == 1 and (values.dtype == np.bool_ or not (values == ids[0]).any()):
            found = set(np.unique(values).tolist())
            if found <= {0, 1} or found <= {0, 255}:
                return [binary_mask(values, None, name)]
        missing = [obj_id for obj_id in ids if not (values == obj_id).any()]
        if missing:
            raise ValueError(
                f"`{name}` is a label map without a pixel of object {missing[0]}; it holds "
                f"{np.unique(values)[:20].tolist()}."
            )
        return [values == obj_id for obj_id in ids]
    if len(masks) != len(ids):
        raise ValueError(f"`{name}` must hold one mask for each of the {len(ids)} objects, got {len(masks)}.")
    return [binary_mask(mask, None, name) for mask in masks]


# ------------------------------------------------------------------------------------------------------------- nesting
def is_image(value: Any) -> bool:
    """Whether `value` is one picture (not a list or a stack of them)."""
    return isinstance(value, (Image.Image, str, os.PathLike)) or (
        isinstance(value, (np.ndarray, torch.Tensor)) and value.ndim in (2, 3)
    )


def is_mask(value: Any) -> bool:
    """Whether `value` is one mask (not a list or a stack of them)."""
    return isinstance(value, (Image.Image, str, os.PathLike)) or (
        isinstance(value, (np.ndarray, torch.Tensor)) and value.ndim == 2
    )


def as_tree(value: Any, is_leaf: Callable[[Any], bool], name: str) -> Tree:
    """Lists, tuples and array axes of any depth as lists; leaves as they are.

    Raises:
        TypeError: neither a leaf nor a sequence.
        ValueError: an empty list.
    """
    if is_leaf(value):
        return value
    if not isinstance(value, (list, tuple, np.ndarray, torch.Tensor)) or (
        isinstance(value, (np.ndarray, torch.Tensor)) and value.ndim < 2
    ):
        raise TypeError(
            f"`{name}` must be PIL images, paths, NumPy arrays, torch tensors or lists of them, "
            f"got {type(value).__name__}."
        )
    if len(value) == 0:
        raise ValueError(f"`{name}` is empty.")
    return [as_tree(item, is_leaf, name) for item in value]


def depth(tree: Tree) -> int:
    """0 for a leaf, 1 for a list of leaves, and so on (of the first branch)."""
    return 1 + depth(tree[0]) if isinstance(tree, list) else 0


def image_list(images: Any, name: str = "images") -> list[Any]:
    """One picture, a list, or a stack (N, H, W, C) / (N, C, H, W), as a flat list.

    Raises:
        TypeError, ValueError: see `as_tree`; deeper nesting.
    """
    tree = as_tree(images, is_image, name)
    if depth(tree) == 0:
        return [tree]
    if any(isinstance(item, list) for item in tree):
        raise ValueError(f"`{name}` must be one image or a flat list of images, got a list of lists.")
    return tree
