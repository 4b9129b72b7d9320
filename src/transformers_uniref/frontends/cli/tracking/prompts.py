"""What the user says about the objects of a clip: masks, in the first frame or later ones, and sentences."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from ....media.video.io import ClipInfo
    from ....processors.processing_uniref import UniRefProcessor

MOST_OBJECTS = 255
_NUMBERED = re.compile(r"\s*(\d+)\s*=\s*(.*)", re.DOTALL)


@dataclass(frozen=True)
class Span:
    """The frames of a clip that are followed: `start`, `start + stride`, ... below `end`."""

    start: int = 0
    end: int | None = None
    stride: int = 1

    def holds(self, index: int) -> bool:
        """Whether a frame of the clip is followed."""
        return index >= self.start and (self.end is None or index < self.end) and not (index - self.start) % self.stride

    def count(self, total: int | None) -> int | None:
        """How many frames are followed of a clip with so many; None if that is unknown."""
        ends = [end for end in (self.end, total) if end is not None]
        return len(range(self.start, min(ends), self.stride)) if ends else None


@dataclass(frozen=True)
class MaskFile:
    """A file with masks.

    Attributes:
        path: the file.
        size: its (height, width).
        objects: the number of the object by its value in the file.
        plain: whether it is black and white, a mask without a number.
    """

    path: Path
    size: tuple[int, int]
    objects: dict[int, int]
    plain: bool

    def digest(self) -> str:
        """Of the bytes of the file."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    def masks(self) -> dict[int, np.ndarray]:
        """Reads bool (H, W) by the number of the object."""
        from ....core.mask_reading import read_mask

        with warnings.catch_warnings():  # they were shown when the file was looked at
            warnings.simplefilter("ignore")
            labels = read_mask(self.path, "--mask").values
        return {number: labels == value for value, number in self.objects.items()}


@dataclass
class Prompts:
    """Masks by the number of their frame in the clip, sentences by the number of their object, or for all objects.

    The masks stay in their files until their frame comes. What points at one object, number `pointed_object`, is by
    frame, too: arguments of the processor's `add_pointed_prompt`. `sound` is a file with a sound track, `sounding` are
    the objects that are looked for by it.
    """

    masks: dict[int, list[MaskFile]] = field(default_factory=dict)
    sentences: dict[int, str] = field(default_factory=dict)
    for_all: list[str] = field(default_factory=list)
    pointed: dict[int, dict[str, Any]] = field(default_factory=dict)
    pointed_object: int = 1
    sound: Path | None = None
    sounding: tuple[int, ...] = ()

    def objects(self) -> list[int]:
        """The numbers of all objects, ascending."""
        pointed = [self.pointed_object] if self.pointed else []
        return sorted({*self.sentences, *self.sounding, *self.masked(), *pointed})

    def frames(self) -> set[int]:
        """The frames for which something is given."""
        return {*self.masks, *self.pointed}

    def given(self, frame: int | None = None) -> list[int]:
        """The objects that are masked or pointed at, in a frame or in any."""
        pointed = bool(self.pointed) if frame is None else frame in self.pointed
        return sorted({*self.masked(frame), *([self.pointed_object] if pointed else [])})

    def names(self) -> dict[int, str]:
        """What legends call each object: "2: the dog", or "object 3"."""
        said = self.sentences
        return {
            number: f"{number}: {said[number]}" if number in said else f"object {number}" for number in self.objects()
        }

    def masked(self, frame: int | None = None) -> list[int]:
        """The numbers of the objects with masks, in a frame or in any, ascending."""
        given = self.masks.values() if frame is None else [self.masks.get(frame, [])]
        return sorted({number for files in given for file in files for number in file.objects.values()})

    def identity(self) -> list[Any]:
        """What the masks are, wherever their files lie: for each frame the objects and a digest of the pixels."""
        masks: list[Any] = [
            [frame, [[sorted(file.objects.items()), file.digest()] for file in files]]
            for frame, files in sorted(self.masks.items())
        ]
        masks += [[frame, given] for frame, given in sorted(self.pointed.items())]
        return masks if self.sound is None else [masks, hashlib.sha256(self.sound.read_bytes()).hexdigest()]

    def check_sizes(self, size: tuple[int, int]) -> None:
        """Compares all masks with the clip's (height, width) at once, not when their frames come."""
        import numpy as np

        from ....core.masks import fit_mask

        for file in (file for files in self.masks.values() for file in files):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    fit_mask(np.zeros(file.size, dtype=bool), size, "--mask")
            except ValueError as error:
                raise UserError(f"{error} {file.path}") from error


