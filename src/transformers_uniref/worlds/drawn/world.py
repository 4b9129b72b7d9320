"""The procedural world: drawn scenes with known truth for all four tasks, by number.

A scene is a pure function of (split, seed, task, index, size and the options of the call): any process can draw any
scene at any time, the splits share neither scenes nor backgrounds, and there is no last index.

```python
>>> world = World(split="test", size=96)
>>> scene = world.image(7)
>>> scene["image"].shape, len(scene["masks"]) == len(scene["sentences"])
((96, 96, 3), True)

```
"""

from __future__ import annotations

from typing import Any

from ...core.errors import UsageError
from ..scenes import check_integer
from .clips import draw_clip_scene
from .draws import SPLITS, TASKS, Draws
from .few_shot import FAMILIES, draw_few_shot_scene
from .generalised import GENERALISED_KINDS, generalised_sentences, generalised_vocabulary
from .grammar import KINDS, vocabulary
from .images import draw_image_scene
from .shapes import NAMED_SHAPES, NOVEL_SHAPES
from .sound import SECONDS, clip_sound, image_sounds, room_noise
from .textures import COLOURS

__all__ = [
    "COLOURS",
    "FAMILIES",
    "GENERALISED_KINDS",
    "KINDS",
    "NAMED_SHAPES",
    "NOVEL_SHAPES",
    "SPLITS",
    "World",
    "generalised_vocabulary",
    "vocabulary",
]


