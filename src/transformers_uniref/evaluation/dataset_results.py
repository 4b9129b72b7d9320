"""From the blocks of a run to its measures, and to the files that say them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.atomic import replacing
from ..core.json_writing import to_json
from ..core.version import __version__
from ..datasets.parquet_shards import arrow
from ..metrics.video_scores import VideoScores
from .benchmarks import Benchmark
from .case_pictures import draw_cases
from .dataset_report import markdown_report, model_index
from .evaluated_rows import Rows
from .image_blocks import image_scores
from .mask_scoring import mean_of_annotators
from .question_settings import QuestionSettings
from .submission_zip import pack_submission

NOT_MEASURES = ("objects", "frames", "sequences", "annotators", "samples", "classes")
SUBMISSION = "submission.zip"

Merged = tuple[dict[str, Any], list[dict[str, Any]]]
"""What all blocks together say in a summary, and the samples."""


@dataclass(frozen=True)
class Results:
    """What results are of.

    Attributes:
        benchmark, split, settings: see `evaluate_dataset`.
        scored: whether answers are public.
        weights: their digest.
        model_name: None where it is not known.
        samples: how many were asked about.
        of_samples: how many the split has.
    """

    benchmark: Benchmark
    split: str
    scored: bool
    settings: QuestionSettings
    weights: str
    model_name: str | None
    samples: int
    of_samples: int

    def heading(self) -> dict[str, Any]:
        """The fields of a summary that say what was done."""
        return {
            "kind": "dataset",
            "dataset": self.benchmark.name,
            "title": self.benchmark.title,
            "split": self.split,
            "task": self.benchmark.family,
            "protocol": self.benchmark.protocols[0] if self.benchmark.protocols else self.benchmark.family,
            "settings": self.settings.to_dict()
            | {"model": self.model_name, "weights": self.weights, "version": __version__}
            | {"samples": self.samples, "of_samples": self.of_samples},
        }


def gather_results(
    of: Results,
    blocks: Sequence[Mapping[str, Any]],
    rows: Rows,
    folder: Path,
    *,
    unseen: Collection[str] | None = None,
    keeps: bool = True,
    progress: bool = False,
) -> dict[str, Any]:
    """Merges all blocks, computes the measures and writes the files of a run, if it `keeps` any.

    Args:
        of: what the results are of.
        blocks: in their order, see `PictureQuestions.measure` and `ClipQuestions.measure`.
        rows: of the split, for pictures of cases.
        folder: of the run, with the masks of clips.
        unseen, keeps, progress: see `evaluate_dataset`, which also says what is returned.
    """
    merged, samples = _merge_clips(of, blocks, unseen) if of.benchmark.is_video else _merge_pictures(of, blocks)
    summary = of.heading() | merged
    if of.samples < of.of_samples:
        summary["notes"].append(f"the first {of.samples} of {of.of_samples} samples alone: no result of the split")
    if not keeps:
        return summary
    if not of.scored and of.benchmark.server is not None:
        path = folder / SUBMISSION
        report = pack_submission(folder / "masks", path, of.benchmark.server, blocks, progress)
        summary["submission"] = report.to_dict() | {"path": SUBMISSION}
    _write_samples(samples, folder / "samples.parquet")
    if of.scored:
        draw_cases(of.benchmark, samples, rows, folder)
    texts = {"model-index.yml": model_index(summary)} if of.scored else {}
    texts["summary.md"] = markdown_report(summary)
    # The last: who finds it finds all the others.
    texts["summary.json"] = to_json(summary, indent=2, ensure_ascii=False) + "\n"
    for name, text in texts.items():
        with replacing(folder / name) as partial:
            partial.write_text(text, encoding="utf-8")
    return summary


def _split_measures(found: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The measures, and what else was computed."""
    measures = {name: value for name, value in found.items() if name not in NOT_MEASURES}
    return measures, {name: value for name, value in found.items() if name in NOT_MEASURES and name != "samples"}


