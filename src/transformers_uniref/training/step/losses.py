"""What one micro-batch is trained by: the model's own loss and those that act in training alone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..config.losses import AlignmentConfig, AuxiliaryConfig
from ..data.collation import Batch
from .alignment import FusionRecord, alignment_loss, example_alignment_loss, recorded_fusion
from .auxiliary_head import TrainingHeads, recorded_levels


@dataclass(frozen=True)
class LossWeights:
    """How much each loss counts at one step.

    Attributes:
        class_loss: of the model's class loss; None: as the model's configuration says.
        heads: of the training-only heads together; 0: they are not asked.
        sentences, examples: of the alignment of sentences and of examples; 0: there is none.
        levels: so many of the finest levels are aligned.
    """

    class_loss: float | None = None
    heads: float = 0.0
    sentences: float = 0.0
    examples: float = 0.0
    levels: int = 0


def weights_at(step: int, steps: int, auxiliary: AuxiliaryConfig, alignment: AlignmentConfig) -> LossWeights:
    """The weights at `step` (0-based): those of training alone fall linearly to their `final_share` at `steps`."""

    def factor(final_share: float) -> float:
        return 1 + (final_share - 1) * step / steps

    heads = factor(auxiliary.final_share) if auxiliary.weight else 0.0
    phase = alignment.phase(step)
    if phase is None:
        return LossWeights(heads=heads)
    left = factor(alignment.final_share)
    return LossWeights(phase.class_loss, heads, phase.sentences * left, phase.examples * left, alignment.levels)


@dataclass(frozen=True)
class BatchLosses:
    """The losses of a micro-batch.

    Attributes:
        total: the scalar to minimise.
        terms: what it is made of and what is measured on the way, detached scalars by name; `loss` is the model's own.
        output: of the model.
    """

    total: Tensor
    terms: dict[str, Tensor]
    output: Any


def batch_losses(
    model: Any,
    heads: TrainingHeads,
    batch: Batch,
    weights: LossWeights,
    autocast: AbstractContextManager | None = None,
    forward: Callable[..., Any] | None = None,
) -> BatchLosses:
    """One forward pass and its losses.

    Args:
        model: a `UniRefModel` or `UniRefSamModel`; its class loss gets the weight `weights.class_loss`.
        heads: the training-only heads.
        batch: on the model's device.
        weights: of the step.
        autocast: the precision of the pass; None: that of the weights.
        forward: what is called in place of `model`, such as its compiled form.

    Raises:
        NonFinitePredictionsError: the predictions cannot be matched.
    """
    if weights.class_loss is not None:
        model.criterion.weights["loss_ce"] = weights.class_loss
    # A model without any reference, as in detection pre-training, has no fusion to help.
    fusion = getattr(model, "fusion", None)
    aligns = fusion is not None and bool(weights.sentences or weights.examples)
    recording = recorded_fusion(fusion) if fusion is not None and aligns else nullcontext(FusionRecord())
    watching: AbstractContextManager[list[list[Tensor]]] = (
        recorded_levels(model.visual_encoder) if heads.semantic is not None else nullcontext([[]])
    )
    with autocast or nullcontext(), recording as record, watching as levels:
        output = (forward or model)(**batch.inputs, output_hidden_states=True)
        total = output.loss
        terms = {"loss": total.detach()}
        # The heads ask what a reference did to the features.
        referred = "input_ids" in batch.inputs or "reference_masks" in batch.inputs
        if fusion is not None and weights.heads and referred:
            memory = output.encoder_last_hidden_state if heads.memory is not None else None
            asked, named = heads(output.fused_features, memory, batch.targets, levels[0], batch.semantic)
            total = total + weights.heads * asked
            terms |= named
    if aligns:
        weight, aligned = _alignment(batch, output, record, weights, model.config.fusion_head_dim)
        if aligned is not None:
            loss, right = aligned
            total = total + weight * loss
            terms |= {"alignment": loss.detach(), "alignment_right": right}
    return BatchLosses(total, terms, output)


def _alignment(
    batch: Batch, output: Any, record: FusionRecord, weights: LossWeights, head_dim: int
) -> tuple[float, tuple[Tensor, Tensor] | None]:
    """Weight and alignment loss of a micro-batch with one kind of reference."""
    inputs, indices, targets = batch.inputs, batch.inputs["image_indices"], batch.targets
    if "input_points" in inputs:
        return 0.0, None
    shapes = [tuple(level.shape[-2:]) for level in output.fused_features[: weights.levels]]
    if "input_ids" in inputs and "reference_masks" not in inputs and weights.sentences:
        valid = inputs["attention_mask"]
        return weights.sentences, alignment_loss(record, head_dim, shapes, valid, indices, targets, batch.others)
    examples = "reference_masks" in inputs and "input_ids" not in inputs
    if examples and weights.examples and bool(inputs["reference_pixel_mask"].all()):
        masks = inputs["reference_masks"]
        return weights.examples, example_alignment_loss(record, head_dim, shapes, masks, indices, targets)
    return 0.0, None
