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

_MODULES = {
    "coco": ("from_coco", "to_coco", "to_coco_results"),
    "cvat": ("from_cvat_images", "from_cvat_video", "to_cvat_images", "to_cvat_video"),
    "dataset_rows": ("from_dataset_row",),
    "documents": ("read_document", "save_document"),
    "fiftyone_labels": ("from_fiftyone", "to_fiftyone"),
    "label_studio": ("from_label_studio", "to_label_studio"),
    "objects": ("AnnotatedClip", "AnnotatedImage", "AnnotatedObject"),
    "results": ("clip_of", "image_of"),
    "supervision_detections": ("from_supervision", "to_supervision"),
    "youtube_vis": ("from_youtube_vis", "to_youtube_vis", "to_youtube_vis_results"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

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
