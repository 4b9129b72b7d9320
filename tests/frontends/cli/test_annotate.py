"""`uniref annotate` as a user calls it: with a model, on one process and on two, with mistakes."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("datasets")

from annotation_support import output_rows, picture_folder  # noqa: E402
from noise import SCORE, SCORES, assert_same, assert_same_mask, assert_same_probabilities  # noqa: E402
from places import environment  # noqa: E402
from transformers_uniref.core.mask_codes import decode_rle  # noqa: E402
from transformers_uniref.frontends.cli.main import main  # noqa: E402
from transformers_uniref.metrics.region import iou  # noqa: E402
from transformers_uniref.worlds.drawn.world import World  # noqa: E402

CPUS = Path(str(resources.files("transformers_uniref"))) / "training" / "accelerate" / "cpu.yaml"
ROWS = 6


@pytest.fixture(scope="module")
def world_folder(tmp_path_factory):
    """Pictures of the world, each with a sentence for each of its objects; and the masks by row."""
    folder = tmp_path_factory.mktemp("world") / "scenes"
    folder.mkdir()
    world, lines, truth = World(split="test", size=96), [], {}
    for number in range(ROWS):
        scene = world.image(number)
        Image.fromarray(scene["image"]).save(folder / f"{number}.png")
        told = [(texts[0], mask) for texts, mask in zip(scene["sentences"], scene["masks"], strict=True) if texts]
        lines.append({"file_name": f"{number}.png", "id": f"scene-{number}", "caption": [text for text, _ in told]})
        truth[f"scene-{number}"] = [mask for _, mask in told]
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    return folder, truth


@pytest.fixture(scope="module")
def one_process(world_folder, tmp_path_factory):
    output = tmp_path_factory.mktemp("one") / "out"
    command = ["annotate", str(world_folder[0]), "--text-column", "caption", "--output", str(output), "--device", "cpu"]
    assert main([*command, "--shard-size", "2", "--batch-size", "2"]) == 0
    return output


def test_the_bundled_model_finds_what_the_sentences_say(one_process, world_folder):
    ious = [
        iou(decode_rle(instance["masks"][0]["rle"]), world_folder[1][row["sample_id"]][instance["object_id"] - 1])
        for row in output_rows(one_process)
        for instance in row["instances"]
    ]
    assert len(ious) >= 0.8 * sum(map(len, world_folder[1].values())), "few fall below the model's gate"
    assert np.mean(ious) > 0.6


def assert_same_row(actual, expected):
    """Equal but for the noise of the model: processes have as many threads as there are cores for each."""
    for mine, theirs in zip(actual.pop("instances"), expected.pop("instances"), strict=True):
        for name in ("masks", "boxes"):
            mask, other = mine.pop(name), theirs.pop(name)
            if name == "masks":
                assert_same_mask(decode_rle(mask[0]["rle"]), decode_rle(other[0]["rle"]), str(mine))
        assert mine == theirs
    for mine, theirs in zip(actual.pop("predictions"), expected.pop("predictions"), strict=True):
        assert_same_probabilities(mine.pop("score"), theirs.pop("score"), SCORE, mine["text"])
        assert_same(np.array(mine.pop("box")), np.array(theirs.pop("box")), SCORES, mine["text"])
        assert mine == theirs
    assert actual == expected


def test_two_processes_write_what_one_writes(one_process, world_folder, tmp_path, capsys):
    pytest.importorskip("accelerate")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    launcher = ["-m", "accelerate.commands.launch", "--config_file", str(CPUS), "--main_process_port", port]
    command = ["-m", "transformers_uniref", "annotate", str(world_folder[0]), "--text-column", "caption"]
    command += ["--output", str(tmp_path / "two"), "--shard-size", "2", "--batch-size", "2", "--json"]
    done = subprocess.run([sys.executable, *launcher, *command], capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout)
    assert (said["rows"], said["skipped"], said["uploaded"]) == (ROWS, {}, None)
    one, two = output_rows(one_process), output_rows(tmp_path / "two")
    assert [row["sample_id"] for row in two] == [f"scene-{number}" for number in range(ROWS)]
    for ours, theirs in zip(one, two, strict=True):
        assert_same_row(ours, theirs)
    # What either process wrote is recognised by any number of processes.
    again = ["annotate", str(world_folder[0]), "--text-column", "caption", "--output", str(tmp_path / "two")]
    assert main([*again, "--shard-size", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["shards_found_finished"] == 3


def test_the_output_is_uploaded_with_its_card(tmp_path, monkeypatch, capsys):
    sent = []

    def push(folder, hub_id, **options):
        sent.append((sorted(path.name for path in folder.iterdir()), hub_id, options["private"]))
        return f"https://huggingface.co/datasets/{hub_id}"

    monkeypatch.setattr("transformers_uniref.datasets.push.push", push)
    folder = picture_folder(tmp_path / "pictures", 2, caption=["the red ball", "the ring"])
    command = ["annotate", str(folder), "--text-column", "caption", "--output", str(tmp_path / "out"), "--json"]
    assert main([*command, "--push", "me/masks"]) == 0
    assert sent == [(["README.md", "annotation.json", "data"], "me/masks", True)]
    assert json.loads(capsys.readouterr().out)["uploaded"] == "https://huggingface.co/datasets/me/masks"


def test_examples_are_looked_for_in_every_row(world_folder, tmp_path, capsys):
    scene = World(split="test", size=96).image(0)
    Image.fromarray(scene["image"]).save(tmp_path / "example.png")
    Image.fromarray(scene["masks"][0].astype(np.uint8) * 255).save(tmp_path / "mask.png")
    examples = ["--reference-image", str(tmp_path / "example.png"), "--reference-mask", str(tmp_path / "mask.png")]
    command = ["annotate", str(world_folder[0]), "--output", str(tmp_path / "out"), "--device", "cpu", "--json"]
    assert main([*command, *examples]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == ROWS
    rows = output_rows(tmp_path / "out")
    assert all(len(row["predictions"]) == 1 and not row["sentences"] for row in rows)
    # The first row is the example's own picture.
    assert iou(decode_rle(rows[0]["instances"][0]["masks"][0]["rle"]), scene["masks"][0]) > 0.6
    both = [*command[:3], str(tmp_path / "both"), *command[4:], *examples, "--text-column", "caption"]
    assert main([*both, "--threshold", "0.5"]) == 0
    counts = json.loads(capsys.readouterr().out)
    said = [entry for row in output_rows(tmp_path / "both") for entry in row["predictions"]]
    assert len(said) == counts["sentences"] == sum(map(len, world_folder[1].values()))
    assert all((entry["object_id"] == 0) for entry in said if entry["score"] <= 0.5)


@pytest.mark.parametrize(
    "options, named",
    [
        (["--text-column", "words"], "--text-column: got 'words'; accepted: a column of the dataset: image, id"),
        ([], "say what to look for: --text-column, or --reference-image"),
        (["--text-column", "caption", "--split", "val"], "--split: got 'val'; accepted: train"),
        (["--text-column", "caption", "--model", "nowhere"], "--model cannot be loaded from nowhere"),
        (["--text-column", "caption", "--push"], "--push needs a Hub id"),
        (["--text-column", "caption", "--threshold", "2"], "--threshold must be between 0 and 1, got 2.0"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing_behind(options, named, tmp_path, capsys):
    folder = picture_folder(tmp_path / "pictures", 2)
    assert main(["annotate", str(folder), "--output", str(tmp_path / "out"), *options]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and captured.err.startswith("uniref: error: ") and named in captured.err
    assert not captured.out and not (tmp_path / "out").exists()
