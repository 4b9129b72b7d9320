"""What a run can be told, in the parts that its modules read."""

from .training import TrainingConfig, load_config
from .values import bundled_configs

__all__ = ["TrainingConfig", "bundled_configs", "load_config"]
