"""A model that is asked about many pictures: what each sentence, or the examples, refer to in each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from ..model_digest import model_digest
from .rows import Prediction
from .settings import AnnotationSettings

SENTENCES_AT_ONCE = 32
"""A picture with more sentences than this is computed again for the rest of them, so that memory stays bounded."""

Question = tuple[np.ndarray, Sequence[str]]
"""A picture, uint8 (H, W, 3), and its sentences; no sentence where examples say what to look for."""


class Answering(Protocol):
    """Whoever answers; tests and other models can take a model's place."""

    def identity(self) -> str:
        """Changes when answers may change: results of two identities are not mixed."""
        ...

    def __call__(self, questions: Sequence[Question]) -> list[list[Prediction]]:
        """The answers of each question, one a sentence, or one for the examples."""
        ...


class ModelAnswering:
    """A UniRef model as what answers. Its answers do not depend on what else is in the batch, but for rounding.

    Args:
        model: in evaluation mode, on its device.
        processor: its processor.
        settings: examples and gates.

    Raises:
        ValueError: the examples are damaged; the model reads no sentences, or no examples.
    """

    def __init__(self, model: Any, processor: Any, settings: AnnotationSettings) -> None:
        from ..core.picture_input import rgb_array
        from ..processors.masks import binary_mask

        self.model = model
        self.processor = processor
        self.settings = settings
        if settings.text_column is not None and processor.tokenizer is None:
            raise ValueError("--model reads no sentences (it has no tokenizer), but --text-column is given")
        if settings.reference_images and not model.config.use_mask_references:
            raise ValueError("--model reads no examples (it has no encoder for them), but --reference-image is given")
        self._references: dict[str, Any] = {}
        if settings.reference_images:
            images = [rgb_array(image, "--reference-image") for image in settings.reference_images]
            masks = [
                binary_mask(mask, image.shape[:2], "--reference-mask")
                for mask, image in zip(settings.reference_masks, images, strict=True)
            ]
            self._references = {"reference_images": images, "reference_masks": masks}

    def identity(self) -> str:
        """A digest of weights, configuration, processor and examples."""
        digest = model_digest(self.model, self.processor)
        for arrays in self._references.values():
            for array in arrays:
                digest.update(str(array.shape).encode() + np.ascontiguousarray(array).tobytes())
        return str(digest.hexdigest())

    def __call__(self, questions: Sequence[Question]) -> list[list[Prediction]]:
        """See `Answering`."""
        import torch

        from ..modeling.outputs import UniRefModelOutput
        from ..modeling.precision import half_precision
        from ..pipelines.batching import group_inputs, merge_inputs, split_outputs

        items: list[Any] = []
        asked: list[tuple[int, list[str | None], Any]] = []
        heard: list[Any] = []
        for position, (pixels, sentences) in enumerate(questions):
            for part in self._parts(sentences):
                made = self._prepare(pixels, part)
                asked.append((position, list(part) or [None], made.pop("original_sizes").tolist()))
                heard.append((made.understood, made.unknown_words or [[]]))
                items.append(dict(made.to(self.model.device)))
        answers: list[list[Prediction]] = [[] for _ in questions]
        outputs: list[Any] = [None] * len(items)
        with torch.inference_mode(), half_precision(self.model):
            for positions in group_inputs(items):
                together = [items[position] for position in positions]
                found = split_outputs(self.model(**merge_inputs(together)), together)
                for position, output in zip(positions, found, strict=True):
                    outputs[position] = output
        for (position, texts, sizes), (understood, unknown), output in zip(asked, heard, outputs, strict=True):
            results = self.processor.post_process_answers(
                UniRefModelOutput(**output),
                target_sizes=sizes,
                threshold=self.settings.threshold,
                mask_threshold=self.settings.mask_threshold,
                # What a sentence says is not decisive where an example says it, too.
                understood=None if self._references else understood,
                show_all=self.settings.show_all,
            )
            for text, words, result in zip(texts, unknown, results, strict=True):
                answers[position].append(
                    Prediction(
                        text,
                        result["score"],
                        tuple(result["box"].tolist()),
                        result["segmentation"].cpu().numpy(),
                        result["passed"],
                        result["threshold"],
                        tuple(words),
                    )
                )
        return answers

    def _parts(self, sentences: Sequence[str]) -> list[Sequence[str]]:
        """The sentences that are asked at once; with examples one at a time, since each group of examples is one."""
        step = 1 if self._references else SENTENCES_AT_ONCE
        return [sentences[start : start + step] for start in range(0, len(sentences), step)] or [()]

    def _prepare(self, pixels: np.ndarray, sentences: Sequence[str]) -> Any:
        text = {"text": list(sentences)} if sentences else {}
        return self.processor(
            images=pixels, **text, **self._references, return_tensors="pt", return_original_sizes=True
        )
