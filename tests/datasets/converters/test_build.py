"""Building, going on after a kill, verifying and uploading data sets, and what wrong input says."""

from __future__ import annotations

import itertools
import json
import os
import pickle
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

for package in ("datasets", "pycocotools", "ijson"):
    pytest.importorskip(package)

from converter_support import (  # noqa: E402
    UNC,
    annotation,
    clip,
    coco_2017,
    coco_file,
    convert,
    davis,
    grey_png,
    jpeg,
    put,
    records,
    refer,
    reference,
    square,
)
from transformers_uniref.core.atomic import alone  # noqa: E402
from transformers_uniref.datasets.converters.published import PUBLISHED, compare  # noqa: E402
from transformers_uniref.datasets.converters.registry import CONVERTERS, find_converter  # noqa: E402
from transformers_uniref.datasets.converters.safe_pickle import load_plain_pickle  # noqa: E402
from transformers_uniref.datasets.converters.verify import verify  # noqa: E402
from transformers_uniref.datasets.push import is_hub_id, push  # noqa: E402
from transformers_uniref.datasets.schema import features  # noqa: E402
from transformers_uniref.frontends.cli.main import main  # noqa: E402


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "data").iterdir())}


# Building


def test_what_is_built_opens_with_the_package_datasets_and_with_the_training_reader(tmp_path, monkeypatch):
    from datasets import load_dataset

    from transformers_uniref.training.config.data import DatasetConfig
    from transformers_uniref.training.data.dataset_source import open_dataset

    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    convert("coco-2017", coco_2017(tmp_path / "coco"), tmp_path / "out", "val", rows_per_shard=2)
    opened = load_dataset(str(tmp_path / "out"), split="val", cache_dir=str(tmp_path / "cache"))
    assert opened.features == features() and len(opened) == 3
    assert opened[0]["frames"][0].size == (16, 12)
    config = DatasetConfig("x", "detection", str(tmp_path / "out"), split="val", streaming=True)
    assert [row["image_id"] for row in open_dataset(config)] == ["coco:100", "coco:101", "coco:102"]


