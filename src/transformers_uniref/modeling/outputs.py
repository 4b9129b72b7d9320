"""What the models return for pictures."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from transformers.utils import ModelOutput


@dataclass
class UniRefModelOutput(ModelOutput):
    """Output of [`UniRefModel`] and [`UniRefSamModel`] for N entries with Q queries each (SAM: one).

    Attributes:
        loss: scalar, weighted sum of all losses (with labels).
        loss_dict: the unweighted losses by name (with labels).
        logits: (N, Q, classes) class scores before the sigmoid.
        pred_boxes: (N, Q, 4) cx, cy, w, h relative to the valid area of the image; None for models that predict none.
        pred_masks: (N, num_masks, H/4, W/4) mask logits of the best queries, best first; (N, num_masks, H, W) with
            `full_resolution_masks`.
        mask_queries: (N, num_masks) which query each mask belongs to.
        image_sizes: (N, 2) height and width of the valid area, in pixels.
        padded_sizes: (N, 2) height and width of the network's input, padding included.
        hidden_states: one (N, Q, d) a decoder layer (with `output_hidden_states`).
        fused_features: maps (N, d, H/s, W/s), one a level, after fusion (with `output_hidden_states`).
        encoder_last_hidden_state: (N, S, d) memory of the four levels (with `output_hidden_states`).
        encoder_logits: (N, S, classes) scores of every memory token (with `output_hidden_states`).
        encoder_boxes: (N, S, 4) their boxes (with `output_hidden_states`).
        fusion_attentions: the softmax of UniFusion (with `output_attentions`): for each reference, the sentence first,
            one (N, heads, S, T) a level, finest first; S = (H/s)(W/s) visual tokens, T tokens of the sentence (the
            first T of `input_ids`) or of the K examples' maps at that level, one after the other. 0 at padding.
    """

    loss: Tensor | None = None
    loss_dict: dict[str, Tensor] | None = None
    logits: Tensor | None = None
    pred_boxes: Tensor | None = None
    pred_masks: Tensor | None = None
    mask_queries: Tensor | None = None
    image_sizes: Tensor | None = None
    padded_sizes: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    fused_features: tuple[Tensor, ...] | None = None
    encoder_last_hidden_state: Tensor | None = None
    encoder_logits: Tensor | None = None
    encoder_boxes: Tensor | None = None
    fusion_attentions: tuple[tuple[Tensor, ...], ...] | None = None


__all__ = ["UniRefModelOutput"]
