"""What can be asked of a record for a task: which objects, which sentences, which frames. Nothing is decoded here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ...datasets.schema import Instance, Record, Sentence
from ..config.data import DatasetConfig

Group = tuple[int, ...]
"""Object ids that are meant together: their masks are united."""


def category_key(instance: Instance) -> str:
    """What makes two objects one category: its name, or else its number; empty where unknown."""
    return instance.category or (f"#{instance.category_id}" if instance.category_id >= 0 else "")


def segmented(record: Record) -> list[Instance]:
    """The single objects whose masks are known."""
    return [instance for instance in record.instances.values() if instance.has_masks and not instance.is_crowd]


def meant_groups(record: Record) -> dict[Group, list[str]]:
    """The sentences about each group of objects with masks."""
    known = {instance.object_id for instance in record.instances.values() if instance.has_masks}
    groups: dict[Group, list[str]] = {}
    for sentence in record.sentences:
        ids = tuple(sorted(set(sentence.object_ids)))
        if ids and known.issuperset(ids) and _says_something(sentence):
            groups.setdefault(ids, []).append(sentence.text)
    return groups


def negative_sentences(record: Record) -> list[str]:
    """The sentences that are true of nothing in the record."""
    return [
        sentence.text
        for sentence in record.sentences
        if sentence.labelled and not sentence.object_ids and _says_something(sentence)
    ]


def _says_something(sentence: Sentence) -> bool:
    return any(letter.isalnum() for letter in sentence.text)


def groups_for(record: Record, task: str) -> list[Group]:
    """The groups that `task` can ask for."""
    if task in ("ris", "rvos"):
        return list(meant_groups(record))
    return [(instance.object_id,) for instance in segmented(record)]


def shown_frames(record: Record, group: Group) -> list[int]:
    """The annotated frames in which any object of `group` shows, rising."""
    frames = {frame for number in group for frame in record.instances[number].frame_indices}
    return [frame for frame in sorted(frames) if record.annotated[frame]]


def frame_pairs(frames: Sequence[int], others: Sequence[int], gap: int) -> list[tuple[int, int]]:
    """(a, b) with a of `frames`, b of `others`, a != b, at most `gap` apart."""
    right = np.asarray(others)
    pairs = []
    for frame in frames:
        near = right[np.searchsorted(right, frame - gap) : np.searchsorted(right, frame + gap, side="right")]
        pairs += [(frame, int(other)) for other in near if other != frame]
    return pairs


def usable(record: Record, config: DatasetConfig) -> bool:
    """Whether the task of `config` finds something to ask in `record`."""
    if config.task == "detection":
        return any(not instance.is_crowd for instance in record.instances.values())
    if config.task == "fss":
        return any(category_key(instance) for instance in segmented(record))
    groups = groups_for(record, config.task)
    if config.is_clip:
        for group in groups:
            frames = shown_frames(record, group)
            if any(after - before <= config.frame_gap for before, after in zip(frames, frames[1:], strict=False)):
                return True
        return False
    return bool(groups) or bool(config.task == "ris" and config.negative_share and negative_sentences(record))


def single_counts(table: Any) -> np.ndarray:
    """(n,) how many single objects (no crowds) each row of an Arrow table has, without a loop over them."""
    instances, lengths = _instances(table)
    fields = [field.name for field in instances.type]
    import pyarrow.compute as pc

    crowd = np.zeros(len(instances), dtype=bool)
    if "is_crowd" in fields:
        crowd = pc.fill_null(pc.struct_field(instances, "is_crowd"), False).to_numpy(zero_copy_only=False)
    before = np.concatenate([[0], np.cumsum(~crowd)])
    ends = np.cumsum(lengths)
    return before[ends] - before[ends - lengths]


def _instances(table: Any) -> tuple[Any, np.ndarray]:
    """The objects of all rows one after another, and how many each row has."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = table.column("instances")
    lists = pa.concat_arrays(column.chunks) if column.num_chunks != 1 else column.chunk(0)
    return lists.flatten(), np.asarray(pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False))


def light_records(table: Any) -> Iterator[Record]:
    """The records of an Arrow table without pictures and masks: enough for the questions above.

    Objects whose masks are known keep a placeholder of each.
    """
    import pyarrow.compute as pc

    count = len(table)
    names = table.column_names
    columns: dict[str, list[Any]] = {
        name: table.column(name).to_pylist() for name in ("annotated", "sentences") if name in names
    }
    frames = pc.fill_null(pc.list_value_length(table.column("frames")), 0).to_pylist()
    flat, lengths = _instances(table)
    fields = [field.name for field in flat.type]
    light: dict[str, list[Any]] = {
        name: pc.struct_field(flat, name).to_pylist() for name in fields if name not in ("masks", "boxes")
    }
    if "masks" in fields:
        masked = pc.fill_null(pc.list_value_length(pc.struct_field(flat, "masks")), 0).to_pylist()
    else:
        masked = [0] * len(flat)
    start = 0
    for position in range(count):
        items = []
        for item in range(start, start + lengths[position]):
            values = {name: column[item] for name, column in light.items()}
            shown = len(values.get("frame_indices") or ())
            items.append(values | {"boxes": [()] * shown, "masks": [{}] * shown if masked[item] else []})
        start += lengths[position]
        row = {name: column[position] for name, column in columns.items()}
        yield Record(row | {"frames": [None] * frames[position], "instances": items}, sample_id=str(position))
