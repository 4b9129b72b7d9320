"""Makes the names of this package's models known to `AutoModel`, its relatives, and `pipeline`.

Transformers has no place where a package could add a name, so `from_pretrained` of the `Auto` classes is wrapped: a
name that `names.resolved` knows becomes the folder it stands for, everything else passes untouched. Only public classes
and functions are involved, and each wrapper calls the original with whatever arguments it was given, so that a version
of Transformers with other arguments changes nothing here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

from ..import_hooks import after_import

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
    from .names import resolved  # not before somebody loads a model

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
