"""Makes the numbers that `uniref verify` compares with: a few of the oracle's, small enough for the package.

Run in `tests/support`: python -m oracle_support.shipped
"""

from __future__ import annotations

import gzip
import json

import numpy as np

from transformers_uniref.verification.released_numbers import CLIP_CASE, CLIP_STEP, FAMILY, FOLDER, IMAGE_CASES

from .folder import Oracle, oracle_folder


def main() -> None:
    oracle = Oracle(oracle_folder())
    kept: dict[str, np.ndarray] = {}
    for case in IMAGE_CASES:
        arrays = oracle.arrays(FAMILY, case)
        kept |= {f"{case}/{name}": arrays[f"out/{name}"] for name in ("pred_logits", "pred_boxes")}
        entries = range(len(arrays["out/pred_logits"]))
        kept |= {f"{case}/mask{entry}": arrays[f"out/b{entry}/pred_mask_top1"] for entry in entries}
    clip = oracle.arrays("video", CLIP_CASE)
    for frame in range(6):
        kept[f"{CLIP_CASE}/{frame}"] = clip[f"soft/frame{frame}"][:, ::CLIP_STEP, ::CLIP_STEP]
    np.savez_compressed(FOLDER / "released_numbers.npz", **kept)
    manifest = oracle.manifest(FAMILY)
    entries = [
        {key: entry[key] for key in ("name", "shape", "rule", "alias_of") if key in entry}
        for entry in manifest["entries"]
    ]
    with gzip.GzipFile(FOLDER / "small_model.json.gz", "wb", mtime=0) as file:
        file.write(json.dumps({"heads": manifest["meta"]["bert"]["num_attention_heads"], "entries": entries}).encode())


if __name__ == "__main__":
    main()
