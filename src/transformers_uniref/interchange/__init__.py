"""Results in the formats of the tools around: to and from supervision, COCO, YouTube-VIS, CVAT, Label Studio, FiftyOne.

What the model found is first an `AnnotatedImage` or an `AnnotatedClip`; each format has one file with `to_...` and
`from_...`. Nothing here imports torch or a tool before it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .coco import from_coco, to_coco, to_coco_results
    from .cvat import from_cvat_images, from_cvat_video, to_cvat_images, to_cvat_video
    from .dataset_rows import from_dataset_row
    from .documents import read_document, save_document
    from .fiftyone_labels import from_fiftyone, to_fiftyone
    from .label_studio import from_label_studio, to_label_studio
    from .objects import AnnotatedClip, AnnotatedImage, AnnotatedObject
    from .results import clip_of, image_of
    from .supervision_detections import from_supervision, to_supervision
    from .youtube_vis import from_youtube_vis, to_youtube_vis, to_youtube_vis_results

_MODULE_OF = {
    "AnnotatedClip": "objects",
    "AnnotatedImage": "objects",
    "AnnotatedObject": "objects",
    "clip_of": "results",
    "from_coco": "coco",
    "from_cvat_images": "cvat",
    "from_cvat_video": "cvat",
    "from_dataset_row": "dataset_rows",
    "from_fiftyone": "fiftyone_labels",
    "from_label_studio": "label_studio",
    "from_supervision": "supervision_detections",
    "from_youtube_vis": "youtube_vis",
    "image_of": "results",
    "read_document": "documents",
    "save_document": "documents",
    "to_coco": "coco",
    "to_coco_results": "coco",
    "to_cvat_images": "cvat",
    "to_cvat_video": "cvat",
    "to_fiftyone": "fiftyone_labels",
    "to_label_studio": "label_studio",
    "to_supervision": "supervision_detections",
    "to_youtube_vis": "youtube_vis",
    "to_youtube_vis_results": "youtube_vis",
}

__all__ = [
    "AnnotatedClip",
    "AnnotatedImage",
    "AnnotatedObject",
    "clip_of",
    "from_coco",
    "from_cvat_images",
    "from_cvat_video",
    "from_dataset_row",
    "from_fiftyone",
    "from_label_studio",
    "from_supervision",
    "from_youtube_vis",
    "image_of",
    "read_document",
    "save_document",
    "to_coco",
    "to_coco_results",
    "to_cvat_images",
    "to_cvat_video",
    "to_fiftyone",
    "to_label_studio",
    "to_supervision",
    "to_youtube_vis",
    "to_youtube_vis_results",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
