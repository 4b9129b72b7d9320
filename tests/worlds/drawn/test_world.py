"""The procedural world: reproducible, honest about what its sentences and masks say, and strict about its splits."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from places import environment
from same_values import same
from transformers_uniref.worlds import World, vocabulary
from transformers_uniref.worlds.drawn.backgrounds import background_families
from transformers_uniref.worlds.drawn.clips import draw_clip_scene
from transformers_uniref.worlds.drawn.draws import SPLITS, Draws
from transformers_uniref.worlds.drawn.few_shot import _categories
from transformers_uniref.worlds.drawn.grammar import KINDS, NOUNS, Description, Facts, Thing, denotation
from transformers_uniref.worlds.drawn.images import draw_image_scene
from transformers_uniref.worlds.drawn.shapes import NAMED_SHAPES, NOVEL_SHAPES, named_shape, random_shape, similarity
from transformers_uniref.worlds.drawn.textures import COLOURS, TEXTURES

SCENES = 120


def digest(scene: dict) -> str:
    total = hashlib.sha256()
    for key, value in sorted(scene.items()):
        total.update(key.encode() + (value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode()))
    return total.hexdigest()


def all_digests() -> list[str]:
    world = World("test", size=96, seed=5)
    return [
        digest(world.image(10**30)),
        digest(world.few_shot(3, shots=2, family="mixed")),
        digest(world.clip(4, frames=5)),
    ]


# Reproducibility and splits ------------------------------------------------------------------------------------------


def test_a_scene_depends_on_its_number_alone() -> None:
    first, second = World("train", size=96), World("train", size=96)
    for index in (0, 1, 17):
        second.image(index + 1)  # drawing other scenes in between changes nothing
        assert same(first.image(index), second.image(index))
        assert same(first.few_shot(index, shots=2), second.few_shot(index, shots=2))
        assert same(first.clip(index, frames=3), second.clip(index, frames=3))


def test_another_process_draws_the_same_scenes() -> None:
    here = str(Path(__file__).parent)
    code = f"import sys; sys.path.insert(0, {here!r}); import test_world; print(*test_world.all_digests())"
    command = [sys.executable, "-c", code]
    elsewhere = environment(PYTHONHASHSEED="77")
    output = subprocess.run(command, capture_output=True, text=True, check=True, env=elsewhere).stdout
    assert output.split() == all_digests()


def test_splits_and_seeds_share_no_scene() -> None:
    worlds = [World(split, size=64, seed=seed) for split in SPLITS for seed in (0, 1)]
    pictures = [world.image(index)["image"].tobytes() for world in worlds for index in range(20)]
    assert len(set(pictures)) == len(pictures)
    plans = [repr(world.image(index)["objects"]) for world in worlds for index in range(20)]
    assert len(set(plans)) == len(plans)


def test_backgrounds_of_the_test_split_are_held_out() -> None:
    seen = set(background_families("train")) | set(background_families("validation"))
    assert not seen & set(background_families("test"))
    assert set(background_families("validation")) - set(background_families("train"))


def test_fewer_shots_keep_query_and_first_supports() -> None:
    world = World("validation", size=64)
    for family in ("named", "random"):
        one, three = world.few_shot(2, shots=1, family=family), world.few_shot(2, shots=3, family=family)
        assert np.array_equal(one["image"], three["image"])
        assert np.array_equal(one["reference_masks"], three["reference_masks"][:1])


# Sentences -----------------------------------------------------------------------------------------------------------

WORD_MEANINGS = (
    {noun: ("shape", shape) for shape, nouns in NOUNS.items() if shape for noun in nouns}
    | {colour: ("colour", colour) for colour in COLOURS}
    | {"turquoise": ("colour", "cyan"), "violet": ("colour", "purple")}
    | {texture: ("texture", texture) for texture in TEXTURES}
    | {"solid": ("texture", "plain"), "without a pattern": ("texture", "plain")}
    | {"stripy": ("texture", "striped"), "with stripes": ("texture", "striped")}
    | {"spotted": ("texture", "dotted"), "with dots": ("texture", "dotted"), "with spots": ("texture", "dotted")}
    | {"checked": ("texture", "checkered"), "with checks": ("texture", "checkered")}
    | {name: ("size", "small") for name in ("small", "little", "tiny")}
    | {name: ("size", "big") for name in ("big", "large")}
)
FILLERS = {"the", "find", "select", "segment", "show", "me", "where", "is", "which", "that", "and"} | {
    "thing",
    "object",
    "shape",
    "colored",
    "coloured",
}


def read_attributes(sentence: str) -> dict[str, str]:
    """Reads a sentence about looks word by word, independently of the grammar; every word must be understood."""
    rest, found = f" {sentence} ", {}
    for phrase, (aspect, value) in sorted(WORD_MEANINGS.items(), key=lambda item: -len(item[0])):
        if f" {phrase} " in rest:
            assert found.get(aspect, value) == value, sentence
            found[aspect] = value
            rest = rest.replace(f" {phrase} ", " ", 1)
    assert set(rest.split()) <= FILLERS, (sentence, rest)
    return found


def fits(thing: dict, wanted: dict[str, str]) -> bool:
    return all(thing[aspect] == value for aspect, value in wanted.items())


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("easy", [False, True])
def test_sentences_about_looks_fit_exactly_one_object(split: str, easy: bool) -> None:
    world, checked = World(split, size=64), 0
    for index in range(SCENES // 2):
        scene = world.image(index, easy=easy)
        for target, (texts, kinds) in enumerate(zip(scene["sentences"], scene["sentence_kinds"], strict=True)):
            for text, kind in zip(texts, kinds, strict=True):
                assert kind == "attribute" or not easy
                if kind == "attribute":
                    wanted = read_attributes(text)
                    assert [fits(thing, wanted) for thing in scene["objects"]].index(True) == target, text
                    assert sum(fits(thing, wanted) for thing in scene["objects"]) == 1, text
                    checked += 1
    assert checked > SCENES // 2


def test_every_meaning_refers_and_absent_ones_do_not() -> None:
    kinds: dict[str, int] = {}
    for index in range(SCENES):
        scene = draw_image_scene(Draws(1, 0, 0, index), "train", 64, (2, 5), False)
        for target, group in enumerate(scene.sentences):
            for sentence in group:
                assert denotation(sentence.meaning, scene.facts) == (1 << target, 1 << target), sentence.text
                kinds[sentence.kind] = kinds.get(sentence.kind, 0) + 1
        for sentence in scene.absent:
            assert denotation(sentence.meaning, scene.facts)[1] == 0, sentence.text
    assert set(kinds) == set(KINDS)
    assert min(kinds.values()) > SCENES // 2


def test_places_agree_with_the_masks() -> None:
    """Sentences whose last words are a plain side of the picture, checked against the pixels."""
    world, checked = World("train", size=64), 0
    sides = {"on the left": (1, -1), "on the right": (1, 1), "at the top": (0, -1), "at the bottom": (0, 1)}
    for index in range(SCENES):
        scene = world.image(index)
        for mask, texts in zip(scene["masks"], scene["sentences"], strict=True):
            for text in texts:
                for phrase, (axis, sign) in sides.items():
                    if text.endswith(phrase):
                        assert sign * (np.nonzero(mask)[axis].mean() + 0.5 - 32) > 6, text
                        checked += 1
                if text.endswith(("leftmost object", "leftmost thing", "leftmost shape")):
                    assert all(np.nonzero(mask)[1].mean() <= np.nonzero(other)[1].mean() for other in scene["masks"])
                    checked += 1
    assert checked > 30


def test_absent_looks_fit_no_object() -> None:
    world, checked = World("test", size=64), 0
    for index in range(SCENES):
        scene = world.image(index)
        for text in scene["absent_sentences"]:
            if not set(text.split()) & {"on", "at", "in"}:
                assert not any(fits(thing, read_attributes(text)) for thing in scene["objects"]), text
                checked += 1
    assert checked > SCENES


def test_borderline_cases_do_not_refer() -> None:
    def thing(x: float, y: float, **look: str) -> Thing:
        words = {"shape": "star", "colour": "red", "texture": "plain", "size": "big"} | look
        return Thing(**words, x=x, y=y, radius=0.1)

    left, middle, blue = thing(0.2, 0.5), thing(0.45, 0.5), thing(0.8, 0.5, colour="blue")
    assert denotation(Description(place="left"), Facts([left, blue])) == (0b01, 0b01)
    assert denotation(Description(place="left"), Facts([left, middle])) == (0b01, 0b11)
    assert denotation(Description(superlative="leftmost"), Facts([left, thing(0.25, 0.9)])) == (0, 0b11)
    assert denotation(Description(superlative="rightmost", colour="red"), Facts([left, middle, blue])) == (0b010, 0b010)
    small = thing(0.8, 0.2, size="small")
    assert denotation(Description(superlative="smaller"), Facts([left, small])) == (0b10, 0b10)
    assert denotation(Description(superlative="smallest"), Facts([small, thing(0.1, 0.1, size="small"), left]))[0] == 0
    beside_blue = Description(relation=("left of", Description(colour="blue")))
    assert denotation(beside_blue, Facts([left, blue])) == (0b01, 0b01)
    assert denotation(beside_blue, Facts([left, blue, blue]))[0] == 0  # which blue one?


def test_all_words_are_in_the_vocabulary() -> None:
    words, known = set(), vocabulary()
    assert known == sorted(set(known)) and len(known) <= 150
    for index in range(SCENES * 2):
        scene = World("train", size=64).image(index)
        words.update(" ".join([*sum(scene["sentences"], []), *scene["absent_sentences"]]).split())
    assert words <= set(known)
    assert len(words) > 0.85 * len(known)


# Pictures and masks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [64, 96, 129])
def test_image_scenes_keep_their_contract(size: int) -> None:
    world = World("train", size=size, objects=(3, 4))
    for index in range(12):
        scene = world.image(index)
        count = len(scene["objects"])
        assert 1 <= count <= 4
        assert scene["image"].shape == (size, size, 3) and scene["image"].dtype == np.uint8
        assert scene["masks"].shape == (count, size, size) and scene["masks"].dtype == np.bool_
        assert scene["masks"].sum(0).max() == 1  # a pixel belongs to one object
        assert count == len(scene["sentences"]) == len(scene["sentence_kinds"])
        for thing, mask in zip(scene["objects"], scene["masks"], strict=True):
            assert 0.44 < thing["visible_share"] <= 1
            assert mask.sum() > size * size / 300


def test_objects_stand_out_from_what_surrounds_them() -> None:
    """The mean colour of a mask differs from the picture outside all masks."""
    for split in ("train", "test"):
        for index in range(40):
            scene = World(split, size=64).image(index)
            background = scene["image"][~scene["masks"].any(0)].mean(0)
            for mask, thing in zip(scene["masks"], scene["objects"], strict=True):
                if thing["texture"] == "plain":
                    assert np.abs(scene["image"][mask].mean(0) - background).max() > 20, (split, index, thing)


def test_named_shapes_are_told_apart_by_their_outline() -> None:
    names = NAMED_SHAPES + NOVEL_SHAPES
    for position, name in enumerate(names):
        for other in names[:position]:
            assert similarity(named_shape(name), named_shape(other)) < 0.85, (name, other)
    shapes = [random_shape(Draws(0, index)) for index in range(60)]
    assert all(shape.probe.mean() > 0.04 for shape in shapes)
    assert len({shape.name for shape in shapes}) > 6


# Few-shot pairs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["named", "random", "mixed"])
def test_few_shot_scenes_keep_their_contract(family: str) -> None:
    world = World("train", size=64)
    for index in range(15):
        scene = world.few_shot(index, shots=2, family=family)
        assert scene["image"].shape == (64, 64, 3) and scene["mask"].shape == (64, 64)
        assert scene["reference_images"].shape == (2, 64, 64, 3) and scene["reference_masks"].shape == (2, 64, 64)
        assert scene["mask"].dtype == scene["reference_masks"].dtype == np.bool_
        assert scene["mask"].sum() > 20 and scene["reference_masks"].sum((1, 2)).min() > 20
        assert scene["mask"].mean() < 0.6
        assert family == "mixed" or scene["category"].startswith("unnamed") == (family == "random")


def test_held_out_shapes_never_reach_the_train_split() -> None:
    assert not set(NOVEL_SHAPES) & set(NAMED_SHAPES)
    for index in range(300):
        for family in ("named", "random", "mixed"):
            target, others = _categories(Draws(0, 0, 1, index), "train", family, False)
            assert not {name for name, _ in [target, *others]} & set(NOVEL_SHAPES)
    shown = {thing["shape"] for index in range(60) for thing in World("train", size=64).image(index)["objects"]}
    shown |= {
        thing["shape"] for index in range(30) for thing in World("train", size=64).clip(index, 1)["objects"].values()
    }
    assert shown <= set(NAMED_SHAPES)
    with pytest.raises(ValueError, match="novel must be False"):
        World("train").few_shot(0, novel=True)


def test_novel_scenes_target_held_out_shapes() -> None:
    categories = {World("test", size=64).few_shot(index, novel=True)["category"] for index in range(40)}
    assert categories == set(NOVEL_SHAPES)


def test_distractors_are_of_other_shapes() -> None:
    for index in range(200):
        (name, shape), others = _categories(Draws(0, 0, 1, index), "train", "mixed", False)
        assert all(other != name and similarity(silhouette, shape) < 0.85 for other, silhouette in others)


# Clips ---------------------------------------------------------------------------------------------------------------


def test_label_maps_agree_with_visibility() -> None:
    world, absent_frames, moving = World("train", size=64), 0, 0
    for index in range(60):
        clip = world.clip(index, frames=6)
        identities = set(clip["visible"])
        assert identities == set(range(1, len(identities) + 1)) == set(clip["sentences"]) == set(clip["objects"])
        assert clip["frames"].shape == (6, 64, 64, 3) and clip["frames"].dtype == np.uint8
        assert clip["label_maps"].shape == (6, 64, 64) and clip["label_maps"].dtype == np.uint8
        assert set(np.unique(clip["label_maps"])) <= identities | {0}
        for number, shown in clip["visible"].items():
            areas = (clip["label_maps"] == number).sum((1, 2))
            assert np.array_equal(shown, areas > 0)
            assert areas[areas > 0].min(initial=99) >= 2
            absent_frames += int((~shown).sum())
        assert sum(bool(shown[0]) for shown in clip["visible"].values()) >= 2
        moving += not np.array_equal(clip["label_maps"][0], clip["label_maps"][-1])
    assert absent_frames > 20
    assert moving > 50


def test_clips_hold_no_twins_and_their_sentences_refer() -> None:
    motions = 0
    for index in range(80):
        scene = draw_clip_scene(Draws(2, 0, 2, index), "train", 64, 4)
        looks = [(thing["shape"], thing["colour"]) for thing in scene.objects]
        assert len(set(looks)) == len(looks)
        for target, group in enumerate(scene.sentences):
            assert group
            for sentence in group:
                assert denotation(sentence.meaning, scene.facts) == (1 << target, 1 << target), sentence.text
                assert sentence.meaning.place is None and sentence.meaning.relation is None
                motions += sentence.meaning.motion is not None
        for sentence in scene.absent:
            assert denotation(sentence.meaning, scene.facts)[1] == 0
    assert motions > 5


def test_words_of_motion_agree_with_the_pixels() -> None:
    world, checked = World("train", size=64), 0
    for index in range(80):
        clip = world.clip(index, frames=6)
        for number, thing in clip["objects"].items():
            if thing["motion"] in ("left", "right") and clip["visible"][number][[0, -1]].all():
                first, last = (np.nonzero(clip["label_maps"][t] == number)[1].mean() for t in (0, -1))
                assert (last > first) == (thing["motion"] == "right")
                checked += 1
    assert checked > 5


# Bad arguments and datasets ------------------------------------------------------------------------------------------


def test_bad_arguments_are_named() -> None:
    world = World("test", size=64)
    for message, call in (
        ("split must be one of", lambda: World("dev")),
        ("size must be at least 64, got 32", lambda: World(size=32)),
        ("seed must be at least 0", lambda: World(seed=-1)),
        ("objects must be", lambda: World(objects=(4, 2))),
        ("index must be at least 0, got -1", lambda: world.image(-1)),
        ("shots must be at least 1", lambda: world.few_shot(0, shots=0)),
        ("family must be one of", lambda: world.few_shot(0, family="letters")),
        ("frames must be at least 1", lambda: world.clip(0, frames=0)),
        ("name must be one of", lambda: named_shape("blimp")),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match="index must be an integer, got 1.5"):
        world.image(1.5)  # type: ignore[arg-type]


def test_datasets_hold_the_scenes_of_the_world(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    from transformers_uniref.worlds.drawn.datasets import fss_dataset, ris_dataset, rvos_dataset, vos_dataset

    world, cache = World("validation", size=64, seed=3), str(tmp_path)
    row, scene = ris_dataset("validation", 2, seed=3, size=64, cache_dir=cache)[1], world.image(1)
    assert np.array_equal(np.asarray(row["image"]), scene["image"])
    assert np.array_equal(np.stack([np.asarray(mask) for mask in row["masks"]]) == 255, scene["masks"])
    assert row["sentences"] == scene["sentences"] and row["absent_sentences"] == scene["absent_sentences"]

    row, scene = fss_dataset("validation", 2, seed=3, size=64, shots=2, novel=True, cache_dir=cache)[1], None
    scene = world.few_shot(1, shots=2, novel=True)
    assert row["category"] == scene["category"] and len(row["reference_images"]) == 2
    assert np.array_equal(np.asarray(row["mask"]) > 0, scene["mask"])

    scene = world.clip(0, frames=3)
    for make in (vos_dataset, rvos_dataset):
        row = make("validation", 1, seed=3, size=64, frames=3, cache_dir=cache)[0]
        assert np.array_equal(np.stack([np.asarray(frame) for frame in row["label_maps"]]), scene["label_maps"])
        assert row["object_ids"] == list(scene["visible"])
        assert row["visible"] == [shown.tolist() for shown in scene["visible"].values()]
    assert row["sentences"] == list(scene["sentences"].values())
    with pytest.raises(ValueError, match="n must be a positive integer"):
        ris_dataset("validation", 0)
