"""Reading the pickles of the RefCOCO family without running what is in them.

A pickle is a program. These hold lists, dictionaries, strings and numbers, so that is all that may be built: any other
name in the file stops the reading before it is looked up.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from importlib import import_module
from typing import Any

import numpy as np

from ...core.errors import UsageError

_BUILTINS = {"set": set, "frozenset": frozenset, "bytearray": bytearray}
_NUMPY_CORES = ("numpy.core.multiarray", "numpy._core.multiarray")


def _plain_dtype(*arguments: Any) -> np.dtype[Any]:
    dtype = np.dtype(*arguments)
    if dtype.kind not in "biufSU":
        raise pickle.UnpicklingError(f"the number type {dtype} is not allowed")
    return dtype


def _latin_bytes(text: Any, encoding: Any) -> bytes:
    # How protocol 2 writes bytes. Other codecs could expand a small text without bound.
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"the encoding {encoding!r} is not allowed")
    return text.encode("latin-1")


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module in ("builtins", "__builtin__") and name in _BUILTINS:
            return _BUILTINS[name]
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("_codecs", "encode"):
            return _latin_bytes
        if (module, name) == ("numpy", "dtype"):
            return _plain_dtype
        if (module, name) == ("numpy", "ndarray"):
            return np.ndarray
        if module in _NUMPY_CORES and name in ("scalar", "_reconstruct"):
            return getattr(import_module(_NUMPY_CORES[1]), name)
        raise pickle.UnpicklingError(f"the name {module}.{name} is not allowed; only plain containers and numbers are")


def load_plain_pickle(data: bytes, name: str) -> Any:
    """The containers, strings and numbers of a pickle of Python 2 or 3; `name` is for messages.

    Raises:
        ValueError: it holds anything else, or is truncated.
    """
    try:
        try:
            return _PlainUnpickler(io.BytesIO(data), encoding="utf-8").load()
        except UnicodeDecodeError:  # strings of Python 2 in another encoding
            return _PlainUnpickler(io.BytesIO(data), encoding="latin-1").load()
    except (pickle.UnpicklingError, EOFError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"`source`: {name} cannot be read as a pickle of plain data ({error})") from error
