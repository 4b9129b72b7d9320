"""What a model's name stands for: a folder, a bundled model, downloaded weights, or a repository of the Hub."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from .families import DEFAULT_CHECKPOINT
from .model_home import is_here, model_folder
from .released_models import RELEASED_BY_NAME, ReleasedWeights


class NotDownloadedError(OSError):
    """A model of the authors is asked for by its name and is not on this machine."""

    def __init__(self, weights: ReleasedWeights) -> None:
        self.weights = weights
        super().__init__(
            f"{weights.name} is not on this machine yet: uniref download {weights.name} (about {weights.megabytes} MB)"
        )


def bundled_checkpoints() -> dict[str, Path]:
    """Folders of the bundled models."""
    parent = DEFAULT_CHECKPOINT.parent
    return {folder.name: folder for folder in sorted(parent.glob("*")) if (folder / "config.json").is_file()}


def known_names() -> list[str]:
    """Every name that stands for a model: the bundled ones, then the released ones."""
    return [*bundled_checkpoints(), *RELEASED_BY_NAME]


def model_location(given: str) -> str:
    """Where a model lies.

    A folder of that name comes first, then a bundled model, then a downloaded one; a repository of that name in the
    cache of the Hub comes before a download that is missing. Whatever else was given is returned as it is (a Hub id).

    Raises:
        NotDownloadedError: the name of released weights that are not here.
    """
    if Path(given).is_dir():
        return given
    if (folder := bundled_checkpoints().get(given)) is not None:
        return str(folder)
    weights = RELEASED_BY_NAME.get(given)
    if weights is None:
        return given
    if is_here(given):
        return str(model_folder(given))
    if _is_in_the_hubs_cache(given):
        return given
    raise NotDownloadedError(weights)


def resolved(given: Any) -> Any:
    """`model_location` of a name that this package knows; anything else, a path object say, as it is."""
    return model_location(given) if isinstance(given, str) and is_name(given) else given


def is_name(given: str) -> bool:
    """Whether this package has a model of that name, bundled or released."""
    return given in RELEASED_BY_NAME or given in bundled_checkpoints()


def name_of(location: str | os.PathLike[str]) -> str:
    """The name under which a folder is known; else an empty string. What others are told instead of a path."""
    folder = Path(location)
    places = {name: path for name, path in bundled_checkpoints().items()}
    places |= {name: model_folder(name) for name in RELEASED_BY_NAME}
    if not folder.is_dir():
        return ""
    return next((name for name, path in places.items() if path.is_dir() and path.samefile(folder)), "")


def introduction(given: str | None) -> str | None:
    """What a bundled model is, and where better weights come from; None for any other model."""
    location = str(DEFAULT_CHECKPOINT) if given is None else given
    if not is_name(location) and not Path(location).is_dir():
        return None
    name = name_of(model_location(location))
    if name not in bundled_checkpoints():
        return None
    return (
        f"{name} is the bundled model: small, right about common things in plain view, often wrong about the rest. "
        "Larger weights, by the authors: uniref download uniref-pp-r50"
    )


def _is_in_the_hubs_cache(name: str) -> bool:
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(name, "config.json"), str)
