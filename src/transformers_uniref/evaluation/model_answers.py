"""A model as what answers: everything goes through its public calls."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ..inference.clips import follow
from ..inference.pictures import Question, answer, compute, prepare
from ..inference.results import SegmentedObject
from ..modeling.outputs import UniRefModelOutput


class ModelAnswers:
    """A model in evaluation mode, with its processor, that answers through its public calls."""

    def __init__(self, model: Any, processor: Any) -> None:
        self.model = model
        self.processor = processor
        self.score_threshold = processor.score_threshold

    def to_sentences(
        self, images: Sequence[np.ndarray], sentences: Sequence[Sequence[str | None]]
    ) -> list[list[SegmentedObject]]:
        """See `Answers`. The visual encoder runs once for each picture."""
        return self._ungated([self._about(*asked) for asked in zip(images, sentences, strict=True)])

    def to_all_targets(
        self, images: Sequence[np.ndarray], sentences: Sequence[Sequence[str]], threshold: float | None
    ) -> list[list[list[SegmentedObject]]]:
        """For each picture and each of its sentences all objects behind the gate, best first; none where none passes.

        Args:
            images: uint8 (H, W, 3).
            sentences: of each picture.
            threshold: the gate, 0..1; None for none.
        """
        questions = [self._about(*asked) for asked in zip(images, sentences, strict=True)]
        inputs = [{name: value.to(self.model.device) for name, value in one.inputs.items()} for one in questions]
        with torch.inference_mode():
            outputs: Sequence[Mapping[str, Any]] = compute(self.model, inputs, "all")
        # As for one target, the benchmarks' gates count scores alone, whatever of a sentence was understood.
        results = [
            self.processor.post_process_referring_segmentation(
                UniRefModelOutput(**output), target_sizes=one.sizes, threshold=threshold, targets="all"
            )
            for one, output in zip(questions, outputs, strict=True)
        ]
        return [
            [
                [
                    SegmentedObject(found["segmentation"].cpu().numpy(), label, score=float(found["score"]))
                    for found in result["objects"]
                ]
                for label, result in zip(one.labels, of_picture, strict=True)
            ]
            for one, of_picture in zip(questions, results, strict=True)
        ]

    def to_everything(self, images: Sequence[np.ndarray]) -> list[list[SegmentedObject]]:
        """For each picture, uint8 (H, W, 3), all its objects, best first, without any reference and ungated."""
        found = self._ungated([prepare(self.processor, image) for image in images])
        return [[one for one in objects if one.is_found] for objects in found]

    def to_examples(
        self, images: Sequence[np.ndarray], examples: Sequence[np.ndarray], masks: Sequence[np.ndarray]
    ) -> list[SegmentedObject]:
        """See `Answers`."""
        questions = []
        for image, shown, marked in zip(images, examples, masks, strict=True):
            # The processor refuses an empty mask, rightly: it is made known to the model alone.
            allowed = [mask if mask.any() else ~mask for mask in marked]
            question = prepare(self.processor, image, reference_images=list(shown), reference_masks=allowed)
            for shot, mask in enumerate(marked):
                if not mask.any():
                    question.inputs["reference_masks"][0, shot] = False
            questions.append(question)
        return [found for (found,) in self._ungated(questions)]

    def to_masks(
        self, frames: np.ndarray, label_maps: np.ndarray, first_frames: Mapping[int, int]
    ) -> dict[int, np.ndarray]:
        """See `Answers`: one session with the default options, merged by soft aggregation."""
        session = self._session(frames)
        for number, time in first_frames.items():
            self.processor.add_mask_prompt(session, frame_idx=time, obj_ids=number, masks=[label_maps[time] == number])
        return self._followed(session, {number: np.zeros(label_maps.shape, dtype=bool) for number in first_frames})

    def to_clip_sentences(
        self,
        frames: np.ndarray,
        sentences: Mapping[int, str],
        first_masks: Mapping[int, np.ndarray],
        propagate: bool,
    ) -> dict[int, np.ndarray]:
        """See `Answers`: one session, each object's own probability above one half."""
        found = {number: np.zeros(frames.shape[:3], dtype=bool) for number in sentences}
        if not sentences:
            return found
        session = self._session(frames, propagate_text=propagate)
        self.processor.add_text_prompt(session, obj_ids=list(sentences), text=list(sentences.values()))
        for number, mask in first_masks.items():
            self.processor.add_mask_prompt(session, frame_idx=0, obj_ids=number, masks=[mask])
        return self._followed(session, found, apart=True)

    def _session(self, frames: np.ndarray, **options: Any) -> Any:
        return self.processor.init_video_session(video=frames, inference_device=self.model.device, **options)

    def _followed(self, session: Any, found: dict[int, np.ndarray], apart: bool = False) -> dict[int, np.ndarray]:
        for time, objects in enumerate(follow(self.model, self.processor, session, apart=apart)):
            for number, item in objects.items():
                found[number][time] = item.mask
        return found

    def _about(self, image: np.ndarray, sentences: Sequence[str | None]) -> Question:
        """Sentences about a picture; one that is None has special tokens alone, which the processor refuses to make."""
        from ..processors.vocabulary import NothingUnderstoodWarning

        with warnings.catch_warnings():
            # Nonsense is asked on purpose.
            warnings.simplefilter("ignore", NothingUnderstoodWarning)
            question = prepare(self.processor, image, text=["nothing" if s is None else s for s in sentences])
        options = dict(padding="max_length", max_length=self.processor.text_length, return_tensors="pt")
        nothing = self.processor.tokenizer("", **options)
        for place, sentence in enumerate(sentences):
            if sentence is None:
                for name in ("input_ids", "attention_mask"):
                    question.inputs[name][place] = nothing[name][0]
        return question

    def _ungated(self, questions: Sequence[Question]) -> list[list[SegmentedObject]]:
        # The benchmarks' own gates count scores alone, whatever of a sentence was understood; they come afterwards.
        return answer(self.model, self.processor, questions, threshold=0)