def read_prompts(
    masks: Sequence[Path],
    masks_at: Sequence[str],
    sentences: Sequence[str],
    info: ClipInfo,
    span: Span,
    targets: str = "one",
    pointed: Mapping[str, Mapping[str, Any]] | None = None,
    audio: str | None = None,
) -> Prompts:
    """Reads and numbers what is said about the objects of a clip, as far as its frames are followed.

    Args:
        masks: a folder of files named after their frames, or files for the first frame that is followed. The values in
            a file are the numbers of its objects. Where several files are given, one with a single object whose number
            is taken, or that is black and white, gets the next free number.
        masks_at: "FRAME=FILE" for later frames. An object that is known is corrected, another begins; a black and
            white file begins one with the next free number.
        sentences: "SENTENCE" or "NUMBER=SENTENCE". With masks, sentences without numbers are one for each object.
        info, span: the clip, and which of its frames are followed.
        targets: with "all" each sentence means all objects that it is true of, beside those with masks.
        pointed: what points at one object, by the frame's number or name ("" for the first that is followed). Where a
            single object has masks or a sentence, it is that one; otherwise a new one.
        audio: a file with a sound, "" for the clip's own track, None for no sound. The objects with a sentence are
            looked for by the sound as well; without any it is an object of its own, with the next free number.
    """
    prompts = Prompts()
    if len(masks) == 1 and masks[0].is_dir():
        for index, path in _files_of_folder(masks[0], info, span).items():
            prompts.masks[index] = [_mask_file(path)]
    elif masks:
        prompts.masks[span.start] = _numbered([_mask_file(path) for path in masks])
    for index, path in (_mask_at(text, info, span) for text in masks_at):
        file = _mask_file(path, "--mask-at")
        if file.plain and file.objects:
            file = _renumbered(file, _next_free(prompts.masked()))
        prompts.masks.setdefault(index, []).append(file)
    prompts.masks = {index: files for index, files in prompts.masks.items() if any(file.objects for file in files)}
    numbers = prompts.masked()
    if (masks or masks_at) and not numbers:
        option, named = ("--mask", str(masks[0])) if masks else ("--mask-at", masks_at[0])
        raise UserError(f"{option} must mark at least one object with a value above 0, got none: {named}")
    if targets == "all":
        if numbered := [text for text in sentences if _NUMBERED.fullmatch(text)]:
            raise UserError(f"--text must have no number with --targets all, which makes them, got {numbered[0]}")
        prompts.for_all = list(sentences)
    else:
        prompts.sentences = _sentences(sentences, numbers)
    for frame, given in (pointed or {}).items():
        prompts.pointed[_followed_frame(frame, info, span, "--point") if frame else span.start] = dict(given)
    known = prompts.objects() if not prompts.pointed else sorted({*prompts.sentences, *numbers})
    prompts.pointed_object = known[0] if len(known) == 1 else _next_free(known)
    if audio is not None:
        if not audio and info.kind != "video":
            raise UserError(f"--audio must name a file with a sound: this clip has no sound track: {info.path}")
        prompts.sound = Path(audio or info.path)
        prompts.sounding = tuple(prompts.sentences) or (_next_free(prompts.objects()),)
    if excess := [number for number in prompts.objects() if not 1 <= number <= MOST_OBJECTS]:
        raise UserError(f"objects must have numbers from 1 to {MOST_OBJECTS}, got {excess[0]}")
    return prompts


def masks_for(masks: Sequence[Path], name: str) -> list[Path]:
    """The masks of one of several clips: those in a folder of masks that are named after the clip."""
    if not masks:
        return []
    if len(masks) > 1 or not masks[0].is_dir():
        raise UserError("with several clips, --mask must be one folder with a folder or PNG file for each clip")
    from ....media.picture_files import mask_files

    if (masks[0] / name).is_dir():
        return [masks[0] / name]
    for path in mask_files(masks[0]):
        if path.stem == name:
            return [path]
    raise UserError(f"--mask must hold a folder {name} or a file {name}.png for this clip: {masks[0]}")


def add_masks(session: Any, processor: UniRefProcessor, files: Sequence[MaskFile], frame_idx: int) -> None:
    """Gives a session the masks of its next frame."""
    for file in files:
        masks = file.masks()
        processor.add_mask_prompt(session, frame_idx=frame_idx, obj_ids=list(masks), masks=list(masks.values()))


# ---------------------------------------------------------------------------------------------------------------- masks
def _mask_file(path: Path, option: str = "--mask") -> MaskFile:
    from ....core.mask_reading import read_mask

    given = read_mask(path, option)
    height, width = given.values.shape
    return MaskFile(path, (height, width), {value: value for value in given.ids()}, given.plain)


