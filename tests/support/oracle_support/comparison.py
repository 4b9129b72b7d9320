"""Comparing with the oracle: one report a case, which lists every quantity that is off before it fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch

from noise import ORACLE_BOXES as BOXES
from noise import ORACLE_GRADIENT_NORMS as GRADIENT_NORMS
from noise import ORACLE_LOGITS as LOGITS
from noise import ORACLE_LOSSES as LOSSES
from noise import ORACLE_MASKS as MASKS
from noise import ORACLE_PROBES as PROBES

SMALLEST_GRADIENT_NORM = 1e-2  # below it the norm is the noise of a gradient that is 0 in exact arithmetic

Array = np.ndarray | torch.Tensor
__all__ = [
    "BOXES",
    "GRADIENT_NORMS",
    "LOGITS",
    "LOSSES",
    "MASKS",
    "PROBES",
    "SMALLEST_GRADIENT_NORM",
    "Probe",
    "Report",
]


def as_numpy(value: Array) -> np.ndarray:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        return value.float().numpy() if value.is_floating_point() else value.numpy()
    return np.asarray(value)


@dataclass
class Report:
    """Largest differences of one case by kind of quantity, and what exceeded its tolerance."""

    case: str
    largest: dict[str, float] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def close(self, kind: str, name: str, actual: Array, expected: Array, tolerance: float) -> None:
        """Largest absolute difference at most `tolerance`; where `actual` is NaN nothing was computed."""
        actual, expected = as_numpy(actual), as_numpy(expected)
        if actual.shape != expected.shape:
            self.wrong.append(f"{name}: shape {actual.shape}, expected {expected.shape}")
            return
        known = ~np.isnan(actual)
        difference = float(np.abs(actual[known] - expected[known]).max(initial=0.0))
        self._record(kind, name, difference, tolerance)

    def relative(self, kind: str, name: str, actual: float, expected: float, tolerance: float) -> None:
        difference = abs(float(actual) - float(expected)) / max(abs(float(expected)), 1e-12)
        self._record(kind, name, difference, tolerance)

    def equal(self, name: str, actual: Array, expected: Array) -> None:
        actual, expected = as_numpy(actual), as_numpy(expected)
        if actual.shape != expected.shape or not (actual == expected).all():
            self.wrong.append(f"{name}: {actual.tolist()}, expected {expected.tolist()}"[:400])

    def holds(self, name: str, condition: bool, explanation: str) -> None:
        if not condition:
            self.wrong.append(f"{name}: {explanation}")

    def _record(self, kind: str, name: str, difference: float, tolerance: float) -> None:
        self.largest[kind] = max(self.largest.get(kind, 0.0), difference)
        if not difference <= tolerance:  # NaN is wrong too
            self.wrong.append(f"{name}: off by {difference:.3g}, tolerated {tolerance:g}")

    def finish(self) -> None:
        """Print the largest differences (shown with `pytest -rP`) and fail when anything was wrong."""
        print(f"{self.case}: " + ", ".join(f"{kind} {value:.2g}" for kind, value in self.largest.items()))
        assert not self.wrong, f"{self.case}: {len(self.wrong)} differ\n" + "\n".join(self.wrong[:40])


class Probe:
    """One stored intermediate tensor: whole, or its shape, first values and a strided sample."""

    def __init__(self, arrays: Mapping[str, np.ndarray], name: str):
        self.name = name
        self.whole: np.ndarray | None = arrays.get(name, arrays.get(f"{name}/full"))
        self.parts = {part: arrays.get(f"{name}/{part}") for part in ("shape", "first64", "stride", "sample")}

    @staticmethod
    def exists(arrays: Mapping[str, np.ndarray], name: str) -> bool:
        return name in arrays or f"{name}/shape" in arrays

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.whole.shape if self.parts["shape"] is None else self.parts["shape"])

    def compare(self, report: Report, actual: Array, kind: str = "probes", tolerance: float = PROBES) -> None:
        actual = as_numpy(actual)
        if actual.shape != self.shape:
            report.wrong.append(f"{self.name}: shape {actual.shape}, expected {self.shape}")
            return
        if self.whole is not None:
            report.close(kind, self.name, actual, self.whole, tolerance)
            return
        flat = actual.reshape(-1)
        first, sample = self.parts["first64"], self.parts["sample"]
        if first is not None:
            report.close(kind, f"{self.name} (first)", flat[: len(first)], first, tolerance)
        if sample is not None:
            report.close(kind, f"{self.name} (sample)", flat[:: int(self.parts["stride"])], sample, tolerance)


def check_probe(expected: Mapping[str, np.ndarray], report: Report, name: str, actual: Array) -> None:
    """Compares the intermediate tensor of a name, where it was stored."""
    if Probe.exists(expected, f"probe/{name}"):
        Probe(expected, f"probe/{name}").compare(report, actual)
