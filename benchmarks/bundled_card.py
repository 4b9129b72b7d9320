"""Write the bundled model's card from results in JSON, and from what its present card says of the training.

    python benchmarks/bundled_card.py RESULTS > README.md

RESULTS holds `report.json`, `report_all.json`, `human.json`, `ade.json` and `pairs.json` (`uniref evaluate --dataset
photos` or `photo-pairs`, with `--targets all` for the second), `world.json`, `generalised.json`, `points.json`,
`everything.json`, `photos_everything.json` and `sound.json` (`--dataset world...`), and `clips.json`
(`benchmarks/real_clips.py --json`), all with `--json`. Bounds are what the project asks of its default.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import safe_open

from transformers_uniref.core.families import DEFAULT_CHECKPOINT
from transformers_uniref.hub.world_card import MeasuredRow, render_world_card


def bounded(label: str, bounds: tuple[float, ...], values: tuple[float, ...]) -> MeasuredRow:
    """A row whose values must each reach their bound."""
    wanted = " / ".join(f"{bound:.2f}".removeprefix("0") for bound in bounds)
    reached = " / ".join(f"{value:.3f}" for value in values)
    enough = all(value >= bound for value, bound in zip(values, bounds, strict=True))
    return label, f"at least {wanted}", reached, enough


def photographs(results: dict[str, Any]) -> Iterator[MeasuredRow]:
    """What was measured on photographs and clips."""
    report, every, human, ade = (results[name]["measures"] for name in ("report", "report_all", "human", "ade"))
    clips = results["clips"]["mean"]
    both = "mean IoU / share over .5"
    yield bounded(f"one object: {both}", (0.52, 0.58), (report["mIoU"], report["P@0.5"]))
    label, wanted, _, enough = bounded("", (0.50,), (every["mIoU_many"],))
    label = 'several objects: IoU of the union, one answer / all answers (`targets="all"`)'
    yield label, wanted, f"{report['mIoU_many']:.3f} / {every['mIoU_many']:.3f}", enough
    yield bounded("nothing of the kind there: kept empty", (0.85,), (report["N-acc"],))
    yield bounded("something there: passes the gate", (0.85,), (report["T-acc"],))
    yield bounded(f"sentences by people, one among its like: {both}", (0.15, 0.12), (human["mIoU"], human["P@0.5"]))
    yield bounded('scenes of ADE20K, class names ("the wall"): mean IoU', (0.40,), (ade["mIoU"],))
    pairs = results["pairs"]["measures"]["mIoU"]
    yield bounded("one example of the class, another photograph: mean IoU by class", (0.45,), (pairs,))
    yield bounded("three real clips, first mask: mean J", (0.78,), (clips["model"]["J"],))
    yield bounded("the same clips by a sentence: mean J", (0.50,), (clips["by sentence"]["J"],))


def further(results: dict[str, Any]) -> Iterator[MeasuredRow]:
    """What was measured of all objects, of pointing and of sounds."""
    every, points = results["generalised"]["measures"], results["points"]["points"]
    yield bounded("none, one or many: gIoU", (0.75,), (every["gIoU"],))
    yield bounded("none meant: kept empty / some meant: answered", (0.85, 0.90), (every["N-acc"], every["T-acc"]))
    yield bounded("as many objects as are meant", (0.65,), (every["exact_count"],))
    yield bounded("one meant: exactly one found", (0.85,), (every["one_as_one"],))
    names = ("point", "box", "clicks_3")
    values = tuple(points[name]["value"] for name in names if name in points)
    yield bounded("one click / a box / three clicks: mean IoU", (0.78, 0.85, 0.85)[: len(values)], values)
    yield bounded("all objects: AR at 20 masks", (0.70,), (results["everything"]["measures"]["AR@20"],))
    found = results["photos_everything"]["measures"]["AR@20"]
    yield "all objects of photographs: AR at 20 masks", "reported", f"{found:.3f}", True
    sound = results["sound"]["sound"]
    values = (sound["right_object"], sound["silence_empty"])
    yield bounded("a sound: right object / silence: nothing", (0.80, 0.80), values)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--model", type=Path, default=DEFAULT_CHECKPOINT, help="its folder; default: the bundled one")
    arguments = parser.parse_args()
    results = {file.stem: json.loads(file.read_text()) for file in arguments.results.glob("*.json")}
    old = (DEFAULT_CHECKPOINT / "README.md").read_text()
    told = re.search(r"## How it was trained\n(.*?)\nTwo things help the training only", old, flags=re.DOTALL)
    assert told is not None
    with safe_open(arguments.model / "model.safetensors", "pt") as file:
        parameters = sum(file.get_tensor(name).numel() for name in file.keys())  # noqa: SIM118
    tokens = json.loads((arguments.model / "tokenizer.json").read_text())["model"]["vocab"]
    settings = results["world"]["settings"]
    card = render_world_card(
        "uniref-pp",
        results["world"],
        training=told[1].strip(),
        parameters=parameters,
        text_length=json.loads((arguments.model / "config.json").read_text())["text_length"],
        vocabulary=len(tokens),
        seed=settings["seed"],
        images=settings["images"],
        clips=settings["clips"],
        real_clips=results["clips"],
        photographs=tuple(photographs(results)),
        further=tuple(further(results)),
    )
    sys.stdout.write(card)
    return 0


if __name__ == "__main__":
    sys.exit(main())
