"""The common part of the two tasks on pictures."""

# mypy: disable-error-code="override"
# Transformers leaves the arguments of these methods to the task, its annotations do not.

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image

from ..core.picture_input import rgb_array
from ..modeling.outputs import UniRefModelOutput
from ..modeling.precision import half_precision
from .base import UniRefPipeline
from .batching import group_inputs, merge_inputs, split_outputs

GATES = ("threshold", "mask_threshold")


class ImagePipeline(UniRefPipeline):
    """Pictures and references in, masks out. What a picture gives does not depend on the others of its batch."""

    def _sanitize_parameters(self, **given: Any) -> tuple[dict[str, Any], ...]:
        references, gates = self._sort_arguments(given, self.references, GATES)
        return references, {}, gates

    def __call__(self, image: Any, *args: Any, **options: Any) -> Any:
        """Segments one picture, or several; see the class of the task."""
        if isinstance(image, (list, tuple)):
            if not image:
                raise ValueError("`image` is an empty list; give at least one picture.")
            image = list(image)
        return super().__call__(image, **self._named(args, options))

    def preprocess(self, item: Any, **references: Any) -> dict[str, Any]:
        """One picture, or a dictionary of a picture and its own references."""
        if isinstance(item, Mapping):
            accepted = ("image", *self.references)
            if "image" not in item or not set(item) <= set(accepted):
                raise ValueError(
                    f"`image` as a dictionary must hold `image` and may hold {', '.join(self.references)}; got "
                    f"{', '.join(map(str, item)) or 'nothing'}."
                )
            references |= {name: item[name] for name in self.references if item.get(name) is not None}
            item = item["image"]
        self._check_references(references)
        picture = rgb_array(item, "image")
        inputs = self.processor(images=picture, return_tensors="pt", return_original_sizes=True, **references)
        sizes = inputs.pop("original_sizes")
        text = references.get("text")
        labels = [text] * len(sizes) if text is None or isinstance(text, str) else list(text)
        # What a sentence says is not decisive where an example says it, too.
        heard = inputs.understood if "reference_masks" not in inputs else [True] * len(sizes)
        about = {
            "sizes": sizes.tolist(),
            "labels": labels,
            "understood": heard,
            "unknown_words": inputs.unknown_words or [[] for _ in labels],
        }
        # Transformers' own collation would pad the tensors, and not as pictures need it; what is inside a dictionary
        # it leaves alone.
        return {"inputs": dict(inputs), "about": about}

    def _forward(self, prepared: dict[str, Any]) -> dict[str, Any]:
        is_batch = isinstance(prepared["inputs"], list)
        items = prepared["inputs"] if is_batch else [prepared["inputs"]]
        outputs: list[Any] = [None] * len(items)
        with half_precision(self.model):
            for positions in group_inputs(items):
                together = [items[position] for position in positions]
                found = split_outputs(self.model(**merge_inputs(together)), together)
                for position, output in zip(positions, found, strict=True):
                    outputs[position] = output
        return {"outputs": outputs if is_batch else outputs[0], "about": prepared["about"]}

    def postprocess(
        self, found: dict[str, Any], threshold: float | None = None, mask_threshold: float = 0.5
    ) -> list[dict[str, Any]]:
        """One dictionary for each result of a picture."""
        about = found["about"]
        results = self.processor.post_process_answers(
            UniRefModelOutput(**found["outputs"]),
            target_sizes=about["sizes"],
            threshold=threshold,
            mask_threshold=mask_threshold,
            understood=about["understood"],
        )
        return [
            {
                "score": result["score"],
                "label": label,
                "mask": _picture(result["segmentation"]),
                "box": dict(zip(("xmin", "ymin", "xmax", "ymax"), result["box"].round().int().tolist(), strict=True)),
                "passed": result["passed"],
                "threshold": result["threshold"],
                "unknown_words": list(unknown),
            }
            for result, label, unknown in zip(results, about["labels"], about["unknown_words"], strict=True)
        ]


def _picture(mask: torch.Tensor) -> Image.Image:
    return Image.fromarray(mask.numpy().astype(np.uint8) * 255)
