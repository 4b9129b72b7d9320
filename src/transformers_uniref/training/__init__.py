"""Training: a multi-task Accelerate loop, its data mixture, and the configurations of the bundled default."""

from .config.training import TrainingConfig, load_config
from .config.values import bundled_configs

__all__ = ["TrainingConfig", "bundled_configs", "load_config"]
