"""Packages that are only needed for part of the work, imported where they are used."""

from __future__ import annotations

import importlib
from types import ModuleType

from .errors import MistakeError


class MissingExtraError(MistakeError, ImportError):
    """An optional package is needed and not installed; the message names the extra that brings it."""


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Imports an optional package.

    Args:
        module: name of the module, such as "av".
        extra: the extra of this package that installs it, such as "video".
        purpose: what it is needed for, as the subject of a sentence: "reading video files".

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise missing_extra(module, extra, purpose, error) from error


def missing_extra(module: str, extra: str, purpose: str, error: ImportError) -> MissingExtraError:
    """What `require` raises, for modules that cannot do without a package and import it at their top."""
    return MissingExtraError(
        f'{purpose} needs the package {module}: pip install "transformers-uniref[{extra}]" ({error})', name=module
    )
