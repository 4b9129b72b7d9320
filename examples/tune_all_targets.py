"""Choose what a model counts as an object with `targets="all"`, on scenes that it was not trained on.

    python examples/tune_all_targets.py runs/mine/final --photographs coco ade --save

Asks about drawn scenes of the validation split and about the photographs that a training holds back, and takes the gate
of the best score, the least score and share of further ones, and the limits of overlap that come nearest to what is
wanted (`evaluation.all_targets_tuning`). `--save` writes them as `all_targets` into the model's
`processor_config.json`, where pictures, clips, commands and the page find them. Nothing else of the model changes, nor
do answers of one object.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from transformers import AutoModel, AutoProcessor

from transformers_uniref.core.atomic import replacing
from transformers_uniref.core.model_names import model_location
from transformers_uniref.evaluation.all_targets_tuning import WANTED, Scene, rank_objects, tune_all_targets
from transformers_uniref.worlds import World
from transformers_uniref.worlds.photographs.photographs import Photographs


def drawn_scenes(count: int, size: int, seed: int) -> Iterator[Scene]:
    """Drawn scenes of the validation split, with a sentence of each kind."""
    world = World("validation", size, seed)
    for index in range(count):
        scene = world.image(index, generalised=True)
        yield scene["image"], scene["masks"], scene["generalised"]


def photograph_scenes(folders: list[Path], count: int, seed: int) -> Iterator[Scene]:
    """Photographs that are held back, with more sentences about several objects and about none than in training."""
    photographs = Photographs(folders, "validation", 256, seed)
    for index in range(count):
        shown = photographs.image(index, sentences=4, absent=0.5, many=0.6)
        yield shown.image, shown.masks, shown.references


def row(name: str, measures: Mapping[str, float]) -> str:
    """A line of the table."""
    return f"{name:<22}" + "".join(f"{measures[measure]:>14.3f}" for measure in WANTED)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a folder, a Hub id or a bundled name")
    parser.add_argument("--photographs", type=Path, nargs="+", default=[], help="folders of photographs")
    parser.add_argument("--images", type=int, default=150, help="drawn scenes (150)")
    parser.add_argument("--pictures", type=int, default=60, help="photographs (60)")
    parser.add_argument("--size", type=int, default=128, help="side of drawn scenes in pixels (128)")
    parser.add_argument("--seed", type=int, default=7, help="of the scenes (7)")
    parser.add_argument("--save", action="store_true", help="write the choice into the folder of the model")
    arguments = parser.parse_args()
    file = Path(arguments.model) / "processor_config.json"
    if arguments.save and not file.is_file():
        print(f"model: --save needs a folder with a processor_config.json, got {arguments.model}", file=sys.stderr)
        return 2
    began = time.perf_counter()
    location = model_location(arguments.model)
    model, processor = AutoModel.from_pretrained(location).eval(), AutoProcessor.from_pretrained(location)
    scenes = {"drawn": drawn_scenes(arguments.images, arguments.size, arguments.seed)}
    if arguments.photographs:
        scenes["photographs"] = photograph_scenes(arguments.photographs, arguments.pictures, arguments.seed)
    own = processor.object_choice
    own_limits = own.same_overlap, own.covered
    sets = {name: rank_objects(model, processor, of) for name, of in scenes.items()}
    chosen, measured = tune_all_targets(sets)
    print(f"{'':<22}" + "".join(f"{name:>14}" for name in WANTED))
    print(row("wanted", WANTED))
    for name, found in measured.items():
        if own_limits in sets[name]:
            gated = {**asdict(own), "threshold": processor.picture_gate("all")}
            print(row(f"{name}, before", sets[name][own_limits].measure(type(own)(**gated))))
        print(row(f"{name}, now", found))
    print(json.dumps({"all_targets": asdict(chosen)}))
    if arguments.save:
        saved = json.loads(file.read_text(encoding="utf-8")) | {"all_targets": asdict(chosen)}
        with replacing(file) as partial:
            partial.write_text(json.dumps(saved, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    print(f"{time.perf_counter() - began:.0f} seconds", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
