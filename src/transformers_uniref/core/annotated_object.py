"""An object with its mask in a picture or frame: found by a model, annotated by hand, or read from a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from .errors import KindError, UsageError
from .mask_boxes import box_of
from .mask_codes import encode_rle

DEFAULT_LABEL = "object"
"""What an object is called whose sentence is not known, for instance one that was given by a mask."""


@dataclass(frozen=True, eq=False)
class AnnotatedObject:
    """One object in one picture or frame.

    Attributes:
        mask: bool (H, W); may be empty.
        label: a sentence or a class.
        score: 0 to 1; None: unknown, or annotated by hand.
        box: x0, y0, x1, y1 in pixels, the upper ends exclusive; None: the box around the mask.
        object_id: 1 or more, the same in all frames of a clip; None: unknown.
    """

    mask: np.ndarray
    label: str = DEFAULT_LABEL
    score: float | None = None
    box: tuple[float, float, float, float] | None = None
    object_id: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.mask, np.ndarray) or self.mask.ndim != 2 or self.mask.dtype != np.bool_:
            kind = f"{getattr(self.mask, 'dtype', type(self.mask).__name__)} {getattr(self.mask, 'shape', '')}".strip()
            raise UsageError(f"`mask` must be a bool array (height, width), got {kind}.")
        make_plain(self, score=number, object_id=whole_number)
        if self.box is not None:
            x0, y0, x1, y1 = (float(value) for value in self.box)
            object.__setattr__(self, "box", (x0, y0, x1, y1))
        if self.score is not None and not 0 <= self.score <= 1:
            raise UsageError(f"`score` must be between 0 and 1, got {self.score}.")
        if self.object_id is not None and self.object_id < 1:
            raise UsageError(f"`object_id` must be 1 or more, got {self.object_id}.")

    @property
    def is_found(self) -> bool:
        """Whether the mask has a pixel."""
        return bool(self.mask.any())

    @property
    def area(self) -> int:
        """Pixels of the mask."""
        return int(self.mask.sum())

    @property
    def corners(self) -> tuple[float, float, float, float]:
        """The box, given or around the mask; zeros for an empty mask without one."""
        return self.tight_corners if self.box is None else self.box

    @property
    def tight_corners(self) -> tuple[float, float, float, float]:
        """The box around the mask; zeros where it is empty."""
        x0, y0, x1, y1 = box_of(self.mask)
        return float(x0), float(y0), float(x1), float(y1)

    def run_length_code(self) -> dict[str, Any]:
        """The mask as `pycocotools.mask.decode` reads it."""
        return encode_rle(self.mask)


Object = TypeVar("Object", bound=AnnotatedObject)


def numbered(objects: Iterable[Object]) -> list[tuple[int, Object]]:
    """(number, object): object ids where there are any, else places from 1."""
    return [(entry.object_id or place, entry) for place, entry in enumerate(objects, start=1)]


def number(value: Any, name: str) -> float | None:
    """A number of Python, NumPy or PyTorch (also an array of one) as Python's; None stays.

    Raises:
        TypeError: it is no number.
    """
    try:
        return None if value is None else float(value.item() if hasattr(value, "item") else value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise KindError(f"`{name}` must be a number, got {value!r}.") from error


def whole_number(value: Any, name: str) -> int | None:
    """The same for whole numbers; a text, which some files have for ids, stays.

    Raises:
        TypeError: it is no whole number.
    """
    found = value if isinstance(value, str) else number(value, name)
    if not isinstance(found, float):
        return found  # type: ignore[return-value]
    if not found.is_integer():
        raise KindError(f"`{name}` must be a whole number, got {value!r}.")
    return int(found)


def make_plain(entry: Any, **kinds: Callable[[Any, str], Any]) -> None:
    """Puts what each kind makes of them in the place of some attributes of a frozen dataclass."""
    for name, kind in kinds.items():
        object.__setattr__(entry, name, kind(getattr(entry, name), name))
