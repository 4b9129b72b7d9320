"""What the evaluation servers of video benchmarks take, and what a benchmark's own folder says must be in it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from ..core.errors import UsageError
from ..media.label_files import read_label_png
from ..media.picture_files import JPEG_SUFFIXES, PNG_SUFFIXES, picture_files
from ..metrics.assignment import frame_order

ANNOTATIONS = "Annotations"


@dataclass(frozen=True)
class Server:
    """The layout of a server's zip file.

    Attributes:
        name: as given to `uniref evaluate --server`.
        title: for people.
        in_annotations: whether sequences lie in a folder `Annotations`; else at the root.
        by_expression: whether each sequence has a folder for each sentence, with binary masks; else ids in one mask.
        digits: of frame names.
    """

    name: str
    title: str
    in_annotations: bool
    by_expression: bool
    digits: int = 5

    @property
    def layout(self) -> str:
        """The layout in words."""
        parts = (
            [ANNOTATIONS] * self.in_annotations + ["<video>"] + ["<expression>"] * self.by_expression + ["<frame>.png"]
        )
        return "/".join(parts)


SERVERS: dict[str, Server] = {
    server.name: server
    for server in (
        Server("youtube-vos", "YouTube-VOS 2018 and 2019", in_annotations=True, by_expression=False),
        Server("ref-youtube-vos", "Refer-YouTube-VOS", in_annotations=True, by_expression=True),
        Server("mevis", "MeViS", in_annotations=False, by_expression=True),
        Server("lvos", "LVOS", in_annotations=True, by_expression=False, digits=8),
        Server("mose", "MOSE and MOSEv2", in_annotations=False, by_expression=False),
    )
}


@dataclass
class Requirements:
    """What must be in a submission.

    Attributes:
        frames: for each video and expression ("" for servers without) the frames.
        sizes: for each video (H, W).
        ids: for each video the ids of its objects.
    """

    frames: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    ids: dict[str, set[int]] = field(default_factory=dict)


def read_requirements(path: str | os.PathLike[str], server: Server) -> Requirements:
    """Reads them from the benchmark's folder of the split (`JPEGImages`, and `Annotations` or `meta_expressions.json`),
    or from its JSON file alone.

    Raises:
        FileNotFoundError: there is no such file or folder.
        ValueError: it is none of them.
    """
    root = Path(path)
    if not root.exists():
        raise FileNotFoundError(f"`reference` names a folder or file that does not exist: {path}")
    if root.is_file():
        return _from_json(root, server)
    expressions = root / "meta_expressions.json"
    if server.by_expression and not expressions.is_file():
        raise UsageError(f"`reference` must hold meta_expressions.json for {server.name}, or be that file: {path}")
    requirements = _from_json(expressions, server) if server.by_expression else Requirements()
    images = root / "JPEGImages"
    if not images.is_dir() and not server.by_expression:
        raise UsageError(f"`reference` must hold the folder JPEGImages: {path}")
    for video in sorted(images.iterdir()) if images.is_dir() else []:
        pictures = sorted(picture_files(video, JPEG_SUFFIXES), key=lambda file: frame_order(file.stem))
        if not pictures or (server.by_expression and video.name not in requirements.frames):
            continue
        with Image.open(pictures[0]) as picture:
            requirements.sizes[video.name] = (picture.height, picture.width)
        if not server.by_expression:
            requirements.frames[video.name] = {"": [file.stem for file in pictures]}
            _read_annotations(root / ANNOTATIONS / video.name, video.name, requirements)
    return requirements


def _read_annotations(folder: Path, video: str, requirements: Requirements) -> None:
    """Adds ids; frames before the first annotated one need no mask."""
    files = picture_files(folder, PNG_SUFFIXES) if folder.is_dir() else []
    if not files:
        return
    files.sort(key=lambda file: frame_order(file.stem))
    ids: set[int] = set()
    for file in files:
        labels, _ = read_label_png(file, f"`reference`: {file}")
        ids |= {int(value) for value in set(labels.ravel().tolist())}
    requirements.ids[video] = ids - {0, 255}
    first = frame_order(files[0].stem)
    requirements.frames[video][""] = [name for name in requirements.frames[video][""] if frame_order(name) >= first]


def _from_json(path: Path, server: Server) -> Requirements:
    try:
        videos: Mapping[str, Any] = json.loads(path.read_text())["videos"]
        if server.by_expression:
            frames = {
                name: {str(key): [str(frame) for frame in video["frames"]] for key in video["expressions"]}
                for name, video in videos.items()
            }
            return Requirements(frames)
        of_objects = {
            name: [set(map(str, details["frames"])) for details in video["objects"].values()]
            for name, video in videos.items()
        }
        return Requirements(
            {name: {"": sorted(set().union(*sets), key=frame_order)} for name, sets in of_objects.items()},
            ids={name: {int(number) for number in video["objects"]} for name, video in videos.items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        wanted = '"expressions" and "frames"' if server.by_expression else '"objects" with "frames"'
        raise UsageError(
            f'`reference` must be JSON with "videos" and their {wanted}, got another file: {path}'
        ) from error
