"""One user's clip being followed: what was asked, how far it is, and what was found."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.palette import save_label_map
from ...core.score_gate import none_passed
from ...inference.clips import Objects, frame_label_map, next_frame
from ..errors import UserError
from .clips import Clip
from .limits import MAX_OBJECTS
from .marking import ORIGINS, PAINT

if TYPE_CHECKING:
    from ...modeling.shared_model import AnyUniRefModel
    from ...processors.processing_uniref import UniRefProcessor


@dataclass(frozen=True)
class ClipObject:
    """An object that the user asked for.

    Attributes:
        number: its id, from 1.
        frame: the frame from which on it is looked for, or in which it was drawn.
        sentence: or None.
        mask: bool (H, W), or None.
        pointed: the clicks or the box that the mask was drawn from, as arguments of the processor, or None.
        origin: what the legend calls it where it has no sentence.
    """

    number: int
    frame: int
    sentence: str | None = None
    mask: np.ndarray | None = None
    origin: str = ORIGINS[PAINT]
    pointed: dict[str, Any] | None = None

    @property
    def text(self) -> str:
        """What the legend calls it."""
        return self.sentence or self.origin

    @property
    def given_by(self) -> str:
        """ "sentence", "mask" or "mask and sentence"."""
        return " and ".join(
            name for name, value in (("mask", self.mask), ("sentence", self.sentence)) if value is not None
        )


@dataclass(frozen=True)
class FrameResult:
    """What was found in the frame of a number, uint8 (H, W, 3): the objects that were looked for."""

    index: int
    frame: np.ndarray
    objects: Objects


class ClipJob:
    """Follows objects through a clip, in one or several runs.

    A run may be stopped after any frame; the next one goes on from there with all that is remembered. Objects may be
    added and removed between runs and while one is under way, from any thread.

    Args:
        clip: within the limits.
        folder: for the label maps; exists, and belongs to this job alone.

    Attributes:
        objects: that are followed, by id.
        sentences: those for all objects, each with the frame from which on it is looked for.
        known: the objects, those that a sentence for all found, and those that were removed after a run.
        position: the next frame that will be computed.
        found: of each computed frame what is told of its objects: `id`, `score`, `segmentation`.
        is_abandoned: nobody waits for it any more.
    """

    def __init__(self, clip: Clip, folder: Path) -> None:
        self.clip = clip
        self.folder = folder
        self.objects: dict[int, ClipObject] = {}
        self.sentences: dict[str, int] = {}
        self.known: dict[int, ClipObject] = {}
        self._groups: dict[str, int] = {}
        self.position = 0
        self.found: list[list[dict[str, Any]]] = []
        self._passed: set[int] = set()
        self._session: Any = None
        self._model: AnyUniRefModel | None = None
        self._processor: UniRefProcessor | None = None
        self._step = threading.RLock()
        self._running = threading.Lock()
        self._stop = threading.Event()
        self._handled = threading.Lock()
        self.is_abandoned = False

    # ---------------------------------------------------------------------------------------------------------- objects
    def add(
        self,
        frame: int,
        sentence: str | None = None,
        mask: np.ndarray | None = None,
        *,
        origin: str = ORIGINS[PAINT],
        number: int | None = None,
        pointed: dict[str, Any] | None = None,
    ) -> ClipObject:
        """Asks for one more object.

        Args:
            frame: where it was drawn, or from where on it is looked for; it must not have been computed yet.
            sentence, mask: one of them, or both; the mask is bool (H, W) of the clip's size.
            origin, pointed: see `ClipObject`.
            number: its id, 1 to 255, if that is free; otherwise, and by default, the first free one.
        """
        with self._step:
            self.check_room(1)
            if not 0 <= frame < len(self.clip):
                raise UserError(f"The frame must be from 0 to {len(self.clip) - 1}, got {frame}.")
            if frame < self.position and mask is not None:
                raise UserError(
                    f"Frame {frame} has been computed already: mark it in frame {self.position} or a later one, or "
                    "start over."
                )
            if number is None or number > 255 or number in self.known:
                number = next(free for free in itertools.count(1) if free not in self.known)
            item = ClipObject(number, max(frame, self.position), sentence, mask, origin, pointed)
            if self._session is not None:
                self._tell(item)
            self.objects[item.number] = self.known[item.number] = item
            return item

    def add_all(self, frame: int, sentence: str) -> None:
        """Asks for all objects that a sentence means, from a frame on; they get ids as they appear. Once is enough."""
        with self._step:
            if sentence in self.sentences:
                return
            self.check_room(1)
            self.sentences[sentence] = max(frame, self.position)
            if self._session is not None:
                self._tell_all(sentence)

    def remove_all(self, sentence: str) -> None:
        """Looks no further for the objects of a sentence; what was found of them stays."""
        with self._step:
            if sentence not in self.sentences:
                raise UserError(f"There is no sentence for all objects: {sentence[:40]}")
            del self.sentences[sentence]
            if self._session is not None:
                self._session.remove_group(self._groups.pop(sentence))

    def check_room(self, count: int) -> None:
        """Refuses so many objects more where they cannot be followed."""
        room = MAX_OBJECTS - len(self.objects) - len(self.sentences)
        if count > room:
            raise UserError(
                f"Up to {MAX_OBJECTS} objects can be followed; there is room for {room} more, got {count}. Remove one "
                "first."
            )

    def remove(self, number: int) -> None:
        """Follows an object no further; what was found of it stays."""
        with self._step:
            if number not in self.objects:
                raise UserError(f"There is no object {number}.")
            del self.objects[number]
            if self._session is not None and number in self._session.object_ids:
                self._session.remove_object(number)

    def start_over(self) -> None:
        """Forgets what was found, and keeps the objects, each in its frame."""
        with self._exclusive():
            self.position = 0
            self.found.clear()
            self._passed.clear()
            self.known = dict(self.objects)
            self._session = self._model = self._processor = None
            self._groups.clear()
            for file in self.folder.glob("*.png"):
                file.unlink()

    def _tell(self, item: ClipObject) -> None:
        assert self._processor is not None
        if item.pointed is not None:
            self._processor.add_pointed_prompt(self._session, item.frame, item.number, self.clip.size, **item.pointed)
        elif item.mask is not None:
            self._processor.add_mask_prompt(
                self._session, frame_idx=item.frame, obj_ids=[item.number], masks=[item.mask]
            )
        if item.sentence is not None:
            self._processor.add_text_prompt(
                self._session, obj_ids=[item.number], text=[item.sentence], frame_idx=item.frame
            )

    def _tell_all(self, sentence: str) -> None:
        assert self._processor is not None
        options: dict[str, Any] = {"frame_idx": self.sentences[sentence], "max_objects": MAX_OBJECTS}
        (self._groups[sentence],) = self._processor.add_text_prompt(
            self._session, None, sentence, targets="all", **options
        )

    # -------------------------------------------------------------------------------------------------------------- run
    def run(self, model: AnyUniRefModel, processor: UniRefProcessor) -> Iterator[FrameResult]:
        """Goes on from `position`; one result a frame."""
        with self._exclusive():
            if not self.objects and not self.sentences:
                raise UserError("Say what to follow: add a sentence, or draw an object and add it.")
            if self.position >= len(self.clip):
                raise UserError("The clip is done. Start over to follow other objects from its first frame.")
            if self._session is not None and self._model is not model:
                raise UserError("This clip was begun with another model: start over, or choose that model again.")
            with self._step:
                if self._session is None:
                    self._model, self._processor = model, processor
                    self._session = processor.init_video_session(inference_device=model.device)
                    for item in self.objects.values():
                        self._tell(item)
                    for sentence in self.sentences:
                        self._tell_all(sentence)
            try:
                while self.position < len(self.clip) and not self._stop.is_set():
                    yield self._next_frame()
            finally:
                self._stop.clear()

    def stop(self) -> None:
        """Lets the run that is under way, or is being prepared, end after the frame at hand."""
        self._stop.set()

    def abandon(self) -> None:
        """Stops it for good: its user has chosen another clip, or gone."""
        self.is_abandoned = True
        self.stop()

    @contextmanager
    def handled(self) -> Iterator[bool]:
        """Whether the job is free; then it is taken while the block runs, and earlier wishes to stop are forgotten.

        A run is only a part of what the page does with a job: before it a model is loaded, after it files are written.
        """
        is_free = self._handled.acquire(blocking=False)
        try:
            if is_free:
                self._stop.clear()
            yield is_free
        finally:
            if is_free:
                self._handled.release()

    def _next_frame(self) -> FrameResult:
        index = self.position
        frame = self.clip.frames[index]
        assert self._model is not None and self._processor is not None
        with self._step:
            found = next_frame(self._model, self._processor, self._session, frame)
            for number, answer in found.items():
                if number not in self.known:  # a sentence for all objects has found it
                    self.known[number] = ClipObject(number, index, answer.label)
                item = self.known[number]
                if item.mask is not None and item.frame == index:
                    found[number] = replace(answer, given=True)
                elif answer.passed:
                    self._passed.add(number)
            save_label_map(self.mask_file(index), frame_label_map(found, self.clip.size))
            self.found.append([answer.summary("id", "score", "segmentation") for answer in found.values()])
            self.position = index + 1
        return FrameResult(index, frame, found)

    def mask_file(self, index: int) -> Path:
        """The label map of a computed frame."""
        return self.folder / f"{index:05d}.png"

    def doubts(self) -> list[str]:
        """Lines: words that mean nothing to the model, and objects that passed their gate in no frame so far."""
        if self._session is None or self._processor is None:
            return []
        told = [*self.sentences, *(item.sentence for item in self.known.values() if item.sentence)]
        unknown = dict.fromkeys(word for sentence in told for word in self._processor.unknown_words(sentence))
        lines = [f"unknown to this model: {', '.join(unknown)}"] if unknown else []
        named = {item.sentence for item in self.known.values()}
        lines += [f"{sentence}: no object was found" for sentence in self.sentences if sentence not in named]
        for number, item in self.known.items():
            seen = [
                (told["score"], index)
                for index, frame in enumerate(self.found)
                for told in frame
                if told["id"] == number and told["score"] is not None
            ]
            gate = self._session.gate_of(number)
            if seen and gate is not None and number not in self._passed:
                best, when = max(seen)
                lines.append(f"object {number} ({item.text}): {none_passed(gate, best)} in frame {when}")
        return lines

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        if not self._running.acquire(blocking=False):
            raise UserError("This clip is being followed already: wait, or press Stop.")
        try:
            yield
        finally:
            self._running.release()