def test_an_archive_need_not_be_unpacked(tmp_path):
    plain = coco_2017(tmp_path / "plain")
    packed = tmp_path / "packed"
    packed.mkdir()
    for name in ("val2017", "annotations"):
        with zipfile.ZipFile(packed / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted((plain / name).iterdir()):
                archive.write(file, f"{name}/{file.name}")
            archive.writestr(f"__MACOSX/{name}/._x", b"")
    convert("coco-2017", plain, tmp_path / "1", "val")
    convert("coco-2017", packed, tmp_path / "2", "val", workers=1)
    first, second = (list(records(tmp_path / n, "val").values()) for n in "12")
    assert [r.instances for r in first] == [r.instances for r in second]
    assert all(np.array_equal(a.image(), b.image()) for a, b in zip(first, second, strict=True))


def test_processes_write_the_same_files_as_one(tmp_path):
    source = coco_2017(tmp_path / "coco", images=5)
    convert("coco-2017", source, tmp_path / "one", "val", rows_per_shard=1)
    result = convert("coco-2017", source, tmp_path / "two", "val", rows_per_shard=1, workers=2)
    assert result.made == 5 and _files(tmp_path / "one") == _files(tmp_path / "two")


_KILLED = """
import os, signal, sys
from transformers_uniref.datasets.converters import build as building, shards
from transformers_uniref.datasets.converters.registry import find_converter
rows = [0]
count = shards.count_row
def counting(row):
    rows[0] += 1
    if rows[0] == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
    return count(row)
shards.count_row = counting
building.build(find_converter("coco-2017"), sys.argv[1], sys.argv[2], ["val"], rows_per_shard=2)
"""


def test_a_killed_build_goes_on_with_whole_shards_and_ends_as_if_never_killed(tmp_path):
    source, output = coco_2017(tmp_path / "coco", images=6), tmp_path / "out"
    # Killed by SIGKILL in the middle of the third shard.
    process = subprocess.run([sys.executable, "-c", _KILLED, str(source), str(output), "6"], timeout=500)
    assert process.returncode == -signal.SIGKILL
    names = sorted(path.name for path in (output / "data").iterdir())
    assert names[1:] == ["val-00000-of-00003.parquet", "val-00001-of-00003.parquet"]
    assert names[0].startswith(".val-00002-of-00003"), "the shard in progress has a hidden name"
    assert not (output / "reports").exists()
    before = {name: (output / "data" / name).stat().st_mtime_ns for name in names[1:]}
    result = convert("coco-2017", source, output, "val", rows_per_shard=2)
    assert (result.kept, result.made) == (2, 1)
    assert all((output / "data" / name).stat().st_mtime_ns == stamp for name, stamp in before.items())
    convert("coco-2017", source, tmp_path / "whole", "val", rows_per_shard=2)
    assert _files(output) == _files(tmp_path / "whole")
    assert not (output / ".build").exists() and verify(output).problems == []


def test_a_second_build_keeps_everything_and_another_one_is_refused(tmp_path):
    source, output = coco_2017(tmp_path / "coco"), tmp_path / "out"
    convert("coco-2017", source, output, "val", rows_per_shard=2)
    assert convert("coco-2017", source, output, "val", rows_per_shard=2).made == 0
    with pytest.raises(ValueError, match="another build"):
        convert("coco-2017", source, output, "val", rows_per_shard=3)
    assert convert("coco-2017", source, output, "val", rows_per_shard=3, overwrite=True).made == 1
    assert list(_files(output)) == ["val-00000-of-00001.parquet"]
    path = source / "annotations/instances_val2017.json"
    path.write_text(path.read_text().replace('"dog"', '"cat"'))
    with pytest.raises(ValueError, match="another build"):
        convert("coco-2017", source, output, "val", rows_per_shard=3)


def test_row_groups_are_written_as_they_fill(tmp_path, monkeypatch):
    import pyarrow.parquet as pq

    from transformers_uniref.datasets import parquet_shards

    monkeypatch.setattr(parquet_shards, "GROUP_BYTES", 1)
    convert("coco-2017", coco_2017(tmp_path / "coco"), tmp_path / "out", "val")
    assert pq.ParquetFile(tmp_path / "out/data/val-00000-of-00001.parquet").num_row_groups == 3


def test_a_worker_ends_when_its_parent_is_killed():
    code = (
        "import os, sys, time, subprocess\n"
        "from transformers_uniref.datasets.converters.build import _end_with_parent\n"
        "_end_with_parent(os.getppid())\n"
        "print(os.getpid(), flush=True)\n"
        "time.sleep(300)\n"
    )
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}])"
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and os.path.exists(f"/proc/{worker}"):
        time.sleep(0.1)
    assert not os.path.exists(f"/proc/{worker}")


# Verifying and published numbers


def test_the_published_parts_of_every_data_set_add_up():
    for name, numbers in PUBLISHED.items():
        converter = find_converter(name)
        for total in (entry for entry in numbers if entry.split is None):
            parts = {e.split: e for e in numbers if e.split is not None and e.measure == total.measure}
            if set(parts) == set(converter.splits):
                sums = {sum(chosen) for chosen in itertools.product(*(e.values for e in parts.values()))}
                assert sums & set(total.values), (name, total.measure)
        assert {entry.split for entry in numbers} <= {None, *converter.splits}


def test_refcoco_is_held_against_the_numbers_of_its_paper():
    counts = {split: {"rows": 0, "objects": 0, "sentences": 0} for split in ("train", "val", "testA", "testB")}
    counts["train"] = {"rows": 19_994, "objects": 50_000, "sentences": 142_209}
    totals = [entry for entry in compare("refcoco", counts, counts) if entry.published.split is None]
    assert [entry.met for entry in totals] == [True, True, True]
    counts["val"]["sentences"] = 2
    (wrong,) = [e for e in compare("refcoco", counts, counts) if e.published.split is None and not e.met]
    assert "142,211 sentences" in wrong.describe() and "142,209 (" in wrong.describe()
    # A total is known only when all splits are there.
    assert all(e.published.split for e in compare("refcoco", {"train": counts["train"]}, CONVERTERS["refcoco"].splits))


