"""What a protocol reports of the values of all objects."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from ..core.errors import UsageError
from .assignment import Series
from .video import sequence_statistics
from .video_protocols import VideoProtocol

Clips = Mapping[str, Mapping[int, Series]]


def summarise(protocol: VideoProtocol, clips: Clips, unseen: Collection[str] | None = None) -> dict[str, Any]:
    """The measures of a protocol, all fractions.

    Every object counts alike, however long its clip is: `J`, `F` and `J&F` are means over objects of their means over
    frames, `J-recall`, `J-decay`, `F-recall` and `F-decay` those of the statistics of DAVIS. Protocols with groups
    report, where `unseen` is given, `J_seen`, `J_unseen`, `F_seen`, `F_unseen`, and means of both groups as `J`, `F`
    and `J&F`, the last also as `G`. LVOS adds `V`. MOSEv2 adds `F-dot`, `J&F-dot`, `J&F-dot_disappearance` and
    `J&F-dot_reappearance`, None where no object disappears or returns.

    Args:
        protocol: the rules.
        clips: for each clip and object its values.
        unseen: "CLIP" or "CLIP/OBJECT" of what belongs to categories that were not trained on.

    Returns:
        The measures, `objects` and `frames` (how many), and `sequences`: for each clip the means over its objects, and
        the measures of each under `objects`.

    Raises:
        ValueError: `unseen` for a protocol without groups, or naming nothing or everything that was measured.
    """
    measured = {
        (name, number): _measures(protocol, series) for name, of in clips.items() for number, series in of.items()
    }
    result = _means(list(measured.values()))
    if unseen is not None:
        result |= _grouped(protocol, measured, set(unseen))
    elif protocol.groups:
        result["G"] = None
    result["objects"] = len(measured)
    result["frames"] = sum(len(series.j) for of_clip in clips.values() for series in of_clip.values())
    result["sequences"] = {
        name: _means([measured[name, number] for number in of_clip])
        | {"objects": {str(number): measured[name, number] for number in of_clip}}
        for name, of_clip in clips.items()
    }
    return result


def deviation(series: Series) -> float:
    """V of LVOS: how much the mean of J and F varies over frames, as a standard deviation.

    The published code rounds the variance to four decimals, and so does this.
    """
    values = (series.j + series.f) / 2
    return float(np.sqrt(round(float(np.sum((values.mean() - values) ** 2)) / len(values), 4)))


def disappearance(series: Series) -> tuple[float | None, float | None]:
    """J&F-dot of MOSEv2 where the object is gone, and where it is back.

    Gone: the mean over the runs of frames without the object, each by its mean, unless the run begins the clip. Back:
    the same over the runs of frames with the object that follow a run without it.

    Returns:
        Both, None without such a run.
    """
    starts = np.flatnonzero(np.diff(series.present)) + 1
    runs = np.split(np.arange(len(series.present)), starts)
    values = (series.j, series.f_adaptive)
    means = [[float(value[run].mean()) for value in values] for run in runs]
    gone = [mean for run, mean in zip(runs[1:], means[1:], strict=True) if not series.present[run[0]]]
    back = [mean for run, mean in zip(runs[1:], means[1:], strict=True) if series.present[run[0]]]
    return _mean_of_pairs(gone), _mean_of_pairs(back)


def _mean_of_pairs(pairs: list[list[float]]) -> float | None:
    return float(np.mean(pairs, axis=0).mean()) if pairs else None


def _measures(protocol: VideoProtocol, series: Series) -> dict[str, Any]:
    """The measures of one object."""
    j, f = sequence_statistics(series.j), sequence_statistics(series.f)
    measures: dict[str, Any] = {"J": j.mean, "F": f.mean, "J&F": (j.mean + f.mean) / 2}
    measures |= {"J-recall": j.recall, "J-decay": j.decay, "F-recall": f.recall, "F-decay": f.decay}
    if protocol.adaptive:
        dot = float(series.f_adaptive.mean())
        gone, back = disappearance(series)
        measures |= {"F-dot": dot, "J&F-dot": (j.mean + dot) / 2}
        measures |= {"J&F-dot_disappearance": gone, "J&F-dot_reappearance": back}
    if protocol.stability:
        measures["V"] = deviation(series)
    if protocol.matching:
        measures["prediction"] = series.prediction or None
    return measures


def _means(measures: list[dict[str, Any]]) -> dict[str, Any]:
    """The mean of each measure over those objects that have it."""
    means: dict[str, Any] = {}
    for name in measures[0]:
        if name == "prediction":
            continue
        values = [of_object[name] for of_object in measures if of_object[name] is not None]
        means[name] = float(np.mean(values)) if values else None
    # The mean of means, not the mean of J&F: the same but for the last digit, and as published.
    means["J&F"] = (means["J"] + means["F"]) / 2
    return means


def _grouped(
    protocol: VideoProtocol, measured: Mapping[tuple[str, int], dict[str, Any]], unseen: set[str]
) -> dict[str, Any]:
    if not protocol.groups:
        raise UsageError(f"`unseen` must not be given for {protocol.name}, which knows no unseen categories")
    groups: dict[str, list[dict[str, Any]]] = {"seen": [], "unseen": []}
    for (name, number), measures in measured.items():
        groups["unseen" if {name, f"{name}/{number}"} & unseen else "seen"].append(measures)
    for group, members in groups.items():
        if not members:
            listed = ", ".join(sorted(unseen)[:5]) or "nothing"
            clips = ", ".join(sorted({name for name, _ in measured})[:5])
            raise UsageError(
                f"`unseen` must leave objects on both sides, got no {group} one: it names {listed}; measured: {clips}"
            )
    names = ("J", "F", "V") if protocol.stability else ("J", "F")
    means = {group: _means(members) for group, members in groups.items()}
    result: dict[str, Any] = {}
    for name in names:
        result |= {f"{name}_{group}": means[group][name] for group in groups}
        result[name] = (means["seen"][name] + means["unseen"][name]) / 2
    result["G"] = result["J&F"] = (result["J"] + result["F"]) / 2
    return result
