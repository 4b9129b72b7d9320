"""The dataset card of an annotation: where masks are from, how they were asked for, what was skipped."""

from __future__ import annotations

from collections.abc import Mapping

from ..core.provenance import hub_id
from ..core.version import __version__
from .plan import Plan
from .settings import AnnotationSettings
from .source import Source

LISTED = 50
"""Skipped rows that the card names; every shard names its own in its metadata."""


def annotation_card(
    source: Source,
    settings: AnnotationSettings,
    plan: Plan,
    counts: Mapping[str, int],
    bad: Mapping[str, str],
    model_name: str,
) -> str:
    """The text of `README.md`, which names input and model as others can look them up, and no path of this machine."""
    origin = f"\nsource_datasets: [{source.name}]" if hub_id(source.name) else ""
    model = f"\nbase_model: {model_name}" if hub_id(model_name) else ""
    asked = []
    if settings.text_column is not None:
        asked.append(f"the sentences in its column `{settings.text_column}`")
    if settings.reference_images:
        asked.append(f"{len(settings.reference_images)} annotated example(s), the same for every row")
    if settings.targets == "all":
        asked.append("all objects that they mean, none, one or many")
    gate = "the model's own"
    if settings.threshold is not None:
        gate = f"scores above {settings.threshold} count" if settings.threshold else "every sentence gets a mask"
    pictures = (
        "Pictures are in `frames`."
        if settings.copy_images
        else "Pictures are not included; `sample_id` leads back to the row of the source."
    )
    return f"""---
pretty_name: {source.name.rsplit("/", 1)[-1]}, annotated
task_categories: [image-segmentation]
tags: [transformers_uniref, machine-generated]{origin}{model}
configs:
  - config_name: default
    data_files:
      - split: {source.split}
        path: data/{source.split}-*.parquet
---

# {source.name}, annotated

Masks, scores and boxes that a model predicted for the split `{source.split}` of {source.name}, with `uniref annotate`
of transformers_uniref {__version__}. Nobody has checked them. Pictures and sentences keep the licence of their source.

- Model: {model_name or "not named"}
- Asked for: {" and ".join(asked)}
- Gates: {gate}; a pixel belongs to an object where its probability is above {settings.mask_threshold}

## Content

| split | rows | sentences | objects | rows of the source | skipped |
|---|---|---|---|---|---|
| {source.split} | {counts["rows"]:,} | {counts["sentences"]:,} | {counts["objects"]:,} | {plan.rows:,} | {len(bad):,} |

Columns are those of `transformers_uniref/datasets/schema.py`; masks are COCO run lengths, boxes of `instances` enclose
their masks. {pictures}

`predictions` holds an entry for each answer (one a sentence, or one for the examples, unless all objects were asked
for): `text`, `score` (0 to 1), `box` (x0, y0, x1, y1 in pixels, as the model predicts it) and `object_id`, 0 where the
mask is empty.

## Skipped

{_skipped(bad)}
"""


def _skipped(bad: Mapping[str, str]) -> str:
    if not bad:
        return "No row was skipped."
    lines = [f"- `{sample_id}`: {reason}" for sample_id, reason in list(bad.items())[:LISTED]]
    if len(bad) > LISTED:
        lines.append(f"- and {len(bad) - LISTED:,} more")
    return "\n".join(lines)
