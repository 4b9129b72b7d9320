"""What the model computes on the way to its outputs, caught by forward hooks."""

from __future__ import annotations

from collections import defaultdict
from types import TracebackType
from typing import Any

import torch
from torch import Tensor


class Recorder:
    """Inside the `with` block, `calls[name]` gets (inputs, output) of every call of the sub-module `name`."""

    def __init__(self, model: Any, names: list[str]):
        self.calls: dict[str, list[tuple[tuple[Any, ...], Any]]] = defaultdict(list)
        self._model = model
        self._names = [name for name in names if self._find(name) is not None]
        self._handles: list[Any] = []

    def _find(self, name: str) -> Any:
        try:
            return self._model.get_submodule(name)
        except AttributeError:
            return None

    def __enter__(self) -> Recorder:
        for name in self._names:
            module = self._model.get_submodule(name)
            self._handles.append(module.register_forward_hook(self._hook(name)))
        return self

    def _hook(self, name: str) -> Any:
        def keep(module: Any, inputs: tuple[Any, ...], output: Any) -> None:
            self.calls[name].append((inputs, output))

        return keep

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for handle in self._handles:
            handle.remove()

    def outputs(self, name: str) -> list[Any]:
        return [output for _, output in self.calls[name]]

    def per_image(self, name: str, images: list[Tensor]) -> list[tuple[Any, int]]:
        """For each image its (output, place in the batch), whatever the order and batching of the calls.

        `name` is a module whose first argument is a batch of images; `images` are (3, H, W) as they entered.
        """
        found = []
        for image in images:
            places = [
                (output, index)
                for inputs, output in self.calls[name]
                for index, seen in enumerate(inputs[0])
                if seen.shape == image.shape and torch.equal(seen, image)
            ]
            assert places, f"{name} never saw one of the {len(images)} images of the case"
            found.append(places[0])
        return found
