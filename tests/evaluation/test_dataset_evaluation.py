"""A model is measured on data sets by their rules, and a run can be stopped, shared out and trusted."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import zipfile
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

for package in ("datasets", "pycocotools", "ijson", "accelerate"):
    pytest.importorskip(package)

import pyarrow.parquet as pq  # noqa: E402

import evaluation_support as miniatures  # noqa: E402
from cli_support import save_tiny_checkpoint  # noqa: E402
from converter_support import records, square  # noqa: E402
from noise import PROBABILITIES, assert_same_mask  # noqa: E402
from places import environment  # noqa: E402
from transformers_uniref import UniRefModel, UniRefProcessor  # noqa: E402
from transformers_uniref.core.mask_codes import decode_rle  # noqa: E402
from transformers_uniref.core.mask_reading import load_label_map  # noqa: E402
from transformers_uniref.core.provenance import weights_fingerprint  # noqa: E402
from transformers_uniref.datasets.schema import make_instance, make_row  # noqa: E402
from transformers_uniref.evaluation import evaluate_dataset  # noqa: E402
from transformers_uniref.evaluation.benchmarks import BENCHMARKS, find_benchmark  # noqa: E402
from transformers_uniref.evaluation.evaluated_rows import open_rows  # noqa: E402
from transformers_uniref.evaluation.image_blocks import PictureQuestions  # noqa: E402
from transformers_uniref.evaluation.mask_scoring import score_masks  # noqa: E402
from transformers_uniref.evaluation.model_answers import ModelAnswers  # noqa: E402
from transformers_uniref.evaluation.question_settings import processor_with, settings_for  # noqa: E402
from transformers_uniref.evaluation.result_blocks import ResultBlocks  # noqa: E402
from transformers_uniref.evaluation.results_file import eval_results, read_results, results_table  # noqa: E402
from transformers_uniref.frontends.cli.main import main  # noqa: E402
from transformers_uniref.metrics import GeneralizedReferringScores, ReferringScores, frame_scores  # noqa: E402


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_checkpoint(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def pair(checkpoint: Path) -> tuple[UniRefModel, UniRefProcessor]:
    return UniRefModel.from_pretrained(checkpoint).eval(), UniRefProcessor.from_pretrained(checkpoint)


@pytest.fixture(scope="module")
def davis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return miniatures.davis_2017(tmp_path_factory.mktemp("davis"))


# ------------------------------------------------------------------------------------------------------------- pictures
def test_sentences_about_pictures_are_measured_as_by_hand(pair, tmp_path) -> None:
    source = miniatures.refcoco(tmp_path)
    result = evaluate_dataset(*pair, source, "refcoco", split="val", output=tmp_path / "run")
    by_hand = ReferringScores()
    for record in records(source, "val").values():
        image = record.image()
        for sentence in record.sentences:
            ((answer,),) = ModelAnswers(*pair).to_sentences([image], [[sentence.text]])
            by_hand.update(answer.mask, record.union(sentence.object_ids, 0, image.shape[:2]))
    expected = by_hand.compute()
    assert result["measures"] == {name: pytest.approx(expected[name]) for name in expected if name != "samples"}
    assert result["counts"] == {"pictures": 2, "answers": 3} and result["settings"]["gate"] is None
    samples = pq.read_table(tmp_path / "run" / "samples.parquet").to_pylist()
    assert [sample["sentence"] for sample in samples] == ["big dog", "right dog", "the dog on the right"]
    assert np.mean([sample["iou"] for sample in samples]) == pytest.approx(result["measures"]["mIoU"])
    assert decode_rle(samples[0]["prediction"]).shape == (12, 16)
    assert {"best.png", "worst.png", "summary.md", "summary.json", "model-index.yml"} <= set(
        os.listdir(tmp_path / "run")
    )
    assert "| oIoU |" in (tmp_path / "run" / "summary.md").read_text()


def test_a_sentence_without_a_word_is_told_with_its_row(pair, tmp_path) -> None:
    [shard] = (miniatures.refcoco(tmp_path) / "data").glob("val-*.parquet")
    rows = pq.read_table(shard).to_pylist()
    rows[1]["sentences"][0]["text"] = " . "
    with pytest.raises(ValueError, match=rf"without a word, ' . ', number 0 of row {rows[1]['sample_id']}"):
        evaluate_dataset(*pair, rows, "refcoco", split="val")


def test_a_sentence_that_means_nothing_is_right_when_the_gate_stops_the_answer(pair, tmp_path) -> None:
    source = miniatures.grefcoco(tmp_path)
    shut = evaluate_dataset(*pair, source, "grefcoco", threshold=1.0)["measures"]
    scores = GeneralizedReferringScores()
    for record in records(source, "val").values():
        for sentence in record.sentences:
            scores.update(np.zeros((12, 16), bool), record.union(sentence.object_ids, 0, (12, 16)))
    assert shut == {name: value for name, value in scores.compute().items() if name != "samples"}
    assert (shut["N-acc"], shut["T-acc"]) == (1.0, 0.0)


def test_few_shot_examples_are_others_of_the_class_and_the_same_each_time(pair, tmp_path) -> None:
    source = miniatures.fss(tmp_path)
    first = evaluate_dataset(*pair, source, "fss-1000", output=tmp_path / "run", shots=2)
    samples = pq.read_table(tmp_path / "run" / "samples.parquet").to_pylist()
    assert len(samples) == 6 and set(first["details"]["classes"]) == {"bus", "cat"}
    for sample in samples:
        assert len(set(sample["examples"])) == 2 and sample["sample"] not in sample["examples"]
        assert all(example.split("/")[1] == sample["category"] for example in sample["examples"])
    assert evaluate_dataset(*pair, source, "fss-1000", shots=2)["measures"] == first["measures"]
    benchmark = BENCHMARKS["fss-1000"]
    rows = open_rows(benchmark, source, "test")
    drawn = [
        [
            PictureQuestions(benchmark, rows, None, settings_for(benchmark, *pair, seed=seed)).examples_of(n)
            for n in range(6)
        ]
        for seed in (0, 0, 1)
    ]
    assert drawn[0] == drawn[1] != drawn[2]


# ---------------------------------------------------------------------------------------------------------------- clips
def test_followed_objects_score_what_their_written_masks_score(pair, davis, tmp_path) -> None:
    result = evaluate_dataset(*pair, davis, "davis-2017", output=tmp_path / "run", threshold=0)
    annotations = tmp_path / "truth"
    shutil.copytree(davis.parent / "dsource" / miniatures.ORIGINAL_MASKS, annotations)
    scored = score_masks(tmp_path / "run" / "masks", annotations, "davis-semi-supervised")
    assert result["measures"] == {name: scored[name] for name in result["measures"]}
    assert result["details"]["sequences"] == scored["sequences"] and list(scored["sequences"]) == [
        "camel",
        "goat",
        "swan",
    ]
    samples = pq.read_table(tmp_path / "run" / "samples.parquet").to_pylist()
    assert [sample["sample"] for sample in samples] == ["camel/1", "camel/2", "goat/1", "swan/1"]


def test_sentences_of_four_annotators_score_what_their_written_masks_score(pair, tmp_path) -> None:
    source = miniatures.ref_davis(tmp_path)
    result = evaluate_dataset(*pair, source, "ref-davis-2017", output=tmp_path / "run", preset="paper")
    assert result["settings"]["propagate_text"] is False and result["settings"]["gate"] is None
    annotations = tmp_path / "dsource" / miniatures.ORIGINAL_MASKS
    shutil.rmtree(annotations / "goat"), shutil.rmtree(annotations / "swan")
    for protocol, found in (("ref-davis17", result["measures"]), *result["further"].items()):
        scored = score_masks(tmp_path / "run" / "masks", annotations, protocol)
        assert found == {name: scored[name] for name in found} and found["J&F"] > 0
    assert list(result["further"]) == ["ref-davis17-by-id"] and "void" in result["notes"][0]


def test_every_sentence_of_mevis_is_judged_in_every_frame(pair, tmp_path) -> None:
    frames = [np.full((12, 16, 3), 60 + 20 * n, np.uint8) for n in range(2)]
    objects = [make_instance(1, {0: square(1, 1) > 0}), make_instance(2, {1: square(5, 5) > 0})]
    sentences = [("the dog", [1, 2]), ("a cat", [])]
    row = make_row("valid_u/ab", frames, objects, sentences, source="mevis", split="valid_u", frame_names=["0", "1"])
    result = evaluate_dataset(*pair, [row], "mevis", output=tmp_path / "run", threshold=0)
    truth = [np.stack([square(1, 1) > 0, square(5, 5) > 0]), np.zeros((2, 12, 16), bool)]
    expected = []
    for key, target in enumerate(truth):
        paths = [tmp_path / "run" / "masks" / "ab" / str(key) / f"{name}.png" for name in ("0", "1")]
        from PIL import Image

        j, f = frame_scores(np.stack([np.asarray(Image.open(path)) > 0 for path in paths]), target)
        expected.append((j.mean() + f.mean()) / 2)
    assert result["measures"]["J&F"] == pytest.approx(np.mean(expected))


@pytest.mark.parametrize(
    ("make", "name", "members"),
    [
        (miniatures.mose, "mose", ["aaaa/00000.png", "aaaa/00001.png", "aaaa/00002.png"]),
        (
            miniatures.ref_youtube,
            "ref-youtube-vos",
            [f"Annotations/v/{key}/{frame}.png" for key in "01" for frame in ("00000", "00005")],
        ),
    ],
)
def test_a_server_gets_a_submission_that_the_check_takes(make, name, members, pair, tmp_path) -> None:
    source = make(tmp_path)
    result = evaluate_dataset(*pair, source, name, output=tmp_path / "run", preset="paper")
    assert result["submission"]["valid"] and result["submission"]["masks"] == len(members)
    assert result["measures"] == {}
    with zipfile.ZipFile(tmp_path / "run" / "submission.zip") as archive:
        assert sorted(archive.namelist()) == members
    with pytest.raises(ValueError, match="`output` is needed"):
        evaluate_dataset(*pair, source, name)


def test_folders_of_frames_and_binary_masks_are_one_object_each(pair, tmp_path) -> None:
    source = miniatures.sequences(tmp_path)
    result = evaluate_dataset(*pair, source, "davis-like", output=tmp_path / "run")
    for name in ("one", "two"):
        shutil.copytree(source / name / "masks", tmp_path / "truth" / name)
    scored = score_masks(tmp_path / "run" / "masks", tmp_path / "truth", "davis-semi-supervised", binary=True)
    assert result["measures"] == {measure: scored[measure] for measure in result["measures"]}
    assert result["counts"]["objects"] == 2


# ------------------------------------------------------------------------------------------------------------- settings
def test_the_preset_asks_as_the_released_code_does(pair) -> None:
    gates = {name: settings_for(BENCHMARKS[name], *pair, "paper").gate for name in ("davis-2017", "lvos-v1", "mose")}
    assert gates == {"davis-2017": 0.3, "lvos-v1": 0.5, "mose": 0.4}
    settings = settings_for(BENCHMARKS["ref-youtube-vos"], *pair, "paper")
    assert (settings.gate, settings.propagate_text, settings.references) == (0.3, True, "both")
    released = processor_with(pair[1], settings)
    picture = np.zeros((100, 200, 3), np.uint8)
    assert released(images=picture, text="a dog").pixel_mask[0].sum() == 667 * 1333
    assert pair[1](images=picture, text="a dog").pixel_mask[0].sum() != 667 * 1333
    with pytest.raises(ValueError, match="was not measured there"):
        settings_for(BENCHMARKS["mevis"], *pair, "paper")


def test_every_benchmark_has_rules_and_a_converter_that_knows_its_splits() -> None:
    from transformers_uniref.datasets.converters.registry import CONVERTERS

    for name, benchmark in BENCHMARKS.items():
        assert not (benchmark.is_video and benchmark.splits) or benchmark.protocols, name
        if name.split("-")[0] not in ("photos", "photo", "world") and "like" not in name:  # the others are as they are
            assert {*benchmark.splits, *benchmark.server_splits} <= set(CONVERTERS[name].splits), name


# ---------------------------------------------------------------------------------------------------- stopping, sharing
def command(checkpoint: Path, source: Path, output: Path) -> list[str]:
    options = ["--model", str(checkpoint), "--source", str(source), "--output", str(output), "--threshold", "0"]
    return ["evaluate", "--dataset", "davis-2017", *options, "--json"]


def without_places(result: dict) -> dict:
    return result | {"settings": {name: value for name, value in result["settings"].items() if name != "model"}}


def assert_same_result(actual: object, expected: object, noise: float, where: str = "result") -> None:
    """Equal but for `noise` in measures."""
    if isinstance(expected, dict):
        assert isinstance(actual, dict) and actual.keys() == expected.keys(), where
        for name, value in expected.items():
            assert_same_result(actual[name], value, noise, f"{where}.{name}")
    elif isinstance(expected, float):
        assert actual == pytest.approx(expected, abs=noise), where
    else:
        assert actual == expected, where


KILLED = """
import os, signal, sys
from transformers_uniref.frontends.cli.main import main
from transformers_uniref.evaluation.clips.blocks import ClipQuestions

