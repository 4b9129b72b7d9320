"""None, one or many objects of a video, of a sentence or of all: which of a frame is one that is followed already."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..object_choice import COVERED, SAME_OVERLAP
from .prompts import TextPrompt


@dataclass
class Group:
    """All objects that a sentence means, or all that a frame shows.

    Attributes:
        text: the sentence; None for all objects, which no reference means.
        start: the frame from which it is looked for.
        max_objects: most objects that are followed for it at a time; those that appear beyond are passed over.
        patience: frames for which an object may be out of sight; then it has ended, and gets a new id if it returns.
        every: it is looked for in every so many frames, the key frames; in between objects are followed alone.
        sentence: in words, as far as they are known.
    """

    text: TextPrompt | None
    start: int
    max_objects: int
    patience: int
    every: int = 1
    sentence: str = ""

    def holds_at(self, frame_idx: int, reverse: bool) -> bool:
        """Whether it is looked for in a frame; going back in time there is no "from then on"."""
        return (reverse or frame_idx >= self.start) and (frame_idx - self.start) % self.every == 0


def identities(found: Tensor, known: Tensor) -> list[int | None]:
    """Which of the objects that are followed each object found in a frame is.

    It is the one that it overlaps most, if the IoU of both is above `SAME_OVERLAP`, or one mostly covers the other
    (`COVERED`): a part of an object is not another one.

    Args:
        found: bool (m, H, W).
        known: bool (n, H, W), where the followed objects are, or were when they were last seen.

    Returns:
        For each object found the row of `known`; None for a new one.
    """
    of_found, of_known = found.flatten(1).float(), known.flatten(1).float()
    shared = of_found @ of_known.T
    sizes, known_sizes = of_found.sum(1)[:, None], of_known.sum(1)[None]
    union = (sizes + known_sizes - shared).clamp(min=1)
    same = (shared > SAME_OVERLAP * union) | (shared > COVERED * sizes) | (shared > COVERED * known_sizes)
    rows: list[int | None] = []
    for fits, overlaps in zip(same & (shared > 0), shared / union, strict=True):
        rows.append(int(overlaps.where(fits, overlaps.new_tensor(-1.0)).argmax()) if bool(fits.any()) else None)
    return rows
