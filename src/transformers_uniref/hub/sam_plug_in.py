"""`build_around_sam`, where it was before `conversion`."""

from ..conversion.sam_plug_in import build_around_sam

__all__ = ["build_around_sam"]
