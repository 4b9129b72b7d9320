"""The oracle's inputs that the package itself does not draw: those of training, and of the SAM variant."""

from __future__ import annotations

import zlib

import numpy as np

from transformers_uniref.verification.drawn_inputs import (
    SIZES,
    Arrays,
    CaseSizes,
    clip,
    ellipse,
    image_case_inputs,
    sentences,
)

CLIP_SIZES = ((144, 208), (160, 192))
SAM_SIZES = CaseSizes(((768, 1024), (1024, 640)), (680, 1024), ((1024, 768), (576, 1024), (1024, 1024)), (576, 1024))


def bounds(mask: np.ndarray) -> list[float]:
    rows, columns = np.nonzero(mask)
    return [float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1)]


def training_inputs() -> Arrays:
    """`train/inputs.npz`: batches of two, derived from the image cases."""
    base, arrays = image_case_inputs(), {}
    for i, (height, width) in enumerate(SIZES.ris):
        image, mask = base[f"ris/image{i}"], base[f"ris/mask{i}"]
        more = [mask, ellipse(height, width, 0.75 * width, 0.3 * height, 0.12 * width, 0.2 * height)]
        if i == 0:
            more.append(ellipse(height, width, 0.2 * width, 0.75 * height, 0.15 * width, 0.15 * height))
        for task, together in (("ris", [mask]), ("det", more)):
            arrays[f"{task}/image{i}"], arrays[f"{task}/masks{i}"] = image, np.stack(together)
            arrays[f"{task}/boxes{i}"] = np.array([bounds(m) for m in together], np.float32)
        arrays[f"det/labels_boxinst{i}"] = np.array([(2 * k + i) % 7 for k in range(len(more))])
        arrays[f"det/original_hw{i}"] = np.array([int(1.5 * height), int(1.5 * width)])
    for key in ("input_ids", "attention_mask"):
        arrays[f"ris/{key}"] = base[f"ris/{key}"]
    for i in range(2):
        arrays[f"fss/image{i}"], arrays[f"fss/masks{i}"] = base["fss/image"], base["fss/mask"][None]
        arrays[f"fss/boxes{i}"] = np.array([bounds(base["fss/mask"])], np.float32)
        for part in ("image", "mask"):
            arrays[f"fss/support_{part}{i}"] = base[f"fss/support_{part}{i}"]
    for v, size in enumerate(CLIP_SIZES):
        frames, red, blue = clip(f"small/train_vos{v}", size, 3)
        masks = np.stack([(red, blue)[v][t] for t in (0, 2)])
        arrays[f"clip/frames{v}"], arrays[f"clip/masks{v}"] = frames[[0, 2]], masks
        arrays[f"clip/boxes{v}"] = np.array([bounds(m) for m in masks], np.float32)
    arrays["clip/input_ids"], arrays["clip/attention_mask"] = sentences(
        [(f"small/train_rvos{v}", 5 + 3 * v) for v in range(2)]
    )
    return arrays


def sam_clip() -> Arrays:
    """The clip of `video/sam.npz`: three frames, objects given in frames 0 and 2, two sentences."""
    frames, red, blue = clip("sam/video0", SAM_SIZES.video, 3)
    ids, valid = sentences([("sam/video0/e0", 5), ("sam/video0/e1", 8)])
    return {
        "frames": frames,
        "mask_object1_frame0": red[0],
        "mask_object2_frame2": blue[2],
        "input_ids": ids,
        "attention_mask": valid,
    }


def crc32(tensor: np.ndarray, dtype: str = "<f4") -> int:
    """Of the values in C order, little-endian."""
    return zlib.crc32(np.ascontiguousarray(tensor, dtype=np.dtype(dtype).newbyteorder("<")).tobytes())