def _numbered(files: list[MaskFile]) -> list[MaskFile]:
    """Files for one frame with distinct numbers; see `read_prompts`."""
    if len(files) == 1:
        return files
    taken = {number for file in files if len(file.objects) > 1 for number in file.objects.values()}
    if len(taken) < sum(len(file.objects) for file in files if len(file.objects) > 1):
        raise UserError("--mask files of several objects must have different numbers in them")
    numbered = []
    for file in files:
        if len(file.objects) == 1:
            (number,) = file.objects.values()
            number = _next_free(taken) if file.plain or number in taken else number
            file = _renumbered(file, number)
            taken.add(number)
        elif not file.objects:
            raise UserError(f"--mask must mark at least one object with a value above 0, got none: {file.path}")
        numbered.append(file)
    return numbered


def _renumbered(file: MaskFile, number: int) -> MaskFile:
    (value,) = file.objects
    return MaskFile(file.path, file.size, {value: number}, file.plain)


def _next_free(taken: Sequence[int] | set[int]) -> int:
    return next(number for number in range(1, len(taken) + 2) if number not in taken)


def _files_of_folder(folder: Path, info: ClipInfo, span: Span) -> dict[int, Path]:
    """Mask files by the number of the frame that they are named after, of the frames that are followed."""
    from ....media.picture_files import mask_files

    files = mask_files(folder)
    if not files:
        raise UserError(f"--mask must be a PNG file or a folder of such files, this folder holds none: {folder}")
    found = {}
    for file in files:
        index = _frame_index(file.stem, info)
        if index is None:
            raise UserError(
                f"--mask must name its files after the clip's frames, like {info.name(0)}.png, got {file.name}: "
                f"{folder}"
            )
        found[index] = file
    followed = {index: file for index, file in found.items() if span.holds(index)}
    if not followed:
        raise UserError(f"--mask must hold a mask for a frame that is followed, got none: {folder}")
    if left_out := [file.name for index, file in found.items() if index not in followed]:
        warnings.warn(f"masks of frames that are not followed are left out: {', '.join(left_out)}", stacklevel=2)
    return followed


def _mask_at(text: str, info: ClipInfo, span: Span) -> tuple[int, Path]:
    frame, found, file = text.partition("=")
    if not found or not frame or not file:
        raise UserError(f"--mask-at must be FRAME=FILE, such as 12=mask.png, got {text}")
    return _followed_frame(frame, info, span, "--mask-at", f": {text}"), Path(file)


def _followed_frame(frame: str, info: ClipInfo, span: Span, option: str, context: str = "") -> int:
    """The number of a frame that is followed, by its number or name."""
    index = _frame_index(frame, info)
    if index is None:
        raise UserError(f"{option} must name a frame of the clip, such as {info.name(0)}, got {frame}{context}")
    if not span.holds(index):
        raise UserError(
            f"{option} must name a frame that is followed, frame {index} is left out by --start, --end or --stride"
            f"{context}"
        )
    return index


def _frame_index(name: str, info: ClipInfo) -> int | None:
    """Which frame is called that, by the name of its file or else by its number; None when there is none."""
    if name in info.names:
        return info.names.index(name)
    index = int(name) if name.isdecimal() else None
    return None if index is not None and info.num_frames is not None and index >= info.num_frames else index


# ------------------------------------------------------------------------------------------------------------ sentences
def _sentences(given: Sequence[str], masked: Sequence[int]) -> dict[int, str]:
    """Sentences by the number of their object."""
    numbered: dict[int, str] = {}
    plain = []
    for text in given:
        match = _NUMBERED.fullmatch(text)
        if match is None:
            plain.append(text)
            continue
        number = int(match[1])
        if number in numbered:
            raise UserError(f"--text must be given once for each object, got object {number} twice")
        numbered[number] = match[2]
    if not plain:
        return dict(sorted(numbered.items()))
    if masked:
        if numbered or len(plain) != len(masked):
            shown = ", ".join(str(number) for number in masked[:10]) + (", ..." if len(masked) > 10 else "")
            raise UserError(
                f"--text must be given once for each of the mask's {len(masked)} objects ({shown}), or with the number "
                f"of its object (--text {masked[-1] + 1}='...' for one without a mask), got {len(given)} sentences"
            )
        return dict(zip(masked, plain, strict=True))
    for text in plain:
        numbered[_next_free(numbered)] = text  # type: ignore[arg-type]
    return dict(sorted(numbered.items()))
