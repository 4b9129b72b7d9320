"""Packing masks for an evaluation server."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.atomic import replacing
from ..core.near_names import named
from .submission_check import SubmissionReport, check_submission
from .submission_servers import ANNOTATIONS, SERVERS, Requirements


def pack_submission(
    masks: Path, path: Path, server: str, clips: Sequence[Mapping[str, Any]], progress: bool = False
) -> SubmissionReport:
    """Writes the zip file, whole or not at all, and checks it.

    Args:
        masks: folder with `<clip>/<frame>.png` or `<clip>/<sentence>/<frame>.png`.
        path, server, progress: of the zip file, see `check_submission`.
        clips: what `ClipQuestions.measure` returned for each clip: which masks there must be.
    """
    chosen = named("server", server, SERVERS)
    prefix = f"{ANNOTATIONS}/" if chosen.in_annotations else ""
    # Masks are compressed already.
    with replacing(path) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        for clip in clips:
            for file in sorted((masks / clip["clip"]).rglob("*.png")):
                archive.write(file, f"{prefix}{file.relative_to(masks).as_posix()}")
    wanted = Requirements(
        frames={clip["clip"]: {key: list(frames) for key, frames in clip["frames"].items()} for clip in clips},
        sizes={clip["clip"]: (clip["size"][0], clip["size"][1]) for clip in clips},
        ids={clip["clip"]: set(clip["ids"]) for clip in clips},
    )
    return check_submission(path, server, progress=progress, requirements=wanted)
