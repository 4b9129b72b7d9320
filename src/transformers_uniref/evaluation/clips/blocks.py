"""Asking about clips of a data set: masks are written frame by frame, and judged where answers are public."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...core.errors import UsageError
from ...core.palette import label_image
from ...datasets.schema import Record
from ...metrics.video_protocols import VOID, VideoProtocol, judged_frames
from ...metrics.video_scores import VideoScores
from ..benchmarks import Benchmark
from ..evaluated_rows import Rows, check_asked
from .answers import ClipAnswers
from .metadata import ClipMetadata

ANNOTATORS = 4


class ClipQuestions:
    """The questions of a data set of clips.

    Args:
        benchmark, rows, answers: what is asked, about what, and whom.
        scored: whether answers are public.
        masks: folder for `<clip>/<frame>.png`; with sentences `<clip>/<sentence>/<frame>.png`, or
            `annotator-<k>/<clip>/<frame>.png`.
        meta: what else is known of the clips.

    Raises:
        ValueError: two samples have the same clip's name.
    """

    def __init__(
        self,
        benchmark: Benchmark,
        rows: Rows,
        answers: ClipAnswers,
        scored: bool,
        masks: Path,
        meta: ClipMetadata | None = None,
    ) -> None:
        self.benchmark, self.rows, self.answers = benchmark, rows, answers
        self.scored, self.masks, self.meta = scored, masks, meta
        names = [clip_name(name) for name in rows.sample_ids]
        if len(set(names)) < len(names):
            doubled = sorted({name for name in names if names.count(name) > 1})
            raise UsageError(f"`dataset` must have a name of its own for each clip, these come again: {doubled[:5]}")

    def measure(self, index: int) -> dict[str, Any]:
        """Asks about one clip and writes its masks.

        Returns:
            As plain JSON values: `row`, `clip`, `size`, `frames` (for each sentence or ""), `ids`, `filled` (masks with
            a pixel), and for each protocol and annotator the state of its accumulator under `states`.

        Raises:
            ValueError: a clip that cannot be asked about or judged; it is named.
        """
        record = Record(self.rows.row(index))
        name = clip_name(record.sample_id)
        frames = list(record.frame_names) or [f"{number:05d}" for number in range(len(record))]
        result: dict[str, Any] = {"row": index, "clip": name, "states": {}, "filled": 0}
        with _whole_folders(self.masks, name) as folder:
            if self.benchmark.family == "vos":
                self._follow_masks(record, name, frames, folder, result)
            elif self.benchmark.family == "uvos":
                labels, judges = self.answers.to_everything(record), self._judges(record, name, frames)
                result |= {"ids": sorted(record.instances), "frames": {"": frames}}
                self._write(record, frames, labels, folder / name, judges, result)
            elif self.benchmark.by_sentence:
                self._follow_sentences(record, name, frames, folder, result)
            else:
                self._follow_annotators(record, name, frames, folder, result)
        return result

    # --------------------------------------------------------------------------------------------------- three families
    def _follow_masks(self, record: Record, name: str, frames: list[str], folder: Path, result: dict[str, Any]) -> None:
        first = first_frames(record, self.benchmark.rules(self.benchmark.protocols[0]))
        if too_high := [number for number in first if number >= VOID]:
            raise UsageError(f"`dataset` must have object ids of 1..254, got {too_high[0]} in clip {name}")
        labels = self.answers.to_masks(record, first)
        judges = self._judges(record, name, frames)
        start = min(first.values(), default=0)
        result |= {"ids": sorted(first), "frames": {"": frames[start:]}}
        self._write(record, frames, labels, folder / name, judges, result)

    def _follow_annotators(
        self, record: Record, name: str, frames: list[str], folder: Path, result: dict[str, Any]
    ) -> None:
        check_asked(record, record.sentences)
        result |= {"ids": sorted(record.instances), "frames": {"": frames}}
        for annotator in range(ANNOTATORS):
            meant = {s.object_ids[0]: s.text for s in record.sentences if s.annotator == annotator and s.object_ids}
            labels = self.answers.to_sentences_merged(record, dict(sorted(meant.items())))
            judges = self._judges(record, name, frames, str(annotator))
            self._write(record, frames, labels, folder / f"annotator-{annotator}" / name, judges, result)

    def _follow_sentences(
        self, record: Record, name: str, frames: list[str], folder: Path, result: dict[str, Any]
    ) -> None:
        sentences = record.sentences
        check_asked(record, sentences)
        keys = [str(sentence.source_id if sentence.source_id >= 0 else n) for n, sentence in enumerate(sentences)]
        result |= {"ids": [], "frames": {key: frames for key in keys}}
        judges = [
            self._judges(record, f"{name}/{key}", frames, objects=sentence.object_ids)
            for key, sentence in zip(keys, sentences, strict=True)
        ]
        for key in keys:
            (folder / name / key).mkdir(parents=True)
        if not sentences:
            raise UsageError(f"`dataset` has a clip without a sentence: {name}")
        for index, masks in enumerate(self.answers.to_sentences(record, sentences)):
            result["size"] = list(masks.shape[1:])
            for place, (key, mask) in enumerate(zip(keys, masks, strict=True)):
                Image.fromarray(mask.astype(np.uint8) * 255).save(folder / name / key / f"{frames[index]}.png")
                result["filled"] += bool(mask.any())
                for judge in judges[place].values():
                    judge.judge(index, mask.astype(np.uint8))
        for of_sentence in judges:
            _keep_states(of_sentence, result)

    # --------------------------------------------------------------------------------------------------------- together
    def _write(
        self,
        record: Record,
        frames: Sequence[str],
        maps: Iterator[np.ndarray],
        folder: Path,
        judges: Mapping[str, Judge],
        result: dict[str, Any],
    ) -> None:
        folder.mkdir(parents=True)
        for index, labels in enumerate(maps):
            result["size"] = list(labels.shape)
            # Scoring masks of a folder wants no more frames than the annotation has.
            if not self.scored or record.annotated[index]:
                label_image(labels).save(folder / f"{frames[index]}.png")
            result["filled"] += bool(labels.any())
            for judge in judges.values():
                judge.judge(index, labels)
        _keep_states(judges, result)

    def _judges(
        self,
        record: Record,
        name: str,
        frames: Sequence[str],
        annotator: str = "",
        objects: Sequence[int] | None = None,
    ) -> dict[str, Judge]:
        """By each protocol, none where answers are not public."""
        return {
            f"{protocol}/{annotator}": Judge(self.benchmark.rules(protocol), name, frames, record, self.meta, objects)
            for protocol in (self.benchmark.protocols if self.scored else ())
        }


class Judge:
    """Scores label maps of one clip against a record, by the rules of a protocol.

    Args:
        protocol: the rules.
        name: of the clip, or of a sentence in it.
        frames: names of all frames.
        record: the truth.
        meta: the life of each object, for LVOS; not looked at with `objects`.
        objects: what a sentence means: they are judged as one object, 1. Default: every object by its id.

    Raises:
        ValueError: nothing can be judged.
    """

    def __init__(
        self,
        protocol: VideoProtocol,
        name: str,
        frames: Sequence[str],
        record: Record,
        meta: ClipMetadata | None = None,
        objects: Sequence[int] | None = None,
    ) -> None:
        self.scores = VideoScores(protocol)
        self.name, self.frames, self.record, self.objects = name, frames, record, objects
        annotated = [frames[index] for index, known in enumerate(record.annotated) if known]
        if not annotated:
            raise UsageError(f"`dataset` has no annotated frame in clip {name}")
        self._wanted: dict[str, list[int]] = {}
        if objects is not None:
            # Also where a sentence means nothing: then an empty mask is right.
            self._wanted = {frame: [1] for frame in annotated}
            return
        ids: dict[str, set[int]] = {frame: set() for frame in annotated}
        for number, instance in record.instances.items():
            for index in instance.frame_indices:
                ids.setdefault(frames[index], set()).add(number)
        lives = {} if meta is None else meta.lives(name, annotated)
        try:
            judged = judged_frames(protocol, annotated, ids, lives)
        except ValueError as error:
            raise UsageError(f"`dataset`: clip {name}: {error}") from error
        for number, chosen in judged.items():
            for frame in chosen:
                self._wanted.setdefault(frame, []).append(number)

    def judge(self, index: int, labels: np.ndarray) -> None:
        """Scores one frame, if it counts."""
        wanted = self._wanted.get(self.frames[index])
        if wanted:
            self.scores.update(self.name, self.frames[index], labels, self._target(index, labels.shape[:2]), wanted)

    def _target(self, index: int, size: tuple[int, ...]) -> np.ndarray:
        height, width = size
        if self.objects is not None:
            return self.record.union(self.objects, index, (height, width)).astype(np.uint8)
        target = np.zeros((height, width), dtype=np.uint8)
        for number, instance in self.record.instances.items():
            if instance.shows(index):
                target[instance.mask(index, (height, width))] = number
        return target


def clip_name(sample_id: str) -> str:
    """The clip's own name in "SPLIT/CLIP".

    Raises:
        ValueError: it is no name for a folder.
    """
    name = sample_id.rsplit("/", 1)[-1]
    if not name or name.startswith("."):
        raise UsageError(f"`dataset` must have sample ids that end in the name of a clip, got {sample_id!r}")
    return name


def first_frames(record: Record, rules: VideoProtocol) -> dict[int, int]:
    """For each object the frame in which its mask is given: its first, or where a protocol judges the objects of the
    first annotated frame alone, that frame."""
    shown = {number: obj.frame_indices[0] for number, obj in record.instances.items() if obj.frame_indices}
    if rules.objects == "anywhere":
        return dict(sorted(shown.items()))
    start = record.annotated.index(True) if any(record.annotated) else 0
    return {number: first for number, first in sorted(shown.items()) if first == start}


def _keep_states(judges: Mapping[str, Judge], result: dict[str, Any]) -> None:
    for key, judge in judges.items():
        state = judge.scores.state_dict()
        if key in result["states"]:
            result["states"][key]["rows"] += state["rows"]
        else:
            result["states"][key] = state


@contextmanager
def _whole_folders(masks: Path, name: str) -> Iterator[Path]:
    """Gives a folder to write a clip's masks to; at the end its folders called `name` take the place of older ones."""
    masks.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=masks, prefix=".writing-") as staged:
        yield Path(staged)
        places = [Path(staged), *(path for path in Path(staged).iterdir() if path.name != name)]
        for folder in [place / name for place in places if (place / name).is_dir()]:
            target = masks / folder.relative_to(staged)
            if target.exists():
                shutil.rmtree(target)
            target.parent.mkdir(parents=True, exist_ok=True)
            folder.rename(target)
