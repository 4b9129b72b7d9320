"""Video object segmentation in the order in which the released UniRef++ code does it, from this package's modules.

Nothing is shared between objects or kept over frames: a frame passes the visual encoder once as a reference and once
more for every object; keys and values of both references are projected anew; the masks of all queries are decoded and
brought to full size before one of them is taken; deformable attention samples with `grid_sample`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest import mock

import torch
from torch import Tensor
from torch.nn import functional as F

from transformers_uniref.modeling import deformable_attention, deformable_transformer, fusion
from transformers_uniref.modeling.mask_head import aligned_upsample
from transformers_uniref.modeling.modeling_uniref import UniRefModel
from transformers_uniref.modeling.references import References, ReferenceTokens
from transformers_uniref.modeling.video.merging import merge_masks


@contextmanager
def plain_modules() -> Iterator[None]:
    """The modules without this package's short cuts: `grid_sample`, and linear layers as PyTorch runs them."""
    with ExitStack() as patches:
        patches.enter_context(
            mock.patch.object(deformable_attention, "sample_values", deformable_attention.sample_with_grid_sample)
        )
        for module in (deformable_attention, fusion):
            patches.enter_context(mock.patch.object(module, "apply_linear", lambda linear, x: linear(x)))
        patches.enter_context(mock.patch.object(deformable_transformer, "feed_forward", _feed_forward))
        yield


def _feed_forward(x: Tensor, first: torch.nn.Module, second: torch.nn.Module) -> Tensor:
    return second(F.relu(first(x)))


class ReleasedSchedule:
    """Follows objects that are given by masks.

    Args:
        model: the modules.
        threshold: score that an object has to exceed.
    """

    def __init__(self, model: UniRefModel, threshold: float):
        self.model = model
        self.threshold = threshold
        self.initial: dict[int, References] = {}
        self.previous: dict[int, References] = {}

    @torch.no_grad()
    def step(
        self, pixel_values: Tensor, pixel_mask: Tensor, size: tuple[int, int], given: dict[int, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """One frame.

        Args:
            pixel_values: (1, 3, H, W).
            pixel_mask: (1, H, W).
            size: height and width of the frame inside.
            given: masks (height, width) of objects that are given in this frame.

        Returns:
            soft masks (n, height, width) by ascending id, and which objects have pixels, (n,) bool.
        """
        with plain_modules():
            as_reference = self.model.encode_image(pixel_values, pixel_mask)
            for obj_id, mask in given.items():
                self.initial[obj_id] = self.previous[obj_id] = self._encode(as_reference, mask)
            soft = torch.stack([self._find(obj_id, pixel_values, pixel_mask, size) for obj_id in sorted(self.initial)])
            for row, obj_id in enumerate(sorted(self.initial)):
                if obj_id in given:
                    soft[row] = given[obj_id]
            winners = merge_masks(soft)
            for row, obj_id in enumerate(sorted(self.initial)):
                if obj_id not in given and bool(winners[row].any()):
                    self.previous[obj_id] = self._encode(as_reference, winners[row])
        return soft, winners.flatten(1).any(1)

    def _encode(self, features: object, mask: Tensor) -> References:
        height, width = features.pixel_values.shape[-2:]  # type: ignore[attr-defined]
        padded = F.pad(mask.float(), (0, width - mask.shape[1], 0, height - mask.shape[0]))
        return self.model.encode_mask_references(features, padded[None])  # type: ignore[arg-type]

    def _find(self, obj_id: int, pixel_values: Tensor, pixel_mask: Tensor, size: tuple[int, int]) -> Tensor:
        model = self.model
        features = model.encode_image(pixel_values, pixel_mask)
        reference = _joined(self.initial[obj_id], self.previous[obj_id])
        transformed = model.run_transformer(features, model.fuse(features, [model.project_references(reference)]))
        logits = model.class_heads[-2](transformed.queries[-1])
        mask_features = model.mask_features(features, transformed)
        masks = aligned_upsample(
            model.decode_best_masks(transformed, mask_features, logits, features.image_sizes, "all").logits
        )
        score, best = logits[0].sigmoid().amax(-1).max(0)
        found = masks[0, best].sigmoid()[: size[0], : size[1]]
        return found * (score > self.threshold)


def _joined(initial: References, previous: References) -> References:
    """Tokens of both, one after the other; the mean of their conditions."""
    return References(
        "mask",
        [
            ReferenceTokens(
                torch.cat([first.keys, second.keys], dim=1),
                torch.cat([first.values, second.values], dim=1),
                None if first.valid is None or second.valid is None else torch.cat([first.valid, second.valid], dim=1),
                (first.condition + second.condition) / 2,
            )
            for first, second in zip(initial.levels, previous.levels, strict=True)
        ],
    )
