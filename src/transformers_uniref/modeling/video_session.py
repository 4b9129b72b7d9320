"""What is remembered between the frames of a video: who is looked for, and a bounded memory for each of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers.utils import ModelOutput

from .precision import chosen_dtype, warn_if_slow
from .references import ProjectedReferences, References, VisualFeatures
from .video_references import ReferenceSlot

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
    """

    frame_idx: int | None = None
    object_ids: list[int] | None = None
    pred_masks: Tensor | None = None
    object_scores: Tensor | None = None
    objects_passed: Tensor | None = None


@dataclass
class TextPrompt:
    """A sentence (1, L) that is looked for from a frame on; `reference` once the model has encoded it.

    Where the model knows no word of it (`understood`), what it finds by the sentence alone does not pass a gate.
    """

    input_ids: Tensor
    attention_mask: Tensor
    understood: bool = True
    reference: ProjectedReferences | None = None

    def tensors(self) -> Iterator[Tensor]:
        yield from (self.input_ids, self.attention_mask)
        for tokens in [] if self.reference is None else self.reference.levels:
            yield from (tokens.keys, tokens.values, tokens.condition)
            if tokens.valid is not None:
                yield tokens.valid


@dataclass
class ObjectPrompts:
    """What the user said about an object: sentences and masks, by frame."""

    texts: dict[int, TextPrompt] = field(default_factory=dict)
    masks: dict[int, Tensor] = field(default_factory=dict)

    def text_at(self, frame_idx: int, reverse: bool) -> TextPrompt | None:
        """The sentence in force: the latest that was given for this frame or an earlier one.

        Going back in time there is no "from then on": before the first sentence's frame that sentence holds.
        """
        started = [index for index in self.texts if index <= frame_idx]
        if started:
            return self.texts[max(started)]
        return self.texts[min(self.texts)] if reverse and self.texts else None

    def forget_before(self, frame_idx: int) -> None:
        """Drop what a stream that has arrived at `frame_idx` cannot need any more."""
        self.masks = {index: mask for index, mask in self.masks.items() if index >= frame_idx}
        started = [index for index in self.texts if index <= frame_idx]
        for index in sorted(started)[:-1]:
            del self.texts[index]


class TrackedObject:
    """All that a session knows of an object besides its prompts: a bounded amount, however long the video.

    Attributes:
        text: the sentence in force, or None.
        initial: the frame in which it was given, or first found by its sentence.
        previous: the latest frame in which it was seen.
        given: whether `initial` is a user's mask.
        last_mask: bool (H, W) its pixels in the latest frame, at the size of the results.
    """

    def __init__(self, text: TextPrompt | None, given: bool = False):
        self.text = text
        self.given = given
        self.initial: ReferenceSlot | None = None
        self.previous: ReferenceSlot | None = None
        self.last_mask: Tensor | None = None

    def reserve(self, choice: str, features: VisualFeatures, dtype: torch.dtype) -> None:
        """Allocate the frames that the reference choice needs."""
        if choice != "previous":
            self.initial = ReferenceSlot(features, dtype)
        if choice != "first":
            self.previous = ReferenceSlot(features, dtype)

    def with_text(self, text: TextPrompt | None) -> TrackedObject:
        """The same object under another sentence."""
        other = TrackedObject(text, self.given)
        other.initial, other.previous, other.last_mask = self.initial, self.previous, self.last_mask
        return other

    def remember(self, entry: tuple[References, int], frame_idx: int) -> None:
        """Take over an annotated frame: the first as initial and previous reference, later ones as previous."""
        for slot in (self.previous,) if self.slots() else (self.initial, self.previous):
            if slot is not None:
                slot.write(*entry, frame_idx)

    @property
    def is_reserved(self) -> bool:
        return self.initial is not None or self.previous is not None

    @property
    def is_understood(self) -> bool:
        """Whether anything but a sentence without a known word says what the object is."""
        return self.given or self.text is None or self.text.understood

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
        if self.text is not None:
            yield from self.text.tensors()
        if self.last_mask is not None:
            yield self.last_mask


