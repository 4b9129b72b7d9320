"""What `import transformers_uniref` tells Transformers: config, model, processors and pipelines.

The registries of Transformers want classes, and importing a model class costs more than a second. Their entries are
therefore deferred twice: they are added when the module that holds the registry is imported (`import_hooks`), and each
holds a function that imports the class when the entry is looked up. The second step also keeps import cycles out: a
registry is often imported by the very module whose class would have to be registered in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from operator import eq
from pathlib import Path
from types import ModuleType
from typing import Any

from .import_hooks import after_import

DEFAULT_CHECKPOINT = Path(__file__).parent / "checkpoints" / "uniref-pp"
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
class DeferredEntry:
    """One entry of a registry whose key and value are imported when they are needed.

    Args:
        is_key: tells from a key alone, without importing anything, whether this entry is meant.
        key: returns the key.
        value: returns the value.
    """

    is_key: Callable[[Any], bool]
    key: Callable[[], Any]
    value: Callable[[], Any]


class DeferredEntries(MutableMapping[Any, Any]):
    """The user-registered part of a Transformers registry, with deferred entries among the ordinary ones.

    An entry that is set later under the same key wins, as in a plain dictionary.
    """

    def __init__(self, present: dict[Any, Any], deferred: list[DeferredEntry]) -> None:
        self.present = present
        self.deferred = deferred

    def _find(self, key: Any) -> DeferredEntry | None:
        return next((entry for entry in self.deferred if entry.is_key(key)), None)

    def __getitem__(self, key: Any) -> Any:
        if key not in self.present:
            entry = self._find(key)
            if entry is None:
                raise KeyError(key)
            self.present[key] = entry.value()
            self.deferred = [other for other in self.deferred if other is not entry]
        return self.present[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        del self[key]
        self.present[key] = value

    def __delitem__(self, key: Any) -> None:
        self.present.pop(key, None)
        self.deferred = [entry for entry in self.deferred if not entry.is_key(key)]

    def __contains__(self, key: object) -> bool:
        return key in self.present or self._find(key) is not None

    def __iter__(self) -> Iterator[Any]:
        return iter([*self.present, *(entry.key() for entry in self.deferred)])

    def __len__(self) -> int:
        return len(self.present) + len(self.deferred)


@dataclass(frozen=True)
class ModelFamily:
    """A model type: its configuration and model class, by module (relative to the package) and name."""

    model_type: str
    config_module: str
    config_name: str
    model_module: str
    model_name: str

    def config_class(self) -> type:
        return getattr(import_module(self.config_module, __package__), self.config_name)

    def model_class(self) -> type:
        return getattr(import_module(self.model_module, __package__), self.model_name)

    def is_config_class(self, key: Any) -> bool:
        """Whether `key` is the configuration class, told without importing it."""
        module = f"{__package__}{self.config_module}"
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


def _processor_class_of(family: ModelFamily) -> type:
    from .processors.processing_uniref import UniRefProcessor

    return UniRefProcessor


def _image_processor_classes() -> dict[str, type]:
    """Image processor classes by backend; the torchvision one only where torchvision is installed."""
    from transformers.utils import is_torchvision_available

    from .processors.image_processing_uniref import UniRefImageProcessorPil

    classes: dict[str, type] = {"pil": UniRefImageProcessorPil}
    if is_torchvision_available():
        from .processors.image_processing_uniref_torchvision import UniRefImageProcessor

        classes["torchvision"] = UniRefImageProcessor
    return classes


def _image_processor_classes_of(family: ModelFamily) -> dict[str, type]:
    return _image_processor_classes()


def preferred_image_processor_class() -> type:
    """Returns the torchvision image processor where torchvision is installed, else the Pillow one."""
    classes = _image_processor_classes()
    return classes.get("torchvision", classes["pil"])


def _defer(
    registry_name: str, value: Callable[[ModelFamily], Any], families: Sequence[ModelFamily] = MODEL_FAMILIES
) -> Callable[[ModuleType], None]:
    """Returns a listener that adds config class -> `value` of every family to the registry in the imported module."""

    def listener(module: ModuleType) -> None:
        registry = getattr(module, registry_name)
        entries = [
            DeferredEntry(is_key=family.is_config_class, key=family.config_class, value=partial(value, family))
            for family in families
        ]
        registry._extra_content = DeferredEntries(registry._extra_content, entries)

    return listener


def _add_config(module: ModuleType) -> None:
    entries = [
        DeferredEntry(
            is_key=partial(eq, family.model_type), key=partial(str, family.model_type), value=family.config_class
        )
        for family in (*MODEL_FAMILIES, *BACKBONES)
    ]
    module.CONFIG_MAPPING._extra_content = DeferredEntries(module.CONFIG_MAPPING._extra_content, entries)


def _add_models(module: ModuleType) -> None:
    _defer("MODEL_MAPPING", ModelFamily.model_class)(module)
    _defer("MODEL_FOR_BACKBONE_MAPPING", ModelFamily.model_class, BACKBONES)(module)


def _add_pipelines(module: ModuleType) -> None:
    # `register_pipeline` would want the classes here and would make `Pipeline.save_pretrained` write the package's own
    # tasks into the config as code that is to be downloaded; the table itself takes dotted paths.
    for task, path in PIPELINE_CLASSES.items():
        module.PIPELINE_REGISTRY.supported_tasks[task] = {
            "impl": path,
            "pt": (module.AutoModel,),
            "default": {"model": (str(DEFAULT_CHECKPOINT), None)},
            "type": "multimodal",
        }


def register() -> None:
    """Makes the package known to `AutoConfig`, `AutoModel`, `AutoImageProcessor`, `AutoProcessor` and `pipeline`.

    Imports nothing of Transformers by itself; what is not imported yet is completed when it is.
    """
    auto = "transformers.models.auto"
    after_import(f"{auto}.configuration_auto", _add_config)
    after_import(f"{auto}.modeling_auto", _add_models)
    after_import(f"{auto}.image_processing_auto", _defer("IMAGE_PROCESSOR_MAPPING", _image_processor_classes_of))
    after_import(f"{auto}.processing_auto", _defer("PROCESSOR_MAPPING", _processor_class_of))
    after_import("transformers.pipelines", _add_pipelines)
