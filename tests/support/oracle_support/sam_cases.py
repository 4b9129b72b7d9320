"""The cases of UniRef-SAM: images, one training step each, and a clip. Inputs are drawn or stored as the others'."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from . import image_cases, train_cases, video_cases
from .comparison import LOGITS, LOSSES, MASKS, PROBES, Report, check_probe
from .drawn_cases import sam_clip
from .image_cases import Arrays, ImageCase
from .recorder import Recorder

TASKS = {"vos": "vos", "rvos_vl_refdavis": "rvos_vl_2expr_refdavis"}
MASK_STEP = 8  # full-size masks are stored at every eighth pixel
RECORDED = ["visual_encoder.backbone", "language_encoder", "mask_encoder"]


class DecoderCalls:
    """Inside the `with` block, the prompts and results of every call of the mask decoder."""

    def __init__(self, model: Any):
        self.model = model
        self.calls: list[tuple[dict[str, Tensor], tuple[Tensor, Tensor]]] = []

    def __enter__(self) -> DecoderCalls:
        def keep(module: Any, positional: tuple, named: dict[str, Tensor], output: tuple[Tensor, Tensor]) -> None:
            self.calls.append((named, output))

        self.handle = self.model.mask_decoder.register_forward_hook(keep, with_kwargs=True)
        return self

    def __exit__(self, *error: object) -> None:
        self.handle.remove()


@torch.inference_mode()
def run_case(model: Any, processor: Any, case: ImageCase, expected: Arrays, report: Report) -> None:
    """Everything that the case's file holds against what the model gives."""
    options = {"output_hidden_states": True, "full_resolution_masks": True}
    with Recorder(model, RECORDED) as recorder, DecoderCalls(model) as decoder:
        outputs = model(**case.inputs, **options)
    for entry, mask in enumerate(outputs.pred_masks[:, 0]):
        name = f"out/b{entry}"
        report.close("scores", f"IoU of {entry}", outputs.iou_scores[entry], expected[f"{name}/pred_iou"], LOGITS)
        if f"{name}/pred_mask_stride{MASK_STEP}" in expected:
            stored = expected[f"{name}/pred_mask_stride{MASK_STEP}"][0]
            report.close("masks", f"mask of {entry}", mask[::MASK_STEP, ::MASK_STEP], stored, MASKS)
        if f"{name}/pred_mask_stats" in expected:
            values = mask.double()
            stats = torch.stack([values.mean(), values.std(), values.abs().max(), (values > 0).double().mean()])
            report.close("masks", f"statistics of {entry}", stats, expected[f"{name}/pred_mask_stats"], MASKS)
    compare_probes(recorder, decoder, outputs, case, expected, report)
    image_cases.compare_value_probes(recorder, expected, report)
    image_cases.compare_references(recorder, expected, report)
    compare_post_processing(processor, outputs, case, expected, report)


def compare_probes(
    recorder: Recorder, decoder: DecoderCalls, outputs: Any, case: ImageCase, expected: Arrays, report: Report
) -> None:
    check = partial(check_probe, expected, report)
    # The original encodes the references first, few-shot examples as one batch.
    order = [*case.references, *case.images]
    encoded = [
        output.last_hidden_state[index] for output, index in recorder.per_image("visual_encoder.backbone", order)
    ]
    check("image_encoder", torch.stack(encoded))
    start, call = 0, 0
    while f"probe/image_encoder/{call}/shape" in expected:
        count = int(expected[f"probe/image_encoder/{call}/shape"][0])
        check(f"image_encoder/{call}", torch.stack(encoded[start : start + count]))
        start, call = start + count, call + 1
    if sentences := recorder.outputs("language_encoder"):
        length = case.inputs["input_ids"].shape[1]
        check("resizer", image_cases.pad_tokens(sentences[0].levels[0].keys, length))
    check("fused/0", outputs.fused_features[0])
    named, (masks, scores) = decoder.calls[0]
    entries = len(masks)
    for entry in range(entries):
        place = f"/{entry}" if entries > 1 else ""
        check(f"prompt{place}/0", named["sparse_prompt_embeddings"][entry])
        check(f"prompt{place}/1", named["dense_prompt_embeddings"])
        check(f"mask_decoder{place}/0", masks[entry])
        check(f"mask_decoder{place}/1", scores[entry])


