"""Photographs with named, masked objects, and the sentences that are true of them by geometry."""

from .photographs import Photographs

__all__ = ["Photographs"]
