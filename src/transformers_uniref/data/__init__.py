"""Data: the procedural world and its datasets. Nothing here imports torch."""

from .world import World, vocabulary

__all__ = ["World", "vocabulary"]