measure = ClipQuestions.measure

def killed_in_the_second(self, index):
    if index == 1:
        (self.masks / ".writing-left").mkdir()
        os.kill(os.getpid(), signal.SIGKILL)
    return measure(self, index)

ClipQuestions.measure = killed_in_the_second
main(sys.argv[1:])
"""


def test_a_killed_run_goes_on_and_two_processes_find_what_one_finds(checkpoint, davis, tmp_path, capsys) -> None:
    assert main(command(checkpoint, davis, tmp_path / "whole")) == 0
    whole = json.loads(capsys.readouterr().out)
    options = command(checkpoint, davis, tmp_path / "killed")
    done = subprocess.run([sys.executable, "-c", KILLED, *options], capture_output=True, text=True, env=environment())
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    blocks = tmp_path / "killed" / "blocks"
    assert os.listdir(blocks) == ["000000.json"] and not (tmp_path / "killed" / "summary.json").exists()
    kept = (blocks / "000000.json").stat().st_mtime_ns

    # The rest is done by two processes, of which each gets one of the two clips that are left.
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    configuration = str(resources.files("transformers_uniref") / "training" / "accelerate" / "cpu.yaml")
    launcher = ["accelerate.commands.launch", "--config_file", configuration, "--main_process_port", port]
    done = subprocess.run(
        [sys.executable, "-m", *launcher, "-m", "transformers_uniref", *options],
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "on 2 processes" in done.stderr
    assert (blocks / "000000.json").stat().st_mtime_ns == kept
    assert sorted(os.listdir(tmp_path / "killed" / "masks")) == ["camel", "goat", "swan"]
    # The processes have fewer threads than this one, and with them other last bits.
    noise = PROBABILITIES
    for path in (tmp_path / "whole" / "masks").rglob("*.png"):
        relative = path.relative_to(tmp_path / "whole")
        one, other = (load_label_map(tmp_path / run / relative) for run in ("whole", "killed"))
        assert_same_mask(other, one, path.name)
        if not np.array_equal(one, other):
            noise = 0.1  # of ten pixels
    assert_same_result(without_places(json.loads(done.stdout)), without_places(whole), noise)


def test_a_folder_keeps_to_its_run(pair, tmp_path) -> None:
    source = miniatures.sequences(tmp_path)
    first = evaluate_dataset(*pair, source, "davis-like", output=tmp_path / "run")
    stamp = (tmp_path / "run" / "blocks" / "000000.json").stat().st_mtime_ns
    assert evaluate_dataset(*pair, source, "davis-like", output=tmp_path / "run") == first
    assert (tmp_path / "run" / "blocks" / "000000.json").stat().st_mtime_ns == stamp
    with pytest.raises(ValueError, match="of another run, which differs in settings"):
        evaluate_dataset(*pair, source, "davis-like", output=tmp_path / "run", threshold=0.9)
    with pytest.raises(ValueError, match="differs in count, samples"):
        evaluate_dataset(*pair, source, "davis-like", output=tmp_path / "run", limit=1)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(ValueError, match="one with other files"):
        evaluate_dataset(*pair, source, "davis-like", output=tmp_path / "mine")
    assert os.listdir(tmp_path / "mine") == ["notes.txt"]
    (tmp_path / "run" / "blocks" / "000001.json").write_text("{")
    with pytest.raises(ValueError, match="damaged block"):
        evaluate_dataset(*pair, source, "davis-like", output=tmp_path / "run")


def test_blocks_are_whole_and_known_by_number(tmp_path) -> None:
    store = ResultBlocks(tmp_path / "run", {"split": "val", "sizes": (1, 2)})
    store.open()
    store.write(3, {"a": 1})
    again = ResultBlocks(tmp_path / "run", {"split": "val", "sizes": [1, 2]})
    again.open()
    assert again.finished() == {3} and again.read(3) == {"a": 1}


# ------------------------------------------------------------------------------------------------------ cards, mistakes
def test_results_stand_in_a_card_for_the_weights_that_they_are_of(checkpoint, tmp_path, capsys) -> None:
    folder = shutil.copytree(checkpoint, tmp_path / "model")
    source = miniatures.sequences(tmp_path)
    assert main(["evaluate", "--dataset", "davis-like", "--source", str(source), "--model", str(folder), "--json"]) == 0
    shown = capsys.readouterr()
    (folder / "evaluation.json").write_text(shown.out)
    found = read_results(folder)
    assert found is not None and found["settings"]["weights"] == weights_fingerprint(folder)
    entries = {entry.metric_name: entry for entry in eval_results(found)}
    assert entries["J&F"].metric_type == "j_and_f" and entries["J&F"].dataset_split == "all"
    assert "| davis-like.J&F |" in results_table(found) and "J&F" in shown.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dataset", "davis-2017"], "--source is needed for davis-2017"),
        (["--dataset", "davis-2017", "--source", "SOURCE", "--split", "dev"], "one of val, test_dev, test_challenge"),
        (["--dataset", "davis-2017", "--source", "SOURCE", "--split", "test_dev", "--output", "x"], "which has val"),
        (["--dataset", "youtube-vos-2019", "--source", "SOURCE"], "--output is needed for youtube-vos-2019"),
        (["--dataset", "davis-2016", "--source", "SOURCE"], "must hold davis-2016, got rows of davis-2017"),
        (["--dataset", "davis-2017", "--source", "/nowhere"], "found none: /nowhere"),
        (["--dataset", "davis-2017", "--source", "SOURCE", "--images", "3"], "--images does not go with --dataset"),
        (["--dataset", "world", "--source", "SOURCE"], "--source does not go with --dataset world"),
        (["--dataset", "davis-2017", "--source", "SOURCE", "--shots", "2"], "left out for davis-2017"),
        (["--dataset", "davis-2016", "--source", "SOURCE", "--preset", "paper"], "not davis-2016"),
        (["--dataset", "davis-2017", "--source", "SOURCE", "--limit", "0"], "--limit must be at least 1"),
        (["--dataset", "davis-2017", "--source", "SOURCE", "--unseen", "README"], "knows no unseen categories"),
    ],
)
def test_a_mistake_is_named(options, message, checkpoint, davis, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("README").write_text("camel\n")
    given = [str(davis) if option == "SOURCE" else option for option in options]
    assert main(["evaluate", "--model", str(checkpoint), *given]) == 2
    shown = capsys.readouterr()
    assert message in shown.err and shown.out == "" and shown.err.count("\n") == 1
    assert not Path("x").exists()


def test_rows_that_cannot_be_asked_about_are_named(pair, checkpoint, davis, tmp_path) -> None:
    row = make_row("a", [np.zeros((8, 8, 3), np.uint8)], [], source="mine", split="val")
    with pytest.raises(ValueError, match="unique sample ids, these come again: a"):
        evaluate_dataset(*pair, [row, row], "davis-2017")
    with pytest.raises(ValueError, match="lacks the column sentences"):
        evaluate_dataset(*pair, [{k: v for k, v in row.items() if k != "sentences"}], "refcoco")
    with pytest.raises(ValueError, match="did you mean refcoco"):
        find_benchmark("refcocos")
    with pytest.raises(TypeError, match="list of rows, got dict"):
        evaluate_dataset(*pair, {"val": [row]}, "davis-2017")
    partial = shutil.copytree(davis, tmp_path / "partial")
    (file,) = (partial / "data").glob("*.parquet")
    file.rename(file.with_name("val-00000-of-00002.parquet"))
    with pytest.raises(ValueError, match="lacks 1 of 2 files of val"):
        evaluate_dataset(*pair, partial, "davis-2017")
    with pytest.raises(ValueError, match="must be a UniRef model"):
        evaluate_dataset(object(), pair[1], davis, "davis-2017")
    silent = UniRefProcessor(pair[1].image_processor)
    with pytest.raises(ValueError, match="must read sentences for refcoco"):
        evaluate_dataset(pair[0], silent, davis, "refcoco")
