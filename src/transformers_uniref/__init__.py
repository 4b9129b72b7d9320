"""UniRef++ for Hugging Face Transformers: segment by a sentence, by an example mask, or by both, in images and videos.

Importing the package registers its model, processors and pipelines with Transformers, so that `AutoModel`,
`AutoProcessor` and `pipeline` know them. Everything named in `__all__` is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .core.moved_modules import keep_old_names
from .registration import register, resolve_names

if TYPE_CHECKING:
    from .core.version import __version__
    from .hub.push import push_to_hub
    from .modeling.configuration_uniref import UniRefConfig
    from .modeling.configuration_uniref_sam import UniRefSamConfig
    from .modeling.modeling_uniref import UniRefModel
    from .modeling.modeling_uniref_sam import UniRefSamModel, UniRefSamModelOutput
    from .modeling.outputs import UniRefModelOutput
    from .modeling.video.session import UniRefVideoSession, VideoOutput
    from .pipelines.few_shot_segmentation import FewShotSegmentationPipeline
    from .pipelines.referring_segmentation import ReferringSegmentationPipeline
    from .pipelines.referring_video_segmentation import ReferringVideoSegmentationPipeline
    from .pipelines.video_object_segmentation import VideoObjectSegmentationPipeline
    from .processors.image_processing_uniref import UniRefImageProcessorPil
    from .processors.image_processing_uniref_torchvision import UniRefImageProcessor
    from .processors.processing_uniref import UniRefProcessor

__all__ = [
    "FewShotSegmentationPipeline",
    "ReferringSegmentationPipeline",
    "ReferringVideoSegmentationPipeline",
    "UniRefConfig",
    "UniRefImageProcessor",
    "UniRefImageProcessorPil",
    "UniRefModel",
    "UniRefModelOutput",
    "UniRefProcessor",
    "UniRefSamConfig",
    "UniRefSamModel",
    "UniRefSamModelOutput",
    "UniRefVideoSession",
    "VideoObjectSegmentationPipeline",
    "VideoOutput",
    "__version__",
    "push_to_hub",
]

_MODULE_OF = {
    "__version__": ".core.version",
    "FewShotSegmentationPipeline": ".pipelines.few_shot_segmentation",
    "ReferringSegmentationPipeline": ".pipelines.referring_segmentation",
    "ReferringVideoSegmentationPipeline": ".pipelines.referring_video_segmentation",
    "UniRefConfig": ".modeling.configuration_uniref",
    "UniRefImageProcessorPil": ".processors.image_processing_uniref",
    "UniRefModel": ".modeling.modeling_uniref",
    "UniRefModelOutput": ".modeling.outputs",
    "UniRefProcessor": ".processors.processing_uniref",
    "UniRefSamConfig": ".modeling.configuration_uniref_sam",
    "UniRefSamModel": ".modeling.modeling_uniref_sam",
    "UniRefSamModelOutput": ".modeling.modeling_uniref_sam",
    "UniRefVideoSession": ".modeling.video.session",
    "VideoOutput": ".modeling.video.session",
    "VideoObjectSegmentationPipeline": ".pipelines.video_object_segmentation",
    "push_to_hub": ".hub.push",
}


def __getattr__(name: str) -> Any:
    if name == "UniRefImageProcessor":
        from .registration import preferred_image_processor_class

        value: Any = preferred_image_processor_class()
    elif name in _MODULE_OF:
        value = getattr(import_module(_MODULE_OF[name], __name__), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


keep_old_names()
register()
resolve_names()
