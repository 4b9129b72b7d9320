"""Results leave for other tools and come back as they were."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from interchange_support import clips, images, masks, same_clips, same_objects
from transformers_uniref import interchange
from transformers_uniref.core.mask_codes import decode_rle
from transformers_uniref.datasets.schema import make_instance, make_row
from transformers_uniref.inference.results import SegmentedObject
from transformers_uniref.interchange import AnnotatedClip, AnnotatedImage, AnnotatedObject, clip_of, image_of
from transformers_uniref.interchange.label_studio import decode_brush, encode_brush
from transformers_uniref.interchange.polygons import mask_to_polygons, polygons_to_mask

quick = settings(max_examples=25, deadline=None)


def box_mask(size: tuple[int, int], top: int, left: int, bottom: int, right: int) -> np.ndarray:
    mask = np.zeros(size, dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


def one_image() -> AnnotatedImage:
    mask = box_mask((6, 8), 1, 2, 4, 5)
    return AnnotatedImage((6, 8), [AnnotatedObject(mask, "the dog", 0.75, (1.5, 1.0, 5.5, 4.0))], "a.jpg")


# ------------------------------------------------------------------------------------------------- results of the model
def test_a_sentence_result_becomes_an_object_with_its_sentence() -> None:
    mask = torch.zeros(6, 8, dtype=torch.bool)
    mask[1:3, 2:5] = True
    result = {"segmentation": mask, "score": 0.5, "box": torch.tensor([2.0, 1.0, 5.0, 3.0])}
    image = image_of([result, result], ["the dog", "the cat"], name="a.jpg")
    assert image.size == (6, 8)
    assert [entry.label for entry in image.objects] == ["the dog", "the cat"]
    assert image.objects[0].corners == (2.0, 1.0, 5.0, 3.0)
    assert image.objects[0].score == 0.5
    assert np.array_equal(image.objects[1].mask, mask.numpy())
    assert same_objects(image_of(result, "the dog"), AnnotatedImage(image.size, image.objects[:1]))


def test_pipeline_results_bring_their_own_labels() -> None:
    from PIL import Image

    mask = box_mask((6, 8), 0, 0, 3, 3)
    box = {"xmin": 0, "ymin": 0, "xmax": 3, "ymax": 3}
    picture = Image.fromarray(mask.astype(np.uint8) * 255)
    image = image_of([{"score": 0.5, "label": "the dog", "mask": picture, "box": box}])
    assert image.objects[0].label == "the dog"
    assert image.objects[0].box == (0.0, 0.0, 3.0, 3.0)
    assert np.array_equal(image.objects[0].mask, mask)
    clip = clip_of([{"frame": 0, "masks": {2: mask}, "scores": {2: 0.5}, "labels": {2: "the cat"}}])
    assert [(o.object_id, o.label, o.score) for o in clip.frames[0].objects] == [(2, "the cat", 0.5)]


def test_instance_results_are_named_by_their_class() -> None:
    result = {
        "masks": torch.ones(2, 3, 4, dtype=torch.bool),
        "scores": torch.tensor([0.9, 0.8]),
        "labels": torch.tensor([1, 0]),
        "boxes": torch.zeros(2, 4),
    }
    assert [entry.label for entry in image_of(result, ["dog", "cat"]).objects] == ["cat", "dog"]
    with pytest.raises(ValueError, match="must name every class"):
        image_of(result, ["dog"])


def test_video_masks_keep_their_ids_and_a_list_of_labels_follows_them() -> None:
    first, second = box_mask((4, 4), 0, 0, 2, 2), box_mask((4, 4), 2, 2, 4, 4)
    clip = clip_of([{}, {5: torch.from_numpy(second), 2: first}], ["two", "five"], fps=5.0)
    assert clip.labels() == {2: "two", 5: "five"}
    assert {number: list(track) for number, track in clip.tracks().items()} == {2: [1], 5: [1]}
    assert np.array_equal(clip.frames[1].label_map(), 2 * first + 5 * second)


def test_a_models_answers_go_into_every_format_as_they_are() -> None:
    first, second = box_mask((6, 8), 1, 2, 4, 5), box_mask((6, 8), 0, 0, 2, 2)
    answers = [
        SegmentedObject(first, "the dog", score=0.75, box=(1.5, 1.0, 5.5, 4.0)),
        SegmentedObject(second, score=0.25),
    ]
    image = image_of(answers, name="a.jpg")
    assert [(entry.label, entry.score) for entry in image.objects] == [("the dog", 0.75), ("object", 0.25)]
    assert [entry["bbox"] for entry in interchange.to_coco_results([image])] == [[1.5, 1.0, 4.0, 3.0], [0, 0, 2, 2]]
    assert same_objects(AnnotatedImage((6, 8), answers), image)
    assert [entry.label for entry in image_of(answers, ["a", None]).objects] == ["a", "object"]
    assert image_of(answers[0]).objects[0].box == (1.5, 1.0, 5.5, 4.0)
    clip = clip_of([{}, {2: answers[0]}, {2: answers[0], 5: answers[1]}], {5: "the cat"})
    assert clip.labels() == {2: "the dog", 5: "the cat"} and clip.scores() == {2: 0.75, 5: 0.25}
    assert np.array_equal(clip.frames[2].label_map(), np.where(second, 5, 2 * first))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: image_of(3), "`result` must be what post-processing or a pipeline returns, got int"),
        (lambda: image_of([]), "`size` is needed"),
        (
            lambda: image_of({"segmentation": np.zeros((2, 2), bool)}, ["a", "b"]),
            "one text for each of 1 objects, got 2",
        ),
        (lambda: clip_of([{1: np.ones((2, 2), bool)}], frame_names=[]), "one name for each of 1 frames, got 0"),
        (lambda: AnnotatedObject(np.zeros((2, 2))), "`mask` must be a bool array"),
        (lambda: AnnotatedObject(np.zeros((2, 2), bool), score=2), "`score` must be between 0 and 1"),
        (lambda: AnnotatedImage((3, 3), [AnnotatedObject(np.zeros((2, 2), bool))]), "the picture's size"),
        (lambda: AnnotatedClip([]), "at least one frame"),
        (lambda: AnnotatedClip([AnnotatedImage((2, 2), [AnnotatedObject(np.ones((2, 2), bool))])]), "distinct ids"),
    ],
)
def test_what_is_no_result_is_refused_with_the_reason(make, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        make()


# ----------------------------------------------------------------------------------------------------------------- COCO
@quick
@given(st.lists(images(ids=True), min_size=1, max_size=3))
def test_coco_comes_back_as_it_was(pictures: list[AnnotatedImage]) -> None:
    document = json.loads(json.dumps(interchange.to_coco(pictures)))
    returned = interchange.from_coco(document)
    assert all(same_objects(a, b) for a, b in zip(pictures, returned, strict=True))


@quick
@given(images(), st.booleans())
def test_pycocotools_reads_the_same_masks_bit_for_bit(picture: AnnotatedImage, polygons: bool) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    tools = coco.COCO()
    tools.dataset = json.loads(json.dumps(interchange.to_coco([picture], polygons=polygons)))
    with contextlib.redirect_stdout(io.StringIO()):
        tools.createIndex()
    annotations = tools.loadAnns(tools.getAnnIds(imgIds=[1]))
    assert len(annotations) == len(picture.objects)
    for annotation, entry in zip(annotations, picture.objects, strict=True):
        assert np.array_equal(tools.annToMask(annotation).astype(bool), entry.mask)
        assert annotation["area"] == entry.mask.sum()
        x, y, width, height = annotation["bbox"]
        assert entry.tight_corners == (x, y, x + width, y + height)
        assert tools.cats[annotation["category_id"]]["name"] == entry.label


def test_coco_results_are_what_the_evaluation_reads() -> None:
    coco = pytest.importorskip("pycocotools.coco")
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    tools = coco.COCO()
    picture = one_image()
    with contextlib.redirect_stdout(io.StringIO()):
        tools.dataset = interchange.to_coco([picture], categories={"the dog": 7})
        tools.createIndex()
        results = tools.loadRes(interchange.to_coco_results([picture], categories={"the dog": 7}))
        scored = evaluation.COCOeval(tools, results, "segm")
        scored.evaluate()
        scored.accumulate()
        scored.summarize()
    assert scored.stats[0] == pytest.approx(1.0)


@quick
@given(st.tuples(st.integers(1, 13), st.integers(1, 13)).flatmap(masks))
def test_polygons_are_exact_even_with_holes(mask: np.ndarray) -> None:
    pytest.importorskip("pycocotools")
    polygons = mask_to_polygons(mask)
    assert np.array_equal(polygons_to_mask(polygons, mask.shape), mask)
    area = sum(shoelace(polygon) for polygon in polygons)
    assert area == mask.sum()


def shoelace(polygon: list[float]) -> float:
    corners = np.array(polygon).reshape(-1, 2)
    following = np.roll(corners, -1, axis=0)
    return float((corners[:, 0] * following[:, 1] - following[:, 0] * corners[:, 1]).sum() / 2)


def test_a_rectangle_is_a_polygon_of_four_corners() -> None:
    assert mask_to_polygons(box_mask((6, 8), 1, 2, 4, 5)) == [[2, 1, 5, 1, 5, 4, 2, 4]]
    assert mask_to_polygons(np.zeros((3, 3), bool)) == []


# ---------------------------------------------------------------------------------------------------------- YouTube-VIS
@quick
@given(clips())
def test_youtube_vis_comes_back_as_it_was(clip: AnnotatedClip) -> None:
    document = json.loads(json.dumps(interchange.to_youtube_vis([clip])))
    (returned,) = interchange.from_youtube_vis(document)
    assert same_clips(clip, returned)
    for annotation in document["annotations"]:
        assert len(annotation["segmentations"]) == document["videos"][0]["length"]
        seen = [entry is not None for entry in annotation["segmentations"]]
        assert seen == [entry is not None for entry in annotation["bboxes"]]
        shown = [decode_rle(rle) for rle in annotation["segmentations"] if rle]
        assert [mask.sum() for mask in shown] == [area for area in annotation["areas"] if area is not None]


def test_youtube_vis_results_have_the_mean_score_of_the_frames() -> None:
    mask = np.ones((2, 2), bool)
    frames = [{"masks": {1: mask}, "scores": {1: score}} for score in (0.25, 0.75)]
    (result,) = interchange.to_youtube_vis_results([clip_of(frames, "dog")], categories={"dog": 3})
    assert (result["score"], result["category_id"], result["video_id"]) == (0.5, 3, 1)
    with pytest.raises(ValueError, match="objects with scores, got none for object 1"):
        interchange.to_youtube_vis_results([clip_of([{1: mask}])])


# ----------------------------------------------------------------------------------------------------------------- CVAT
@quick
@given(images(ids=True, scores=False))
def test_cvat_for_images_comes_back_as_it_was(picture: AnnotatedImage) -> None:
    (returned,) = interchange.from_cvat_images(interchange.to_cvat_images([picture]))
    assert same_objects(picture, returned)
    assert returned.name == picture.name


@quick
@given(clips(scores=False))
def test_cvat_for_video_comes_back_as_it_was(clip: AnnotatedClip) -> None:
    assert same_clips(clip, interchange.from_cvat_video(interchange.to_cvat_video(clip)))


def test_cvat_masks_are_run_lengths_of_the_rows_in_their_box() -> None:
    # The mask that CVAT's documentation shows.
    runs = "3, 5, 7, 7, 5, 9, 3, 11, 2, 11, 2, 12, 1, 12, 1, 26, 1, 12, 1, 12, 2, 11, 3, 9, 5, 7, 7, 5, 3"
    shape = f'<mask label="car" occluded="0" rle="{runs}" left="707" top="888" width="13" height="15" z_order="0"/>'
    xml = f'<annotations><image id="0" name="a.jpg" width="1920" height="1080">{shape}</image></annotations>'
    (image,) = interchange.from_cvat_images(xml)
    assert image.objects[0].tight_corners == (707, 888, 720, 903)
    inside = image.objects[0].mask[888:903, 707:720]
    assert inside[0].tolist() == [False] * 3 + [True] * 5 + [False] * 5
    assert inside.sum() == sum(int(run) for run in runs.split(", ")[1::2])
    assert f'rle="{runs}"' in interchange.to_cvat_images([image])


def test_every_cvat_track_has_one_mask_because_cvat_reads_no_more() -> None:
    from xml.etree import ElementTree

    mask = np.ones((2, 3), bool)
    root = ElementTree.fromstring(interchange.to_cvat_video(clip_of([{4: mask}] * 3, "dog")).encode())
    tracks = root.findall("track")
    assert [[(s.get("frame"), s.get("outside")) for s in track] for track in tracks] == [
        [("0", "0"), ("1", "1")],
        [("1", "0"), ("2", "1")],
        [("2", "0")],
    ]
    assert {track.get("group_id") for track in tracks} == {"4"}
    assert root.find("meta/task/mode").text == "interpolation"


def test_cvat_polygons_and_scores() -> None:
    pytest.importorskip("pycocotools")
    shape = '<polygon label="a" points="1.00,1.00;4.00,1.00;4.00,3.00;1.00,3.00"/><box label="b" xtl="0"/>'
    xml = f'<annotations><image id="3" name="a" width="6" height="5">{shape}</image></annotations>'
    (image,) = interchange.from_cvat_images(xml)
    assert [np.array_equal(entry.mask, box_mask((5, 6), 1, 1, 3, 4)) for entry in image.objects] == [True]
    assert '<attribute name="score">0.7500</attribute>' in interchange.to_cvat_images(
        [one_image()], score_attribute="score"
    )


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("<annotations", "no XML"),
        ("<a/>", "root element `annotations`, got `a`"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><annotations/>', "declares a document type"),
        (
            '<annotations><image id="0" name="a" width="2" height="2">'
            '<mask label="a" rle="0, 4" left="1" top="0" width="2" height="2"/></image></annotations>',
            "leaves its picture",
        ),
        (
            '<annotations><image id="0" name="a" width="2" height="2">'
            '<mask label="a" rle="0, 3" left="0" top="0" width="2" height="2"/></image></annotations>',
            "the runs cover 3 pixels of 4",
        ),
    ],
)
def test_broken_cvat_files_are_refused(document: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        interchange.from_cvat_images(document)


# --------------------------------------------------------------------------------------------------------- Label Studio
@quick
@given(images())
def test_label_studio_comes_back_as_it_was(picture: AnnotatedImage) -> None:
    tasks = json.loads(json.dumps(interchange.to_label_studio([picture], url_prefix="")))
    returned = interchange.from_label_studio(tasks)
    assert len(returned) == bool(picture.objects)
    if picture.objects:
        assert same_objects(picture, returned[0], ids=False)
        assert returned[0].name == picture.name


def test_the_brush_code_is_that_of_label_studio() -> None:
    # Made with mask2rle of label_studio_sdk 2.1.2, whose code ends in up to eight bits that mean nothing.
    mask = np.array([[0, 1, 1], [1, 0, 0]], bool)
    code = BRUSH_OF_SMALL_MASK
    assert encode_brush(mask) == code[: len(encode_brush(mask))]
    assert np.array_equal(decode_brush(code, (2, 3)), mask)


BRUSH_OF_SMALL_MASK = [0, 0, 0, 24, 57, 27, 252, 96, 22, 255, 231, 0, 0]


def test_the_brush_code_splits_long_runs() -> None:
    mask = np.zeros((200, 400), bool)
    mask[:, 399] = True
    mask[100:] = True
    assert np.array_equal(decode_brush(encode_brush(mask), (200, 400)), mask)


def test_the_brush_code_may_hold_values_one_by_one() -> None:
    # 8 values of 8 bits, run sizes 3, 4, 8, 16; one run of 8 values as they are: 0 0 0 200, 0 0 0 100.
    bits = f"{8:032b}{7:05b}{2:04b}{3:04b}{7:04b}{15:04b}" + "0" + "00" + "111"
    bits += "".join(f"{value:08b}" for value in (0, 0, 0, 200, 0, 0, 0, 100))
    bits += "0" * (-len(bits) % 8)
    code = [int(bits[start : start + 8], 2) for start in range(0, len(bits), 8)]
    assert decode_brush(code, (1, 2)).tolist() == [[True, False]]
    with pytest.raises(ValueError, match="ends in the middle of a run"):
        decode_brush(code[:-2], (1, 2))
    with pytest.raises(ValueError, match="holds 8 values, a picture of size"):
        decode_brush(code, (2, 2))


@quick
@given(st.tuples(st.integers(1, 13), st.integers(1, 13)).flatmap(masks))
def test_label_studio_reads_and_writes_the_same_brush_masks(mask: np.ndarray) -> None:
    brush = pytest.importorskip("label_studio_sdk.converter.brush")
    read = brush.decode_rle(encode_brush(mask)).reshape(*mask.shape, 4)[..., 3]
    assert np.array_equal(read, mask * np.uint8(255))
    assert np.array_equal(decode_brush(brush.mask2rle(mask.astype(np.uint8) * 255), mask.shape), mask)


def test_of_a_label_studio_export_the_last_annotation_counts() -> None:
    (task,) = interchange.to_label_studio([one_image()])
    result = task["predictions"][0]["result"][0]
    other = {**result, "value": {**result["value"], "brushlabels": ["the cat"]}}
    rectangle = {"type": "rectanglelabels", "value": {"x": 1}}
    task["annotations"] = [{"result": [result]}, {"result": [rectangle, other]}, {"result": [], "was_cancelled": True}]
    (image,) = interchange.from_label_studio([task])
    assert [entry.label for entry in image.objects] == ["the cat"]


# --------------------------------------------------------------------------------------------- FiftyOne and supervision
@quick
@given(images(ids=True))
def test_fiftyone_labels_come_back_as_they_were(picture: AnnotatedImage) -> None:
    labels = interchange.to_fiftyone(picture)
    assert same_objects(picture, interchange.from_fiftyone(labels, picture.size))
    for fields in labels["detections"]:
        x, y, width, height = fields["bounding_box"]
        assert 0 <= x < x + width <= 1 + 1e-9
        assert fields["mask"].shape == (round(height * picture.size[0]), round(width * picture.size[1]))
        assert fields["mask"].any(0)[[0, -1]].all()
        assert fields["mask"].any(1)[[0, -1]].all()


def test_fiftyone_masks_of_another_resolution_are_resized_into_their_box() -> None:
    detection = {"label": "a", "bounding_box": [0.25, 0.5, 0.5, 0.5], "mask": np.array([[1, 0]])}
    image = interchange.from_fiftyone({"detections": [detection]}, (4, 8))
    assert np.array_equal(image.objects[0].mask, box_mask((4, 8), 2, 2, 4, 4))
    with pytest.raises(ValueError, match="box that does not lie in the picture"):
        interchange.from_fiftyone({"detections": [{**detection, "bounding_box": [0.75, 0, 0.5, 1]}]}, (4, 8))


@pytest.fixture(scope="module")
def supervision():
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("supervision")


@quick
@given(picture=images(ids=True))
def test_supervision_comes_back_as_it_was(supervision, picture: AnnotatedImage) -> None:
    detections = interchange.to_supervision(picture)
    assert isinstance(detections, supervision.Detections)
    assert same_objects(picture, interchange.from_supervision(detections, picture.size))
    assert len(detections) == len(picture.objects)
    if len(detections):
        assert detections.area.tolist() == [entry.area for entry in picture.objects]


def test_supervision_filters_what_it_is_given(supervision) -> None:
    strong = one_image().objects[0]
    weak = AnnotatedObject(~strong.mask, "the cat", 0.25)
    detections = interchange.to_supervision(
        AnnotatedImage((6, 8), [strong, weak]), categories={"the cat": 3, "the dog": 9}
    )
    kept = detections[detections.confidence > 0.5]
    assert kept.class_id.tolist() == [9]
    assert kept.xyxy.tolist() == [[1.5, 1.0, 5.5, 4.0]]
    image = interchange.from_supervision(kept, (6, 8))
    assert [entry.label for entry in image.objects] == ["the dog"]
    assert image.objects[0].box == (1.5, 1.0, 5.5, 4.0)


# --------------------------------------------------------------------------------------------------- rows, files, rules
def test_a_dataset_row_has_sentences_as_labels_and_predicted_scores() -> None:
    first, second = box_mask((4, 4), 0, 0, 2, 2), box_mask((4, 4), 2, 2, 4, 4)
    row = make_row(
        "s1",
        [np.zeros((4, 4, 3), np.uint8)] * 2,
        [make_instance(1, {0: first, 1: second}), make_instance(2, {1: first}, category="cat", code="rle")],
        [("the dog", [1]), ("the animal", [1])],
        source="here",
        split="test",
        image_id="clip",
    )
    row["predictions"] = [{"text": "the dog", "score": 0.5, "box": [0, 0, 2, 2], "object_id": 1}]
    clip = interchange.from_dataset_row(row)
    assert clip.labels() == {1: "the dog", 2: "cat"}
    assert clip.scores() == {1: 0.5, 2: None}
    assert np.array_equal(clip.frames[1].label_map(), 2 * first + second)


def test_documents_are_saved_whole_and_read_back(tmp_path: Path) -> None:
    document = interchange.to_coco([one_image()])
    interchange.save_document(tmp_path / "new" / "coco.json", document)
    assert interchange.read_document(tmp_path / "new" / "coco.json") == document
    xml = interchange.to_cvat_images([one_image()])
    interchange.save_document(tmp_path / "annotations.xml", xml)
    assert interchange.read_document(tmp_path / "annotations.xml") == xml
    with pytest.raises(TypeError):
        interchange.save_document(tmp_path / "fiftyone.json", interchange.to_fiftyone(one_image()))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["annotations.xml", "new"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: interchange.to_coco([one_image()], categories={"cat": 1}), "it lacks 'the dog'"),
        (
            lambda: interchange.to_coco_results([AnnotatedImage((1, 1), [AnnotatedObject(np.ones((1, 1), bool))])]),
            "scores",
        ),
        (lambda: interchange.from_coco({"images": []}), "it lacks `annotations`"),
        (lambda: interchange.from_coco({"images": [], "annotations": [{"image_id": 3}]}), "unknown image 3"),
        (lambda: interchange.to_cvat_images([AnnotatedImage((1, 1))]), "must have names"),
        (lambda: interchange.to_label_studio([AnnotatedImage((1, 1))]), "must have names"),
        (lambda: interchange.to_coco([AnnotatedImage((1, 1), image_id=2)] * 2), "distinct numbers"),
    ],
)
def test_what_a_format_cannot_say_is_refused(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_json_says_of_an_answer_what_is_asked_for_in_the_order_asked() -> None:
    mask = np.zeros((4, 6), dtype=bool)
    mask[1:3, 2:5] = True
    item = SegmentedObject(mask, "a dog", score=0.12345678, box=(1.234, 1, 5, 3), object_id=2, passed=False)
    told = item.summary("score", "id", "text", "box", "bbox", "area", "passed", "unknown_words")
    assert list(told.items()) == [
        ("score", 0.123457),
        ("id", 2),
        ("text", "a dog"),
        ("box", [1.23, 1, 5, 3]),
        ("bbox", [2, 1, 3, 2]),
        ("area", 6),
        ("passed", False),
        ("unknown_words", []),
    ]
    assert np.array_equal(decode_rle(item.summary("segmentation")["segmentation"]), mask)
    assert replace(item, given=True).summary("id", "score", number=7) == {"id": 7, "score": None}
