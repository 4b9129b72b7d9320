"""A model that is asked about many pictures: what each sentence, or the examples, refer to in each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..core.errors import UsageError
from ..core.model_digest import model_digest
from ..inference.results import SegmentedObject
from .settings import AnnotationSettings

if TYPE_CHECKING:
    from ..modeling.shared_model import AnyUniRefModel
    from ..processors.processing_uniref import UniRefProcessor

Question = tuple[np.ndarray, Sequence[str]]
"""A picture, uint8 (H, W, 3), and its sentences; no sentence where examples say what to look for."""


class Answering(Protocol):
    """Whoever answers; tests and other models can take a model's place."""

    def identity(self) -> str:
        """Changes when answers may change: results of two identities are not mixed."""
        ...

    def __call__(self, questions: Sequence[Question]) -> list[list[SegmentedObject]]:
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

    def __init__(self, model: AnyUniRefModel, processor: UniRefProcessor, settings: AnnotationSettings) -> None:
        from ..core.masks import binary_mask
        from ..core.picture_input import rgb_array

        self.model = model
        self.processor = processor
        self.settings = settings
        if settings.text_column is not None and processor.tokenizer is None:
            raise UsageError("`model` reads no sentences (it has no tokenizer), but `text_column` is given")
        if settings.reference_images and not model.config.use_mask_references:
            raise UsageError("`model` reads no examples (it has no encoder for them), but `reference_images` are given")
        self._references: dict[str, Any] = {}
        if settings.reference_images:
            images = [rgb_array(image, "reference_images") for image in settings.reference_images]
            masks = [
                binary_mask(mask, image.shape[:2], "reference_masks")
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

    def __call__(self, questions: Sequence[Question]) -> list[list[SegmentedObject]]:
        """See `Answering`."""
        from ..inference.pictures import segment_pictures

        return segment_pictures(
            self.model,
            self.processor,
            questions,
            **self._references,
            pointed=self.settings.pointed,
            audio=self.settings.audio,
            sampling_rate=self.settings.sampling_rate,
            threshold=self.settings.threshold,
            mask_threshold=self.settings.mask_threshold,
            show_all=self.settings.show_all,
            targets=self.settings.targets,
            max_objects=self.settings.max_objects,
        )
