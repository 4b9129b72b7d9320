"""The photographic world: scenes out of real frames with masks, for all four tasks, by number.

It answers the same questions as [`World`], from a folder of sequences laid out like DAVIS
(`<sequence>/frames/*.jpg`, `<sequence>/masks/*.png`, one object a sequence) and a table of what they show (see
`photoworld_names`; that of forty-two DAVIS sequences is built in). Scenes are real crops, objects cut out of the frames
and put on other photographs, and mixtures of both. A photograph that serves as background shows its own object either
whole enough to be one of the scene's objects, with its real mask, or not at all: crops that cut it are not taken.
Other things in it, such as spectators or parked cars, stay without a mask; the table names them, and no sentence is
possible for them.

As in the procedural world, a scene is a pure function of (split, seed, task, index, size, options of the call) and of
the folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...core.errors import KindError, UsageError
from ..drawn.draws import TASKS, Draws
from ..drawn.few_shot import FAMILIES
from ..scenes import check_integer
from .base import SceneSource
from .clips import draw_photo_clip
from .few_shot import draw_photo_few_shot
from .folder import PhotoFolder
from .grammar import photo_vocabulary
from .images import draw_photo_image
from .names import DAVIS_NAMES, DAVIS_VALIDATION, Names, parse_names, read_names

__all__ = [
    "DAVIS_NAMES",
    "DAVIS_VALIDATION",
    "Names",
    "PHOTO_SPLITS",
    "PhotoFolder",
    "PhotoWorld",
    "held_out",
    "parse_names",
    "photo_vocabulary",
    "read_names",
]

PHOTO_SPLITS = ("train", "validation")


def held_out(sequences: Sequence[str], validation: Sequence[str] | None = None) -> list[str]:
    """The sequences of a folder that are kept for validation; see [`PhotoWorld`].

    Args:
        sequences: all of the folder, sorted.
        validation: those that are asked for; `None` for the default.

    Raises:
        ValueError: the folder has no such sequence.
        TypeError: a text instead of a list.
    """
    if validation is not None:
        if isinstance(validation, str):
            raise KindError(f"validation must be a list of sequences, got the text {validation!r}")
        unknown = sorted(set(validation) - set(sequences))
        if unknown:
            raise UsageError(
                f"validation: there is no sequence {unknown[0]!r}; the folder holds {', '.join(sequences)}"
            )
        return list(validation)
    known = [sequence for sequence in sequences if sequence in DAVIS_VALIDATION]
    return known if known and len(known) < len(sequences) else list(sequences[4::5] or sequences[1:][-1:])


class PhotoWorld:
    """Deterministic scenes of one split of a folder of photographs.

    Args:
        folder: the folder, or a `PhotoFolder`, which several worlds can share with its memory.
        split: "train" or "validation". They share no sequence, backgrounds included.
        size: side of the square pictures in pixels, at least 64.
        seed: another non-negative seed draws other scenes.
        names: words for each sequence, or a file of them, see `PhotoFolder`; not together with a `PhotoFolder`.
        validation: sequences that are held out for validation; an empty list trains on all. By default those of
            `DAVIS_VALIDATION` that the folder holds, and without any every fifth sequence (the last of two to four).

    Raises:
        FileNotFoundError: for a folder that is missing or empty.
        ValueError: for a bad argument, a split without sequences, or files that do not fit (see `PhotoFolder`).
        TypeError: for a size, seed or index that is no integer.
    """

    def __init__(
        self,
        folder: str | Path | PhotoFolder,
        split: str = "train",
        size: int = 128,
        seed: int = 0,
        names: Any = None,
        validation: Sequence[str] | None = None,
    ) -> None:
        if split not in PHOTO_SPLITS:
            raise UsageError(f"split must be one of {PHOTO_SPLITS}, got {split!r}")
        self.split = split
        self.size = check_integer("size", size, 64)
        self.seed = check_integer("seed", seed, 0)
        if isinstance(folder, PhotoFolder):
            if names is not None:
                raise UsageError("names must be given to the PhotoFolder, not beside it")
            self.folder = folder
        else:
            self.folder = PhotoFolder(folder, names)
        everything = sorted(self.folder.sequences)
        kept = held_out(everything, validation)
        sequences = [one for one in everything if (one in kept) == (split == "validation")]
        if not sequences:
            raise UsageError(
                f"split: no sequence is left for {split!r}; the folder holds {', '.join(everything)}, "
                f"of which validation takes {', '.join(kept) or 'none'}"
            )
        self.sequences = tuple(sequences)
        categories = {self.folder.sequences[one].names.category for one in everything if one not in sequences}
        self._novel = tuple(one for one in sequences if self.folder.sequences[one].names.category not in categories)
        self._source = SceneSource(self.folder, self.sequences, self.size)

    def _draws(self, task: str, index: int) -> Draws:
        return Draws(self.seed, PHOTO_SPLITS.index(self.split), TASKS.index(task), check_integer("index", index, 0), 1)

    def vocabulary(self) -> list[str]:
        """All words that sentences about the folder's sequences can hold, sorted."""
        return photo_vocabulary({name: one.names for name, one in self.folder.sequences.items()})

    def image(self, index: int, easy: bool = False) -> dict[str, Any]:
        """A still scene with referring sentences.

        Args:
            index: number of the scene, at least 0.
            easy: no two objects of one sequence, at most 3, with sentences about looks alone.

        Returns:
            A dict with the keys of `World.image`. In "objects", "shape" is the category, "colour" the first colour
            word or `None`, "texture" and "size" are `None`, and "sequence" and "frame" tell where the object is from.
        """
        return draw_photo_image(self._draws("image", index), self._source, easy).values()

    def few_shot(self, index: int, shots: int = 1, novel: bool = False, family: str = "named") -> dict[str, Any]:
        """A query scene and annotated support scenes.

        Args:
            index: number of the scene, at least 0.
            shots: number of supports, at least 1.
            novel: target only categories that the other split does not show.
            family: "named" takes the examples from all sequences of a category, "random" from one sequence only (the
                same object in other frames), "mixed" either.

        Returns:
            A dict with the keys of `World.few_shot`.

        Raises:
            ValueError: for an unknown family, no shot, novel categories asked of the train split, or where there are
                none.
        """
        if family not in FAMILIES:
            raise UsageError(f"family must be one of {FAMILIES}, got {family!r}")
        if novel and self.split == "train":
            raise UsageError("novel must be False for the train split")
        if novel and not self._novel:
            raise UsageError("novel must be False: all categories of the validation split are in the train split")
        check_integer("shots", shots, 1)
        draws = self._draws("few_shot", index)
        same_object = family == "random" or (family == "mixed" and draws.chance(0.5))
        targets = self._novel if novel else self.sequences
        return draw_photo_few_shot(draws, self._source, targets, shots, same_object).values()

    def clip(self, index: int, frames: int = 8, scraps: bool = False) -> dict[str, Any]:
        """A clip of one to four objects of different sequences: real, pasted over real frames, or both.

        Args:
            index: number of the clip, at least 0.
            frames: number of frames T, at least 1. Another length draws another clip.
            scraps: paste random cut-outs of photographs, without a name (`random_cutouts`), instead of the folder's
                objects.

        Returns:
            A dict with the keys of `World.clip`; objects as in `image`, with "motion". Of clips with `scraps`, objects
            tell the "sequence" (`None` for a random cut-out) and "frame" alone, and there are no sentences.
        """
        count = check_integer("frames", frames, 1)
        return draw_photo_clip(self._draws("clip", index), self._source, count, scraps).values()
