"""Masks drawn over their picture, and sheets of captioned pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from ..core.errors import UsageError
from ..core.mask_boxes import window_of
from ..core.palette import davis_palette
from .lettering import default_font, wrapped


def object_colour(object_id: int) -> tuple[int, int, int]:
    """The colour in which an object is drawn: its DAVIS palette entry, brightened to show on dark pictures."""
    red, green, blue = (min(255, 48 + value * 5 // 4) for value in davis_palette()[object_id % 256].tolist())
    return red, green, blue


def overlay_masks(
    image: np.ndarray,
    masks: Mapping[int, np.ndarray] | Sequence[np.ndarray] | np.ndarray,
    *,
    opacity: float = 0.45,
    outline: int | None = None,
) -> np.ndarray:
    """Tints the masks' area and draws a line along the inside of their border.

    Args:
        image: uint8 (H, W, 3).
        masks: bool (H, W) by object id; or a sequence or stack (n, H, W), whose ids are then 1..n. Colours follow the
            ids; where masks overlap, later ones are drawn over earlier ones. Empty masks draw nothing.
        opacity: of the tint, 0..1.
        outline: width of the line in pixels, 0 for none; default: 1 per 240 pixels of the shorter side, at least 1.

    Returns:
        uint8 (H, W, 3), a new array.

    Raises:
        ValueError: image or mask of another shape, or `opacity` out of range.
    """
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[-1] != 3 or image.dtype != np.uint8:
        raise UsageError(f"`image` must be uint8 (height, width, 3), got {image.dtype} of shape {image.shape}.")
    if not 0 <= opacity <= 1:
        raise UsageError(f"`opacity` must be between 0 and 1, got {opacity}.")
    by_id = masks if isinstance(masks, Mapping) else dict(enumerate(masks, start=1))
    width = max(1, round(min(image.shape[:2]) / 240)) if outline is None else outline
    drawn = image.copy()
    for object_id, given in by_id.items():
        mask = np.asarray(given, dtype=bool)
        if mask.shape != image.shape[:2]:
            raise UsageError(f"`masks` must have the image's size {image.shape[:2]}, got {mask.shape} for {object_id}.")
        if mask.any():
            _draw(drawn, mask, np.array(object_colour(object_id)), opacity, width)
    return drawn


def overlay_labels(
    image: np.ndarray, labels: np.ndarray, *, opacity: float = 0.45, outline: int | None = None
) -> np.ndarray:
    """Draws the objects of a label map.

    Args:
        image: uint8 (H, W, 3).
        labels: integer (H, W), 0 = background, values above it are object ids.
        opacity, outline: see `overlay_masks`.

    Returns:
        uint8 (H, W, 3), a new array.

    Raises:
        ValueError: see `overlay_masks`.
    """
    labels = np.asarray(labels)
    ids = [int(value) for value in np.unique(labels) if value > 0]
    if labels.shape != np.asarray(image).shape[:2]:
        raise UsageError(f"`labels` must have the image's size {np.asarray(image).shape[:2]}, got {labels.shape}.")
    return overlay_masks(image, {value: labels == value for value in ids}, opacity=opacity, outline=outline)


def _draw(image: np.ndarray, mask: np.ndarray, colour: np.ndarray, opacity: float, outline: int) -> None:
    """Draws one mask in place, touching only the rectangle that it fills."""
    window = window_of(mask)
    inside, pixels = mask[window], image[window]
    tinted = (1 - opacity) * pixels[inside] + opacity * colour
    pixels[inside] = np.rint(tinted).astype(np.uint8)
    if outline > 0:
        # The surroundings are padded so that the rectangle's own border counts as the mask's border.
        core = ndimage.binary_erosion(np.pad(inside, 1), iterations=outline)[1:-1, 1:-1]
        pixels[inside & ~core] = colour


def contact_sheet(
    images: Sequence[np.ndarray],
    captions: Sequence[str] | None = None,
    *,
    columns: int | None = None,
    cell: tuple[int, int] = (320, 240),
) -> np.ndarray:
    """Lays pictures out side by side, each in a cell of the same size, with a caption below.

    Args:
        images: uint8 (H, W, 3) of any sizes; each is shrunk or enlarged to fit its cell, keeping its proportions.
        captions: one text for each picture; a text wider than its cell goes on in a second line and is cut there.
        columns: pictures in a row; default: all, up to 4.
        cell: (width, height) of a cell in pixels, without the caption.

    Returns:
        uint8 (H, W, 3), dark grey around the pictures.

    Raises:
        ValueError: no picture, or another number of captions.
    """
    if not len(images):
        raise UsageError("`images` must hold at least one picture, got none.")
    if captions is not None and len(captions) != len(images):
        raise UsageError(f"`captions` must hold one text for each of the {len(images)} pictures, got {len(captions)}.")
    columns = min(len(images), 4) if columns is None else columns
    if columns < 1:
        raise UsageError(f"`columns` must be 1 or more, got {columns}.")
    font = default_font(14)
    gap, line = 8, 18
    caption_height = 2 * line if captions is not None else 0
    cell_width, cell_height = cell
    rows = -(-len(images) // columns)
    sheet = Image.new(
        "RGB",
        (gap + columns * (cell_width + gap), gap + rows * (cell_height + caption_height + gap)),
        (32, 32, 32),
    )
    pen = ImageDraw.Draw(sheet)
    for index, picture in enumerate(images):
        row, column = divmod(index, columns)
        left, top = gap + column * (cell_width + gap), gap + row * (cell_height + caption_height + gap)
        fitted = _fit(Image.fromarray(np.asarray(picture)), cell)
        sheet.paste(fitted, (left + (cell_width - fitted.width) // 2, top + (cell_height - fitted.height) // 2))
        if captions is not None:
            for number, text in enumerate(wrapped(captions[index], font, cell_width)):
                pen.text((left, top + cell_height + number * line), text, fill=(235, 235, 235), font=font)
    return np.asarray(sheet)


def _fit(image: Image.Image, cell: tuple[int, int]) -> Image.Image:
    scale = min(cell[0] / image.width, cell[1] / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.LANCZOS)
