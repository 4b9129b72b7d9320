"""Asking a model questions with known answers, and measuring what it answers with `metrics`."""

from typing import Any

__all__ = ["evaluate_dataset"]


def __getattr__(name: str) -> Any:
    # Most of what is here is needed without a model, and should not load what models need.
    if name == "evaluate_dataset":
        from .dataset_evaluation import evaluate_dataset

        return evaluate_dataset
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
