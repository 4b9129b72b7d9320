"""Samples to model inputs, made as the processor makes them, and which entry looks at which image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from ...core.errors import UsageError
from ...processors.image_processing_uniref import UniRefImageProcessorPil
from ...processors.log_mel import sound_tensors
from ...processors.targets import pad_masks, relative_boxes
from ...processors.text import normalise_sentence, padded_tokens
from ...worlds.drawn.sound import SAMPLING_RATE
from ...worlds.pointing import together
from .samples import Entry, Sample, Targets


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
            return type(value)(map(move, value)) if isinstance(value, (list, tuple)) else value

        moved = {name: move(getattr(self, name)) for name in ("inputs", "targets", "others", "semantic")}
        return replace(self, **moved)


def _semantic(samples: Sequence[Sample], size: tuple[int, int]) -> tuple[Tensor, Tensor] | None:
    maps = [sample.semantic for sample in samples]
    if any(one is None for one in maps):
        return None
    stacked = np.full((len(maps), *size), -1, np.int64)
    for position, one in enumerate(maps):
        assert one is not None
        stacked[position, : one.shape[0], : one.shape[1]] = one
    return torch.from_numpy(stacked), torch.tensor([sample.folder for sample in samples])


class Collator:
    """Turns samples that carry the same kind of references into one batch.

    Each image is encoded once however many entries ask about it (`image_indices`).

    Args:
        text_length: tokens of a sentence.
        least_side: pictures are padded to at least so many pixels in height and width, for models with a fixed input.
        audio_extractor: of the model's processor, or None for a model that hears nothing.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, text_length: int, least_side: int = 0, audio_extractor: Any = None
    ) -> None:
        self.image_processor = UniRefImageProcessorPil(do_resize=False)
        self.tokenizer = tokenizer
        self.text_length = text_length
        self.least_side = least_side
        self.audio_extractor = audio_extractor

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
        pixel_values, pixel_mask = self._pictures([sample.image for sample in samples])
        size = (pixel_mask.shape[1], pixel_mask.shape[2])
        inputs: dict[str, Any] = {
            "pixel_values": pixel_values,
            "pixel_mask": pixel_mask,
            "image_indices": torch.tensor([i for i, sample in enumerate(samples) for _ in sample.entries]),
        }
        with_text = {entry.sentence is not None for entry in entries}
        sounds = [entry.sound for entry in entries if entry.sound is not None]
        shots = {0 if entry.reference_masks is None else len(entry.reference_masks) for entry in entries}
        if len(with_text) > 1 or len(shots) > 1 or len(sounds) not in (0, len(entries)):
            raise UsageError("samples: all entries of a batch need the same kind and number of references")
        if with_text == {True}:
            sentences = [normalise_sentence(entry.sentence) for entry in entries if entry.sentence is not None]
            tokens = padded_tokens(sentences, self.tokenizer, self.text_length)
            inputs |= {name: torch.from_numpy(ids) for name, ids in tokens.items()}
        if sounds:
            inputs |= sound_tensors(self.audio_extractor, sounds, SAMPLING_RATE)
        if shots != {0}:
            references = [image for entry in entries for image in entry.reference_images]  # type: ignore[union-attr]
            values, valid = self._pictures(references)
            (count,) = shots
            given = [mask for entry in entries for mask in entry.reference_masks]  # type: ignore[union-attr]
            masks = np.stack([pad_masks(mask, (valid.shape[1], valid.shape[2])) for mask in given])
            inputs |= {
                "reference_pixel_values": values.unflatten(0, (len(entries), count)),
                "reference_pixel_mask": valid.unflatten(0, (len(entries), count)),
                "reference_masks": torch.from_numpy(masks.astype(np.float32)).unflatten(0, (len(entries), count)),
            }
        pointed = [entry.pointed for entry in entries if entry.pointed is not None]
        if pointed and len(pointed) < len(entries):
            raise UsageError("samples: all entries of a batch need the same kind and number of references")
        if pointed:
            inputs |= {name: torch.from_numpy(part) for name, part in together(pointed).items()}
        targets = torch.from_numpy(np.stack([pad_masks(entry.target, size) for entry in entries]).astype(np.float32))
        inputs["labels"] = _labels(samples, size)
        if full_resolution_masks is not None:
            inputs["full_resolution_masks"] = full_resolution_masks
        others = _together([pad_masks(entry.others, size) for entry in entries])
        ids = [entry.sample_id for entry in entries] if any(entry.sample_id for entry in entries) else []
        semantic = _semantic(samples, size)
        return Batch(inputs, targets, others, [entry.task for entry in entries], weight, ids, semantic)

    def _pictures(self, images: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
        """uint8 (h, w, 3) -> normalised and padded (B, 3, H, W) float32, and (B, H, W) int64, 1 = valid."""
        least = None
        if self.least_side:
            sides = zip(*(image.shape[:2] for image in images), strict=True)
            least = dict(zip(("height", "width"), (max(self.least_side, *side) for side in sides), strict=True))
        made = self.image_processor(list(images), input_data_format="channels_last", pad_size=least)
        return made["pixel_values"], made["pixel_mask"]


def _labels(samples: Sequence[Sample], size: tuple[int, int]) -> list[dict[str, Tensor]]:
    """Per entry the model's target, with masks padded to `size`."""
    answers = [_answer(entry) for sample in samples for entry in sample.entries]
    boxes = _together([answer.boxes.astype(np.float32).reshape(-1, 4) for answer in answers])
    classes = _together([answer.class_labels.astype(np.int64) for answer in answers])
    labels = [{"boxes": own, "class_labels": of} for own, of in zip(boxes, classes, strict=True)]
    masked = [(label, answer.masks) for label, answer in zip(labels, answers, strict=True) if answer.masks is not None]
    for (label, _), masks in zip(masked, _together([pad_masks(masks, size) for _, masks in masked]), strict=True):
        label["masks"] = masks
    entries = [entry for sample in samples for entry in sample.entries]
    unsure = [
        (label, entry.certainty) for label, entry in zip(labels, entries, strict=True) if entry.certainty is not None
    ]
    # At the size of the picture, as its boxes are relative to it.
    for label, given in unsure:
        label["certainty"] = torch.from_numpy(given)
    originals = [sample.original_size for sample in samples for _ in sample.entries]
    for label, original in zip(labels, originals, strict=True):
        if original is not None:
            label["original_size"] = torch.tensor(original)
    return labels


def _answer(entry: Entry) -> Targets:
    """Several objects as their source gives them, otherwise that of the entry's mask; none where it is empty."""
    if entry.targets is not None:
        return entry.targets
    masks = entry.target[None][: int(entry.target.any())]
    return Targets(relative_boxes(masks), np.zeros(len(masks), np.int64), masks)


def _together(parts: Sequence[np.ndarray]) -> list[Tensor]:
    """Arrays (n, ...) as tensors in one piece of memory: a loader process shares each piece by a file of its own."""
    return list(torch.from_numpy(np.concatenate(parts)).split([len(part) for part in parts])) if parts else []
