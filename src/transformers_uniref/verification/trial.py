"""A model tried on the pictures and the clip that ship with the package: answers, speed, memory."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.optional import MissingExtraError
from ..core.picture_input import rgb_array
from ..inference.clips import next_frame
from ..inference.pictures import segment_pictures
from ..inference.results import SegmentedObject
from ..media.video.io import read_frames

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
        found: the answer, called by its question; `given` in a clip, where a mask asked.
        picture: that was searched, or the last frame of the clip; uint8 (H, W, 3).
        seconds: for the picture, or for each frame after the first; the first question warms up before it is timed.
        exact_iou: IoU of the mask with that of the same weights in float32; None where they are in float32.
    """

    found: SegmentedObject
    picture: np.ndarray = field(repr=False, compare=False)
    seconds: float
    exact_iou: float | None = None

    def summary(self) -> dict[str, Any]:
        """As it is printed with `--json`; `share` is that of the picture that is in the mask."""
        score = None if self.found.given else self.found.score
        about = {"question": self.found.label, "score": score, "share": float(self.found.mask.mean())}
        return {**about, "seconds": self.seconds, "exact_iou": self.exact_iou}


def try_model(
    model: AnyUniRefModel, processor: UniRefProcessor, tell: Callable[[str], None] = lambda line: None
) -> list[Trial]:
    """Asks everything that the model, ready on its device, can answer; tells each question before it is asked."""
    config, trials = model.config, []

    def ask(name: str, question: str, sentences: Sequence[str] = (), **examples: Any) -> Trial:
        picture = rgb_array(PICTURES / name, "image")
        started = time.perf_counter()
        [[found]] = segment_pictures(model, processor, [(picture, sentences)], **examples, threshold=0)
        return Trial(replace(found, label=f"{name}, by {question}"), picture, time.perf_counter() - started)

    if config.use_language_references and processor.tokenizer is not None:
        for index, (name, text) in enumerate(SENTENCES):
            tell(f"{name}: {text}")
            if index == 0:
                ask(name, text, [text])
            trials.append(ask(name, f"“{text}”", [text]))
    if config.use_mask_references:
        tell("cat_01.jpg: like the cat of cat_00.jpg")
        example: dict[str, Any] = {"reference_images": [rgb_array(PICTURES / "cat_00.jpg", "image")]}
        trials.append(ask("cat_01.jpg", "an example", **example, reference_masks=[PICTURES / "cat_00_mask.png"]))
        trials += _clip_trial(model, processor, tell)
    return trials


def _clip_trial(model: AnyUniRefModel, processor: UniRefProcessor, tell: Callable[[str], None]) -> list[Trial]:
    """The swan, given roughly in the first frame; nothing where video files cannot be read."""
    try:
        frames = list(islice(read_frames(PICTURES / "blackswan.mp4"), FRAMES))
    except MissingExtraError:
        return []
    tell("blackswan.mp4: the swan of the first frame")
    given = np.zeros(frames[0].shape[:2], dtype=bool)
    given[90:145, 58:190] = True
    session = processor.init_video_session(inference_device=model.device, dtype=model.dtype)
    processor.add_mask_prompt(session, frame_idx=0, obj_ids=[1], masks=[given])
    times, found = [], None
    for frame in frames:
        started = time.perf_counter()
        found = next_frame(model, processor, session, frame)[1]
        times.append(time.perf_counter() - started)
    assert found is not None
    named = replace(found, label=f"blackswan.mp4, {FRAMES} frames by the mask of the first", given=True)
    return [Trial(named, frames[-1], float(np.mean(times[1:])))]


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
