"""The common part of the two tasks on pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..core.errors import UsageError
from ..core.picture_input import rgb_array
from ..inference.pictures import compute, for_model, prepare, read
from ..processors.all_targets import Targets
from .base import UniRefPipeline

GATES = ("threshold", "mask_threshold")
TARGETS = ("targets",)


class ImagePipeline(UniRefPipeline):
    """Pictures and references in, masks out. What a picture gives does not depend on the others of its batch."""

    def _sanitize_parameters(self, **given: Any) -> tuple[dict[str, Any], ...]:
        references, targets, gates = self._sort_arguments(given, self.references, TARGETS, GATES)
        return references, targets, {**gates, **targets}

    def __call__(self, image: Any, *args: Any, **options: Any) -> Any:
        """Segments one picture, or several; see the class of the task."""
        if isinstance(image, (list, tuple)):
            if not image:
                raise UsageError("`image` is an empty list; give at least one picture.")
            image = list(image)
        return super().__call__(image, **self._named(args, options))

    def preprocess(self, item: Any, **references: Any) -> dict[str, Any]:
        """One picture, or a dictionary of a picture and its own references."""
        if isinstance(item, Mapping):
            accepted = ("image", *self.references)
            if "image" not in item or not set(item) <= set(accepted):
                raise UsageError(
                    f"`image` as a dictionary must hold `image` and may hold {', '.join(self.references)}; got "
                    f"{', '.join(map(str, item)) or 'nothing'}."
                )
            references |= {name: item[name] for name in self.references if item.get(name) is not None}
            item = item["image"]
        self._check_references(references)
        picture = rgb_array(item, "image")
        question = prepare(self.processor, picture, **for_model(self.model, picture, references))
        # Transformers' own collation would pad the tensors, and not as pictures need it; what is inside a dictionary
        # it leaves alone.
        return {"inputs": dict(question.inputs), "question": {"asked": replace(question, inputs={})}}

    def _forward(self, prepared: dict[str, Any], targets: Targets = "one") -> dict[str, Any]:
        is_batch = isinstance(prepared["inputs"], list)
        outputs = compute(self.model, prepared["inputs"] if is_batch else [prepared["inputs"]], targets)
        return {"outputs": outputs if is_batch else outputs[0], "question": prepared["question"]}

    def postprocess(
        self,
        found: dict[str, Any],
        threshold: float | None = None,
        mask_threshold: float = 0.5,
        targets: Targets = "one",
    ) -> list[dict[str, Any]]:
        """One dictionary for each result of a picture; with `targets="all"` for each object that passed."""
        answers = read(
            self.processor,
            found["question"]["asked"],
            found["outputs"],
            threshold=threshold,
            mask_threshold=mask_threshold,
            targets=targets,
        )
        return [answer.to_dict() for answer in answers if answer.passed or targets == "one"]
