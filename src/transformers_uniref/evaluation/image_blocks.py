"""Asking about pictures of a data set, and what of the answers is kept."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.errors import UsageError
from ..core.mask_codes import encode_rle
from ..core.score_gate import passes
from ..datasets.schema import Record, Sentence
from ..inference.results import SegmentedObject
from ..metrics import (
    AllTargetsScores,
    FewShotScores,
    GeneralizedReferringScores,
    PhotographScores,
    ProposalScores,
    ReferringScores,
)
from ..metrics.accumulator import Accumulator
from ..processors.all_targets import Targets
from .benchmarks import Benchmark
from .evaluated_rows import Rows, check_asked
from .model_answers import ModelAnswers
from .question_settings import QuestionSettings

BLOCK_ROWS = 32
"""Pictures that are measured, and kept, together."""

SENTENCES_AT_ONCE = 16
"""Fewer than `inference.pictures` takes: another number would round published scores differently."""


def image_scores(benchmark: Benchmark, targets: Targets = "one") -> Accumulator:
    """An empty accumulator of the benchmark's measures, or of those of answers with all objects."""
    if targets == "all":
        return AllTargetsScores()
    kinds: dict[str, type[Accumulator]] = {
        "ris": ReferringScores,
        "gris": GeneralizedReferringScores,
        "photos": PhotographScores,
        "fss": FewShotScores,
        "everything": ProposalScores,
    }
    return kinds[benchmark.family]()