def compare_post_processing(processor: Any, outputs: Any, case: ImageCase, expected: Arrays, report: Report) -> None:
    """The best object at the size of the user's picture. Boxes: the original gives the whole picture's."""
    if "post/0/scores" not in expected:
        return
    found = processor.post_process_referring_segmentation(outputs, target_sizes=case.target_sizes)
    for entry, result in enumerate(found):
        shape = expected[f"post/{entry}/masks_shape"]
        score = np.array([result["score"]])
        report.close("post", f"score of {entry}", score, expected[f"post/{entry}/scores"], LOGITS)
        if f"post/{entry}/masks_packbits" not in expected:
            continue
        stored = np.unpackbits(expected[f"post/{entry}/masks_packbits"])[: int(np.prod(shape))].reshape(shape)[0] > 0
        mask = np.asarray(result["segmentation"])
        report.holds(f"mask of {entry}", mask.shape == stored.shape, f"shape {mask.shape}, expected {stored.shape}")
        if mask.shape == stored.shape:
            report.close("mask pixels", f"mask of {entry}", np.array([(mask != stored).mean()]), np.zeros(1), 1e-4)


def read_case(name: str, inputs: Arrays, expected: Arrays, processor: Any) -> ImageCase:
    """As `image_cases.read_case`; pictures are a quarter of the network's size."""
    case = image_cases.read_case(name, inputs, expected, processor)
    assert case is not None
    case.target_sizes = [
        tuple(int(side) for side in expected[f"post/{entry}/masks_shape"][1:])
        for entry in range(len(case.images))
        if f"post/{entry}/masks_shape" in expected
    ]
    return case


# ---------------------------------------------------------------------------------------------------------- training
def read_step(name: str, inputs: Arrays, processor: Any) -> dict[str, Any]:
    """`ris`: both pictures with their sentences. `vos`: frame 0 of the clip is the reference, frame 2 the target."""
    if name == "ris":
        images = image_cases.pictures(image_cases.numbered(inputs, "ris/image"))
        made = dict(processor(images=images, do_resize=False)) | image_cases.tokens(inputs, "ris")
        masks = image_cases.numbered(inputs, "ris/mask")
    else:
        frames = image_cases.pictures(list(inputs["vos/images"]))
        made = dict(
            processor(
                images=frames[2],
                reference_images=frames[0],
                reference_masks=inputs["vos/masks"][0],
                do_resize=False,
            )
        )
        masks = [inputs["vos/masks"][2]]
    size = tuple(made["pixel_values"].shape[-2:])
    # The boxes are not read.
    made["labels"] = [
        train_cases.make_label(mask[None], np.array([[0.0, 0.0, 1.0, 1.0]]), mask.shape, size) for mask in masks
    ]
    return made


def run_step(model: Any, step: dict[str, Any], expected: dict[str, Any], frozen: list[str], report: Report) -> None:
    """One forward and backward pass; `frozen` are prefixes of original names."""
    parameters = dict(model.named_parameters())
    for name in frozen:
        for target, parameter in parameters.items():
            if any(target.startswith(prefix) for prefix in OURS[name.removeprefix("model.")]):
                parameter.requires_grad_(False)
    outputs = model(**step)
    outputs.loss.backward()
    for name, key in (("mask_bce_loss", "loss_mask"), ("mask_dice_loss", "loss_dice")):  # stored with their weights
        loss = model.criterion.weight_of(key) * float(outputs.loss_dict[key].detach())
        report.relative("losses", name, loss, expected["losses"][name], LOSSES)
    report.relative("losses", "total", float(outputs.loss.detach()), expected["total"], LOSSES)
    train_cases.compare_gradients(
        parameters, expected | {"no_grad_params": [], "grad_norm_total": total_norm(expected)}, report
    )
    mean = model.mask_encoder.stem.norm.running_mean[:8]
    report.close("statistics", "running mean", mean, np.array(expected["bn1_running_mean_after_first8"]), PROBES)


OURS = {
    "sam.image_encoder": ["visual_encoder."],
    "sam.prompt_encoder": ["prompt_encoder."],
    "text_encoder.embeddings": ["language_encoder.text_encoder.embeddings."],
    "text_encoder.encoder": ["language_encoder.text_encoder.encoder."],
    "text_encoder.pooler": [],
}


def total_norm(expected: dict[str, Any]) -> float:
    return sum((value or 0.0) ** 2 for value in expected["grad_norms"].values()) ** 0.5


# -------------------------------------------------------------------------------------------------------------- video
def read_clip(name: str, model: Any, processor: Any, expected: Arrays) -> video_cases.VideoCase:
    """One of `TASKS`: three frames, objects given by masks in frames 0 and 2, or by two sentences that propagate."""
    arrays = {key.removeprefix(f"{name}/"): array for key, array in expected.items() if key.startswith(f"{name}/")}
    height, width = arrays["argmax"].shape[1:]
    return video_cases.VideoCase(TASKS[name], model, processor, sam_clip(), (int(height), int(width)), arrays)
