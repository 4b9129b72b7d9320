"""Answers with all objects are measured: their union, each of them, and their number."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from transformers_uniref.metrics import AllTargetsScores, average_precision, generalized_measures, match_objects
from transformers_uniref.worlds.drawn.generalised import GENERALISED_KINDS

UNHURRIED = settings(deadline=None, max_examples=30)
SIDE = 12


def rectangles(*corners: tuple[int, int, int, int]) -> np.ndarray:
    """x0, y0, x1, y1 each, as masks (n, SIDE, SIDE)."""
    masks = np.zeros((len(corners), SIDE, SIDE), dtype=bool)
    for mask, (x0, y0, x1, y1) in zip(masks, corners, strict=True):
        mask[y0:y1, x0:x1] = True
    return masks


@st.composite
def several(draw: st.DrawFn, most: int = 4) -> np.ndarray:
    """Up to `most` rectangles, each of a pixel or more."""
    starts = st.integers(0, SIDE - 3)
    lengths = st.integers(1, 6)
    corners = [(draw(starts), draw(starts), draw(lengths), draw(lengths)) for _ in range(draw(st.integers(0, most)))]
    return rectangles(*((x, y, x + wide, y + high) for x, y, wide, high in corners))


answers = several().flatmap(
    lambda masks: st.tuples(
        st.just(masks), st.lists(st.integers(1, 99).map(lambda n: n / 100), min_size=len(masks), max_size=len(masks))
    )
)
questions = st.lists(st.tuples(answers, several()), min_size=1, max_size=6)

LEFT, RIGHT, LOW = (0, 0, 4, 4), (7, 0, 11, 4), (0, 7, 11, 11)


# ------------------------------------------------------------------------------------------------------------- matching
def test_the_best_score_chooses_first_and_each_object_is_taken_once() -> None:
    predicted = rectangles(LEFT, (0, 0, 4, 5), RIGHT, LOW)
    assert match_objects(predicted, [0.8, 0.9, 0.7, 0.6], rectangles(LEFT, RIGHT)) == [False, True, True, False]
    assert match_objects(predicted[:1], [0.8], rectangles()) == [False]
    assert match_objects(rectangles(), [], rectangles(LEFT)) == []
    half = rectangles((0, 0, 4, 2))
    assert match_objects(half, [0.5], rectangles(LEFT)) == [True]  # an IoU of .5 counts
    assert match_objects(half, [0.5], rectangles(LEFT), threshold=0.51) == [False]
    with pytest.raises(ValueError, match="`scores` must be as many as the objects, got 1 for 2"):
        match_objects(rectangles(LEFT, RIGHT), [0.5], rectangles(LEFT))


@UNHURRIED
@given(answers, several())
def test_no_more_objects_are_right_than_there_are(answer: tuple[np.ndarray, list[float]], truth: np.ndarray) -> None:
    hits = match_objects(*answer, truth)
    assert sum(hits) <= min(len(answer[0]), len(truth))
    assert match_objects(truth, [0.5] * len(truth), truth) == [True] * len(truth)


# ---------------------------------------------------------------------------------------------------- average precision
def test_average_precision_of_known_orders() -> None:
    assert average_precision([0.9, 0.8], [True, True], 2) == 1
    # Recall .5 at precision 1 (51 recalls), then 1 at 2/3 (50 recalls).
    assert average_precision([0.9, 0.8, 0.7], [True, False, True], 2) == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert average_precision([0.9], [True], 2) == pytest.approx(51 / 101)
    assert average_precision([0.9], [False], 2) == average_precision([], [], 2) == 0
    assert average_precision([0.9], [False], 0) is None
    with pytest.raises(ValueError, match="`hits` must be as many as `scores`, got 1 and 2"):
        average_precision([0.9, 0.8], [True], 1)


@UNHURRIED
@given(st.lists(st.tuples(st.integers(0, 1000), st.booleans()), max_size=12, unique_by=lambda one: one[0]))
def test_average_precision_asks_for_order_alone_and_wrong_objects_never_help(found: list[tuple[int, bool]]) -> None:
    scores, hits = [score / 1000 for score, _ in found], [hit for _, hit in found]
    value = average_precision(scores, hits, max(sum(hits), 1))
    assert value is not None and 0 <= value <= 1
    assert average_precision([score**3 + 5 for score in scores], hits, max(sum(hits), 1)) == value
    assert average_precision(scores[::-1], hits[::-1], max(sum(hits), 1)) == value
    worse = average_precision([*scores, 0.5005], [*hits, False], max(sum(hits), 1))
    assert worse is not None and worse <= value
    last = average_precision([*scores, -1.0], [*hits, False], max(sum(hits), 1))
    assert last == value


@UNHURRIED
@given(questions)
def test_average_precision_is_that_of_coco(
    asked: list[tuple[tuple[np.ndarray, list[float]], np.ndarray]],
) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    from pycocotools.mask import encode

    scores = [score for (_, given_scores), _ in asked for score in given_scores]
    assume(len(set(scores)) == len(scores) > 0 and any(len(truth) for _, truth in asked))
    ours = AllTargetsScores()
    annotations: list[dict[str, Any]] = []
    results = []
    for number, ((masks, given_scores), truth) in enumerate(asked):
        ours.update(masks, given_scores, truth)
        for mask in truth:
            code = encode(np.asfortranarray(mask.astype(np.uint8)))
            one = {"id": len(annotations) + 1, "image_id": number, "category_id": 1, "iscrowd": 0}
            annotations.append(one | {"segmentation": code, "area": int(mask.sum()), "bbox": [0, 0, 1, 1]})
        for mask, score in zip(masks, given_scores, strict=True):
            code = encode(np.asfortranarray(mask.astype(np.uint8)))
            results.append({"image_id": number, "category_id": 1, "segmentation": code, "score": score})
    with contextlib.redirect_stdout(io.StringIO()):
        truth_index = coco.COCO()
        images = [{"id": number, "height": SIDE, "width": SIDE} for number in range(len(asked))]
        truth_index.dataset = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "it"}]}
        truth_index.createIndex()
        judge = evaluation.COCOeval(truth_index, truth_index.loadRes(results), "segm")
        judge.params.iouThrs = np.array([0.5])
        judge.evaluate()
        judge.accumulate()
    theirs = judge.eval["precision"][0, :, 0, 0, -1].mean()
    assert ours.compute()["AP@0.5"] == pytest.approx(theirs)


# ------------------------------------------------------------------------------------------------------------- together
def test_measures_of_known_answers() -> None:
    scores = AllTargetsScores()
    scores.update(rectangles(LEFT), [0.9], rectangles(LEFT))  # one, right
    scores.update(rectangles(LEFT, LOW), [0.8, 0.7], rectangles(RIGHT))  # one, two others given
    scores.update(rectangles(LEFT), [0.6], rectangles(LEFT, RIGHT))  # two, one given
    scores.update(rectangles(), [], rectangles(LEFT))  # one, denied
    scores.update(rectangles(), [], rectangles())  # none, right
    scores.update(rectangles(LOW), [0.5], rectangles())  # none, one given
    found = scores.compute()
    assert found["gIoU"] == pytest.approx((1 + 0 + 0.5 + 0 + 1 + 0) / 6)
    assert found["cIoU"] == pytest.approx((16 + 16) / (16 + (16 + 16 + 44) + 32 + 16 + 44))
    assert (found["N-acc"], found["T-acc"], found["mIoU_many"]) == (0.5, 0.75, 0.5)
    assert found["AP@0.5"] == average_precision([0.9, 0.8, 0.7, 0.6, 0.5], [True, False, False, True, False], 5)
    assert found["exact_count"] == pytest.approx(2 / 6) and found["count_error"] == pytest.approx(4 / 6)
    assert found["one_as_one"] == pytest.approx(1 / 3) and found["samples"] == 6


@UNHURRIED
@given(questions)
def test_the_truth_is_a_perfect_answer(asked: list[tuple[tuple[np.ndarray, list[float]], np.ndarray]]) -> None:
    scores = AllTargetsScores()
    for (_, _), truth in asked:
        scores.update(truth, [0.5] * len(truth), truth)
    found = scores.compute()
    assert found["gIoU"] == found["exact_count"] == 1 and found["count_error"] == 0
    assert {found[name] for name in ("cIoU", "mIoU_many", "N-acc", "T-acc", "AP@0.5", "one_as_one")} <= {1.0, None}


@UNHURRIED
@given(questions, st.randoms(use_true_random=False))
def test_neither_order_nor_processes_change_a_bit_and_unions_are_those_of_gref(
    asked: list[tuple[tuple[np.ndarray, list[float]], np.ndarray]], random: Any
) -> None:
    whole, parts = AllTargetsScores(), [AllTargetsScores() for _ in range(2)]
    for number, ((masks, scores), truth) in enumerate(asked):
        whole.update(masks, scores, truth, sample_id=str(number))
    order = list(range(len(asked)))
    random.shuffle(order)
    for number in order:
        (masks, scores), truth = asked[number]
        parts[random.randint(0, 1)].update(masks, scores, truth, sample_id=str(number))
    merged = AllTargetsScores()
    for part in parts:
        merged.load_state_dict(json.loads(json.dumps(part.state_dict())))
    found = merged.compute()
    assert found == whole.compute()
    unions = [(masks.any(0), truth.any(0)) for (masks, _), truth in asked]
    expected = generalized_measures(
        [int((one & other).sum()) for one, other in unions],
        [int((one | other).sum()) for one, other in unions],
        [not other.any() for _, other in unions],
        [not one.any() for one, _ in unions],
    )
    assert all(found[name] == pytest.approx(expected[name]) for name in ("gIoU", "cIoU", "N-acc", "T-acc"))
    counts = [(len(masks), len(truth)) for (masks, _), truth in asked]
    assert found["count_error"] == pytest.approx(np.mean([abs(one - other) for one, other in counts]))
    assert found["exact_count"] == pytest.approx(np.mean([one == other for one, other in counts]))


# ------------------------------------------------------------------------------------------------------------- commands
def test_drawn_scenes_are_measured_by_the_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    from transformers_uniref.frontends.cli.main import main

    command = ["evaluate", "--dataset", "world-generalised", "--images", "3", "--quiet"]
    assert main([*command, "--json", "--output", str(tmp_path / "run")]) == 0
    written = capsys.readouterr()
    told = json.loads(written.out)
    assert told["settings"]["targets"] == "all" and told["counts"]["pictures"] == 3
    assert 15 <= told["counts"]["answers"] <= 21
    assert list(told["measures"]) == [
        "gIoU", "cIoU", "N-acc", "T-acc", "mIoU_many", "AP@0.5", "exact_count", "count_error", "one_as_one"
    ]  # fmt: skip
    assert all(0 <= value <= 1 for name, value in told["measures"].items() if name != "count_error")
    assert (
        f"{told['measures']['count_error']:.2f} objects" in written.err and "all objects of a sentence" in written.err
    )
    kinds = told["details"]["kinds"]
    assert set(kinds) <= set(GENERALISED_KINDS) and {"one", "absent"} <= set(kinds) and "near-absent" in written.err
    assert sum(of["sentences"] for of in kinds.values()) == told["counts"]["answers"]
    for name in ("gIoU", "exact_count"):
        mean = sum(of[name] * of["sentences"] for of in kinds.values()) / told["counts"]["answers"]
        assert mean == pytest.approx(told["measures"][name])
    assert "| near-absent |" in (tmp_path / "run" / "summary.md").read_text()
    import pyarrow.parquet as pq

    samples = pq.read_table(tmp_path / "run" / "samples.parquet").to_pylist()
    assert {min(sample["objects"], 2) for sample in samples} == {0, 1, 2}
    errors = [abs(sample["objects"] - sample["objects_found"]) for sample in samples]
    assert np.mean(errors) == pytest.approx(told["measures"]["count_error"])
    assert main([*command, "--targets", "one", "--limit", "1", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["measures"]) >= {"gIoU", "P@0.7"}
    for more, message in (
        (["--source", "here"], "--source does not go with --dataset world-generalised"),
        (["--clips", "3"], "--clips does not go with --dataset world-generalised"),
        (["--split", "train"], "test, validation"),
    ):
        assert main([*command, *more]) == 2
        assert message in capsys.readouterr().err


def test_all_objects_are_for_sentences_that_may_mean_many(capsys: pytest.CaptureFixture[str]) -> None:
    from transformers_uniref.frontends.cli.main import main

    assert main(["evaluate", "--targets", "all"]) == 2
    assert "--targets does not go with --dataset world" in capsys.readouterr().err
    assert main(["evaluate", "--dataset", "refcoco", "--source", ".", "--targets", "all"]) == 2
    assert "--targets must be left out for refcoco; grefcoco, world-generalised, photos have it" in (
        capsys.readouterr().err
    )


class Oracle:
    """Answers with the objects that are meant; of sentences in `lost` with the first alone."""

    def __init__(self, rows: Any, lost: tuple[str, ...] = ()) -> None:
        from transformers_uniref.datasets.schema import Record

        self.lost = lost
        self.truth: dict[Any, list[np.ndarray]] = {}
        for index in range(len(rows.sample_ids)):
            record = Record(rows.row(index))
            image = record.image()
            for sentence in record.sentences:
                masks = [record.union([number], 0, image.shape[:2]) for number in sentence.object_ids]
                self.truth[image.tobytes(), sentence.text] = masks

    def to_all_targets(self, images: Any, texts: Any, threshold: float | None) -> Any:
        from transformers_uniref.inference.results import SegmentedObject

        assert threshold == 0.5
        return [
            [
                [SegmentedObject(mask, score=0.9) for mask in self.truth[image.tobytes(), text]][
                    : 1 if text in self.lost else None
                ]
                for text in asked
            ]
            for image, asked in zip(images, texts, strict=True)
        ]


def test_sentences_of_drawn_scenes_and_of_photographs_are_compared_with_each_object(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    from photograph_support import write_coco
    from transformers_uniref.evaluation.benchmarks import BENCHMARKS
    from transformers_uniref.evaluation.image_blocks import PictureQuestions
    from transformers_uniref.evaluation.photo_rows import PhotoRows
    from transformers_uniref.evaluation.question_settings import QuestionSettings
    from transformers_uniref.evaluation.world_rows import DrawnRows

    folder = write_coco(tmp_path / "coco", pictures=4)
    document = json.loads((folder / "instances.json").read_text())
    sentences = []
    for image in document["images"]:
        ids = [one["id"] for one in document["annotations"] if one["image_id"] == image["id"]]
        sentences.append({"image_id": image["id"], "text": "every", "annotation_ids": ids})
        sentences.append({"image_id": image["id"], "text": "no", "annotation_ids": []})
    (folder / "sentences.json").write_text(json.dumps(sentences))
    settings = QuestionSettings(None, 0.5, True, "both", 1, 0, {}, "all")

    def measured(name: str, rows: Any, lost: tuple[str, ...] = ()) -> dict[str, Any]:
        questions = PictureQuestions(BENCHMARKS[name], rows, Oracle(rows, lost), settings)  # type: ignore[arg-type]
        state = questions.measure(range(len(rows.sample_ids)))["state"]
        return AllTargetsScores().load_state_dict(state).compute()

    drawn = measured("world-generalised", DrawnRows(images=4, size=64))
    assert drawn["gIoU"] == drawn["AP@0.5"] == drawn["N-acc"] == drawn["one_as_one"] == 1 and drawn["samples"] > 20
    photos = PhotoRows(folder)
    assert measured("photos", photos)["exact_count"] == 1
    counts = [len(list(entry["annotation_ids"])) for entry in sentences if entry["text"] == "every"]
    lost = measured("photos", photos, lost=("every",))
    assert lost["count_error"] == pytest.approx(sum(max(n - 1, 0) for n in counts) / (2 * len(photos.sample_ids)))
    found = sum(n > 0 for n in counts)
    assert lost["AP@0.5"] == pytest.approx(average_precision([1.0] * found, [True] * found, sum(counts)))
