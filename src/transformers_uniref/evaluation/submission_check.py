"""Checking a zip file for an evaluation server before it is uploaded."""

from __future__ import annotations

import os
import zipfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from ..core.near_names import named
from ..core.palette import davis_palette
from ..media.label_files import read_label_png
from ..metrics.assignment import frame_order
from .mask_sources import open_zip
from .submission_servers import ANNOTATIONS, SERVERS, Requirements, Server, read_requirements
from .wording import pixels, some

_MACOS = "__MACOSX"

Place = tuple[str, str, str]
"""Video, expression ("" for servers without) and frame."""


@dataclass
class SubmissionReport:
    """What was found.

    Attributes:
        path, server: the file, and what it was checked for.
        videos, masks: how many it holds.
        problems: what the server would refuse or score wrongly, as sentences.
        warnings: what is unusual.
    """

    path: str
    server: Server
    videos: int = 0
    masks: int = 0
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def add_problem(self, what: str, found: Sequence[object], where: str = "") -> None:
        """How many were found, what of them, and the first ones; nothing if none were found."""
        self.problems += _counted(what, found, where)

    def add_warning(self, what: str, found: Sequence[object], where: str = "") -> None:
        """See `add_problem`."""
        self.warnings += _counted(what, found, where)

    @property
    def valid(self) -> bool:
        """Whether there is no problem."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """For machines."""
        return {"valid": self.valid, "server": self.server.name, "path": self.path} | {
            name: getattr(self, name) for name in ("videos", "masks", "problems", "warnings")
        }

    def text(self, most: int = 20) -> str:
        """For people; of many problems the first ones."""
        lines = [
            f"{self.path}: {self.videos} videos, {self.masks} masks, for {self.server.title} ({self.server.layout})"
        ]
        for kind, found in (("problem", self.problems), ("warning", self.warnings)):
            lines += [f"{kind}: {sentence}" for sentence in found[:most]]
            lines += [f"and {len(found) - most} more {kind}s"] * (len(found) > most)
        return "\n".join([*lines, "valid" if self.valid else "not valid"])


def _counted(what: str, found: Sequence[object], where: str) -> list[str]:
    return [f"{where}{len(found)} {what}: {some(found)}"] if found else []


def check_submission(
    path: str | os.PathLike[str],
    server: str | None = None,
    reference: str | os.PathLike[str] | None = None,
    progress: bool = False,
    requirements: Requirements | None = None,
) -> SubmissionReport:
    """Checks layout, names, sizes, palettes and ids, all without a network.

    Args:
        path: the zip file.
        server: a name of `SERVERS`; default: the one whose layout it has.
        reference: the benchmark's folder of the split, or its JSON file, which say what must be there. Without, a
            submission can only be compared with itself.
        progress: show a bar on standard error, where it is a terminal.
        requirements: what must be there, where that is known without a reference.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no zip file or is cut off; an unknown server; an unreadable reference.
    """
    with open_zip(path, "check") as archive:
        files = [info for info in archive.infolist() if not info.is_dir()]
        chosen = named("server", server, SERVERS) if server is not None else _recognised(files)
        report = SubmissionReport(os.fspath(path), chosen)
        if reference is not None:
            requirements = read_requirements(reference, chosen)
        places = _place_files(files, chosen, report)
        report.videos, report.masks = len({place[0] for place in places}), len(places)
        if not places:
            report.problems.append(f"no mask lies where the server looks for {chosen.layout}")
            return report
        names = [(info.filename, frame) for (_, _, frame), info in places.items()]
        odd = [name for name, frame in names if not (frame.isdecimal() and len(frame) == chosen.digits)]
        report.add_problem(f"frames are not named with {chosen.digits} digits", odd)
        if requirements is None:
            _check_regularity(places, report)
        else:
            _check_completeness(places, requirements, report)
        _check_masks(archive, places, chosen, requirements or Requirements(), report, progress)
    return report


# --------------------------------------------------------------------------------------------------------------- layout
def _mask_parts(files: list[zipfile.ZipInfo]) -> list[tuple[str, ...]]:
    named = (PurePosixPath(info.filename) for info in files)
    return [name.parts for name in named if name.suffix.lower() == ".png" and not _is_junk(name)]


def _is_junk(name: PurePosixPath) -> bool:
    return name.parts[0] == _MACOS or name.name.startswith(".")


def _recognised(files: list[zipfile.ZipInfo]) -> Server:
    parts = _mask_parts(files)
    in_annotations = any(ANNOTATIONS in part[:-1] for part in parts)
    # A folder around everything changes the depth; it is found as a problem later.
    depths = Counter(len(part) - (part.index(ANNOTATIONS) + 1 if ANNOTATIONS in part else 0) for part in parts)
    by_expression = bool(depths) and depths.most_common(1)[0][0] >= 3
    fitting = [s for s in SERVERS.values() if (s.in_annotations, s.by_expression) == (in_annotations, by_expression)]
    digits = Counter(len(PurePosixPath(part[-1]).stem) for part in parts)
    matching = [server for server in fitting if digits and server.digits == digits.most_common(1)[0][0]]
    return (matching or fitting)[0]


def _place_files(
    files: list[zipfile.ZipInfo], server: Server, report: SubmissionReport
) -> dict[Place, zipfile.ZipInfo]:
    """Which mask is whose. A folder too many or too few is a problem, and looked through nevertheless."""
    prefix = _prefix(files, server, report)
    depth = 3 if server.by_expression else 2
    places: dict[Place, zipfile.ZipInfo] = {}
    junk, stray, doubled = [], [], []
    for info in files:
        name = PurePosixPath(info.filename)
        if name.is_absolute() or ".." in name.parts:
            report.problems.append(f"{info.filename}: names must not lead out of the zip file")
        elif _is_junk(name):
            junk.append(info.filename)
        elif info.flag_bits & 1:
            report.problems.append(f"{info.filename}: is encrypted")
        elif name.parts[: len(prefix)] != prefix or len(name.parts) != len(prefix) + depth or name.suffix != ".png":
            stray.append(info.filename)
        else:
            video, *expression, _ = name.parts[len(prefix) :]
            place = (video, expression[0] if expression else "", name.stem)
            if place in places:
                doubled.append(info.filename)
            places[place] = info
    report.add_warning("files of an operating system, of no use to the server", junk)
    report.add_problem(f"files do not lie in {server.layout}", stray)
    report.add_problem("names occur twice", doubled)
    return places


def _prefix(files: list[zipfile.ZipInfo], server: Server, report: SubmissionReport) -> tuple[str, ...]:
    """The folders in which the videos lie."""
    expected = (ANNOTATIONS,) if server.in_annotations else ()
    parts = _mask_parts(files)
    depth = 3 if server.by_expression else 2
    found = Counter(part[:-depth] for part in parts if len(part) >= depth)
    if not found or found.most_common(1)[0][0] == expected:
        return expected
    prefix = found.most_common(1)[0][0]
    have = f"in the folder {'/'.join(prefix)}" if prefix else "at the root"
    want = f"in the folder {ANNOTATIONS}" if expected else "at the root of the zip file"
    report.problems.append(f"the videos lie {have}, they have to lie {want}: {server.layout}")
    return prefix


# ---------------------------------------------------------------------------------------------------------------- names
def _by_video(places: dict[Place, zipfile.ZipInfo]) -> dict[str, dict[str, list[str]]]:
    grouped: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for video, expression, frame in sorted(places, key=lambda place: (*place[:2], frame_order(place[2]))):
        grouped[video][expression].append(frame)
    return grouped


def _check_regularity(places: dict[Place, zipfile.ZipInfo], report: SubmissionReport) -> None:
    """Without knowing which frames there are: equal steps, and the same frames for each expression of a video."""
    report.warnings.append("without `reference` nobody knows which videos, frames, sizes and ids are required")
    for video, of_video in _by_video(places).items():
        longest = max(of_video.values(), key=len)
        for expression, frames in of_video.items():
            missing = sorted(set(longest) - set(frames), key=frame_order)
            report.add_problem("frames of other expressions are missing", missing, f"{video}/{expression}: ")
        numbers = np.array([int(frame) for frame in longest if frame.isdecimal()])
        steps = np.diff(numbers)
        if len(steps) and (gaps := np.flatnonzero(steps != steps.min())).size:
            after = [longest[index] for index in gaps]
            report.warnings.append(f"{video}: frames may be missing after {some(after)}")


def _check_completeness(places: dict[Place, zipfile.ZipInfo], wanted: Requirements, report: SubmissionReport) -> None:
    found = _by_video(places)
    report.add_problem(f"of {len(wanted.frames)} videos are missing", sorted(set(wanted.frames) - set(found)))
    report.add_problem("videos are not in the reference", sorted(set(found) - set(wanted.frames)))
    for video in sorted(set(found) & set(wanted.frames)):
        expected = wanted.frames[video]
        missing = sorted(set(expected) - set(found[video]), key=frame_order)
        report.add_problem(f"of {len(expected)} expressions are missing", missing, f"{video}: ")
        foreign = sorted(set(found[video]) - set(expected), key=frame_order)
        report.add_problem("expressions are not in the reference", foreign, f"{video}: ")
        for expression in sorted(set(expected) & set(found[video]), key=frame_order):
            where = f"{video}/{expression}".rstrip("/")
            frames, have = expected[expression], found[video][expression]
            missing = [frame for frame in frames if frame not in set(have)]
            report.add_problem(f"of {len(frames)} frames are missing", missing, f"{where}: ")
            report.add_warning("frames are not asked for", [n for n in have if n not in set(frames)], f"{where}: ")


# ---------------------------------------------------------------------------------------------------------------- masks
def _check_masks(
    archive: zipfile.ZipFile,
    places: dict[Place, zipfile.ZipInfo],
    server: Server,
    wanted: Requirements,
    report: SubmissionReport,
    progress: bool,
) -> None:
    from tqdm import tqdm

    sizes = dict(wanted.sizes)
    grey, odd_palettes, low, filled = [], [], [], 0
    known = davis_palette()
    for (video, _, _), info in tqdm(places.items(), "masks", unit="", disable=None if progress else True, leave=False):
        try:
            with archive.open(info) as file:
                labels, image = read_label_png(file, info.filename)
        except (ValueError, zipfile.BadZipFile, EOFError) as error:
            report.problems.append(str(error) if info.filename in str(error) else f"{info.filename}: {error}")
            continue
        size = sizes.setdefault(video, labels.shape)
        if labels.shape != size:
            report.problems.append(f"{info.filename}: is {pixels(labels.shape)} pixels, the video is {pixels(size)}")
        values = set(np.flatnonzero(np.bincount(labels.ravel())).tolist()) - {0}
        filled += bool(values)
        if server.by_expression:
            if len(values) > 1:
                held = f"{info.filename}: holds the values {some(sorted(values))}"
                report.problems.append(f"{held}; the mask of an expression has 0 and 255 alone")
            low += [info.filename] * (values == {1} and image.mode != "1")
            continue
        foreign = sorted(values - wanted.ids.get(video, set(range(1, 255))))
        if foreign:
            listed = ", ".join(map(str, sorted(wanted.ids[video]))) if video in wanted.ids else "1..254"
            report.problems.append(f"{info.filename}: holds the ids {some(foreign)}, the video has {listed}")
        if image.mode != "P":
            grey.append(info.filename)
        elif values:
            palette = image.getpalette() or []
            usual = all(palette[3 * value : 3 * value + 3] == known[value].tolist() for value in values)
            odd_palettes += [info.filename] * (not usual)
    report.add_problem("masks are grey, not palette PNGs", grey)
    report.add_warning("masks have other colours than DAVIS gives ids", odd_palettes)
    report.add_warning("masks hold 0 and 1, usual are 0 and 255", low)
    if not filled:
        report.warnings.append("all masks are empty")
