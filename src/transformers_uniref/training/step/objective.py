"""What is minimised: the model's loss and the training-only helpers, as one module."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from ..config.losses import LossPhase
from ..config.training import TrainingConfig
from ..data.collation import Batch
from .alignment import FusionRecord, alignment_loss, example_alignment_loss, recorded_fusion
from .auxiliary_head import TrainingHeads, class_counts, recorded_levels


class Objective(nn.Module):
    """Model and training-only head under one roof, so that one call is one forward pass for whoever wraps it.

    Args:
        model: a `UniRefModel`.
        config: the run.
    """

    def __init__(self, model: Any, config: TrainingConfig) -> None:
        super().__init__()
        self.config = config
        self.model = model
        classes = class_counts(config.sampling.photographs) if config.auxiliary.semantic else []
        self.auxiliary = TrainingHeads(model.config.d_model, config.auxiliary, classes)
        # Not a submodule: the compiled model shares the parameters of the one above.
        self.__dict__["call"] = torch.compile(model, backend=config.compile) if config.compile else model

    def forward(
        self, batch: Batch, step: int, autocast: AbstractContextManager
    ) -> tuple[Tensor, Any, dict[str, Tensor]]:
        """Loss, model output and the loss terms to log (detached scalars) of one micro-batch.

        Args:
            batch: on the model's device.
            step: 0-based, for the schedules of the helpers.
            autocast: the precision of the model's pass.
        """
        config, model = self.config, self.model
        phase = config.alignment.phase(step)
        if phase is not None:
            model.criterion.weights["loss_ce"] = phase.class_loss
        # A model without any reference, as in detection pre-training, has no fusion to help.
        fusion = getattr(model, "fusion", None)
        asks = fusion is not None and bool(config.auxiliary.weight)
        recording = nullcontext(FusionRecord()) if phase is None or fusion is None else recorded_fusion(fusion)
        watching: AbstractContextManager[list[list[Tensor]]] = (
            recorded_levels(model.visual_encoder) if self.auxiliary.semantic is not None else nullcontext([[]])
        )
        with autocast, recording as record, watching as levels:
            output = self.__dict__["call"](**batch.inputs, output_hidden_states=True)
            loss = output.loss
            terms = {"loss": loss.detach()}
            if asks:
                memory = output.encoder_last_hidden_state if self.auxiliary.memory is not None else None
                helper, asked = self.auxiliary(output.fused_features, memory, batch.targets, levels[0], batch.semantic)
                loss = loss + self._factor(step, config.auxiliary.final_share) * helper
                terms |= asked
        if phase is not None and fusion is not None:
            weight, aligned = self._alignment(phase, batch, output, record)
            if aligned is not None:
                helper, right = aligned
                loss = loss + weight * self._factor(step, config.alignment.final_share) * helper
                terms |= {"alignment": helper.detach(), "alignment_right": right}
        return loss, output, terms

    def _factor(self, step: int, final_share: float) -> float:
        """The weight of a training-only loss falls linearly to `final_share` of its start over the run."""
        return 1 + (final_share - 1) * step / self.config.steps

    def _alignment(
        self, phase: LossPhase, batch: Batch, output: Any, record: FusionRecord
    ) -> tuple[float, tuple[Tensor, Tensor] | None]:
        """Weight and alignment loss of a micro-batch with one kind of reference."""
        inputs, head_dim = batch.inputs, self.model.config.fusion_head_dim
        shapes = [tuple(level.shape[-2:]) for level in output.fused_features[: self.config.alignment.levels]]
        indices, targets = inputs["image_indices"], batch.targets
        if "input_ids" in inputs and "reference_masks" not in inputs and phase.sentences:
            valid = inputs["attention_mask"]
            return phase.sentences, alignment_loss(record, head_dim, shapes, valid, indices, targets, batch.others)
        examples = "reference_masks" in inputs and "input_ids" not in inputs
        if examples and phase.examples and bool(inputs["reference_pixel_mask"].all()):
            masks = inputs["reference_masks"]
            return phase.examples, example_alignment_loss(record, head_dim, shapes, masks, indices, targets)
        return 0.0, None
