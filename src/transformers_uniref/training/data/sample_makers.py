"""From records to samples: what is asked, which frames are decoded, how they are augmented. One function a task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...core.box_formats import to_centres
from ...core.errors import UsageError
from ...datasets.mirrored_sentences import mirrored_sentence
from ...datasets.schema import Instance, Record, tight_box
from ..config.data import DatasetConfig
from .episodes import CategoryIndex
from .geometry import Geometry, Picture, apply_geometry, draw_geometry
from .kornia_augmentation import change_colours, pseudo_video
from .questions import (
    Group,
    category_key,
    frame_pairs,
    groups_for,
    meant_groups,
    negative_sentences,
    segmented,
    shown_frames,
)
from .samples import Entry, Sample, Targets, several_targets

OTHERS_LIMIT = 8
"""Other objects that are decoded for the log and for the training-only losses."""
LEAST_SIDE = 1.0
"""A box that augmentation leaves narrower than this (pixels) is no target any more."""


class UnusableRecordError(UsageError):
    """A record has nothing that its task could ask for."""


@dataclass(frozen=True)
class BatchKind:
    """What all samples of a batch have in common.

    Attributes:
        shots: examples of an entry (`fss`).
        with_mask: whether the reference frame's mask is given (`rvos`).
    """

    shots: int = 1
    with_mask: bool = True


@dataclass
class SampleSpec:
    """What a sample is made from.

    Attributes:
        row: its number in the dataset (for `fss`).
        read: gives other records of the dataset by number (for `fss`).
        categories: the dataset's index (for `fss`).
    """

    config: DatasetConfig
    record: Record
    kind: BatchKind
    rng: np.random.Generator
    row: int = 0
    read: Callable[[int], Record] | None = None
    categories: CategoryIndex | None = None


def draw_kind(config: DatasetConfig, rng: np.random.Generator) -> BatchKind:
    """Draw what the samples of a batch of `config` share."""
    shots = 1 + int(rng.choice(len(config.shots), p=np.array(config.shots) / sum(config.shots)))
    language_only = bool(rng.random() < config.language_only_share)
    return BatchKind(shots, config.task != "rvos" or not language_only)


def make_sample(spec: SampleSpec) -> Sample:
    """The sample of a record.

    Raises:
        UnusableRecordError: the record offers nothing for the task.
        OSError, ValueError: a picture or mask cannot be read.
    """
    config = spec.config
    if config.task == "detection":
        sample = _detection(spec)
    elif config.task == "ris":
        sample = _referring(spec)
    elif config.task == "fss":
        sample = _few_shot(spec)
    else:
        sample = _pseudo_clip(spec) if config.pseudo_video.enabled else _clip(spec)
    for entry in sample.entries:
        entry.sample_id = spec.record.sample_id
    return sample


def _decode(record: Record, frame: int, groups: Sequence[Group], others: Sequence[Instance] = ()) -> Picture:
    """One frame with the united masks of `groups`, then the masks of `others`."""
    image = record.image(frame)
    size = (image.shape[0], image.shape[1])
    masks = [record.union(group, frame, size) for group in groups]
    masks += [instance.mask(frame, size) for instance in others]
    stacked = np.stack(masks) if masks else np.zeros((0, *size), dtype=bool)
    return Picture(image, stacked, np.zeros((0, 4)))


def _prepare(spec: SampleSpec, picture: Picture, asked: int, flip: bool | None = None) -> tuple[Geometry, Picture]:
    """Prepare one picture; a crop that cuts one of the first `asked` masks away entirely is not made."""
    rng = spec.rng
    state = rng.bit_generator.state
    for crop in (True, False):
        rng.bit_generator.state = state
        geometry = draw_geometry(spec.config, picture.size, rng, crop, flip)
        prepared = apply_geometry(geometry, picture)
        lost = picture.masks[:asked].any((1, 2)) & ~prepared.masks[:asked].any((1, 2))
        if geometry.window is None or not lost.any():
            break
    return geometry, prepared


def _colours(spec: SampleSpec, pictures: Sequence[Picture]) -> list[Picture]:
    """The colours of one sample change together where the frames have one size, and one by one otherwise."""
    strength = spec.config.colour
    if len({picture.size for picture in pictures}) == 1:
        return change_colours(pictures, strength, spec.rng)
    return [change_colours([picture], strength, spec.rng)[0] for picture in pictures]


# Detection


def _detection(spec: SampleSpec) -> Sample:
    record, config = spec.record, spec.config
    objects = [instance for instance in record.shown(0) if not instance.is_crowd]
    image = record.image(0)
    size = (image.shape[0], image.shape[1])
    with_masks = all(instance.has_masks for instance in objects)
    if with_masks:
        masks = [instance.mask(0, size) for instance in objects]
        picture = Picture(image, np.stack(masks) if masks else np.zeros((0, *size), dtype=bool), np.zeros((0, 4)))
    else:
        corners = np.array([instance.box(0) for instance in objects])
        picture = Picture(image, np.zeros((0, *size), dtype=bool), corners.clip(0, [size[1], size[0]] * 2))
    _, picture = _prepare(spec, picture, asked=0)
    (picture,) = _colours(spec, [picture])
    height, width = picture.size
    if with_masks:
        kept = picture.masks.any((1, 2))
        masks_left: np.ndarray | None = picture.masks[kept]
        boxes = np.array([tight_box(mask) for mask in picture.masks[kept]]).reshape(-1, 4)
    else:
        kept = (picture.boxes[:, 2:] - picture.boxes[:, :2] >= LEAST_SIDE).all(1)
        masks_left, boxes = None, picture.boxes[kept]
    classes = _class_labels(config, [objects[position] for position in np.flatnonzero(kept)])
    relative = to_centres(boxes) / np.array([width, height] * 2)
    if masks_left is not None:
        union = np.asarray(masks_left.any(0))
    else:
        union = np.zeros((height, width), dtype=bool)
        for x0, y0, x1, y1 in boxes.astype(int):
            union[y0 : y1 + 1, x0 : x1 + 1] = True
    none = np.zeros((0, height, width), dtype=bool)
    entry = Entry("detection", union, none, targets=Targets(relative.astype(np.float32), classes, masks_left))
    return Sample(picture.image, [entry], original_size=size)


def _class_labels(config: DatasetConfig, objects: Sequence[Instance]) -> np.ndarray:
    if config.labels == "agnostic":
        return np.zeros(len(objects), dtype=np.int64)
    unknown = [instance.object_id for instance in objects if instance.category_id < 0]
    if unknown:
        raise UsageError(f"object {unknown[0]} has no category_id, which labels: category needs")
    return np.array([instance.category_id for instance in objects], dtype=np.int64)


# Referring segmentation of images


def _draw_groups(groups: Sequence[Group], count: int, rng: np.random.Generator) -> list[Group]:
    return [groups[int(position)] for position in rng.permutation(len(groups))[:count]]


def _others(record: Record, frame: int, groups: Sequence[Group], rng: np.random.Generator) -> list[Instance]:
    """Objects of the frame, at most `OTHERS_LIMIT`, those that some group names among them."""
    named = {number for group in groups for number in group}
    shown = [instance for instance in segmented(record) if instance.shows(frame)]
    rest = [instance for instance in shown if instance.object_id not in named]
    chosen = [rest[int(position)] for position in rng.permutation(len(rest))]
    return ([instance for instance in shown if instance.object_id in named] + chosen)[:OTHERS_LIMIT]


def _sentence(texts: Sequence[str], flip: bool, rng: np.random.Generator) -> str:
    text = texts[int(rng.integers(len(texts)))]
    return mirrored_sentence(text) if flip else text


def _other_masks(picture: Picture, first: int, others: Sequence[Instance], group: Group) -> np.ndarray:
    """The masks of the others that are not of `group` and still show."""
    keep = [
        first + position
        for position, instance in enumerate(others)
        if instance.object_id not in group and picture.masks[first + position].any()
    ]
    return picture.masks[keep]


def _referring(spec: SampleSpec) -> Sample:
    record, config, rng = spec.record, spec.config, spec.rng
    meant = meant_groups(record)
    groups = _draw_groups(list(meant), config.questions, rng)
    negatives = negative_sentences(record)
    ask_negative = bool(rng.random() < config.negative_share) and bool(negatives)
    if not groups and not (ask_negative or (config.negative_share and negatives)):
        raise UnusableRecordError("no sentence means an object with a mask")
    others = _others(record, 0, groups, rng)
    # Masks of single objects, where each is a target of its own; a crop then loses none of them, so that numbers stay.
    parts = sorted({(number,) for group in groups for number in group}) if config.single_targets else groups
    picture = _decode(record, 0, parts, others)
    original = picture.size
    geometry, picture = _prepare(spec, picture, len(parts))
    (picture,) = _colours(spec, [picture])
    entries = []
    for group in groups:
        own = [part == group or (config.single_targets and part[0] in group) for part in parts]
        masks = picture.masks[: len(parts)][own]
        others_left = _other_masks(picture, len(parts), others, group)
        entry = Entry(config.task, np.asarray(masks.any(0)), others_left, _sentence(meant[group], geometry.flip, rng))
        entry.targets = several_targets(masks[masks.any((1, 2))])
        entries.append(entry)
    if ask_negative or not entries:
        nothing = np.zeros(picture.size, dtype=bool)
        masks = _other_masks(picture, len(parts), others, ())
        entries.append(Entry(config.task, nothing, masks, _sentence(negatives, geometry.flip, rng)))
    return Sample(picture.image, entries, original_size=original)


# Few-shot segmentation


def _of_category(record: Record, category: str) -> list[Instance]:
    return [instance for instance in segmented(record) if instance.shows(0) and category_key(instance) == category]


def _few_shot(spec: SampleSpec) -> Sample:
    record, config, rng = spec.record, spec.config, spec.rng
    categories, read = spec.categories, spec.read
    assert categories is not None and read is not None
    category = None
    if rng.random() < config.negative_share:
        category = categories.absent(spec.row, rng)
    if category is None:
        offered = categories.with_examples(spec.row)
        if not offered:
            raise UnusableRecordError("no other row shows its categories")
        category = offered[int(rng.integers(len(offered)))]
    wanted = _of_category(record, category)
    group = tuple(instance.object_id for instance in wanted)
    others = [instance for instance in _others(record, 0, [group], rng) if instance.object_id not in group]
    picture = _decode(record, 0, [group], others)
    original = picture.size
    _, picture = _prepare(spec, picture, 1)
    (picture,) = _colours(spec, [picture])
    images, masks = [], []
    for row in categories.examples(category, spec.row, spec.kind.shots, rng):
        example_record = read(row)
        group = tuple(instance.object_id for instance in _of_category(example_record, category))
        example = _decode(example_record, 0, [group])
        if not example.masks.any():
            raise UsageError(f"its example {example_record.sample_id} has an empty mask for {category!r}")
        _, example = _prepare(spec, example, 1)
        (example,) = _colours(spec, [example])
        images.append(example.image)
        masks.append(example.masks[0])
    entry = Entry(
        config.task,
        picture.masks[0],
        picture.masks[1:][picture.masks[1:].any((1, 2))],
        reference_images=_stacked(images),
        reference_masks=_stacked(masks),
    )
    return Sample(picture.image, [entry], original_size=original)


def _stacked(parts: list[np.ndarray]) -> Any:
    """One array (K, ...), or the list where the examples differ in size."""
    return np.stack(parts) if len({part.shape for part in parts}) == 1 else parts


# Clips


def _draw_pair(spec: SampleSpec, group: Group) -> tuple[int, int] | None:
    """(reference, target) frames for `group`; now and then it is gone in the target, as `negative_share` says."""
    config, rng, record = spec.config, spec.rng, spec.record
    shown = shown_frames(record, group)
    everywhere = [frame for frame in range(len(record)) if record.annotated[frame]]
    gone = sorted(set(everywhere) - set(shown))
    pairs = frame_pairs(shown, gone, config.frame_gap) if gone and rng.random() < config.negative_share else []
    if not pairs:
        pairs = frame_pairs(shown, shown, config.frame_gap)
        if config.reference_first:
            pairs = [pair for pair in pairs if pair[0] < pair[1]]
    return pairs[int(rng.integers(len(pairs)))] if pairs else None


def _clip(spec: SampleSpec) -> Sample:
    record, config, rng = spec.record, spec.config, spec.rng
    candidates = groups_for(record, config.task)
    candidates = _draw_groups(candidates, len(candidates), rng)
    pair = None
    for position, group in enumerate(candidates):
        pair = _draw_pair(spec, group)
        if pair is not None:
            candidates = [group, *candidates[position + 1 :]]
            break
    if pair is None:
        raise UnusableRecordError(f"no object shows in two frames at most {config.frame_gap} apart")
    reference, target = pair
    both = [group for group in candidates[1:] if {reference, target} <= set(shown_frames(record, group))]
    groups = [candidates[0], *both][: config.questions]
    others = _others(record, target, groups, rng)
    frames = [_decode(record, target, groups, others)]
    if spec.kind.with_mask:
        frames.insert(0, _decode(record, reference, groups))
    if spec.kind.with_mask and not frames[0].masks.any((1, 2)).all():
        raise UsageError(f"an object has an empty mask in frame {reference}, in which it should show")
    if len({frame.size for frame in frames}) > 1:
        raise UsageError(f"its frames {reference} and {target} differ in size")
    # One geometry for both frames: a clip is cut and mirrored as a whole. The stacked masks decide about a crop.
    count = len(groups)
    stacked = Picture(frames[0].image, np.concatenate([frame.masks[:count] for frame in frames]), frames[0].boxes)
    original = stacked.size
    geometry, _ = _prepare(spec, stacked, len(stacked.masks))
    prepared = [apply_geometry(geometry, frame) for frame in frames]
    prepared = _colours(spec, prepared)
    return _video_sample(spec, prepared[0], prepared[-1], groups, others, geometry.flip, original)


def _pseudo_clip(spec: SampleSpec) -> Sample:
    record, config, rng = spec.record, spec.config, spec.rng
    groups = _draw_groups(groups_for(record, config.task), config.questions, rng)
    if not groups:
        raise UnusableRecordError("no object with a mask to follow")
    others = _others(record, 0, groups, rng)
    picture = _decode(record, 0, groups, others)
    original = picture.size
    count = len(groups)
    if not picture.masks[:count].any((1, 2)).all():
        raise UsageError("an object has an empty mask")
    reference, target = pseudo_video(picture, config.pseudo_video, config.colour, rng)
    geometry, reference = _prepare(spec, reference, count)
    _, target = _prepare(spec, target, count, flip=geometry.flip)
    return _video_sample(spec, reference, target, groups, others, geometry.flip, original)


def _video_sample(
    spec: SampleSpec,
    reference: Picture,
    target: Picture,
    groups: Sequence[Group],
    others: Sequence[Instance],
    flip: bool,
    original: tuple[int, int],
) -> Sample:
    """Entries of a pair of frames whose masks begin with those of `groups`."""
    config, rng = spec.config, spec.rng
    meant = meant_groups(spec.record) if config.task == "rvos" else {}
    count = len(groups)
    # An object that resizing made vanish from the reference can only be asked for by its sentence.
    shown = np.asarray(reference.masks[:count].any((1, 2)))
    entries = []
    for position, group in enumerate(groups):
        if spec.kind.with_mask and not shown[position]:
            continue
        entry = Entry(config.task, target.masks[position], _other_masks(target, count, others, group))
        if config.task == "rvos":
            entry.sentence = _sentence(meant[group], flip, rng)
        if spec.kind.with_mask:
            entry.reference_images = reference.image[None]
            entry.reference_masks = reference.masks[position][None]
        entries.append(entry)
    if not entries:
        raise UnusableRecordError("its object is too small to show after resizing")
    if config.task == "rvos" and rng.random() < config.negative_share:
        sentences = negative_sentences(spec.record)
        if sentences and not spec.kind.with_mask:  # a mask would show something
            nothing = np.zeros(target.size, dtype=bool)
            masks = _other_masks(target, count, others, ())
            entries.append(Entry(config.task, nothing, masks, _sentence(sentences, flip, rng)))
    return Sample(target.image, entries, original_size=original)
