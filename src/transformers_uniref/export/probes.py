"""Made-up inputs of many sizes, on which a graph is traced and compared."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..modeling.modeling_uniref import UniRefModel
from .paths import SMALLEST, STEP

VARIANTS = 4
"""How many different kinds of inputs `probe_inputs` makes. The first is what graphs are traced with."""


def probe_inputs(model: UniRefModel, path: str, variant: int) -> dict[str, Tensor]:
    """Inputs of one path; equal arguments give equal inputs.

    Batch size, picture size, padding, sentence length and number of examples differ between the variants.

    Args:
        model: whose vocabulary and number of queries count.
        path: "sentence" or "examples".
        variant: 0, 1, ...; from `VARIANTS` on the sizes repeat, with other content.
    """
    random = torch.Generator().manual_seed(variant)
    kind = variant % VARIANTS
    batch = (2, 1, 3, 1)[kind]
    side = _least_side(model.num_queries)
    # Neither sizes nor paddings of a variant are equal: nothing may hinge on that.
    height, width = [(side + 32, side + 64), (side, side), (side + 96, side), (side + 64, side + 32)][kind]
    inputs = _pictures(batch, height, width, random)
    if path == "sentence":
        length = min((7, model.config.text_length, 3, 11)[kind], model.config.text_length)
        inputs["input_ids"] = torch.randint(0, model.config.text_config.vocab_size, (batch, length), generator=random)
        used = torch.randint(2, length + 1, (batch, 1), generator=random)
        used[0] = length if kind != 1 else max(2, length // 2)  # variant 1: columns that no sentence uses
        inputs["attention_mask"] = (torch.arange(length) < used).long()
        return inputs
    shots = (2, 1, 3, 1)[kind]
    height, width = [(128, 160), (96, 96), (160, 96), (96, 128)][kind]
    examples = _pictures(batch * shots, height, width, random)
    masks = F.interpolate(torch.randn(batch * shots, 1, 5, 5, generator=random), size=(height, width), mode="bilinear")
    inputs["reference_pixel_values"] = examples["pixel_values"].unflatten(0, (batch, shots))
    inputs["reference_pixel_mask"] = examples["pixel_mask"].unflatten(0, (batch, shots))
    valid = examples["pixel_mask"].bool()
    inputs["reference_masks"] = ((masks[:, 0] > 0) & valid).unflatten(0, (batch, shots))
    return inputs


def _least_side(queries: int) -> int:
    """A side with which a square has a position for every query, even without the levels above the first."""
    side = SMALLEST
    while (side // 8) ** 2 < queries:
        side += STEP
    return side


def _pictures(count: int, height: int, width: int, random: torch.Generator) -> dict[str, Tensor]:
    """Normalised pictures of soft blobs and noise; all but the first have padding at the right and below."""
    blobs = F.interpolate(torch.randn(count, 3, 6, 6, generator=random), size=(height, width), mode="bicubic")
    values = blobs + 0.2 * torch.randn(count, 3, height, width, generator=random)
    mask = torch.zeros(count, height, width, dtype=torch.long)
    for index in range(count):
        # Odd sizes too: those of pictures before padding are arbitrary.
        mask[index, : height - 13 * min(index, 2), : width - 21 * min(index, 1)] = 1
    return {"pixel_values": values * mask[:, None], "pixel_mask": mask}
