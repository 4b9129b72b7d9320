"""How well a model finds what sounds, in drawn scenes and clips. What is measured is in `definitions`, in words."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.errors import UsageError
from ..core.score_gate import gate_of, passes
from ..inference.clips import follow
from ..inference.pictures import answer, prepare
from ..metrics import iou, most_overlapping
from ..worlds.drawn.sound import SAMPLING_RATE, absent_sound
from ..worlds.drawn.world import SPLITS, World
from .definitions import SOUND_DEFINITIONS, SOUND_FRAMES, SOUND_FRAMES_PER_SECOND, TEST_SEED
from .report import Report
from .tally import Tally


def evaluate_sounds(
    model: Any,
    processor: Any,
    split: str = "test",
    seed: int = TEST_SEED,
    images: int = 400,
    clips: int = 100,
    size: int = 128,
    threshold: float | None = None,
    progress: bool = False,
) -> Report:
    """Asks a model about the sounds of drawn scenes and clips and measures its answers.

    Args:
        model, processor: in evaluation mode; that hear.
        split: "test" or "validation".
        seed: another seed draws other scenes.
        images: scenes in which the sound of one object tells it apart.
        clips: clips of 16 frames at 4 frames a second, in which one object sounds after the other.
        size: side of the pictures in pixels.
        threshold: the score gate, 0 for none. Default: the model's own.
        progress: show a bar on standard error, where it is a terminal.

    Raises:
        ValueError: an argument out of its range, or the model hears nothing.
    """
    if split not in ("test", "validation"):
        raise UsageError(f"`split` must be test or validation, got {split!r}")
    for name, value in (("images", images), ("clips", clips)):
        if value < 1:
            raise UsageError(f"`{name}` must be at least 1, got {value}")
    from tqdm import tqdm

    world = World(split, size, seed)
    gate = gate_of(threshold, processor.score_threshold) or 0.0
    settings = {"dataset": "world-sound", "split": split, "seed": seed, "images": images, "clips": clips}
    settings |= {"frames": SOUND_FRAMES, "size": size, "threshold": gate}
    report = Report(Tally(), settings, definitions=SOUND_DEFINITIONS)
    with tqdm(total=images + clips, disable=None if progress else True, leave=False) as bar:
        index = asked = 0
        while asked < images:
            asked += _measure_picture(model, processor, world, index, asked, gate, report.tally)
            bar.update(asked - bar.n)
            index += 1
        for number in range(clips):
            _measure_clip(model, processor, world.clip(number, SOUND_FRAMES, SOUND_FRAMES_PER_SECOND), number, report)
            bar.update()
    return report


def _measure_picture(
    model: Any, processor: Any, world: World, index: int, number: int, gate: float, tally: Tally
) -> bool:
    """Whether something of the scene can be asked for."""
    scene = world.image(index, sounds=True)
    masks, heard = scene["masks"], [n for n, sound in enumerate(scene["sounds"]) if sound is not None]
    if not heard:
        return False
    random = np.random.default_rng([world.seed, SPLITS.index(world.split), index])
    target = int(random.choice(heard))
    sounds = [scene["sounds"][target], scene["silence"], absent_sound(scene["objects"], random)]
    question = prepare(processor, scene["image"], audio=sounds, sampling_rate=SAMPLING_RATE)
    [(found, silent, absent)] = answer(model, processor, [question], threshold=0)
    tally.add("sound/miou", number, float(iou(found.mask, masks[target])))
    tally.add("sound/right_object", number, most_overlapping(found.mask, masks) == target)
    wanted = (("present_nonempty", found, True), ("silence_empty", silent, False), ("absent_empty", absent, False))
    for name, one, shown in wanted:
        tally.add(f"sound/{name}", number, bool(one.is_found and passes(one.score, gate)) is shown)
    return True


def _measure_clip(model: Any, processor: Any, clip: dict[str, Any], number: int, report: Report) -> None:
    session = processor.init_video_session(video=clip["frames"], inference_device=model.device)
    rate = SOUND_FRAMES_PER_SECOND
    processor.add_audio_prompt(session, 1, clip["sound"], SAMPLING_RATE, frames_per_second=rate)
    labels = clip["label_maps"]
    for time, objects in enumerate(follow(model, processor, session)):
        mask, who = objects[1].mask, clip["sounding"][time]
        if who:
            masks = np.stack([labels[time] == one for one in clip["objects"]])
            right = most_overlapping(mask, masks) == list(clip["objects"]).index(who)
            report.tally.add("clips/right_object", number, right)
            report.tally.add("clips/miou", number, float(iou(mask, labels[time] == who)))
        else:
            report.tally.add("clips/silence_empty", number, not mask.any())
