"""Run a function as soon as a module has been imported, without importing it.

Registering a model with Transformers means to touch the modules that hold its registries, and importing those takes
more than a second. A user who only wants `UniRefConfig`, or `uniref --help`, should not pay for that, so registration
waits until somebody imports the registry.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Sequence
from types import ModuleType

AfterImport = Callable[[ModuleType], None]


class _NotifyingLoader(importlib.abc.Loader):
    """Loads a module with its own loader, then tells the listeners, once, in the order in which they came."""

    def __init__(self, loader: importlib.abc.Loader, listeners: dict[str, list[AfterImport]]) -> None:
        self.loader = loader
        self.listeners = listeners

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # From here on the module is its own loader's again: pickling, inspection and reloading see nothing of this.
        module.__loader__ = self.loader
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        self.loader.exec_module(module)
        for listener in self.listeners.pop(module.__name__, []):
            listener(module)


class _WaitingFinder(importlib.abc.MetaPathFinder):
    """Finds the awaited modules with the other finders and gives them the notifying loader."""

    def __init__(self) -> None:
        self.listeners: dict[str, list[AfterImport]] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in self.listeners:
            return None
        for finder in list(sys.meta_path):
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _NotifyingLoader(spec.loader, self.listeners)
                return spec
        return None


_finder = _WaitingFinder()


def after_import(module_name: str, listener: AfterImport) -> None:
    """Calls `listener(module)` once the named module is imported: at once if it already is, else on its first import.

    Args:
        module_name: absolute dotted name of a module; it is not imported here.
        listener: called with the module after its body has run. It should not import modules that may be half-way
            through their own import at that time.
    """
    module = sys.modules.get(module_name)
    if module is not None:
        listener(module)
        return
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    _finder.listeners.setdefault(module_name, []).append(listener)
