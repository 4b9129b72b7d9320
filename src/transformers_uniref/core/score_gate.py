"""The score gate: which answers count. Every front end asks here, with the gates that a model carries.

A model's gates are saved with its processor (`score_threshold` for pictures, `vos_score_threshold` and
`rvos_score_threshold` for objects of a clip that a mask or a sentence gives). One option of one name replaces them:
`threshold`, where None means the model's own, and 0 no gate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor


def check_threshold(value: float | None, name: str = "threshold") -> None:
    """Raises ValueError for a gate outside 0..1; None is always accepted."""
    if value is not None and not 0 <= value <= 1:
        raise UsageError(f"`{name}` must be between 0 and 1, got {value}.")


def gate_of(threshold: float | None, own: float | None) -> float | None:
    """The gate that counts; None is none.

    Args:
        threshold: what the user says, 0..1: 0 for no gate, None for the model's own.
        own: the model's.

    Raises:
        ValueError: `threshold` is outside 0..1.
    """
    check_threshold(threshold)
    return (own if threshold is None else threshold) or None


def passes(score: float | Tensor, gate: float | None) -> bool | Tensor:
    """Whether a score, or each of a tensor of them, is above the gate."""
    if gate is not None:
        return score > gate
    return True if isinstance(score, (int, float)) else score.new_ones(score.shape).bool()


def written(score: float) -> str:
    """A score as messages show it, ".252" or "1": cut after three digits, so that none looks better than it is."""
    return _without_zero(f"{round(score * 1e6) // 1000 / 1000:g}")


def written_gate(gate: float) -> str:
    """A gate as messages show it, with all its digits: ".415", "1"."""
    return _without_zero(f"{gate:g}")


def none_passed(gate: float, best: float) -> str:
    """Says that nothing passed the gate, and how near the best came.

    A best score above the gate is that of a sentence of which nothing was understood.
    """
    if best > gate:
        return f"no answer passed, for nothing that was asked was understood; best score {written(best)}"
    return f"no answer passed {written_gate(gate)}; best {written(best)}"


def _without_zero(number: str) -> str:
    return number.removeprefix("0") or "0"
