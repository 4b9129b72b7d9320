"""Adapters of the package PEFT: ready configurations, checked loading, whole saving, merging."""

from .folders import AdapterError
from .merging import merge_adapter
from .presets import adapter_config, adapter_presets
from .saving import save_adapter

__all__ = ["AdapterError", "adapter_config", "adapter_presets", "merge_adapter", "save_adapter"]
