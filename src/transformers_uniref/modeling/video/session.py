"""What a user holds of a video: the clip or stream, who is followed in it, and the options of following."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers.utils import ModelOutput

from ...core.errors import KindError, UsageError
from ...core.masks import binary_mask
from ..object_choice import MOST_OBJECTS, UNTUNED, ObjectChoice
from ..precision import chosen_dtype, warn_if_slow
from .frames import FrameProcessor, PreparedFrame, prepare_frame
from .groups import Group
from .lock import IteratorLock
from .memory import SessionMemory, TrackedObject
from .prompts import ObjectPrompts, PointPrompt, Prompts, TextPrompt, fitted

REFERENCE_CHOICES = ("both", "first", "previous")


@dataclass
class VideoOutput(ModelOutput):
    """One frame's result for the n objects that are being followed.

    Attributes:
        frame_idx: the frame.
        object_ids: ids of the objects, ascending.
        pred_masks: (n, H, W) float32 probabilities at the video's size, before the objects are merged; 0 where the
            score did not pass its gate; the given mask in a frame where a mask was given.
        object_scores: (n,) in 0..1, how sure the model is of what it found, gate or not.
        objects_passed: (n,) bool, whether the score passed its gate; true where a mask was given.
        object_masks: (n, H, W) bool, the objects after they were merged: disjoint (see `merging.merge_masks`).
        object_groups: of each object the number of the sentence for all objects that found it (`session.groups` has it
            in words), or None.
    """

    frame_idx: int | None = None
    object_ids: list[int] | None = None
    pred_masks: Tensor | None = None
    object_scores: Tensor | None = None
    objects_passed: Tensor | None = None
    object_masks: Tensor | None = None
    object_groups: list[int | None] | None = None


class UniRefVideoSession:
    """A clip or a stream, the objects that are followed in it, and the memory of each.

    Usually made by `UniRefProcessor.init_video_session`, which also turns sentences and label maps into prompts:

    ```python
    session = processor.init_video_session(video="clip.mp4")
    processor.add_mask_prompt(session, frame_idx=0, obj_ids=[1, 2], masks=label_map)
    processor.add_text_prompt(session, obj_ids=3, text="a person on a bike")
    for output in model.propagate_in_video_iterator(session):
        masks = processor.post_process_video_masks(output, session)
    ```

    Without a video it is a stream: `model(inference_session=session, frame=frame)` for one frame after the other.

    An object is given by a mask, by a sentence, or by both (then both references act together); a sentence may also
    mean all objects of a kind, see `add_text_for_all`, and `add_everything` asks for all. A mask that is given
    again, in any frame, replaces all that was remembered of the object; a new sentence replaces the old one and what
    was found by it. Neither frames nor results are kept: what is kept for an object is two annotated frames, its
    sentence and its last mask.

    Args:
        video: the clip: a sequence of frames (read lazily, one at a time), a directory of pictures, a file; None for a
            stream.
        image_processor: resizes and normalises frames; None for a stream of `pixel_values`.
        inference_device: where the model is.
        dtype: `torch.bfloat16` (or float16) runs the model in that precision under autocast, convolutions in
            channels-last order; coordinates stay float32. `torch.float32` runs it as it is, also a model with half
            precision weights. "auto" is what is fast on `inference_device`, see `precision.fast_dtype`.
        vos_score_threshold: an object given by a mask has an empty mask in frames where its score is not above this;
            None for no gate. Released: 0.4 (0.3 for DAVIS 2017, 0.5 for LVOS).
        rvos_score_threshold: the same for an object with a sentence. Released: 0.3, None for Ref-DAVIS.
        mask_threshold: the probability, between 0 and 1, from which on a pixel is the object's; released: 0.5. It acts
            before what was found is resized, merged and remembered as a reference: the logits are shifted so that this
            probability becomes a half. Less where objects lose parts from frame to frame.
        references: which annotated frames of an object are used: "both" (released), "first" or "previous".
        propagate_text: whether an object known by a sentence alone is followed by its mask as well once it has been
            found (released for Ref-YouTube-VOS). False looks for the sentence in every frame anew (Ref-DAVIS).
        object_choice: which queries are objects where a sentence means all; its `threshold` does not act here, where
            sentences have `rvos_score_threshold`.
        object_chunk_size: how many objects go through the network together; None: all.
        output_size: (height, width) of the results; None: the video's.

    Raises:
        TypeError, ValueError: naming the argument, what came, and what is accepted.

    Warns:
        UserWarning: `dtype` is much slower than float32 on this processor.
    """

    def __init__(
        self,
        video: Any = None,
        image_processor: FrameProcessor | None = None,
        inference_device: str | torch.device = "cpu",
        dtype: torch.dtype | str = torch.float32,
        *,
        vos_score_threshold: float | None = 0.4,
        rvos_score_threshold: float | None = 0.3,
        mask_threshold: float = 0.5,
        references: str = "both",
        propagate_text: bool = True,
        object_chunk_size: int | None = None,
        output_size: tuple[int, int] | None = None,
        object_choice: ObjectChoice = UNTUNED,
    ) -> None:
        gates = {"vos_score_threshold": vos_score_threshold, "rvos_score_threshold": rvos_score_threshold}
        for name, gate in gates.items():
            if gate is not None and not 0 <= gate <= 1:
                raise UsageError(f"`{name}` must be between 0 and 1, or None for no gate; got {gate!r}.")
        if not 0 < mask_threshold < 1:
            raise UsageError(f"`mask_threshold` must be between 0 and 1, both left out; got {mask_threshold}.")
        if references not in REFERENCE_CHOICES:
            raise UsageError(f"`references` must be one of {', '.join(REFERENCE_CHOICES)}; got {references!r}.")
        if object_chunk_size is not None and (not is_integer(object_chunk_size) or object_chunk_size < 1):
            raise UsageError(f"`object_chunk_size` must be 1 or more, or None for all; got {object_chunk_size!r}.")
        number_type = chosen_dtype(dtype, inference_device)
        warn_if_slow(number_type, inference_device)
        if output_size is not None and (len(output_size) != 2 or min(output_size) < 1):
            raise UsageError(f"`output_size` must be (height, width), both 1 or more; got {output_size!r}.")
        if video is not None and not isinstance(getattr(video, "size", None), tuple):
            from ...media.video.frames import VideoFrames

            video = VideoFrames(video)
        if video is not None and image_processor is None:
            raise UsageError("`image_processor` is missing: the frames of a `video` have to be resized and normalised.")
        if video is not None and len(video) == 0:
            raise UsageError("`video` has no frames.")
        self.video: Sequence[Any] | None = video
        self.image_processor = image_processor
        self.inference_device = torch.device(inference_device)
        self.dtype = number_type
        self.vos_score_threshold = vos_score_threshold
        self.rvos_score_threshold = rvos_score_threshold
        self.mask_threshold = mask_threshold
        self.references = references
        self.propagate_text = propagate_text
        self.object_chunk_size = object_chunk_size
        self.object_choice = object_choice
        self._output_size = None if output_size is None else (int(output_size[0]), int(output_size[1]))
        self._video_size: tuple[int, int] | None = None if video is None else (int(video.size[0]), int(video.size[1]))
        self.prompts = Prompts()
        self.groups: dict[int, Group] = {}
        self._next_group = 0
        self.memory = SessionMemory()
        self.lock = IteratorLock()

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "_tracked" in state:  # a pickle that is older than the parts
            prompts: dict[int, ObjectPrompts] = state.pop("_prompts")
            tracked: dict[int, TrackedObject] = state.pop("_tracked")
            rest = (state.pop(name) for name in ("_last_frame", "_reverse", "_restart_needed"))
            state["prompts"], state["memory"] = Prompts(prompts), SessionMemory(tracked, *rest)
            state["lock"] = IteratorLock()
        groups = state.pop("groups", {})
        groups = groups if isinstance(groups, dict) else dict(enumerate(groups))  # once, none could be removed
        newer = {"object_choice": UNTUNED, "_next_group": len(groups)}
        self.__dict__.update({**newer, "groups": groups, **state})

    # ---------------------------------------------------------------------------------------------------- what it knows
    @property
    def mask_shift(self) -> float:
        """What is added to mask logits so that `mask_threshold` becomes a probability of a half."""
        return math.log((1 - self.mask_threshold) / self.mask_threshold)

    @property
    def is_stream(self) -> bool:
        return self.video is None

    @property
    def num_frames(self) -> int | None:
        """Frames of the clip; None for a stream."""
        return None if self.video is None else len(self.video)

    @property
    def video_size(self) -> tuple[int, int] | None:
        """(height, width) of the frames, and of the masks that are given; None before a stream's first frame."""
        return self._video_size

    @property
    def output_size(self) -> tuple[int, int] | None:
        """(height, width) of the results: the video's, unless the session was told otherwise."""
        return self._output_size or self._video_size

    @property
    def object_ids(self) -> list[int]:
        """All objects, ascending, also those that wait for their frame."""
        return sorted({*self.prompts, *self.memory.objects})

    @property
    def next_frame_idx(self) -> int:
        """The index that the next frame of a stream gets."""
        return 0 if self.memory.last_frame is None else self.memory.last_frame + 1

    @property
    def last_masks(self) -> dict[int, Tensor]:
        """Bool masks (H, W) by id, as the objects' latest frame is remembered.

        Of objects without a sentence they are disjoint; one with a sentence has all that is likely its own.
        """
        found = {obj_id: item.memory.last_mask for obj_id, item in self.memory.objects.items()}
        return {obj_id: mask for obj_id, mask in found.items() if mask is not None}

    def num_bytes(self) -> int:
        """Bytes of all tensors that are kept: memory of the objects and prompts, not the user's own frames."""
        storages = {}
        texts, objects = (group.text for group in self.groups.values() if group.text), self.memory.objects.values()
        rest = (item.tensors() for item in chain[TextPrompt | TrackedObject](texts, objects))
        for tensor in chain(self.prompts.tensors(), *rest):
            storage = tensor.untyped_storage()
            storages[(tensor.device, storage.data_ptr())] = storage.nbytes()
        return sum(storages.values())

    def gate_of(self, obj_id: int) -> float | None:
        """The score gate of an object: that of sentences where it has one, else that of masks; None for none."""
        texts = obj_id in self.prompts and self.prompts[obj_id].texts
        return self.rvos_score_threshold if texts else self.vos_score_threshold

    # ---------------------------------------------------------------------------------------------------------- prompts
    def add_mask(self, frame_idx: int, obj_id: int, mask: Tensor | np.ndarray) -> None:
        """Give an object by its mask in one frame; for a known object, a correction.

        In that frame the mask replaces the result, and it becomes the initial and the previous reference. In a stream
        it waits for its frame.

        Args:
            frame_idx: from 0.
            obj_id: 1 or more.
            mask: (H, W) of 0 and one other value, of the video's size.

        Raises:
            TypeError, ValueError: naming the argument, what came, and what is accepted. Nothing is added then.
        """
        self.add_masks(frame_idx, {_object_id(obj_id): binary_mask(mask, None, "mask")}, "mask")

    def add_masks(self, frame_idx: int, masks: Mapping[int, np.ndarray], name: str = "masks") -> None:
        """Give several objects by their masks in one frame, all of them or, after an error, none; see `add_mask`.

        Args:
            frame_idx: from 0.
            masks: bool (H, W) by the object's id, with at least one pixel of it. Neither is looked at again here: they
                are what `core.masks` has made of a user's masks and ids.
            name: what the user calls them, for messages.

        Raises:
            TypeError, ValueError: `frame_idx` is none of the clip's frames or has passed, a mask has another size.
        """
        frame_idx = self.frame_index(frame_idx)
        if self.is_stream and frame_idx < self.next_frame_idx:
            raise UsageError(
                f"`frame_idx` {frame_idx} has passed: this stream keeps no frames, so a mask must be for frame "
                f"{self.next_frame_idx} or a later one."
            )
        given = {
            obj_id: fitted(torch.from_numpy(np.ascontiguousarray(mask)), self._video_size, name)
            for obj_id, mask in masks.items()
        }
        if not all(bool(mask.any()) for mask in given.values()):
            raise UsageError(f"`{name}` has an object of which no pixel is left at the frame's size.")
        for obj_id, mask in given.items():
            self.prompts.of(obj_id).masks[frame_idx] = mask
            self.prompts.of(obj_id).points.pop(frame_idx, None)
        self.memory.note_prompt(frame_idx)

    def add_points(
        self, frame_idx: int, points: Mapping[int, PointPrompt], drawn: Mapping[int, np.ndarray], name: str = "points"
    ) -> None:
        """Give several objects by clicks, boxes or scribbles in one frame; for known objects, corrections.

        In that frame a model with an encoder of them (`use_point_references`) makes masks of them, from what it knows
        of the object besides: its sentence, and the frames before. These are then given masks, see `add_mask`. For
        another model the drawn ones are.

        Args:
            frame_idx: from 0; see `add_mask`.
            points: by the object's id.
            drawn: masks that stand for them, bool (H, W) by the object's id, where there is one.
            name: what the user calls them, for messages.

        Raises:
            TypeError, ValueError: see `add_masks`.
        """
        self.add_masks(frame_idx, drawn, name)
        for obj_id, pointed in points.items():
            prompts = self.prompts.of(_object_id(obj_id))
            prompts.points[frame_idx] = pointed
            if obj_id not in drawn:
                prompts.masks.pop(frame_idx, None)

    def add_text(
        self,
        frame_idx: int,
        obj_id: int,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        understood: bool = True,
    ) -> None:
        """Look for an object by a sentence, from one frame on; for a known sentence, a new one instead.

        In a stream whose frame has passed, from the next frame on. In reverse propagation also before that frame.

        Args:
            frame_idx: from 0.
            obj_id: 1 or more.
            input_ids: (1, L) or (L,) token ids.
            attention_mask: the same shape, non-zero for real tokens; None: all.
            understood: whether the model knows any word of it; what a sentence finds alone passes no gate otherwise.

        Raises:
            TypeError, ValueError: naming the argument, what came, and what is accepted. Nothing is added then.
        """
        self._add_said(frame_idx, obj_id, TextPrompt.of_tokens(input_ids, attention_mask, understood))

    def add_audio(
        self,
        frame_idx: int,
        obj_id: int,
        audio_values: Tensor,
        audio_mask: Tensor | None = None,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> None:
        """Look for an object by a sound, from one frame on; all else is as for a sentence (`add_text`).

        A sound replaces the sentence or the sound that was in force, and is replaced by the next.

        Args:
            frame_idx, obj_id: see `add_text`.
            audio_values: (1, ...) of the processor; `audio_mask` (1, T).
            input_ids, attention_mask: a sentence about the same object, or None.

        Raises:
            TypeError, ValueError: naming the argument, what came, and what is accepted. Nothing is added then.
        """
        if audio_values.dim() < 2 or audio_values.shape[0] != 1:
            raise UsageError(f"`audio_values` must be one sound (1, ...), got {tuple(audio_values.shape)}.")
        prompt = TextPrompt(None, None) if input_ids is None else TextPrompt.of_tokens(input_ids, attention_mask, True)
        self._add_said(frame_idx, obj_id, replace(prompt, audio_values=audio_values, audio_mask=audio_mask))

    def _add_said(self, frame_idx: int, obj_id: int, prompt: TextPrompt) -> None:
        frame_idx, obj_id = self.frame_index(frame_idx), _object_id(obj_id)
        if self.is_stream:
            frame_idx = max(frame_idx, self.next_frame_idx)
        self.prompts.of(obj_id).texts[frame_idx] = prompt
        self.memory.note_prompt(frame_idx)

    def add_text_for_all(
        self,
        frame_idx: int,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        understood: bool = True,
        max_objects: int = 8,
        patience: int = 4,
        sentence: str = "",
    ) -> int:
        """Look for all objects that a sentence means, none, one or many, from one frame on.

        Objects get ids as they appear, above all that are known and none twice. One is followed by its masks, as one
        that a user's mask gives, and keeps its id; what the sentence finds in a later frame is the object that it
        overlaps. An object that has been out of sight for more than `patience` frames has ended. One that is followed
        already, for whatever reason, gets no second id. With `propagate_text=False` the sentence alone finds objects,
        and overlap with the frame before says which.

        Args:
            frame_idx: from 0; see `add_text`.
            input_ids, attention_mask, understood: see `add_text`.
            max_objects: most objects at a time, 1 or more; the best of those that appear.
            patience: 0 or more.
            sentence: in words, for who asks what found an object.

        Returns:
            The number of the sentence, by which `VideoOutput.object_groups` and `remove_group` know it.

        Raises:
            TypeError, ValueError: naming the argument, what came, and what is accepted. Nothing is added then.
        """
        frame_idx = self.frame_index(frame_idx)
        text = TextPrompt.of_tokens(input_ids, attention_mask, understood)
        return self._add_group(text, frame_idx, max_objects, patience, sentence=sentence)

    def add_everything(
        self, frame_idx: int = 0, max_objects: int = MOST_OBJECTS, patience: int = 4, every: int = 5
    ) -> int:
        """Look for all objects without any reference, from one frame on; see `add_text_for_all`.

        They are found in that frame and in key frames after it, by the gate of sentences, and followed by their masks
        in all.

        Args:
            frame_idx: from 0; see `add_text`.
            max_objects, patience: see `add_text_for_all`.
            every: key frames are so many frames apart, 1 or more.

        Returns:
            The number of the search, by which `VideoOutput.object_groups` and `remove_group` know it.

        Raises:
            TypeError, ValueError: naming the argument, what came, and what is accepted. Nothing is added then.
        """
        return self._add_group(None, self.frame_index(frame_idx), max_objects, patience, every)

    def _add_group(
        self,
        text: TextPrompt | None,
        frame_idx: int,
        max_objects: int,
        patience: int,
        every: int = 1,
        sentence: str = "",
    ) -> int:
        given = (("max_objects", max_objects, 1), ("patience", patience, 0), ("every", every, 1))
        for name, value, least in given:
            if not is_integer(value) or value < least:
                raise UsageError(f"`{name}` must be an integer of at least {least}, got {value!r}.")
        if self.is_stream:
            frame_idx = max(frame_idx, self.next_frame_idx)
        number, self._next_group = self._next_group, self._next_group + 1
        self.groups[number] = Group(text, frame_idx, int(max_objects), int(patience), int(every), sentence)
        self.memory.note_prompt(frame_idx)
        return number

    def remove_object(self, obj_id: int) -> None:
        """Forget an object and all that was said about it.

        One that a sentence for all objects found comes back under another id if the sentence still means it.

        Raises:
            ValueError: there is no such object.
        """
        if obj_id not in self.object_ids:
            known = ", ".join(str(known_id) for known_id in self.object_ids) or "none"
            raise UsageError(f"`obj_id` {obj_id!r} is unknown; the session's objects are: {known}.")
        self.prompts.pop(obj_id, None)
        self.memory.objects.pop(obj_id, None)

    def remove_group(self, number: int) -> None:
        """Forget a sentence for all objects, and those that it found; what a mask or another sentence gives stays.

        Raises:
            ValueError: there is no such sentence.
        """
        if number not in self.groups:
            known = ", ".join(map(str, self.groups)) or "none"
            raise UsageError(f"`number` {number!r} is unknown; the session's sentences for all objects are: {known}.")
        del self.groups[number]
        for obj_id, item in list(self.memory.objects.items()):
            if item.group == number:
                item.group = None
                if not item.given and obj_id not in self.prompts:
                    del self.memory.objects[obj_id]

    def reset(self) -> None:
        """Forget all objects; a stream starts again at frame 0 and may have another size."""
        self.prompts.clear()
        self.groups.clear()
        self.memory = SessionMemory()
        self.release()
        if self.is_stream:
            self._video_size = None

    def release(self) -> None:
        """End a propagation that was left in the middle and whose iterator is still held somewhere.

        A notebook holds it after an interruption. That iterator raises RuntimeError from then on; nothing is forgotten.
        """
        self.lock.release()

    def frame_index(self, frame_idx: Any, name: str = "frame_idx") -> int:
        if not is_integer(frame_idx):
            raise KindError(f"`{name}` must be an integer, got {frame_idx!r}.")
        if frame_idx < 0 or (self.num_frames is not None and frame_idx >= self.num_frames):
            last = "on" if self.num_frames is None else f"to {self.num_frames - 1}"
            raise UsageError(f"`{name}` must be from 0 {last}, got {frame_idx}.")
        return int(frame_idx)

    # --------------------------------------------------------------------------------------------- for the model's use
    def frame(self, frame_idx: int) -> Any:
        """A frame of the clip, read now."""
        if self.video is None:
            raise UsageError("A stream keeps no frames.")
        return self.video[frame_idx]

    def prepare_frame(self, frame: Any, name: str = "frame") -> PreparedFrame:
        """Check, resize, normalise and move one frame.

        Raises:
            TypeError, ValueError: no picture, or of another size than the frames before it.
        """
        prepared = prepare_frame(frame, self.image_processor, name)
        if self._video_size is not None and prepared.video_size != self._video_size:
            raise UsageError(
                f"`{name}` must have the size of the frames before it, (height, width) = {self._video_size}; got "
                f"{prepared.video_size}. `session.reset()` starts a new video."
            )
        values, mask = prepared.pixel_values.to(self.inference_device, torch.float32), prepared.pixel_mask
        if self.dtype != torch.float32:
            values = values.contiguous(memory_format=torch.channels_last)
        mask = None if mask is None else mask.to(self.inference_device)
        return replace(prepared, pixel_values=values, pixel_mask=mask)

    def groups_at(self, frame_idx: int, reverse: bool) -> dict[int, Group]:
        """The sentences for all objects that hold in a frame, by their number."""
        return {number: group for number, group in self.groups.items() if group.holds_at(frame_idx, reverse)}

    def commit(
        self,
        frame_idx: int,
        reverse: bool,
        video_size: tuple[int, int],
        objects: dict[int, TrackedObject],
        last_id: int,
    ) -> None:
        """Take over the memory after a frame."""
        self._video_size = video_size
        self.memory = SessionMemory(objects, frame_idx, reverse, self.memory.restart_needed, last_id)
        if self.is_stream:
            for prompts in self.prompts.values():
                prompts.forget_before(frame_idx + 1)


def _object_id(obj_id: Any) -> int:
    if not is_integer(obj_id):
        raise KindError(f"`obj_id` must be an integer, got {obj_id!r}.")
    if obj_id < 1:
        raise UsageError(f"`obj_id` must be 1 or more (0 is the background), got {obj_id}.")
    return int(obj_id)


def is_integer(value: Any) -> bool:
    """Whether `value` is a whole number of Python or NumPy; True and False are not."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


__all__ = ["UniRefVideoSession", "VideoOutput"]
