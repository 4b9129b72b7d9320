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

from . import scenes

TESTS = Path(__file__).resolve().parent.parent
SUBSET = TESTS / "oracle"
IMAGE_FAMILIES = ("small_r50", "small_swin_tiny")
INPUTS = "inputs"


def oracle_folder() -> Path:
    """`UNIREF_ORACLE`, else the complete oracle next to the repository, else the subset in the repository."""
    if named := os.environ.get("UNIREF_ORACLE"):
        folder = Path(named).expanduser().resolve()
        if not (folder / "manifests").is_dir():
            raise FileNotFoundError(f"UNIREF_ORACLE={named}: no oracle there (it has no folder manifests/)")
        return folder
    beside = TESTS.parent.parent / "shared" / "oracle"
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
        """The inputs of a family; the subset in the repository stores none, they are drawn by the oracle's rule."""
        if family in IMAGE_FAMILIES and not (self.root / family / f"{INPUTS}.npz").is_file():
            family = IMAGE_FAMILIES[0]
        if (self.root / family / f"{INPUTS}.npz").is_file():
            return self.arrays(family, INPUTS)
        if self.root != SUBSET:
            raise FileNotFoundError(f"{self.root / family / INPUTS}.npz")
        if family == "train":
            return scenes.training_inputs()
        if family == "video":
            used = {case["source_video"] for case in self.json("video/noise")["noise"].values()}
            return scenes.video_inputs(sorted(used))
        return scenes.image_case_inputs()


def find_oracle() -> Oracle:
    return Oracle(oracle_folder())
