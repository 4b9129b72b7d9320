"""Clips of photographs: real clips, pasted objects that travel over them, and mixtures of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...core.errors import FailureError
from ..drawn.clips import MANNER_WEIGHTS, MANNERS, motion_word, route, without_slivers
from ..drawn.draws import Draws
from ..drawn.scene import Pose
from ..scenes import ClipScene, Sentence
from .base import Base, SceneSource, brightness_of, choose_base, choose_times, crop_mask, crop_picture
from .grammar import PhotoDescription, PhotoFacts
from .images import (
    ATTEMPTS,
    Part,
    choose_sequences,
    describe_part,
    find_absent_sentences,
    find_photo_sentences,
    things_of,
    word_photo,
)
from .random_cutouts import draw_random_cutout
from .scene import (
    Layers,
    Occluder,
    PastedObject,
    Raster,
    draw_appearance,
    draw_occluder,
    draw_pasted_object,
    paint,
    rasterise,
    shifted,
    shows_enough,
    stack,
)


@dataclass(frozen=True)
class _Track:
    """A pasted object and its way."""

    pasted_object: PastedObject
    poses: list[Pose]


def _draw_poses(draws: Draws, start: Pose, centres: Sequence[tuple[float, float]]) -> list[Pose]:
    """Photographed things keep more upright than drawn ones; some come nearer or go away."""
    spin = draws.uniform(-0.04, 0.04) if draws.chance(0.25) else 0.0
    pace = draws.uniform(-0.035, 0.04) if draws.chance(0.45) else 0.0
    return [
        Pose(x, y, start.rotation + spin * step, min(max(1 + pace * step, 0.6), 1.5))
        for step, (x, y) in enumerate(centres)
    ]


def _draw_moving_object(
    draws: Draws, source: SceneSource, sequence: str, length: int, brightness: float, largest: float
) -> PastedObject | None:
    """An object out of a run of frames, so that it moves its limbs, or out of one."""
    available = len(source.folder.sequences[sequence].frames)
    alive = draws.chance(0.7)
    times = choose_times(draws, available, length) if alive else (draws.integer(0, available - 1),) * length
    return draw_pasted_object(draws, source, sequence, times, brightness, largest)


def _draw_tracks(
    draws: Draws,
    source: SceneSource,
    base: Base,
    base_mask: np.ndarray | None,
    hiding: Occluder | None,
    count: int,
    random_cutouts: bool = False,
) -> list[_Track]:
    """Ways such that every object that is there at first shows enough of itself in the first frame."""
    length, size = len(base.times), source.size
    largest = (0.6, 0.58, 0.52, 0.45)[count]
    brightness = brightness_of(source, base)
    tracks: list[_Track] = []
    first: list[Raster] = []
    late: list[int] = []
    chosen = [""] * count if random_cutouts else choose_sequences(draws, source, base, count, twins=0.1, different=True)
    for sequence in chosen:
        pasted_object = None
        for _ in range(6):
            pasted_object = (
                _draw_moving_object(draws, source, sequence, length, brightness, largest)
                if sequence
                else draw_random_cutout(draws, source, length, brightness, largest)
            )
            if pasted_object is not None:
                break
        if pasted_object is None:
            continue
        manner = draws.weighted(MANNERS, MANNER_WEIGHTS)
        if manner == "enter" and (len(tracks) + base.has_object < 2 or length < 4):
            manner = "bounce"
        edge = min(pasted_object.radius * 0.8, 0.45)
        turn = draws.uniform(-0.1, 0.1) if draws.chance(0.3) else 0.0
        raster = rasterise(pasted_object, 0, Pose(0.5, 0.5, turn), size)
        for _ in range(30):
            start = Pose(draws.uniform(edge, 1 - edge), draws.uniform(edge, 1 - edge), turn)
            meet = draws.choice(tracks).poses[0] if tracks else None
            poses = _draw_poses(draws, start, route(manner, start, min(pasted_object.radius, 0.5), meet, length, draws))
            trial = [*first, shifted(raster, poses[0], size)]
            exempt = [*late, len(trial)] if manner == "enter" else late
            if shows_enough(stack(base_mask, trial, size, hiding), size, base_mask is not None, exempt):
                tracks.append(_Track(pasted_object, poses))
                first, late = trial, exempt
                break
    return tracks


def _motion(track: _Track) -> str | None:
    """A word for a motion that is plain throughout the clip, or `None`."""
    motion = motion_word(track.poses)
    # Who dances on the spot does not stand still.
    return None if motion == "still" and len(set(track.pasted_object.times)) > 1 else motion


def _rasters(tracks: Sequence[_Track], size: int, count: int) -> list[list[Raster]]:
    """Pixels of every object in every frame; equal pictures are drawn once."""
    result: list[list[Raster]] = [[] for _ in range(count)]
    for track in tracks:
        previous: Raster | None = None
        for step, pose in enumerate(track.poses):
            cutouts = track.pasted_object.cutouts
            if (
                previous is not None
                and cutouts[step] is cutouts[step - 1]
                and (previous.pose.rotation, previous.pose.scale) == (pose.rotation, pose.scale)
            ):
                previous = shifted(previous, pose, size)
            else:
                previous = rasterise(track.pasted_object, step, pose, size)
            result[step].append(previous)
    return result


def _layout(
    base_mask: np.ndarray | None, rasters: Sequence[Raster], size: int, hiding: Occluder | None
) -> tuple[Layers, list[int]]:
    """The rasters of one frame that show more than a sliver, and which tracks they are."""
    return without_slivers(
        lambda members: stack(base_mask, [rasters[index] for index in members], size, hiding),
        lambda layers: layers.visible[1:],
        len(rasters),
        size,
    )


def _choose_clip_base(draws: Draws, source: SceneSource, count: int) -> tuple[Base, int] | None:
    """The photographs behind and the number of pasted objects."""
    manner = draws.weighted(("real", "mixed", "over scenery", "over an object"), (0.3, 0.15, 0.4, 0.15))
    if manner in ("real", "mixed"):
        base = choose_base(draws, source, source.sequences, count)
        pasted = 0 if manner == "real" else draws.integer(1, 2)
    else:
        still = draws.chance(0.45)
        base = choose_base(draws, source, source.sequences, count, manner == "over an object", still=still)
        pasted = draws.weighted((2, 3), (0.55, 0.45))
    return None if base is None else (base, pasted)


def draw_photo_clip(
    draws: Draws, source: SceneSource, count: int, random_cutouts: bool = False
) -> ClipScene[PhotoDescription]:
    """One clip of `count` frames with one to four objects of different sequences.

    Args:
        random_cutouts: paste random cut-outs of photographs instead of the folder's objects; nothing is said about
            such a clip.

    Raises:
        RuntimeError: when no frame of the split gives a usable object.
    """
    size = source.size
    for _ in range(ATTEMPTS):
        chosen = _choose_clip_base(draws, source, count)
        if chosen is None:
            continue
        base, pasted = chosen
        masks = [crop_mask(source, base, step) for step in range(count)] if base.has_object else [None] * count
        occluded = bool(source.plain) and draws.chance(0.15)
        hiding = draw_occluder(draws, source) if occluded else None
        pasted = max(pasted, 1) if random_cutouts else pasted
        tracks = _draw_tracks(draws, source, base, masks[0], hiding, pasted, random_cutouts) if pasted else []
        if not base.has_object and not tracks:
            continue
        if base.has_object and not shows_enough(stack(masks[0], (), size, hiding), size, True):
            continue
        return _render(draws, source, base, masks, hiding, tracks)
    raise FailureError(f"folder: no usable object in {ATTEMPTS} trials over {', '.join(source.sequences)}")


def _render(
    draws: Draws,
    source: SceneSource,
    base: Base,
    masks: Sequence[np.ndarray | None],
    hiding: Occluder | None,
    tracks: Sequence[_Track],
) -> ClipScene[PhotoDescription]:
    size, count = source.size, len(base.times)
    parts = [Part(base.sequence, base.times[0], 0, 0.0)] if base.has_object else []
    for number, track in enumerate(tracks, start=1):
        parts.append(Part(track.pasted_object.sequence, track.pasted_object.times[0], number, track.poses[0].rotation))
    nameless = any(not part.sequence for part in parts)
    # Depth and number are unrelated: ids are dealt after the depths.
    parts = draws.shuffled(parts)
    identity = np.zeros(len(tracks) + 2, np.uint8)
    for position, part in enumerate(parts, start=1):
        identity[part.number + 1] = position

    look = draw_appearance(draws, size)
    frames = np.empty((count, size, size, 3), np.uint8)
    label_maps = np.empty((count, size, size), np.uint8)
    pictures = _rasters(tracks, size, count)
    for step, rasters in enumerate(pictures):
        layers, members = _layout(masks[step], rasters, size, hiding)
        # Entries for: nothing, the photograph's own object, the tracks that are drawn.
        table = identity[[0, 1, *(index + 2 for index in members)]]
        label_maps[step] = table[layers.owner + 1]
        drawn = [rasters[index] for index in members]
        frames[step] = paint(crop_picture(source, base, step), drawn, hiding, look, draws)

    if nameless:
        # Numbers without sentences: only a mask can refer to such an object.
        nothing: list[list[Sentence[PhotoDescription]]] = [[] for _ in parts]
        told = [{"sequence": part.sequence or None, "frame": part.time} for part in parts]
        return ClipScene(frames, label_maps, told, None, nothing, [])
    beginning = stack(masks[0], pictures[0], size, hiding)
    things = things_of(source, beginning, parts)
    for position, part in enumerate(parts):
        if part.number and not base.moving:
            things[position] = replace(things[position], motion=_motion(tracks[part.number - 1]))
    facts = PhotoFacts(things, source.names(base.sequence).clutter)
    objects = [
        describe_part(part, thing, beginning) | {"motion": thing.motion}
        for part, thing in zip(parts, things, strict=True)
    ]
    sentences = [_clip_sentences(facts, target, draws) for target in range(len(things))]
    absent = find_absent_sentences(facts, source, places=False, draws=draws)
    return ClipScene(frames, label_maps, objects, facts, sentences, absent)


def _clip_sentences(facts: PhotoFacts, target: int, draws: Draws) -> list[Sentence[PhotoDescription]]:
    """Sentences about looks, which hold in every frame; words of motion are only added to what looks already tell."""
    sentences = []
    for one in find_photo_sentences(facts, target, ("attribute", "attribute"), draws):
        motion = facts.things[target].motion
        if motion is not None and draws.chance(0.35):
            meaning = replace(one.meaning, motion=motion)
            one = Sentence(word_photo(meaning, draws), meaning, "motion")
        sentences.append(one)
    return sentences
