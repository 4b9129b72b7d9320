"""A model tried on the pictures and the clip that ship with the package: answers, speed, memory."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from ..modeling.shared_model import AnyUniRefModel
    from ..processors.processing_uniref import UniRefProcessor

PICTURES = Path(__file__).parent.parent / "frontends" / "app" / "examples"
FRAMES = 4
"""Of the clip; the first is given."""

# Picture, and what is asked about it.
SENTENCES = (("zebra.jpg", "the zebra on the left"), ("pizza.jpg", "the pizza"), ("cat_01.jpg", "the cat"))


@dataclass(frozen=True)
class Trial:
    """One question.

    Attributes:
        question: for people.
        score: of the answer, None in a clip.
        share: of the picture (the last frame) that is in the mask.
        seconds: for the picture, or for each frame after the first; the first question warms up before it is timed.
        exact_iou: IoU of the mask with that of the same weights in float32; None where they are in float32.
    """

    question: str
    score: float | None
    share: float
    seconds: float
    exact_iou: float | None = None
    picture: Any = field(default=None, repr=False, compare=False)
    mask: Any = field(default=None, repr=False, compare=False)


def try_model(
    model: AnyUniRefModel, processor: UniRefProcessor, tell: Callable[[str], None] | None = None
) -> list[Trial]:
    """Asks everything that the model can answer.

    Args:
        model: on its device, ready to predict.
        processor: its processor.
        tell: called with each question before it is asked.
    """
    say = tell or (lambda line: None)
    config, trials = model.config, []
    if config.use_language_references and processor.tokenizer is not None:
        for index, (name, text) in enumerate(SENTENCES):
            say(f"{name}: {text}")
            picture = Image.open(PICTURES / name).convert("RGB")
            asked = {"images": picture, "text": text}
            if index == 0:
                _ask(model, processor, asked)
            trials.append(_picture_trial(model, processor, f"{name}, by “{text}”", picture, asked))
    if config.use_mask_references:
        example, query = (Image.open(PICTURES / f"cat_0{number}.jpg").convert("RGB") for number in (0, 1))
        mask = np.asarray(Image.open(PICTURES / "cat_00_mask.png").convert("L")) > 127
        asked = {"images": query, "reference_images": [example], "reference_masks": [mask]}
        say("cat_01.jpg: like the cat of cat_00.jpg")
        trials.append(_picture_trial(model, processor, "cat_01.jpg, by an example", query, asked))
        trials += _clip_trial(model, processor, say)
    return trials


def _ask(model: AnyUniRefModel, processor: UniRefProcessor, asked: dict[str, Any]) -> dict[str, Any]:
    import torch

    picture = asked["images"]
    inputs = processor(**asked, return_tensors="pt").to(model.device)
    half = model.dtype != torch.float32
    with torch.inference_mode(), torch.autocast(model.device.type, dtype=model.dtype if half else None, enabled=half):
        outputs = model(**inputs)
    [found] = processor.post_process_referring_segmentation(outputs, target_sizes=[picture.size[::-1]])
    return dict(found)


def _picture_trial(
    model: AnyUniRefModel, processor: UniRefProcessor, question: str, picture: Image.Image, asked: dict[str, Any]
) -> Trial:
    started = time.perf_counter()
    found = _ask(model, processor, asked)
    seconds = time.perf_counter() - started
    mask = np.asarray(found["segmentation"].cpu())
    return Trial(question, float(found["score"]), float(mask.mean()), seconds, picture=picture, mask=mask)


def _clip_trial(model: AnyUniRefModel, processor: UniRefProcessor, say: Callable[[str], None]) -> list[Trial]:
    """The swan, given roughly in the first frame; nothing where video files cannot be read."""
    from itertools import islice

    from ..core.optional import MissingExtraError
    from ..media.video.io import read_frames

    try:
        frames = list(islice(read_frames(PICTURES / "blackswan.mp4"), FRAMES))
    except MissingExtraError:
        return []
    say("blackswan.mp4: the swan of the first frame")
    given = np.zeros(frames[0].shape[:2], dtype=bool)
    given[90:145, 58:190] = True
    session = processor.init_video_session(dtype=model.dtype)
    processor.add_mask_prompt(session, frame_idx=0, obj_ids=[1], masks=[given])
    times, mask = [], given
    for frame in frames:
        started = time.perf_counter()
        output = model(inference_session=session, frame=frame)
        mask = np.asarray(processor.post_process_video_masks(output, session)[1])
        times.append(time.perf_counter() - started)
    question = f"blackswan.mp4, {FRAMES} frames by the mask of the first"
    picture = Image.fromarray(frames[-1])
    return [Trial(question, None, float(mask.mean()), float(np.mean(times[1:])), picture=picture, mask=mask)]


def peak_memory() -> int:
    """Bytes that this process has used at most: of the accelerator where there is one, else of the main memory."""
    import torch

    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return int(torch.cuda.max_memory_allocated())
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """IoU of two masks; of two empty ones 1."""
    union = int((first | second).sum())
    return int((first & second).sum()) / union if union else 1.0
