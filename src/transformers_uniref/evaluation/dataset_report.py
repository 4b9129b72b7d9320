"""The results of a run in words: a table for a terminal, a page of Markdown, and metadata for a model's card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .wording import markdown_table, percent

MOST_SEQUENCES = 200
"""Clips that are listed one by one."""
IN_OBJECTS = ("count_error",)
"""Measures that are no fractions."""


def result_table(summary: Mapping[str, Any]) -> str:
    """What `evaluate_dataset` returns as text: measures in percent, with what was measured above and notes below."""
    counts = ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in summary["counts"].items())
    lines = [f"{summary['title']} {summary['split']}, {_asked(summary)}: {counts}"]
    width = max([len(name) for name in summary["measures"]] or [0])
    lines += [f"{name:<{width}} {_value(name, value):>6}" for name, value in summary["measures"].items()]
    if kinds := summary.get("details", {}).get("kinds", {}):
        lines += ["by kind of sentence: gIoU, answered, number right (sentences)"]
        lines += [f"  {kind:<12} {' '.join(f'{value:>6}' for value in row)}" for kind, *row in _kind_rows(kinds)]
    for protocol, measures in summary["further"].items():
        lines += [f"{protocol}: " + ", ".join(f"{name} {percent(value, 2)}" for name, value in measures.items())]
    if "submission" in summary:
        found = summary["submission"]
        state = "the check found nothing wrong" if found["valid"] else "PROBLEMS: " + "; ".join(found["problems"][:5])
        lines.append(
            f"{found['path']} for {found['server']}: {found['videos']} videos, {found['masks']} masks; {state}"
        )
    return "\n".join([*lines, *(f"note: {note}" for note in summary["notes"])])


def markdown_report(summary: Mapping[str, Any]) -> str:
    """A page of Markdown: measures, settings, and each clip or class."""
    settings = summary["settings"]
    lines = [
        f"# {summary['title']}, {summary['split']}",
        "",
        f"Model: {settings['model'] or 'not named'}, weights `{settings['weights'][:16]}`, transformers_uniref "
        f"{settings['version']}. Settings: {_asked(summary)}.",
        "",
        *markdown_table(("measure", "value in percent"), [(n, _value(n, v)) for n, v in summary["measures"].items()]),
    ]
    for protocol, measures in summary["further"].items():
        lines += ["", f"By the protocol `{protocol}`:", "", *_in_percent("measure", "value in percent", measures)]
    lines += [
        "",
        *markdown_table(("counted", "number"), [(n.replace("_", " "), str(v)) for n, v in summary["counts"].items()]),
    ]
    details = summary["details"]
    sequences = details.get("sequences", {})
    if 0 < len(sequences) <= MOST_SEQUENCES:
        names = [name for name in ("J&F", "J", "F") if name in next(iter(sequences.values()))]
        found = [(clip, *(percent(of[name], 2) for name in names)) for clip, of in sequences.items()]
        lines += ["", *markdown_table(("clip", *names), found)]
    if kinds := details.get("kinds", {}):
        lines += [
            "",
            *markdown_table(("kind of sentence", "gIoU", "answered", "number right", "sentences"), _kind_rows(kinds)),
        ]
    if classes := details.get("classes", {}):
        lines += ["", *_in_percent("class", "IoU", classes)]
    if "submission" in summary:
        submission = summary["submission"]
        lines += ["", f"`{submission['path']}` for the server {submission['server']}:", ""]
        lines += [f"- {kind}: {text}" for kind in ("problems", "warnings") for text in submission[kind]] or ["- valid"]
    lines += [line for note in summary["notes"] for line in ("", f"Note: {note}.")]
    return "\n".join(lines).rstrip() + "\n"


def model_index(summary: Mapping[str, Any]) -> str:
    """The metadata of a model's card that says these results, as YAML."""
    from huggingface_hub import ModelCardData

    from .results_file import eval_results

    name = str(summary["settings"]["model"] or "model").rstrip("/").rsplit("/", 1)[-1]
    return ModelCardData(model_name=name, eval_results=eval_results(dict(summary))).to_yaml() + "\n"


def _kind_rows(kinds: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, ...]]:
    shown = ("gIoU", "answered", "exact_count")
    return [(kind, *(percent(of[name], 1) for name in shown), str(of["sentences"])) for kind, of in kinds.items()]


def _in_percent(name: str, value: str, measures: Mapping[str, float | None]) -> list[str]:
    return markdown_table((name, value), [(each, percent(found, 2)) for each, found in measures.items()])


def _asked(summary: Mapping[str, Any]) -> str:
    settings = summary["settings"]
    parts = ["as the released code" if settings["preset"] == "paper" else "as the model's own processor"]
    if summary["task"] == "fss":
        parts.append(f"{settings['shots']} shot{'s' * (settings['shots'] > 1)}, seed {settings['seed']}")
    parts.append("no score gate" if settings["gate"] is None else f"score gate {settings['gate']:g}")
    if settings["targets"] == "all":
        parts.append("all objects of a sentence")
    if summary["task"] in ("vos", "rvos"):
        parts.append(f"references {settings['references']}")
    if summary["task"] == "rvos":
        parts.append("masks followed" if settings["propagate_text"] else "sentences alone")
    size = settings["sizes"][
        {"fss": "few_shot_size"}.get(summary["task"], "video_size" if "vos" in summary["task"] else "size")
    ]
    parts.append("size " + " ".join(f"{key.replace('_', ' ')} {value}" for key, value in size.items()))
    return ", ".join(parts)


def _value(name: str, value: float | None) -> str:
    return f"{value:.2f} objects" if name in IN_OBJECTS and value is not None else percent(value, 2)
