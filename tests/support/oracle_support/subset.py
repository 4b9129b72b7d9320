"""Makes tests/oracle from the complete oracle: `python -m oracle_support.subset SOURCE` in tests/support.

Left out: the inputs (drawn by their rule, checksums kept), a few large cases, and of every case the position
embeddings, the statistics of the intermediate tensors and the masks of the queries that are not the best. Of the SAM
family's masks the decoder's samples, their statistics and the binary results are kept, of its clip the label maps.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from .drawn_cases import crc32
from .folder import IMAGE_FAMILIES, INPUT_CHECKSUMS, INPUTS, SAM_FAMILY, SUBSET, Oracle, draw_inputs

LIMIT = 4_000_000  # bytes of the whole folder
LEFT_OUT_CASES = {
    "small_r50/vos_object2",
    "small_r50/bf16/vos",
    "small_r50/bf16/vos_object2",
    "small_swin_tiny/bf16/vos",
    "video/rvos_2expr_refdavis",
}
LEFT_OUT_ARRAYS = re.compile(r".*/stats|probe/pos/.*|.*/pred_mask_others_.*|.*/pred_mask_stride8")
LEFT_OUT_OF_CASE = {"video/sam": re.compile(r".*/soft(/.*)?")}
DRAWN = (IMAGE_FAMILIES[0], SAM_FAMILY, "train", "video")


def write_json(path: Path, content: Any) -> None:
    """Compressed without a time stamp, so that the same numbers give the same file."""
    text = json.dumps(content, separators=(",", ":"), sort_keys=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".json.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """As `numpy.savez_compressed`, at the highest level and without time stamps."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.asarray(array), allow_pickle=False)
            file.writestr(zipfile.ZipInfo(f"{name}.npy"), buffer.getvalue(), zipfile.ZIP_DEFLATED, 9)


def make(source: Path) -> int:
    """Write the subset and return its size in bytes."""
    oracle = Oracle(source)
    for old in SUBSET.glob("*/"):
        shutil.rmtree(old)
    for name in [*oracle.manifest_names(), "weights_crc32"]:
        write_json(SUBSET / "manifests" / name, oracle.json(f"manifests/{name}"))
    families = [f"{family}{part}" for family in IMAGE_FAMILIES for part in ("", "/bf16")]
    for family in [*families, SAM_FAMILY, "train", "video", "matching"]:
        for case in oracle.cases(family):
            if f"{family}/{case}" not in LEFT_OUT_CASES:
                patterns = [LEFT_OUT_ARRAYS, LEFT_OUT_OF_CASE.get(f"{family}/{case}", LEFT_OUT_ARRAYS)]
                arrays = oracle.arrays(family, case)
                kept = {key: value for key, value in arrays.items() if not any(p.fullmatch(key) for p in patterns)}
                write_arrays(SUBSET / family / f"{case}.npz", kept)
        for name in oracle.json_names(family):
            if name != INPUT_CHECKSUMS:
                write_json(SUBSET / family / name, oracle.json(f"{family}/{name}"))
    write_json(
        SUBSET / INPUT_CHECKSUMS,
        {
            family: {name: crc32(array, array.dtype.str) for name, array in draw_inputs(oracle, family).items()}
            for family in DRAWN
        },
    )
    for family in DRAWN:
        stored = oracle.arrays(family, INPUTS)
        for name, array in draw_inputs(oracle, family).items():
            np.testing.assert_array_equal(array, stored[name], err_msg=f"{family}/{name}")
    return sum(path.stat().st_size for path in SUBSET.rglob("*") if path.is_file())


if __name__ == "__main__":
    size = make(Path(sys.argv[1]))
    print(f"{SUBSET}: {size:,} bytes")
    assert size <= LIMIT, f"more than {LIMIT:,} bytes"
