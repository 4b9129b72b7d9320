"""Each benchmark's original files become rows of the one schema, irregularities included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

for package in ("datasets", "pycocotools", "ijson"):
    pytest.importorskip(package)

from converter_support import (  # noqa: E402
    HEIGHT,
    UNC,
    WIDTH,
    annotation,
    clip,
    coco_2017,
    coco_file,
    convert,
    davis,
    grey_png,
    jpeg,
    palette_png,
    plain_rle,
    put,
    records,
    refer,
    reference,
    square,
)
from places import SHARED_DATA  # noqa: E402
from transformers_uniref.core.mask_codes import encode_rle  # noqa: E402

SIZE = (HEIGHT, WIDTH)


# Pictures


def test_coco_masks_are_filled_from_polygons_and_run_lengths_alike(tmp_path):
    result = convert("coco-2017", coco_2017(tmp_path / "coco"), tmp_path / "out", "val")
    rows = records(tmp_path / "out", "val")
    assert list(rows) == ["val/100", "val/101", "val/102"]
    dog, crowd = rows["val/100"].instances.values()
    expected = (square(3, 2) + square(3, 9)) > 0
    assert np.array_equal(dog.mask(0, SIZE), expected) and dog.box(0) == (2, 3, 13, 7)
    assert np.array_equal(crowd.mask(0, SIZE), square(0, 0, 6) > 0) and crowd.is_crowd
    # Categories are numbered in the order of their ids, and keep their names; the original's ids stay.
    assert (dog.category, dog.category_id, dog.source_id) == ("dog", 1, 1) and crowd.category_id == 0
    assert rows["val/100"].image_id == "coco:100" and rows["val/100"].image().shape == (*SIZE, 3)
    assert not rows["val/102"].instances
    assert rows["val/101"].instances[1].frame_indices == ()
    assert result.notes == ["val: empty masks: 1 (annotation 3 of picture 101)"]


def test_objects365_is_found_in_its_patches_and_has_boxes_only(tmp_path):
    images = {1: "images/v1/patch8/objects365_v1_00420917.jpg", 2: "images/v2/patch16/objects365_v2_00908726.jpg"}
    boxes = [annotation(1, 1, None, [-1, 2, 5, 4]), annotation(2, 2, None, [1, 1, 3, 3])]
    boxes = [{key: value for key, value in box.items() if key != "segmentation"} for box in boxes]
    files = {"annotations/zhiyuan_objv2_train.json": coco_file(images, boxes)}
    put(tmp_path / "o", files | {"train/patch8/objects365_v1_00420917.jpg": jpeg()})
    result = convert("objects365", tmp_path / "o", tmp_path / "out", "train")
    (row,) = records(tmp_path / "out", "train").values()
    assert not row.instances[1].has_masks and row.instances[1].box(0) == (0, 2, 4, 6)
    assert any("missing pictures: 1" in line for line in result.deviations)


def test_refcoco_keeps_only_the_objects_that_sentences_mean(tmp_path):
    convert("refcoco", refer(tmp_path / "refer", UNC), tmp_path / "out")
    (row,) = records(tmp_path / "out", "train").values()
    meant = {sentence.text: sentence for sentence in row.sentences}
    assert row.image_id == "coco:7" and row.frame_names == ("COCO_train2014_000000000007",)
    (left,) = meant["left dog"].object_ids
    assert row.instances[left].source_id == 71 and row.instances[left].box(0) == (1, 1, 5, 5)
    assert meant["dog on the left"].object_ids == (left,) and meant["dog on the left"].source_id == 1
    assert meant["right dog"].object_ids != (left,)
    (only,) = records(tmp_path / "out", "testA").values()
    assert np.array_equal(only.instances[1].mask(0, SIZE), square(3, 3) > 0)


def test_a_picture_of_refcocog_may_be_in_two_splits_by_google(tmp_path):
    google = [reference(0, 7, 71, "train", "left"), reference(1, 7, 72, "val", "right")]
    source = refer(tmp_path / "refer", google, "refcocog", "refs(google).p")
    convert("refcocog-google", source, tmp_path / "out")
    (train,), (val,) = (records(tmp_path / "out", split).values() for split in ("train", "val"))
    assert train.image_id == val.image_id and train.sentences[0].text == "left" and val.sentences[0].text == "right"


def test_grefcoco_sentences_mean_several_objects_or_none(tmp_path):
    several = [reference(0, 7, [71, 72], "train", "both dogs"), reference(1, 7, [-1], "train", "the cat")]
    source = refer(tmp_path / "refer", several, "grefcoco", "grefs(unc).json")
    result = convert("grefcoco", source, tmp_path / "out", "train")
    (row,) = records(tmp_path / "out", "train").values()
    assert {s.text: (s.object_ids, s.labelled) for s in row.sentences} == {
        "both dogs": ((1, 2), True),
        "the cat": ((), True),
    }
    assert result.reports["train"]["counts"]["sentences_without_target"] == 1


def test_fss_classes_are_divided_by_the_list_of_the_authors_or_by_lists_of_three(tmp_path):
    files = {}
    for name in ("abacus", "bus", "cat"):
        for number in (1, 2, 10):
            files[f"fewshot_data/fewshot_data/{name}/{number}.jpg"] = jpeg()
            mask = np.repeat((square(2, 2) * 255)[..., None], 3, axis=2)
            mask[0, 0] = 90  # blurred borders are stored in grey
            files[f"fewshot_data/fewshot_data/{name}/{number}.png"] = grey_png(mask)
    root = put(tmp_path / "fss", files | {"fss_test_set.txt": "bus\n"})
    convert("fss-1000", root, tmp_path / "out", "train", "test")
    train, test = records(tmp_path / "out", "train"), records(tmp_path / "out", "test")
    assert list(train)[:3] == ["train/abacus/1", "train/abacus/2", "train/abacus/10"] and len(train) == 6
    row = test["test/bus/10"]
    assert row.instances[1].category == "bus" and row.instances[1].category_id == 1
    assert np.array_equal(row.instances[1].mask(0, SIZE), square(2, 2) > 0)
    with pytest.raises(FileNotFoundError, match="val.txt"):
        convert("fss-1000", root, tmp_path / "other", "val")
    put(root, {"splits/trn.txt": "abacus\n", "splits/val.txt": "cat\n", "splits/test.txt": "bus\n"})
    convert("fss-1000", root, tmp_path / "three", "val")
    assert {name.split("/")[1] for name in records(tmp_path / "three", "val")} == {"cat"}


# Clips


def test_davis_keeps_objects_apart_in_2017_and_together_in_2016(tmp_path):
    source = davis(tmp_path / "source")
    convert("davis-2017", source, tmp_path / "2017", "val")
    convert("davis-2016", source, tmp_path / "2016", "val")
    (several,) = records(tmp_path / "2017", "val").values()
    (merged,) = records(tmp_path / "2016", "val").values()
    assert several.frame_names == ("00000", "00001", "00002") and several.annotated == (True, True, True)
    assert several.instances[2].frame_indices == (0, 1) and several.instances[1].frame_indices == (0, 1, 2)
    assert list(merged.instances) == [1]
    union = several.union([1, 2], 0, SIZE)
    assert np.array_equal(merged.instances[1].mask(0, SIZE), union)
    assert several.image_id == merged.image_id == "davis:camel"


def test_the_lists_of_the_2016_release_name_pairs_of_files(tmp_path):
    root = davis(tmp_path / "source") / "DAVIS"
    (root / "ImageSets/2016/val.txt").unlink()
    pairs = [f"/JPEGImages/480p/camel/{n:05d}.jpg /Annotations/480p/camel/{n:05d}.png" for n in range(3)]
    put(root, {"ImageSets/480p/val.txt": "\n".join(pairs) + "\n"})
    convert("davis-2016", root, tmp_path / "out", "val")
    assert list(records(tmp_path / "out", "val")) == ["val/camel"]


def test_void_pixels_are_no_object(tmp_path):
    root = davis(tmp_path / "source") / "DAVIS"
    labels = square(1, 1) + square(6, 9, number=255)
    put(root, {"Annotations/480p/camel/00001.png": palette_png(labels)})
    result = convert("davis-2017", root, tmp_path / "out", "val")
    (row,) = records(tmp_path / "out", "val").values()
    assert set(row.instances) == {1, 2} and row.instances[2].frame_indices == (0,)
    assert any("void pixels" in line for line in result.notes)


TEXTS = {
    "Davis17_annot1.txt": 'camel 1 "a camel"\ncamel 2 "a second camel"\ngoat 1 "a goat"\n',
    "Davis17_annot1_full_video.txt": 'camel 2 "the camel that goes"\ncamel 1 "the camel that stays"\ngoat 1 "goat"\n',
    "Davis17_annot2.txt": 'camel 1 "caf\xe9 camel"\ngoat 1 "it"\ncamel 2 "other"\n',
    "Davis17_annot2_full_video.txt": 'goat 1 "walks"\ncamel 1 "x"\ncamel 2 "y"\n',
}


def _ref_davis(root: Path, texts: dict[str, str]) -> Path:
    davis(root)
    encoded = {name: text.encode("latin-1" if "annot2" in name else "utf-8") for name, text in texts.items()}
    return put(root, {f"davis_text_annotations/{name}": text for name, text in encoded.items()})


def test_ref_davis_interleaves_its_four_annotators(tmp_path):
    result = convert("ref-davis-2017", _ref_davis(tmp_path / "source", TEXTS), tmp_path / "out", "val")
    (row,) = records(tmp_path / "out", "val").values()
    assert [(s.source_id, s.annotator, s.object_ids) for s in row.sentences] == [
        (4 * k + a, a, (k + 1,)) for k in range(2) for a in range(4)
    ]
    assert [s.text for s in row.sentences][:4] == ["a camel", "the camel that stays", "caf\xe9 camel", "x"]
    assert not any("annotators" in line for line in result.deviations)


def test_ref_davis_in_the_form_of_youtube_vos_gives_the_same_sentences(tmp_path):
    source = _ref_davis(tmp_path / "source", TEXTS)
    convert("ref-davis-2017", source, tmp_path / "out", "val")
    (plain,) = records(tmp_path / "out", "val").values()
    expressions = {str(s.source_id): {"exp": s.text, "obj_id": str(s.object_ids[0])} for s in plain.sentences}
    camel = {"expressions": expressions, "frames": list(plain.frame_names)}
    root = tmp_path / "converted"
    for kind in ("JPEGImages", "Annotations"):
        (root / "valid" / kind).mkdir(parents=True)
        (source / f"DAVIS/{kind}/480p/camel").rename(root / "valid" / kind / "camel")
    put(root, {"meta_expressions/valid/meta_expressions.json": {"videos": {"camel": camel}}})
    convert("ref-davis-2017", root, tmp_path / "second", "val")
    (other,) = records(tmp_path / "second", "val").values()
    assert other.sentences == plain.sentences and other.instances == plain.instances


def test_ref_davis_names_objects_that_an_annotator_forgot_and_corrects_misspelt_clips(tmp_path):
    texts = TEXTS | {"Davis17_annot2.txt": 'camel 1 "camel"\nclasic-car 1 "car"\ngoat 1 "it"\n'}
    result = convert("ref-davis-2017", _ref_davis(tmp_path / "source", texts), tmp_path / "out", "val")
    assert any("four annotators describes once: 1 (camel object 2)" in line for line in result.deviations)
    assert any("misspelt" in line and "clasic-car" in line for line in result.notes)


def _youtube_meta(name: str, *numbers: str) -> dict:
    return {"videos": {name: {"objects": {n: {"category": "penguin", "frames": ["00000"]} for n in numbers}}}}


def test_youtube_vos_knows_categories_and_objects_that_never_show(tmp_path):
    files = clip("train/JPEGImages", "train/Annotations", "003234408d", {"00000": square(1, 1), "00005": square(0, 0)})
    root = put(tmp_path / "yt", files | {"train/meta.json": _youtube_meta("003234408d", "1", "2")})
    result = convert("youtube-vos-2019", root, tmp_path / "out", "train")
    (row,) = records(tmp_path / "out", "train").values()
    assert row.frame_names == ("00000", "00005") and row.instances[1].category == "penguin"
    assert row.instances[2].frame_indices == () and any("objects without a mask: 1" in n for n in result.notes)


def test_youtube_vos_valid_has_the_first_masks_only(tmp_path):
    labels = {"00000": square(1, 1), "00005": None, "00010": square(5, 5, number=2)}
    files = clip("valid/JPEGImages", "valid/Annotations", "a", labels)
    root = put(tmp_path / "yt", files | {"valid/meta.json": _youtube_meta("a", "1", "2")})
    result = convert("youtube-vos-2018", root, tmp_path / "out", "valid")
    (row,) = records(tmp_path / "out", "valid").values()
    assert row.annotated == (True, False, True) and row.instances[2].frame_indices == (2,)
    assert result.reports["valid"]["remarks"]["deviations"] == {}


def test_refer_youtube_vos_leaves_the_clips_of_test_out_of_valid(tmp_path):
    def entry(**object_id: str) -> dict:
        return {"expressions": {"0": {"exp": "a bird"} | object_id}, "frames": ["00000", "00005"]}

    files: dict = {}
    for split, name in (("train", "t"), ("valid", "v"), ("test", "w")):
        files |= clip(
            f"{split}/JPEGImages", f"{split}/Annotations", name, dict.fromkeys(("00000", "00005"), square(1, 1))
        )
    expressions = {"train": {"t": entry(obj_id="1")}, "valid": {"v": entry(), "w": entry()}, "test": {"w": entry()}}
    files |= {f"meta_expressions/{s}/meta_expressions.json": {"videos": v} for s, v in expressions.items()}
    root = put(tmp_path / "ryt", files | {"train/meta.json": _youtube_meta("t", "1")})
    convert("ref-youtube-vos", root, tmp_path / "out")
    (train,) = records(tmp_path / "out", "train").values()
    (valid,) = records(tmp_path / "out", "valid").values()
    assert train.sentences[0].object_ids == (1,) and train.sentences[0].labelled
    assert valid.image_id == "youtube-vos:v" and valid.annotated == (False, False)
    # Nobody but the server knows what it means: that is not "nothing".
    assert valid.sentences[0].object_ids == () and not valid.sentences[0].labelled
    from transformers_uniref.training.data.questions import negative_sentences

    assert negative_sentences(valid) == []


def test_lvos_frames_have_names_of_eight_digits(tmp_path):
    labels = {"00000001": square(1, 1), "00000006": np.zeros(SIZE, np.uint8)}
    files = clip("val/JPEGImages", "val/Annotations", "0tCWPOrc", labels)
    meta = {"videos": {"0tCWPOrc": {"objects": {"1": {"frame_range": {"start": "00000001", "end": "00000006"}}}}}}
    root = put(tmp_path / "LVOS", files | {"val/val_meta.json": meta})
    result = convert("lvos-v1", root, tmp_path / "out", "val")
    (row,) = records(tmp_path / "out", "val").values()
    assert row.frame_names == ("00000001", "00000006") and row.annotated == (True, True)
    assert row.instances[1].frame_indices == (0,)
    assert result.notes == ["val: frames in which nothing is annotated: 1 (0tCWPOrc/00000006)"]


def test_mose_needs_every_mask_in_train_and_one_in_valid(tmp_path):
    labels = {"00000": square(1, 1), "00001": None}
    files = clip("train/JPEGImages", "train/Annotations", "aaaa", labels)
    root = put(tmp_path / "m", files | clip("valid/JPEGImages", "valid/Annotations", "bbbb", labels))
    result = convert("mose", root, tmp_path / "out")
    assert "train: frames without an annotation: 1 (aaaa/00001)" in result.deviations
    assert result.reports["valid"]["remarks"]["deviations"] == {}
    (row,) = records(tmp_path / "out", "train").values()
    assert row.annotated == (True, False)


def test_ovis_mixes_kinds_of_run_lengths_and_lists_empty_frames(tmp_path):
    codes = [plain_rle(square(1, 1) > 0), None, encode_rle(square(3, 3) > 0), encode_rle(np.zeros(SIZE, bool))]
    names = [f"2592a056/img_{n:07d}.jpg" for n in range(1, 5)]
    track = {"id": 5, "video_id": 1, "category_id": 18, "iscrowd": 0, "segmentations": codes, "bboxes": [None] * 4}
    video = {"id": 1, "width": WIDTH, "height": HEIGHT, "length": 4, "file_names": names}
    file = {"videos": [video], "annotations": [track], "categories": [{"id": 18, "name": "Dog"}], "info": {}}
    valid = file | {"annotations": None}
    pictures = {f"{split}/{name}": jpeg() for name in names for split in ("train", "valid")}
    root = put(tmp_path / "o", pictures | {"annotations_train.json": file, "annotations_valid.json": valid})
    result = convert("ovis", root, tmp_path / "out", "train", "valid")
    (row,) = records(tmp_path / "out", "train").values()
    assert row.instances[1].frame_indices == (0, 2) and row.instances[1].category == "Dog"
    assert np.array_equal(row.instances[1].mask(2, SIZE), square(3, 3) > 0)
    assert row.frame_names[0] == "img_0000001" and any("empty masks: 1" in line for line in result.notes)
    (unknown,) = records(tmp_path / "out", "valid").values()
    assert not unknown.instances and not any(unknown.annotated)


def test_mevis_sentences_mean_several_objects_by_their_annotation(tmp_path):
    expressions = {
        "0": {"exp": "both birds", "obj_id": [0, 1], "anno_id": [40, 39]},
        "1": {"exp": "no bird flies", "obj_id": [], "anno_id": []},
    }
    meta = {"videos": {"ab12": {"expressions": expressions, "vid_id": 3, "frames": ["00001", "00000"]}}}
    masks = {"39": [encode_rle(square(1, 1) > 0), None], "40": [None, encode_rle(square(5, 5) > 0)]}
    files = {
        "valid_u/meta_expressions.json": meta,
        "valid_u/mask_dict.json": masks,
        "valid/meta_expressions.json": meta,
    }
    for name in ("00000", "00001"):
        files |= {f"{split}/JPEGImages/ab12/{name}.jpg": jpeg() for split in ("valid_u", "valid")}
    convert("mevis", put(tmp_path / "m", files), tmp_path / "out", "valid_u", "valid")
    (row,) = records(tmp_path / "out", "valid_u").values()
    assert row.instances[1].source_id == 39 and row.instances[1].frame_indices == (0,)
    assert row.instances[2].frame_indices == (1,)
    assert [s.object_ids for s in row.sentences] == [(2, 1), ()] and all(s.labelled for s in row.sentences)
    (hidden,) = records(tmp_path / "out", "valid").values()
    assert not hidden.instances and not any(s.labelled for s in hidden.sentences)


# Real files


@pytest.mark.skipif(not (SHARED_DATA / "davis").is_dir(), reason="the sequences of DAVIS are not beside the repository")
def test_real_clips_of_davis_2016_keep_every_pixel(tmp_path):
    from PIL import Image

    root = tmp_path / "DAVIS"
    for kind, folder in (("JPEGImages", "frames"), ("Annotations", "masks")):
        (root / kind / "480p").mkdir(parents=True)
        (root / kind / "480p" / "car-shadow").symlink_to(SHARED_DATA / "davis" / "car-shadow" / folder)
    put(root, {"ImageSets/2016/val.txt": "car-shadow\n"})
    result = convert("davis-2016", root, tmp_path / "out", "val")
    (row,) = records(tmp_path / "out", "val").values()
    assert result.reports["val"]["counts"]["frames"] == len(row) == 40 and result.notes == []
    for frame in (0, 20, 39):
        stored = np.asarray(Image.open(SHARED_DATA / "davis" / "car-shadow" / "masks" / f"{frame:05d}.png")) > 0
        assert np.array_equal(row.instances[1].mask(frame, stored.shape), stored)


@pytest.mark.skipif(not (SHARED_DATA / "judo").is_dir(), reason="the clip `judo` is not beside the repository")
def test_a_real_mask_of_another_width_is_resized_and_said(tmp_path):
    frames = next(path for path in sorted((SHARED_DATA / "judo").rglob("*")) if path.suffix == ".jpg").parent
    masks = next(path for path in sorted((SHARED_DATA / "judo").rglob("*")) if path.suffix == ".png").parent
    root = tmp_path / "DAVIS"
    for kind, folder in (("JPEGImages", frames), ("Annotations", masks)):
        (root / kind / "480p").mkdir(parents=True)
        (root / kind / "480p" / "judo").symlink_to(folder)
    put(root, {"ImageSets/2017/val.txt": "judo\n"})
    result = convert("davis-2017", root, tmp_path / "out", "val")
    (row,) = records(tmp_path / "out", "val").values()
    height, width = row.image().shape[:2]
    assert len(row) == 16 and set(row.instances) == {1, 2, 3, 4}
    assert [n for n, known in enumerate(row.annotated) if known] == [0, 5, 8, 13]
    # A later label map shows only the objects that are new in it.
    (new,) = row.shown(5)
    assert new.object_id not in {shown.object_id for shown in row.shown(0)} and new.mask(5, (height, width)).any()
    assert any("resized" in line and "00005.png (853" in line for line in result.notes)
    assert any("frames without an annotation: 12" in line for line in result.deviations)
