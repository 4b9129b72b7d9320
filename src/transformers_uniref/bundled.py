"""The former place of `core.model_names`, for code that imports it from here."""

from .core.model_names import bundled_checkpoints, introduction, model_location

__all__ = ["bundled_checkpoints", "introduction", "model_location"]
