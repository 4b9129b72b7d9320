"""Asking a model about pictures: one way for sentences, examples and both, for one picture and for many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..modeling.outputs import UniRefModelOutput
from ..modeling.precision import half_precision
from ..processors.all_targets import Targets, check_targets
from .results import SegmentedObject

_OUTPUTS = ("logits", "pred_boxes", "pred_masks", "mask_queries", "image_sizes", "padded_sizes")

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
    """

    inputs: Mapping[str, Tensor]
    sizes: Sequence[Sequence[int]]
    labels: Sequence[str | None]
    understood: Sequence[bool]
    unknown_words: Sequence[Sequence[str]]


def prepare(processor: Any, picture: Any, **references: Any) -> Question:
    """Makes a question.

    Args:
        processor: a `UniRefProcessor`.
        picture: anything that it takes for a picture.
        **references: its arguments `text` (a sentence, or a list of them), `reference_images`, `reference_masks`,
            `audio`, `sampling_rate`.
    """
    made = processor(images=picture, return_tensors="pt", return_original_sizes=True, **references)
    sizes = made.pop("original_sizes").tolist()
    text = references.get("text")
    labels = [text] * len(sizes) if text is None or isinstance(text, str) else list(text)
    # What a sentence says is not decisive where an example or a sound says it, too.
    alone = "reference_masks" not in made and "audio_values" not in made
    heard = made.understood if alone else [True] * len(sizes)
    return Question(dict(made), sizes, labels, heard, made.unknown_words or [[] for _ in labels])


def compute(model: Any, inputs: Sequence[Inputs], targets: Targets = "one") -> list[dict[str, Tensor]]:
    """The model's outputs for each of several `Question.inputs` on its device.

    What can go together without any padding does: one answer does not depend on the others, but for rounding. Targets
    "all" decode the masks of all queries.
    """
    check_targets(targets)
    outputs: list[Any] = [None] * len(inputs)
    with half_precision(model):
        for positions in _group_inputs(inputs):
            together = [inputs[position] for position in positions]
            output = model(**_merge_inputs(together), num_masks="all" if targets == "all" else 1)
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
) -> list[SegmentedObject]:
    """The answers to a question.

    Args:
        processor: as for `prepare`.
        question: that was asked.
        output: of `compute`.
        threshold, mask_threshold, show_all, targets: see `UniRefProcessor.post_process_answers`. With "all" the objects
            of a reference follow each other, best first; one of which none passes has one empty answer.
    """
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
    audio: Any = None,
    sampling_rate: int | None = None,
    threshold: float | None = None,
    mask_threshold: float = 0.5,
    show_all: bool = False,
    targets: Targets = "one",
) -> list[list[SegmentedObject]]:
    """Asks a model about pictures.

    Args:
        model: `UniRefModel` or `UniRefSamModel`, in evaluation mode.
        processor: its processor.
        pictures: each with its sentences; without any where examples say what to look for.
        reference_images, reference_masks: examples for all of the pictures; each sentence is asked together with them.
        audio, sampling_rate: a sound, for all of the pictures, (samples,) of so many a second; each sentence is asked
            together with it.
        threshold: the gate, 0..1, 0 for none. Default: the model's own.
        mask_threshold: the probability above which a pixel belongs to the object.
        show_all: whether answers that did not pass keep their masks.
        targets: "one", the best object of each reference; "all": none, one or many.

    Returns:
        For each picture its answers: one a sentence, in their order, or one for the examples; with `targets="all"` one
        or more, see `read`.

    Raises:
        TypeError, ValueError: see the processor.
    """
    # A group of examples is one reference, and a second sentence beside it would be another group.
    step = 1 if reference_images else SENTENCES_AT_ONCE
    examples = dict(reference_images=reference_images, reference_masks=reference_masks) if reference_images else {}
    asked: list[tuple[int, Question]] = []
    for position, (picture, sentences) in enumerate(pictures):
        for part in [sentences[start : start + step] for start in range(0, len(sentences), step)] or [()]:
            said: dict[str, Any] = {"text": list(part)} if part else {}
            if audio is not None:
                said |= {"audio": [audio] * max(len(part), 1), "sampling_rate": sampling_rate}
            asked.append((position, prepare(processor, picture, **said, **examples)))
    gates: dict[str, Any] = dict(threshold=threshold, mask_threshold=mask_threshold, show_all=show_all, targets=targets)
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
    """How many results there will be: one for each sentence or sound, or one for a group of examples."""
    names = ("input_ids", "audio_values", "reference_masks")
    return len(next(inputs[name] for name in names if name in inputs))


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
