"""Whole clips through the video session: soft masks, label maps and scores of every frame."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

import numpy as np
import torch

from .comparison import LOGITS, SOFT_MASKS, Report
from .image_cases import Arrays

# The released rules of the data sets: the score below which a mask stays empty.
VOS_GATE = 0.3  # DAVIS 2017
RVOS_GATES = {"refytvos": 0.3, "refdavis": None}
STORED_STEP = 2  # soft masks are stored at every second pixel
LIKELY = 0.5


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
    """Propagate and compare every frame."""
    output_size = (int(noise["output_hw"][0]), int(noise["output_hw"][1]))
    session = start_session(name, clip, output_size, processor)
    soft: dict[int, list[np.ndarray]] = defaultdict(list)
    scores: dict[int, list[float]] = defaultdict(list)
    in_call_order, different, per_frame = [], 0.0, {}
    for output in model.propagate_in_video_iterator(session):
        labels = np.zeros(output_size, dtype=np.uint8)
        for obj_id, mask in processor.post_process_video_masks(output, session).items():
            labels[np.asarray(mask)] = obj_id
        if "argmax" in expected:
            different = max(different, float((labels != expected["argmax"][output.frame_idx]).mean()))
        if "binary_255" in expected:
            likely = np.asarray(output.pred_masks[0] > LIKELY)
            different = max(different, float((likely != (expected["binary_255"][output.frame_idx] > 127)).mean()))
        per_frame[output.frame_idx] = np.asarray(output.pred_masks)[:, ::STORED_STEP, ::STORED_STEP]
        for row, obj_id in enumerate(output.object_ids):
            soft[obj_id].append(per_frame[output.frame_idx][row])
            scores[obj_id].append(float(output.object_scores[row]))
            in_call_order.append(float(output.object_scores[row]))
    report.close("pixels", "label maps: share of other pixels", np.array([different]), np.zeros(1), 2e-4)
    for frame_idx, masks in per_frame.items():
        if f"soft/frame{frame_idx}" in expected:
            report.close("soft masks", f"frame {frame_idx}", masks, expected[f"soft/frame{frame_idx}"], SOFT_MASKS)
    if "soft" in expected:  # one sentence after the other, each through the whole clip
        report.close("soft masks", "soft", np.array(sum(soft.values(), [])), expected["soft"], SOFT_MASKS)
    if "scores_top1" in expected:
        # the original takes frame by frame with masks, sentence by sentence with text
        ours = in_call_order if name.startswith("vos") else sum(scores.values(), [])
        report.close("scores", "scores", np.array(ours), expected["scores_top1"], LOGITS)
