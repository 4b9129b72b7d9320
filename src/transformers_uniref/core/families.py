"""The models and tasks of this package by name, before any of their classes is imported."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

PACKAGE = __package__.rsplit(".", 1)[0]

DEFAULT_CHECKPOINT = Path(__file__).parent.parent / "checkpoints" / "uniref-pp"
"""The model that ships with the package; the default of every pipeline task."""

PIPELINE_CLASSES = {
    "referring-segmentation": "transformers_uniref.pipelines.referring_segmentation.ReferringSegmentationPipeline",
    "few-shot-segmentation": "transformers_uniref.pipelines.few_shot_segmentation.FewShotSegmentationPipeline",
    "referring-video-segmentation": (
        "transformers_uniref.pipelines.referring_video_segmentation.ReferringVideoSegmentationPipeline"
    ),
    "video-object-segmentation": (
        "transformers_uniref.pipelines.video_object_segmentation.VideoObjectSegmentationPipeline"
    ),
}
"""Task name to pipeline class, as a dotted path: the form in which Transformers keeps its own tasks."""


@dataclass(frozen=True)
class ModelFamily:
    """A model type: its configuration and model class, by module (relative to the package) and name."""

    model_type: str
    config_module: str
    config_name: str
    model_module: str
    model_name: str

    def config_class(self) -> type:
        return getattr(import_module(self.config_module, PACKAGE), self.config_name)

    def model_class(self) -> type:
        return getattr(import_module(self.model_module, PACKAGE), self.model_name)

    def is_config_class(self, key: Any) -> bool:
        """Whether `key` is the configuration class, told without importing it."""
        module = f"{PACKAGE}{self.config_module}"
        return getattr(key, "__module__", None) == module and getattr(key, "__name__", None) == self.config_name


MODEL_FAMILIES = (
    ModelFamily("uniref", ".modeling.configuration_uniref", "UniRefConfig", ".modeling.modeling_uniref", "UniRefModel"),
    ModelFamily(
        "uniref_sam",
        ".modeling.configuration_uniref_sam",
        "UniRefSamConfig",
        ".modeling.modeling_uniref_sam",
        "UniRefSamModel",
    ),
)

AUDIO_ENCODERS = (
    ModelFamily(
        "uniref_log_mel",
        ".modeling.audio_encoder",
        "LogMelEncoderConfig",
        ".modeling.audio_encoder",
        "LogMelEncoder",
    ),
)
"""Audio encoders of this package, for `AutoModel` and `audio_config`."""

BACKBONES = (
    ModelFamily(
        "efficientnet_lite",
        ".modeling.efficientnet_lite",
        "EfficientNetLiteConfig",
        ".modeling.efficientnet_lite",
        "EfficientNetLiteBackbone",
    ),
    ModelFamily(
        "uniref_twin_backbone",
        ".modeling.twin_backbone",
        "TwinBackboneConfig",
        ".modeling.twin_backbone",
        "TwinBackbone",
    ),
)
"""Visual encoders of this package, for `AutoBackbone` and `UniRefConfig.backbone_config`."""