def test_verify_finds_what_was_damaged_after_the_build(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    output = tmp_path / "out"
    convert("coco-2017", coco_2017(tmp_path / "coco", images=6), output, "val", rows_per_shard=2)
    assert verify(output).problems == []
    shards = sorted((output / "data").iterdir())
    shards[0].write_bytes(shards[0].read_bytes()[:-50])
    table = pq.read_table(shards[1])
    rows = table.to_pylist()
    rows[1]["sample_id"] = rows[0]["sample_id"]
    rows[1]["frames"][0]["bytes"] = b"no picture"
    footer = {key: value for key, value in pq.read_metadata(shards[1]).metadata.items() if key != b"ARROW:schema"}
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema.with_metadata(footer)), shards[1])
    shards[2].unlink()
    problems = "\n".join(verify(output).problems)
    for expected in ("00000-of-00003.parquet: truncated", "checksum", "comes twice", "cannot be decoded", "missing"):
        assert expected in problems
    assert "1 rows" not in problems and "2 rows, the report says 6" in problems


# Wrong input


def test_a_wrong_split_lists_the_right_ones(tmp_path):
    with pytest.raises(ValueError, match="`split`: got 'valid'; accepted: train, val, testA, testB"):
        convert("refcoco", refer(tmp_path / "refer", UNC), tmp_path / "out", "valid")


def test_missing_files_are_named_and_nothing_is_left_behind(tmp_path):
    root = coco_2017(tmp_path / "coco")
    (root / "annotations/instances_val2017.json").unlink()
    with pytest.raises(FileNotFoundError, match="lacks annotations/instances_val2017.json"):
        convert("coco-2017", root, tmp_path / "out", "val")
    assert not (tmp_path / "out").exists()
    with pytest.raises(FileNotFoundError, match=r"images/mscoco/images/train2014 or "):
        convert(
            "refcoco", put(tmp_path / "r", {"refcoco/refs(unc).p": b"", "refcoco/instances.json": {}}), tmp_path / "out"
        )
    with pytest.raises(FileNotFoundError, match="no folder or archive"):
        convert("mose", tmp_path / "nowhere", tmp_path / "out")


def test_splits_that_cannot_be_built_are_deviations_unless_asked_for(tmp_path):
    result = convert("coco-2017", coco_2017(tmp_path / "coco"), tmp_path / "out")
    assert list(result.reports) == ["val"]
    assert any(line.startswith("train: not built") and "instances_train2017.json" in line for line in result.deviations)


def test_a_truncated_archive_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "val2017.zip", "w") as archive:
        archive.writestr("val2017/000000000100.jpg", jpeg() * 50)
    whole = (tmp_path / "val2017.zip").read_bytes()
    (tmp_path / "val2017.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="val2017.zip is truncated or no ZIP"):
        convert("coco-2017", tmp_path, tmp_path / "out", "val")
    # Damaged inside: the list of members is whole.
    broken = bytearray(whole)
    broken[200:260] = b"\0" * 60
    (tmp_path / "val2017.zip").write_bytes(bytes(broken))
    put(tmp_path, {"annotations/instances_val2017.json": coco_file({100: "000000000100.jpg"}, [])})
    with pytest.raises(ValueError, match="val2017.zip is damaged at val2017/000000000100.jpg"):
        convert("coco-2017", tmp_path, tmp_path / "out", "val")


def test_a_truncated_annotation_file_is_named(tmp_path):
    root = coco_2017(tmp_path / "coco")
    path = root / "annotations/instances_val2017.json"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match="instances_val2017.json is no whole JSON file"):
        convert("coco-2017", root, tmp_path / "out", "val")


@pytest.mark.parametrize("case", ["image", "clip", "sentence", "reference"])
def test_ids_that_come_twice_are_refused(tmp_path, case):
    if case == "image":
        root, name, split = coco_2017(tmp_path / "s"), "coco-2017", "val"
        path = root / "annotations/instances_val2017.json"
        path.write_text(path.read_text().replace('"id": 101', '"id": 100'))
    elif case == "clip":
        root, name, split = davis(tmp_path / "s"), "davis-2017", "val"
        put(root / "DAVIS", {"ImageSets/2017/val.txt": "camel\ngoat\ncamel\n"})
    else:
        other = reference(3 if case == "reference" else 4, 8, 81, "val", "x")
        if case == "sentence":
            other["sentences"][0]["sent_id"] = 0
        root, name, split = refer(tmp_path / "s", [*UNC, other]), "refcoco", "val"
    with pytest.raises(ValueError, match="comes twice"):
        convert(name, root, tmp_path / "out", split)


