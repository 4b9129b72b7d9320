"""Reading a built data set again: files, rows, ids, pictures and masks, and the published numbers."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from ...core.mask_codes import decode_png, decode_rle
from ..parquet_shards import read_rows, read_summary
from ..schema import check_row
from .build import file_digest
from .registry import find_converter
from .reports import comparisons, deviations, notes, read_reports
from .shards import MEASURES, count_row


@dataclass
class Verification:
    """What was found.

    Attributes:
        dataset: name of the converter.
        counts: by split.
        confirmed: published numbers that are met.
        problems: what is damaged or contradicts the report.
        deviations: what is not as published (known when the data set was built).
        notes: known irregularities.
    """

    dataset: str
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    confirmed: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    deviations: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def verify(folder: Path, progress: Callable[[int], Any] = lambda rows: None) -> Verification:
    """Check everything in a folder that `build` wrote. Every picture and mask is decoded.

    `progress` is called with the number of rows read since.

    Raises:
        FileNotFoundError: it is no such folder.
    """
    reports = read_reports(folder)
    converter = find_converter(next(iter(reports.values()))["dataset"])
    found = Verification(converter.name)
    for split, report in reports.items():
        _verify_split(folder, split, report, found, progress)
    found.confirmed = [entry.describe() for entry in comparisons(converter, reports) if entry.met]
    found.deviations = deviations(converter, reports)
    found.notes = notes(reports)
    return found


def _verify_split(
    folder: Path, split: str, report: Mapping[str, Any], found: Verification, progress: Callable[[int], Any]
) -> None:
    counts: Counter[str] = Counter(dict.fromkeys(MEASURES, 0))
    seen: set[str] = set()
    listed = {entry["file"] for entry in report["shards"]}
    for path in sorted((folder / "data").glob(f"{split}-*.parquet")):
        if f"data/{path.name}" not in listed:
            found.problems.append(f"{path.name}: not in the report")
    for entry in report["shards"]:
        path = folder / entry["file"]
        if not path.is_file():
            found.problems.append(f"{entry['file']}: missing")
            continue
        if read_summary(path) is None:
            found.problems.append(f"{entry['file']}: truncated, or not written by `uniref data build`")
            continue
        if file_digest(path) != entry["sha256"]:
            found.problems.append(f"{entry['file']}: its checksum is not that of the report")
        try:
            for row in read_rows(path):
                counts += count_row(row)
                progress(1)
                _verify_row(row, seen, f"{entry['file']}, {row['sample_id']}", found.problems)
        except OSError as error:
            found.problems.append(f"{entry['file']}: cannot be read ({error})")
    found.counts[split] = {measure: counts[measure] for measure in MEASURES}
    for measure in MEASURES:
        if counts[measure] != report["counts"][measure]:
            found.problems.append(f"{split}: {counts[measure]} {measure}, the report says {report['counts'][measure]}")


def _verify_row(row: Mapping[str, Any], seen: set[str], where: str, problems: list[str]) -> None:
    if row["sample_id"] in seen:
        problems.append(f"{where}: the sample id comes twice")
    seen.add(row["sample_id"])
    try:
        check_row(row)
    except ValueError as error:
        problems.append(str(error))
        return
    size = (row["height"], row["width"])
    for position, frame in enumerate(row["frames"]):
        try:
            with Image.open(io.BytesIO(frame["bytes"])) as picture:
                picture.load()
                found = (picture.height, picture.width)
        except (OSError, SyntaxError) as error:  # Pillow raises both for broken files
            problems.append(f"{where}: frame {position} cannot be decoded ({error})")
            continue
        if found != size:
            problems.append(f"{where}: frame {position} is {found[0]} x {found[1]}, the row {size[0]} x {size[1]}")
    for instance in row["instances"]:
        for position, code in zip(instance["frame_indices"], instance["masks"], strict=False):
            what = f"{where}: object {instance['object_id']}, frame {position}"
            try:
                mask = decode_png(code["png"]) if code["png"] is not None else decode_rle(code["rle"])
            except (OSError, ValueError) as error:
                problems.append(f"{what}: its mask cannot be decoded ({error})")
                continue
            if mask.shape != size:
                problems.append(f"{what}: its mask is {mask.shape[0]} x {mask.shape[1]}")
            elif not mask.any():
                problems.append(f"{what}: its mask is empty")
