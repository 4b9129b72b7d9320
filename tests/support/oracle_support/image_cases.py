"""The cases of one image or one video step: inputs through the processor, outputs and intermediate tensors compared."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .comparison import BOXES, LOGITS, MASKS, PROBES, Probe, Report, check_probe
from .recorder import Recorder

Arrays = dict[str, np.ndarray]

# What bfloat16 may change about the best object; measured: 0.09, 0.01 and 0.9.
ROUNDED_LOGIT, ROUNDED_BOX, ROUNDED_OVERLAP = 0.3, 0.05, 0.75

RECORDED = [
    "visual_encoder",
    "visual_encoder.backbone",
    "language_encoder",
    "mask_encoder",
    "transformer",
    "mask_head.controller",
    "mask_head.reduce2",
    "mask_head.mask_conv",
]


@dataclass
class ImageCase:
    """What goes into the model, and what the user's pictures were."""

    inputs: dict[str, Any]
    options: dict[str, Any]
    target_sizes: list[tuple[int, int]]
    references: list[Tensor]  # the reference images as they enter the network, (3, H, W)

    @property
    def images(self) -> list[Tensor]:
        return list(self.inputs["pixel_values"])


def numbered(arrays: Arrays, stem: str) -> list[np.ndarray]:
    """stem0, stem1, ..."""
    found: list[np.ndarray] = []
    while f"{stem}{len(found)}" in arrays:
        found.append(arrays[f"{stem}{len(found)}"])
    return found


def tokens(arrays: Arrays, task: str) -> dict[str, Tensor]:
    return {name: torch.from_numpy(arrays[f"{task}/{name}"]) for name in ("input_ids", "attention_mask")}


def pictures(arrays: list[np.ndarray]) -> list[Tensor]:
    return [torch.from_numpy(array) for array in arrays]


def read_case(name: str, inputs: Arrays, expected: Arrays, processor: Any) -> ImageCase | None:
    """The inputs that the name of a case stands for; None when the folder has no such inputs.

    `ris*` a batch of images with sentences, `det*` the same images without, `fss{k}*` a query with k examples,
    `vos*[object{i}]` the third frame with the first two annotated, `rvos*` the same with a sentence,
    `rvos*language_only` the third frame with a sentence alone.
    """
    options: dict[str, Any] = {"num_masks": "all", "output_hidden_states": True}
    if name.startswith(("ris", "det")):
        images = pictures(numbered(inputs, "ris/image"))
        if not images:
            return None
        made = dict(processor(images=images, do_resize=False))
        if name.startswith("ris"):
            made |= tokens(inputs, "ris")
    elif name.startswith("fss"):
        if "fss/image" not in inputs:
            return None
        shots = int((re.match(r"fss(\d+)", name) or [0, 1])[1])
        images = pictures([inputs["fss/image"]])
        examples = pictures(numbered(inputs, "fss/support_image")[:shots])
        masks = numbered(inputs, "fss/support_mask")[:shots]
        made = dict(processor(images=images[0], reference_images=examples, reference_masks=masks, do_resize=False))
    elif name.startswith(("vos", "rvos")):
        if "vos/images" not in inputs:
            return None
        frames = pictures(list(inputs["vos/images"]))
        images = frames[2:]
        which = re.search(r"object(\d+)", name)
        masks = inputs["vos/masks" if which is None or which[1] == "1" else f"vos/masks{which[1]}"]
        if "language_only" in name:
            made = dict(processor(images=images, do_resize=False))
        else:
            made = dict(
                processor(
                    images=images[0], reference_images=frames[:2], reference_masks=list(masks[:2]), do_resize=False
                )
            )
        if name.startswith("rvos"):
            made |= tokens(inputs, "rvos")
        else:
            options["full_resolution_masks"] = True
    else:
        raise ValueError(f"{name}: no kind of case begins like this")
    sizes = [
        tuple(int(side) for side in expected.get(f"post/{i}/output_hw", image.shape[-2:]))
        for i, image in enumerate(images)
    ]
    references = list(made["reference_pixel_values"].flatten(0, 1)) if "reference_pixel_values" in made else []
    return ImageCase(made, options, sizes, references)


