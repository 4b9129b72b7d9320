"""The benchmarks run and report what they promise; how fast is not tested."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from noise import CLIP, PROBABILITIES
from places import ROOT

BENCHMARKS = ROOT / "benchmarks"


def report_of(script: str, *options: str) -> Any:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / script), "--json", *options], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_video_benchmark_reports_time_memory_and_equal_masks() -> None:
    report = report_of("video.py", "--small", "--objects", "2", "--frames", "1", "--threads", "1")
    assert {"cpu", "threads", "instructions", "torch"} <= set(report["machine"])
    rows = report["objects"]["2"]
    assert [*rows, *report["left_out"]] == ["released fp32", "ours fp32", "ours bf16"]
    for row in rows.values():
        assert {"seconds", "cpu_seconds", "ratio", "cpu_ratio", "peak_bytes", "max_difference"} <= set(row)
    # The masks of a clip, each of which follows from the last.
    assert rows["ours fp32"]["max_difference"] < CLIP
    assert rows["ours fp32"]["mean_difference"] < PROBABILITIES


def test_half_precision_is_left_out_with_a_reason_where_the_processor_has_none(monkeypatch, capsys) -> None:
    from transformers_uniref.modeling import precision

    monkeypatch.setattr(precision, "processor_features", lambda: frozenset({"avx2"}))
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    script = importlib.import_module("precision")
    monkeypatch.setattr(sys, "argv", ["precision.py", "--json"])
    monkeypatch.setattr(script, "follow", None)
    script.main()
    assert "no instructions for bfloat16" in json.loads(capsys.readouterr().out)["left_out"]["bfloat16"]

    script, measured = importlib.import_module("video"), []
    monkeypatch.setattr(sys, "argv", ["video.py", "--json", "--objects", "1"])
    monkeypatch.setattr(script.subprocess, "run", lambda command, check: measured.append(command[-4:-2]))
    monkeypatch.setattr(script.np, "load", lambda file: contextlib.nullcontext({}))
    monkeypatch.setattr(script, "compare", list)
    script.main()
    assert "no instructions for bfloat16" in json.loads(capsys.readouterr().out)["left_out"]["ours bf16"]
    assert measured == [["released", "fp32"], ["ours", "fp32"]]


def test_embedding_cache_benchmark_reports_times_and_equal_losses() -> None:
    report = report_of("sam_cache.py", "--images", "1", "--side", "64", "--layers", "3", "--channels", "64")
    assert set(report["seconds"]) == {"computing", "filling", "reading"}
    assert report["times_faster"] > 0 and report["bytes_an_image"] > 4 * 256 * 4 * 4
    assert report["largest_difference_of_losses"] == 0


def test_adapter_memory_benchmark_reports_peaks_beside_full_fine_tuning() -> None:
    report = report_of("adapter_memory.py", "--families", "sam", "--presets", "lora-light", "--size", "64")
    full, light = (row for row in report["rows"] if not row["checkpointing"])
    assert (full["preset"], full["ratio"]) == ("full", 1.0) and light["preset"] == "lora-light"
    assert light["standing"] < light["peak"] < full["peak"] and light["trained"] < full["trained"]
    assert light["ratio"] == light["peak"] / full["peak"]


def test_video_reading_benchmark_reports_ratios_to_pyav_alone() -> None:
    report = report_of("video_reading.py", "--small")
    assert len(report) == 4
    for row in report.values():
        assert {"in_order_ratio", "by_number_ratio", "back_ratio", "longest_back_ratio"} < set(row)
        assert min(row.values()) > 0 and row["longest_back_ratio"] > row["back_ratio"]


@pytest.mark.parametrize("reference", ["dilation", "distance"])
def test_boundary_benchmark_reports_times_and_equal_values(reference: str) -> None:
    report = report_of("boundary.py", "--count", "2", "--repeats", "1", "--size", "60", "90", "--reference", reference)
    assert set(report["seconds"]) == {"plain", "ours"} and report["ratio"] > 0
    assert report["largest_difference"] == 0


@pytest.mark.parametrize(
    "script",
    [
        "video.py",
        "memory.py",
        "precision.py",
        "data_loading.py",
        "sam_cache.py",
        "adapter_memory.py",
        "boundary.py",
        "real_clips.py",
        "conversion.py",
    ],
)
def test_every_benchmark_explains_itself(script: str) -> None:
    done = subprocess.run([sys.executable, str(BENCHMARKS / script), "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "python benchmarks/" + script in done.stdout


def test_the_card_is_made_of_results_and_keeps_what_it_says_of_the_training(tmp_path) -> None:
    from transformers_uniref.core.families import DEFAULT_CHECKPOINT
    from transformers_uniref.hub.world_card import WANTED

    measures = dict.fromkeys(
        ("mIoU", "P@0.5", "mIoU_many", "N-acc", "T-acc", "gIoU", "exact_count", "one_as_one", "AR@20"), 0.5
    )
    names = ("report", "report_all", "human", "ade", "pairs", "generalised", "everything", "photos_everything")
    results: dict[str, Any] = {name: {"measures": measures} for name in names}
    world: dict[str, Any] = {"settings": {"seed": 3, "images": 4, "clips": 5}}
    for _, section, key, bound, _ in WANTED:
        world.setdefault(section, {})[key] = bound
    scores = {key: 0.6 for key in ("J", "F", "J&F")}
    methods = {"model": scores, "first mask kept": scores, "by sentence": scores}
    results |= {"world": world, "clips": {"sequences": {"duck": methods}, "mean": methods}}
    results["points"] = {"points": {name: {"value": 0.9} for name in ("point", "box", "clicks_3")}}
    results["sound"] = {"sound": {"right_object": 0.9, "silence_empty": 0.7}}
    for name, content in results.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    command = [sys.executable, str(BENCHMARKS / "bundled_card.py"), str(tmp_path)]
    card = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "| one object: mean IoU / share over .5 | at least .52 / .58 | 0.500 / 0.500 |" in card
    assert "| one click / a box / three clicks: mean IoU | at least .78 / .85 / .85 | 0.900 / 0.900 / 0.900 |" in card
    missed = card.split("**Short of what is wanted:** ")[1].split("\n")[0]
    assert "a sound: right object / silence: nothing" in missed and "one click" not in missed
    told = (DEFAULT_CHECKPOINT / "README.md").read_text().split("## How it was trained")[1].split("Two things help")[0]
    assert told in card