def test_frames_and_annotations_without_each_other_are_counted(tmp_path):
    root = davis(tmp_path / "s") / "DAVIS"
    (root / "Annotations/480p/camel/00001.png").unlink()
    (root / "JPEGImages/480p/camel/00002.jpg").unlink()
    result = convert("davis-2017", root, tmp_path / "out", "val")
    assert "val: frames without an annotation: 1 (camel/00001)" in result.deviations
    assert "val: annotations without a frame: 1 (camel/00002)" in result.deviations
    (row,) = records(tmp_path / "out", "val").values()
    assert row.frame_names == ("00000", "00001") and row.annotated == (True, False)


@pytest.mark.parametrize(
    ("kind", "said"), [("colours", "got colours"), ("deep", "mode I;16"), ("broken", "cannot be read")]
)
def test_a_picture_that_is_no_label_map_is_named(tmp_path, kind, said):
    root = davis(tmp_path / "s") / "DAVIS"
    colours = np.zeros((12, 16, 3), np.uint8)
    colours[2:5, 3:6] = (128, 0, 0)
    data = {"colours": grey_png(colours), "deep": grey_png(np.full((12, 16), 300, np.uint16)), "broken": b"x"}[kind]
    put(root, {"Annotations/480p/camel/00001.png": data})
    with pytest.raises(ValueError, match=f"camel/00001.png .*{said}"):
        convert("davis-2017", root, tmp_path / "out", "val")


def test_a_mask_of_quite_another_size_is_left_out_and_said(tmp_path):
    root = put(tmp_path / "m", clip("train/JPEGImages", "train/Annotations", "a", {"00000": square(1, 1)}))
    put(root, {"train/JPEGImages/a/00000.jpg": jpeg((24, 32))})
    result = convert("mose", root, tmp_path / "out", "train")
    assert any("masks of another size than their picture: 1" in line for line in result.deviations)
    assert verify(tmp_path / "out").problems == []


class _Harm:
    def __reduce__(self):
        return (os.system, ("touch /tmp/this-must-not-happen",))


@pytest.mark.parametrize("value", [[_Harm()], [print], [Path("x")], [np.array([print], dtype=object)]])
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_may_not_run_anything(value, protocol):
    with pytest.raises(ValueError, match="refs.p cannot be read as a pickle of plain data .*not allowed"):
        load_plain_pickle(pickle.dumps(value, protocol=protocol), "refs.p")


def test_a_pickle_of_plain_data_is_read_as_it_was_written():
    value = [{"a": (1, 2.5, None, True), "b": {"x"}, "é": b"\xff", "n": np.int64(3), "v": np.arange(3)}]
    for protocol in (0, 2, 4):
        (read,) = load_plain_pickle(pickle.dumps(value, protocol=protocol), "x")
        assert read["n"] == 3 and read["v"].tolist() == [0, 1, 2]
        assert all(read[key] == value[0][key] for key in ("a", "b", "é", "b"))
    # Python 2 wrote strings as bytes.
    assert load_plain_pickle(b"(lp0\nS'dog \\xc3\\xa9'\np1\na.", "x") == ["dog é"]
    with pytest.raises(ValueError, match="cannot be read"):
        load_plain_pickle(pickle.dumps(value)[:-5], "x")


# Uploading


class _Api:
    def __init__(self, fails: bool = False) -> None:
        self.fails, self.calls = fails, []

    def create_repo(self, repo_id, **options):
        self.calls.append(("create", repo_id, options))
        if self.fails:
            raise ConnectionError("no route")

    def upload_folder(self, **options):
        self.calls.append(("upload", options["repo_id"], options))


