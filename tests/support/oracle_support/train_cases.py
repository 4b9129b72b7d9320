"""The training steps: losses, matches, gradient norms and running statistics of one batch, every dropout off."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .comparison import GRADIENT_NORMS, LOSSES, PROBES, SMALLEST_GRADIENT_NORM, Report
from .image_cases import Arrays, numbered, pictures, tokens
from .models import load_model

NO_DROPOUT = {"fusion_dropout": 0.0, "text_dropout": 0.0}
NO_TEXT_DROPOUT = {"text_config__hidden_dropout_prob": 0.0, "text_config__attention_probs_dropout_prob": 0.0}


def family_of(expected: dict[str, Any]) -> str:
    """Which manifest a step was made with: the detection stage trains masks from boxes."""
    return "small_r50_boxinst" if "loss_prj" in expected["raw_losses"] else "small_r50"


def load_for_training(folder: Path, expected: dict[str, Any], name: str) -> Any:
    """The model in training mode, without dropout, with the losses and the frozen parameters of the step's stage."""
    options: dict[str, Any] = dict(NO_DROPOUT)
    if family_of(expected) == "small_r50":
        options |= NO_TEXT_DROPOUT
        options["auxiliary_mask_losses"] = "loss_mask_cls" in expected["raw_losses"]
    model = load_model(folder, **options)
    if counter := re.search(r"iter(\d+)", name):
        model.criterion.boxinst_iteration.fill_(float(counter[1]))
    model.train()
    return model


def read_step(name: str, inputs: Arrays, processor: Any) -> dict[str, Any] | None:
    """Keyword arguments of the model's forward, with labels; None when the folder has no such inputs.

    `ris*`, `det*`, `fss*`, `boxinst*` (detection, seven classes), `vos*`, `rvos*language_only`, `rvos*`: a batch each.
    """
    task = "det" if name.startswith("boxinst") else name.split("_")[0]
    if task in ("vos", "rvos"):
        return _clip_step(name, inputs, processor)
    images = pictures(numbered(inputs, f"{task}/image"))
    if not images:
        return None
    if task == "fss":
        examples = [[picture] for picture in pictures(numbered(inputs, "fss/support_image"))]
        masks = [[mask] for mask in numbered(inputs, "fss/support_mask")]
        made = dict(processor(images=images, reference_images=examples, reference_masks=masks, do_resize=False))
    else:
        made = dict(processor(images=images, do_resize=False))
    if task == "ris":
        made |= tokens(inputs, "ris")
    size = tuple(made["pixel_values"].shape[-2:])
    labels = []
    for i, image in enumerate(images):
        label = make_label(inputs[f"{task}/masks{i}"], inputs[f"{task}/boxes{i}"], tuple(image.shape[-2:]), size)
        if name.startswith("boxinst"):
            label["class_labels"] = torch.from_numpy(inputs[f"det/labels_boxinst{i}"])
            label["original_size"] = torch.from_numpy(inputs[f"det/original_hw{i}"])
        labels.append(label)
    return made | {"labels": labels}


def _clip_step(name: str, inputs: Arrays, processor: Any) -> dict[str, Any] | None:
    """Frame 0 of each clip is the reference, frame 1 the target."""
    clips, masks, boxes = (numbered(inputs, f"clip/{part}") for part in ("frames", "masks", "boxes"))
    if not clips:
        return None
    images = [torch.from_numpy(frames[1]) for frames in clips]
    if "language_only" in name:
        made = dict(processor(images=images, do_resize=False))
    else:
        made = dict(
            processor(
                images=images,
                reference_images=[[torch.from_numpy(frames[0])] for frames in clips],
                reference_masks=[[mask[0]] for mask in masks],
                do_resize=False,
            )
        )
    if name.startswith("rvos"):
        made |= tokens(inputs, "clip")
    size = tuple(made["pixel_values"].shape[-2:])
    made["labels"] = [
        make_label(masks[v][1:], boxes[v][1:], tuple(image.shape[-2:]), size) for v, image in enumerate(images)
    ]
    return made | {"full_resolution_masks": name.startswith("vos")}