# ------------------------------------------------------------------------------------------------------------- pictures
def _merge_pictures(of: Results, blocks: Sequence[Mapping[str, Any]]) -> Merged:
    scores = image_scores(of.benchmark, of.settings.targets)
    samples: list[dict[str, Any]] = []
    for block in blocks:
        scores.load_state_dict(block["state"])
        samples += block["samples"]
    measures, details = _split_measures(scores.compute())
    if kinds := sorted({sample["kind"] for sample in samples if "kind" in sample}):
        details["kinds"] = {kind: _of_kind([one for one in samples if one["kind"] == kind]) for kind in kinds}
    counts = {"pictures": len({sample["row"] for sample in samples}), "answers": len(samples)}
    return {"counts": counts, "measures": measures, "further": {}, "details": details, "notes": []}, samples


def _of_kind(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of the sentences of one kind: gIoU, the shares that have an answer and the right number of objects, how many."""
    n = len(samples)
    return {
        # A sample that means nothing has IoU 1 without an answer, and 0 with one.
        "gIoU": sum(sample["iou"] for sample in samples) / n,
        "answered": sum(sample["objects_found"] > 0 for sample in samples) / n,
        "exact_count": sum(sample["objects_found"] == sample["objects"] for sample in samples) / n,
        "sentences": n,
    }


# ---------------------------------------------------------------------------------------------------------------- clips
def _merge_clips(of: Results, blocks: Sequence[Mapping[str, Any]], unseen: Collection[str] | None) -> Merged:
    counts = {
        "clips": len(blocks),
        "masks": sum(len(frames) for block in blocks for frames in block["frames"].values()),
        "masks_with_a_pixel": sum(block["filled"] for block in blocks),
    }
    if not of.scored:
        where = "only the benchmark's server knows the answers"
        notes = [f"nothing was measured: {where}; {'upload ' + SUBMISSION if of.benchmark.server else 'see masks'}"]
        samples = [
            {"sample": block["clip"], "row": block["row"], "masks_with_a_pixel": block["filled"]} for block in blocks
        ]
        return {"counts": counts, "measures": {}, "further": {}, "details": {}, "notes": notes}, samples
    scores: dict[str, dict[str, VideoScores]] = {}
    for block in blocks:
        for key, state in block["states"].items():
            protocol, annotator = key.split("/")
            of_protocol = scores.setdefault(protocol, {})
            one = of_protocol.setdefault(annotator, VideoScores(of.benchmark.rules(protocol)))
            one.load_state_dict(state)
    found = {protocol: {name: one.compute(unseen) for name, one in by.items()} for protocol, by in scores.items()}
    first = of.benchmark.protocols[0]
    summaries = {name: by[""] if "" in by else mean_of_annotators(by) for name, by in found.items()}
    measures, details = _split_measures(summaries[first])
    further = {name: _split_measures(summary)[0] for name, summary in summaries.items() if name != first}
    counts |= {"objects": summaries[first]["objects"], "judged_masks": summaries[first]["frames"]}
    notes = []
    if of.benchmark.rules(first).groups and unseen is None:
        notes.append("G needs the unseen categories (`unseen`); J and F are means over all objects")
    if of.benchmark.rules(first).ignores_void:
        notes.append(
            "the built data set has no void pixels (255): for a published number score the folder masks against the "
            f"original annotations: `predictions` masks, `annotations` DIR, `protocol` {first}"
        )
    rows = {block["clip"]: block["row"] for block in blocks}
    return {"counts": counts, "measures": measures, "further": further, "details": details, "notes": notes}, [
        _clip_sample(clip, number, annotator, values, rows)
        for annotator, result in found[first].items()
        for clip, of_clip in result["sequences"].items()
        for number, values in of_clip["objects"].items()
    ]


def _clip_sample(clip: str, number: str, annotator: str, values: Mapping[str, Any], rows: Mapping[str, int]) -> dict:
    name, _, sentence = clip.partition("/")
    sample = {"sample": f"{clip}/{number}" + (f"@{annotator}" if annotator else ""), "row": rows[name], "clip": name}
    return {**sample, "sentence": sentence, "annotator": annotator, "object": int(number), **values}


def _write_samples(samples: list[dict[str, Any]], path: Path) -> None:
    pa, pq = arrow("writing")
    with replacing(path) as partial:
        pq.write_table(pa.Table.from_pylist(samples), partial, compression="zstd")
