"""Samples to model inputs: padding, normalisation, tokens, labels, and which entry looks at which image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...core.mask_boxes import box_of
from ...processors.text import normalise_sentence
from .samples import Entry, Sample

MEAN = np.array([123.675, 116.28, 103.53], dtype=np.float32)
STD = np.array([58.395, 57.12, 57.375], dtype=np.float32)
PADDING_MULTIPLE = 32


@dataclass
class Batch:
    """One micro-batch.

    Attributes:
        inputs: keyword arguments of the model's forward, `labels` included.
        targets: (N, H, W) float 0/1 on the padded input; all zero where the target is absent.
        others: per entry (m, H, W) bool, the other objects of the image.
        tasks: per entry the name of its task.
        weight: factor of its loss.
        sample_ids: per entry which sample it comes from; empty when the source does not say.
        semantic: (B, H, W) int64 classes of the images' pixels, -1 where there is no label, and the folder of each
            image (B,); None where the source does not say.
    """

    inputs: dict[str, Any]
    targets: Tensor
    others: list[Tensor]
    tasks: list[str]
    weight: float = 1.0
    sample_ids: list[str] = field(default_factory=list)
    semantic: tuple[Tensor, Tensor] | None = None

    def to(self, device: torch.device | str) -> Batch:
        """A copy of the batch with its tensors on `device`."""

        def move(value: Any) -> Any:
            if isinstance(value, Tensor):
                return value.to(device, non_blocking=True)
            if isinstance(value, dict):
                return {name: move(part) for name, part in value.items()}
            if isinstance(value, list):
                return [move(part) for part in value]
            return value

        semantic = None if self.semantic is None else (move(self.semantic[0]), move(self.semantic[1]))
        return Batch(
            move(self.inputs), move(self.targets), move(self.others), self.tasks, self.weight, self.sample_ids, semantic
        )


def normalise_images(images: Sequence[np.ndarray], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Normalise uint8 (h, w, 3) images and zero-pad them right and below to `size`.

    Returns:
        pixel values (B, 3, H, W) float32 and pixel mask (B, H, W) int64, 1 = valid.
    """
    pixels = np.zeros((len(images), 3, *size), dtype=np.float32)
    valid = np.zeros((len(images), *size), dtype=np.int64)
    for position, image in enumerate(images):
        height, width = image.shape[:2]
        pixels[position, :, :height, :width] = ((image - MEAN) / STD).transpose(2, 0, 1)
        valid[position, :height, :width] = 1
    return torch.from_numpy(pixels), torch.from_numpy(valid)


