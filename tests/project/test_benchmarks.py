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
