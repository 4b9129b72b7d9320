"""Training: a multi-task Accelerate loop, its data mixture, and the configurations of the bundled default."""

from .config import TrainingConfig, load_config
from .config_values import bundled_configs

__all__ = ["TrainingConfig", "bundled_configs", "load_config"]
