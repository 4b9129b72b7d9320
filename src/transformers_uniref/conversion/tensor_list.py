"""What a released checkpoint has to hold: the names and shapes of its tensors, and whether a file has them.

Each list is a text file of lines `NAME HEIGHTxWIDTHx... [optional]`; "-" is the shape of a scalar. Optional are
counters and index tables, which some versions of the libraries behind the released code save and others do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("tensor_lists")

_SOMETIMES_SAVED = ("text_encoder.embeddings.position_ids",)
"""Buffers of older releases of Transformers that no list has."""


@dataclass(frozen=True)
class ListedTensor:
    """One line of a list."""

    shape: tuple[int, ...]
    optional: bool


@cache
def tensor_list(name: str) -> dict[str, ListedTensor]:
    """The tensors of a list, in the order of the file; see `ReleasedWeights.tensor_list`."""
    listed = {}
    for line in (FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        tensor, shape, *marks = line.split()
        sizes = () if shape == "-" else tuple(int(size) for size in shape.split("x"))
        listed[tensor] = ListedTensor(sizes, "optional" in marks)
    return listed


def differences(state: Mapping[str, Any], name: str) -> str:
    """How a checkpoint, name to tensor or to anything with a `shape`, departs from a list; empty where it does not."""
    listed = tensor_list(name)
    missing = [key for key, entry in listed.items() if not entry.optional and key not in state]
    foreign = [key for key in state if key not in listed and key not in _SOMETIMES_SAVED]
    misshapen = [
        f"{key} {tuple(value.shape)} instead of {listed[key].shape}"
        for key, value in state.items()
        if key in listed and tuple(value.shape) != listed[key].shape
    ]
    return counted({"missing": missing, "that it should not have": foreign, "of other shapes": misshapen})


def counted(found: Mapping[str, list[str]]) -> str:
    """Tensors by what is wrong with them, in words: how many, and the first; empty where there are none."""
    return "; ".join(
        f"{len(names)} {what} ({names[0]}{', ...' if len(names) > 1 else ''})" for what, names in found.items() if names
    )
