"""The converter, where it was before `conversion`."""

from ..conversion.converter import convert_checkpoint

__all__ = ["convert_checkpoint"]
