"""Training: a multi-task Accelerate loop, its data mixture, and the configurations of the bundled default."""

from .config import TrainingConfig, bundled_configs, load_config

__all__ = ["TrainingConfig", "bundled_configs", "load_config"]