def pad_masks(masks: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Zero-pad (..., h, w) masks right and below to `size`."""
    height, width = masks.shape[-2:]
    return np.pad(masks, [(0, 0)] * (masks.ndim - 2) + [(0, size[0] - height), (0, size[1] - width)])


def _semantic(samples: Sequence[Sample], size: tuple[int, int]) -> tuple[Tensor, Tensor] | None:
    maps = [sample.semantic for sample in samples]
    if any(one is None for one in maps):
        return None
    stacked = np.full((len(maps), *size), -1, np.int64)
    for position, one in enumerate(maps):
        assert one is not None
        stacked[position, : one.shape[0], : one.shape[1]] = one
    return torch.from_numpy(stacked), torch.tensor([sample.folder for sample in samples])


def mask_to_box(mask: np.ndarray) -> list[float]:
    """Box of a non-empty (h, w) mask: (cx, cy, w, h) as shares of its width and height (last index + 1)."""
    height, width = mask.shape
    x0, y0, x1, y1 = box_of(mask)
    return [(x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height]


def _padded_size(images: Sequence[np.ndarray], least: int) -> tuple[int, int]:
    height = max(least, *(image.shape[0] for image in images))
    width = max(least, *(image.shape[1] for image in images))
    return -(-height // PADDING_MULTIPLE) * PADDING_MULTIPLE, -(-width // PADDING_MULTIPLE) * PADDING_MULTIPLE


class Collator:
    """Turns samples that carry the same kind of references into one batch.

    Each image is encoded once however many entries ask about it (`image_indices`).

    Args:
        tokenizer: of the sentences.
        text_length: tokens of a sentence.
        least_side: pictures are padded to at least so many pixels in height and width, for models with a fixed input.
    """

    def __init__(self, tokenizer: Any, text_length: int, least_side: int = 0) -> None:
        self.tokenizer = tokenizer
        self.text_length = text_length
        self.least_side = least_side

    def __call__(
        self, samples: Sequence[Sample], weight: float = 1.0, full_resolution_masks: bool | None = None
    ) -> Batch:
        """One batch.

        Args:
            samples: at least one entry in all.
            weight: factor of the batch's loss.
            full_resolution_masks: passed on to the model where given.

        Raises:
            ValueError: the entries have references of different kinds or numbers.
        """
        entries = [entry for sample in samples for entry in sample.entries]
        images = [sample.image for sample in samples]
        size = _padded_size(images, self.least_side)
        pixel_values, pixel_mask = normalise_images(images, size)
        inputs: dict[str, Any] = {
            "pixel_values": pixel_values,
            "pixel_mask": pixel_mask,
            "image_indices": torch.tensor([i for i, sample in enumerate(samples) for _ in sample.entries]),
        }
        with_text = {entry.sentence is not None for entry in entries}
        shots = {0 if entry.reference_masks is None else len(entry.reference_masks) for entry in entries}
        if len(with_text) > 1 or len(shots) > 1:
            raise ValueError("samples: all entries of a batch need the same kind and number of references")
        if with_text == {True}:
            tokens = self.tokenizer(
                [normalise_sentence(entry.sentence) for entry in entries],  # type: ignore[arg-type]
                padding="max_length",
                truncation=True,
                max_length=self.text_length,
                return_tensors="pt",
            )
            inputs |= {"input_ids": tokens["input_ids"], "attention_mask": tokens["attention_mask"]}
        if shots != {0}:
            references = [image for entry in entries for image in entry.reference_images]  # type: ignore[union-attr]
            size_r = _padded_size(references, self.least_side)
            values, valid = normalise_images(references, size_r)
            (count,) = shots
            given = [mask for entry in entries for mask in entry.reference_masks]  # type: ignore[union-attr]
            masks = np.stack([pad_masks(mask, size_r) for mask in given]).reshape(len(entries), count, *size_r)
            inputs |= {
                "reference_pixel_values": values.unflatten(0, (len(entries), count)),
                "reference_pixel_mask": valid.unflatten(0, (len(entries), count)),
                "reference_masks": torch.from_numpy(masks.astype(np.float32)),
            }
        targets = torch.from_numpy(np.stack([pad_masks(entry.target, size) for entry in entries]).astype(np.float32))
        originals = [sample.original_size for sample in samples for _ in sample.entries]
        inputs["labels"] = [
            self._label(entry, target, original)
            for entry, target, original in zip(entries, targets, originals, strict=True)
        ]
        if full_resolution_masks is not None:
            inputs["full_resolution_masks"] = full_resolution_masks
        others = [torch.from_numpy(pad_masks(entry.others, size)) for entry in entries]
        ids = [entry.sample_id for entry in entries] if any(entry.sample_id for entry in entries) else []
        semantic = _semantic(samples, size)
        return Batch(inputs, targets, others, [entry.task for entry in entries], weight, ids, semantic)

    @classmethod
    def _label(cls, entry: Entry, padded: Tensor, original_size: tuple[int, int] | None) -> dict[str, Tensor]:
        label = cls._single(entry.target, padded) if entry.targets is None else cls._several(entry, padded)
        if original_size is not None:
            label["original_size"] = torch.tensor(original_size)
        return label

    @staticmethod
    def _several(entry: Entry, padded: Tensor) -> dict[str, Tensor]:
        targets = entry.targets
        assert targets is not None
        label = {
            "boxes": torch.from_numpy(targets.boxes.astype(np.float32)).reshape(-1, 4),
            "class_labels": torch.from_numpy(targets.class_labels.astype(np.int64)),
        }
        if targets.masks is not None:
            height, width = padded.shape
            label["masks"] = torch.from_numpy(pad_masks(targets.masks, (height, width)))
        return label

    @staticmethod
    def _single(mask: np.ndarray, padded: Tensor) -> dict[str, Tensor]:
        present = bool(mask.any())
        boxes = [mask_to_box(mask)] if present else []
        return {
            "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
            "masks": padded[None] if present else padded.new_zeros((0, *padded.shape)),
            "class_labels": torch.zeros(len(boxes), dtype=torch.long),
        }
