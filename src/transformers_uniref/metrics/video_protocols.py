"""The rules of the video benchmarks, by name. `docs/protocols.md` compares them and says where each is from."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ..core.errors import UsageError
from ..core.near_names import named

VOID = 255
"""The id of pixels that nobody decided about."""

MAX_PROPOSALS = 20
"""Objects that a prediction of the unsupervised task may hold (DAVIS)."""


@dataclass(frozen=True)
class VideoProtocol:
    """What is judged, and how.

    Attributes:
        name: as given to `uniref evaluate --protocol`.
        title: what it is, for people.
        objects: which ids of the annotation are judged. "first-frame-range": 1 to the highest of the first frame;
            "first-frame": those in the first frame; "anywhere": all.
        frames: which annotated frames. "inner": all but the first and the last; "all"; "after-appearance": those after
            the object's first; "life": from the object's first on; "inner-life": those but the first and the last.
        matching: whether predicted objects are assigned to true ones as fits best; else the same id means the same.
        ignores_void: whether void pixels are judged by nobody; else they are background of the annotation.
        smoothing: added to intersection and union of J.
        adaptive: whether F is also measured with a radius that depends on the object's area.
        groups: whether seen and unseen objects are averaged apart first.
        stability: whether V, the deviation over frames, is reported.
        dense: whether every predicted frame must have an annotation.
        annotators: how many folders of predictions are averaged.
    """

    name: str
    title: str
    objects: Literal["first-frame-range", "first-frame", "anywhere"] = "first-frame"
    frames: Literal["inner", "all", "after-appearance", "life", "inner-life"] = "inner"
    matching: bool = False
    ignores_void: bool = False
    smoothing: int = 0
    adaptive: bool = False
    groups: bool = False
    stability: bool = False
    dense: bool = True
    annotators: int = 1


_UNSUPERVISED = VideoProtocol(
    "davis-unsupervised",
    "DAVIS 2017 and 2019, objects found without help",
    objects="first-frame-range",
    frames="all",
    matching=True,
    ignores_void=True,
)
_REF_DAVIS = replace(
    _UNSUPERVISED,
    name="ref-davis17",
    title="Ref-DAVIS17 as published: the unsupervised rules, mean of four annotators",
    annotators=4,
)
_LVOS = VideoProtocol("lvos-v1", "LVOS, first toolkit", objects="anywhere", frames="life", groups=True, stability=True)
_ALL = (
    VideoProtocol(
        "davis-semi-supervised", "DAVIS 2016 and 2017, objects given in the first frame", objects="first-frame-range"
    ),
    _UNSUPERVISED,
    _REF_DAVIS,
    replace(
        _REF_DAVIS,
        name="ref-davis17-by-id",
        title="Ref-DAVIS17 without matching: a sentence has to find its own object",
        matching=False,
    ),
    VideoProtocol(
        "youtube-vos",
        "YouTube-VOS 2018 and 2019",
        objects="anywhere",
        frames="after-appearance",
        groups=True,
        dense=False,
    ),
    _LVOS,
    replace(_LVOS, name="lvos-v2", title="LVOS, second toolkit", frames="inner-life"),
    VideoProtocol("mose-v1", "MOSE (2023), by the rules of DAVIS"),
    VideoProtocol("mose-v2", "MOSEv2 (2025)", smoothing=1, adaptive=True),
)

PROTOCOLS: dict[str, VideoProtocol] = {protocol.name: protocol for protocol in _ALL}


def video_protocol(name: str) -> VideoProtocol:
    """The protocol of a name.

    Raises:
        ValueError: there is none; the message lists the names.
    """
    return named("protocol", name, PROTOCOLS)


def known_objects(protocol: VideoProtocol, frames: Sequence[str], ids: Mapping[str, Collection[int]]) -> list[int]:
    """The ids that a prediction may hold without matching: those of the annotation, with DAVIS of its first frame.

    Args:
        protocol: the rules.
        frames: the annotated ones, in order.
        ids: the annotation's ids in each frame, 0 and `VOID` left out.
    """
    if protocol.objects == "first-frame-range":
        return list(range(1, max(ids[frames[0]], default=0) + 1))
    return sorted(set().union(*ids.values()))


def judged_frames(
    protocol: VideoProtocol,
    frames: Sequence[str],
    ids: Mapping[str, Collection[int]],
    lives: Mapping[int, Sequence[str]] | None = None,
) -> dict[int, list[str]]:
    """Which objects are judged in which frames.

    Args:
        protocol: the rules.
        frames: the annotated ones, in order.
        ids: the annotation's ids in each frame, 0 and `VOID` left out.
        lives: for "life" and "inner-life" the frames in which each object is to be judged before its ends are left out,
            from the data set's metadata; default: from its first annotation to the end of the clip.

    Returns:
        For each judged object its frames. An object without any is left out.

    Raises:
        ValueError: too few frames, or no object.
    """
    objects = sorted(ids[frames[0]]) if protocol.objects == "first-frame" else known_objects(protocol, frames, ids)
    if not objects:
        where = "any frame" if protocol.objects == "anywhere" else "the first frame"
        raise UsageError(f"the annotation must hold an object with an id of 1..254 in {where}, got none")
    if protocol.frames == "inner" and len(frames) < 3:
        raise UsageError(
            f"at least 3 annotated frames are needed, for the first and the last do not count; got {len(frames)}"
        )
    judged = {number: _frames_of(protocol, number, frames, ids, lives or {}) for number in objects}
    return {number: chosen for number, chosen in judged.items() if chosen}


def _frames_of(
    protocol: VideoProtocol,
    number: int,
    frames: Sequence[str],
    ids: Mapping[str, Collection[int]],
    lives: Mapping[int, Sequence[str]],
) -> list[str]:
    if protocol.frames == "all":
        return list(frames)
    if protocol.frames == "inner":
        return list(frames[1:-1])
    if number in lives:
        life = list(lives[number])
    else:
        life = list(frames[next(index for index, frame in enumerate(frames) if number in ids[frame]) :])
    if protocol.frames == "after-appearance":
        return life[1:]
    return life[1:-1] if protocol.frames == "inner-life" else life
