"""Which size a picture gets on its way into the network: resizing and padding rules, shared by both image backends."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..core.errors import UsageError

_RULES = "{'shortest_edge', 'longest_edge'}, {'shortest_edge'}, {'longest_edge'} or {'height', 'width'}"


def resized_size(height: int, width: int, size: Mapping[str, int] | Any, name: str = "size") -> tuple[int, int]:
    """(height, width) after resizing.

    The short side gets `shortest_edge` pixels unless the long side would exceed `longest_edge`; then that decides.
    A new side is int(side * scale + 0.5), and never less than one pixel. `name` is what an error calls the rule.

    Raises:
        ValueError: `size` has other keys, or values below 1.
    """
    rule = {key: value for key, value in dict(size).items() if value is not None}
    if not rule or any(not isinstance(value, int) or value < 1 for value in rule.values()):
        raise UsageError(f"`{name}` must hold positive integers under {_RULES}, got {rule}.")
    if rule.keys() == {"height", "width"}:
        return rule["height"], rule["width"]
    if not rule.keys() <= {"shortest_edge", "longest_edge"}:
        raise UsageError(f"`{name}` must have the keys {_RULES}, got {sorted(rule)}.")
    new_height, new_width = float(height), float(width)
    if "shortest_edge" in rule:
        scale = rule["shortest_edge"] / min(height, width)
        new_height, new_width = height * scale, width * scale
    longest = rule.get("longest_edge")
    if longest is not None and (max(new_height, new_width) > longest or "shortest_edge" not in rule):
        scale = longest / max(new_height, new_width)
        new_height, new_width = new_height * scale, new_width * scale
    return max(1, int(new_height + 0.5)), max(1, int(new_width + 0.5))


def limited_size(height: int, width: int, size: Mapping[str, int] | Any, enlarged_to: Any = None) -> tuple[int, int]:
    """(height, width) after resizing by `size`; a picture that it enlarges gets no larger than `enlarged_to` makes it.

    Where that rule would reduce the picture, it keeps its size. Larger and smaller are told by the number of pixels.

    Raises:
        ValueError: as `resized_size`, for either rule.
    """
    wanted = resized_size(height, width, size)
    if enlarged_to is None:
        return wanted
    limit = max((height, width), resized_size(height, width, enlarged_to, "enlarged_to"), key=math.prod)
    return wanted if math.prod(wanted) <= height * width else min(wanted, limit, key=math.prod)


def padded_size(
    sizes: Sequence[tuple[int, int]], divisor: int | None, pad_size: Mapping[str, int] | Any | None = None
) -> tuple[int, int]:
    """The common (height, width) of a batch: `pad_size`, else the largest of each, then up to a multiple of `divisor`.

    Raises:
        ValueError: `pad_size` is smaller than a picture.
    """
    height, width = max(size[0] for size in sizes), max(size[1] for size in sizes)
    if pad_size is not None:
        if pad_size["height"] < height or pad_size["width"] < width:
            raise UsageError(
                f"`pad_size` must be at least the largest picture, {height} x {width}, got "
                f"{pad_size['height']} x {pad_size['width']}."
            )
        height, width = pad_size["height"], pad_size["width"]
    step = divisor or 1
    return -(-height // step) * step, -(-width // step) * step