@dataclass
class PreparedFrame:
    """A frame as the network reads it.

    Attributes:
        pixel_values: (1, 3, H, W).
        pixel_mask: (1, H, W), or None without padding.
        network_size: height and width of the frame inside `pixel_values`.
        video_size: height and width of the frame as it came.
    """

    pixel_values: Tensor
    pixel_mask: Tensor | None
    network_size: tuple[int, int]
    video_size: tuple[int, int]


class _Running:
    """That an iterator goes through a session. A copy of the session is not gone through."""

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        return type(None), ()


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

    An object is given by a mask, by a sentence, or by both (then both references act together). A mask that is given
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
        image_processor: Any = None,
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
    ) -> None:
        _check_threshold("vos_score_threshold", vos_score_threshold)
        _check_threshold("rvos_score_threshold", rvos_score_threshold)
        if not 0 < mask_threshold < 1:
            raise ValueError(f"`mask_threshold` must be between 0 and 1, both left out; got {mask_threshold}.")
        if references not in REFERENCE_CHOICES:
            raise ValueError(f"`references` must be one of {', '.join(REFERENCE_CHOICES)}; got {references!r}.")
        if object_chunk_size is not None and (not is_integer(object_chunk_size) or object_chunk_size < 1):
            raise ValueError(f"`object_chunk_size` must be 1 or more, or None for all; got {object_chunk_size!r}.")
        number_type = chosen_dtype(dtype, inference_device)
        warn_if_slow(number_type, inference_device)
        if output_size is not None and (len(output_size) != 2 or min(output_size) < 1):
            raise ValueError(f"`output_size` must be (height, width), both 1 or more; got {output_size!r}.")
        if video is not None and not isinstance(getattr(video, "size", None), tuple):
            from ..media.video.frames import VideoFrames

            video = VideoFrames(video)
        if video is not None and image_processor is None:
            raise ValueError("`image_processor` is missing: the frames of a `video` have to be resized and normalised.")
        if video is not None and len(video) == 0:
            raise ValueError("`video` has no frames.")
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
        self._output_size = None if output_size is None else (int(output_size[0]), int(output_size[1]))
        self._video_size: tuple[int, int] | None = None if video is None else (int(video.size[0]), int(video.size[1]))
        self._prompts: dict[int, ObjectPrompts] = {}
        self._tracked: dict[int, TrackedObject] = {}
        self._last_frame: int | None = None
        self._reverse = False
        self._restart_needed = True
        self._running: _Running | None = None

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
        return sorted(self._prompts)

    @property
    def next_frame_idx(self) -> int:
        """The index that the next frame of a stream gets."""
        return 0 if self._last_frame is None else self._last_frame + 1

    @property
    def last_masks(self) -> dict[int, Tensor]:
        """Disjoint bool masks (H, W) of the objects in the latest frame, by id."""
        return {obj_id: item.last_mask for obj_id, item in self._tracked.items() if item.last_mask is not None}

    def num_bytes(self) -> int:
        """Bytes of all tensors that are kept: memory of the objects and prompts, not the user's own frames."""
        storages = {}
        for tensor in self._tensors():
            storage = tensor.untyped_storage()
            storages[(tensor.device, storage.data_ptr())] = storage.nbytes()
        return sum(storages.values())

    def _tensors(self) -> Iterator[Tensor]:
        for prompts in self._prompts.values():
            yield from prompts.masks.values()
            for text in prompts.texts.values():
                yield from text.tensors()
        for item in self._tracked.values():
            yield from item.tensors()

    def gate_of(self, obj_id: int) -> float | None:
        """The score gate of an object: that of sentences where it has one, else that of masks; None for none."""
        texts = obj_id in self._prompts and self._prompts[obj_id].texts
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
        frame_idx, obj_id = self.frame_index(frame_idx), _object_id(obj_id)
        if self.is_stream and frame_idx < self.next_frame_idx:
            raise ValueError(
                f"`frame_idx` {frame_idx} has passed: this stream keeps no frames, so a mask must be for frame "
                f"{self.next_frame_idx} or a later one."
            )
        from ..core.masks import binary_mask

        mask = self._fit(torch.from_numpy(binary_mask(mask, None, "mask")))
        if not bool(mask.any()):
            raise ValueError("`mask` has no pixel of the object left at the frame's size.")
        self._prompts.setdefault(obj_id, ObjectPrompts()).masks[frame_idx] = mask
        self._restart_needed |= self._has_passed(frame_idx)

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
        frame_idx, obj_id = self.frame_index(frame_idx), _object_id(obj_id)
        ids = torch.as_tensor(input_ids)
        ids = ids[None] if ids.dim() == 1 else ids
        if ids.dim() != 2 or ids.shape[0] != 1 or ids.shape[1] == 0 or ids.is_floating_point():
            raise ValueError(f"`input_ids` must be one sentence, integers (1, L); got {ids.dtype} {tuple(ids.shape)}.")
        valid = torch.ones_like(ids) if attention_mask is None else torch.as_tensor(attention_mask).reshape(1, -1)
        if valid.shape != ids.shape or not bool(valid.any()):
            raise ValueError(
                f"`attention_mask` must have the shape {tuple(ids.shape)} of `input_ids` and a token that counts; got "
                f"{tuple(valid.shape)}."
            )
        if self.is_stream:
            frame_idx = max(frame_idx, self.next_frame_idx)
        self._prompts.setdefault(obj_id, ObjectPrompts()).texts[frame_idx] = TextPrompt(
            ids.cpu(), valid.cpu(), understood
        )
        self._restart_needed |= self._has_passed(frame_idx)

    def remove_object(self, obj_id: int) -> None:
        """Forget an object and all that was said about it.

        Raises:
            ValueError: there is no such object.
        """
        if obj_id not in self._prompts:
            known = ", ".join(str(known_id) for known_id in self.object_ids) or "none"
            raise ValueError(f"`obj_id` {obj_id!r} is unknown; the session's objects are: {known}.")
        del self._prompts[obj_id]
        self._tracked.pop(obj_id, None)

    def reset(self) -> None:
        """Forget all objects; a stream starts again at frame 0 and may have another size."""
        self._prompts.clear()
        self._tracked.clear()
        self._last_frame = None
        self._restart_needed = True
        self.release()
        if self.is_stream:
            self._video_size = None

    def release(self) -> None:
        """End a propagation that was left in the middle and whose iterator is still held somewhere.

        A notebook holds it after an interruption. That iterator raises RuntimeError from then on; nothing is forgotten.
        """
        self._running = None

    def frame_index(self, frame_idx: Any, name: str = "frame_idx") -> int:
        if not is_integer(frame_idx):
            raise TypeError(f"`{name}` must be an integer, got {frame_idx!r}.")
        if frame_idx < 0 or (self.num_frames is not None and frame_idx >= self.num_frames):
            last = "on" if self.num_frames is None else f"to {self.num_frames - 1}"
            raise ValueError(f"`{name}` must be from 0 {last}, got {frame_idx}.")
        return int(frame_idx)

    def _fit(self, mask: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """A mask at the video's size, as far as that is known; a small difference is resized with a warning."""
        size = size or self._video_size
        if size is None or tuple(mask.shape) == size:
            return mask
        from ..core.masks import fit_mask

        return torch.from_numpy(np.ascontiguousarray(fit_mask(mask.cpu().numpy(), size, "mask")))

    def _has_passed(self, frame_idx: int) -> bool:
        if self._last_frame is None or self.is_stream:
            return False
        return frame_idx >= self._last_frame if self._reverse else frame_idx <= self._last_frame

    # --------------------------------------------------------------------------------------------- for the model's use
    def frame(self, frame_idx: int) -> Any:
        """A frame of the clip, read now."""
        if self.video is None:
            raise ValueError("A stream keeps no frames.")
        return self.video[frame_idx]

    def prepare_frame(self, frame: Any, name: str = "frame") -> PreparedFrame:
        """Check, resize, normalise and move one frame.

        Raises:
            TypeError, ValueError: no picture, or of another size than the frames before it.
        """
        values, mask, size, video_size = self._network_input(frame, name)
        if self._video_size is not None and video_size != self._video_size:
            raise ValueError(
                f"`{name}` must have the size of the frames before it, (height, width) = {self._video_size}; got "
                f"{video_size}. `session.reset()` starts a new video."
            )
        values = values.to(self.inference_device, torch.float32)
        if self.dtype != torch.float32:
            values = values.contiguous(memory_format=torch.channels_last)
        padded = size != tuple(values.shape[-2:])
        return PreparedFrame(values, mask.to(self.inference_device) if padded else None, size, video_size)

    def _network_input(self, frame: Any, name: str) -> tuple[Tensor, Tensor, tuple[int, int], tuple[int, int]]:
        """pixel_values (1, 3, H, W), pixel_mask (1, H, W), (height, width) inside them, (height, width) as it came."""
        if isinstance(frame, Mapping):
            if "pixel_values" not in frame:
                raise ValueError(f"`{name}`: a dictionary must hold `pixel_values`; got {', '.join(map(str, frame))}.")
            return _checked_pixels(frame["pixel_values"], frame.get("pixel_mask"), name)
        if isinstance(frame, torch.Tensor) and frame.is_floating_point():
            return _checked_pixels(frame, None, name)
        if self.image_processor is None:
            raise ValueError(
                f"`{name}` must be pixel_values, a normalised float tensor (3, H, W), as the session has no image "
                f"processor; got {type(frame).__name__}."
            )
        picture = self.image_processor.process_image(frame, name=name)
        options = {"size": self.image_processor.video_size, "enlarged_to": self.image_processor.enlarged_to}
        made = self.image_processor(picture, input_data_format="channels_first", return_tensors="pt", **options)
        mask = made["pixel_mask"]
        size = (int(mask[0, :, 0].sum()), int(mask[0, 0].sum()))
        return made["pixel_values"], mask, size, (int(picture.shape[-2]), int(picture.shape[-1]))

    def masks_at(self, frame_idx: int, video_size: tuple[int, int]) -> dict[int, Tensor]:
        """The masks that are given in a frame, by object."""
        given = {obj_id: prompts.masks.get(frame_idx) for obj_id, prompts in self._prompts.items()}
        return {obj_id: self._fit(mask, video_size) for obj_id, mask in sorted(given.items()) if mask is not None}

    def texts_at(self, frame_idx: int, reverse: bool) -> dict[int, TextPrompt]:
        """The sentences in force in a frame, by object."""
        texts = {obj_id: prompts.text_at(frame_idx, reverse) for obj_id, prompts in self._prompts.items()}
        return {obj_id: text for obj_id, text in texts.items() if text is not None}

    def tracked(self, obj_id: int) -> TrackedObject | None:
        return self._tracked.get(obj_id)

    def nearest_given(self, frame_idx: int, reverse: bool) -> dict[int, int]:
        """For each object with masks on the way to `frame_idx`, the last such frame before it."""
        found = {}
        for obj_id, prompts in self._prompts.items():
            passed = [index for index in prompts.masks if (index > frame_idx if reverse else index < frame_idx)]
            if passed:
                found[obj_id] = min(passed) if reverse else max(passed)
        return found

    def continues_at(self, frame_idx: int, reverse: bool) -> bool:
        """Whether the memory is that of the frame before `frame_idx` and nothing said since concerns earlier frames."""
        if self._restart_needed or self._last_frame is None or self._reverse != reverse:
            return False
        return frame_idx == self._last_frame + (-1 if reverse else 1)

    def check_free(self) -> None:
        """Raises RuntimeError while an iterator is in the middle of this session: two would mix up its memory."""
        if self._running is not None:
            raise RuntimeError(
                "`inference_session` is being gone through by another iterator: go to its end, close it "
                "(`iterator.close()`) or give it up (`session.release()`); two clips or directions need two sessions."
            )

    @contextmanager
    def propagation(self) -> Iterator[Callable[[], None]]:
        """Belongs to one iterator to its end; gives a function that raises once the session was released or reset."""
        self.check_free()
        mine = self._running = _Running()

        def check() -> None:
            if self._running is not mine:
                raise RuntimeError("this iterator was ended by `release` or `reset` of its session; make another one.")

        try:
            yield check
        finally:
            if self._running is mine:
                self._running = None

    def restart(self, tracked: dict[int, TrackedObject]) -> None:
        """Begin a propagation with this memory."""
        self._tracked = tracked
        self._last_frame = None
        self._restart_needed = False

    def commit(
        self, frame_idx: int, reverse: bool, video_size: tuple[int, int], tracked: dict[int, TrackedObject]
    ) -> None:
        """Take over the memory after a frame."""
        self._video_size = video_size
        self._tracked = tracked
        self._last_frame, self._reverse = frame_idx, reverse
        if self.is_stream:
            for prompts in self._prompts.values():
                prompts.forget_before(frame_idx + 1)


def _checked_pixels(
    values: Tensor, mask: Tensor | None, name: str
) -> tuple[Tensor, Tensor, tuple[int, int], tuple[int, int]]:
    """Ready-made pixel_values (3, H, W) or (1, 3, H, W), padded to multiples of 32 where they are not."""
    if values.dim() == 3:
        values = values[None]
        mask = None if mask is None else mask.reshape(1, *mask.shape[-2:])
    if values.dim() != 4 or values.shape[:2] != (1, 3) or 0 in values.shape:
        raise ValueError(
            f"`{name}` as pixel_values must have shape (3, H, W) or (1, 3, H, W), got {tuple(values.shape)}."
        )
    if not bool(values.isfinite().all()):
        raise ValueError(f"`{name}` has pixels that are NaN or infinite; every pixel must be a finite number.")
    if mask is None:
        mask = torch.ones(1, *values.shape[-2:], dtype=torch.bool, device=values.device)
    if tuple(mask.shape) != (1, *values.shape[-2:]):
        raise ValueError(
            f"`{name}` must have a pixel_mask of its pixel_values' size {tuple(values.shape[-2:])}, got "
            f"{tuple(mask.shape)}."
        )
    mask = mask.bool()
    size = (int(mask[0].any(1).sum()), int(mask[0].any(0).sum()))
    bottom, right = -values.shape[-2] % 32, -values.shape[-1] % 32
    return F.pad(values, (0, right, 0, bottom)), F.pad(mask, (0, right, 0, bottom)), size, size


def _object_id(obj_id: Any) -> int:
    if not is_integer(obj_id):
        raise TypeError(f"`obj_id` must be an integer, got {obj_id!r}.")
    if obj_id < 1:
        raise ValueError(f"`obj_id` must be 1 or more (0 is the background), got {obj_id}.")
    return int(obj_id)


def is_integer(value: Any) -> bool:
    """Whether `value` is a whole number of Python or NumPy; True and False are not."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _check_threshold(name: str, value: float | None) -> None:
    if value is not None and not 0 <= value <= 1:
        raise ValueError(f"`{name}` must be between 0 and 1, or None for no gate; got {value!r}.")


__all__ = ["UniRefVideoSession", "VideoOutput"]
