"""`uniref track`: follow objects, given by masks or by sentences, through a clip of any length."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .loading import add_model_arguments, add_output_arguments

if TYPE_CHECKING:
    import numpy as np

    from ..media.video_io import ClipInfo

HELP = "follow objects, given by a mask or by a sentence, through a video"

VIDEO, MASKS = "overlay.mp4", "masks"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's options."""
    parser.add_argument(
        "clip", type=Path, metavar="CLIP_OR_FRAMES_DIR", help="a video file, an animated picture or a folder of frames"
    )
    parser.add_argument(
        "--mask",
        type=Path,
        metavar="FILE_OR_DIR",
        help="the objects in the first frame: a PNG of its size, each value above 0 an object; or a folder of such "
        "files, each named after its frame (00005.png), where objects may be added or corrected later",
    )
    parser.add_argument(
        "--text",
        action="append",
        metavar="SENTENCE",
        help="an object to look for; repeated, each sentence is an object of its own; with --mask, one sentence for "
        "each of the mask's objects, in the order of their numbers",
    )
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="SCORE",
        help="an object that scores this or less in a frame, 0 to 1, counts as absent there (default: 0.4 for objects "
        "given by a mask, 0.3 with a sentence)",
    )
    parser.add_argument("--bf16", action="store_true", help="compute in bfloat16: faster, nearly the same masks")
    add_model_arguments(parser)
    add_output_arguments(parser)


@dataclass
class Prompts:
    """What the user said about the objects.

    Attributes:
        masks: label map (H, W) by frame index.
        sentences: sentence by object id; looked for from the first frame on.
    """

    masks: dict[int, np.ndarray]
    sentences: dict[int, str]

    def objects(self) -> list[int]:
        """Their ids, ascending."""
        return sorted({*self.sentences, *(number for labels in self.masks.values() for number in _ids(labels))})


@dataclass
class Tally:
    """What happened to one object."""

    text: str | None
    frames: int = 0
    frames_visible: int = 0
    score_sum: float = 0.0

    def add(self, visible: bool, score: float) -> None:
        """Counts one frame in which the object was looked for."""
        self.frames += 1
        self.frames_visible += visible
        self.score_sum += score

    def summary(self, number: int) -> dict[str, Any]:
        """As it is printed with `--json`."""
        mean = round(self.score_sum / self.frames, 6) if self.frames else None
        return {"id": number, "text": self.text, "frames_visible": self.frames_visible, "mean_score": mean}


def run(arguments: argparse.Namespace) -> int:
    """Writes a palette mask for each frame and the overlaid video; with `--json` a summary goes to standard output."""
    from ..media.atomic import filling
    from ..media.video_io import probe_clip
    from ..optional import require
    from .errors import UserError
    from .loading import load_model_and_processor, output_folder

    if arguments.mask is None and not arguments.text:
        raise UserError("say what to follow: --mask or --text")
    if arguments.threshold is not None and not 0 <= arguments.threshold <= 1:
        raise UserError(f"--threshold must be between 0 and 1, got {arguments.threshold}")
    require("av", "video", "uniref track, which writes a video,")
    info = probe_clip(arguments.clip)
    prompts = read_prompts(arguments, info)
    folder = output_folder(arguments.output, arguments.clip.resolve().stem)
    with filling(folder, [VIDEO, MASKS], overwrite=arguments.overwrite) as staged:
        model, processor = load_model_and_processor(
            arguments.model, arguments.device, arguments.dtype, arguments.compile
        )
        session = start_session(arguments, prompts, model, processor)
        tallies = {number: Tally(prompts.sentences.get(number)) for number in prompts.objects()}
        started = time.perf_counter()
        count = follow(info, session, model, processor, tallies, staged)
        seconds = (time.perf_counter() - started) / count
    print(f"{count} frames, {seconds:.3f} seconds each", file=sys.stderr)
    for number, tally in tallies.items():
        named = f"object {number}" + (f" ({tally.text})" if tally.text else "")
        print(f"{named}: visible in {tally.frames_visible} frames", file=sys.stderr)
    print(f"written: {folder / VIDEO}, {folder / MASKS}", file=sys.stderr)
    if arguments.json:
        summary = {"clip": str(arguments.clip), "frames": count, "seconds_per_frame": round(seconds, 6)}
        objects = [tally.summary(number) for number, tally in tallies.items()]
        outputs = {"video": str(folder / VIDEO), "masks": str(folder / MASKS)}
        print(json.dumps({**summary, "objects": objects, **outputs}))
    return 0


