"""Where the oracle lies and how its files are read."""

from __future__ import annotations

import gzip
import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from places import ROOT
from transformers_uniref.verification import drawn_inputs as scenes

from .drawn_cases import SAM_SIZES, crc32, training_inputs

SUBSET = ROOT / "tests" / "oracle"
IMAGE_FAMILIES = ("small_r50", "small_swin_tiny")
SAM_FAMILY = "small_sam"
INPUTS = "inputs"
INPUT_CHECKSUMS = "inputs_crc32"


def oracle_folder() -> Path:
    """`UNIREF_ORACLE`, else the complete oracle next to the repository, else the subset in the repository."""
    if named := os.environ.get("UNIREF_ORACLE"):
        folder = Path(named).expanduser().resolve()
        if not (folder / "manifests").is_dir():
            raise FileNotFoundError(f"UNIREF_ORACLE={named}: no oracle there (it has no folder manifests/)")
        return folder
    beside = ROOT.parent / "shared" / "oracle"
    return beside if beside.is_dir() else SUBSET


@dataclass(frozen=True)
class Oracle:
    """One folder of the oracle's layout."""

    root: Path

    def json(self, name: str) -> Any:
        """The contents of NAME.json, or of NAME.json.gz."""
        path = self.root / f"{name}.json"
        if path.is_file():
            return json.loads(path.read_text())
        with gzip.open(path.with_suffix(".json.gz"), "rt") as file:
            return json.load(file)

    def has_json(self, name: str) -> bool:
        return any((self.root / f"{name}.json{suffix}").is_file() for suffix in ("", ".gz"))

    def manifest_names(self) -> list[str]:
        """`small_r50`, `full_r50_video`, ...: everything in manifests/ but the checksums."""
        names = {path.name.split(".json")[0] for path in (self.root / "manifests").glob("*.json*")}
        return sorted(names - {"weights_crc32"})

    @cache  # noqa: B019  (a handful of folders live as long as the test run)
    def manifest(self, name: str) -> dict[str, Any]:
        """`{"meta": ..., "entries": [{"name", "shape", "dtype", "rule", ...}]}`."""
        manifest = self.json(f"manifests/{name}")
        return manifest if isinstance(manifest, dict) else {"meta": {}, "entries": manifest}

    def json_names(self, family: str) -> list[str]:
        """The JSON files of a folder, without their ending."""
        return sorted({path.name.split(".json")[0] for path in (self.root / family).glob("*.json*")})

    def cases(self, family: str) -> list[str]:
        """The expectation files of a folder, without their ending."""
        folder = self.root / family
        return sorted(path.stem for path in folder.glob("*.npz") if path.stem != INPUTS)

    @cache  # noqa: B019
    def arrays(self, family: str, case: str) -> dict[str, np.ndarray]:
        with np.load(self.root / family / f"{case}.npz") as file:
            return {name: file[name] for name in file.files}

    @cache  # noqa: B019
    def inputs(self, family: str) -> dict[str, np.ndarray]:
        """The inputs of a family: stored, or drawn by the oracle's rule where only their checksums are."""
        if family in IMAGE_FAMILIES and not (self.root / family / f"{INPUTS}.npz").is_file():
            family = IMAGE_FAMILIES[0]
        if (self.root / family / f"{INPUTS}.npz").is_file() or not self.has_json(INPUT_CHECKSUMS):
            return self.arrays(family, INPUTS)
        checksums, drawn = self.json(INPUT_CHECKSUMS)[family], draw_inputs(self, family)
        for name, array in drawn.items():
            equal = crc32(array, array.dtype.str) == checksums[name]
            assert equal, f"{family}/{name}: drawn otherwise than when the oracle was made"
        return drawn

    def clip(self, index: int) -> dict[str, np.ndarray]:
        """Frames, masks and token ids of one clip of video/, without its name; empty when the folder lacks it."""
        prefix = f"video{index}/"
        return {name.removeprefix(prefix): a for name, a in self.inputs("video").items() if name.startswith(prefix)}


def draw_inputs(oracle: Oracle, family: str) -> dict[str, np.ndarray]:
    if family == SAM_FAMILY:
        return scenes.image_case_inputs("sam", SAM_SIZES)
    if family == "train":
        return training_inputs()
    if family == "video":
        used = {case["source_video"] for case in oracle.json("video/noise")["noise"].values()}
        return scenes.video_inputs(sorted(used))
    return scenes.image_case_inputs()


def find_oracle() -> Oracle:
    return Oracle(oracle_folder())
