"""The annotated frames that a video session keeps for an object, and how those of several objects become one batch."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from ..references import ProjectedReferences, ProjectedTokens, References, ReferenceTokens, VisualFeatures


class ReferenceSlot:
    """Room for one annotated frame of one object, allocated once and overwritten in place.

    It holds what fusion needs before its projections: those have 2 * 2048 channels a token instead of 2 * 256, and
    making them anew costs 1 % of the attention that reads them. An object's memory therefore depends neither on what
    the video shows nor on how long it is.

    Attributes:
        frame_idx: which frame it holds; None while it is empty.
        keys: for every level (1, S, d), tokens in the padding left out.
        values: for every level (1, S, d).
        conditions: for every level (1, d).
    """

    def __init__(self, features: VisualFeatures, dtype: torch.dtype):
        self.frame_idx: int | None = None
        tokens = [int(mask.sum()) for mask in features.masks]
        channels, device = features.levels[0].shape[1], features.levels[0].device
        self.keys = [torch.zeros(1, count, channels, dtype=dtype, device=device) for count in tokens]
        self.values = [torch.zeros_like(keys) for keys in self.keys]
        self.conditions = [torch.zeros(1, channels, dtype=dtype, device=device) for _ in tokens]

    @classmethod
    def from_tensors(cls, tensors: list[Tensor], frame_idx: int | None) -> ReferenceSlot:
        """A slot that holds these tensors, in the order of `tensors()`."""
        slot = cls.__new__(cls)
        levels = len(tensors) // 3
        slot.frame_idx = frame_idx
        slot.keys, slot.values, slot.conditions = (tensors[part * levels : (part + 1) * levels] for part in range(3))
        return slot

    def write(self, references: References, entry: int, frame_idx: int) -> None:
        """Overwrite with entry `entry` of references to frame `frame_idx` (from `without_padding`)."""
        for level, tokens in enumerate(references.levels):
            self.keys[level].copy_(tokens.keys[entry if tokens.keys.shape[0] > 1 else 0])
            self.values[level].copy_(tokens.values[entry])
            self.conditions[level].copy_(tokens.condition[entry])
        self.frame_idx = frame_idx

    def tensors(self) -> list[Tensor]:
        return [*self.keys, *self.values, *self.conditions]


def without_padding(references: References, features: VisualFeatures) -> References:
    """The references to one frame without the tokens of its padding."""
    if features.padded is False:
        return references
    levels = []
    for tokens, mask in zip(references.levels, features.masks, strict=True):
        used = mask[0].flatten()
        levels.append(replace(tokens, keys=tokens.keys[:, used], values=tokens.values[:, used], valid=None))
    return References(references.kind, levels)


def join_slots(rows: list[list[ReferenceSlot]]) -> References:
    """The annotated frames of N objects as one reference with N entries.

    An object's frames are concatenated along the tokens and count the same in the condition. Where some objects have
    two frames and others one, that one is taken twice, which changes no weighted mean. Keys that all objects share
    (the same frames) have batch size 1.

    Args:
        rows: for every object its frames, one or two.
    """
    width = max(len(row) for row in rows)
    rows = [row if len(row) == width else row * width for row in rows]
    frames = [[slot.frame_idx for slot in row] for row in rows]
    key_rows = rows[:1] if all(row == frames[0] for row in frames) else rows
    levels = []
    for level in range(len(rows[0][0].keys)):
        keys = [torch.cat([slot.keys[level] for slot in row], dim=1) for row in key_rows]
        values = [torch.cat([slot.values[level] for slot in row], dim=1) for row in rows]
        conditions = [torch.cat([slot.conditions[level] for slot in row]).mean(0, keepdim=True) for row in rows]
        levels.append(ReferenceTokens(torch.cat(keys), torch.cat(values), None, torch.cat(conditions)))
    return References("mask", levels)


def stack_projected(references: list[ProjectedReferences]) -> ProjectedReferences:
    """Projected references of one entry each, of different lengths, as one with N entries."""
    if len(references) == 1:
        return references[0]
    done: dict[int, ProjectedTokens] = {}
    levels = []
    for tokens in zip(*(reference.levels for reference in references), strict=True):
        # All levels of sentences are one and the same object; the batch keeps that.
        if id(tokens[0]) not in done:
            done[id(tokens[0])] = _stack_tokens(tokens)
        levels.append(done[id(tokens[0])])
    return ProjectedReferences(references[0].kind, levels)


def _stack_tokens(entries: tuple[ProjectedTokens, ...]) -> ProjectedTokens:
    lengths = [tokens.keys.shape[2] for tokens in entries]
    longest = max(lengths)
    valid = None
    if min(lengths) < longest or any(tokens.valid is not None for tokens in entries):
        valid = torch.cat([_padded_validity(tokens, longest) for tokens in entries])
    return ProjectedTokens(
        torch.cat([_pad_tokens(tokens.keys, longest) for tokens in entries]),
        torch.cat([_pad_tokens(tokens.values, longest) for tokens in entries]),
        valid,
        torch.cat([tokens.condition for tokens in entries]),
    )


def _pad_tokens(heads: Tensor, length: int) -> Tensor:
    return F.pad(heads, (0, 0, 0, length - heads.shape[2]))


def _padded_validity(tokens: ProjectedTokens, length: int) -> Tensor:
    valid = tokens.valid
    if valid is None:
        valid = torch.ones(1, tokens.keys.shape[2], dtype=torch.bool, device=tokens.keys.device)
    return F.pad(valid, (0, length - valid.shape[1]))