class World:
    """Deterministic scenes of one split.

    Args:
        split: "train", "validation" or "test". Each has its own scenes and its own backgrounds.
        size: side of the square pictures in pixels, at least 64.
        seed: another non-negative seed draws other scenes.
        objects: least and largest number of objects in a still scene, within 1 to 8. A crowded scene may hold fewer
            than were drawn, because an object that finds no place to show enough of itself is left out.

    Raises:
        ValueError: for an unknown split, a size below 64, a negative seed, or object counts out of range.
        TypeError: for a size, seed or index that is no integer.
    """

    def __init__(self, split: str = "train", size: int = 128, seed: int = 0, objects: tuple[int, int] = (2, 5)) -> None:
        if split not in SPLITS:
            raise UsageError(f"split must be one of {SPLITS}, got {split!r}")
        if len(objects) != 2 or not 1 <= objects[0] <= objects[1] <= 8:
            raise UsageError(f"objects must be (least, largest) with 1 <= least <= largest <= 8, got {objects!r}")
        self.split = split
        self.size = check_integer("size", size, 64)
        self.seed = check_integer("seed", seed, 0)
        self.objects = (int(objects[0]), int(objects[1]))

    def _draws(self, task: str, index: int) -> Draws:
        return Draws(self.seed, SPLITS.index(self.split), TASKS.index(task), check_integer("index", index, 0))

    def image(self, index: int, easy: bool = False, generalised: bool = False, sounds: bool = False) -> dict[str, Any]:
        """A still scene with referring sentences.

        Args:
            index: number of the scene, at least 0.
            easy: draw at most 3 objects, no two of the same shape and colour, with sentences about looks alone.
            generalised: also give sentences about none, one or many objects; all else stays the same.
            sounds: also give the sounds of the objects (`sound`).

        Returns:
            A dict with n objects in random order:

            - `image`: uint8 (size, size, 3), RGB.
            - `masks`: bool (n, size, size), the visible part of each object (a pixel belongs to the topmost object
              that covers at least half of it).
            - `objects`: n dicts of "shape", "colour", "texture", "size", "centre" (x, y) and "radius" in image sides,
              "rotation" in degrees, "visible_share" in [0, 1].
            - `sentences`: n lists of sentences, each true of exactly this object; up to one of each kind, in random
              order; a list is empty when the scene offers no such sentence.
            - `sentence_kinds`: n lists of "attribute", "size", "place" or "relation".
            - `absent_sentences`: up to two sentences that are true of no object.
            - with `generalised`, `generalised`: up to one sentence of each of `GENERALISED_KINDS` in random order, as
              tuples of `text`, `numbers` (the indices of all objects that it means, none for "absent" and
              "near-absent") and `kind`.
            - with `sounds`, `sounds`: for each object float32 (samples,) at `sound.SAMPLING_RATE`; None where another
              object sounds alike. `silence`: the same without any object.
        """
        scene = draw_image_scene(self._draws("image", index), self.split, self.size, self.objects, easy)
        values = scene.values()
        if generalised:
            values["generalised"] = generalised_sentences(scene.facts, self._draws("generalised", index), easy)
        if sounds:
            random = self._draws("sound", index).generator
            values["sounds"] = image_sounds(scene.objects, random)
            values["silence"] = room_noise(SECONDS, random)
        return values

    def few_shot(self, index: int, shots: int = 1, novel: bool = False, family: str = "named") -> dict[str, Any]:
        """A query scene and annotated support scenes of one category.

        Args:
            index: number of the scene, at least 0.
            shots: number of supports, at least 1.
            novel: target one of `NOVEL_SHAPES`, which no train split ever draws.
            family: "named" for targets out of `NAMED_SHAPES`, "random" for unnamed shapes of an endless family,
                "mixed" for either. Ignored when `novel` is true.

        Returns:
            A dict: `image` uint8 (size, size, 3); `mask` bool (size, size), all instances of the category (one or two);
            `reference_images` uint8 (shots, size, size, 3); `reference_masks` bool (shots, size, size); `category` str.

        Raises:
            ValueError: for an unknown family, no shot, or novel shapes asked of the train split.
        """
        if family not in FAMILIES:
            raise UsageError(f"family must be one of {FAMILIES}, got {family!r}")
        if novel and self.split == "train":
            raise UsageError("novel must be False for the train split: its scenes never show the held-out shapes")
        check_integer("shots", shots, 1)
        return draw_few_shot_scene(self._draws("few_shot", index), self.split, self.size, shots, novel, family).values()

    def clip(self, index: int, frames: int = 8, frames_per_second: float | None = None) -> dict[str, Any]:
        """A clip of 2 to 4 moving objects, no two of the same shape and colour.

        At least two objects are there in the first frame; others may enter later, and objects may hide or leave and
        return. Sentences speak of looks, which hold in every frame; words of motion only come on top of looks that
        suffice, since a model that sees one frame at a time cannot know them.

        Args:
            index: number of the clip, at least 0.
            frames: number of frames T, at least 1. Another length draws another clip.
            frames_per_second: also give a sound track (`sound`), for a clip that is shown so fast.

        Returns:
            A dict whose objects have the ids 1..n:

            - `frames`: uint8 (T, size, size, 3), RGB.
            - `label_maps`: uint8 (T, size, size), 0 background, otherwise the id of the visible object.
            - `visible`: {id: bool (T,)}, whether any pixel of the object shows.
            - `objects`: {id: dict} as in `image`, at the first frame, with "motion" ("left", "right", "up", "down",
              "still" or `None` where no word fits).
            - `sentences`: {id: list of sentences} true of exactly this object over the whole clip.
            - `sentence_kinds`: {id: list of "attribute", "size" or "motion"}.
            - `absent_sentences`: up to two sentences that are true of no object of the clip.
            - with `frames_per_second`, `sound`: float32 (samples,) at `sound.SAMPLING_RATE`, in which one object sounds
              for a second, then another, now and then none; `sounding`: of each frame its id, 0 for none.
        """
        count = check_integer("frames", frames, 1)
        values = draw_clip_scene(self._draws("clip", index), self.split, self.size, count).values()
        if frames_per_second is not None:
            random = self._draws("sound", index).generator
            values["sound"], values["sounding"] = clip_sound(values, frames_per_second, SECONDS, random)
        return values