def test_pushing_makes_a_private_dataset_and_sends_the_folder(tmp_path):
    api = _Api()
    assert push(tmp_path, "me/davis", message="Upload", api=api) == "https://huggingface.co/datasets/me/davis"
    (_, _, made), (_, _, sent) = api.calls
    assert made["private"] and made["repo_type"] == sent["repo_type"] == "dataset" and sent["folder_path"] == tmp_path
    with pytest.raises(OSError, match="to me/davis failed .no route."):
        push(tmp_path, "me/davis", message="Upload", api=_Api(fails=True))


def test_a_hub_id_is_no_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here/there").mkdir(parents=True)
    assert is_hub_id("me/refcoco+") is False and is_hub_id("me/refcoco-unc")
    assert not any(is_hub_id(text) for text in ("here/there", "/me/x", "./x", "x", "a/b/c", "~/x"))


# The command line


def _run(capsys, *arguments: object) -> tuple[int, str, str]:
    code = main(["data", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_command_builds_reports_and_verifies(tmp_path, capsys):
    source, output = davis(tmp_path / "s"), tmp_path / "out"
    given = ("build", "davis-2017", "--source", source, "--output", output, "--split", "val")
    code, _, said = _run(capsys, *given)
    assert code == 1 and "deviation: val: 1 rows, published: 30 (" in said
    code, printed, said = _run(capsys, *given, "--allow-deviations", "--json")
    result = json.loads(printed)
    assert code == 0 and result["counts"]["val"]["masks"] == 5 and "1 found finished" in said
    code, printed, _ = _run(capsys, "verify", output, "--allow-deviations", "--json")
    assert code == 0 and json.loads(printed)["problems"] == []
    card = (output / "README.md").read_text()
    assert "path: data/val-*.parquet" in card and "1 rows, published: 30" in card and "SHA-256" in card
    next((output / "data").iterdir()).unlink()
    code, _, said = _run(capsys, "verify", output, "--allow-deviations")
    assert code == 1 and "damaged: data/val-00000-of-00001.parquet: missing" in said


def test_the_command_lists_every_data_set(capsys):
    code, printed, _ = _run(capsys, "list", "--json")
    names = [entry["name"] for entry in json.loads(printed)["datasets"]]
    assert code == 0 and names == list(CONVERTERS) and "ref-davis-2017" in names
    assert _run(capsys, "list")[1].count("\n") == len(names)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["build", "refcocoo", "--source", "SOURCE", "--output", "OUT"], "did you mean refcoco?"),
        (["build", "mose", "--source", "SOURCE", "--output", "OUT", "--split", "test"], "accepted: train, valid"),
        (["build", "mose", "--source", "SOURCE", "--output", "OUT", "--workers", "0"], "--workers: got 0"),
        (["build", "mose", "--source", "SOURCE", "--output", "OUT"], "lacks train/JPEGImages, train/Annotations"),
        (["build", "mose", "--source", "SOURCE", "--output", "OUT", "--push"], "--push needs a Hub id"),
        (["build", "mose", "--source", "SOURCE", "--output", "SOURCE/file"], "must be a folder, got a file"),
        (["verify", "SOURCE"], "no folder written by"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(tmp_path, capsys, arguments, said):
    put(tmp_path / "s", {"file": "x"})
    given = [text.replace("SOURCE", str(tmp_path / "s")).replace("OUT", str(tmp_path / "out")) for text in arguments]
    code, _, error = _run(capsys, *given)
    assert code == 2 and said in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_two_builds_do_not_write_to_one_folder(tmp_path):
    source = coco_2017(tmp_path / "coco")
    lock = tmp_path / "out" / ".build" / "lock"
    with alone(lock, "taken"), pytest.raises(ValueError, match="another build is writing"):
        convert("coco-2017", source, tmp_path / "out", "val")


def test_a_crowd_of_an_unknown_category_is_a_deviation(tmp_path):
    entry = annotation(1, 100, [[1, 1, 5, 1, 5, 5, 1, 5]], [1, 1, 4, 4], category_id=77)
    files = {"annotations/instances_val2017.json": coco_file({100: "a.jpg"}, [entry]), "val2017/a.jpg": jpeg()}
    result = convert("coco-2017", put(tmp_path / "c", files), tmp_path / "out", "val")
    assert any("unknown categories: 1" in line for line in result.deviations)
