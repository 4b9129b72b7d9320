"""Means with their standard errors, gathered scene by scene."""

from __future__ import annotations

import math


class Tally:
    """Ratios of sums: a mean is a sum of values over their number, an overall IoU one of pixels over pixels.

    Standard errors are those of a ratio estimate whose independent units are the scenes, since what is asked about one
    scene is answered well or badly together.
    """

    def __init__(self) -> None:
        self._sums: dict[str, dict[int, list[float]]] = {}
        self._counts: dict[str, int] = {}

    def add(self, name: str, scene: int, value: float, weight: float = 1.0) -> None:
        """Adds an answer about a scene: `value` to the measure's numerator, `weight` (1 for a mean) below."""
        of_scene = self._sums.setdefault(name, {}).setdefault(scene, [0.0, 0.0])
        of_scene[0] += float(value)
        of_scene[1] += float(weight)
        self._counts[name] = self._counts.get(name, 0) + 1

    def names(self) -> list[str]:
        """The measures, in the order in which they came."""
        return list(self._sums)

    def count(self, name: str) -> int:
        """How many answers there were."""
        return self._counts.get(name, 0)

    def value(self, name: str) -> float | None:
        """The ratio; None when there was nothing to measure."""
        scenes = list(self._sums.get(name, {}).values())
        total = sum(weight for _, weight in scenes)
        return sum(value for value, _ in scenes) / total if total else None

    def standard_error(self, name: str) -> float | None:
        """How far the ratio is from that of endlessly many scenes, typically; None with fewer than two scenes."""
        scenes = list(self._sums.get(name, {}).values())
        ratio, count = self.value(name), len(scenes)
        if ratio is None or count < 2:
            return None
        residuals = sum((value - ratio * weight) ** 2 for value, weight in scenes)
        return math.sqrt(residuals * count / (count - 1)) / sum(weight for _, weight in scenes)