def read_prompts(arguments: argparse.Namespace, info: ClipInfo) -> Prompts:
    """Reads the masks and pairs them with the sentences.

    Raises:
        UserError: a mask for no frame, no object in any mask, or another number of sentences than objects.
        ValueError: an unreadable mask.
    """
    from ..media.palette import load_label_map
    from .errors import UserError

    sentences = arguments.text or []
    if arguments.mask is None:
        return Prompts({}, dict(enumerate(sentences, start=1)))
    masks = {index: load_label_map(file, "--mask") for index, file in mask_files(arguments.mask, info).items()}
    prompts = Prompts({index: labels for index, labels in masks.items() if labels.any()}, {})
    numbers = prompts.objects()
    if not numbers:
        raise UserError(f"--mask must mark at least one object with a value above 0, got none: {arguments.mask}")
    if sentences and len(sentences) != len(numbers):
        raise UserError(
            f"--text must be given once for each of the mask's {len(numbers)} objects ({_shown(numbers)}), or not at "
            f"all, got {len(sentences)} sentences"
        )
    return Prompts(prompts.masks, dict(zip(numbers, sentences, strict=False)))


def mask_files(given: Path, info: ClipInfo) -> dict[int, Path]:
    """Mask files by frame index: a file is for frame 0, those of a folder are for the frames of their names.

    Raises:
        UserError: a name that no frame has, or a folder without masks.
    """
    from .errors import UserError

    if not given.is_dir():
        return {0: given}
    files = sorted(file for file in given.glob("*.png") if not file.name.startswith("."))
    if not files:
        raise UserError(f"--mask must be a PNG file or a folder of such files, this folder holds none: {given}")
    found = {}
    for file in files:
        index = frame_index(file.stem, info)
        if index is None:
            raise UserError(
                f"--mask must name its files after the clip's frames, like {info.name(0)}.png, got {file.name}: {given}"
            )
        found[index] = file
    return found


def frame_index(name: str, info: ClipInfo) -> int | None:
    """Which frame is called that; None when there is none."""
    if info.names:
        return info.names.index(name) if name in info.names else None
    index = int(name) if name.isdecimal() else None
    return None if index is not None and info.num_frames is not None and index >= info.num_frames else index


def start_session(arguments: argparse.Namespace, prompts: Prompts, model: Any, processor: Any) -> Any:
    """A streaming session with all prompts in it; those for later frames wait there."""
    import torch

    gates = {"vos_score_threshold": arguments.threshold, "rvos_score_threshold": arguments.threshold}
    session = processor.init_video_session(
        inference_device=model.device,
        dtype=torch.bfloat16 if arguments.bf16 else torch.float32,
        **({} if arguments.threshold is None else gates),
    )
    for index, labels in prompts.masks.items():
        processor.add_mask_prompt(session, frame_idx=index, obj_ids=_ids(labels), masks=labels)
    if prompts.sentences:
        processor.add_text_prompt(session, obj_ids=list(prompts.sentences), text=list(prompts.sentences.values()))
    return session


def follow(info: ClipInfo, session: Any, model: Any, processor: Any, tallies: dict[int, Tally], folder: Path) -> int:
    """Streams the clip through the session, writing each frame's results as they come; returns the number of frames."""
    from tqdm import tqdm

    from ..media.overlays import overlay_labels
    from ..media.palette import save_label_map
    from ..media.video_io import VideoWriter, read_frames

    (folder / MASKS).mkdir()
    count = 0
    with VideoWriter(folder / VIDEO, info.frames_per_second) as writer:
        for frame in tqdm(read_frames(info.path), total=info.num_frames, unit="frame", file=sys.stderr):
            labels = segment_frame(frame, session, model, processor, tallies)
            save_label_map(folder / MASKS / f"{info.name(count)}.png", labels)
            writer.write(overlay_labels(frame, labels))
            count += 1
    return count


def segment_frame(frame: np.ndarray, session: Any, model: Any, processor: Any, tallies: dict[int, Tally]) -> np.ndarray:
    """The label map (H, W), uint8, of the next frame."""
    import numpy as np

    output = model(inference_session=session, frame=frame)
    labels = np.zeros(frame.shape[:2], dtype=np.uint8)
    masks = processor.post_process_video_masks(output, session)
    for number, score in zip(output.object_ids, output.object_scores.tolist(), strict=True):
        mask = masks[number].cpu().numpy()
        labels[mask] = number
        tallies[number].add(bool(mask.any()), score)
    return labels


def _ids(labels: np.ndarray) -> list[int]:
    import numpy as np

    return [int(value) for value in np.unique(labels) if value > 0]


def _shown(numbers: list[int]) -> str:
    return ", ".join(str(number) for number in numbers[:10]) + (", ..." if len(numbers) > 10 else "")