@torch.inference_mode()
def run_case(model: Any, processor: Any, case: ImageCase, expected: Arrays, report: Report) -> None:
    """Everything that the case's file holds against what the model gives."""
    with Recorder(model, RECORDED) as recorder:
        outputs = model(**case.inputs, **case.options)
    compare_outputs(outputs, expected, report)
    compare_probes(model, recorder, outputs, case, expected, report)
    compare_references(recorder, expected, report)
    if "post/0/scores" in expected:
        compare_post_processing(model, processor, outputs, case, expected, report)


@torch.inference_mode()
def run_rounded_case(model: Any, case: ImageCase, expected: Arrays, exact: Arrays, report: Report) -> None:
    """The fusion attention in bfloat16 against an emulation of the released kernel.

    Rounding reorders the proposals, and with them the queries, so only the best object is compared, loosely: its score,
    box and mask.  `exact` are the numbers in float32, which a case with a reference has to differ from.
    """
    options = case.options | {"output_hidden_states": False, "num_masks": 1}
    model.config.fusion_bf16 = True
    try:
        outputs = model(**case.inputs, **options)
    finally:
        model.config.fusion_bf16 = False
    has_reference = bool(case.references) or "input_ids" in case.inputs
    changed = float((outputs.logits - torch.from_numpy(exact["out/pred_logits"])).abs().max()) > 10 * LOGITS
    report.holds("the cast", changed == has_reference, f"changes the logits: {changed}, expected {has_reference}")
    for entry, wanted in enumerate(expected["out/pred_logits"].max(-1)):
        best = int(wanted.argmax())
        query = int(outputs.mask_queries[entry, 0])
        box = outputs.pred_boxes[entry, query]
        report.close("logit", f"best of {entry}", outputs.logits[entry, query].amax(), wanted[best], ROUNDED_LOGIT)
        report.close("box", f"best of {entry}", box, expected["out/pred_boxes"][entry, best], ROUNDED_BOX)
        mask = outputs.pred_masks[entry, 0].numpy() > 0
        stored = expected[f"out/b{entry}/pred_mask_top1"] > 0
        overlap = (mask & stored).sum() / max((mask | stored).sum(), 1)
        report.holds(f"mask of {entry}", overlap >= ROUNDED_OVERLAP, f"IoU {overlap:.3f} with the emulated kernel's")


def compare_outputs(outputs: Any, expected: Arrays, report: Report) -> None:
    report.close("logits", "logits", outputs.logits, expected["out/pred_logits"], LOGITS)
    report.close("boxes", "boxes", outputs.pred_boxes, expected["out/pred_boxes"], BOXES)
    scores = outputs.logits.amax(-1)
    for entry in range(len(scores)):
        queries = expected.get(f"out/b{entry}/mask_query")
        if queries is None:
            continue
        report.equal(f"best query of {entry}", int(scores[entry].argmax()), int(queries[0]))
        masks = outputs.pred_masks[entry, torch.from_numpy(queries)]
        report.close("masks", f"best mask of {entry}", masks[0], expected[f"out/b{entry}/pred_mask_top1"], MASKS)
        for key in expected:
            if match := re.fullmatch(rf"out/b{entry}/pred_mask_others_stride(\d+)", key):
                step = int(match[1])
                report.close("masks", f"other masks of {entry}", masks[1:, ::step, ::step], expected[key], MASKS)


