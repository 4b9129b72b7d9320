"""How a model is asked on a benchmark: its own way, or that of the released code."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..core.errors import UsageError
from ..core.near_names import did_you_mean
from ..core.score_gate import check_threshold, gate_of
from ..processors.all_targets import Targets, check_targets
from .benchmarks import BENCHMARKS, MANY_OR_NONE, PRESETS, RELEASED_SIZES, Benchmark


@dataclass(frozen=True)
class QuestionSettings:
    """All that changes answers, beside the model and the data.

    Attributes:
        preset: "paper", or None for the model's own settings.
        gate: an answer whose score is not above it counts as empty; None for no gate.
        propagate_text: whether what a sentence has found becomes a reference in later frames.
        references: which annotated frames a session keeps: "both", "first" or "previous".
        shots: examples of a few-shot question.
        seed: draws the examples.
        sizes: size rules of the image processor.
        targets: "one", the best object of a sentence, or "all": none, one or many.
    """

    preset: str | None
    gate: float | None
    propagate_text: bool
    references: str
    shots: int
    seed: int
    sizes: Mapping[str, Any]
    targets: Targets = "one"

    def to_dict(self) -> dict[str, Any]:
        """For files."""
        return asdict(self)


def settings_for(
    benchmark: Benchmark,
    model: Any,
    processor: Any,
    preset: str | None = None,
    threshold: float | None = None,
    shots: int | None = None,
    seed: int = 0,
    targets: Targets | None = None,
) -> QuestionSettings:
    """The settings of a run.

    Args:
        benchmark, model, processor: what is asked, and who.
        preset: "paper" asks as the released code does (sizes, score gate, references); None as the model itself does.
        threshold: replaces the score gate; 0 for none.
        shots, seed: the number of examples, and what draws them.
        targets: "one" or "all"; default: the benchmark's.

    Raises:
        ValueError: an unknown preset, one that the benchmark does not have, a number out of its range, or a model that
            cannot be asked in this way.
    """
    _check_model(benchmark, model, processor)
    if preset not in (None, *PRESETS):
        hint = did_you_mean(preset, PRESETS)
        raise UsageError(f"`preset` must be one of {', '.join(PRESETS)}, or left out, got {preset!r}{hint}")
    check_threshold(threshold)
    if shots is not None and (shots < 1 or benchmark.family != "fss"):
        wanted = "at least 1" if benchmark.family == "fss" else f"left out for {benchmark.name}, which has no examples"
        raise UsageError(f"`shots` must be {wanted}, got {shots}")
    if targets is not None:
        check_targets(targets)
        if benchmark.family not in MANY_OR_NONE:
            known = ", ".join(name for name, other in BENCHMARKS.items() if other.family in MANY_OR_NONE)
            raise UsageError(f"`targets` must be left out for {benchmark.name}; {known} have it, got {targets!r}")
    sizes = {name: dict_of(getattr(processor.image_processor, name)) for name in RELEASED_SIZES}
    asked = targets or benchmark.targets
    gate: float | None = {
        "gris": processor.picture_gate(asked),
        "photos": processor.picture_gate(asked),
        "vos": processor.vos_score_threshold,
        "rvos": processor.rvos_score_threshold,
        "uvos": processor.rvos_score_threshold,
    }.get(benchmark.family)
    released = benchmark.released
    is_sam = model.config.model_type == "uniref_sam"
    if preset == "paper":
        if released is None:
            known = ", ".join(name for name, other in BENCHMARKS.items() if other.released is not None)
            raise UsageError(f"`preset` paper knows {known}; not {benchmark.name}, which was not measured there")
        gate = released.gate
        # The SAM variant keeps its square of 1024 pixels.
        sizes = sizes if is_sam else {name: dict(rule) for name, rule in RELEASED_SIZES.items()}
    # As released, only the SAM variant follows the masks of sentences in Ref-DAVIS.
    follows = is_sam or preset is None or released is None or released.propagate_text
    return QuestionSettings(
        preset,
        gate_of(threshold, gate),
        follows,
        "both" if released is None else released.references,
        shots or (1 if released is None else released.shots),
        seed,
        sizes,
        asked,
    )


def processor_with(processor: Any, settings: QuestionSettings) -> Any:
    """A copy of the processor that resizes, and cuts masks, as the settings say; the one given stays as it is."""
    changed = copy.copy(processor)
    changed.image_processor = copy.copy(processor.image_processor)
    if settings.preset == "paper":
        changed.video_mask_threshold = 0.5
        changed.image_processor.enlarged_to = None
    for name, rule in settings.sizes.items():
        setattr(changed.image_processor, name, changed.image_processor.as_size(dict(rule), name))
    return changed


def dict_of(rule: Any) -> dict[str, int]:
    """A size rule without what it leaves open."""
    return {key: value for key, value in dict(rule).items() if value is not None}


def _check_model(benchmark: Benchmark, model: Any, processor: Any) -> None:
    kind = getattr(getattr(model, "config", None), "model_type", type(model).__name__)
    if kind not in ("uniref", "uniref_sam"):
        raise UsageError(f"`model` must be a UniRef model, got one of type {kind!r}")
    if benchmark.asks_with_sentences and (processor.tokenizer is None or not model.config.use_language_references):
        raise UsageError(f"`model` must read sentences for {benchmark.name}, this one does not")
    if benchmark.family in ("everything", "uvos") and kind == "uniref_sam":
        raise UsageError(f"`model` must find objects without a reference for {benchmark.name}, UniRef-SAM does not")
    if benchmark.family == "everything":
        return
    if not benchmark.asks_with_sentences and not model.config.use_mask_references:
        raise UsageError(f"`model` must read annotated examples for {benchmark.name}, this one does not")
