"""A training-only loss that makes the queries and keys of the language fusion agree on what a sentence means.

A tiny model with random weights finds objects long before it listens to sentences: attention from pixels to words says
nothing until both sides share a space, and nothing asks them to. Here the fusion's own projections are asked: averaged
over an object, the queries must agree with the sentence's keys more than those of the other objects of the scene do. No
parameter is added, so nothing of it is in a saved model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass
class FusionRecord:
    """What passed the fusion's projections in one forward pass: queries (B, S, inner) by level, keys (N, L, inner)."""

    queries: list[Tensor] = field(default_factory=list)
    keys: list[Tensor] = field(default_factory=list)


@contextmanager
def recorded_fusion(fusion: nn.Module) -> Iterator[FusionRecord]:
    """Record the outputs of `fusion.q_proj` and `fusion.k_proj` inside the block."""
    record = FusionRecord()
    handles = [
        fusion.get_submodule("q_proj").register_forward_hook(lambda _, __, output: record.queries.append(output)),
        fusion.get_submodule("k_proj").register_forward_hook(lambda _, __, output: record.keys.append(output)),
    ]
    try:
        yield record
    finally:
        for handle in handles:
            handle.remove()


def alignment_loss(
    record: FusionRecord,
    head_dim: int,
    shapes: Sequence[tuple[int, int]],
    attention_mask: Tensor,
    image_indices: Tensor,
    targets: Tensor,
    others: Sequence[Tensor],
) -> tuple[Tensor, Tensor]:
    """Cross entropy of choosing the referred object among the objects of its scene, mean over entries and levels.

    An object's score is the attention logit, summed over heads, of its mean query with the sentence's mean key.

    Args:
        record: of a forward pass with sentences only, N entries on B images.
        head_dim: width of an attention head.
        shapes: (h, w) of the levels to use, finest first.
        attention_mask: (N, L), 1 for real tokens.
        image_indices: (N,) image of every entry.
        targets: (N, H, W) 0/1, the referred object; all zero where it is absent (such entries are left out).
        others: per entry (m, H, W), the other objects.

    Returns:
        loss and share of right choices (scalars); zeros when no entry offers a choice.
    """
    keys = record.keys[0].float()
    valid = attention_mask[:, : keys.shape[1], None].to(keys)
    sentence = (keys * valid).sum(1) / valid.sum(1)
    asked = [n for n in range(len(targets)) if bool(targets[n].any()) and len(others[n])]
    if not asked:
        return keys.sum() * 0, keys.new_zeros(())
    most = 1 + max(len(others[n]) for n in asked)
    masks = targets.new_zeros(len(asked), most, *targets.shape[1:])
    for row, n in enumerate(asked):
        masks[row, 0] = targets[n]
        masks[row, 1 : 1 + len(others[n])] = others[n].to(masks.dtype)
    index = torch.tensor(asked, device=keys.device)
    wanted = torch.zeros(len(asked), dtype=torch.long, device=keys.device)
    loss, right = keys.new_zeros(()), keys.new_zeros(())
    for queries, shape in zip(record.queries, shapes, strict=False):
        weights = F.adaptive_avg_pool2d(masks, shape).flatten(2)  # (n, objects, S)
        area = weights.sum(-1, keepdim=True)
        pooled = weights @ queries.float()[image_indices[index]] / area.clamp(min=1e-6)
        logits = (pooled * sentence[index][:, None]).sum(-1) * head_dim**-0.5
        logits = logits.masked_fill(area[..., 0] == 0, float("-inf"))
        loss = loss + F.cross_entropy(logits, wanted) / len(shapes)
        right = right + (logits.argmax(1) == 0).float().mean() / len(shapes)
    return loss, right.detach()


def example_alignment_loss(
    record: FusionRecord,
    head_dim: int,
    shapes: Sequence[tuple[int, int]],
    reference_masks: Tensor,
    image_indices: Tensor,
    targets: Tensor,
) -> tuple[Tensor, Tensor]:
    """Cross entropy of choosing, for every target object, its own examples among those of the whole batch.

    The score is the attention logit, summed over heads, of the object's mean query with the examples' mean key inside
    their masks. Objects of one category may differ in everything but shape, so this asks for features of shape.

    Args:
        record: of a forward pass with unpadded mask references only, N entries on B images.
        head_dim: width of an attention head.
        shapes: (h, w) of the levels to use, finest first, equal for images and examples.
        reference_masks: (N, K, H, W) 0/1.
        image_indices: (N,) image of every entry.
        targets: (N, H, W) 0/1; entries whose object is absent do not choose.

    Returns:
        loss and share of right choices (scalars); zeros when no entry chooses.
    """
    asked = targets.flatten(1).any(1).nonzero()[:, 0]
    if not len(asked):
        return record.keys[0].sum() * 0, targets.new_zeros(())
    loss, right = targets.new_zeros(()), targets.new_zeros(())
    for queries, keys, shape in zip(record.queries, record.keys, shapes, strict=False):
        inside = F.adaptive_avg_pool2d(reference_masks.float(), shape).flatten(1)[:, None]  # (N, 1, K * S)
        examples = (inside @ keys.float())[:, 0] / inside.sum(-1).clamp(min=1e-6)
        weights = F.adaptive_avg_pool2d(targets[asked][:, None].float(), shape).flatten(2)
        objects = (weights @ queries.float()[image_indices[asked]])[:, 0] / weights.sum(-1).clamp(min=1e-6)
        logits = objects @ examples.T * head_dim**-0.5
        loss = loss + F.cross_entropy(logits, asked) / len(shapes)
        right = right + (logits.argmax(1) == asked).float().mean() / len(shapes)
    return loss, right.detach()