def compare_probes(
    model: Any, recorder: Recorder, outputs: Any, case: ImageCase, expected: Arrays, report: Report
) -> None:
    check = partial(check_probe, expected, report)
    compare_visual_probes(recorder, case, expected, report)
    if sentences := recorder.outputs("language_encoder"):
        length = case.inputs["input_ids"].shape[1]
        check("resizer", pad_tokens(sentences[0].levels[0].keys, length))
    compare_value_probes(recorder, expected, report)
    if case.references or "input_ids" in case.inputs:
        for level, fused in enumerate(outputs.fused_features):
            check(f"fused/{level}", fused)
    transformed = recorder.outputs("transformer")[0]
    check("transformer/hs", torch.stack(transformed.queries))
    check("transformer/memory", transformed.encoded.memory)
    check("transformer/init_reference", transformed.references[0])
    check("transformer/inter_references", torch.stack([*transformed.references[1:], transformed.boxes[-1]]))
    check("transformer/enc_logits", transformed.proposal_logits)
    compare_proposals(transformed, expected, report)
    check("controller", recorder.outputs("mask_head.controller")[0])
    check("mask_head", recorder.outputs("mask_head.reduce2")[0].relu())
    check("mask_conv", recorder.outputs("mask_head.mask_conv")[0])


def compare_proposals(transformed: Any, expected: Arrays, report: Report) -> None:
    if "probe/transformer/topk_idx" in expected:
        report.equal("selected proposals", transformed.selected, expected["probe/transformer/topk_idx"])
        scores = transformed.proposal_logits[..., 0].gather(1, transformed.selected)
        report.close("probes", "their scores", scores, expected["probe/transformer/topk_logit"], PROBES)
    name = "probe/transformer/enc_coord_unact_inf_as_1e4"
    if Probe.exists(expected, name):
        # stored before the sigmoid, with 10000 for infinity; the model keeps what comes after it
        squashed = {
            key: 1 / (1 + np.exp(-value.astype(np.float64))) if key.endswith(("first64", "sample", "full")) else value
            for key, value in expected.items()
            if key == name or key.startswith(f"{name}/")
        }
        Probe(squashed, name).compare(report, transformed.proposal_boxes)


def compare_visual_probes(recorder: Recorder, case: ImageCase, expected: Arrays, report: Report) -> None:
    """Backbone, projections and positions.  The original encodes the references first, then the image or batch."""
    order = [*case.references, *case.images]
    raw = recorder.per_image("visual_encoder.backbone", order)
    encoded = recorder.per_image("visual_encoder", order)
    for group, members in enumerate(groups_of_images(expected, len(order))):
        single = Probe.exists(expected, "probe/backbone/res2") or Probe.exists(expected, "probe/input_proj0")
        place = "" if single else f"/{group}"
        for level in range(4):
            tensors = {
                f"backbone{place}/res{level + 2}": [raw[i][0].feature_maps[level][raw[i][1]] for i in members],
                f"input_proj{level}{place}": [encoded[i][0].levels[level][encoded[i][1]] for i in members],
                # five positions an image: of res2 (which nobody reads), then of the four levels
                f"pos/{5 * group + level + 1}": [encoded[i][0].positions[level][encoded[i][1]] for i in members],
            }
            for name, parts in tensors.items():
                check_probe(expected, report, name, torch.stack(parts))


def groups_of_images(expected: Arrays, images: int) -> list[list[int]]:
    """Which images each call of the original's backbone saw, from the batch sizes of the probes."""
    groups: list[list[int]] = []
    start = 0
    while start < images:
        call = len(groups)
        stored = [
            expected[key]
            for key in (f"probe/backbone/{call}/res2/shape", "probe/backbone/res2/shape")
            if key in expected and (call == 0 or str(call) in key.split("/"))
        ]
        if not stored:
            break
        groups.append(list(range(start, start + int(stored[0][0]))))
        start = groups[-1][-1] + 1
    return groups


def compare_value_probes(recorder: Recorder, expected: Arrays, report: Report) -> None:
    """`value/{level}` of all examples together (few-shot), or `value/{example}/{level}`."""
    encoded = recorder.outputs("mask_encoder")
    if not encoded:
        return
    for level, reference in enumerate(encoded[0].levels):
        together = Probe.exists(expected, f"probe/value/{level}")
        for example, values in enumerate([reference.values] if together else reference.values.split(1)):
            name = f"probe/value/{level}" if together else f"probe/value/{example}/{level}"
            if Probe.exists(expected, name):
                probe = Probe(expected, name)
                probe.compare(report, values.transpose(1, 2).unflatten(2, probe.shape[-2:]))


