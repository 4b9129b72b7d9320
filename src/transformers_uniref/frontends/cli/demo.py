"""`uniref demo`: all four tasks on freshly drawn scenes, with pictures to look at and numbers against the truth."""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.json_writing import to_json
from ..loading import add_model_arguments, add_output_arguments

if TYPE_CHECKING:
    from ...modeling.shared_model import AnyUniRefModel
    from ...processors.processing_uniref import UniRefProcessor
    from ...worlds.drawn.world import World
    from .demonstration.tasks import ClipAnswer, PictureAnswer

HELP = "see all four tasks on freshly drawn scenes, measured against the truth, and a few photographs"
EXAMPLES = (
    "uniref demo",
    "uniref demo --seed 7 --output out/demo --json",
)

REFERRING, FEW_SHOT = "referring-segmentation", "few-shot-segmentation"
FOLLOWING, REFERRING_VIDEO = "video-object-segmentation", "referring-video-segmentation"
BOTH = f"{REFERRING_VIDEO} + mask"
PHOTOGRAPHS = "photographs"
FILES = [
    f"{PHOTOGRAPHS}.png",
    f"{REFERRING}.png",
    f"{FEW_SHOT}.png",
    f"{FOLLOWING}.png",
    f"{FOLLOWING}.gif",
    f"{REFERRING_VIDEO}.png",
    f"{REFERRING_VIDEO}.gif",
]

SIZE = 128
"""Side of the drawn pictures in pixels: that of the drawn world in the training."""
SENTENCES, SHOTS, CLIPS = 24, 16, 4
SHOWN_SENTENCES, SHOWN_EXAMPLES, SHOWN_CLIPS = 12, 8, 2
FRAMES_PER_SECOND = 4.0


@dataclass
class Tally:
    """Of one task: the IoU of each answer, and what the answers are about."""

    ious: Sequence[float]
    things: str

    @property
    def miou(self) -> float:
        """Their mean."""
        return sum(self.ious) / len(self.ious)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's options."""
    parser.add_argument(
        "--seed", type=int, help="draws the same scenes again (default: other scenes each time; the seed is printed)"
    )
    add_model_arguments(parser, tuning=False)
    add_output_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Writes the pictures; the table goes to standard output, or with `--json` the numbers."""
    from ...core.atomic import filling
    from ...worlds.drawn.world import World
    from ..loading import introduce_model, load_model_and_processor, output_folder

    started = time.perf_counter()
    seed = secrets.randbelow(1_000_000) if arguments.seed is None else arguments.seed
    world = World(split="test", size=SIZE, seed=seed)
    folder = output_folder(arguments.output, "demo")
    with filling(folder, FILES, overwrite=arguments.overwrite) as staged:
        report = _silence if arguments.quiet else _say
        report(f"seed {seed}: drawn scenes, none of which was used in training")
        model, processor = load_model_and_processor(arguments.model, arguments.device, arguments.dtype)
        introduce_model(arguments)
        tallies = demonstrate(world, model, processor, staged, report)
    seconds = time.perf_counter() - started
    if arguments.json:
        tasks = {name: {"miou": round(tally.miou, 4), "n": len(tally.ious)} for name, tally in tallies.items()}
        files = [str(folder / name) for name in FILES]
        print(to_json({"tasks": tasks, "files": files, "seconds": round(seconds, 1), "seed": seed}))
    else:
        print(table(tallies))
    report(f"{seconds:.0f} seconds; look at the pictures in {folder}:")
    report("\n".join(f"  {folder / name}" for name in FILES))
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _silence(line: str) -> None:
    """Takes the place of `_say` with `--quiet`."""


def demonstrate(
    world: World, model: AnyUniRefModel, processor: UniRefProcessor, folder: Path, report: Callable[[str], None] = _say
) -> dict[str, Tally]:
    """Runs each task through its pipeline, draws what was found into `folder`, and counts."""
    from PIL import Image
    from transformers import pipeline

    from ...media.video.io import save_animation
    from .demonstration import tasks as demo_tasks
    from .demonstration.photographs import photograph_sheet
    from .demonstration.pictures import clip_animation, clip_sheet, picture_sheet

    build: Any = pipeline  # its annotations list the tasks of Transformers alone

    def start(task: str) -> Any:
        report(f"{task} ...")
        return build(task, model=model, processor=processor, device=model.device)

    def draw_pictures(task: str, answers: list[PictureAnswer]) -> None:
        Image.fromarray(picture_sheet(answers)).save(folder / f"{task}.png")

    def draw_clips(task: str, ways: dict[str, list[ClipAnswer]]) -> None:
        shown = {name: answers[:SHOWN_CLIPS] for name, answers in ways.items()}
        Image.fromarray(clip_sheet(shown)).save(folder / f"{task}.png")
        save_animation(folder / f"{task}.gif", clip_animation(shown), FRAMES_PER_SECOND)

    named = demo_tasks.find_by_sentence(start(REFERRING), world, SENTENCES)
    draw_pictures(REFERRING, named[:SHOWN_SENTENCES])
    similar = demo_tasks.find_by_example(start(FEW_SHOT), world, SHOTS)
    draw_pictures(FEW_SHOT, similar[:SHOWN_EXAMPLES])
    masked = demo_tasks.follow_masks(start(FOLLOWING), world, CLIPS)
    draw_clips(FOLLOWING, {"by mask": masked})
    follow = start(REFERRING_VIDEO)
    told = demo_tasks.follow_sentences(follow, world, CLIPS, with_masks=False)
    both = demo_tasks.follow_sentences(follow, world, CLIPS, with_masks=True)
    draw_clips(REFERRING_VIDEO, {"by sentence": told, "by both": both})
    report(f"{PHOTOGRAPHS} ...")
    Image.fromarray(photograph_sheet(model, processor)).save(folder / f"{PHOTOGRAPHS}.png")
    return {
        REFERRING: Tally([answer.iou for answer in named], "sentences"),
        FEW_SHOT: Tally([answer.iou for answer in similar], "pictures, one example each"),
        **{
            task: Tally([value for answer in answers for value in answer.object_ious], f"objects in {CLIPS} clips")
            for task, answers in ((FOLLOWING, masked), (REFERRING_VIDEO, told), (BOTH, both))
        },
    }


def table(tallies: dict[str, Tally]) -> str:
    """The numbers for people to read."""
    width = max(map(len, tallies))
    lines = [f"{'task':{width}}  mean IoU"]
    lines += [
        f"{name:{width}}  {tally.miou:8.2f}  ({len(tally.ious)} {tally.things})" for name, tally in tallies.items()
    ]
    return "\n".join(lines)
