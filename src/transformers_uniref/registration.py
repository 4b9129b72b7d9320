"""What `import transformers_uniref` tells Transformers: config, model, processors and pipelines.

The registries of Transformers want classes, and importing a model class costs more than a second. Their entries are
therefore deferred twice: they are added when the module that holds the registry is imported (`import_hooks`), and each
holds a function that imports the class when the entry is looked up. The second step also keeps import cycles out: a
registry is often imported by the very module whose class would have to be registered in it.

It also makes the names of this package's models known. Transformers has no place where a package could add a name, so
`from_pretrained` of the `Auto` classes is wrapped: a name that `core.model_names` knows becomes the folder it stands
for, everything else passes untouched. Only public classes and functions are involved, and each wrapper calls the
original with whatever arguments it was given, so that a version of Transformers with other arguments changes nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import eq
from types import ModuleType
from typing import Any

from .core.families import AUDIO_ENCODERS, BACKBONES, DEFAULT_CHECKPOINT, MODEL_FAMILIES, PIPELINE_CLASSES, ModelFamily
from .core.import_hooks import after_import


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
        for family in (*MODEL_FAMILIES, *AUDIO_ENCODERS, *BACKBONES)
    ]
    module.CONFIG_MAPPING._extra_content = DeferredEntries(module.CONFIG_MAPPING._extra_content, entries)


def _add_models(module: ModuleType) -> None:
    _defer("MODEL_MAPPING", ModelFamily.model_class, (*MODEL_FAMILIES, *AUDIO_ENCODERS))(module)
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
    after_import(f"{__package__}.core.sharing", lambda sharing: sharing.push_by(_push))


def _push(shared: Any, repo_id: str, **options: Any) -> Any:
    from .hub.push import push_to_hub

    return push_to_hub(shared, repo_id, **options)


AUTO_CLASSES = {
    "transformers.models.auto.configuration_auto": "AutoConfig",
    "transformers.models.auto.modeling_auto": "AutoModel",
    "transformers.models.auto.processing_auto": "AutoProcessor",
    "transformers.models.auto.image_processing_auto": "AutoImageProcessor",
    "transformers.models.auto.tokenization_auto": "AutoTokenizer",
}
"""Module to class; each is wrapped when its module has been imported."""


def resolve_names() -> None:
    """Wraps the classes of `AUTO_CLASSES`, now or when they are imported."""
    for module, name in AUTO_CLASSES.items():
        after_import(module, functools.partial(_wrap_class, name))
    after_import("transformers.pipelines", _wrap_adapter_search)


def _wrap_class(name: str, module: ModuleType) -> None:
    auto_class = getattr(module, name)
    original: Callable[..., Any] = auto_class.from_pretrained.__func__

    @functools.wraps(original)
    def from_pretrained(cls: type, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        return original(cls, _resolved(pretrained_model_name_or_path), *args, **kwargs)

    auto_class.from_pretrained = classmethod(from_pretrained)


def _resolved(given: Any) -> Any:
    from .core.model_names import resolved  # not before somebody loads a model

    return resolved(given)


def _wrap_adapter_search(module: ModuleType) -> None:
    """Before `pipeline` asks an `Auto` class it looks for an adapter of that name, on the Hub if need be."""
    original: Callable[..., Any] | None = getattr(module, "find_adapter_config_file", None)
    if original is None:
        return  # a version that does not look

    @functools.wraps(original)
    def find_adapter_config_file(model_id: Any, *args: Any, **kwargs: Any) -> Any:
        return original(_resolved(model_id), *args, **kwargs)

    module.find_adapter_config_file = find_adapter_config_file  # type: ignore[attr-defined]
