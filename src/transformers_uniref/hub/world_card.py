"""The card of a model trained on the procedural world, from its evaluation and its training configuration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from huggingface_hub import ModelCard

from ..core.families import PIPELINE_CLASSES
from .card_code import WORLD_CODE
from .cards import card_metadata, read_template

# What the project asks of its bundled default: (label, section, key, bound, whether less is better).
WANTED = [
    ("RIS mIoU", "ris", "miou", 0.84, False),
    ("RIS oIoU", "ris", "oiou", 0.78, False),
    ("RIS right object chosen", "ris", "right_object", 0.90, False),
    ("FSS mIoU, named shapes, 1 example", "fss", "miou_1shot", 0.76, False),
    ("FSS mIoU, named shapes, 3 examples", "fss", "miou_3shot", 0.82, False),
    ("FSS mIoU, shapes never trained on, 1 example", "fss", "novel_miou_1shot", 0.68, False),
    ("VOS J&F", "vos", "jf", 0.92, False),
    ("RVOS J&F, sentence alone", "rvos", "jf_text", 0.80, False),
    ("RVOS J&F, sentence + propagated mask", "rvos", "jf_text_mask", 0.83, False),
    ("nonsense sentence, mIoU", "sanity", "empty_text_miou", 0.40, True),
    ("empty example mask, mIoU", "sanity", "empty_mask_miou", 0.40, True),
    ("sentence exchanged: mask moves to the other object", "sanity", "swap_rate", 0.85, False),
    ("wrong mask, right sentence: recovered within 4 frames", "sanity", "conflict_recovery", 0.50, False),
    ("object absent: empty mask", "sanity", "absent_empty", 0.85, False),
    ("object present: non-empty mask", "sanity", "present_nonempty", 0.95, False),
]


def measured_table(evaluation: dict[str, Any]) -> tuple[str, list[str]]:
    """A Markdown table of an evaluation (the JSON of `uniref evaluate`) and the labels of the rows that fall short."""
    lines = ["| measure | wanted | measured |", "|---|---|---|"]
    short = []
    for label, section, key, bound, less in WANTED:
        value = evaluation[section][key]
        if (value > bound) if less else (value < bound):
            short.append(label)
        lines.append(f"| {label} | {'at most' if less else 'at least'} {bound:.2f} | {value:.3f} |")
    return "\n".join(lines), short


def real_clips_table(scores: dict[str, Any]) -> str:
    """A Markdown table of the JSON of `benchmarks/real_clips.py`: J, F and J&F of each clip by each method."""
    methods = list(scores["mean"])
    lines = [
        "| clip | " + " | ".join(f"{method}: J / F / J&F" for method in methods) + " |",
        "|---" * (len(methods) + 1) + "|",
    ]
    for clip, of_clip in {**scores["sequences"], "mean": scores["mean"]}.items():
        cells = [" / ".join(f"{of_clip[method][key]:.3f}" for key in ("J", "F", "J&F")) for method in methods]
        lines.append(f"| {clip} | {' | '.join(cells)} |")
    reached, kept = scores["mean"]["model"]["J"], scores["mean"]["first mask kept"]["J"]
    if reached <= kept:
        lines += [
            "",
            f"**In the mean this is no better than repeating the first mask** (J {reached:.3f} and {kept:.3f}).",
        ]
    return "\n".join(lines)


MeasuredRow = tuple[str, str, str, bool]
"""What was measured, what was wanted, what was reached, whether that is enough."""


def rows_table(rows: Sequence[MeasuredRow]) -> str:
    """A Markdown table of measures."""
    lines = [f"| {measure} | {wanted} | {reached} |" for measure, wanted, reached, _ in rows]
    return "\n".join(["| measure | wanted | measured |", "|---|---|---|", *lines])


def render_world_card(
    name: str,
    evaluation: dict[str, Any],
    *,
    training: str,
    parameters: int,
    text_length: int,
    vocabulary: int,
    seed: int,
    images: int,
    clips: int,
    real_clips: dict[str, Any] | None = None,
    photographs: Sequence[MeasuredRow] = (),
    further: Sequence[MeasuredRow] = (),
) -> str:
    """The model card as Markdown.

    Args:
        name: of the model.
        evaluation: the JSON of `uniref evaluate --dataset world --json`; it also becomes the card's `model-index`.
        training: one or more paragraphs on how the weights came about.
        parameters: number of weights.
        text_length: longest sentence in tokens.
        vocabulary: number of WordPieces.
        seed: of the evaluation.
        images: number of images evaluated.
        clips: number of clips evaluated.
        real_clips: the JSON of `benchmarks/real_clips.py`, for a model that was also trained on clips from a camera.
        photographs: for a model that was trained on photographs, what was measured on others.
        further: what was measured of all objects, of pointing and of sounds.
    """
    table, short = measured_table(evaluation)
    short = [measure for measure, _, _, is_enough in (*photographs, *further) if not is_enough] + short
    settings = {"dataset": "world", "split": "test", "seed": seed, "images": images, "clips": clips}
    measured = {**evaluation, "settings": {**settings, **evaluation.get("settings", {})}}
    data = card_metadata(
        tasks=list(PIPELINE_CLASSES), license="apache-2.0", name=name, evaluation=measured, language="en"
    )
    card = ModelCard.from_template(
        data,
        template_str=read_template("world_card.md"),
        name=name,
        table=table,
        shortfall=f"**Short of what is wanted:** {'; '.join(short)}." if short else "Every row is met.",
        training=training,
        parameters=f"{parameters / 1e6:.1f}",
        text_length=text_length,
        vocabulary=vocabulary,
        seed=seed,
        images=images,
        clips=clips,
        code=WORLD_CODE,
        real_clips=real_clips_table(real_clips) if real_clips else "",
        photographs=rows_table(photographs) if photographs else "",
        further=rows_table(further) if further else "",
    )
    return f"{str(card).rstrip()}\n"
