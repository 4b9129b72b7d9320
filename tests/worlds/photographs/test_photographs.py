"""The world of photographs: what its sentences claim is true of the masks that they name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from photograph_support import write_ade, write_coco
from transformers_uniref.worlds.drawn.draws import Draws
from transformers_uniref.worlds.photographs import Photographs
from transformers_uniref.worlds.photographs.captions import described
from transformers_uniref.worlds.photographs.facts import Facts, measure, prevailing_colour
from transformers_uniref.worlds.photographs.folders import CocoFolder, DecodedPhotograph, held_out, open_folder
from transformers_uniref.worlds.photographs.grammar import Describer, Thing, absent_sentence
from transformers_uniref.worlds.photographs.nouns import CONFUSABLE, SYNONYMS, confusable, plural, words_of
from transformers_uniref.worlds.photographs.views import draw_view, paste, whole_view


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> tuple[Path, Path]:
    where = tmp_path_factory.mktemp("photographs")
    return write_coco(where / "coco"), write_ade(where / "ade")


@pytest.fixture(scope="module")
def photographs(folders) -> Photographs:
    return Photographs(folders, size=96)


def thing(number: int, x: float, y: float, side: float = 0.1, name: str = "dog", colour: str = "") -> Thing:
    half = side / 2
    return Thing(number, name, Facts(x, y, x - half, y - half, x + half, y + half, side * side, colour))


def said_of(things: list[Thing], target: int, times: int = 200) -> set[str]:
    found = set()
    for seed in range(times):
        reference = Describer(things, Draws(seed, 0)).one(things[target])
        if reference is not None:
            assert reference.numbers == (things[target].number,)
            found.add(reference.text)
    return found


def test_a_scene_is_a_function_of_its_number(photographs, folders) -> None:
    again = Photographs(folders, size=96)
    for index in range(6):
        first, second = photographs.image(index), again.image(index)
        assert np.array_equal(first.image, second.image)
        assert first.references == second.references
    assert not np.array_equal(photographs.image(0).image, Photographs(folders, size=96, seed=1).image(0).image)


def test_splits_share_no_photograph_and_test_takes_all() -> None:
    train, validation = held_out(100, "train"), held_out(100, "validation")
    assert not set(train) & set(validation)
    assert sorted(train + validation) == held_out(100, "test") == list(range(100))


def test_sentences_name_masks_of_the_scene_and_absent_ones_none(photographs) -> None:
    kinds = set()
    for index in range(80):
        scene = photographs.image(index)
        assert scene.image.shape == (96, 96, 3) and scene.masks.shape[1:] == (96, 96)
        for reference in scene.references:
            kinds.add(reference.kind)
            assert all(scene.masks[number].any() for number in reference.numbers)
            if reference.kind == "absent":
                assert reference.numbers == ()
                shown = {word for name in scene.names for word in words_of(name)}
                assert not any(reference.text == f"the {word}" for word in shown)
            else:
                assert reference.numbers
    assert {"noun", "place", "absent", "region", "all"} <= kinds


def test_semantic_maps_give_each_labelled_pixel_the_class_of_a_mask_on_it(photographs) -> None:
    for index in range(10):
        scene = photographs.image(index)
        classes = photographs.folders[scene.folder].classes
        for value in np.unique(scene.semantic[scene.semantic >= 0]):
            masks = [mask for mask, name in zip(scene.masks, scene.names, strict=True) if name == classes[value]]
            assert np.logical_or.reduce(masks)[scene.semantic == value].all()


def test_sides_are_told_only_of_the_outermost() -> None:
    dogs = [thing(0, 0.2, 0.5), thing(1, 0.5, 0.5), thing(2, 0.8, 0.5)]
    left, middle, right = (said_of(dogs, number) for number in range(3))
    assert "the dog on the left" in left and "the leftmost dog" in left
    assert "the rightmost dog" in right and not any("leftmost" in text for text in right)
    assert "the middle dog" in middle
    assert "the second dog from the left" in middle and "the first dog from the left" in left
    assert not left & right and not left & middle


def test_nothing_is_said_where_nothing_tells_two_apart() -> None:
    assert said_of([thing(0, 0.5, 0.5), thing(1, 0.52, 0.51)], 0) == set()


def test_sizes_need_a_clear_difference() -> None:
    clear = said_of([thing(0, 0.5, 0.5, 0.3), thing(1, 0.52, 0.5, 0.1)], 0)
    assert "the largest dog" in clear and not any("small" in text for text in clear)
    assert not any("larg" in text for text in said_of([thing(0, 0.3, 0.5, 0.2), thing(1, 0.7, 0.5, 0.19)], 0))


def test_colours_are_told_only_where_no_other_may_have_them() -> None:
    red, blue, unclear = (thing(n, 0.5, 0.5, colour=colour) for n, colour in enumerate(("red", "blue", "")))
    assert "the red dog" in said_of([red, blue], 0)
    assert not any("red" in text for text in said_of([red, unclear], 0))


def test_relations_hold_for_one_of_the_class_alone() -> None:
    car = thing(9, 0.5, 0.5, 0.2, name="car")
    one_side = said_of([thing(0, 0.1, 0.5), thing(1, 0.9, 0.5), car], 0)
    assert any("left of the car" in text for text in one_side)
    both_left = said_of([thing(0, 0.1, 0.2), thing(1, 0.12, 0.8), car], 0)
    assert not any("left of the car" in text for text in both_left)


def test_two_steps_and_negations_are_true() -> None:
    dogs = [thing(0, 0.1, 0.5, 0.2), thing(1, 0.3, 0.5, 0.1), thing(2, 0.9, 0.5, 0.1)]
    assert any(text.startswith("the larger of the two dogs on the left") for text in said_of(dogs, 0, 600))
    assert any(text.startswith("the smaller of the two dogs on the left") for text in said_of(dogs, 1, 600))
    assert "the dog that is not on the right" in said_of([thing(0, 0.2, 0.5), thing(1, 0.8, 0.5)], 0, 600)


def test_a_crowd_keeps_its_class_from_being_counted() -> None:
    crowd = Thing(1, "dog", thing(1, 0.8, 0.5).facts, crowd=True)
    things = [thing(0, 0.2, 0.5), crowd]
    assert said_of(things, 0, 50) == set()
    assert Describer(things, Draws(0, 0)).many("dog", lambda _: True) is None


def test_all_of_a_class_are_meant_only_when_all_can_be_asked_for() -> None:
    dogs = [thing(0, 0.1, 0.5), thing(1, 0.2, 0.5), thing(2, 0.9, 0.5)]
    found = {}
    for seed in range(100):
        reference = Describer(dogs, Draws(seed, 0)).many("dog", lambda _: True)
        assert reference is not None
        found[reference.text] = reference.numbers
    assert found["all dogs"] == (0, 1, 2) == found["three dogs"]
    assert found["all dogs on the left"] == (0, 1)
    hidden = [Describer(dogs, Draws(seed, 0)).many("dog", lambda number: number != 2) for seed in range(100)]
    assert {reference.numbers for reference in hidden if reference is not None} == {(0, 1)}


def test_absent_sentences_speak_of_the_absent_class() -> None:
    for seed in range(60):
        text = absent_sentence(Draws(seed, 0), "couch", ["dog"])
        assert any(word in text for word in ("couch", "sofa"))


def test_what_annotators_mix_up_is_not_called_absent() -> None:
    assert confusable("building", "house") and confusable("couch", "sofa") and confusable("tv", "television")
    assert not confusable("dog", "pizza")
    assert all(len(group) > 1 for group in CONFUSABLE)
    assert all(plural(word) for name in SYNONYMS for word in words_of(name))


@pytest.mark.parametrize(
    ("caption", "name", "wanted"),
    [
        ("A brown dog lying on a couch.", "dog", "a brown dog lying on a couch"),
        ("A couch with a dog on it.", "dog", None),
        ("A man riding a wave", "person", "a man riding a wave"),
        ("A group of people at a table", "person", None),
        ("A man's hand holding a phone", "person", None),
        ("A picture of a cat", "cat", None),
        ("Two dogs on grass", "dog", None),
        ("a fluffy white cat and a dog", "cat", None),
    ],
)
def test_a_caption_describes_its_subject(caption, name, wanted) -> None:
    assert described(caption, name) == wanted


def test_mirrored_views_exchange_left_and_right_in_captions() -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, :20] = 200
    mask = np.zeros((1, 40, 60), bool)
    mask[0, :, :20] = True
    shot = DecodedPhotograph(image, mask, ("dog",), (False,), ("a dog on the left",))
    seen = set()
    for seed in range(20):
        view = draw_view(Draws(seed, 0), shot, 32, tint=0.0, whole=1.0)
        on_the_left = view.masks[0, :, :10].all()
        assert view.captions == (("a dog on the left",) if on_the_left else ("a dog on the right",))
        assert np.array_equal(view.masks[0], view.image[..., 0] > 100) or abs(view.masks[0].mean() - 1 / 3) < 0.05
        seen.add(bool(on_the_left))
    assert seen == {True, False}


def test_what_is_pasted_covers_what_was_there(folders) -> None:
    folder = CocoFolder(folders[0])
    for seed in range(10):
        view = whole_view(folder.read(seed), 96)
        after = paste(Draws(seed, 1), view, folder, ["dog", "cat"])
        if len(after.names) and after.names[-1] in ("dog", "cat") and after.image is not view.image:
            assert not (after.masks[:-1] & after.masks[-1]).any()
            assert after.captions == ()


def test_few_shot_pairs_show_one_class(photographs) -> None:
    for index in range(8):
        scene = photographs.few_shot(index, shots=2)
        assert scene.reference_images.shape == (2, 96, 96, 3)
        assert scene.mask.any() and scene.reference_masks.any((1, 2)).all()


def test_measured_places_sizes_and_colours() -> None:
    image = np.full((50, 100, 3), 128, np.uint8)
    mask = np.zeros((50, 100), bool)
    mask[10:20, 60:100] = True
    image[mask] = (220, 20, 20)
    facts = measure(image, mask)
    assert (facts.left, facts.top, facts.right, facts.bottom) == (0.6, 0.2, 1.0, 0.4)
    assert facts.x == pytest.approx(0.8) and facts.y == pytest.approx(0.3) and facts.area == pytest.approx(0.08)
    assert facts.colour == "red"
    colours = {"black": (10, 10, 10), "white": (250, 250, 250), "green": (30, 160, 40), "blue": (20, 40, 200)}
    for name, colour in colours.items():
        assert prevailing_colour(np.array([colour] * 5, np.uint8)) == name


def test_both_ways_of_writing_masks_are_read_alike(folders) -> None:
    folder = CocoFolder(folders[0], "test")
    for number in range(len(folder)):
        shot = folder.read(number)
        for mask, name in zip(shot.masks, shot.names, strict=True):
            rows, columns = np.nonzero(mask)
            box = mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            assert box.all() and name in folder.classes


@pytest.mark.parametrize(
    ("prepare", "told"),
    [
        (lambda folder: None, "neither instances.json"),
        (lambda folder: (folder / "instances.json").write_text("[1"), "no JSON"),
        (lambda folder: (folder / "instances.json").write_text("{}"), "no COCO annotations"),
        (lambda folder: (folder / "labels").mkdir(), "no names.json"),
    ],
)
def test_what_is_no_folder_of_photographs_is_named(tmp_path, prepare, told) -> None:
    prepare(tmp_path)
    with pytest.raises(ValueError, match=told):
        open_folder(tmp_path)
