"""A user's images and masks, whatever their container, checked and brought to one form.

Images become uint8 RGB arrays (H, W, 3), masks bool arrays (H, W). Nothing here resizes to the network's size.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL import Image, ImageOps

from .errors import KindError, UsageError

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
        raise UsageError(f"`{name}` names a file that is no readable image: {path} ({error})") from error


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
        raise KindError(
            f"`{name}` must be PIL images, paths, NumPy arrays or torch tensors, got {type(image).__name__}."
        )
    array = _channels_last(array, name, channels_first, input_data_format)
    return _over_white(_eight_bits(array, name))


def _rgb_from_pil(image: Image.Image, name: str) -> np.ndarray:
    if 0 in image.size:
        raise UsageError(f"`{name}` has an image without pixels: width x height = {image.size[0]} x {image.size[1]}.")
    try:
        image = ImageOps.exif_transpose(image)
        if image.mode in _DEEP_MODES or image.mode == "F":
            return _over_white(_eight_bits(_deep_array(image)[..., None], name))
        if "A" in image.getbands() or "transparency" in image.info:
            return _over_white(np.asarray(image.convert("RGBA")))
        return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError) as error:
        raise UsageError(f"`{name}` has an image that cannot be decoded ({error}).") from error


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
        raise UsageError(
            f"`{name}` must be (H, W), (H, W, C) or (C, H, W) with C = 1, 3 or 4, got an array of shape {array.shape}."
        )
    if 0 in array.shape:
        raise UsageError(f"`{name}` has an image without pixels: shape {array.shape}.")
    return array


def _eight_bits(array: np.ndarray, name: str) -> np.ndarray:
    """(H, W, C) of any numeric type -> uint8."""
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.uint16:
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if np.issubdtype(array.dtype, np.integer):
        if array.min() < 0 or array.max() > 255:
            raise UsageError(
                f"`{name}` of type {array.dtype} must hold 0..255 (16-bit pictures: uint16), got values "
                f"{array.min()}..{array.max()}."
            )
        return array.astype(np.uint8)
    if not np.issubdtype(array.dtype, np.floating):
        raise KindError(f"`{name}` must be of an integer or floating type, got {array.dtype}.")
    if not np.isfinite(array).all():
        raise UsageError(f"`{name}` has pixels that are NaN or infinite; every pixel must be a finite number.")
    low, high = float(array.min()), float(array.max())
    if low < 0 or high > 255:
        raise UsageError(
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


# ------------------------------------------------------------------------------------------------------------- nesting
def is_image(value: Any) -> bool:
    """Whether `value` is one picture (not a list or a stack of them)."""
    return isinstance(value, (Image.Image, str, os.PathLike)) or (
        isinstance(value, (np.ndarray, torch.Tensor)) and value.ndim in (2, 3)
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
        raise KindError(
            f"`{name}` must be PIL images, paths, NumPy arrays, torch tensors or lists of them, "
            f"got {type(value).__name__}."
        )
    if len(value) == 0:
        raise UsageError(f"`{name}` is empty.")
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
        raise UsageError(f"`{name}` must be one image or a flat list of images, got a list of lists.")
    return tree
