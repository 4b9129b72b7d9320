"""From a model to a `torch.export` program that other runtimes can follow."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ..core.errors import UsageError
from ..modeling.deformable_attention import MultiScaleDeformableAttention, sample_with_grid_sample
from ..modeling.modeling_uniref import UniRefModel
from .paths import PATHS, dynamic_dims, longest_sentence
from .probes import probe_inputs


class _GridSampling(nn.Module):
    """Deformable sampling by `grid_sample`, which ONNX has, in place of the CPU's own operator, which it has not."""

    def forward(
        self,
        value: Tensor,
        shapes: Tensor,
        shapes_list: list[tuple[int, int]],
        starts: Tensor,
        locations: Tensor,
        weights: Tensor,
        step: int,
    ) -> Tensor:
        return sample_with_grid_sample(value, shapes_list, locations, weights)


@contextmanager
def exportable(model: UniRefModel) -> Iterator[None]:
    """Within the block the model computes with what can be exported; afterwards it is as before.

    Attention runs through `scaled_dot_product_attention` in the model's precision (no flash kernels, no
    `fusion_bf16`), sampling through `grid_sample`, everything in evaluation mode.
    """
    attentions = [module for module in model.modules() if isinstance(module, MultiScaleDeformableAttention)]
    samplings = [attention.sampling for attention in attentions]
    training, half = model.training, model.config.fusion_bf16
    implementation = model.config._attn_implementation
    changed = implementation not in ("sdpa", "eager")
    try:
        if changed:
            model.set_attn_implementation("sdpa")
        for attention in attentions:
            attention.sampling = _GridSampling()  # type: ignore[assignment]
        model.config.fusion_bf16 = False
        model.eval()
        with torch.no_grad():
            yield
    finally:
        for attention, sampling in zip(attentions, samplings, strict=True):
            attention.sampling = sampling
        model.config.fusion_bf16 = half
        model.train(training)
        if changed:
            model.set_attn_implementation(implementation)


def trace(model: UniRefModel, path: str) -> torch.export.ExportedProgram:
    """The graph of one path with free batch size, picture sizes, sentence length and number of examples.

    Call it within `exportable`.
    """
    spec = PATHS[path]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about its own workings
        return torch.export.export(
            spec.module(model).eval(),
            (),
            probe_inputs(model, path, 0),
            dynamic_shapes=dynamic_dims(spec, longest_sentence(model)),
            strict=False,
            # Sizes are related by whole multiples and roundings: what cannot be proved now is checked at run time.
            prefer_deferred_runtime_asserts_over_guards=True,
        )


def available_paths(model: UniRefModel, wanted: Sequence[str] | None) -> list[str]:
    """The graphs to make: those asked for, or all that the model has.

    Raises:
        ValueError: an unknown name, or one for which the model has no encoder.
    """
    there = [name for name, spec in PATHS.items() if getattr(model.config, spec.switch)]
    if wanted is None and there:
        return there
    chosen = list(dict.fromkeys(wanted or ()))
    missing = [name for name in chosen if name not in there]
    if missing or not chosen:
        got = ", ".join(missing) or "none"
        raise UsageError(f"paths must be of those that this model has ({', '.join(there) or 'none'}), got {got}.")
    return chosen
