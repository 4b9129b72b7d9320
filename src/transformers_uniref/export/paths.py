"""What is exported: the way from tensors to scores, boxes and masks, as one module for each kind of reference.

A graph has no optional inputs, so a sentence and annotated examples are two graphs. Both give the same outputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..modeling.mask_head import aligned_upsample
from ..modeling.modeling_uniref import UniRefModel
from ..modeling.references import References, VisualFeatures, merge_shots

OUTPUTS = ("logits", "pred_boxes", "pred_masks", "mask_queries", "image_sizes", "proposals")
"""Of N entries with Q queries, in this order: `logits` (N, Q, classes) before the sigmoid; `pred_boxes` (N, Q, 4)
cxcywh relative to the picture without padding; `pred_masks` (N, 1, h, w) mask logits of the best query;
`mask_queries` (N, 1) which query that is; `image_sizes` (N, 2) height and width of the pictures without padding;
`proposals` (N, Q) the place in the pyramid that each query began at."""

STEP = 32
"""Heights and widths are multiples of this."""

SMALLEST = 96
"""The least height and width. Below, the coarsest level is one position wide, and PyTorch would make another graph."""


class _Path(nn.Module):
    def __init__(self, model: UniRefModel):
        super().__init__()
        self.model = model

    def _answer(self, features: VisualFeatures, references: References) -> tuple[Tensor, ...]:
        """The steps of `UniRefModel.decode` for one mask an entry, and the proposals."""
        model = self.model
        fused = model.fuse(features, [model.project_references(references)])
        transformed = model.run_transformer(features, fused)
        logits = model.class_heads[-2](transformed.queries[-1])
        mask_features = model.mask_features(features, transformed)
        decoded = model.decode_best_masks(transformed, mask_features, logits, features.image_sizes)
        masks = aligned_upsample(decoded.logits) if model.config.full_resolution_masks else decoded.logits
        return (
            logits,
            transformed.boxes[-1],
            masks,
            decoded.queries,
            features.image_sizes,
            transformed.selected,
        )


class SentencePath(_Path):
    """Pictures and a sentence for each."""

    def forward(
        self, pixel_values: Tensor, pixel_mask: Tensor, input_ids: Tensor, attention_mask: Tensor
    ) -> tuple[Tensor, ...]:
        """See `UniRefModel.forward` for the inputs and `OUTPUTS` for what is returned."""
        features = self.model.encode_image(pixel_values, pixel_mask)
        return self._answer(features, self.model.encode_language(input_ids, attention_mask))


class ExamplePath(_Path):
    """Pictures and K annotated examples for each."""

    def forward(
        self,
        pixel_values: Tensor,
        pixel_mask: Tensor,
        reference_pixel_values: Tensor,
        reference_pixel_mask: Tensor,
        reference_masks: Tensor,
    ) -> tuple[Tensor, ...]:
        """See `UniRefModel.forward` for the inputs and `OUTPUTS` for what is returned."""
        model = self.model
        examples = model.encode_image(reference_pixel_values.flatten(0, 1), reference_pixel_mask.flatten(0, 1))
        references = model.encode_mask_references(examples, reference_masks.flatten(0, 1))
        merged = merge_shots(references, reference_pixel_values.shape[1])
        return self._answer(model.encode_image(pixel_values, pixel_mask), merged)


@dataclass(frozen=True)
class InputSpec:
    """One input: its element type in NumPy's words, and a name or a fixed number for each dimension."""

    dtype: str
    dims: tuple[str | int, ...]


@dataclass(frozen=True)
class PathSpec:
    """One graph: the module that is traced, the configuration's switch without which a model lacks it, its inputs."""

    module: type[_Path]
    switch: str
    inputs: dict[str, InputSpec]


_IMAGE = {
    "pixel_values": InputSpec("float32", ("batch", 3, "height", "width")),
    "pixel_mask": InputSpec("int64", ("batch", "height", "width")),
}
PATHS: dict[str, PathSpec] = {
    "sentence": PathSpec(
        SentencePath,
        "use_language_references",
        {
            **_IMAGE,
            "input_ids": InputSpec("int64", ("batch", "length")),
            "attention_mask": InputSpec("int64", ("batch", "length")),
        },
    ),
    "examples": PathSpec(
        ExamplePath,
        "use_mask_references",
        {
            **_IMAGE,
            "reference_pixel_values": InputSpec(
                "float32", ("batch", "examples", 3, "reference_height", "reference_width")
            ),
            "reference_pixel_mask": InputSpec("int64", ("batch", "examples", "reference_height", "reference_width")),
            "reference_masks": InputSpec("bool", ("batch", "examples", "reference_height", "reference_width")),
        },
    ),
}
"""The graphs by name; `sentence.onnx` and `examples.onnx` are called after it."""


def dynamic_dims(spec: PathSpec, longest_sentence: int) -> dict[str, dict[int, Any]]:
    """`dynamic_shapes` of `torch.export`: every named dimension of the inputs may change, to the longest sentence."""
    dims: dict[str, Any] = {}

    def dim(name: str) -> Any:
        if name not in dims:
            if name.endswith(("height", "width")):
                dims[name] = STEP * torch.export.Dim(f"{name}_by_{STEP}", min=SMALLEST // STEP)
            else:
                dims[name] = torch.export.Dim(name, max=longest_sentence if name == "length" else None)
        return dims[name]

    return {
        name: {axis: dim(size) for axis, size in enumerate(given.dims) if isinstance(size, str)}
        for name, given in spec.inputs.items()
    }


def longest_sentence(model: UniRefModel) -> int:
    """Tokens that the text encoder has positions for; the first ones of RoBERTa and its kin are not for tokens."""
    text = model.config.text_config
    if text is None:
        return model.config.text_length
    reserved = text.pad_token_id + 1 if "roberta" in text.model_type else 0
    return int(text.max_position_embeddings) - reserved
