"""What became of each object of a clip, in words and as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Tally:
    """What happened to one object.

    Attributes:
        text: its sentence, if it has one.
        frames: in how many frames it was looked for.
        frames_visible: in how many of them it was seen.
        scores: sum, least and most of its scores.
        visible: the stretches of frames in which it was seen, [first, last] by their numbers in the clip.
    """

    text: str | None
    frames: int = 0
    frames_visible: int = 0
    scores: tuple[float, float, float] = (0.0, 1.0, 0.0)
    visible: list[list[int]] = field(default_factory=list)
    _seen_before: bool = False

    def add(self, number: int, visible: bool, score: float) -> None:
        """Counts one frame in which the object was looked for."""
        self.frames += 1
        self.frames_visible += visible
        total, least, most = self.scores
        self.scores = (total + score, min(least, score), max(most, score))
        if visible and self._seen_before:
            self.visible[-1][1] = number
        elif visible:
            self.visible.append([number, number])
        self._seen_before = visible

    def summary(self, number: int) -> dict[str, Any]:
        """As it is printed with `--json`."""
        total, least, most = self.scores
        some = self.frames > 0
        return {
            "id": number,
            "text": self.text,
            "frames": self.frames,
            "frames_visible": self.frames_visible,
            "visible": self.visible,
            "mean_score": round(total / self.frames, 6) if some else None,
            "min_score": round(least, 6) if some else None,
            "max_score": round(most, 6) if some else None,
        }

    def sentence(self, number: int) -> str:
        """In a line for people."""
        named = f"object {number}" + (f" ({self.text})" if self.text else "")
        if not self.frames:
            return f"{named}: not looked for"
        mean = self.scores[0] / self.frames
        return f"{named}: visible in {self.frames_visible} of {self.frames} frames, mean score {mean:.3f}"
