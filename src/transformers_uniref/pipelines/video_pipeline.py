"""The common part of the two tasks on clips."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from ..core.errors import KindError, UsageError
from ..core.masks import object_ids
from ..core.score_gate import written, written_gate
from ..inference.clips import read_frame
from ..inference.results import SegmentedObject
from ..processors.all_targets import Targets, check_targets
from .base import UniRefPipeline
from .mask_prompts import MaskPrompts, read_mask_prompts

SESSION_OPTIONS = ("mask_threshold", "references", "object_chunk_size", "output_size")


class VideoPipeline(UniRefPipeline):
    """A clip and what to follow in it in, masks frame by frame out.

    Frames are read one at a time and a session keeps a bounded amount, so that memory does not grow with the clip's
    length, except by the results where they are returned as a list.

    Attributes:
        session_options: the arguments that `UniRefVideoSession` explains.
        masks_apart: whether two objects may share a pixel.
        asking: further arguments that say what to look for.
    """

    session_options: tuple[str, ...] = SESSION_OPTIONS
    masks_apart: bool = False
    asking: tuple[str, ...] = ()

    def _sanitize_parameters(self, **given: Any) -> tuple[dict[str, Any], ...]:
        prompts = (*self.references, "threshold", *self.asking, *self.session_options)
        return (*self._sort_arguments(given, prompts, ("stream",)), {})

    def __call__(self, video: Any, *args: Any, **options: Any) -> Any:
        """Follows objects through one clip; see the class of the task."""
        prepare, follow, _ = self._sanitize_parameters(**self._named(args, options))
        # The base class would take a list of frames for a list of clips.
        return self.run_single(video, {**self._preprocess_params, **prepare}, {**self._forward_params, **follow}, {})

    def run_single(
        self,
        video: Any,
        preprocess_params: dict[str, Any],
        forward_params: dict[str, Any],
        postprocess_params: dict[str, Any],
    ) -> list[dict[str, Any]] | Iterator[dict[str, Any]]:
        """The results of all frames or, with `stream`, an iterator that computes them one by one."""
        prepared = self.preprocess(video, **preprocess_params)
        outputs = self.forward(prepared)
        results = self._told(
            (self.postprocess({**prepared, "output": output}, **postprocess_params) for output in outputs),
            prepared,
        )
        return results if forward_params.get("stream") else list(results)

    def preprocess(
        self,
        video: Any,
        masks: Any = None,
        text: Any = None,
        threshold: float | None = None,
        targets: Targets = "one",
        max_objects: int = 8,
        patience: int = 4,
        **options: Any,
    ) -> dict[str, Any]:
        """A session with all prompts in it; the frames apart where they come out of an iterator; sentences by id."""
        self._check_references({"masks": masks, "text": text})
        check_targets(targets)
        prompts = {} if masks is None else read_mask_prompts(masks)
        # With "all" the session makes the ids, and tells which sentence found an object.
        sentences = {} if text is None or targets == "all" else self._sentences(text, prompts)
        if video is None:
            raise UsageError("`video` must be a list of frames, an array, a folder, a file or an iterator, got None.")
        frames = video if isinstance(video, Iterator) else None
        session = self.processor.init_video_session(
            video=None if frames is not None else video,
            inference_device=self.device,
            dtype=self.model.dtype,
            threshold=threshold,
            **options,
        )
        for frame_idx, objects in prompts.items():
            session.add_masks(frame_idx, objects)
        if sentences:
            self.processor.add_text_prompt(session, list(sentences), list(sentences.values()))
        elif targets == "all":
            self.processor.add_text_prompt(
                session, None, text, targets="all", max_objects=max_objects, patience=patience
            )
        unknown = {number: self.processor.unknown_words(text) for number, text in sentences.items()}
        return {
            "session": session,
            "frames": frames,
            "labels": sentences,
            "unknown_words": unknown,
            "given": prompts,
            "last_prompt": max(prompts, default=0),
        }

    def _unknown(self, item: SegmentedObject) -> list[str]:
        """The words that mean nothing to the model of the sentence for all objects that found one, if any did."""
        return self.processor.unknown_words(item.label) if item.label else []

    @staticmethod
    def _told(results: Iterator[dict[str, Any]], prepared: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The results; after the last a warning where no frame showed an object that was looked for."""
        best: dict[int, tuple[float, int]] = {}
        found: set[int] = set()
        for result in results:
            for number, score in result["scores"].items():
                if number in prepared["given"].get(result["frame"], ()):
                    continue
                best[number] = max(best.get(number, (-1.0, 0)), (score, result["frame"]), key=lambda seen: seen[0])
                found |= {number} if result["masks"][number].any() else set()
            yield result
        missing = {number: seen for number, seen in best.items() if number not in found}
        if missing and len(missing) == len(best):
            number, (score, frame) = max(missing.items(), key=lambda item: item[1][0])
            gate = prepared["session"].gate_of(number)
            lower = "" if gate is None else f", the gate {written_gate(gate)}; `threshold` lowers it"
            warnings.warn(
                f"nothing was found in this clip: the best score is {written(score)} (object {number}, frame {frame})"
                f"{lower}",
                stacklevel=2,
            )

    @staticmethod
    def _sentences(text: Any, prompts: MaskPrompts) -> dict[int, str]:
        """Sentence by object id; a list is for the objects of the masks, by ascending id, else for 1, 2, ..."""
        if isinstance(text, Mapping):
            return dict(zip(object_ids(list(text)), text.values(), strict=True))
        listed = [text] if isinstance(text, str) else text
        if not isinstance(listed, (list, tuple)):
            raise KindError(
                f"`text` must be a sentence, a list of sentences or a dictionary {{object id: sentence}}, got "
                f"{type(text).__name__}."
            )
        if not listed:
            raise UsageError("`text` is an empty list; give at least one sentence.")
        ids = sorted({number for objects in prompts.values() for number in objects}) or range(1, len(listed) + 1)
        if len(ids) != len(listed):
            raise UsageError(
                f"`text` must hold one sentence for each of the {len(ids)} objects of `masks`, got {len(listed)}; "
                "a dictionary {object id: sentence} may leave objects out."
            )
        return dict(zip(ids, listed, strict=True))

    def _forward(self, prepared: dict[str, Any]) -> Iterator[Any]:
        session, frames = prepared["session"], prepared["frames"]
        if frames is None:
            return self.model.propagate_in_video_iterator(session)
        return self._stream(session, frames, prepared["last_prompt"])

    def _stream(self, session: Any, frames: Iterator[Any], last_prompt: int) -> Iterator[Any]:
        for frame in frames:
            yield self.model(inference_session=session, frame=frame)
        # How long the clip is shows only now.
        if session.next_frame_idx == 0:
            raise UsageError("`video` has no frames.")
        if last_prompt >= session.next_frame_idx:
            raise UsageError(
                f"`masks` must be for frames 0 to {session.next_frame_idx - 1} of `video`, got one for {last_prompt}."
            )

    def postprocess(self, found: dict[str, Any]) -> dict[str, Any]:
        """One frame's result."""
        objects = read_frame(self.processor, found["session"], found["output"], apart=self.masks_apart)
        labels = {number: found["labels"].get(number, item.label) for number, item in objects.items()}
        unknown = {
            number: found["unknown_words"].get(number) or self._unknown(item) for number, item in objects.items()
        }
        return {
            "frame": found["output"].frame_idx,
            "masks": {number: item.mask for number, item in objects.items()},
            "scores": {number: item.score for number, item in objects.items()},
            "passed": {number: item.passed for number, item in objects.items()},
            **({"labels": labels, "unknown_words": unknown} if found["labels"] or found["session"].groups else {}),
        }
