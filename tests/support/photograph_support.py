"""Small folders of "photographs": coloured shapes on noise, annotated as COCO and as ADE20K annotate."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as codes

CLASSES = {1: "person", 2: "dog", 3: "cat", 4: "car", 5: "pizza"}
PAINT = {1: (210, 160, 130), 2: (120, 70, 30), 3: (40, 40, 40), 4: (200, 20, 20), 5: (240, 200, 40)}
SCENES = ("wall", "sky", "tree", "chair", "sea")


def write_coco(folder: Path, pictures: int = 20, seed: int = 0) -> Path:
    """Two to four rectangles a picture, of one to three classes; run-length codes and polygons in turn."""
    generator = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    images, annotations, captions = [], [], {}
    for number in range(pictures):
        height, width = (96, 128) if number % 2 else (128, 96)
        canvas = generator.integers(120, 136, (height, width, 3), np.uint8)
        taken = np.zeros((height, width), bool)
        names = []
        # The last one shows nothing that anybody has labelled.
        for _ in range(int(generator.integers(2, 5)) if number < pictures - 1 else 0):
            kind = int(generator.integers(1, 4)) if number % 3 else 2
            high, wide = (int(v) for v in generator.integers(14, 36, 2))
            top, left = int(generator.integers(0, height - high)), int(generator.integers(0, width - wide))
            if taken[top : top + high, left : left + wide].any():
                continue
            mask = np.zeros((height, width), bool)
            mask[top : top + high, left : left + wide] = True
            taken |= mask
            canvas[mask] = PAINT[kind]
            names.append(kind)
            if len(annotations) % 2:
                segmentation: object = [[left, top, left + wide, top, left + wide, top + high, left, top + high]]
            else:
                code = codes.encode(np.asfortranarray(mask.astype(np.uint8)))
                segmentation = {"size": [height, width], "counts": code["counts"].decode()}
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": kind,
                    "segmentation": segmentation,
                    "area": high * wide,
                    "bbox": [left, top, wide, high],
                    "iscrowd": 0,
                }
            )
        file_name = f"{number:06d}.jpg"
        Image.fromarray(canvas).save(folder / "images" / file_name, quality=95)
        images.append({"id": number, "file_name": file_name, "width": width, "height": height})
        if names.count(2) == 1:
            captions[str(number)] = [
                "A brown dog on the left of a grey field.",
                "the dog stands on a grey field",
                "A field with a dog on it.",
            ]
    document = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": key, "name": name} for key, name in CLASSES.items()],
    }
    (folder / "instances.json").write_text(json.dumps(document))
    (folder / "captions.json").write_text(json.dumps(captions))
    return folder


def write_ade(folder: Path, pictures: int = 8, seed: int = 1) -> Path:
    """Sky above a wall, a tree or two chairs before it; the last class shows nowhere."""
    generator = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    colours = np.array([(90, 90, 90), (200, 180, 160), (120, 170, 240), (30, 120, 30), (130, 60, 20)], np.uint8)
    for number in range(pictures):
        labels = np.ones((96, 120), np.uint8)
        labels[:30] = 2
        if number % 2:
            labels[20:80, 40:60] = 3
        else:
            labels[60:80, 10:30] = 4
            labels[60:80, 80:110] = 4
        labels[90:] = 0
        canvas = colours[labels] + generator.integers(0, 8, (96, 120, 3), np.uint8)
        Image.fromarray(canvas).save(folder / "images" / f"scene_{number:03d}.jpg", quality=95)
        Image.fromarray(labels).save(folder / "labels" / f"scene_{number:03d}.png")
    (folder / "names.json").write_text(json.dumps({number: name for number, name in enumerate(SCENES, start=1)}))
    return folder
