"""The world of photographs: reproducible, true to its masks and words, strict about its folder and its splits."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from photo_support import FRAMES, NAMES, PAINT, write_folder, write_sequence
from places import SHARED_DATA
from same_values import same
from transformers_uniref.worlds import World
from transformers_uniref.worlds.drawn.draws import Draws
from transformers_uniref.worlds.photo.clips import draw_photo_clip
from transformers_uniref.worlds.photo.folder import Photo, cut_out
from transformers_uniref.worlds.photo.grammar import PhotoDescription, PhotoFacts, PhotoThing, denotation, refers_to
from transformers_uniref.worlds.photo.images import draw_photo_image
from transformers_uniref.worlds.photo.world import (
    DAVIS_NAMES,
    DAVIS_VALIDATION,
    Names,
    PhotoFolder,
    PhotoWorld,
    parse_names,
    photo_vocabulary,
    read_names,
)

DAVIS_TRAIN = SHARED_DATA / "davis_train"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("photographs"))


@pytest.fixture(scope="module")
def world(folder: Path) -> PhotoWorld:
    return PhotoWorld(folder, size=64, validation=[])


# Scenes --------------------------------------------------------------------------------------------------------------


def test_a_scene_depends_on_its_number_alone(folder: Path, world: PhotoWorld) -> None:
    again = PhotoWorld(folder, size=64, validation=[])
    assert same(world.clip(3, frames=4), again.clip(3, frames=4))
    assert same(world.image(10**20), again.image(10**20))
    assert same(world.few_shot(5, shots=2, family="mixed"), again.few_shot(5, shots=2, family="mixed"))
    assert not same(world.image(1), world.image(2))
    assert not same(world.image(1), PhotoWorld(folder, size=64, seed=1, validation=[]).image(1))


def test_both_worlds_are_at_hand_and_imported_when_they_are_used() -> None:
    import transformers_uniref.worlds

    assert transformers_uniref.worlds.PhotoWorld is PhotoWorld
    assert {"PhotoWorld", "PhotoFolder", "World", "photo_vocabulary"} <= set(dir(transformers_uniref.worlds))
    code = (
        "import sys, transformers_uniref.worlds as data\n"
        "assert not [m for m in sys.modules if 'uniref.data.' in m or m.startswith('scipy')]\n"
        "data.World(size=64).image(0)\n"
        "assert not [m for m in sys.modules if 'photoworld' in m], 'drawings need no photographs'\n"
        "data.PhotoWorld"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_scenes_have_the_keys_of_the_drawn_world(world: PhotoWorld) -> None:
    drawn = World(size=64)
    assert world.image(0).keys() == drawn.image(0).keys()
    assert world.few_shot(0).keys() == drawn.few_shot(0).keys()
    photographed, other = world.clip(0, 3), drawn.clip(0, 3)
    assert photographed.keys() == other.keys()
    attributes = set(other["objects"][1])
    assert attributes <= set(photographed["objects"][1])


@pytest.mark.parametrize("easy", [False, True])
def test_masks_are_disjoint_visible_and_show_their_object(world: PhotoWorld, easy: bool) -> None:
    for index in range(30):
        scene = world.image(index, easy=easy)
        masks = scene["masks"]
        assert scene["image"].shape == (64, 64, 3) and scene["image"].dtype == np.uint8
        assert masks.dtype == np.bool_ and masks.shape[1:] == (64, 64)
        assert len(masks) == len(scene["objects"]) == len(scene["sentences"]) == len(scene["sentence_kinds"]) >= 1
        assert masks.sum(0).max() == 1
        assert masks.any((1, 2)).all()
        for mask, one in zip(masks, scene["objects"], strict=True):
            if one["visible_share"] > 0.9 and mask.sum() > 80:
                paint = np.array(PAINT[one["sequence"]])
                assert scene["image"][mask].mean(0).argmax() == paint.argmax()
    if easy:
        assert set(kind for kinds in scene["sentence_kinds"] for kind in kinds) <= {"attribute"}


def test_sentences_are_true_of_exactly_one_object(world: PhotoWorld) -> None:
    found = set()
    for index in range(60):
        scene = draw_photo_image(Draws(7, index), world._source, easy=False)
        for target, group in enumerate(scene.sentences):
            for sentence in group:
                assert refers_to(sentence.meaning, scene.facts, target), sentence
                found.add(sentence.kind)
        for sentence in scene.absent:
            assert denotation(sentence.meaning, scene.facts)[1] == 0, sentence
    assert found == {"attribute", "size", "place", "relation"}


def test_every_word_is_in_the_vocabulary(world: PhotoWorld) -> None:
    known = set(world.vocabulary())
    for index in range(25):
        image, clip = world.image(index), world.clip(index, 3)
        texts = [text for group in image["sentences"] for text in group] + image["absent_sentences"]
        texts += [text for group in clip["sentences"].values() for text in group] + clip["absent_sentences"]
        assert {part for text in texts for part in text.split()} <= known
    assert {"cherry", "plate", "leftmost", "smaller"} <= known
    assert {"cow", "paraglider", "gray"} <= set(photo_vocabulary())


def test_few_shot_examples_share_the_category(world: PhotoWorld) -> None:
    for index in range(24):
        family = ("named", "random", "mixed")[index % 3]
        scene = world.few_shot(index, shots=2, family=family)
        paint = {"apple": 0, "leaf": 1, "pond": 2}[scene["category"]]
        assert scene["reference_images"].shape == (2, 64, 64, 3) and scene["reference_masks"].shape == (2, 64, 64)
        for image, mask in zip(
            (scene["image"], *scene["reference_images"]), (scene["mask"], *scene["reference_masks"]), strict=True
        ):
            assert mask.sum() > 10
            assert image[mask].mean(0).argmax() == paint


def test_fewer_shots_give_the_same_query_and_supports(world: PhotoWorld) -> None:
    many, few = world.few_shot(4, shots=3), world.few_shot(4, shots=1)
    assert same(many["image"], few["image"]) and same(many["reference_images"][:1], few["reference_images"])


def test_clips_keep_identities_and_move(world: PhotoWorld) -> None:
    moved = 0
    for index in range(16):
        clip = world.clip(index, frames=5)
        labels = clip["label_maps"]
        assert clip["frames"].shape == (5, 64, 64, 3) and labels.shape == (5, 64, 64)
        assert set(np.unique(labels)) - {0} <= set(clip["objects"])
        assert len({one["sequence"] for one in clip["objects"].values()}) == len(clip["objects"])
        for number, seen in clip["visible"].items():
            assert np.array_equal(seen, (labels == number).any((1, 2)))
        assert any(seen[0] for seen in clip["visible"].values())
        for number, one in clip["objects"].items():
            colour = np.array(PAINT[one["sequence"]]).argmax()
            for frame, label in zip(clip["frames"], labels, strict=True):
                if (label == number).sum() > 120:
                    assert frame[label == number].mean(0).argmax() == colour
        moved += not np.array_equal(labels[0], labels[-1])
    assert moved > 10


def test_scraps_have_masks_but_no_names(folder: Path, world: PhotoWorld) -> None:
    nameless = 0
    for index in range(12):
        clip = world.clip(index, frames=5, scraps=True)
        labels, objects = clip["label_maps"], clip["objects"]
        assert set(np.unique(labels)) - {0} <= set(objects)
        assert not any(clip["sentences"].values()) and not clip["absent_sentences"]
        assert {one["sequence"] for one in objects.values()} <= {None, *world.sequences}
        for number, one in objects.items():
            if one["sequence"] is None:
                nameless += 1
                assert (labels == number).any()
        again = PhotoWorld(folder, size=64, validation=[]).clip(index, frames=5, scraps=True)
        assert np.array_equal(clip["frames"], again["frames"]) and np.array_equal(labels, again["label_maps"])
    assert nameless > 8


def test_scraps_move_and_bend(world: PhotoWorld) -> None:
    areas = []
    for index in range(12):
        clip = world.clip(index, frames=5, scraps=True)
        for number, one in clip["objects"].items():
            if one["sequence"] is None:
                areas.append([(label == number).sum() for label in clip["label_maps"]])
    assert sum(len(set(sizes)) > 1 for sizes in areas) > len(areas) / 2


def test_clip_sentences_hold_in_every_frame(world: PhotoWorld) -> None:
    motions = 0
    for index in range(100):
        if index > 20 and motions:
            break
        scene = draw_photo_clip(Draws(9, index), world._source, 8)
        for target, group in enumerate(scene.sentences):
            for sentence in group:
                assert sentence.meaning.place is None and sentence.meaning.superlative is None
                assert refers_to(sentence.meaning, scene.facts, target)
                motions += sentence.kind == "motion"
        assert all(sentence.meaning.place is None for sentence in scene.absent)
    assert motions


# Words ---------------------------------------------------------------------------------------------------------------


def thing(names: Names, x: float, extent: float = 0.2) -> PhotoThing:
    return PhotoThing(names, x, 0.5, extent / 2, extent)


COW = Names(nouns=("cow",), perhaps=("bull",), colours=("brown",), perhaps_colours=("white",))


def test_twins_are_told_apart_by_place_and_size() -> None:
    facts = PhotoFacts([thing(COW, 0.2, 0.2), thing(COW, 0.8, 0.4)])
    assert denotation(PhotoDescription("cow"), facts) == (0b11, 0b11)
    assert refers_to(PhotoDescription("cow", place="left"), facts, 0)
    assert refers_to(PhotoDescription("cow", superlative="bigger"), facts, 1)
    assert refers_to(PhotoDescription("cow", superlative="leftmost"), facts, 0)
    alike = PhotoFacts([thing(COW, 0.2, 0.3), thing(COW, 0.8, 0.32)])
    assert denotation(PhotoDescription("cow", superlative="bigger"), alike)[0] == 0


def test_borderline_words_neither_name_nor_exclude() -> None:
    horse = Names(nouns=("bull",), colours=("white",))
    facts = PhotoFacts([thing(COW, 0.2), thing(horse, 0.8)])
    assert denotation(PhotoDescription("bull"), facts) == (0b10, 0b11)
    assert denotation(PhotoDescription("cow", colour="white"), facts) == (0, 0b01)
    assert denotation(PhotoDescription("cow", colour="green"), facts) == (0, 0)


def test_nothing_is_said_that_an_unlabelled_thing_may_be() -> None:
    facts = PhotoFacts([thing(COW, 0.2)], clutter=["cow"])
    for description in (PhotoDescription("cow"), PhotoDescription("cow", place="left")):
        assert not refers_to(description, facts, 0)
    assert denotation(PhotoDescription("cow", superlative="leftmost"), facts)[0] == 0


def test_untold_colours_may_be_any() -> None:
    facts = PhotoFacts([thing(Names(nouns=("pond",)), 0.2)])
    assert denotation(PhotoDescription("pond", colour="red"), facts) == (0, 1)


def test_tables_of_names_are_checked(tmp_path: Path) -> None:
    assert parse_names({"a": "dog", "b": ["dog", "animal"]})["b"].category == "dog"
    with pytest.raises(ValueError, match=r"names\['a'\]: unknown key 'noun'; accepted: nouns"):
        parse_names({"a": {"noun": "dog"}})
    with pytest.raises(ValueError, match="lower-case words"):
        parse_names({"a": "Dog!"})
    with pytest.raises(ValueError, match="at least once"):
        parse_names({"a": {"colours": ["red"]}})
    with pytest.raises(TypeError, match="a text or a list of texts"):
        parse_names({"a": {"nouns": 3}})
    with pytest.raises(TypeError, match="map sequences"):
        parse_names(["dog"])  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError, match="there is no file"):
        read_names(tmp_path / "names.json")
    (tmp_path / "names.json").write_text("{")
    with pytest.raises(ValueError, match="not valid JSON"):
        read_names(tmp_path / "names.json")


def test_names_may_be_written_in_yaml(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    (tmp_path / "names.yaml").write_text("cows:\n  nouns: [cow]\n  colours: brown\n")
    assert read_names(tmp_path / "names.yaml") == {"cows": Names(nouns=("cow",), colours=("brown",))}
    (tmp_path / "names.yaml").write_text("cows: [")
    with pytest.raises(ValueError, match="not valid YAML"):
        read_names(tmp_path / "names.yaml")


# Folders, cut-outs and splits ----------------------------------------------------------------------------------------


def test_a_cut_out_has_a_soft_edge_and_no_strings(folder: Path) -> None:
    photographs = PhotoFolder(folder)
    found = photographs.cutout("apple", 1)
    assert found is not None
    array = np.asarray(found.image)
    assert array.shape[1] < 50, "the string is left out"
    solid, soft = array[..., 3] == 255, (array[..., 3] > 0) & (array[..., 3] < 255)
    assert solid.sum() > 0.75 * found.area and 0 < soft.sum() < 0.25 * found.area
    colours = array[..., :3][array[..., 3] > 100].astype(float)
    assert np.abs(colours - PAINT["apple"]).mean() < 12, "no grey of the surroundings at the edge"


def test_objects_at_the_border_or_behind_others_are_not_cut_out() -> None:
    image = Image.new("RGB", (100, 100))
    for shapes in ([(0, 30, 40, 60)], [(10, 30, 30, 60), (50, 30, 70, 60)]):
        mask = Image.new("L", image.size)
        for box in shapes:
            ImageDraw.Draw(mask).rectangle(box, fill=255)
        where = mask.getbbox()
        assert where is not None and cut_out(Photo(image, mask), where) is None


def test_decoded_frames_stay_within_bounds(folder: Path) -> None:
    photographs = PhotoFolder(folder, cache_mebibytes=1)
    for name in PAINT:
        for time in range(FRAMES):
            photographs.photo(name, time)
    assert photographs._cache.held <= 2**20
    one = photographs.photo("apple", 0)
    assert photographs.photo("apple", 0) is one


def test_worlds_travel_to_other_processes(world: PhotoWorld) -> None:
    world.image(0)
    data = pickle.dumps(world)
    assert len(data) < 100_000
    assert same(pickle.loads(data).image(0), world.image(0))


def test_splits_share_no_sequence(folder: Path) -> None:
    train, validation = PhotoWorld(folder, "train", 64), PhotoWorld(folder, "validation", 64)
    assert not set(train.sequences) & set(validation.sequences)
    assert set(train.sequences) | set(validation.sequences) == set(PAINT)
    chosen = PhotoWorld(folder, "validation", 64, validation=["pond", "leaf"])
    assert chosen.sequences == ("leaf", "pond")
    scenes = [chosen.image(index)["objects"] for index in range(5)]
    assert {one["sequence"] for objects in scenes for one in objects} <= {"pond", "leaf"}
    assert chosen.few_shot(0, novel=True)["category"] in ("pond", "leaf")


def test_bad_arguments_are_named(folder: Path, world: PhotoWorld) -> None:
    with pytest.raises(ValueError, match="split must be one of"):
        PhotoWorld(folder, "test")
    with pytest.raises(ValueError, match="size must be at least 64, got 32"):
        PhotoWorld(folder, size=32)
    with pytest.raises(ValueError, match="there is no sequence 'sea'"):
        PhotoWorld(folder, validation=["sea"])
    with pytest.raises(ValueError, match="no sequence is left for 'validation'"):
        PhotoWorld(folder, "validation", validation=[])
    with pytest.raises(ValueError, match="to the PhotoFolder"):
        PhotoWorld(PhotoFolder(folder), names=NAMES)
    with pytest.raises(TypeError, match="index must be an integer"):
        world.image(1.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="family must be one of"):
        world.few_shot(0, family="drawn")
    with pytest.raises(ValueError, match="novel must be False"):
        world.few_shot(0, novel=True)


def test_bad_folders_are_explained(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        PhotoFolder(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="holds no sequence; expected <sequence>/frames"):
        PhotoFolder(tmp_path)
    write_sequence(tmp_path / "apple", PAINT["apple"], 0)
    with pytest.raises(ValueError, match="no entry for the sequence 'apple'"):
        PhotoFolder(tmp_path)
    names = {"apple": "apple"}
    assert PhotoFolder(tmp_path, names).sequences["apple"].size == (220, 120)
    mask = tmp_path / "apple" / "masks" / "00003.png"
    Image.new("1", (100, 120)).save(mask)
    with pytest.raises(ValueError, match=re.escape("00003.png is 100x120 pixels, the first frame")):
        PhotoFolder(tmp_path, names)
    mask.unlink()
    with pytest.raises(ValueError, match="no mask for frame '00003'"):
        PhotoFolder(tmp_path, names)
    (tmp_path / "apple" / "frames" / "00003.jpg").unlink()
    (tmp_path / "apple" / "frames" / "00004.jpg").unlink()
    with pytest.raises(ValueError, match="no frame for mask '00004'"):
        PhotoFolder(tmp_path, names)


# Real photographs ----------------------------------------------------------------------------------------------------


def test_the_bundled_table_knows_its_sequences() -> None:
    assert set(DAVIS_VALIDATION) < set(DAVIS_NAMES)
    for sequence, names in DAVIS_NAMES.items():
        assert parse_names({sequence: vars(names)})[sequence] == names
        assert not set(names.nouns) & set(names.perhaps)
        assert not set(names.colours) & set(names.perhaps_colours)


@pytest.mark.skipif(not DAVIS_TRAIN.is_dir(), reason="the sequences of DAVIS are not beside the repository")
@pytest.mark.parametrize("split", ["train", "validation"])
def test_scenes_of_real_sequences(split: str) -> None:
    world = PhotoWorld(DAVIS_TRAIN, split, size=96)
    assert len(world.sequences) == (39 if split == "train" else 3)
    assert set(photo_vocabulary()) >= set(world.vocabulary())
    for index in range(4):
        scene = world.image(index)
        assert scene["masks"].sum(0).max() == 1 and (scene["masks"].sum((1, 2)) >= 96 * 96 / 400).all()
        pair = world.few_shot(index)
        assert pair["mask"].any() and pair["reference_masks"].any()
    clip = world.clip(0, frames=4)
    assert clip["frames"].shape == (4, 96, 96, 3) and clip["label_maps"].max() <= len(clip["objects"])


@pytest.mark.parametrize("task", ["ris", "rvos_text", "fss", "vos", "rvos"])
def test_training_draws_from_drawings_and_photographs(folder: Path, task: str) -> None:
    from transformers_uniref.training.config.world import SamplingConfig
    from transformers_uniref.training.data.mixture import ScenePlan
    from transformers_uniref.training.data.world_source import WorldSource

    sampling = SamplingConfig(photo_folder=str(folder), photo_share=0.5)
    source, drawn = WorldSource(sampling), WorldSource(SamplingConfig())
    shots = 0 if task in ("ris", "rvos_text") else 1
    for index in range(6):
        plan = ScenePlan(task, index, 64, shots, easy=False, seed=index)
        sample = source.draw(plan)
        assert sample.image.shape == (64, 64, 3) and np.array_equal(sample.image, source.draw(plan).image)
        for entry in sample.entries:
            assert entry.target.shape == (64, 64) and entry.others.shape[1:] == (64, 64)
    assert {photographed for _, photographed in source._worlds} == {True, False}
    assert set(source.vocabulary()) >= {*drawn.vocabulary(), "cherry"}
    assert WorldSource(sampling, split="validation").photo_share == 0


def test_a_task_may_have_a_share_of_photographs_of_its_own(folder: Path) -> None:
    from transformers_uniref.training.config.world import SamplingConfig
    from transformers_uniref.training.data.mixture import ScenePlan
    from transformers_uniref.training.data.world_source import WorldSource

    sampling = SamplingConfig(
        photo_folder=str(folder), photo_share=1e-9, photo_shares={"vos": 1.0}, scrap_share=1.0, clip_frames=4
    )
    source = WorldSource(sampling)
    drawn, photographed = (
        source.draw(ScenePlan(task, 1, 64, shots, easy=False, seed=1)) for task, shots in (("ris", 0), ("vos", 1))
    )
    assert [entry.sample_id for entry in drawn.entries][0].startswith("world-ris:")
    assert [entry.sample_id for entry in photographed.entries][0].startswith("photoworld-vos:")
    for share, kind in ((0.0, "world-vos:"), (1.0, "photoworld-vos:")):  # a plan's own goes before
        sample = source.draw(ScenePlan("vos", 1, 64, 1, easy=False, seed=1, photo_share=share))
        assert sample.entries[0].sample_id.startswith(kind)
    scrap = source.world(64, photographed=True).clip(1, frames=4, scraps=True)
    assert any(np.array_equal(photographed.image, frame) for frame in scrap["frames"])
