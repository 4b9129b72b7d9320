"""The world of photographs: pictures from folders, each with sentences, by number."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...core.errors import FailureError, UsageError
from ..drawn.draws import SPLITS, Draws
from ..scenes import FewShotScene, Reference
from .captions import described
from .facts import measure
from .folders import AdeFolder, PhotographFolder, Split, open_folder, parts_of
from .grammar import Describer, Thing, absent_sentence
from .nouns import confusable, noun_for, plural
from .views import View, draw_view, paste
from .vocabulary import photograph_vocabulary

_ATTEMPTS = 8
_LEAST_EXAMPLE = 0.01
_UNLABELLED_CERTAINTY = 0.25
"""People marked objects of some classes alone; what is left may well be an object, but mostly it is none."""
_COUNTABLE_IN_ADE = frozenset(
    "bed window cabinet person door table plant curtain chair car painting sofa shelf house mirror armchair seat desk "
    "rock wardrobe lamp cushion box column signboard counter sink bookcase bench boat bus truck tower chandelier "
    "streetlight television airplane stool pillow flower book toilet van ship bottle poster basket bag bicycle vase "
    "flag clock sconce trash_can fan plate monitor glass traffic_light light awning tree palm_tree pot".replace(
        "_", " "
    ).split()
) | {"trash can", "traffic light", "palm tree", "coffee table", "swivel chair"}


@dataclass(frozen=True)
class Photograph:
    """A photograph with what is asked about it.

    Attributes:
        image: uint8 (size, size, 3).
        masks: bool (n, size, size), every labelled object or class that shows.
        names: n classes.
        references: sentences, each with the numbers of the masks that it means (none: it is true of nothing).
        semantic: int16 (size, size), the number of a pixel's class among the folder's, -1 where it is unlabelled.
        folder: which of the world's folders it comes from.
        certainty: float32 (size, size) in 0..1, how sure it is that a pixel is of no object but the masks'; None where
            nobody asked.
    """

    image: np.ndarray
    masks: np.ndarray
    names: tuple[str, ...]
    references: tuple[Reference, ...]
    semantic: np.ndarray
    folder: int
    certainty: np.ndarray | None = None


class Photographs:
    """Deterministic scenes of photographs of one split.

    Args:
        folders: folders in the layout of COCO or of ADE20K, see `folders.py`.
        split: "train" or "validation": every 18th photograph of a folder is kept for validation. "test": all, for
            folders that are only measured by.
        size: side of the square pictures in pixels, at least 64.
        seed: another seed draws other scenes.
        shares: how often a folder is drawn, one number each; by default by the root of its length.

    Raises:
        ValueError: a folder has neither layout, or an argument is out of range.
    """

    def __init__(
        self,
        folders: Sequence[str | Path],
        split: Split = "train",
        size: int = 256,
        seed: int = 0,
        shares: Sequence[float] = (),
    ) -> None:
        if split not in SPLITS:
            raise UsageError(f"split must be one of {SPLITS}, got {split!r}")
        if not folders:
            raise UsageError("folders must name at least one folder, got none")
        self.folders = [open_folder(folder, split) for folder in folders]
        self.split, self.size, self.seed = split, size, seed
        self.shares = list(shares) or [len(folder) ** 0.5 for folder in self.folders]
        if len(self.shares) != len(self.folders):
            raise UsageError(f"shares: got {len(self.shares)} for {len(self.folders)} folders")

    def resized(self, size: int) -> Photographs:
        """The same photographs at another size; they share what is decoded."""
        other = copy.copy(self)
        other.size = size
        return other

    def vocabulary(self) -> list[str]:
        """The words of the sentences, sorted."""
        captions = (pair for folder in self.folders for pair in folder.captioned())
        return photograph_vocabulary(self.folders, captions)

    def _draws(self, task: int, index: int) -> Draws:
        return Draws(self.seed, SPLITS.index(self.split), 10 + task, index)

    def image(self, index: int, sentences: int = 3, absent: float = 0.35, many: float = 0.35) -> Photograph:
        """A photograph with sentences.

        Args:
            index: number of the scene; there is no last one.
            sentences: most sentences of its objects; an absent one comes in the place of one of them.
            absent: probability of a sentence that is true of nothing.
            many: probability of a sentence for several objects, where there are several of a class.
        """
        draws = self._draws(0, index)
        for _ in range(_ATTEMPTS):
            which = draws.weighted(range(len(self.folders)), self.shares)
            folder = self.folders[which]
            number = draws.integer(0, len(folder) - 1)
            shot = folder.read(number)
            view = draw_view(draws, shot, self.size)
            if folder.by_class and draws.chance(0.3):
                view = paste(draws, view, folder, self._common(folder))
            ade = isinstance(folder, AdeFolder)
            ask = _ask_scene if ade else _ask_objects
            masks, names, found = ask(draws, view, sentences, many)
            if not found:
                continue
            if draws.chance(absent):
                missing = _missing(draws, folder, folder.contents(number) | set(view.names))
                if missing:
                    text = absent_sentence(draws, missing, sorted(set(view.names)))
                    found = [*found[: sentences - 1], Reference(text, (), "absent")]
            return Photograph(view.image, masks, names, tuple(found), _semantic(folder, view), which)
        raise FailureError(f"no photograph with anything to ask about in {_ATTEMPTS} draws from index {index}")

    def few_shot(self, index: int, shots: int = 1) -> FewShotScene:
        """A photograph, and others with the same class marked: all objects of that class on each."""
        draws = self._draws(1, index)
        folder = next(folder for folder in self.folders if folder.by_class)
        classes = [name for name in self._common(folder) if len(folder.by_class[name]) > shots + 2]
        for _ in range(4 * _ATTEMPTS):
            name = draws.choice(classes)
            pictures, masks = [], []
            for number in draws.shuffled(folder.by_class[name])[: 3 * (shots + 1)]:
                view = self._view_of(draws, folder, number, name)
                if view is not None:
                    pictures.append(view.image)
                    masks.append(_union(view, name))
                if len(pictures) == shots + 1:
                    return FewShotScene(
                        pictures[0], masks[0], np.stack(pictures[1:]), np.stack(masks[1:]), category=name
                    )
        raise FailureError(f"no class with {shots + 1} photographs from index {index}")

    def everything(self, index: int, most: int = 20) -> Photograph:
        """A photograph of a folder that tells objects apart, with all that are marked and no sentences.

        Args:
            index: number of the scene; there is no last one.
            most: so many of the largest at most.

        Raises:
            ValueError: no folder tells objects apart.
        """
        draws = self._draws(2, index)
        apart = [number for number, folder in enumerate(self.folders) if folder.by_class]
        if not apart:
            raise UsageError("folders: got none whose objects are told apart; accepted: at least one in COCO's layout")
        for _ in range(_ATTEMPTS):
            which = draws.weighted(apart, [self.shares[number] for number in apart])
            folder = self.folders[which]
            view = draw_view(draws, folder.read(draws.integer(0, len(folder) - 1)), self.size)
            if draws.chance(0.3):
                view = paste(draws, view, folder, self._common(folder))
            whole = [n for n in range(len(view.names)) if view.asked[n] and not view.crowd[n]]
            chosen = sorted(whole, key=lambda n: -int(view.masks[n].sum()))[:most]
            if chosen:
                certainty = np.full(view.image.shape[:2], _UNLABELLED_CERTAINTY, np.float32)
                certainty[view.masks.any(0)] = 0.0  # crowds, and what is cut off or tiny
                certainty[view.masks[chosen].any(0)] = 1.0
                names = tuple(view.names[n] for n in chosen)
                semantic = _semantic(folder, view)
                return Photograph(view.image, view.masks[chosen], names, (), semantic, which, certainty)
        raise FailureError(f"no photograph with a marked object in {_ATTEMPTS} draws from index {index}")

    def _view_of(self, draws: Draws, folder: PhotographFolder, number: int, name: str) -> View | None:
        shot = folder.read(number)
        for _ in range(3):
            view = draw_view(draws, shot, self.size)
            if name in view.names and _union(view, name).mean() >= _LEAST_EXAMPLE:
                return view
        return None

    def _common(self, folder: PhotographFolder) -> list[str]:
        return [name for name in folder.classes if len(folder.by_class.get(name, ())) >= 2]


def _union(view: View, name: str) -> np.ndarray:
    return np.logical_or.reduce([mask for mask, other in zip(view.masks, view.names, strict=True) if other == name])


def _semantic(folder: PhotographFolder, view: View) -> np.ndarray:
    known = {name: position for position, name in enumerate(folder.classes)}
    labels = np.full(view.image.shape[:2], -1, np.int16)
    for position in sorted(
        range(len(view.masks)), key=lambda number: -int(view.masks[number].sum())
    ):  # smaller ones lie on larger ones
        labels[view.masks[position]] = known[view.names[position]]
    return labels


def _missing(draws: Draws, folder: PhotographFolder, present: set[str] | frozenset[str]) -> str:
    names = [name for name in folder.classes if not any(confusable(name, other) for other in present)]
    return draws.choice(names) if names else ""


def _ask_objects(
    draws: Draws, view: View, sentences: int, many: float
) -> tuple[np.ndarray, tuple[str, ...], list[Reference]]:
    """Sentences about single objects, and perhaps about several."""
    things = [
        Thing(number, name, measure(view.image, mask), crowd)
        for number, (name, mask, crowd) in enumerate(zip(view.names, view.masks, view.crowd, strict=True))
    ]
    describer = Describer(things, draws)
    found: list[Reference] = []
    repeated = sorted({thing.name for thing in things if len(describer.alike(thing.name)) > 1})
    if repeated and draws.chance(many):
        several = describer.many(draws.choice(repeated), lambda number: view.asked[number])
        if several is not None:
            found.append(several)
    targets = _balanced(draws, [thing for thing in things if view.asked[thing.number] and not thing.crowd])
    for thing in targets:
        if len(found) >= sentences:
            break
        reference = _from_caption(draws, view, describer, thing) or describer.one(thing)
        if reference is not None and reference.text not in {other.text for other in found}:
            found.append(reference)
    return view.masks, view.names, found


def _balanced(draws: Draws, things: list[Thing]) -> list[Thing]:
    """In random order, one of each class before the second of any."""
    rounds: dict[str, int] = {}
    keyed = []
    for thing in draws.shuffled(things):
        keyed.append((rounds.get(thing.name, 0), thing))
        rounds[thing.name] = rounds.get(thing.name, 0) + 1
    return [thing for _, thing in sorted(keyed, key=lambda pair: pair[0])]


def _from_caption(draws: Draws, view: View, describer: Describer, thing: Thing) -> Reference | None:
    if not view.captions or not view.complete or len(describer.alike(thing.name)) > 1 or not draws.chance(0.6):
        return None
    texts = [text for caption in view.captions if (text := described(caption, thing.name))]
    if len(texts) < (3 if thing.name == "person" else 2):  # most people saw that object as the subject
        return None
    return Reference(draws.choice(texts), (thing.number,), "caption")


def _ask_scene(
    draws: Draws, view: View, sentences: int, many: float
) -> tuple[np.ndarray, tuple[str, ...], list[Reference]]:
    """Sentences about the regions of classes; of what can be counted also about single parts."""
    found: list[Reference] = []
    masks, names = list(view.masks), list(view.names)
    for number in draws.shuffled([n for n in range(len(view.names)) if view.asked[n]]):
        if len(found) >= sentences:
            break
        name = view.names[number]
        noun = noun_for(draws, name)
        parts = parts_of(view.masks[number]) if name in _COUNTABLE_IN_ADE else [view.masks[number]]
        if 2 <= len(parts) <= 5 and draws.chance(0.3):
            things = [Thing(k, name, measure(view.image, part)) for k, part in enumerate(parts)]
            reference = Describer(things, draws).one(things[0])
            if reference is not None and reference.kind in ("place", "size"):
                masks.append(parts[0])
                names.append(name)
                found.append(Reference(reference.text, (len(masks) - 1,), reference.kind))
                continue
        several = len(parts) > 1 and draws.chance(0.6)
        if several:
            text = draws.choice([f"all {plural(noun)}", f"the {plural(noun)}", plural(noun)])
        else:
            text = draws.choice([f"the {noun}"] * 4 + [noun])
        found.append(Reference(text, (number,), "region"))
    return np.stack(masks) if masks else view.masks, tuple(names), found