def compare_references(recorder: Recorder, expected: Arrays, report: Report) -> None:
    """The references as fusion gets them: `lang/*` of the sentence, `ref/*` of the annotated frames."""
    if "lang/ref_embeds" in expected and (sentences := recorder.outputs("language_encoder")):
        level = sentences[0].levels[0]
        padding = torch.from_numpy(expected["lang/masks"])
        report.close("probes", "lang/ref_embeds", level.condition, expected["lang/ref_embeds"], PROBES)
        report.equal("lang/masks", (~padding).sum(1), level.valid.sum(1))
        if Probe.exists(expected, "lang/refs"):
            Probe(expected, "lang/refs").compare(report, pad_tokens(level.keys, padding.shape[1]))
    encoded = recorder.outputs("mask_encoder")
    if not encoded:
        return
    for index, level in enumerate(encoded[0].levels):
        for name, actual in (
            (f"ref/refs{index}", level.keys.flatten(0, 1)[None]),
            (f"ref/ref_values{index}", level.values.flatten(0, 1)[None]),
            (f"ref/ref_embeds{index}", level.condition.mean(0, keepdim=True)),
        ):
            if Probe.exists(expected, name):
                Probe(expected, name).compare(report, actual)
        if f"ref/masks{index}_sum" in expected:
            padded = 0 if level.valid is None else int((~level.valid).sum())
            report.equal(f"ref/masks{index}_sum", padded, int(expected[f"ref/masks{index}_sum"]))


def pad_tokens(tokens: Tensor, length: int) -> Tensor:
    """Tokens (N, L, d) to (N, length, d) with NaN, "not computed": columns that no sentence uses are not encoded."""
    return torch.cat([tokens, tokens.new_full((len(tokens), length - tokens.shape[1], tokens.shape[2]), torch.nan)], 1)


def compare_post_processing(
    model: Any, processor: Any, outputs: Any, case: ImageCase, expected: Arrays, report: Report
) -> None:
    """At the size of the user's picture: everything (detection), or the best object with its mask."""
    if "post/0/masks_shape" not in expected:
        found = processor.post_process_instance_segmentation(
            outputs, target_sizes=case.target_sizes, threshold=0.0, top_k=100
        )
        for entry, result in enumerate(found):
            report.close("post", f"scores of {entry}", result["scores"], expected[f"post/{entry}/scores"], LOGITS)
            size = max(case.target_sizes[entry])
            report.close("post", f"boxes of {entry}", result["boxes"], expected[f"post/{entry}/boxes"], BOXES * size)
        return
    alone = model(**case.inputs, **(case.options | {"num_masks": 1, "output_hidden_states": False}))
    stride = 1 if case.options.get("full_resolution_masks") else 4
    found = processor.post_process_referring_segmentation(alone, target_sizes=case.target_sizes, mask_stride=stride)
    for entry, result in enumerate(found):
        shape = expected[f"post/{entry}/masks_shape"]
        stored = np.unpackbits(expected[f"post/{entry}/masks_packbits"])[: int(np.prod(shape))].reshape(shape)
        mask = np.asarray(result["segmentation"])
        if shape[0] == 0:
            report.holds(f"mask of {entry}", not mask.any(), "the original gives nothing")
            continue
        report.close("post", f"score of {entry}", np.array([result["score"]]), expected[f"post/{entry}/scores"], LOGITS)
        size = max(case.target_sizes[entry])
        report.close("post", f"box of {entry}", result["box"][None], expected[f"post/{entry}/boxes"], BOXES * size)
        report.holds(f"mask of {entry}", mask.shape == tuple(shape[1:]), f"shape {mask.shape}, expected {shape[1:]}")
        if mask.shape == tuple(shape[1:]):
            report.close("mask pixels", f"mask of {entry}", np.array([(mask != stored[0]).mean()]), np.zeros(1), 1e-4)
