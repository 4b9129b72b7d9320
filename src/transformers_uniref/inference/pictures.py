"""Asking a model about pictures: one way for sentences, examples, both or neither, for one picture and for many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..core.errors import UsageError
from ..core.picture_input import rgb_array
from ..core.score_gate import gate_of, passes
from ..modeling.object_choice import MOST_OBJECTS
from ..modeling.outputs import UniRefModelOutput
from ..modeling.precision import half_precision
from ..processors.all_targets import Targets, check_targets
from ..processors.pointing import GIVEN, drawn_mask, split_objects
from .results import SegmentedObject

_OUTPUTS = ("logits", "pred_boxes", "pred_masks", "mask_queries", "image_sizes", "padded_sizes")

_REFERENCES = {"input_ids", "reference_masks"}

Inputs = Mapping[str, Tensor]
"""What the processor makes of one picture and its n references: `pixel_values` (1, 3, H, W), `input_ids` (n, L), ..."""

SENTENCES_AT_ONCE = 32
"""A picture with more sentences than this is computed again for the rest of them, so that memory stays bounded."""


@dataclass(frozen=True)
class Question:
    """A picture with what is asked about it, as the model takes it.

    Attributes:
        inputs: of the processor.
        sizes: (height, width) of the picture, once for each answer.
        labels: of the answers.
        understood: for each answer whether the model knows any word of its sentence.
        unknown_words: for each answer.
        everything: whether nothing refers to anything: all objects of the picture are asked for.
    """

    inputs: Mapping[str, Tensor]
    sizes: Sequence[Sequence[int]]
    labels: Sequence[str | None]
    understood: Sequence[bool]
    unknown_words: Sequence[Sequence[str]]
    everything: bool = False


def prepare(processor: Any, picture: Any, **references: Any) -> Question:
    """Makes a question.

    Args:
        processor: a `UniRefProcessor`.
        picture: anything that it takes for a picture.
        **references: its arguments `text` (a sentence, or a list of them), `reference_images`, `reference_masks`,
            `audio`, `sampling_rate`, `input_points`, `input_labels`, `input_boxes`, `input_scribbles`; none of them
            asks for all objects.
    """
    made = processor(images=picture, return_tensors="pt", return_original_sizes=True, **references)
    sizes = made.pop("original_sizes").tolist()
    text = references.get("text")
    labels = [text] * len(sizes) if text is None or isinstance(text, str) else list(text)
    said = [name for name in ("input_ids", "audio_values", "reference_masks", "input_points") if name in made]
    # What a sentence says is not decisive where something else says it, too.
    heard = (made.understood if said == ["input_ids"] else None) or [True] * len(sizes)
    return Question(dict(made), sizes, labels, heard, made.unknown_words or [[] for _ in labels], not said)


def for_model(model: Any, picture: Any, references: Mapping[str, Any]) -> dict[str, Any]:
    """References of a picture as this model knows them; see `prepare` for what they may be.

    A model without an encoder of what points at an object gets a mask instead, drawn in the picture, as an example
    beside the others.

    Raises:
        ValueError: several objects, or clicks beside one, for such a model.
    """
    pointed = {name: references[name] for name in GIVEN if references.get(name) is not None}
    if not pointed or model.config.use_point_references:
        return dict(references)
    image, objects = rgb_array(picture, "image"), split_objects(pointed)
    if len(objects) > 1:
        raise UsageError(
            f"`{next(iter(pointed))}` points at {len(objects)} objects, and this model has no encoder of clicks "
            "(use_point_references); accepted: one, for which a mask is drawn."
        )
    rest = {name: value for name, value in references.items() if name not in GIVEN}
    return rest | {
        "reference_images": [image, *rest.get("reference_images", ())],
        "reference_masks": [drawn_mask(objects[0], image.shape[:2]), *rest.get("reference_masks", ())],
    }


def compute(model: Any, inputs: Sequence[Inputs], targets: Targets = "one") -> list[dict[str, Tensor]]:
    """The model's outputs for each of several `Question.inputs` on its device.

    What can go together without any padding does: one answer does not depend on the others, but for rounding. Targets
    "all", and pictures without a reference, decode the masks of all queries.
    """
    check_targets(targets)
    outputs: list[Any] = [None] * len(inputs)
    with half_precision(model):
        for positions in _group_inputs(inputs):
            together = [inputs[position] for position in positions]
            many = targets == "all" or not _REFERENCES & set(together[0])
            output = model(**_merge_inputs(together), num_masks="all" if many else 1)
            found = _split_outputs(output, together)
            for position, output in zip(positions, found, strict=True):
                outputs[position] = output
    return outputs


def read(
    processor: Any,
    question: Question,
    output: Mapping[str, Any],
    *,
    threshold: float | None = None,
    mask_threshold: float = 0.5,
    show_all: bool = False,
    targets: Targets = "one",
    max_objects: int = MOST_OBJECTS,
) -> list[SegmentedObject]:
    """The answers to a question.

    Args:
        processor: as for `prepare`.
        question: that was asked.
        output: of `compute`.
        threshold, mask_threshold, show_all, targets: see `UniRefProcessor.post_process_answers`. With "all" the objects
            of a reference follow each other, best first; one of which none passes has one empty answer. Without a
            reference there are all objects, whatever the targets.
        max_objects: without a reference, so many at most.
    """
    if question.everything:
        return _read_everything(processor, question, output, threshold, mask_threshold, show_all, max_objects)
    results = processor.post_process_answers(
        UniRefModelOutput(**output),
        target_sizes=question.sizes,
        threshold=threshold,
        mask_threshold=mask_threshold,
        understood=question.understood,
        show_all=show_all,
        targets=targets,
    )
    return [
        SegmentedObject(
            found["segmentation"].cpu().numpy(),
            label,
            score=float(found["score"]),
            box=tuple(found["box"].tolist()),
            passed=bool(result["passed"]),
            threshold=result["threshold"],
            unknown_words=tuple(words),
        )
        for label, words, result in zip(question.labels, question.unknown_words, results, strict=True)
        for found in result.get("objects") or [result]
    ]


def _read_everything(
    processor: Any,
    question: Question,
    output: Mapping[str, Any],
    threshold: float | None,
    mask_threshold: float,
    show_all: bool,
    max_objects: int,
) -> list[SegmentedObject]:
    gate = gate_of(threshold, processor.score_threshold)
    outputs = UniRefModelOutput(**output)
    options: dict[str, Any] = dict(max_objects=max_objects, mask_threshold=mask_threshold)
    [found] = processor.post_process_mask_generation(outputs, question.sizes, None if show_all else gate, **options)
    objects = [
        SegmentedObject(mask, score=float(score), box=tuple(box), passed=bool(passes(score, gate)), threshold=gate)
        for mask, score, box in zip(
            found["masks"].cpu().numpy(), found["scores"].tolist(), found["boxes"].tolist(), strict=True
        )
    ]
    if objects:
        return objects
    best = float(output["logits"].float().sigmoid().max())
    height, width = question.sizes[0]
    return [SegmentedObject(np.zeros((height, width), bool), score=best, passed=False, threshold=gate)]


def answer(
    model: Any, processor: Any, questions: Sequence[Question], *, targets: Targets = "one", **gates: Any
) -> list[list[SegmentedObject]]:
    """Asks prepared questions, those together that can go together; for targets and gates see `read`."""
    on_device = [{name: value.to(model.device) for name, value in one.inputs.items()} for one in questions]
    with torch.inference_mode():
        outputs = compute(model, on_device, targets)
    return [
        read(processor, one, output, targets=targets, **gates) for one, output in zip(questions, outputs, strict=True)
    ]


def segment_pictures(
    model: Any,
    processor: Any,
    pictures: Sequence[tuple[Any, Sequence[str]]],
    *,
    reference_images: Sequence[Any] = (),
    reference_masks: Sequence[Any] = (),
    pointed: Mapping[str, Any] | None = None,
    audio: Any = None,
    sampling_rate: int | None = None,
    threshold: float | None = None,
    mask_threshold: float = 0.5,
    show_all: bool = False,
    targets: Targets = "one",
    max_objects: int = MOST_OBJECTS,
) -> list[list[SegmentedObject]]:
    """Asks a model about pictures.

    Args:
        model: `UniRefModel` or `UniRefSamModel`, in evaluation mode.
        processor: its processor.
        pictures: each with its sentences; without any where examples say what to look for, or where all objects of the
            picture are asked for.
        reference_images, reference_masks: examples for all of the pictures; each sentence is asked together with them.
        pointed: what points at one object in the picture, `input_points` and the other arguments of the processor. A
            model without an encoder of it gets a mask that is drawn, as an example in that very picture.
        audio, sampling_rate: a sound, for all of the pictures, (samples,) of so many a second; each sentence is asked
            together with it.
        threshold: the gate, 0..1, 0 for none. Default: the model's own.
        mask_threshold: the probability above which a pixel belongs to the object.
        show_all: whether answers that did not pass keep their masks.
        targets: "one", the best object of each reference; "all": none, one or many.
        max_objects: of a picture without any reference, so many at most.

    Returns:
        For each picture its answers: one a sentence, in their order, or one for the examples; with `targets="all"`, and
        without any reference, one or more, see `read`.

    Raises:
        TypeError, ValueError: see the processor.
    """
    # A group of examples is one reference, and a second sentence beside it would be another group.
    step = 1 if reference_images or pointed else SENTENCES_AT_ONCE
    examples = dict(reference_images=reference_images, reference_masks=reference_masks) if reference_images else {}
    asked: list[tuple[int, Question]] = []
    for position, (picture, sentences) in enumerate(pictures):
        for part in [sentences[start : start + step] for start in range(0, len(sentences), step)] or [()]:
            said: dict[str, Any] = {"text": list(part)} if part else {}
            if audio is not None:
                said |= {"audio": [audio] * max(len(part), 1), "sampling_rate": sampling_rate}
            references = for_model(model, picture, {**said, **examples, **(pointed or {})})
            asked.append((position, prepare(processor, picture, **references)))
    gates: dict[str, Any] = dict(threshold=threshold, mask_threshold=mask_threshold, show_all=show_all, targets=targets)
    gates["max_objects"] = max_objects
    answers: list[list[SegmentedObject]] = [[] for _ in pictures]
    found = answer(model, processor, [question for _, question in asked], **gates)
    for (position, _), objects in zip(asked, found, strict=True):
        answers[position] += objects
    return answers


# -------------------------------------------------------------------------------------------------------------- batches
def _group_inputs(items: Sequence[Inputs]) -> list[list[int]]:
    """Which items make a batch without any padding, by their positions.

    The released normalisation layers see the padding, so that a picture's result would depend on its neighbours'
    sizes; pictures of one padded size do not disturb each other.
    """
    groups: dict[Any, list[int]] = {}
    for position, item in enumerate(items):
        shapes = {name: tuple(tensor.shape[1:]) for name, tensor in item.items() if name != "image_indices"}
        groups.setdefault(tuple(sorted(shapes.items())), []).append(position)
    return list(groups.values())


def _count_entries(inputs: Inputs) -> int:
    """How many results there will be: one a sentence, sound, group of examples or object pointed at, or a picture."""
    known = ("input_ids", "audio_values", "reference_masks", "input_points", "pixel_values")
    return len(next(inputs[name] for name in known if name in inputs))


def _merge_inputs(items: Sequence[Inputs]) -> dict[str, Tensor]:
    """One batch of the items of a group."""
    merged = {name: torch.cat([item[name] for item in items]) for name in items[0] if name != "image_indices"}
    counts = torch.tensor([_count_entries(item) for item in items])
    if (counts != 1).any():
        indices = torch.arange(len(items)).repeat_interleave(counts)
        merged["image_indices"] = indices.to(merged["pixel_values"].device)
    return merged


def _split_outputs(outputs: Any, items: Sequence[Inputs]) -> list[dict[str, Tensor]]:
    """The outputs of each item of a batch: what post-processing reads, as far as the model gives it."""
    counts = [_count_entries(item) for item in items]
    names = [name for name in _OUTPUTS if name in outputs]
    parts = [outputs[name].split(counts) for name in names]
    return [dict(zip(names, values, strict=True)) for values in zip(*parts, strict=True)]