def make_label(
    masks: np.ndarray, boxes: np.ndarray, size: tuple[int, ...], padded: tuple[int, ...]
) -> dict[str, Tensor]:
    """Masks (t, h, w) and boxes (t, 4) xyxy in pixels -> what the model takes."""
    height, width = size
    full = np.zeros((len(masks), *padded), dtype=bool)
    full[:, :height, :width] = masks
    corners = torch.from_numpy(boxes).float() / torch.tensor([width, height, width, height])
    low, high = corners[:, :2], corners[:, 2:]
    return {
        "boxes": torch.cat([(low + high) / 2, high - low], dim=1),
        "masks": torch.from_numpy(full),
        "class_labels": torch.zeros(len(masks), dtype=torch.long),
    }


def run_step(model: Any, step: dict[str, Any], expected: dict[str, Any], names: list[str], report: Report) -> None:
    """One forward and backward pass.  `names` are the original names of all tensors."""
    parameters = dict(model.named_parameters())
    for name in names:
        if any(name.startswith(f"{prefix}.") for prefix in expected["frozen_prefixes"]):
            for target in targets_of(name):
                if target in parameters:
                    parameters[target].requires_grad_(False)
    matched = {}
    match = model.criterion.match
    model.criterion.match = lambda *arguments: matched.setdefault("found", match(*arguments))
    outputs = model(**step)
    outputs.loss.backward()

    for name, value in expected["raw_losses"].items():
        if name not in outputs.loss_dict:
            report.wrong.append(f"{name}: missing")
            continue
        loss = float(outputs.loss_dict[name].detach())
        report.relative("losses", name, loss, value, LOSSES)
        weighted = model.criterion.weight_of(name) * loss
        report.relative("losses", f"weighted {name}", weighted, expected["weighted_losses"].get(name, value), LOSSES)
    report.equal("names of losses", sorted(outputs.loss_dict), sorted(expected["raw_losses"]))
    report.relative("losses", "total", float(outputs.loss.detach()), expected["total"], LOSSES)
    compare_matches(*matched["found"], expected["matches"], report)
    compare_gradients(parameters, expected, report)
    if expected.get("bn1_running_mean_after_first8") is not None:
        mean = model.mask_encoder.stem.norm.running_mean[:8]
        report.close("statistics", "running mean", mean, np.array(expected["bn1_running_mean_after_first8"]), PROBES)


def compare_matches(layers: list[Any], proposals: Any, expected: dict[str, list[int]], report: Report) -> None:
    for key, value in expected.items():
        parsed = re.fullmatch(r"(?:ota/layer(\d+)|enc_hungarian)/image(\d+)/(query|target)", key)
        if parsed is None:
            continue  # best_query_per_target: not part of the result, only of how the original stores it
        matches = proposals if parsed[1] is None else layers[int(parsed[1])]
        queries, targets = matches.of_entry(int(parsed[2]))
        report.equal(key, queries if parsed[3] == "query" else targets, np.array(value, dtype=np.int64))


def compare_gradients(parameters: dict[str, Tensor], expected: dict[str, Any], report: Report) -> None:
    total = 0.0
    for name, value in expected["grad_norms"].items():
        gradients = [parameters[target].grad for target in targets_of(name) if target in parameters]
        if not gradients:
            report.holds(name, value is None or value < SMALLEST_GRADIENT_NORM, "has a gradient but no place here")
            continue
        norm = float(sum(float(g.double().square().sum()) for g in gradients if g is not None)) ** 0.5
        total += norm**2
        if value is not None and value >= SMALLEST_GRADIENT_NORM:
            report.relative("gradient norms", f"gradient of {name}", norm, value, GRADIENT_NORMS)
    for name in expected["no_grad_params"]:
        for target in targets_of(name):
            gradient = parameters[target].grad if target in parameters else None
            report.holds(name, gradient is None or not gradient.any(), "has a gradient here, none in the original")
    report.relative("gradient norms", "total norm", total**0.5, expected["grad_norm_total"], GRADIENT_NORMS)


def targets_of(name: str) -> tuple[str, ...]:
    """The parameters that an original one became; none for one that is not needed."""
    from transformers_uniref.conversion.key_mapping import Duplicate, Move, place

    placement = place(name)
    if isinstance(placement, Duplicate):
        placement = place(placement.original)
    return placement.targets if isinstance(placement, Move) else ()
