"""UniFusion with annotated frames that objects share: the schedule of a video session on a CPU.

Three identities, none of them an approximation, take most of the work away.

- Queries and keys of a mask reference do not depend on the object; only the values do. The attention map of an
  annotated frame is computed once and applied to the values of all objects that were annotated in it.
- With heads at least as wide as the model, projections need not be carried out on keys and values:
  (Wq x + bq) . (Wk y + bk) is (Wk^T (Wq x + bq)) . y plus a number that is the same for all keys, which the softmax
  takes away, and Wo sum_i a_i (Wv v_i + bv) is (Wo Wv) sum_i a_i v_i + Wo bv. Then all heads read the same keys and
  values, and the queries of all heads are the rows of one matrix product.
- Attention to the tokens of two frames is the mean of the attention to each, weighted by the sums of their
  exponentials.

The map exists for some hundred rows at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from transformers.utils.generic import maybe_autocast

from .matrix_products import rows_times
from .video.references import ReferenceSlot

# A part of the map, with its exponentials, should stay in a processor's cache.
_MAP_BYTES = 2**24


@dataclass
class SharedFrames:
    """The annotated frames of N objects.

    Attributes:
        frames: for every distinct frame, the objects (their number in 0..N-1) that were annotated in it, and what they
            keep of it.
        conditions: for every level (N, d), the mean over an object's frames.
    """

    kind: ClassVar[str] = "mask"

    frames: list[list[tuple[int, ReferenceSlot]]]
    conditions: list[Tensor]


@dataclass
class FoldedProjections:
    """The four projections of fusion as two.

    Attributes:
        query: (heads * d, d), with bias (heads * d,): normalised tokens to what is compared with normalised keys.
        output: (d, heads * d), with bias (d,): attended values of all heads to the fused vector.
    """

    query: Tensor
    query_bias: Tensor
    output: Tensor
    output_bias: Tensor


def share_frames(rows: list[list[ReferenceSlot]]) -> SharedFrames:
    """The frames of N objects, one or two each, by frame."""
    frames: dict[int | None, list[tuple[int, ReferenceSlot]]] = {}
    for entry, row in enumerate(rows):
        for slot in row:
            frames.setdefault(slot.frame_idx, []).append((entry, slot))
    levels = range(len(rows[0][0].conditions))
    conditions = [
        torch.cat([torch.cat([slot.conditions[level] for slot in row]).mean(0, keepdim=True) for row in rows])
        for level in levels
    ]
    return SharedFrames(list(frames.values()), conditions)


def can_fold(head_dim: int, projections: list[nn.Module]) -> bool:
    """Whether folding is possible (plain linear layers, no adapters, on a CPU) and saves work (wide heads)."""
    return all(
        type(linear) is nn.Linear and linear.weight.device.type == "cpu" and head_dim >= min(linear.weight.shape)
        for linear in projections
    )


def fold(
    heads: int, q_proj: nn.Linear, k_proj: nn.Linear, v_proj: nn.Linear, out_proj: nn.Linear, dtype: torch.dtype
) -> FoldedProjections:
    """Fold keys into queries and values into outputs, in double precision; the result is of type `dtype`."""
    with maybe_autocast(device_type=q_proj.weight.device.type, enabled=False):
        query, key, value = (
            linear.weight.double().unflatten(0, (heads, -1)) for linear in (q_proj, k_proj, v_proj)
        )  # (heads, head_dim, d)
        output = out_proj.weight.double().unflatten(1, (heads, -1)).transpose(0, 1)  # (heads, d, head_dim)
        scaled = key.transpose(1, 2) * query.shape[1] ** -0.5
        bias = q_proj.bias.double().unflatten(0, (heads, -1))
        return FoldedProjections(
            torch.bmm(scaled, query).flatten(0, 1).to(dtype),
            torch.bmm(scaled, bias[..., None]).flatten().to(dtype),
            torch.bmm(output, value).transpose(0, 1).flatten(1).to(dtype),
            (out_proj.weight.double() @ v_proj.bias.double() + out_proj.bias.double()).to(dtype),
        )


def attend_to_frames(
    tokens: Tensor, key_norm: nn.Module, folded: FoldedProjections, shared: SharedFrames, level: int
) -> Tensor:
    """Multi-head attention of one level's tokens to the annotated frames of every object.

    Args:
        tokens: (S, d) normalised visual tokens.
        key_norm: normalises keys.
        folded: the projections; their type is that of the arithmetic.
        shared: the frames of N objects.

    Returns:
        (N, S, d) in the type of `tokens`.
    """
    dtype, channels = folded.query.dtype, tokens.shape[1]
    heads, count = folded.query.shape[0] // channels, len(shared.conditions[level])
    keys, values, users = [], [], []
    for frame in shared.frames:
        keys.append(key_norm(frame[0][1].keys[level][0].to(tokens.dtype)).to(dtype))
        values.append(torch.cat([slot.values[level][0].to(dtype).t() for _, slot in frame]).contiguous())
        users.append([entry for entry, _ in frame])
    longest = max(len(key) for key in keys)
    step = max(16, _MAP_BYTES // (heads * longest * folded.query.element_size()) // 16 * 16)
    fused = tokens.new_empty(count, *tokens.shape)
    with maybe_autocast(device_type=tokens.device.type, enabled=False):
        for start in range(0, len(tokens), step):
            part = tokens[start : start + step].to(dtype)
            queries = rows_times(part, folded.query, folded.query_bias).view(-1, channels)
            maps = [_attend(queries, key, value) for key, value in zip(keys, values, strict=True)]
            attended = _mean_over_frames(maps, users, count, channels)
            fused[:, start : start + step] = rows_times(
                attended.view(count, len(part), heads * channels), folded.output, folded.output_bias
            )
    return fused


def _attend(queries: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """One frame: (R, n * d) sums of values weighted by exp(score - highest score), that score and the weights' sum."""
    scores = rows_times(queries, keys)
    highest = scores.amax(1, keepdim=True)
    weights = scores.sub_(highest).exp_()
    # A sum that changes the type would take longer than both products on a CPU; inside it adds in float32 anyway.
    return rows_times(weights, values), highest.float(), weights.sum(1, keepdim=True).float()


def _mean_over_frames(
    maps: list[tuple[Tensor, Tensor, Tensor]], users: list[list[int]], count: int, channels: int
) -> Tensor:
    """(N, R, d): for every object the softmax-weighted mean of the values in its frames."""
    frames_of = [tuple(index for index, entries in enumerate(users) if entry in entries) for entry in range(count)]
    shares: dict[tuple[int, ...], list[Tensor]] = {}
    for frames in set(frames_of):
        highest = torch.stack([maps[index][1] for index in frames])
        factors = (highest - highest.amax(0)).exp_()
        factors /= (factors * torch.stack([maps[index][2] for index in frames])).sum(0)
        shares[frames] = list(factors.to(maps[0][0].dtype))
    attended = maps[0][0].new_empty(count, len(maps[0][0]), channels)
    for entry, frames in enumerate(frames_of):
        for number, (index, share) in enumerate(zip(frames, shares[frames], strict=True)):
            place = users[index].index(entry) * channels
            sums = maps[index][0][:, place : place + channels]
            if number == 0:
                torch.mul(sums, share, out=attended[entry])
            else:
                attended[entry].addcmul_(sums, share)
    return attended
