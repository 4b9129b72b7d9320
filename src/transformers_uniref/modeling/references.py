"""What flows between the parts of the model: visual features, reference tokens, and the tokens ready for fusion.

A reference, whatever its modality, is for every pyramid level a set of keys with values, a validity mask and one pooled
condition vector. Fusion knows nothing else about it, so a new modality is one new encoder that returns `References`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass
class VisualFeatures:
    """What a visual encoder sees in a batch of B images, before any reference acts on it.

    Attributes:
        stride4: (B, C2, H/4, W/4) raw first stage of the backbone; None where there is none (SAM).
        levels: maps (B, d, H/s, W/s), s of `config.feature_strides`: 8, 16, 32, 64, or 16 alone (SAM).
        masks: bool maps (B, H/s, W/s), True where a token counts as image (False: padding).
        positions: maps (B or 1, d, H/s, W/s), position embedding.
        pixel_values: (B, 3, H, W) the normalised images themselves; the value encoder reads them.
        pixel_mask: (B, H, W) bool, True where the image is.
        padded: whether any token is padding by `masks`; None when that may not be asked (tracing).
    """

    stride4: Tensor | None
    levels: list[Tensor]
    masks: list[Tensor]
    positions: list[Tensor]
    pixel_values: Tensor
    pixel_mask: Tensor
    padded: bool | None

    @property
    def image_sizes(self) -> Tensor:
        """(B, 2) height and width of the valid area of every image, in pixels."""
        return torch.stack([self.pixel_mask.any(2).sum(1), self.pixel_mask.any(1).sum(1)], dim=1)

    @property
    def shapes(self) -> list[tuple[int, int]]:
        return [(level.shape[-2], level.shape[-1]) for level in self.levels]


@dataclass
class ReferenceTokens:
    """One level of a reference: keys (N, S, d), values (N, S, d), valid (N, S) bool or None (all), condition (N, d)."""

    keys: Tensor
    values: Tensor
    valid: Tensor | None
    condition: Tensor


@dataclass
class References:
    """A reference for N entries: its tokens at every level, and its kind (`"language"`, `"mask"` or `"point"`).

    A sound takes the place of a sentence, and is of its kind. The levels of both are one and the same object, so that
    work on it is done once. `query_positions`, of a reference whose keys know where they are: for each level
    (B or 1, S, d), what is added to the queries of the images.
    """

    kind: str
    levels: list[ReferenceTokens]
    query_positions: list[Tensor] | None = None


@dataclass
class ProjectedTokens:
    """`ReferenceTokens` after the key and value projections: keys and values (N, heads, S, head_dim).

    A reference that is used again (the first frame of a clip) is projected once. `kept` (S',) tells which of the
    reference's tokens the S are; None: all, or not known any more.
    """

    keys: Tensor
    values: Tensor
    valid: Tensor | None
    condition: Tensor
    kept: Tensor | None = None


@dataclass
class ProjectedReferences:
    """`References` ready for fusion."""

    kind: str
    levels: list[ProjectedTokens]
    query_positions: list[Tensor] | None = None

    @property
    def conditions(self) -> list[Tensor]:
        """For every level (N, d)."""
        return [tokens.condition for tokens in self.levels]

    def select(self, index: Tensor) -> ProjectedReferences:
        """The entries `index` (M,) of the N entries, in that order."""

        def pick(tokens: ProjectedTokens) -> ProjectedTokens:
            return ProjectedTokens(
                tokens.keys[index] if tokens.keys.shape[0] > 1 else tokens.keys,
                tokens.values[index],
                None if tokens.valid is None else tokens.valid[index],
                tokens.condition[index],
                tokens.kept,
            )

        return ProjectedReferences(self.kind, map_levels(self.levels, pick), self.query_positions)


def pad_to(tensor: Tensor, size: Sequence[int]) -> Tensor:
    """(..., h, w) with zeros at the right and below, of size (..., *size)."""
    bottom, right = size[0] - tensor.shape[-2], size[1] - tensor.shape[-1]
    return tensor if bottom == right == 0 else F.pad(tensor, (0, right, 0, bottom))


def map_levels(levels: list, function) -> list:
    """`function` of every level, computed once for levels that are the same object."""
    done: dict[int, object] = {}
    for level in levels:
        if id(level) not in done:
            done[id(level)] = function(level)
    return [done[id(level)] for level in levels]


def joined(first: References, second: References) -> References:
    """Two references for the same entries that speak of one object, such as a sentence and a sound, as one."""

    def join(pair: tuple[ReferenceTokens, ReferenceTokens]) -> ReferenceTokens:
        keys, values = (torch.cat([getattr(one, name) for one in pair], 1) for name in ("keys", "values"))
        valid = [torch.ones_like(one.keys[..., 0]).bool() if one.valid is None else one.valid for one in pair]
        return ReferenceTokens(keys, values, torch.cat(valid, 1), (pair[0].condition + pair[1].condition) / 2)

    pairs = zip(first.levels, second.levels, strict=True)
    done: dict[tuple[int, int], ReferenceTokens] = {}
    levels = [done.setdefault((id(one), id(other)), join((one, other))) for one, other in pairs]
    return References(first.kind, levels)


def merge_shots(references: References, shots: int) -> References:
    """References of N * K examples, example-major, become references of N entries with K examples each.

    Tokens are concatenated along the token axis, the condition is the mean of the K condition vectors.
    """
    if shots == 1:
        return references

    def merge(tokens: ReferenceTokens) -> ReferenceTokens:
        return replace(
            tokens,
            keys=tokens.keys.unflatten(0, (-1, shots)).flatten(1, 2),
            values=tokens.values.unflatten(0, (-1, shots)).flatten(1, 2),
            valid=None if tokens.valid is None else tokens.valid.unflatten(0, (-1, shots)).flatten(1, 2),
            condition=tokens.condition.unflatten(0, (-1, shots)).mean(1),
        )

    return References(references.kind, map_levels(references.levels, merge))
