"""Modules that have moved keep their old names: importing one gives the module itself at its new place.

Code, notebooks and Spaces that were written for an earlier release go on working. Nothing in this package uses an old
name.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

PACKAGE = "transformers_uniref"

MOVED = {
    "app": "frontends.app",
    "bundled": "core.model_names",
    "cli": "frontends.cli",
    "conversion.names": "core.model_names",
    "data": "worlds",
    "data.converters": "datasets.converters",
    "data.mask_codes": "core.mask_codes",
    "data.push": "datasets.push",
    "data.schema": "datasets.schema",
    "data.photoworld": "worlds.photo.world",
    "data.world": "worlds.drawn.world",
    "data.world_datasets": "worlds.drawn.datasets",
    "frontends.app.model_shelf": "frontends.app.model_cache",
    "hub.conversion": "conversion.converter",
    "hub.sam_plug_in": "conversion.sam_plug_in",
    "media.clip_rendering": "media.clips.rendering",
    "media.video_frames": "media.video.frames",
    "media.video_io": "media.video.io",
    "modeling.video_propagation": "modeling.video.propagation",
    "modeling.video_references": "modeling.video.references",
    "modeling.video_session": "modeling.video.session",
    "modeling.video_state": "modeling.video.state",
    "processors.mask_reading": "core.mask_reading",
    "processors.video_frames": "media.video.frames",
    "refinement": "inference.refinement",
    "training.collation": "training.data.collation",
    "training.config_data": "training.config.data",
    "training.initial_model": "training.model.initial_model",
    "training.initialisation": "training.model.initialisation",
    "training.mixture_feed": "training.data.mixture_feed",
    "training.model_factory": "training.model.factory",
    "training.recipes": "training.config.recipes",
    "training.start_weights": "training.model.start_weights",
    "training.text_exchange": "training.model.text_exchange",
    "training.tokenizer": "training.model.tokenizer",
}
"""The old name of each module that documentation named, or of the package it was in, without that of this package."""


def new_name(name: str) -> str | None:
    """Where a module is now, or None for a name that is not an old one.

    Args:
        name: absolute and dotted.
    """
    root, _, rest = name.partition(".")
    if root != PACKAGE:
        return None
    parts = rest.split(".")
    for length in range(len(parts), 0, -1):
        place = MOVED.get(".".join(parts[:length]))
        if place is not None:
            return ".".join([PACKAGE, place, *parts[length:]])
    return None


class _MovedFinder(MetaPathFinder, Loader):
    """Finds old names before the path of a moved package can find its files under them a second time."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        place = new_name(fullname)
        return None if place is None else ModuleSpec(fullname, self, loader_state=place)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(spec.loader_state)
        # The import system is about to write the old name's spec into the module.
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__ = module.__spec__.loader_state


def keep_old_names() -> None:
    """From now on old names can be imported."""
    if not any(isinstance(finder, _MovedFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _MovedFinder())
