"""A small processor, made without any download, for tests of what goes into the model and what comes out."""

from __future__ import annotations

import numpy as np
from transformers import BertTokenizer

from transformers_uniref import UniRefImageProcessorPil, UniRefProcessor, UniRefVideoSession

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "the",
    "a",
    "dog",
    "cat",
    "man",
    "on",
    "in",
    "left",
    "right",
    "of",
    "red",
    "car",
    "t",
    "shirt",
    "x",
    "##s",
    "##ing",
    "ride",
]
SMALL_SIZE = {"shortest_edge": 60, "longest_edge": 107}


def small_tokenizer() -> BertTokenizer:
    return BertTokenizer(vocab={word: index for index, word in enumerate(WORDS)})


def small_processor(tokenizer: bool = True, **options: object) -> UniRefProcessor:
    options.setdefault("size", SMALL_SIZE)
    return UniRefProcessor(UniRefImageProcessorPil(**options), small_tokenizer() if tokenizer else None)


def picture(height: int = 80, width: int = 120, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def disc(height: int = 80, width: int = 120, value: int = 1) -> np.ndarray:
    """A mask (H, W), uint8, 0 and `value`."""
    y, x = np.mgrid[:height, :width]
    inside = ((y - height / 2) / (height / 4)) ** 2 + ((x - width / 3) / (width / 5)) ** 2 <= 1
    return inside.astype(np.uint8) * value


class RecordingSession(UniRefVideoSession):
    """A session of a grey clip, or of a stream, that shows which prompts reached it."""

    def __init__(self, video_size: tuple[int, int] | None = (80, 120), num_frames: int | None = 5) -> None:
        clip = None if video_size is None else np.full((num_frames, *video_size, 3), 127, np.uint8)
        super().__init__(clip, UniRefImageProcessorPil())

    @property
    def masks(self) -> dict[tuple[int, int], np.ndarray]:
        """By frame and object."""
        return {
            (frame, obj_id): mask.numpy()
            for obj_id, prompts in self.prompts.items()
            for frame, mask in prompts.masks.items()
        }

    @property
    def sentences(self) -> dict[tuple[int, int], list[int]]:
        """Token ids by frame and object."""
        return {
            (frame, obj_id): text.input_ids[0, : int(text.attention_mask.sum())].tolist()
            for obj_id, prompts in self.prompts.items()
            for frame, text in prompts.texts.items()
        }
