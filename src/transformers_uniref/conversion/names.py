"""What a model's name stands for, where it was before `core.model_names`."""

from ..core.model_names import NotDownloadedError, bundled_checkpoints, known_names, model_location

__all__ = ["NotDownloadedError", "bundled_checkpoints", "known_names", "model_location"]
