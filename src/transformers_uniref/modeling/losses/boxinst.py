"""Mask supervision from boxes alone (BoxInst), for detection data that has no masks.

Two terms: the projections of the mask on both axes have to fill the box (projection term), and neighbouring pixels of
similar colour have to get the same label (pairwise term).
"""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from ...core.box_formats import to_corners

STRIDE: Final = 4  # masks are predicted at a quarter of the image
KERNEL_SIZE: Final = 3
DILATION: Final = 2
SIMILARITY_THRESHOLD: Final = 0.3
BOTTOM_ROWS: Final = 10  # of the original image, ignored: pictures from the web often carry a caption there

_CENTRE: Final = KERNEL_SIZE * KERNEL_SIZE // 2
# sRGB primaries and the D65 white point (2 degree observer), CIE 15
_RGB_TO_XYZ: Final = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
_WHITE: Final = (0.95047, 1.0, 1.08883)


def rgb_to_lab(rgb: Tensor) -> Tensor:
    """CIE 1976 L*a*b* under D65 of sRGB colours.

    Args:
        rgb: (..., 3, H, W) float, range 0-255.

    Returns:
        Same shape, L in 0-100, a and b about -128 to 128.
    """
    scaled = rgb / 255
    linear = torch.where(scaled > 0.04045, ((scaled + 0.055) / 1.055) ** 2.4, scaled / 12.92)
    matrix = rgb.new_tensor(_RGB_TO_XYZ) / rgb.new_tensor(_WHITE).unsqueeze(1)
    # not a matrix product: autocast would run it in half precision
    xyz = (matrix[:, :, None, None] * linear.unsqueeze(-4)).sum(-3)
    x, y, z = torch.where(xyz > 0.008856, xyz.clamp(min=1e-12) ** (1 / 3), 7.787 * xyz + 16 / 116).unbind(-3)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=-3)


def neighbours(values: Tensor) -> Tensor:
    """The 8 dilated neighbours of every pixel, zero outside the map.

    Args:
        values: (B, C, h, w).

    Returns:
        (B, C, 8, h, w), row-major order of the neighbours.
    """
    batch, channels, height, width = values.shape
    padding = (KERNEL_SIZE + (DILATION - 1) * (KERNEL_SIZE - 1)) // 2
    patches = F.unfold(values, kernel_size=KERNEL_SIZE, padding=padding, dilation=DILATION)
    patches = patches.view(batch, channels, KERNEL_SIZE**2, height, width)
    return torch.cat([patches[:, :, :_CENTRE], patches[:, :, _CENTRE + 1 :]], dim=2)


def valid_pixels(size: tuple[int, int], image_sizes: Tensor, original_heights: Tensor) -> Tensor:
    """1 inside every image but for its bottom rows, 0 there and in the padding.

    Args:
        size: padded height and width.
        image_sizes: (N, 2) whole numbers, height and width of the unpadded network inputs.
        original_heights: (N,) whole numbers, heights of the images before resizing.

    Returns:
        (N, H, W) float. The ignored rows are int(10 * height / original height).
    """
    heights, widths = image_sizes[:, 0], image_sizes[:, 1]
    ignored = BOTTOM_ROWS * heights // original_heights
    rows = torch.arange(size[0], device=image_sizes.device) < (heights - ignored).unsqueeze(1)
    columns = torch.arange(size[1], device=image_sizes.device) < widths.unsqueeze(1)
    return (rows.unsqueeze(2) & columns.unsqueeze(1)).float()


def color_similarity(images: Tensor, image_sizes: Tensor, original_heights: Tensor) -> Tensor:
    """Colour similarity of every pixel at stride 4 with its 8 neighbours: exp(-0.5 * |Lab difference|).

    The image is averaged over 4x4 blocks, truncated to whole numbers, and its channels are read in reverse order (the
    released training converts RGB as if it were BGR; kept so that the thresholded pairs are the same). A neighbour in
    the padding, outside the map or in the ignored bottom rows has similarity 0.

    Args:
        images: (N, 3, H, W) RGB, 0-255, zero in the padding; H and W are multiples of 4.
        image_sizes: (N, 2) unpadded height and width.
        original_heights: (N,) heights before resizing.

    Returns:
        (N, 8, H/4, W/4), range 0-1.
    """
    pooled = F.avg_pool2d(images.float(), STRIDE).floor()
    lab = rgb_to_lab(pooled.flip(1))
    distance = (lab.unsqueeze(2) - neighbours(lab)).norm(dim=1)
    valid = valid_pixels((images.shape[-2], images.shape[-1]), image_sizes, original_heights)
    start = STRIDE // 2
    valid_neighbours = neighbours(valid[:, None, start::STRIDE, start::STRIDE])[:, 0]
    return torch.exp(-0.5 * distance) * valid_neighbours


def box_masks(boxes: Tensor, image_sizes: Tensor, size: tuple[int, int]) -> Tensor:
    """Filled boxes at full resolution: rows int(y0) to int(y1 + 1) exclusive, columns alike.

    Args:
        boxes: (M, 4) cxcywh relative to the unpadded image.
        image_sizes: (M, 2) unpadded height and width of each box's image.
        size: padded height and width.

    Returns:
        (M, H, W) float, 0 or 1.
    """
    centre_size = boxes * image_sizes.flip(1).repeat(1, 2)
    low, high = to_corners(centre_size).split(2, dim=-1)
    # whole coordinates come back from their float32 fractions a little too low and would lose a pixel without it
    margin = 1e-3
    first, last = (low + margin).floor(), (high + 1 + margin).floor()
    rows = torch.arange(size[0], device=boxes.device)
    columns = torch.arange(size[1], device=boxes.device)
    inside_rows = (rows >= first[:, 1:]) & (rows < last[:, 1:])
    inside_columns = (columns >= first[:, :1]) & (columns < last[:, :1])
    return (inside_rows.unsqueeze(2) & inside_columns.unsqueeze(1)).float()


def _squared_dice(predicted: Tensor, target: Tensor, eps: float = 1e-5) -> Tensor:
    overlap = (predicted * target).sum(1)
    return 1 - 2 * overlap / (predicted.square().sum(1) + target.square().sum(1) + eps)


def projection_loss(logits: Tensor, boxes: Tensor) -> Tensor:
    """Dice between the row and column maxima of the mask and those of the box (`loss_prj`).

    Args:
        logits: (M, h, w) mask logits.
        boxes: (M, h, w) filled boxes, 0 or 1.

    Returns:
        (M,), in [0, 2].
    """
    probability = logits.sigmoid()
    return _squared_dice(probability.amax(2), boxes.amax(2)) + _squared_dice(probability.amax(1), boxes.amax(1))


def pairwise_loss(logits: Tensor, boxes: Tensor, similarity: Tensor) -> Tensor:
    """-log P(a pixel and its neighbour have the same label), mean over the similar pairs inside the boxes.

    Args:
        logits: (M, h, w) mask logits.
        boxes: (M, h, w) filled boxes, 0 or 1.
        similarity: (M, 8, h, w) from `color_similarity`; pairs below 0.3 are not counted.

    Returns:
        Scalar, without the warm-up factor.
    """
    foreground, background = F.logsigmoid(logits).unsqueeze(1), F.logsigmoid(-logits).unsqueeze(1)
    both_foreground = foreground + neighbours(foreground)[:, 0]
    both_background = background + neighbours(background)[:, 0]
    losses = -torch.logaddexp(both_foreground, both_background)
    weights = (similarity >= SIMILARITY_THRESHOLD).to(losses.dtype) * boxes.unsqueeze(1)
    return (losses * weights).sum() / weights.sum().clamp(min=1)
