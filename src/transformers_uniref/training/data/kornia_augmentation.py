"""Colours, and the motions of pseudo-videos, by Kornia: pictures and masks together, several frames at a time.

Random numbers come from the sample's own generator, never from the process's, so a sample looks the same whichever
process or worker prepares it. Needs the package `kornia` (extra `train`), which does not need torchvision.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ...core.optional import require
from ..config.data import PseudoVideoConfig
from .geometry import Picture, cut

HUE_SHARE = 0.25


def _augmentations() -> Any:
    return require("kornia.augmentation", "train", "augmenting colours and making pseudo-videos")


def _run(module: Any, pictures: Sequence[Picture], rng: np.random.Generator) -> list[Picture]:
    """Pass equally large pictures through `module`, seeded by `rng`."""
    images = torch.from_numpy(np.stack([picture.image for picture in pictures])).permute(0, 3, 1, 2).float() / 255
    masks = torch.from_numpy(np.stack([picture.masks for picture in pictures])).float()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(int(rng.integers(2**31)))
        if masks.shape[1]:
            images, masks = module(images, masks, data_keys=["image", "mask"])
        else:
            images = module(images, data_keys=["image"])
    pixels = (images * 255).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
    found = (masks > 0.5).numpy()
    return [
        Picture(np.ascontiguousarray(image), mask, picture.boxes)
        for image, mask, picture in zip(pixels, found, pictures, strict=True)
    ]


def change_colours(pictures: Sequence[Picture], strength: float, rng: np.random.Generator) -> list[Picture]:
    """Random brightness, contrast, saturation and hue, the same in all pictures of equal size.

    Args:
        pictures: frames of one clip, or one picture.
        strength: largest change as a share, hue a quarter of it (of half a turn); 0 changes nothing.
    """
    if not strength:
        return list(pictures)
    augmentations = _augmentations()
    jitter = augmentations.ColorJiggle(
        strength, strength, strength, HUE_SHARE * min(strength, 1.0) / 2, p=1.0, same_on_batch=True
    )
    # Masks are not touched by colours: they stay out of the conversion.
    plain = [Picture(picture.image, picture.masks[:0], picture.boxes) for picture in pictures]
    changed = _run(augmentations.AugmentationSequential(jitter), plain, rng)
    return [Picture(new.image, old.masks, old.boxes) for new, old in zip(changed, pictures, strict=True)]


def pseudo_video(
    picture: Picture, config: PseudoVideoConfig, colour: float, rng: np.random.Generator
) -> tuple[Picture, Picture]:
    """Two frames out of one picture, each rotated, scaled, shifted, cut and coloured in its own way.

    What comes in from outside the picture is black. Objects may leave the second frame; where one leaves the first,
    the picture itself takes its place, since a reference has to show something.

    Args:
        config: how far.
        colour: see [`change_colours`].
    """
    augmentations = _augmentations()
    affine = augmentations.RandomAffine(
        degrees=config.rotation, translate=(config.shift, config.shift), scale=tuple(config.scale), p=1.0
    )
    steps = [affine]
    if colour:
        steps.append(augmentations.ColorJiggle(colour, colour, colour, HUE_SHARE * min(colour, 1.0) / 2, p=1.0))
    module = augmentations.AugmentationSequential(*steps, same_on_batch=False)
    first, second = (_cut(frame, config.crop, rng) for frame in _run(module, [picture, picture], rng))
    if not np.array_equal(first.masks.any((1, 2)), picture.masks.any((1, 2))):
        first = picture
    return first, second


def _cut(picture: Picture, least: float, rng: np.random.Generator) -> Picture:
    share = least + (1 - least) * rng.random()
    height, width = (max(1, int(side * share)) for side in picture.size)
    top, left = (int(rng.integers(side - new + 1)) for side, new in zip(picture.size, (height, width), strict=True))
    return cut(picture, (top, left, height, width))
