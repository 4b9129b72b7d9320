"""The former place of `weights.names`, for code that imports it from here."""

from .weights.names import bundled_checkpoints, introduction, model_location

__all__ = ["bundled_checkpoints", "introduction", "model_location"]
