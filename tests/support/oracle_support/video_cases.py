"""Clips through the video session: soft masks, label maps and scores of every frame.

A clip feeds its own masks back: a pixel that lies at one half here and above it there is remembered, and after some
frames everything differs a little. Each clip is therefore compared twice. Frame by frame every mask that the session is
about to remember is exchanged for the stored one, so that each frame stands alone and noise cannot add up: this finds a
wrong rule. The whole clip, with its own masks, is compared more loosely: this finds a wrong order of things.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from noise import CLIP, FLIPPED, PROBABILITIES

from .comparison import LOGITS, Report
from .image_cases import Arrays

# The released rules of the data sets: the score below which a mask stays empty.
VOS_GATE = 0.3  # DAVIS 2017
RVOS_GATES = {"refytvos": 0.3, "refdavis": None}
STORED_STEP = 2  # soft masks are stored at every second pixel


@dataclass(frozen=True)
class Limits:
    """What may differ: soft masks, scores, and how close two layers must be where a label differs."""

    soft_masks: float
    scores: float
    tie: float

    def of(self, kind: str) -> float:
        return self.soft_masks if kind == "soft masks" else self.scores


# The oracle's README, "Clips on other processors". Both layers of a tie may be off.
FRAME_BY_FRAME = Limits(soft_masks=PROBABILITIES, scores=LOGITS, tie=2 * PROBABILITIES)
WHOLE = Limits(soft_masks=CLIP, scores=CLIP, tie=CLIP)
UNLIKELY = 1e-3  # an object of this probability takes no pixel from another


def start_session(name: str, clip: Arrays, output_size: tuple[int, int], processor: Any) -> Any:
    """The session of a case.

    `vos*`: object 1 given in frame 0, object 2 in frame 2. `rvos_[vl_]{n}expr_{dataset}`: n sentences, object i + 1 for
    sentence i, followed by their masks as well with "vl".
    """
    frames = list(clip["frames"].transpose(0, 2, 3, 1))
    processor.image_processor.do_resize = False
    if name.startswith("vos"):
        session = processor.init_video_session(frames, output_size=output_size, vos_score_threshold=VOS_GATE)
        for key, mask in clip.items():
            if prompt := re.fullmatch(r"mask_object(\d+)_frame(\d+)", key):
                processor.add_mask_prompt(session, int(prompt[2]), int(prompt[1]), [mask])
        return session
    sentences = int(re.search(r"(\d+)expr", name)[1])  # type: ignore[index]
    gate = next((gate for dataset, gate in RVOS_GATES.items() if name.endswith(dataset)), None)
    session = processor.init_video_session(
        frames, output_size=output_size, rvos_score_threshold=gate, propagate_text="_vl_" in name
    )
    for index in range(sentences):
        ids, valid = (torch.from_numpy(clip[part][index : index + 1]) for part in ("input_ids", "attention_mask"))
        session.add_text(0, index + 1, ids, valid)
    return session


@dataclass
class VideoCase:
    """One clip, and what the released code found in it."""

    name: str
    model: Any
    processor: Any
    clip: Arrays
    output_size: tuple[int, int]
    expected: Arrays

    def session(self) -> Any:
        return start_session(self.name, self.clip, self.output_size, self.processor)

    @cached_property
    def frame_by_frame(self) -> tuple[list[Any], list[tuple[int, float]]]:
        """The outputs of the clip when it remembers the stored masks instead of its own.

        With them, of every mask that was remembered its frame, and the share of its pixels that had to be exchanged.
        """
        session, size = self.session(), tuple(self.clip["frames"].shape[-2:])
        outputs = []
        with remembering(self.model) as memory:
            frames = self.model.propagate_in_video_iterator(session)
            for frame_idx in range(len(self.clip["frames"])):
                given = session.prompts.masks_at(frame_idx, size)
                stored = [masks for obj_id, masks in stored_masks(self, frame_idx).items() if obj_id not in given]
                memory.expect(frame_idx, size, bool(given), stored)
                outputs.append(next(frames))
        return outputs, memory.exchanged

    @cached_property
    def whole(self) -> list[Any]:
        """The outputs of the clip when it goes by its own masks."""
        outputs, exchanged = self.frame_by_frame
        if not any(share for _, share in exchanged):
            return outputs  # its own masks are the stored ones
        return list(self.model.propagate_in_video_iterator(self.session()))


def compare_frame_by_frame(case: VideoCase, report: Report) -> None:
    outputs, exchanged = case.frame_by_frame
    for frame_idx, share in exchanged:
        report.close("remembered", f"a mask of frame {frame_idx}", np.array(share), np.zeros(()), FLIPPED)
    compare_outputs(case, outputs, FRAME_BY_FRAME, report)


def compare_whole_clip(case: VideoCase, report: Report) -> None:
    compare_outputs(case, case.whole, WHOLE, report)


class StoredMemory:
    """Exchanges the masks of one frame for stored ones; see `remembering`."""

    def __init__(self, encode: Any):
        self.encode = encode
        self.exchanged: list[tuple[int, float]] = []

    def expect(self, frame_idx: int, size: Any, given: bool, masks: list[tuple[np.ndarray, np.ndarray]]) -> None:
        """Set the stored masks (H, W) of a frame and where they are known, to be remembered at the network's `size`.

        Where masks are `given`, those that the user gave are encoded first, and stay.
        """
        self.frame_idx, self.given = frame_idx, given
        planes = [torch.from_numpy(np.stack(pair)).float()[None] for pair in masks]
        self.masks = [F.interpolate(pair, size=size, mode="nearest")[0] > 0 for pair in planes]

    def __call__(self, features: Any, masks: Tensor) -> Any:
        if self.given:
            self.given = False
            return self.encode(features, masks)
        return self.encode(features, torch.stack([self.exchange(mask) for mask in masks]))

    def exchange(self, mask: Tensor) -> Tensor:
        """The stored mask that is most like `mask`, and `mask` where nothing is known."""
        padding = [(0, mask.shape[1] - m.shape[2], 0, mask.shape[0] - m.shape[1]) for m in self.masks]
        pairs = [F.pad(pair, around) for pair, around in zip(self.masks, padding, strict=True)]
        candidates = [torch.where(known, stored.to(mask), mask) for stored, known in pairs]
        shares = [float((candidate != mask).float().mean()) for candidate in candidates]
        nearest = int(np.argmin(shares))
        self.exchanged.append((self.frame_idx, shares[nearest]))
        return candidates[nearest]


@contextmanager
def remembering(model: Any) -> Iterator[StoredMemory]:
    """Inside the `with` block, the model encodes the stored masks that are most like those that it should encode."""
    memory = StoredMemory(model.encode_mask_references)
    with mock.patch.object(model, "encode_mask_references", memory):
        yield memory


def stored_masks(case: VideoCase, frame_idx: int) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """What the released code remembered of a frame: for each object its mask, bool (H, W), and where that is known.

    Objects given by masks own what their label says, a lone sentence what its binary mask says. Of several sentences
    every second pixel is known, and others by their labels: nobody's is below a half, and one that no other sentence
    comes near belongs to the object of its label.
    """
    if "binary_255" in case.expected:
        mask = case.expected["binary_255"][frame_idx] > 127
        return {1: (mask, np.ones_like(mask))}
    labels = case.expected["argmax"][frame_idx]
    if case.name.startswith("vos"):
        objects = (int(number) for number in np.unique(case.expected["argmax"]) if number)
        return {number: (labels == number, np.ones(labels.shape, dtype=bool)) for number in objects}
    if "soft" not in case.expected:
        return {1: (labels > 0, np.zeros(labels.shape, dtype=bool))}
    soft = case.expected["soft"][frame_idx :: len(case.clip["frames"])]
    likely = np.stack([mask.repeat(STORED_STEP, 0).repeat(STORED_STEP, 1) for mask in soft])
    masks = {}
    for row in range(len(soft)):
        mask, known = labels == row + 1, np.zeros(labels.shape, dtype=bool)
        if soft.min() >= 0:  # probabilities, not the logits of UniRef-SAM
            alone = np.delete(likely, row, axis=0).max(0, initial=0) < UNLIKELY
            known = (labels == 0) | (mask & alone)
        mask[::STORED_STEP, ::STORED_STEP] = soft[row] > 0.5
        known[::STORED_STEP, ::STORED_STEP] = True
        masks[row + 1] = mask, known
    return masks


def compare_outputs(case: VideoCase, outputs: list[Any], limits: Limits, report: Report) -> None:
    """Every frame with what is stored of it. A pixel that two layers hold equally likely may be labelled as either."""
    for output in outputs:
        for kind, actual, wanted in stored_results(case, output):
            report.close(kind, f"{kind} of frame {output.frame_idx}", actual, wanted, limits.of(kind))
        labels, gaps = label_map(case, output)
        stored = case.expected["argmax"] if "argmax" in case.expected else case.expected["binary_255"] > 127
        different = labels != stored[output.frame_idx]
        what = f"labels of frame {output.frame_idx}"
        report.close("ties", what, gaps[different], np.zeros(different.sum()), limits.tie)
        report.close("pixels", what, different.mean(), np.zeros(()), FLIPPED)


def stored_results(case: VideoCase, output: Any) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """(kind, ours, stored) of one frame: the soft masks and the scores of its objects."""
    expected, frames = case.expected, len(case.clip["frames"])
    frame_idx, soft = output.frame_idx, np.asarray(output.pred_masks)[:, ::STORED_STEP, ::STORED_STEP]
    if not any(key.startswith("soft") for key in expected):
        return []
    if case.name.startswith("vos"):  # frame by frame, objects by their ids; nothing before the first object
        stored = [expected.get(f"soft/frame{index}", soft[:0]) for index in range(frame_idx + 1)]
        wanted, before = stored[-1], sum(len(frame) for frame in stored[:-1])
        rows = slice(before, before + len(wanted))
    else:  # sentence by sentence, each through the whole clip
        rows = slice(frame_idx, None, frames)
        wanted = expected["soft"][rows]
    results = [("soft masks", soft, wanted)]
    if "scores_top1" in expected:
        results.append(("scores", np.asarray(output.object_scores), expected["scores_top1"][rows]))
    return results


def label_map(case: VideoCase, output: Any) -> tuple[np.ndarray, np.ndarray]:
    """Who owns each pixel, and by how much: the gap to the second most likely layer."""
    masks = np.asarray(output.pred_masks)
    if "binary_255" in case.expected:  # one sentence: likely or not
        return masks[0] > 0.5, np.abs(2 * masks[0] - 1)
    labels = np.zeros(masks.shape[1:], dtype=np.uint8)
    for obj_id, mask in case.processor.post_process_video_masks(output, case.session()).items():
        labels[np.asarray(mask)] = obj_id
    layers = np.sort(np.concatenate([(1 - masks).prod(0, keepdims=True), masks]), axis=0)
    return labels, layers[-1] - layers[-2]
