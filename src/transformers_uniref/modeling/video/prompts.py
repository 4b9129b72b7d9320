"""What a session was asked for: sentences and masks of each object, from which frame on, also for frames to come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...core.errors import UsageError
from ...core.masks import fit_mask
from ..references import ProjectedReferences


@dataclass
class TextPrompt:
    """A sentence (1, L), a sound (1, ...) or both, looked for from a frame on; `reference` once the model encoded it.

    Where the model knows no word of it (`understood`), what it finds by the sentence alone does not pass a gate.
    """

    input_ids: Tensor | None
    attention_mask: Tensor | None
    understood: bool = True
    reference: ProjectedReferences | None = None
    audio_values: Tensor | None = None
    audio_mask: Tensor | None = None

    @classmethod
    def of_tokens(cls, input_ids: Tensor, attention_mask: Tensor | None, understood: bool) -> TextPrompt:
        """See `UniRefVideoSession.add_text`."""
        ids = torch.as_tensor(input_ids)
        ids = ids[None] if ids.dim() == 1 else ids
        if ids.dim() != 2 or ids.shape[0] != 1 or ids.shape[1] == 0 or ids.is_floating_point():
            raise UsageError(f"`input_ids` must be one sentence, integers (1, L); got {ids.dtype} {tuple(ids.shape)}.")
        valid = torch.ones_like(ids) if attention_mask is None else torch.as_tensor(attention_mask).reshape(1, -1)
        if valid.shape != ids.shape or not bool(valid.any()):
            raise UsageError(
                f"`attention_mask` must have the shape {tuple(ids.shape)} of `input_ids` and a token that counts; got "
                f"{tuple(valid.shape)}."
            )
        return cls(ids.cpu(), valid.cpu(), understood)

    @property
    def said(self) -> tuple[Tensor | None, ...]:
        """What `encode_said` of a model takes."""
        return self.input_ids, self.attention_mask, self.audio_values, self.audio_mask

    def tensors(self) -> Iterator[Tensor]:
        yield from (tensor for tensor in self.said if tensor is not None)
        for tokens in [] if self.reference is None else self.reference.levels:
            yield from (tokens.keys, tokens.values, tokens.condition)
            if tokens.valid is not None:
                yield tokens.valid


@dataclass
class PointPrompt:
    """Where an object is in a frame: points (1, P, 2), labels (1, P) and boxes (1, 4), as the model takes them."""

    points: Tensor
    labels: Tensor
    boxes: Tensor


@dataclass
class ObjectPrompts:
    """What the user said about an object: sentences, masks and clicks, by frame.

    Clicks wait for their frame, in which the model turns them into a mask, which takes their place.
    """

    texts: dict[int, TextPrompt] = field(default_factory=dict)
    masks: dict[int, Tensor] = field(default_factory=dict)
    points: dict[int, PointPrompt] = field(default_factory=dict)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({"points": {}, **state})  # a pickle may be older than clicks

    def text_at(self, frame_idx: int, reverse: bool) -> TextPrompt | None:
        """The sentence in force: the latest that was given for this frame or an earlier one.

        Going back in time there is no "from then on": before the first sentence's frame that sentence holds.
        """
        started = [index for index in self.texts if index <= frame_idx]
        if started:
            return self.texts[max(started)]
        return self.texts[min(self.texts)] if reverse and self.texts else None

    def forget_before(self, frame_idx: int) -> None:
        """Drop what a stream that has arrived at `frame_idx` cannot need any more."""
        self.masks = {index: mask for index, mask in self.masks.items() if index >= frame_idx}
        self.points = {index: points for index, points in self.points.items() if index >= frame_idx}
        started = [index for index in self.texts if index <= frame_idx]
        for index in sorted(started)[:-1]:
            del self.texts[index]


class Prompts(dict[int, ObjectPrompts]):
    """What was said about each object, by its id."""

    def of(self, obj_id: int) -> ObjectPrompts:
        """Those of an object, which may be new."""
        return self.setdefault(obj_id, ObjectPrompts())

    def masks_at(self, frame_idx: int, video_size: tuple[int, int]) -> dict[int, Tensor]:
        """The masks that are given in a frame, by ascending id, at the size of the frames."""
        given = {obj_id: prompts.masks.get(frame_idx) for obj_id, prompts in sorted(self.items())}
        return {obj_id: fitted(mask, video_size, "mask") for obj_id, mask in given.items() if mask is not None}

    def points_at(self, frame_idx: int) -> dict[int, PointPrompt]:
        """What points at objects in a frame, by ascending id."""
        given = {obj_id: prompts.points.get(frame_idx) for obj_id, prompts in sorted(self.items())}
        return {obj_id: points for obj_id, points in given.items() if points is not None}

    def texts_at(self, frame_idx: int, reverse: bool) -> dict[int, TextPrompt]:
        """The sentences in force in a frame, by object."""
        texts = {obj_id: prompts.text_at(frame_idx, reverse) for obj_id, prompts in self.items()}
        return {obj_id: text for obj_id, text in texts.items() if text is not None}

    def nearest_given(self, frame_idx: int, reverse: bool) -> dict[int, list[int]]:
        """For each frame before `frame_idx`, the objects whose last mask on the way there is given in it."""
        found: dict[int, list[int]] = {}
        for obj_id, prompts in self.items():
            given = {*prompts.masks, *prompts.points}
            passed = [index for index in given if (index > frame_idx if reverse else index < frame_idx)]
            if passed:
                found.setdefault(min(passed) if reverse else max(passed), []).append(obj_id)
        return found

    def tensors(self) -> Iterator[Tensor]:
        for prompts in self.values():
            yield from prompts.masks.values()
            for pointed in prompts.points.values():
                yield from (pointed.points, pointed.labels, pointed.boxes)
            for text in prompts.texts.values():
                yield from text.tensors()


def fitted(mask: Tensor, size: tuple[int, int] | None, name: str) -> Tensor:
    """A mask at the size of the frames, as far as that is known; a small difference is resized with a warning."""
    if size is None or tuple(mask.shape) == size:
        return mask
    return torch.from_numpy(np.ascontiguousarray(fit_mask(mask.cpu().numpy(), size, name)))
