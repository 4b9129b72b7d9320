"""Whole clips through the video session: soft masks, label maps and scores of every frame."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch

from .comparison import LOGITS, SOFT_MASKS, Report
from .image_cases import Arrays

# The released rules of the data sets: the score below which a mask stays empty.
VOS_GATE = 0.3  # DAVIS 2017
RVOS_GATES = {"refytvos": 0.3, "refdavis": None}
STORED_STEP = 2  # soft masks are stored at every second pixel
LIMITS = {"soft masks": SOFT_MASKS, "scores": LOGITS}
TIE = 2e-5  # a label may differ only where two layers are this close


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


def run_clip(name: str, model: Any, processor: Any, clip: Arrays, noise: Any, expected: Arrays, report: Report) -> None:
    """Propagate and compare every frame. A pixel that two layers hold equally likely may be labelled as either."""
    output_size = (int(noise["output_hw"][0]), int(noise["output_hw"][1]))
    session = start_session(name, clip, output_size, processor)
    outputs = list(model.propagate_in_video_iterator(session))
    for output in outputs:
        masks = np.asarray(output.pred_masks)
        for kind, actual, wanted in stored_results(name, output, masks, len(outputs), expected):
            report.close(kind, f"{kind} of frame {output.frame_idx}", actual, wanted, LIMITS[kind])
        labels, gaps = label_map(processor, output, session, masks, "binary_255" in expected)
        stored = expected["argmax"] if "argmax" in expected else expected["binary_255"] > 127
        different = labels != stored[output.frame_idx]
        what = f"labels of frame {output.frame_idx}"
        report.close("ties", what, gaps[different], np.zeros(different.sum()), TIE)
        report.close("pixels", what, different.mean(), np.zeros(()), 1e-3)


def stored_results(
    name: str, output: Any, masks: np.ndarray, frames: int, expected: Arrays
) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """(kind, ours, stored) of one frame: the soft masks and the scores of its objects."""
    frame_idx, soft = output.frame_idx, masks[:, ::STORED_STEP, ::STORED_STEP]
    if not any(key.startswith("soft") for key in expected):
        return []
    if name.startswith("vos"):  # frame by frame, objects by their ids; nothing before the first object
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


def label_map(
    processor: Any, output: Any, session: Any, masks: np.ndarray, alone: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Who owns each pixel, and by how much: the gap to the second most likely layer."""
    if alone:  # one sentence: likely or not
        return masks[0] > 0.5, np.abs(2 * masks[0] - 1)
    labels = np.zeros(masks.shape[1:], dtype=np.uint8)
    for obj_id, mask in processor.post_process_video_masks(output, session).items():
        labels[np.asarray(mask)] = obj_id
    layers = np.sort(np.concatenate([(1 - masks).prod(0, keepdims=True), masks]), axis=0)
    return labels, layers[-1] - layers[-2]
