"""`refine_masks`, where it was before `inference`."""

from .inference.refinement import refine_masks

__all__ = ["refine_masks"]
