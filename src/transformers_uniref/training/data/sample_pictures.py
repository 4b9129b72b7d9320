"""Pictures that show a person what the model does during training: reference, truth and prediction side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from ...core.atomic import replacing
from ...media.overlays import contact_sheet, overlay_masks
from ...processors.image_processing_common import PIXEL_MEAN, PIXEL_STD
from .collation import Batch

CELL = (256, 192)


def chosen_entries(tasks: list[str], count: int) -> list[int]:
    """Up to `count` entries, of every task in turn, first entries first."""
    by_task: dict[str, list[int]] = {}
    for entry, task in enumerate(tasks):
        by_task.setdefault(task, []).append(entry)
    rounds = max(map(len, by_task.values()), default=0)
    return [own[i] for i in range(rounds) for own in by_task.values() if i < len(own)][:count]


@torch.no_grad()
def entry_rows(batch: Batch, output: Any, tokenizer: Any, count: int) -> tuple[list[np.ndarray], list[str]]:
    """Three pictures and captions for each of up to `count` entries of a micro-batch."""
    pictures, captions = [], []
    inputs = batch.inputs
    for entry in chosen_entries(batch.tasks, count):
        image, valid = _picture(inputs["pixel_values"], inputs["pixel_mask"], int(inputs["image_indices"][entry]))
        logits = F.interpolate(
            output.pred_masks[entry, :1].detach().float()[None], size=batch.targets.shape[-2:], mode="bilinear"
        )
        truth = _cropped(batch.targets[entry] > 0.5, valid)
        predicted = _cropped(logits[0, 0] > 0, valid)
        score = float(output.logits[entry].float().sigmoid().max())
        sentence = ""
        if "input_ids" in inputs:
            sentence = tokenizer.decode(inputs["input_ids"][entry], skip_special_tokens=True)
        reference = image
        if "reference_masks" in inputs:
            shown, area = _picture(inputs["reference_pixel_values"][entry], inputs["reference_pixel_mask"][entry], 0)
            reference = overlay_masks(shown, [_cropped(inputs["reference_masks"][entry, 0] > 0.5, area)])
        pictures += [reference, overlay_masks(image, [truth]), overlay_masks(image, [predicted])]
        union = (truth | predicted).sum()
        iou = (truth & predicted).sum() / union if union else 1.0
        absent = "" if truth.any() else " (absent)"
        captions += [
            f"{batch.tasks[entry]}: {sentence}".rstrip(": "),
            f"truth{absent}",
            f"IoU {iou:.2f} score {score:.2f}",
        ]
    return pictures, captions


def _picture(pixels: Tensor, valid: Tensor, index: int) -> tuple[np.ndarray, tuple[int, int]]:
    """Image `index` as uint8 (h, w, 3) without its padding, and (h, w)."""
    mask = valid[index].bool()
    height, width = int(mask.any(1).sum()), int(mask.any(0).sum())
    values = pixels[index, :, :height, :width].detach().float().permute(1, 2, 0).cpu().numpy()
    values = np.rint(values * np.array(PIXEL_STD, np.float32) + np.array(PIXEL_MEAN, np.float32))
    return np.clip(values, 0, 255).astype(np.uint8), (height, width)


def _cropped(mask: Tensor, size: tuple[int, int]) -> np.ndarray:
    return mask[: size[0], : size[1]].cpu().numpy()


def write_sheet(path: Path, pictures: list[np.ndarray], captions: list[str]) -> None:
    """Write the rows of `entry_rows` as one PNG."""
    if not pictures:
        return
    sheet = contact_sheet(pictures, captions, columns=3, cell=CELL)
    with replacing(path) as partial:
        Image.fromarray(sheet).save(partial, format="PNG")
