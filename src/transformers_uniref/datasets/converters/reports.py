"""What a build says of a split: counts, findings, checksums; and the dataset card made of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...core.atomic import replacing
from ...core.errors import UsageError
from ...core.json_writing import to_json
from .base import Converter
from .published import Comparison, compare
from .remarks import describe
from .shards import MEASURES

REPORTS = "reports"


def write_report(folder: Path, report: Mapping[str, Any]) -> None:
    """Write the report of a split into `folder`."""
    with replacing(folder / REPORTS / f"{report['split']}.json") as partial:
        partial.write_text(to_json(report, indent=2), encoding="utf-8")


def read_reports(folder: Path) -> dict[str, dict[str, Any]]:
    """The reports in `folder` by split.

    Raises:
        FileNotFoundError: there is none.
        ValueError: one is not readable.
    """
    files = sorted((folder / REPORTS).glob("*.json"))
    if not files:
        raise FileNotFoundError(f"{folder} holds no reports/*.json; it is no folder written by `uniref data build`")
    reports = {}
    for file in files:
        try:
            report = json.loads(file.read_text(encoding="utf-8"))
            reports[report["split"]] = report
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{file} is no report of a build ({error})") from error
    return reports


def comparisons(converter: Converter, reports: Mapping[str, Mapping[str, Any]]) -> list[Comparison]:
    """Published numbers beside those of the reports."""
    counts = {split: report["counts"] for split, report in reports.items()}
    return compare(converter.name, counts, converter.splits)


def deviations(converter: Converter, reports: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """One line for everything in the reports that is not as published."""
    differing = [entry.describe() for entry in comparisons(converter, reports) if not entry.met]
    return _remarks(reports, "deviations") + differing


def notes(reports: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """One line for every kind of known irregularity in the reports."""
    return _remarks(reports, "notes")


def _remarks(reports: Mapping[str, Mapping[str, Any]], kinds: str) -> list[str]:
    return [
        f"{split}: {describe(kind, entry)}"
        for split, report in reports.items()
        for kind, entry in sorted(report["remarks"][kinds].items())
    ]


def counts_table(converter: Converter, reports: Mapping[str, Mapping[str, Any]]) -> str:
    """A Markdown table of the counts, splits in the data set's order."""
    measures = [measure for measure in MEASURES if any(report["counts"][measure] for report in reports.values())]
    lines = ["| split | " + " | ".join(name.replace("_", " ") for name in measures) + " |"]
    lines.append("|---" * (len(measures) + 1) + "|")
    for split in sorted(reports, key=converter.splits.index):
        values = " | ".join(f"{reports[split]['counts'][measure]:,}" for measure in measures)
        lines.append(f"| {split} | {values} |")
    return "\n".join(lines)


def _listed(lines: Sequence[str], nothing: str) -> str:
    return "\n".join(f"- {line}" for line in lines) if lines else nothing


def write_card(folder: Path, converter: Converter, reports: Mapping[str, Mapping[str, Any]]) -> None:
    """Write `README.md`, the dataset card."""
    categories = sorted({"object-detection" if t == "detection" else "image-segmentation" for t in converter.tasks})
    files = "".join(
        f"\n      - split: {split}\n        path: data/{split}-*.parquet"
        for split in sorted(reports, key=converter.splits.index)
    )
    met = [entry.describe() for entry in comparisons(converter, reports) if entry.met]
    sources = [
        f"`{entry['file']}` ({entry['bytes']:,} bytes, SHA-256 `{entry['sha256']}`)"
        for report in reports.values()
        for entry in report["sources"]
    ]
    card = f"""---
pretty_name: {converter.title}
license: other
task_categories: [{", ".join(categories)}]
tags: [transformers_uniref]
configs:
  - config_name: default
    data_files:{files}
---

# {converter.title}

Converted from the original download with `uniref data build {converter.name}` of transformers_uniref. Columns are those
of `transformers_uniref/datasets/schema.py`; pictures are the original files, masks are PNG or COCO run lengths. For:
{", ".join(converter.tasks)}.

Homepage: {converter.homepage}. Licence of the original: {converter.licence}.
Whoever passes these files on has to keep to it.

## Content

{counts_table(converter, reports)}

## Checked against published numbers

{_listed(met, "No published number is met, or none applies to what was built.")}

## Deviations

{_listed(deviations(converter, reports), "None was found.")}

## Notes

{_listed(notes(reports), "None.")}

## Made from

{_listed(list(dict.fromkeys(sources)), "Folders of pictures without an annotation file.")}
"""
    with replacing(folder / "README.md") as partial:
        partial.write_text(card, encoding="utf-8")
