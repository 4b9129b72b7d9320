"""What a model answers: masks and scores for pictures, masks for clips."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..core.score_gate import passes
from ..inference.clips import follow


@dataclass(frozen=True)
class Answer:
    """What was found in a picture.

    Attributes:
        mask: bool (H, W), before any gate.
        score: 0 to 1.
    """

    mask: np.ndarray
    score: float

    def is_given(self, threshold: float) -> bool:
        """Whether a mask with a pixel is left behind the score gate (the score must be above it)."""
        return bool(passes(self.score, threshold) and self.mask.any())


class Answers(Protocol):
    """Whoever can be asked. Pictures are uint8 (H, W, 3), clips (T, H, W, 3), masks bool; all pictures of one size."""

    def to_sentences(
        self, images: Sequence[np.ndarray], sentences: Sequence[Sequence[str | None]]
    ) -> list[list[Answer]]:
        """For each picture its sentences' answers. None asks with a text that says nothing."""

    def to_examples(
        self, images: Sequence[np.ndarray], examples: Sequence[np.ndarray], masks: Sequence[np.ndarray]
    ) -> list[Answer]:
        """For each picture what its K examples (K, H, W, 3) show under their masks (K, H, W), which may be empty."""

    def to_masks(
        self, frames: np.ndarray, label_maps: np.ndarray, first_frames: Mapping[int, int]
    ) -> dict[int, np.ndarray]:
        """Objects that are given by their mask in one frame, as disjoint masks (T, H, W); empty before that frame."""

    def to_clip_sentences(
        self,
        frames: np.ndarray,
        sentences: Mapping[int, str],
        first_masks: Mapping[int, np.ndarray],
        propagate: bool,
    ) -> dict[int, np.ndarray]:
        """Objects with a sentence each, some also with a mask (H, W) in the first frame, as masks (T, H, W).

        None of them takes pixels from another. `propagate`: what was found becomes a reference in later frames.
        """


class ModelAnswers:
    """A model that answers through its public calls.

    Args:
        model: `UniRefModel`, in evaluation mode.
        processor: its `UniRefProcessor`.
    """

    def __init__(self, model: Any, processor: Any) -> None:
        self.model = model
        self.processor = processor
        self.score_threshold = processor.score_threshold

    def to_sentences(
        self, images: Sequence[np.ndarray], sentences: Sequence[Sequence[str | None]]
    ) -> list[list[Answer]]:
        """See `Answers`. The visual encoder runs once for each picture."""
        import torch

        asked = [sentence for of_image in sentences for sentence in of_image]
        indices = [index for index, of_image in enumerate(sentences) for _ in of_image]
        inputs = self.processor(images=list(images), return_tensors="pt")
        tokens = self._tokens(asked)
        inputs.update(tokens, image_indices=torch.tensor(indices))
        answers = iter(self._answers(inputs, [images[index] for index in indices]))
        return [[next(answers) for _ in of_image] for of_image in sentences]

    def to_examples(
        self, images: Sequence[np.ndarray], examples: Sequence[np.ndarray], masks: Sequence[np.ndarray]
    ) -> list[Answer]:
        """See `Answers`."""
        # The processor refuses an empty mask, rightly: it is made known to the model alone.
        allowed = [[mask if mask.any() else ~mask for mask in of_image] for of_image in masks]
        inputs = self.processor(
            images=list(images),
            reference_images=[list(of_image) for of_image in examples],
            reference_masks=allowed,
            return_tensors="pt",
        )
        for entry, of_image in enumerate(masks):
            for shot, mask in enumerate(of_image):
                if not mask.any():
                    inputs["reference_masks"][entry, shot] = False
        return self._answers(inputs, images)

    def to_masks(
        self, frames: np.ndarray, label_maps: np.ndarray, first_frames: Mapping[int, int]
    ) -> dict[int, np.ndarray]:
        """See `Answers`: one session with the default options, merged by soft aggregation."""
        session = self._session(frames)
        for number, time in first_frames.items():
            self.processor.add_mask_prompt(session, frame_idx=time, obj_ids=number, masks=[label_maps[time] == number])
        found = {number: np.zeros(label_maps.shape, dtype=bool) for number in first_frames}
        for time, objects in enumerate(follow(self.model, self.processor, session)):
            for number, item in objects.items():
                found[number][time] = item.mask
        return found

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
        for time, objects in enumerate(follow(self.model, self.processor, session, apart=True)):
            for number, item in objects.items():
                found[number][time] = item.mask
        return found

    def _session(self, frames: np.ndarray, **options: Any) -> Any:
        return self.processor.init_video_session(video=frames, inference_device=self.model.device, **options)

    def _tokens(self, sentences: Sequence[str | None]) -> dict[str, Any]:
        """`input_ids` and `attention_mask` (N, L); a sentence that is None has special tokens alone."""
        import torch

        from ..processors.vocabulary import NothingUnderstoodWarning

        written = [sentence for sentence in sentences if sentence is not None]
        with warnings.catch_warnings():
            # Nonsense is asked on purpose.
            warnings.simplefilter("ignore", NothingUnderstoodWarning)
            made = self.processor(text=written, return_tensors="pt") if written else {}
        if len(written) == len(sentences):
            return dict(made)
        nothing = self.processor.tokenizer(
            "", padding="max_length", max_length=self.processor.text_length, return_tensors="pt"
        )
        tokens = {}
        for name in ("input_ids", "attention_mask"):
            rows = iter(made.get(name, ()))
            tokens[name] = torch.stack([nothing[name][0] if s is None else next(rows) for s in sentences])
        return tokens

    def _answers(self, inputs: Any, images: Sequence[np.ndarray]) -> list[Answer]:
        """One for each entry; `images` says of what size."""
        import torch

        from ..modeling.precision import half_precision

        with torch.inference_mode(), half_precision(self.model):
            outputs = self.model(**inputs.to(self.model.device))
        results = self.processor.post_process_referring_segmentation(
            outputs, target_sizes=[image.shape[:2] for image in images]
        )
        return [Answer(result["segmentation"].cpu().numpy(), result["score"]) for result in results]
