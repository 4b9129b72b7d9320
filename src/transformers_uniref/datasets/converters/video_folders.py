"""Clips as folders of JPEG frames and label maps: what the video benchmarks have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from ...core.mask_codes import encode_png
from ..schema import Row, make_encoded_instance, tight_box
from .base import Item, RowReader
from .pictures import decode_labels, fit_labels, picture_size
from .remarks import Remarks
from .source_tree import SourceTree

Shown = dict[int, tuple[list[float], dict[str, Any]]]
"""By frame: box and encoded mask of an object. Encoded at once: the masks of a long clip would not fit in memory."""

VOID = 255
FRAME_SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class Clip:
    """What is known of a clip before its pictures are read (the payload of an item).

    Attributes:
        name: of its folder.
        frames: stems of its frames; None: all pictures of the folder.
        categories: by object id; objects named here exist even where no mask shows them.
        sentences: entries of the schema's `sentences`.
    """

    name: str
    frames: tuple[str, ...] | None = None
    categories: Mapping[int, str] = field(default_factory=dict)
    sentences: Sequence[Mapping[str, Any]] = ()


@dataclass
class ClipReader(RowReader):
    """Rows of a video data set.

    Attributes:
        frame_folder, mask_folder: of the split; a clip has a folder in each. No `mask_folder`: nothing is annotated.
        dense: every frame must have a label map; otherwise one is enough.
        binary: every label but 0 is the one object of the clip.
        listed_objects: the meta file lists every object of a clip.
    """

    frame_folder: str
    mask_folder: str | None
    dense: bool = True
    binary: bool = False
    listed_objects: bool = False
    category_names: tuple[str, ...] = ()

    def row(self, item: Item, remarks: Remarks) -> Row | None:
        """See `base.RowReader`."""
        clip: Clip = item.payload
        frames, size = read_frames(self.tree, f"{self.frame_folder}/{clip.name}", clip.frames, remarks)
        if not frames:
            remarks.deviation("clips without frames", clip.name)
            return None
        masks, annotated = self._masks(clip.name, list(frames), size, remarks)
        ids = sorted(set(masks) | set(clip.categories) | {n for s in clip.sentences for n in s["object_ids"]})
        if self.listed_objects:
            for number in sorted(set(masks) - set(clip.categories)):
                remarks.deviation("objects that the meta file does not list", f"{clip.name} object {number}")
        instances = [
            make_encoded_instance(
                number,
                list(shown := masks.get(number, {})),
                [box for box, _ in shown.values()],
                [code for _, code in shown.values()],
                category=clip.categories.get(number, ""),
                category_id=self._category_id(clip.categories.get(number, "")),
            )
            for number in ids
        ]
        if any(annotated):
            for instance in instances:
                if not instance["frame_indices"]:
                    remarks.note("objects without a mask", f"{clip.name} object {instance['object_id']}")
        sentences = [dict(sentence) for sentence in clip.sentences]
        return self.made(item, clip.name, size, frames, instances, sentences, annotated)

    def _category_id(self, name: str) -> int:
        return self.category_names.index(name) if name in self.category_names else -1

    def _masks(
        self, clip: str, stems: Sequence[str], size: tuple[int, int], remarks: Remarks
    ) -> tuple[dict[int, Shown], list[bool]]:
        """Masks by object and frame, and which frames are annotated."""
        masks: dict[int, Shown] = {}
        annotated = [False] * len(stems)
        if self.mask_folder is None:
            return masks, annotated
        folder = f"{self.mask_folder}/{clip}"
        there = {PurePosixPath(name).stem for name in self.tree.files(folder) if name.lower().endswith(".png")}
        for stem in sorted(there - set(stems)):
            remarks.deviation("annotations without a frame", f"{clip}/{stem}")
        for position, stem in enumerate(stems):
            if stem not in there:
                if self.dense:
                    remarks.deviation("frames without an annotation", f"{clip}/{stem}")
                continue
            labels = self._labels(f"{folder}/{stem}.png", size, remarks)
            if labels is None:
                continue
            annotated[position] = True
            for number in np.flatnonzero(np.bincount(labels.ravel(), minlength=1)[1:]) + 1:
                mask = labels == number
                code = {"png": encode_png(mask), "rle": None}
                masks.setdefault(int(number), {})[position] = (tight_box(mask), code)
            if not labels.any():
                remarks.note("frames in which nothing is annotated", f"{clip}/{stem}")
        if not self.dense and not any(annotated):
            remarks.deviation("clips without an annotation", clip)
        return masks, annotated

    def _labels(self, path: str, size: tuple[int, int], remarks: Remarks) -> np.ndarray | None:
        read = decode_labels(self.tree.read(path), self.tree.name(path))
        labels = fit_labels(read, size)
        what = f"{path} ({read.shape[1]} x {read.shape[0]}, frame {size[1]} x {size[0]})"
        if labels is None:
            remarks.deviation("masks of another size than their picture", what)
            return None
        if read.shape != size:
            remarks.note("masks resized to their frame", what)
        if self.binary:
            return (labels > 0).astype(np.uint8)
        if (labels == VOID).any():
            remarks.note("label maps with void pixels (255), taken for background", path)
            labels = np.where(labels == VOID, 0, labels).astype(np.uint8)
        return labels


def read_frames(
    tree: SourceTree, folder: str, stems: Sequence[str] | None, remarks: Remarks
) -> tuple[dict[str, dict[str, Any]], tuple[int, int]]:
    """The frames of a clip, encoded, by their stems in order, and their size (height, width).

    Frames that are listed and missing, that are no pictures, or that differ in size from the first, are left out with a
    deviation.
    """
    names = {PurePosixPath(name).stem: name for name in tree.files(folder) if name.lower().endswith(FRAME_SUFFIXES)}
    frames: dict[str, dict[str, Any]] = {}
    size = (0, 0)
    for stem in sorted(names) if stems is None else stems:
        if stem not in names:
            remarks.deviation("missing frames", f"{folder}/{stem}")
            continue
        data = tree.read(f"{folder}/{names[stem]}")
        try:
            found = picture_size(data)
        except OSError:
            remarks.deviation("unreadable frames", f"{folder}/{stem}")
            continue
        if frames and found != size:
            remarks.deviation("frames of another size than the first of their clip", f"{folder}/{stem}")
            continue
        size = found
        frames[stem] = {"bytes": data, "path": names[stem]}
    return frames, size
