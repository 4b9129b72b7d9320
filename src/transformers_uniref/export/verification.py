"""Does a graph compute what the model computes?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from ..core.errors import FailureError
from ..modeling.modeling_uniref import UniRefModel
from .paths import OUTPUTS, PATHS
from .probes import VARIANTS, probe_inputs

TOLERANCE = 1e-3
"""The largest absolute difference of logits, boxes and mask logits that passes."""

Runner = Callable[[Mapping[str, np.ndarray]], list[np.ndarray]]
"""Runs a graph: inputs by name to the outputs in the order of `OUTPUTS`."""

_COMPARED = ("logits", "pred_boxes", "pred_masks")
_MOST_VARIANTS = 3 * VARIANTS


class ExportDiffersError(FailureError):
    """The graph does not compute what the model computes."""


@dataclass(frozen=True)
class Agreement:
    """How far a graph is from the model.

    Attributes:
        differences: largest absolute difference by output, over the compared entries.
        entries: number of entries (a picture with its reference) that were compared.
        reordered: entries left out because two proposals whose scores are equal up to rounding came in the other
            order, so that the queries are not the same ones.
    """

    differences: dict[str, float]
    entries: int
    reordered: int

    def __str__(self) -> str:
        numbers = ", ".join(f"{name} {value:.1e}" for name, value in self.differences.items())
        left_out = f"; {self.reordered} left out, their proposals rank in another order" if self.reordered else ""
        return f"largest difference from PyTorch over {self.entries} entries: {numbers}{left_out}"


def compare(model: UniRefModel, path: str, runner: Runner, tolerance: float = TOLERANCE) -> Agreement:
    """Runs model and graph on inputs of several sizes, paddings and lengths.

    Call it within `exportable`.

    Raises:
        ExportDiffersError: a difference is above `tolerance`, or no entry could be compared.
    """
    module = PATHS[path].module(model).eval()
    differences = dict.fromkeys(_COMPARED, 0.0)
    entries = reordered = 0
    for variant in range(_MOST_VARIANTS):
        if variant >= VARIANTS and entries >= VARIANTS:
            break
        inputs = probe_inputs(model, path, variant)
        expected = dict(zip(OUTPUTS, (value.numpy() for value in module(**inputs)), strict=True))
        got = dict(zip(OUTPUTS, runner({name: value.numpy() for name, value in inputs.items()}), strict=True))
        for name in OUTPUTS:
            if expected[name].shape != got[name].shape:
                raise ExportDiffersError(
                    f"{path}: {name} has the shape {got[name].shape} for inputs of variant {variant}, the model's has "
                    f"{expected[name].shape}"
                )
        same = (expected["proposals"] == got["proposals"]).all(1) & (
            expected["mask_queries"] == got["mask_queries"]
        ).all(1)
        entries, reordered = entries + int(same.sum()), reordered + int((~same).sum())
        if not (expected["image_sizes"] == got["image_sizes"]).all():
            raise ExportDiffersError(f"{path}: image_sizes differ")
        if same.any():
            for name in _COMPARED:
                distance = float(np.abs(expected[name][same] - got[name][same]).max())
                # A number that is not finite must not pass as small.
                differences[name] = max(differences[name], distance if np.isfinite(distance) else float("inf"))
    agreement = Agreement(differences, entries, reordered)
    if entries == 0 or max(differences.values()) > tolerance:
        raise ExportDiffersError(f"{path}: {agreement}; accepted: at most {tolerance:g}")
    return agreement


def program_runner(program: torch.export.ExportedProgram) -> Runner:
    """Runs a `torch.export` program."""
    module = program.module()

    def run(inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        outputs = module(**{name: torch.from_numpy(value) for name, value in inputs.items()})
        return [output.numpy() for output in outputs]

    return run


def onnx_runner(file: str) -> Runner:
    """Runs an ONNX file with onnxruntime on the CPU."""
    from ..core.optional import require

    runtime = require("onnxruntime", "onnx", "running an ONNX file")
    session = runtime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return lambda inputs: session.run(list(OUTPUTS), dict(inputs))
