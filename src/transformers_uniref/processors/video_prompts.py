"""The part of the processor that speaks to video sessions: who is followed, and how the user says so."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..core import masks as given_masks
from ..core.errors import UsageError
from ..core.score_gate import gate_of
from ..media.video.frames import VideoFrames
from ..modeling.object_choice import MOST_OBJECTS
from .all_targets import ObjectChoice, Targets, check_targets
from .drawn_references import PAINTERS
from .log_mel import checked_sounds, sound_tensors
from .pointing import drawn_mask, model_inputs
from .vocabulary import Reading

if TYPE_CHECKING:
    from ..modeling.video.session import UniRefVideoSession
    from .image_processing_common import UniRefImageProcessorBase


class VideoPrompting:
    """Sessions and their prompts, for a processor with an image processor and, to read sentences, a tokenizer."""

    if TYPE_CHECKING:
        image_processor: UniRefImageProcessorBase
        audio_extractor: Any
        vos_score_threshold: float | None
        rvos_score_threshold: float | None
        video_mask_threshold: float

        @property
        def object_choice(self) -> ObjectChoice: ...

        def _sentences(self, text: Any, n_images: int | None) -> tuple[list[str], list[int] | None]: ...

        def _tokenise(self, sentences: list[str]) -> dict[str, np.ndarray]: ...

        def _read(self, sentences: Sequence[str], alone: bool = True) -> list[Reading]: ...

    def init_video_session(
        self,
        video: Any = None,
        inference_device: str | torch.device = "cpu",
        dtype: torch.dtype | str = torch.float32,
        threshold: float | None = None,
        **session_options: Any,
    ) -> UniRefVideoSession:
        """A session for one clip, or for a stream.

        Args:
            video: a list of frames, an array (T, H, W, 3), a directory of pictures, a clip's file (needs PyAV),
                `VideoFrames` (which can be told to make do with a damaged file), or None for a stream, whose frames go
                to `model(inference_session=session, frame=...)` one by one.
            inference_device: where the model is.
            dtype: in which to compute: `torch.float32`, half precision, or "auto" for what is fast on
                `inference_device`; see `UniRefVideoSession`.
            threshold: the score gate of all objects, 0..1, 0 for none. Default: this model's own gates,
                `vos_score_threshold` of objects that a mask gives and `rvos_score_threshold` of those with a sentence.
            **session_options: see `UniRefVideoSession`; one gate may be given alone, and the mask threshold defaults
                to this model's own.

        Returns:
            A session. Its frames are read one at a time and resized by the image processor's `video_size`.

        Raises:
            TypeError, ValueError: not a clip, an unreadable one, or one without frames; an unknown option; `threshold`
                and one of the two gates together.
        """
        from ..modeling.video.session import UniRefVideoSession

        gates = {"vos_score_threshold": self.vos_score_threshold, "rvos_score_threshold": self.rvos_score_threshold}
        if threshold is not None:
            for name in gates:
                if name in session_options:
                    raise UsageError(f"`threshold` is the gate of all objects; `{name}` cannot be given beside it.")
            gates = {name: gate_of(threshold, None) for name in gates}
        own = {**gates, "mask_threshold": self.video_mask_threshold, "object_choice": self.object_choice}
        return UniRefVideoSession(
            video=video if video is None or isinstance(video, VideoFrames) else VideoFrames(video),
            image_processor=self.image_processor,
            inference_device=inference_device,
            dtype=dtype,
            **{**own, **session_options},
        )

    def add_mask_prompt(
        self, session: UniRefVideoSession, frame_idx: int, obj_ids: int | Sequence[int], masks: Any
    ) -> None:
        """Gives objects by their masks in one frame; for an object that the session knows, a correction.

        Args:
            session: from `init_video_session`.
            frame_idx: from 0. In a stream it may lie ahead: the prompt waits for its frame.
            obj_ids: distinct integers from 1.
            masks: a label map (H, W) that holds the ids, or one binary mask for each id (a list, or an array
                (n, H, W)): bool or integer, of the video's size. A size that differs by at most 2 pixels or 1 % a side
                is resized, with a warning.

        Raises:
            TypeError, ValueError: naming the argument, what came, and what is accepted. Nothing is added then.
        """
        ids = given_masks.object_ids(obj_ids)
        session.add_masks(frame_idx, dict(zip(ids, given_masks.object_masks(masks, ids), strict=True)))

    def add_point_prompt(
        self,
        session: UniRefVideoSession,
        frame_idx: int,
        obj_ids: int | Sequence[int],
        points: Any,
        radius: float | None = None,
        frame_size: tuple[int, int] | None = None,
        labels: Any = None,
    ) -> None:
        """Gives objects by points in one frame; for objects that the session knows, corrections.

        A model with an encoder of them (`use_point_references`) finds there what they are on, by all that it knows of
        the object, and goes on with that mask. For another model a mask of discs is drawn, and that is the result in
        that frame; `refinement.refine_masks` asks the model first what they belong to.

        Args:
            session, frame_idx: see `add_mask_prompt`.
            obj_ids: an integer, or a list of them.
            points: of the object (x, y) in pixels or several of them; with a list of ids a list of that.
            radius: of the discs, see `point_mask`.
            frame_size: (height, width) of the frames; needed in a stream before its first frame.
            labels: for each point 1, the object is there, or 0, it is not, which only an encoder of points understands;
                with a list of ids a list of that. Default: all 1.

        Raises:
            TypeError, ValueError: naming the argument, what came, and what is accepted. Nothing is added then.
        """
        self._add_drawn_prompt(session, frame_idx, obj_ids, "points", points, {"radius": radius}, frame_size, labels)

    def add_box_prompt(
        self,
        session: UniRefVideoSession,
        frame_idx: int,
        obj_ids: int | Sequence[int],
        boxes: Any,
        shape: str = "ellipse",
        frame_size: tuple[int, int] | None = None,
    ) -> None:
        """Gives objects by boxes in one frame; all else is as for `add_point_prompt`.

        Args:
            boxes: of the object x0, y0, x1, y1 in pixels; with a list of ids a list of that.
            shape: of what is drawn, "ellipse" or "rectangle", see `box_mask`.
        """
        self._add_drawn_prompt(session, frame_idx, obj_ids, "boxes", boxes, {"shape": shape}, frame_size)

    def add_scribble_prompt(
        self,
        session: UniRefVideoSession,
        frame_idx: int,
        obj_ids: int | Sequence[int],
        scribbles: Any,
        width: float | None = None,
        frame_size: tuple[int, int] | None = None,
    ) -> None:
        """Gives objects by scribbles in one frame; all else is as for `add_point_prompt`.

        Args:
            scribbles: of the object a stroke, (n, 2) points (x, y) in pixels, or a list of strokes; with a list of ids
                a list of that.
            width: of the lines that are drawn, see `scribble_mask`.
        """
        self._add_drawn_prompt(session, frame_idx, obj_ids, "scribbles", scribbles, {"width": width}, frame_size)

    def add_pointed_prompt(
        self,
        session: UniRefVideoSession,
        frame_idx: int,
        obj_id: int,
        frame_size: tuple[int, int] | None = None,
        **pointed: Any,
    ) -> None:
        """Gives one object by clicks, a box and strokes together; all else is as for `add_point_prompt`.

        Args:
            **pointed: `input_points`, `input_labels`, `input_boxes`, `input_scribbles` of one object, as for the
                processor's call.
        """
        [number], size = given_masks.object_ids(obj_id), self._frame_size(session, frame_size)
        self._add_pointed(
            session, frame_idx, {number: pointed}, size, lambda one: drawn_mask(one, size), "input_points"
        )

    @staticmethod
    def _frame_size(session: UniRefVideoSession, given: tuple[int, int] | None) -> tuple[int, int]:
        known = session.video_size if given is None else given
        if known is None:
            raise UsageError("`frame_size` (height, width) is needed: this stream has had no frame that tells it.")
        return int(known[0]), int(known[1])

    @staticmethod
    def _add_pointed(
        session: UniRefVideoSession,
        frame_idx: int,
        objects: Mapping[int, Mapping[str, Any]],
        size: tuple[int, int],
        draw: Callable[[Mapping[str, Any]], np.ndarray],
        name: str,
    ) -> None:
        """Gives a session what points at objects, with the masks that stand for it where a mask can say it."""
        from ..modeling.video.prompts import PointPrompt

        prompts = {number: PointPrompt(*model_inputs([one], [size], name).values()) for number, one in objects.items()}
        sayable = [number for number, prompt in prompts.items() if not bool((prompt.labels == 0).any())]
        session.add_points(frame_idx, prompts, {number: draw(objects[number]) for number in sayable}, name)

    def _add_drawn_prompt(
        self,
        session: UniRefVideoSession,
        frame_idx: int,
        obj_ids: Any,
        kind: str,
        drawn: Any,
        options: dict[str, Any],
        frame_size: tuple[int, int] | None,
        labels: Any = None,
    ) -> None:
        ids, size = given_masks.object_ids(obj_ids), self._frame_size(session, frame_size)
        values = [drawn] if isinstance(obj_ids, (int, np.integer)) else drawn
        if not isinstance(values, (list, tuple, np.ndarray, torch.Tensor)) or len(values) != len(ids):
            found = len(values) if hasattr(values, "__len__") else type(values).__name__
            raise UsageError(f"`{kind}` must hold one item for each of the {len(ids)} objects, got {found}.")
        meanings = [labels] * len(ids) if labels is None or isinstance(obj_ids, (int, np.integer)) else list(labels)
        if len(meanings) != len(ids):
            raise UsageError(f"`labels` must hold one item for each of the {len(ids)} objects, got {len(meanings)}.")
        objects = {
            number: {f"input_{kind}": value, "input_labels": meaning}
            for number, value, meaning in zip(ids, values, meanings, strict=True)
        }
        self._add_pointed(
            session,
            frame_idx,
            objects,
            size,
            lambda one: PAINTERS[kind](one[f"input_{kind}"], size, **options),
            kind,
        )

    def add_text_prompt(
        self,
        session: UniRefVideoSession,
        obj_ids: int | Sequence[int] | None,
        text: str | Sequence[str],
        frame_idx: int = 0,
        targets: Targets = "one",
        max_objects: int = 8,
        patience: int = 4,
    ) -> list[int]:
        """Gives objects by sentences, to be looked for from one frame on.

        Args:
            session: from `init_video_session`.
            obj_ids: distinct integers from 1; None with `targets="all"`, where objects get ids as they appear.
            text: one sentence for each; with `targets="all"` one or more.
            frame_idx: from 0; the frame from which the object is looked for.
            targets: "one", the best object of each sentence, or "all": none, one or many, as
                `UniRefVideoSession.add_text_for_all` says.
            max_objects: with "all", most objects of a sentence at a time.
            patience: with "all", for how many frames an object may be out of sight before it has ended.

        Returns:
            With "all" the number of each sentence, by which `VideoOutput.object_groups` and
            `UniRefVideoSession.remove_group` know it; otherwise nothing.

        Raises:
            TypeError, ValueError: naming the argument, what came, and what is accepted. Nothing is added then.

        Warns:
            NothingUnderstoodWarning: a sentence holds no word that this model knows. Unless the object is given by a
                mask as well, or the session has no gate, nothing is found for it.
        """
        check_targets(targets)
        if targets == "all":
            if obj_ids is not None:
                raise UsageError(f"`obj_ids` must be None with `targets='all'`, which makes ids, got {obj_ids!r}.")
            ids = None
        else:
            ids = given_masks.object_ids(obj_ids)
        sentences, grouped = self._sentences(text, None)
        wanted = "one or more sentences" if ids is None else f"one sentence for each of the {len(ids)} objects"
        if grouped is not None or (ids is not None and len(sentences) != len(ids)):
            raise UsageError(f"`text` must hold {wanted}, got {len(sentences)}.")
        tokens = {name: torch.from_numpy(values) for name, values in self._tokenise(sentences).items()}
        numbers, said = [], [text] if isinstance(text, str) else text
        for index, reading in enumerate(self._read(sentences)):
            sentence = (tokens["input_ids"][index : index + 1], tokens["attention_mask"][index : index + 1])
            if ids is None:
                heard = reading.is_understood
                numbers.append(
                    session.add_text_for_all(frame_idx, *sentence, heard, max_objects, patience, said[index])
                )
            else:
                session.add_text(frame_idx, ids[index], *sentence, understood=reading.is_understood)
        return numbers

    def add_everything_prompt(
        self,
        session: UniRefVideoSession,
        frame_idx: int = 0,
        max_objects: int = MOST_OBJECTS,
        patience: int = 4,
        every: int = 5,
    ) -> int:
        """Asks for all objects, without any reference; they get ids as they appear.

        Args:
            session: from `init_video_session`.
            frame_idx: from 0; the frame from which objects are looked for.
            max_objects: most objects at a time.
            patience: for how many frames an object may be out of sight before it has ended.
            every: they are looked for in every so many frames, and followed in all.

        Returns:
            The number of the search, by which `VideoOutput.object_groups` and `remove_group` know it.

        Raises:
            TypeError, ValueError: naming the argument, what came, and what is accepted. Nothing is added then.
        """
        return session.add_everything(frame_idx, max_objects, patience, every)

    def add_audio_prompt(
        self,
        session: UniRefVideoSession,
        obj_ids: int,
        audio: Any,
        sampling_rate: int,
        frame_idx: int = 0,
        text: str | None = None,
        frames_per_second: float | None = None,
        step: float = 0.5,
    ) -> None:
        """Gives an object by a sound, to be looked for from one frame on. Silence means nothing.

        With `frames_per_second` the sound goes on beside the frames, as the clip's own track does: every `step` seconds
        what sounds then is looked for anew, so that another object may be found when another one sounds.

        Args:
            session: from `init_video_session`.
            obj_ids: of the object, 1 or more.
            audio: (samples,), floating point, -1..1.
            sampling_rate: its samples a second, those that the model was trained with.
            frame_idx: from 0; the frame from which the object is looked for, and at which `audio` begins.
            text: a sentence about the same object; both count.
            frames_per_second: of the session's frames. Default: the sound as a whole holds for all frames.
            step: seconds that are listened to at a time, at least 0.1.

        Raises:
            TypeError, ValueError: naming the argument, what came, and what is accepted; the model hears nothing.
                Nothing is added then.
        """
        (number,) = given_masks.object_ids(obj_ids)
        heard = sound_tensors(self.audio_extractor, audio, sampling_rate)
        if len(heard["audio_values"]) != 1:
            raise UsageError(f"`audio` must be one sound, got {len(heard['audio_values'])}.")
        said: dict[str, torch.Tensor] = {}
        if text is not None:
            self._read([text], alone=False)
            said = {name: torch.from_numpy(ids) for name, ids in self._tokenise(self._sentences(text, None)[0]).items()}
        moments = {frame_idx: heard}
        if frames_per_second is not None:
            if not step >= 0.1:
                raise UsageError(f"`step` must be at least 0.1 seconds, got {step!r}.")
            if not 0 < frames_per_second < float("inf"):
                raise UsageError(f"`frames_per_second` must be above 0, got {frames_per_second!r}.")
            (sound,) = checked_sounds(audio, sampling_rate, sampling_rate)
            size = round(step * sampling_rate)
            # What is left in the end counts where there is something to hear in it.
            starts = range(0, max(len(sound) - size // 2, 1), size)
            frames = {frame_idx + round(start / sampling_rate * frames_per_second): start for start in starts}
            moments = {
                frame: sound_tensors(self.audio_extractor, sound[start : start + size], sampling_rate)
                for frame, start in frames.items()
                if frame < (session.num_frames or math.inf)
            }
        for frame, values in moments.items():
            session.add_audio(frame, number, **values, **said)
