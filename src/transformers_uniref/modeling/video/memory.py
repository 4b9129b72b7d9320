"""What a session remembers: a bounded amount of each object, and how far the clip has been gone through."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..references import References, VisualFeatures
from .prompts import TextPrompt
from .references import ReferenceSlot


@dataclass
class ObjectMemory:
    """All that is kept of an object from frame to frame, however long the video.

    Attributes:
        initial: the frame in which it was given, or first found by its sentence.
        previous: the latest frame in which it was seen.
        last_mask: bool (H, W) its pixels in the latest frame, at the size of the results.
    """

    initial: ReferenceSlot | None = None
    previous: ReferenceSlot | None = None
    last_mask: Tensor | None = None

    def reserve(self, choice: str, features: VisualFeatures, dtype: torch.dtype) -> None:
        """Allocate the frames that the reference choice needs."""
        if choice != "previous":
            self.initial = ReferenceSlot(features, dtype)
        if choice != "first":
            self.previous = ReferenceSlot(features, dtype)

    def remember(self, entry: tuple[References, int], frame_idx: int) -> None:
        """Take over an annotated frame: the first as initial and previous reference, later ones as previous."""
        for slot in (self.previous,) if self.slots() else (self.initial, self.previous):
            if slot is not None:
                slot.write(*entry, frame_idx)

    @property
    def is_reserved(self) -> bool:
        return self.initial is not None or self.previous is not None

    @property
    def wants_frames(self) -> bool:
        """Whether the frames in which it is seen from now on are of any use."""
        return self.previous is not None or (self.initial is not None and self.initial.frame_idx is None)

    def slots(self) -> list[ReferenceSlot]:
        """The distinct annotated frames that exist: none, one or two."""
        written = [slot for slot in (self.initial, self.previous) if slot is not None and slot.frame_idx is not None]
        return written[:1] if len({slot.frame_idx for slot in written}) == 1 else written

    def tensors(self) -> Iterator[Tensor]:
        for slot in (self.initial, self.previous):
            if slot is not None:
                yield from slot.tensors()
        if self.last_mask is not None:
            yield self.last_mask


@dataclass
class TrackedObject:
    """An object that is followed: what says which one it is, and the memory of it.

    Attributes:
        text: the sentence in force, or None.
        given: whether the initial frame is a user's mask.
        group: the number of the sentence for all objects by which it was found, or None.
        unseen: of such a one, for how many frames it has been out of sight.
        lost_mask: bool (H, W), where it was when it was last seen; None while it is in sight.
    """

    text: TextPrompt | None
    given: bool = False
    memory: ObjectMemory = field(default_factory=ObjectMemory)
    group: int | None = None
    unseen: int = 0
    lost_mask: Tensor | None = None

    @property
    def is_understood(self) -> bool:
        """Whether anything but a sentence without a known word says what the object is."""
        return self.given or self.text is None or self.text.understood

    def last_seen(self, nowhere: Tensor) -> Tensor:
        """Where one of a group was when it was last seen; for any other object `nowhere`."""
        mask = self.memory.last_mask if self.lost_mask is None else self.lost_mask
        return nowhere if self.group is None or mask is None else mask

    def note_sight(self, visible: bool) -> None:
        """Count the frames for which one of a group is out of sight; before its mask of this frame is remembered."""
        if visible:
            self.unseen, self.lost_mask = 0, None
        else:
            self.lost_mask = self.memory.last_mask if self.unseen == 0 else self.lost_mask
            self.unseen += 1

    def tensors(self) -> Iterator[Tensor]:
        yield from self.memory.tensors()
        if self.lost_mask is not None:
            yield self.lost_mask
        if self.text is not None:
            yield from self.text.tensors()

    def __setstate__(self, state: dict[str, Any]) -> None:
        text, given = state.pop("text"), state.pop("given")
        for name in ("group", "unseen", "lost_mask"):
            setattr(self, name, state.pop(name, getattr(type(self), name)))
        # A pickle that is older than `ObjectMemory` has the parts of it.
        self.text, self.given, self.memory = text, given, state.get("memory") or ObjectMemory(**state)


@dataclass
class SessionMemory:
    """The objects that are followed, as they were in the latest frame.

    Attributes:
        objects: by id.
        last_frame: the latest frame; None before the first.
        reverse: whether it was arrived at by going back in time.
        restart_needed: whether something was said since of a frame that has passed.
        last_id: the highest id that a sentence for all objects has given; none is given twice.
    """

    objects: dict[int, TrackedObject] = field(default_factory=dict)
    last_frame: int | None = None
    reverse: bool = False
    restart_needed: bool = True
    last_id: int = 0

    def continues_at(self, frame_idx: int, reverse: bool) -> bool:
        """Whether this is the memory of the frame before `frame_idx`, and nothing said since is of earlier ones."""
        if self.restart_needed or self.last_frame is None or self.reverse != reverse:
            return False
        return frame_idx == self.last_frame + (-1 if reverse else 1)

    def note_prompt(self, frame_idx: int) -> None:
        """Something was said of a frame; a stream has none that has passed."""
        if self.last_frame is not None:
            self.restart_needed |= frame_idx >= self.last_frame if self.reverse else frame_idx <= self.last_frame
