"""Folders of photographs measured as they are: by sentences, by class names, and by an example of the class."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("datasets")

from photograph_support import write_ade, write_coco  # noqa: E402
from transformers_uniref.datasets.schema import Record  # noqa: E402
from transformers_uniref.evaluation import photo_rows  # noqa: E402
from transformers_uniref.evaluation.benchmarks import BENCHMARKS  # noqa: E402
from transformers_uniref.evaluation.image_blocks import PictureQuestions  # noqa: E402
from transformers_uniref.evaluation.photo_rows import PhotoPairRows, PhotoRows  # noqa: E402
from transformers_uniref.evaluation.question_settings import QuestionSettings  # noqa: E402
from transformers_uniref.frontends.cli.main import main  # noqa: E402
from transformers_uniref.inference.results import SegmentedObject  # noqa: E402
from transformers_uniref.metrics import PhotographScores  # noqa: E402

SETTINGS = QuestionSettings(None, 0.5, True, "both", 1, 0, {})


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Six photographs, each with a sentence about its first object, about all, and about none."""
    folder = write_coco(tmp_path / "coco", pictures=7)
    document = json.loads((folder / "instances.json").read_text())
    sentences = []
    for image in document["images"]:
        ids = [one["id"] for one in document["annotations"] if one["image_id"] == image["id"]]
        if ids:
            sentences.append({"image_id": image["id"], "text": "first", "annotation_ids": ids[:1]})
            sentences.append({"image_id": image["id"], "text": "every", "annotation_ids": ids})
            sentences.append({"image_id": image["id"], "text": "no", "annotation_ids": [], "kind": "none"})
    (folder / "sentences.json").write_text(json.dumps(sentences))
    return folder


class Oracle:
    """Answers from the truth; `score` and `share` of the mask by the sentence."""

    def __init__(self, rows: PhotoRows, scores: dict[str, float]) -> None:
        self.truth = {}
        for index in range(len(rows.sample_ids)):
            record = Record(rows.row(index))
            image = record.image()
            for sentence in record.sentences:
                mask = record.union(sentence.object_ids, 0, image.shape[:2])
                self.truth[image.tobytes(), sentence.text] = mask
        self.scores = scores

    def to_sentences(self, images: Any, texts: Any) -> Any:
        return [
            [SegmentedObject(self.truth[image.tobytes(), text], score=self.scores[text]) for text in asked]
            for image, asked in zip(images, texts, strict=True)
        ]


def measured(rows: PhotoRows, scores: dict[str, float]) -> dict[str, Any]:
    questions = PictureQuestions(BENCHMARKS["photos"], rows, Oracle(rows, scores), SETTINGS)  # type: ignore[arg-type]
    state = questions.measure(range(len(rows.sample_ids)))["state"]
    return PhotographScores().load_state_dict(state).compute()


def test_masks_are_compared_whatever_the_score_and_the_gate_is_judged_by_itself(coco: Path) -> None:
    rows = PhotoRows(coco)
    assert len(rows.sample_ids) == 6  # the last photograph has no sentence
    right = measured(rows, {"first": 0.9, "every": 0.8, "no": 0.1})
    assert right == {
        "mIoU": 1.0, "P@0.5": 1.0, "mIoU_many": 1.0, "N-acc": 1.0, "T-acc": 1.0, "gIoU": 1.0, "samples": 18
    }  # fmt: skip
    shy = measured(rows, {"first": 0.2, "every": 0.8, "no": 0.9})
    assert (shy["mIoU"], shy["N-acc"], shy["T-acc"]) == (1.0, 0.0, 0.5)
    assert shy["gIoU"] == pytest.approx(1 / 3)


def test_a_sentence_means_its_objects_and_one_that_does_not_exist_is_told(coco: Path) -> None:
    document = json.loads((coco / "instances.json").read_text())
    record = Record(PhotoRows(coco).row(0))
    mask = record.union(record.sentences[0].object_ids, 0, record.image().shape[:2])
    left, top, wide, high = document["annotations"][0]["bbox"]
    assert np.array_equal(np.argwhere(mask).min(0), [top, left]) and mask.sum() == wide * high
    (coco / "sentences.json").write_text(json.dumps([{"image_id": 0, "text": "it", "annotation_ids": [999]}]))
    with pytest.raises(ValueError, match=r"objects that are not there: 'it', \[999\]"):
        PhotoRows(coco)
    (coco / "sentences.json").write_text(json.dumps([{"image_id": 0, "text": "it"}]))
    with pytest.raises(ValueError, match="entry 0 must have image_id, text and annotation_ids"):
        PhotoRows(coco)
    (coco / "sentences.json").unlink()
    with pytest.raises(ValueError, match=r"needs .*sentences\.json"):
        PhotoRows(coco)
    with pytest.raises(FileNotFoundError):
        PhotoRows(coco / "none")


def test_classes_of_regions_are_sentences(tmp_path: Path) -> None:
    rows = PhotoRows(write_ade(tmp_path / "ade"))
    record = Record(rows.row(0))
    assert {"the wall", "the sky"} <= {sentence.text for sentence in record.sentences}
    assert all(len(sentence.object_ids) == 1 for sentence in record.sentences)
    size = record.image().shape[:2]
    assert sum(record.union([number], 0, size).sum() for number in record.instances) <= size[0] * size[1]


def test_pairs_show_another_photograph_of_the_class_and_the_fixed_list_is_kept(
    coco: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rows = PhotoPairRows(coco)
    categories = rows.categories()
    assert all(categories.count(name) > 1 for name in categories) and not rows.examples
    assert {instance.category for instance in Record(rows.row(0)).instances.values()} == {categories[0]}
    fixed = {
        name: next(o for o in rows.sample_ids if o != name and o.split(":")[1] == name.split(":")[1])
        for name in rows.sample_ids
    }
    listed = tmp_path / "pairs.json"
    listed.write_text(json.dumps(fixed))
    monkeypatch.setattr(photo_rows, "FIXED_PAIRS", listed)
    rows = PhotoPairRows(coco)
    assert {rows.sample_ids[query]: rows.sample_ids[example] for query, example in rows.examples.items()} == fixed
    questions = PictureQuestions(BENCHMARKS["photo-pairs"], rows, None, SETTINGS)  # type: ignore[arg-type]
    assert all(questions.examples_of(index) == [rows.examples[index]] for index in range(len(categories)))


def test_the_list_in_the_package_pairs_photographs_of_one_class() -> None:
    pairs = json.loads(photo_rows.FIXED_PAIRS.read_text())
    assert len(pairs) == 71
    for query, example in pairs.items():
        assert query != example and query.split(":")[1] == example.split(":")[1] and example in pairs


def test_the_command_measures_a_folder(coco: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["evaluate", "--dataset", "photos", "--source", str(coco), "--limit", "2", "--json", "--quiet"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["counts"]["answers"] == 6 and set(told["measures"]) >= {"mIoU", "mIoU_many", "N-acc", "T-acc", "gIoU"}
    command = ["evaluate", "--dataset", "photo-pairs", "--source", str(coco), "--limit", "2", "--json", "--quiet"]
    assert main(command) == 0
    assert 0 <= json.loads(capsys.readouterr().out)["measures"]["mIoU_class"] <= 1
