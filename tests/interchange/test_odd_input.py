"""Odd but real annotation files are read, or refused with the place; numbers of any library are written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from transformers_uniref import interchange
from transformers_uniref.core.json_writing import to_json
from transformers_uniref.core.mask_codes import encode_rle
from transformers_uniref.datasets.converters.remarks import Remarks
from transformers_uniref.interchange import AnnotatedClip, AnnotatedImage, AnnotatedObject

SIZE = (40, 60)
SQUARE = [10, 10, 20, 10, 20, 20, 10, 20]
POINTS = [[10, 10], [20, 10], [20, 20], [10, 20]]
TRIANGLE = [30, 30, 40, 30, 30, 38]


def square() -> np.ndarray:
    mask = np.zeros(SIZE, dtype=bool)
    mask[10:20, 10:20] = True
    return mask


def coco(segmentation: Any) -> dict[str, Any]:
    return {
        "images": [{"id": 1, "file_name": "a.jpg", "height": SIZE[0], "width": SIZE[1]}],
        "categories": [{"id": 3, "name": "thing"}],
        "annotations": [{"id": 17, "image_id": 1, "category_id": 3, "iscrowd": 0, "segmentation": segmentation}],
    }


# ----------------------------------------------------------------------------------------------------------------- COCO
def compressed() -> dict[str, Any]:
    return encode_rle(square())


def runs() -> list[int]:
    flat = square().ravel(order="F")
    edges = np.flatnonzero(np.diff(flat.astype(int))) + 1
    return np.diff([0, *edges, flat.size]).tolist()


@pytest.mark.parametrize(
    "segmentation",
    [
        [SQUARE],
        SQUARE,
        tuple(SQUARE),
        [POINTS],
        POINTS,
        [[(float(x), float(y)) for x, y in POINTS]],
        [np.array(SQUARE)],
        np.array(POINTS),
        torch.tensor([SQUARE]),
        [[np.float32(value) for value in SQUARE]],
        compressed(),
        {**compressed(), "counts": compressed()["counts"].encode()},
        {"size": list(SIZE), "counts": runs()},
        {"size": np.array(SIZE), "counts": np.array(runs())},
    ],
)
def test_every_form_of_a_coco_segmentation_is_the_same_mask(segmentation: Any) -> None:
    pytest.importorskip("pycocotools")
    from transformers_uniref.datasets.converters.coco_masks import to_rle

    (image,) = interchange.from_coco(coco(segmentation))
    assert np.array_equal(image.objects[0].mask, square())
    assert to_rle(segmentation, SIZE) == compressed()


def test_several_polygons_are_one_mask_in_every_form() -> None:
    pytest.importorskip("pycocotools")
    triangle = np.reshape(TRIANGLE, (3, 2)).tolist()
    areas = {
        interchange.from_coco(coco(forms))[0].objects[0].area
        for forms in ([SQUARE, TRIANGLE], [POINTS, triangle], [POINTS, TRIANGLE])
    }
    assert len(areas) == 1 and areas.pop() > 120


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        ([SQUARE[:-1]], "even number of values, got 7"),
        (SQUARE[:-1], "even number"),
        ([[10, 10, 20, 20]], "three corners and an inside"),
        ([[10, 10], [20, 20]], "three corners"),
        ([[10, 10, 20, 20, 30, 30]], "an inside"),
        ([[10, 10, 20, 10, 20, float("nan")]], "must be numbers"),
        ([["10", "10", "20", "10", "20", "20"]], "must be numbers"),
        ([[[10, 10], [20]]], "must be numbers"),
        ([[None] * 6], "must be numbers"),
        ("abc", "a polygon"),
        ({"counts": "abc"}, "lacks 'size'"),
        ({"size": list(SIZE)}, "lacks 'counts'"),
        ({"size": list(SIZE), "counts": [5, 5]}, "runs cover 10 pixels of 2400"),
        ({"size": list(SIZE), "counts": b"\xff"}, "ascii"),
        (encode_rle(np.ones((4, 4), bool)), "size"),
        ([], "without a segmentation"),
    ],
)
def test_a_coco_segmentation_that_cannot_be_right_names_its_annotation(segmentation: Any, reason: str) -> None:
    pytest.importorskip("pycocotools")
    with pytest.raises(ValueError, match=f"`document` has an annotation 17.*{reason}"):
        interchange.from_coco(coco(segmentation))


def test_what_is_left_out_of_a_coco_segmentation_is_told() -> None:
    pytest.importorskip("pycocotools")
    with pytest.warns(UserWarning, match="annotation 17 with a polygon of fewer than three corners"):
        (image,) = interchange.from_coco(coco([SQUARE, [1, 1, 2, 2]]))
    assert image.objects[0].area == 100
    with pytest.warns(UserWarning, match="annotation 17 whose mask has no pixel"):
        interchange.from_coco(coco([[10.1, 10.1, 10.2, 10.1, 10.2, 10.2]]))


def test_a_youtube_vis_segmentation_names_its_annotation_too() -> None:
    document = {
        "videos": [{"id": 1, "height": SIZE[0], "width": SIZE[1], "length": 1}],
        "annotations": [{"id": 23, "video_id": 1, "category_id": 1, "segmentations": [{"size": [1], "counts": "1"}]}],
    }
    with pytest.raises(ValueError, match="annotation 23"):
        interchange.from_youtube_vis(document)


def test_a_build_goes_on_after_a_segmentation_that_cannot_be_read() -> None:
    pytest.importorskip("pycocotools")
    from transformers_uniref.datasets.converters.coco import coco_instance

    remarks = Remarks()
    annotation = {"id": 17, "image_id": 1, "category_id": 3, "bbox": [1, 1, 5, 5], "segmentation": [SQUARE[:-1]]}
    coco_instance(annotation, 1, SIZE, {3: (0, "thing")}, remarks)
    assert "annotation 17" in remarks.deviations["segmentations that cannot be read"]["examples"][0]


# ----------------------------------------------------------------------------------------------------------------- JSON
NUMBERS = [0.5, np.float32(0.5), np.float64(0.5), np.array(0.5), torch.tensor(0.5), torch.tensor([0.5])]


@pytest.mark.parametrize("score", [*NUMBERS, torch.tensor(0.5, dtype=torch.bfloat16, requires_grad=True)])
@pytest.mark.parametrize("number", [3, np.int64(3), np.uint8(3), torch.tensor(3), np.array([3])])
def test_numbers_of_any_library_are_written(score: Any, number: Any, tmp_path: Path) -> None:
    entry = AnnotatedObject(square(), "a", score, torch.tensor([10.0, 10, 20, 20]), number)
    image = AnnotatedImage((np.int64(40), torch.tensor(60)), [entry], "n.png", number)
    clip = AnnotatedClip([image], "c", number, np.float32(5))
    for document in (
        interchange.to_coco([image]),
        interchange.to_coco_results([image]),
        interchange.to_label_studio([image]),
        interchange.to_youtube_vis([clip]),
        interchange.to_youtube_vis_results([clip]),
    ):
        assert json.loads(json.dumps(document)) == document  # ready for json.dump itself
        interchange.save_document(tmp_path / "out.json", document)
        assert interchange.read_document(tmp_path / "out.json") == document
    assert interchange.to_coco([image])["annotations"][0]["track_id"] == 3
    assert 'group_id="3"' in interchange.to_cvat_images([image])


@pytest.mark.parametrize("value", ["x", 3.5, [1, 2]])
def test_an_id_that_is_no_whole_number_is_refused_by_name(value: Any) -> None:
    if value == "x":  # some files have texts for ids of pictures
        assert AnnotatedImage(SIZE, image_id=value).image_id == "x"
        return
    with pytest.raises(TypeError, match="`image_id` must be a"):
        AnnotatedImage(SIZE, image_id=value)


def test_whatever_the_package_writes_as_json_may_hold_numbers_and_paths_of_any_kind() -> None:
    value = {
        np.int64(2): torch.tensor([1, 2]),
        "scores": {1: np.float32(0.25), torch.tensor(7): (np.bool_(True), np.arange(2))},
        "file": Path("a") / "b",
        "half": torch.tensor(0.5, dtype=torch.bfloat16),
    }
    assert json.loads(to_json(value, sort_keys=False)) == {
        "2": [1, 2],
        "scores": {"1": 0.25, "7": [True, [0, 1]]},
        "file": "a/b",
        "half": 0.5,
    }
    with pytest.raises(TypeError, match="object is not JSON serializable|type object"):
        to_json({"a": object()})


# --------------------------------------------------------------------------------------------------------- Label Studio
def test_regions_of_a_task_have_distinct_ids() -> None:
    for ids in ([1, 1], [2, None], [None, 1], [1, None, 1, None, 3], [None, None]):
        image = AnnotatedImage(SIZE, [AnnotatedObject(square(), "a", 0.5, object_id=number) for number in ids], "n.png")
        regions = [region["id"] for region in interchange.to_label_studio([image])[0]["predictions"][0]["result"]]
        assert len(set(regions)) == len(ids)
        assert all(f"object-{number}" in regions for number in ids if number)


def task(**changes: Any) -> dict[str, Any]:
    image = AnnotatedImage(SIZE, [AnnotatedObject(square(), "a", 0.5)], "n.png")
    (made,) = interchange.to_label_studio([image])
    return {**made, **changes}


@pytest.mark.parametrize(
    "changes",
    [
        {"annotations": [{"result": None}]},
        {"annotations": [{}]},
        {"annotations": [{"result": [None, {"value": None}, {"type": "relation"}]}]},
        {"annotations": None, "predictions": None},
        {"annotations": [None], "predictions": [None]},
        {"predictions": [{"result": None}]},
        {"annotations": [{"result": [{"value": {"rle": None}}]}], "data": None},
    ],
)
def test_missing_and_null_results_of_label_studio_are_none(changes: dict[str, Any]) -> None:
    assert interchange.from_label_studio([task(**changes)]) == []


def test_a_label_studio_task_without_data_or_labels_keeps_its_mask() -> None:
    made = task(data=None, annotations=[None])
    made["predictions"][0]["result"][0]["value"]["brushlabels"] = None
    (image,) = interchange.from_label_studio([made])
    assert (image.name, image.objects[0].label) == ("", "object") and np.array_equal(image.objects[0].mask, square())
    del made["predictions"][0]["result"][0]["original_width"]
    with pytest.raises(ValueError, match="without its picture's size, region 'object-1'"):
        interchange.from_label_studio([made])


# ----------------------------------------------------------------------------------------------------------------- CVAT
@pytest.mark.parametrize("bad", ["\x0b", "\x00", "\x1f", "\ufffe", "\ud800"])
def test_control_characters_do_not_reach_cvats_xml(bad: str) -> None:
    entry = AnnotatedObject(square(), f"a{bad}b", 0.5, object_id=1)
    with pytest.warns(UserWarning, match="the label .* has control characters"):
        (image,) = interchange.from_cvat_images(interchange.to_cvat_images([AnnotatedImage(SIZE, [entry], "x.png")]))
    assert image.objects[0].label == "a b"
    with pytest.warns(UserWarning, match="control characters"):
        clip = interchange.from_cvat_video(interchange.to_cvat_video(AnnotatedClip([AnnotatedImage(SIZE, [entry])])))
    assert clip.labels() == {1: "a b"}
    good = AnnotatedObject(square(), "tab\tand \U0001f436", 0.5, object_id=1)
    with pytest.raises(ValueError, match="`name` must not have control characters"):
        interchange.to_cvat_images([AnnotatedImage(SIZE, [good], f"x{bad}.png")])
    with pytest.raises(ValueError, match="`name` must not"):
        interchange.to_cvat_video(AnnotatedClip([AnnotatedImage(SIZE, [good])], f"c{bad}"))
    with pytest.raises(ValueError, match="`score_attribute` must not"):
        interchange.to_cvat_images([AnnotatedImage(SIZE, [good], "x.png")], score_attribute=bad)
    xml = interchange.to_cvat_images([AnnotatedImage(SIZE, [good], "x.png")])
    assert interchange.from_cvat_images(xml)[0].objects[0].label == good.label
