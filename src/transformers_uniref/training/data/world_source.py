"""Training samples from the procedural world, and from the world of photographs where a folder is given."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ...core.errors import FailureError, UsageError
from ...worlds.drawn.sound import absent_sound
from ...worlds.pointing import draw_pointed
from ..config.world import SamplingConfig
from .corruption import corrupt_mask
from .mixture import ScenePlan
from .photograph_samples import draw_photograph
from .samples import Entry, Sample, entry_about, entry_about_all, few_shot_sample

if TYPE_CHECKING:
    from ...worlds.photographs import Photographs

# A scene of which nothing can be asked is replaced by the scene this much further on, far outside any run.
REDRAW_STRIDE = 100_000_007
MAXIMAL_DRAWS = 20
FRAME_TRIALS = 6
# Frames between a stale reference and its target.
OLDEST_REFERENCE = 4


@dataclass(frozen=True)
class _ShownClip:
    """A clip: frames, label maps, the objects that show in each frame, the reference frames and the target frame."""

    frames: np.ndarray
    labels: np.ndarray
    present: list[set[int]]
    reference_frames: list[int]
    target: int

    def others(self, number: int, *times: int) -> list[int]:
        """The objects beside `number` that show in all these frames, rising."""
        return sorted(set.intersection(*(self.present[time] for time in times)) - {number})


class WorldSource:
    """Draws samples of all tasks from the world's `split`.

    Args:
        sampling: shares and counts.
        split: train, validation or test; there is no test split of photographs.
        photo_share: share of scenes that are drawn from photographs; `None`: that of `sampling` for the train split and
            none for the others, so that what is measured on the drawn world stays the same.
    """

    def __init__(
        self, sampling: SamplingConfig, seed: int = 0, split: str = "train", photo_share: float | None = None
    ) -> None:
        self.sampling = sampling
        self.seed = seed
        self.split = split
        of_split = sampling.photo_share if split == "train" else 0.0
        self.photo_share = of_split if photo_share is None else photo_share
        self.task_shares = sampling.photo_shares if photo_share is None else {}
        self._worlds: dict[tuple[int, bool], Any] = {}
        self._photographs: Any = None
        self._stills: Photographs | None = None

    def vocabulary(self) -> Sequence[str]:
        """The words of the world's sentences, and of those about the photographs."""
        from ...worlds.drawn.world import generalised_vocabulary, vocabulary

        words = set(vocabulary())
        if self.sampling.generalised_share:
            words.update(generalised_vocabulary())
        if self.photo_share:
            words.update(self.world(64, photographed=True).vocabulary())
        if self.sampling.photographs:
            words.update(self.photographs(64).vocabulary())
        return sorted(words)

    def world(self, size: int, photographed: bool = False) -> Any:
        """The world at `size` pixels: the drawn one, or that of the photographs."""
        from ...worlds import PhotoWorld, World

        key = (size, photographed)
        options: dict[str, Any] = {"split": self.split, "size": size, "seed": self.seed}
        if key not in self._worlds and photographed:
            held_out = self.held_out_photographs()
            self._worlds[key] = PhotoWorld(self._photographs, validation=held_out, **options)
        elif key not in self._worlds:
            self._worlds[key] = World(**options)
        return self._worlds[key]

    def photographs(self, size: int) -> Photographs:
        """The photographs of `sampling.photographs` at `size` pixels."""
        if self._stills is None:
            from ...worlds.photographs import Photographs

            sampling = self.sampling
            self._stills = Photographs(
                sampling.photographs, cast(Any, self.split), size, self.seed, shares=sampling.photograph_shares
            )
        return self._stills if self._stills.size == size else self._stills.resized(size)

    def held_out_photographs(self) -> list[str]:
        """The sequences that training does not show; empty where the folder is too small to hold any out."""
        from ...worlds.photo.world import PhotoFolder, held_out

        # All sizes share the decoded frames.
        self._photographs = self._photographs or PhotoFolder(self.sampling.photo_folder)
        try:
            return held_out(sorted(self._photographs.sequences), self.sampling.photo_validation or None)
        except ValueError as error:
            raise UsageError(f"sampling.photo_validation: {str(error).removeprefix('validation: ')}") from error

    def draw(self, plan: ScenePlan) -> Sample:
        """Draw the planned scene; one that offers no entry is replaced by another."""
        if plan.domain:
            for attempt in range(MAXIMAL_DRAWS):
                other = dataclasses.replace(plan, index=plan.index + attempt * REDRAW_STRIDE)
                sample = draw_photograph(self.photographs(plan.size), other, self.sampling)
                if sample.entries:
                    return sample
        rng = np.random.default_rng(plan.seed)
        share = plan.photo_share
        if plan.task == "detection":
            share = 0.0  # nobody has marked all that shows in those clips
        if share is None:
            share = self.photo_share and self.task_shares.get(plan.task, self.photo_share)
        # Only drawn things sound.
        photographed = share > 0 and plan.task != "sound" and rng.random() < share
        world = self.world(plan.size, photographed=photographed)
        tasks = {
            "ris": self._image,
            "fss": self._few_shot,
            "detection": self._everything,
            "point": self._pointed,
            "point_ris": self._pointed,
            "sound": self._sound,
        }
        draw_task = tasks.get(plan.task, self._clip)
        for attempt in range(MAXIMAL_DRAWS):
            index = plan.index + attempt * REDRAW_STRIDE
            sample = draw_task(world, plan, index, rng)
            if sample.entries:
                for entry in sample.entries:
                    entry.sample_id = f"{type(world).__name__.lower()}-{plan.task}:{index}"
                return sample
        raise FailureError(f"no usable scene for task {plan.task} after {MAXIMAL_DRAWS} draws from index {plan.index}")

    def _image(self, world: Any, plan: ScenePlan, index: int, rng: np.random.Generator) -> Sample:
        # A share of zero draws nothing, so that it changes no other choice.
        share = self.sampling.generalised_share
        drawn = world is self._worlds.get((plan.size, False))
        if share and drawn and self.split == "train" and rng.random() < share:
            return self._generalised(world, plan, index, rng)
        scene = world.image(index, easy=plan.easy)
        masks, sentences = scene["masks"], scene["sentences"]
        usable = [number for number, of_object in enumerate(sentences) if of_object]
        chosen = rng.permutation(usable)[: self.sampling.objects_per_scene]
        entries = []
        for number in chosen:
            sentence = sentences[number][rng.integers(len(sentences[number]))]
            others = np.delete(masks, number, axis=0)
            entries.append(Entry(plan.task, masks[number], others, sentence))
        absent = scene["absent_sentences"]
        if entries and absent and rng.random() < self.sampling.absent_share:
            sentence = absent[rng.integers(len(absent))]
            entries.append(Entry(plan.task, np.zeros_like(masks[0]), masks, sentence))
        return Sample(scene["image"], entries)

    def _pointed(self, world: Any, plan: ScenePlan, index: int, rng: np.random.Generator) -> Sample:
        """A drawn scene in which objects are pointed at, with `point_ris` beside a sentence about them."""
        scene = world.image(index, easy=plan.easy)
        masks, sentences = scene["masks"], scene["sentences"]
        with_text = plan.task == "point_ris"
        usable = [n for n in range(len(masks)) if masks[n].any() and (sentences[n] or not with_text)]
        entries = []
        for number in rng.permutation(usable)[: self.sampling.pointed_objects]:
            entry = Entry(plan.task, masks[number], np.delete(masks, number, axis=0))
            entry.pointed = draw_pointed(entry.target, entry.others, rng)
            if with_text:
                entry.sentence = sentences[number][rng.integers(len(sentences[number]))]
            entries.append(entry)
        return Sample(scene["image"], entries)

    def _sound(self, world: Any, plan: ScenePlan, index: int, rng: np.random.Generator) -> Sample:
        """A scene of which one object sounds, and perhaps the sound of something else, or of nothing."""
        scene = world.image(index, easy=plan.easy, sounds=True)
        masks, sounds = scene["masks"], scene["sounds"]
        heard = [number for number, sound in enumerate(sounds) if sound is not None]
        entries = [
            Entry(plan.task, masks[number], np.delete(masks, number, axis=0), sound=sounds[number])
            for number in rng.permutation(heard)[: self.sampling.objects_per_scene]
        ]
        if entries and rng.random() < self.sampling.absent_share:
            sound = scene["silence"] if rng.random() < 0.5 else absent_sound(scene["objects"], rng)
            entries.append(Entry(plan.task, np.zeros_like(masks[0]), masks, sound=sound))
        return Sample(scene["image"], entries)

    def _generalised(self, world: Any, plan: ScenePlan, index: int, rng: np.random.Generator) -> Sample:
        """A drawn scene with sentences about one or many of its objects, and perhaps one about none."""
        scene = world.image(index, easy=plan.easy, generalised=True)
        references = [scene["generalised"][number] for number in rng.permutation(len(scene["generalised"]))]
        asked = [one for one in references if one.numbers][: self.sampling.objects_per_scene]
        absent = [one for one in references if not one.numbers]
        if asked and absent and rng.random() < self.sampling.absent_share:
            asked.append(absent[0])
        return Sample(scene["image"], [entry_about(plan.task, scene["masks"], one.numbers, one.text) for one in asked])

    def _everything(self, world: Any, plan: ScenePlan, index: int, rng: np.random.Generator) -> Sample:
        scene = world.image(index, easy=plan.easy)
        return Sample(scene["image"], [entry_about_all(scene["masks"])] if len(scene["masks"]) else [])

    def _few_shot(self, world: Any, plan: ScenePlan, index: int, rng: np.random.Generator) -> Sample:
        family = "random" if rng.random() < self.sampling.random_shape_share else "named"
        return few_shot_sample(plan.task, world.few_shot(index, shots=plan.shots, family=family))

    def _clip(self, world: Any, plan: ScenePlan, index: int, rng: np.random.Generator) -> Sample:
        options = {"scraps": True} if self._takes_scraps(world, plan, rng) else {}
        clip = world.clip(index, frames=self.sampling.clip_frames, **options)
        frames, labels = clip["frames"], clip["label_maps"]
        sentences = {int(number): list(of_object) for number, of_object in clip["sentences"].items()}
        present = [{int(v) for v in np.unique(frame) if v} for frame in labels]
        trials = FRAME_TRIALS if plan.shots and rng.random() < self.sampling.hidden_share else 1
        for _ in range(trials):
            first, previous, target = self._choose_frames(len(frames), plan.shots, rng)
            reference_frames = [first, *previous]
            candidates = set(sentences) | set().union(*present)
            if plan.shots:
                # A reference without a pixel says nothing: objects must be seen in every reference frame.
                candidates = set.intersection(*(present[t] for t in reference_frames))
            if plan.task != "vos":
                candidates = {number for number in candidates if sentences.get(number)}
            # Hidden targets teach the score; too many of them would teach nothing else.
            visible = sorted(candidates & present[target])
            hidden = sorted(candidates - present[target])
            if hidden:
                break
        order = [int(v) for v in rng.permutation(visible)]
        if hidden and rng.random() < self.sampling.absent_share:
            order.insert(0, int(rng.choice(hidden)))
        shown = _ShownClip(frames, labels, present, reference_frames, target)
        entries = [
            self._clip_entry(plan, shown, number, sentences.get(number, []), rng)
            for number in order[: self.sampling.objects_per_scene]
        ]
        return Sample(frames[target], entries)

    def _takes_scraps(self, world: Any, plan: ScenePlan, rng: np.random.Generator) -> bool:
        # A share of zero draws nothing, so that it changes no other choice.
        share = self.sampling.scrap_share
        photographed = world is self._worlds.get((plan.size, True))
        return bool(share) and plan.task == "vos" and self.split == "train" and photographed and rng.random() < share

    def _choose_frames(self, count: int, shots: int, rng: np.random.Generator) -> tuple[int, list[int], int]:
        """First reference, further references, target: ordered in time as in a propagation, either direction."""
        times = [int(v) for v in rng.choice(count, size=2, replace=False)]
        first, target = times
        step = 1 if target > first else -1
        # A share of zero draws nothing, so that it changes no other choice.
        stale = self.sampling.stale_share and rng.random() < self.sampling.stale_share
        age = int(rng.integers(2, OLDEST_REFERENCE + 1)) if stale else 1
        previous = [max(min(target - step * (back + age), count - 1), 0) for back in range(max(0, shots - 1))]
        if shots <= 1 and rng.random() < 0.5:
            first = target - step  # neighbouring frames: the easy, and in a propagation the frequent, case
        return first, previous, target

    def _clip_entry(
        self, plan: ScenePlan, clip: _ShownClip, number: int, sentences: list[str], rng: np.random.Generator
    ) -> Entry:
        others = clip.others(number, clip.target)
        target = clip.labels[clip.target]
        entry = Entry(plan.task, target == number, target == np.array(others, dtype=target.dtype)[:, None, None])
        if plan.task != "vos":
            entry.sentence = sentences[rng.integers(len(sentences))]
        if plan.shots:
            masks = np.stack([clip.labels[t] == number for t in clip.reference_frames])
            entry.reference_images = clip.frames[clip.reference_frames]
            if plan.task == "rvos":
                self._mislead(masks, clip, number, rng)
            else:
                # The first reference is given by a person; the later ones are predictions.
                self._damage(masks, clip, number, range(min(1, plan.shots - 1), plan.shots), rng)
            entry.reference_masks = masks
        return entry

    def _damage(
        self, masks: np.ndarray, clip: _ShownClip, number: int, positions: Sequence[int], rng: np.random.Generator
    ) -> None:
        for position in positions:
            if rng.random() < self.sampling.corrupted_share:
                time = clip.reference_frames[position]
                here = clip.others(number, time)
                other = clip.labels[time] == int(rng.choice(here)) if here else None
                masks[position] = corrupt_mask(masks[position], other, rng)

    def _mislead(self, masks: np.ndarray, clip: _ShownClip, number: int, rng: np.random.Generator) -> None:
        """With a conflict the masks show another object, or are damaged; the sentence stays right."""
        if rng.random() >= self.sampling.conflict_share:
            return
        everywhere = clip.others(number, *clip.reference_frames)
        count = len(clip.reference_frames)
        if everywhere and rng.random() < 0.75:
            wrong = int(rng.choice(everywhere))
            # Often all references are wrong; sometimes the last one has already recovered.
            wrong_ones = count if count == 1 or rng.random() < 0.6 else count - 1
            for position in range(wrong_ones):
                masks[position] = clip.labels[clip.reference_frames[position]] == wrong
        else:
            self._damage(masks, clip, number, range(count), rng)
