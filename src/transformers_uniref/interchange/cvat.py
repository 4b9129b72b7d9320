"""CVAT's own XML, version 1.1: "CVAT for images" and "CVAT for video", with masks as CVAT's run lengths.

A mask element holds the box around the mask (`left`, `top`, `width`, `height`) and in `rle` the lengths of the runs of
0, 1, 0, ... row by row within that box. https://docs.cvat.ai/docs/dataset_management/formats/xml_format/
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping
from typing import Any
from xml.etree import ElementTree

import numpy as np

from ..core.errors import KindError, UsageError
from ..core.mask_boxes import coco_box, window_of
from ..core.mask_codes import flat_runs, runs_to_flat
from .objects import AnnotatedClip, AnnotatedImage, AnnotatedObject
from .polygons import polygons_to_mask

_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MASK_FIELDS = ("rle", "left", "top", "width", "height")


def to_cvat_images(images: Iterable[AnnotatedImage], *, score_attribute: str | None = None) -> str:
    """The `annotations.xml` of "CVAT for images 1.1".

    CVAT finds a picture of the task by its name, so `AnnotatedImage.name` must be that of the task's file. It accepts
    labels that the task has; what the sentences are called there is the user's choice (`labels` of `image_of`).

    Args:
        images: pictures with their objects; objects without a pixel are left out. Later objects lie over earlier ones
            (`z_order`); an `object_id` becomes the shape's group.
        score_attribute: the name of an attribute of the task's labels that shall hold the score; None: scores are left
            out.

    Returns:
        The XML as text.

    Raises:
        ValueError: a picture without a name, or a name that XML cannot hold.

    Warns:
        UserWarning: a label has characters that XML cannot hold; blanks stand for them.
    """
    pictures = list(images)
    root = _document(pictures, "annotation", len(pictures), None)
    for number, picture in enumerate(pictures):
        if not picture.name:
            raise UsageError("`images` must have names: CVAT finds the pictures of a task by them.")
        height, width = picture.size
        element = ElementTree.SubElement(
            root, "image", id=str(number), name=_checked(picture.name, "name"), width=str(width), height=str(height)
        )
        for order, entry in enumerate(picture.found()):
            fields = {"label": _label(entry), "source": _source(entry), "occluded": "0"}
            if entry.object_id is not None:
                fields["group_id"] = str(entry.object_id)
            fields |= {**_mask_fields(entry.mask), "z_order": str(order)}
            shape = ElementTree.SubElement(element, "mask", fields)
            _add_score(shape, entry, score_attribute)
    return _text(root)


def to_cvat_video(clip: AnnotatedClip, *, score_attribute: str | None = None) -> str:
    """The `annotations.xml` of "CVAT for video 1.1".

    CVAT has no tracks of masks: it writes each mask as a track of one frame, and of a track that it reads keeps the
    first mask alone. So it is done here; an object's id is the group of its masks.

    Args:
        clip: frames with their objects, in the order of the task's frames.
        score_attribute: see `to_cvat_images`.

    Returns:
        The XML as text.
    """
    root = _document(clip.frames, "interpolation", len(clip.frames), clip)
    count = 0
    for number, track in clip.tracks().items():
        for frame, entry in track.items():
            element = ElementTree.SubElement(
                root, "track", id=str(count), label=_label(entry), source=_source(entry), group_id=str(number)
            )
            count += 1
            # The second shape says that the first ends; in the last frame there is no need to.
            for index in range(frame, min(frame + 2, len(clip.frames))):
                fields = {"frame": str(index), "outside": str(int(index != frame)), "occluded": "0", "keyframe": "1"}
                fields |= {**_mask_fields(entry.mask), "z_order": str(number)}
                shape = ElementTree.SubElement(element, "mask", fields)
                _add_score(shape, entry, score_attribute)
    return _text(root)


def from_cvat_images(document: str) -> list[AnnotatedImage]:
    """The pictures of a "CVAT for images" export.

    Args:
        document: the XML as text. Masks and polygons become objects (polygons need pycocotools), the parts of a group
            keep its number as `object_id`; other shapes are left out.

    Raises:
        ValueError: no such XML, or a mask that contradicts itself.
    """
    images = []
    for element in _parsed(document).iter("image"):
        size = (int(element.attrib["height"]), int(element.attrib["width"]))
        shapes = sorted(element, key=lambda shape: int(shape.attrib.get("z_order", 0)))
        masks = [(shape, _mask_of(shape, size)) for shape in shapes]
        objects = [
            AnnotatedObject(mask, shape.attrib["label"], object_id=int(shape.attrib.get("group_id", 0)) or None)
            for shape, mask in masks
            if mask is not None
        ]
        images.append(AnnotatedImage(size, objects, element.attrib.get("name", ""), int(element.attrib["id"])))
    return images


def from_cvat_video(document: str) -> AnnotatedClip:
    """The clip of a "CVAT for video" export.

    Args:
        document: the XML as text. The masks and polygons of a group are one object with the group's number; a track
            without a group is one object. Frames between key frames are not interpolated.

    Raises:
        ValueError: no such XML, one that does not say the frames' number and size, or a mask that contradicts itself.
    """
    root = _parsed(document)
    described = {name: root.find(f".//{name}") for name in ("size", "original_size/width", "original_size/height")}
    values = {name: None if found is None else found.text for name, found in described.items()}
    if None in values.values():
        raise UsageError("`document` must be CVAT for video: it lacks the number of frames or their original size.")
    count = int(values["size"] or 0)
    size = (int(values["original_size/height"] or 0), int(values["original_size/width"] or 0))
    groups = [int(track.attrib.get("group_id", 0)) for track in root.iter("track")]
    free = max(groups, default=0)
    merged: list[dict[int, AnnotatedObject]] = [{} for _ in range(count)]
    for track, group in zip(root.iter("track"), groups, strict=True):
        free += not group
        number = group or free
        for shape in track:
            mask = None if shape.attrib.get("outside") == "1" else _mask_of(shape, size)
            if mask is None:
                continue
            frame = int(shape.attrib["frame"])
            if not 0 <= frame < count:
                raise UsageError(f"`document` has a shape in frame {frame} of {count} frames.")
            known = merged[frame].get(number)
            merged[frame][number] = AnnotatedObject(
                mask if known is None else mask | known.mask, track.attrib["label"], object_id=number
            )
    name = root.find(".//task/name")
    frames = [
        AnnotatedImage(size, list(objects.values()), f"frame_{index:06d}") for index, objects in enumerate(merged)
    ]
    return AnnotatedClip(frames, "" if name is None or name.text is None else name.text)


# ------------------------------------------------------------------------------------------------------------- writing
def _document(
    frames: Iterable[AnnotatedImage], mode: str, count: int, clip: AnnotatedClip | None
) -> ElementTree.Element:
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    task = ElementTree.SubElement(ElementTree.SubElement(root, "meta"), "task")
    for tag, text in (
        ("name", "" if clip is None else _checked(clip.name, "name")),
        ("size", str(count)),
        ("mode", mode),
    ):
        ElementTree.SubElement(task, tag).text = text
    labels = ElementTree.SubElement(task, "labels")
    for label in dict.fromkeys(_label(entry) for frame in frames for entry in frame.found()):
        element = ElementTree.SubElement(labels, "label")
        ElementTree.SubElement(element, "name").text = label
        ElementTree.SubElement(element, "type").text = "mask"
    if clip is not None:
        original = ElementTree.SubElement(task, "original_size")
        ElementTree.SubElement(original, "width").text = str(clip.size[1])
        ElementTree.SubElement(original, "height").text = str(clip.size[0])
    return root


def _text(root: ElementTree.Element) -> str:
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _label(entry: AnnotatedObject) -> str:
    """A label as XML can hold it: blanks for control characters, which captions have now and then."""
    label = _NOT_IN_XML.sub(" ", entry.label)
    if label != entry.label:
        warnings.warn(
            f"the label {entry.label!r} has control characters, which XML cannot hold; now {label!r}", stacklevel=4
        )
    return label


def _checked(text: str, name: str) -> str:
    """A name, by which things are found and which therefore cannot be changed."""
    if _NOT_IN_XML.search(text):
        raise UsageError(f"`{name}` must not have control characters, which XML cannot hold, got {text!r}.")
    return text


def _source(entry: AnnotatedObject) -> str:
    return "manual" if entry.score is None else "auto"


def _add_score(shape: ElementTree.Element, entry: AnnotatedObject, name: str | None) -> None:
    if name is not None and entry.score is not None:
        ElementTree.SubElement(shape, "attribute", name=_checked(name, "score_attribute")).text = f"{entry.score:.4f}"


def _mask_fields(mask: np.ndarray) -> dict[str, str]:
    """A non-empty mask as the attributes of a `mask` element."""
    runs = ", ".join(str(run) for run in flat_runs(mask[window_of(mask)].ravel()))
    return {"rle": runs, **dict(zip(_MASK_FIELDS[1:], map(str, coco_box(mask)), strict=True))}


# ------------------------------------------------------------------------------------------------------------- reading
def _parsed(document: str) -> ElementTree.Element:
    if not isinstance(document, str):
        raise KindError(f"`document` must be the XML as text, got {type(document).__name__}.")
    # Entities could make a small file grow without limit; CVAT writes none.
    if "<!DOCTYPE" in document or "<!ENTITY" in document:
        raise UsageError("`document` declares a document type, which CVAT's files never do; it is not read.")
    try:
        root = ElementTree.fromstring(document.encode("utf-8"))
    except ElementTree.ParseError as error:
        raise UsageError(f"`document` is no XML ({error}).") from error
    if root.tag != "annotations":
        raise UsageError(f"`document` must have the root element `annotations`, got `{root.tag}`.")
    return root


def _mask_of(shape: ElementTree.Element, size: tuple[int, int]) -> np.ndarray | None:
    """A mask or polygon element as bool (H, W); None for other shapes."""
    if shape.tag == "polygon":
        corners = [float(value) for pair in shape.attrib["points"].split(";") for value in pair.split(",")]
        return polygons_to_mask([corners], size)
    if shape.tag != "mask":
        return None
    fields: Mapping[str, Any] = shape.attrib
    left, top, width, height = (int(fields[name]) for name in _MASK_FIELDS[1:])
    runs = [int(run) for run in fields["rle"].split(",")]
    if left < 0 or top < 0 or left + width > size[1] or top + height > size[0]:
        raise UsageError(f"`document` has a mask that leaves its picture of size {size}.")
    mask = np.zeros(size, dtype=bool)
    mask[top : top + height, left : left + width] = runs_to_flat(runs, width * height).reshape(height, width)
    return mask
