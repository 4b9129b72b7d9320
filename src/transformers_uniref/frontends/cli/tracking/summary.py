"""What became of each object of a clip, in words and as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ....core.score_gate import none_passed, passes, written
from ..segment_results import below_gate


@dataclass
class Tally:
    """What happened to one object.

    Attributes:
        text: its sentence, if it has one.
        gate: the score that it has to exceed in a frame; None for no gate.
        unknown_words: words of its sentence that mean nothing to the model.
        understood: whether anything but a sentence without a known word says what it is.
        frames: in how many frames it was looked for.
        frames_visible: in how many of them it was seen.
        scores: sum, least and most of its scores.
        visible: the stretches of frames in which it was seen, [first, last] by their numbers in the clip.
        best: the best score of the frames in which it was looked for and no mask of it was given, and that frame.
        frames_found: in how many of these it was seen.
        frames_passed: in how many of these its score was above the gate.
    """

    text: str | None
    gate: float | None = None
    unknown_words: tuple[str, ...] = ()
    understood: bool = True
    frames: int = 0
    frames_visible: int = 0
    scores: tuple[float, float, float] = (0.0, 1.0, 0.0)
    visible: list[list[int]] = field(default_factory=list)
    best: tuple[float, int] | None = None
    frames_found: int = 0
    frames_passed: int = 0
    _seen_before: bool = False

    def add(self, number: int, visible: bool, score: float, given: bool = False) -> None:
        """Counts one frame in which the object was looked for, or given by a mask."""
        self.frames += 1
        if not given:
            self.frames_found += visible
            self.frames_passed += bool(self.understood and passes(score, self.gate))
            if self.best is None or score > self.best[0]:
                self.best = (score, number)
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
            "threshold": self.gate,
            "frames_passed": self.frames_passed,
            "best_frame": None if self.best is None else self.best[1],
            "unknown_words": list(self.unknown_words),
        }

    def sentence(self, number: int) -> str:
        """In a line for people."""
        named = f"object {number}" + (f" ({self.text})" if self.text else "")
        if not self.frames:
            return f"{named}: not looked for"
        mean = self.scores[0] / self.frames
        return f"{named}: visible in {self.frames_visible} of {self.frames} frames, mean score {mean:.3f}"

    def doubt(self, number: int, show_all: bool) -> str | None:
        """In a line: that it was found in no frame, or shows only because it was asked for; None where it was found."""
        if self.best is None:
            return None
        score, frame = self.best
        named = f"object {number}" + (f" ({self.text})" if self.text else "")
        if self.gate is not None and not self.frames_passed:
            return f"{named}: {none_passed(self.gate, score)} in frame {frame}{below_gate(show_all)}"
        if not self.frames_found:
            return f"{named}: nothing was found; best score {written(score)} in frame {frame}"
        return None