class PictureQuestions:
    """The questions of a data set of pictures. `rows` are all of the split: examples are drawn from them."""

    def __init__(self, benchmark: Benchmark, rows: Rows, answers: ModelAnswers, settings: QuestionSettings) -> None:
        self.benchmark, self.rows, self.answers, self.settings = benchmark, rows, answers, settings
        self._by_category: dict[str, list[int]] = {}
        if benchmark.family == "fss":
            self._categories = rows.categories()
            for index, category in enumerate(self._categories):
                self._by_category.setdefault(category, []).append(index)

    def measure(self, indices: Sequence[int]) -> dict[str, Any]:
        """Asks about some rows: as plain JSON values `samples`, one for each answer, and the accumulator's `state`.

        Raises:
            ValueError: a row that cannot be asked about; it is named.
        """
        scores = image_scores(self.benchmark, self.settings.targets)
        samples: list[dict[str, Any]] = []
        ask = {"fss": self._ask_example, "everything": self._ask_everything}.get(
            self.benchmark.family, self._ask_sentences
        )
        for index in indices:
            samples += ask(index, scores)
        return {"samples": samples, "state": scores.state_dict()}

    def _gated(self, answer: SegmentedObject) -> np.ndarray:
        return answer.mask if passes(answer.score, self.settings.gate) else np.zeros_like(answer.mask)

    def _ask_everything(self, index: int, scores: Any) -> list[dict[str, Any]]:
        record = Record(self.rows.row(index))
        image = record.image()
        size = image.shape[:2]
        (found,) = self.answers.to_everything([image])
        found = [one for one in found if passes(one.score, self.settings.gate)]
        predicted = _stacked([one.mask for one in found], size)
        shown = [record.union([number], 0, size) for number in record.instances]
        truth = _stacked([mask for mask in shown if mask.any()], size)
        scores.update(predicted, [one.score for one in found], truth, sample_id=record.sample_id)
        best = max((one.score for one in found), default=0.0)
        united = np.logical_or.reduce(predicted), np.logical_or.reduce(truth)
        counts = {"objects": len(truth), "objects_found": len(predicted)}
        return [_sample(record.sample_id, index, *united, best) | counts]

    # -------------------------------------------------------------------------------------------------------- sentences
    def _ask_sentences(self, index: int, scores: Any) -> list[dict[str, Any]]:
        row = self.rows.row(index)
        record, kinds = Record(row), row.get("sentence_kinds")
        sentences = [(place, sentence) for place, sentence in enumerate(record.sentences) if sentence.labelled]
        check_asked(record, [sentence for _, sentence in sentences])
        image = record.image()
        samples = []
        for start in range(0, len(sentences), SENTENCES_AT_ONCE):
            asked = sentences[start : start + SENTENCES_AT_ONCE]
            if self.settings.targets == "all":
                for sample, (place, _) in zip(
                    self._ask_for_all(record, index, image, asked, scores), asked, strict=True
                ):
                    samples.append(sample if kinds is None else sample | {"kind": kinds[place]})
                continue
            (found,) = self.answers.to_sentences([image], [[sentence.text for _, sentence in asked]])
            for (place, sentence), answer in zip(asked, found, strict=True):
                target = self._target(record, sentence, image.shape[:2])
                name = f"{record.sample_id}#{place}"
                if self.benchmark.family == "photos":
                    predicted, passed = answer.mask, passes(answer.score, self.settings.gate)
                    scores.update(predicted, passed, target, len(sentence.object_ids), sample_id=name)
                else:
                    predicted = self._gated(answer)
                    scores.update(predicted, target, sample_id=name)
                samples.append(
                    _sample(name, index, predicted, target, answer.score)
                    | {"sentence": sentence.text, "sentence_id": sentence.source_id}
                )
        return samples

    def _ask_for_all(
        self, record: Record, index: int, image: np.ndarray, asked: Sequence[tuple[int, Sentence]], scores: Any
    ) -> list[dict[str, Any]]:
        texts = [sentence.text for _, sentence in asked]
        (found,) = self.answers.to_all_targets([image], [texts], self.settings.gate)
        size = image.shape[:2]
        samples = []
        for (place, sentence), objects in zip(asked, found, strict=True):
            predicted = _stacked([one.mask for one in objects], size)
            # An object without a pixel of its own in the picture cannot be found.
            meant = [record.union([number], 0, size) for number in sentence.object_ids]
            truth = _stacked([mask for mask in meant if mask.any()], size)
            name = f"{record.sample_id}#{place}"
            scores.update(predicted, [one.score for one in objects], truth, sample_id=name)
            best = max((one.score for one in objects), default=0.0)
            samples.append(
                _sample(name, index, np.logical_or.reduce(predicted), np.logical_or.reduce(truth), best)
                | {"sentence": sentence.text, "sentence_id": sentence.source_id}
                | {"objects": len(truth), "objects_found": len(predicted)}
            )
        return samples

    def _target(self, record: Record, sentence: Sentence, size: tuple[int, int]) -> np.ndarray:
        if not sentence.object_ids and self.benchmark.family == "ris":
            raise UsageError(
                f"`dataset` has a sentence that means nothing, {sentence.text!r} of {record.sample_id}, which "
                f"{self.benchmark.name} has not (grefcoco has)"
            )
        return record.union(sentence.object_ids, 0, size)

    # --------------------------------------------------------------------------------------------------------- examples
    def examples_of(self, index: int) -> list[int]:
        """The rows that are shown as examples for one: of its category, never itself, drawn by seed and sample id.

        Raises:
            ValueError: the category has too few.
        """
        category, name = self._categories[index], self.rows.sample_ids[index]
        if self.settings.shots == 1 and index in (fixed := getattr(self.rows, "examples", {})):
            return [fixed[index]]
        others = [other for other in self._by_category[category] if other != index]
        if len(others) < self.settings.shots:
            raise UsageError(
                f"`shots` must be at most {len(others)} for {name}, whose class {category!r} has no more pictures, got "
                f"{self.settings.shots}"
            )
        return random.Random(f"{self.settings.seed}/{name}").sample(others, self.settings.shots)

    def _ask_example(self, index: int, scores: Any) -> list[dict[str, Any]]:
        query = Record(self.rows.row(index))
        chosen = self.examples_of(index)
        shown = [Record(self.rows.row(other)) for other in chosen]
        pictures = [record.image() for record in shown]
        category = self._categories[index]
        masks = [_of_category(record, category, p.shape[:2]) for record, p in zip(shown, pictures, strict=True)]
        image = query.image()
        (answer,) = self.answers.to_examples([image], [pictures], [masks])  # type: ignore[list-item]
        target = _of_category(query, category, image.shape[:2])
        predicted = self._gated(answer)
        scores.update(predicted, target, category, sample_id=query.sample_id)
        examples = [self.rows.sample_ids[other] for other in chosen]
        sample = _sample(query.sample_id, index, predicted, target, answer.score)
        return [sample | {"category": category, "examples": examples}]


def _stacked(masks: Sequence[np.ndarray], size: tuple[int, ...]) -> np.ndarray:
    return np.stack(masks) if masks else np.zeros((0, *size), dtype=bool)


def _of_category(record: Record, category: str, size: tuple[int, int]) -> np.ndarray:
    return record.union([n for n, instance in record.instances.items() if instance.category == category], 0, size)


def _sample(name: str, row: int, predicted: np.ndarray, target: np.ndarray, score: float) -> dict[str, Any]:
    intersection, union = int((predicted & target).sum()), int((predicted | target).sum())
    return {
        "sample": name,
        "row": row,
        "intersection": intersection,
        "union": union,
        "iou": intersection / union if union else 1.0,
        "score": float(score),
        "prediction": encode_rle(predicted),
    }
