"""Scoring folders of masks by the rules of a video benchmark."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import UsageError
from ..metrics.video_protocols import MAX_PROPOSALS, VOID, VideoProtocol, judged_frames, known_objects, video_protocol
from ..metrics.video_scores import VideoScores
from .clips.metadata import ClipMetadata
from .mask_sources import MaskFolder, MaskSource, open_masks
from .wording import pixels, some


@dataclass(frozen=True)
class ScoringJob:
    """What a process needs to score sequences of its own; see `score_masks`."""

    predictions: str
    annotations: str
    protocol: str
    binary: bool = False
    meta: str | None = None


def score_masks(
    predictions: str | os.PathLike[str],
    annotations: str | os.PathLike[str],
    protocol: str,
    *,
    binary: bool = False,
    sequences: Sequence[str] | None = None,
    unseen: Collection[str] | None = None,
    meta: str | os.PathLike[str] | None = None,
    workers: int = 1,
    progress: bool = False,
) -> dict[str, Any]:
    """Scores masks of any method, `<sequence>/<frame>.png`.

    Args:
        predictions: folder or zip file of label maps. For Ref-DAVIS17 a folder with one such folder for each of four
            annotators.
        annotations: folder of label maps.
        protocol: a name of `PROTOCOLS`.
        binary: merge all ids into one object, as DAVIS 2016 does.
        sequences: names of those to score; default: all of the annotations, which must be all of the predictions.
        unseen: names of sequences, "SEQUENCE/OBJECT", or with `meta` categories that were not trained on.
        meta: `meta.json` of the data set, for LVOS (frames of an object) and YouTube-VOS (categories).
        workers: processes.
        progress: show a bar on standard error, where it is a terminal.

    Returns:
        `protocol`, `binary`, and what `VideoScores.compute` returns. For Ref-DAVIS17 means over annotators, and the
        measures of each under `annotators`.

    Raises:
        FileNotFoundError: a folder, or the mask of a frame, is missing.
        ValueError: an unknown protocol or sequence, masks that do not fit each other, or that hold no ids.
    """
    rules = video_protocol(protocol)
    if workers < 1:
        raise UsageError(f"`workers` must be at least 1, got {workers}")
    if unseen is not None and not rules.groups:
        raise UsageError(f"`unseen` must not be given for {protocol}, which knows no unseen categories")
    if meta is not None:
        unseen = None if unseen is None else {*unseen, *ClipMetadata(meta).named_by(unseen)}
    folders = _annotators(predictions) if rules.annotators > 1 else {"": os.fspath(predictions)}
    results = {}
    for annotator, folder in folders.items():
        job = ScoringJob(folder, os.fspath(annotations), protocol, binary, None if meta is None else os.fspath(meta))
        scores = _score(job, sequences, workers, progress)
        results[annotator] = scores.compute(unseen)
    heading = {"protocol": protocol, "binary": binary}
    if rules.annotators == 1:
        return heading | results[""]
    return heading | mean_of_annotators(results)


def _score(job: ScoringJob, sequences: Sequence[str] | None, workers: int, progress: bool) -> VideoScores:
    from tqdm import tqdm

    names = _chosen_sequences(job, sequences)
    scores = VideoScores(job.protocol)
    # With None the bar shows on a terminal only.
    options: dict[str, Any] = {"total": len(names), "unit": "", "disable": None if progress else True, "leave": False}
    if workers == 1:
        for name in tqdm(names, desc="sequences", **options):
            score_sequence_masks(job, name, scores)
        return scores
    # Spawned, for a fork of a process with threads may hang.
    with ProcessPoolExecutor(min(workers, len(names)), mp_context=get_context("spawn")) as pool:
        for state in tqdm(pool.map(_state_of_sequence, [job] * len(names), names), desc="sequences", **options):
            scores.load_state_dict(state)
    return scores


def _state_of_sequence(job: ScoringJob, name: str) -> dict[str, Any]:
    return score_sequence_masks(job, name, VideoScores(job.protocol)).state_dict()


def score_sequence_masks(job: ScoringJob, sequence: str, scores: VideoScores) -> VideoScores:
    """Adds a sequence's scores. Frames are read one at a time.

    Raises:
        FileNotFoundError, ValueError: see `score_masks`.
    """
    predictions, annotations = open_masks(job.predictions, "predictions"), MaskFolder(job.annotations, "annotations")
    rules, frames = scores.protocol, annotations.frames(sequence)
    values = {frame: values_of(annotations.read(sequence, frame)) for frame in frames}
    # 255 means the object, as in DAVIS 2016, where the annotation knows no other id.
    merges_void = job.binary and all(found <= {0, VOID} for found in values.values())
    ids = {frame: _ids(found, job.binary, merges_void) for frame, found in values.items()}
    lives = ClipMetadata(job.meta).lives(sequence, frames) if job.meta is not None else {}
    try:
        judged = judged_frames(rules, frames, ids, lives)
    except ValueError as error:
        hint = "" if job.binary else "; masks of 0 and 255 are scored with `binary`"
        raise UsageError(f"`annotations`: sequence {sequence}: {error}{hint}") from error
    judged_sets = {number: set(chosen) for number, chosen in judged.items()}
    objects_in = {frame: [number for number, chosen in judged_sets.items() if frame in chosen] for frame in frames}
    needed = [frame for frame in frames if objects_in[frame]]
    _check_frames(rules, predictions, annotations, sequence, needed)
    known = None if rules.matching else known_objects(rules, frames, ids)
    for frame in needed:
        target = _merged(annotations.read(sequence, frame), job.binary, merges_void)
        predicted = predictions.read(sequence, frame)
        predicted = (predicted > 0).astype(np.uint8) if job.binary else predicted
        where = f"sequence {sequence}, frame {frame}"
        if predicted.shape != target.shape:
            raise UsageError(
                f"`predictions` must have the size of the annotation, {pixels(target.shape)}, got "
                f"{pixels(predicted.shape)}: {where}"
            )
        _check_ids(predicted, known, where)
        scores.update(sequence, frame, predicted, target, objects_in[frame])
    return scores


# ---------------------------------------------------------------------------------------------------------------- masks
def values_of(labels: np.ndarray) -> set[int]:
    """The values of a uint8 label map."""
    return {int(number) for number in np.flatnonzero(np.bincount(labels.ravel(), minlength=VOID + 1))}


def _ids(values: set[int], binary: bool, merges_void: bool) -> set[int]:
    if binary:
        return {1} if values - {0, VOID} or (merges_void and VOID in values) else set()
    return values - {0, VOID}


def _merged(labels: np.ndarray, binary: bool, merges_void: bool) -> np.ndarray:
    if not binary:
        return labels
    void = labels == VOID
    merged = (labels > 0).astype(np.uint8)
    if not merges_void:
        merged[void] = VOID
    return merged


def _check_ids(predicted: np.ndarray, known: Sequence[int] | None, where: str) -> None:
    found = values_of(predicted) - {0}
    if known is None:
        if max(found, default=0) > MAX_PROPOSALS:
            raise UsageError(f"`predictions` must hold ids of 1..{MAX_PROPOSALS}, got {max(found)}: {where}")
        return
    if foreign := sorted(found - set(known)):
        raise UsageError(
            f"`predictions` must hold the annotation's ids, {', '.join(map(str, known))}, got "
            f"{', '.join(map(str, foreign))}: {where}"
        )


# ------------------------------------------------------------------------------------------------------ files and names
def _chosen_sequences(job: ScoringJob, wanted: Sequence[str] | None) -> list[str]:
    annotated = MaskFolder(job.annotations, "annotations").sequences()
    predicted = open_masks(job.predictions, "predictions").sequences()
    if wanted is not None:
        if not wanted:
            raise UsageError("`sequences` must name at least one, got none")
        if unknown := sorted(set(wanted) - set(annotated)):
            raise UsageError(
                f"`sequences` must be in the annotations, which hold {some(annotated)}; got {some(unknown)}"
            )
        annotated = list(dict.fromkeys(wanted))
    elif surplus := sorted(set(predicted) - set(annotated)):
        raise UsageError(
            f"`predictions` must hold the annotations' sequences, {some(annotated)}, got others: {some(surplus)}"
        )
    if missing := sorted(set(annotated) - set(predicted)):
        raise FileNotFoundError(
            f"`predictions` must hold all {len(annotated)} sequences, {len(missing)} are missing: {some(missing)}"
        )
    return annotated


def _check_frames(
    rules: VideoProtocol, predictions: MaskSource, annotations: MaskSource, sequence: str, needed: Sequence[str]
) -> None:
    predicted = predictions.frames(sequence)
    if missing := [frame for frame in needed if frame not in set(predicted)]:
        raise FileNotFoundError(
            f"`predictions` must hold a mask for each judged frame of sequence {sequence}, {len(missing)} are missing: "
            f"{some(missing)}; it holds {some(predicted)}"
        )
    annotated = set(annotations.frames(sequence))
    if rules.dense and (surplus := [frame for frame in predicted if frame not in annotated]):
        raise FileNotFoundError(
            f"`annotations` must hold a mask for each predicted frame of sequence {sequence}, {len(surplus)} are "
            f"missing: {some(surplus)}"
        )


# ----------------------------------------------------------------------------------------------------------- annotators
def _annotators(predictions: str | os.PathLike[str]) -> dict[str, str]:
    folder = Path(predictions)
    if not folder.is_dir():
        raise FileNotFoundError(f"`predictions` must be a folder with one folder for each of four annotators: {folder}")
    found = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if len(found) != 4:
        names = some(entry.name for entry in found) or "none"
        raise UsageError(f"`predictions` must hold one folder for each of four annotators, got {names}: {folder}")
    return {entry.name: str(entry) for entry in found}


def mean_of_annotators(results: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What Ref-DAVIS17 reports: means over annotators, and the measures of each under `annotators`.

    `results`: for each annotator what `VideoScores.compute` returns.
    """
    members = list(results.values())

    def means(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
        measures = [name for name, value in parts[0].items() if isinstance(value, float)]
        return {name: float(np.mean([part[name] for part in parts])) for name in measures}

    sums = {name: sum(member[name] for member in members) for name in ("objects", "frames")}
    by_clip = {clip: means([member["sequences"][clip] for member in members]) for clip in members[0]["sequences"]}
    apart = {name: means([member]) for name, member in results.items()}
    return means(members) | sums | {"annotators": apart, "sequences": by_clip}
