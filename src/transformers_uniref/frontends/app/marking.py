"""How an object is marked in a picture: painted over, clicked on, boxed, or given as a mask file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...media.overlays import overlay_masks
from ..errors import UserError
from .clicks import clicked, clicked_mask, draw_clicks
from .drawn_masks import drawn_mask, is_drawn
from .limits import EDITOR_SIDE
from .mask_files import read_mask_file
from .uploads import fitted

PAINT, CLICK, BOX, FILE = "paint", "click", "box", "mask file"
WAYS = {"painting": PAINT, "clicking": CLICK, "a box": BOX, "a mask file": FILE}
"""What the page calls the ways, and their names."""

ORIGINS = {PAINT: "drawn", CLICK: "clicked", BOX: "boxed", FILE: "mask file"}
"""What legends call objects that were marked so."""


@dataclass(frozen=True)
class Marking:
    """What a user did to mark an object.

    Attributes:
        way: one of the values of `WAYS`; what was done in another way does not count.
        editor: value of the image editor.
        clicks: text of the points or of the box, see `clicks`.
        file: path of the mask file.
        number: the object of a mask file that holds several; "" or None for all.
    """

    way: str = PAINT
    editor: Mapping[str, Any] | None = None
    clicks: str | None = None
    file: str | None = None
    number: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing was marked yet in the chosen way."""
        if self.way == PAINT:
            return not is_drawn(self.editor)
        return not (self.file if self.way == FILE else (self.clicks or "").strip())

    def masks(self, size: tuple[int, int]) -> dict[int, np.ndarray]:
        """The marked objects of a picture of this (height, width), bool by number.

        One object has the number 1, those of a mask file have their values in it.
        """
        if self.way == PAINT:
            return {1: drawn_mask(self.editor, size)}
        if self.way in (CLICK, BOX):
            return {1: clicked_mask(self.clicks, size, box=self.way == BOX)}
        masks = read_mask_file(self.file, size)
        if not self.number:
            return masks
        if not self.number.isdecimal() or int(self.number) not in masks:
            raise UserError(f"The mask file holds no object {self.number}; it holds {', '.join(map(str, masks))}.")
        return {int(self.number): masks[int(self.number)]}

    def pointed(self, size: tuple[int, int]) -> dict[str, Any] | None:
        """What clicks or a box say of the one object, as arguments of the processor; None for other ways."""
        return clicked(self.clicks, size, box=self.way == BOX) if self.way in (CLICK, BOX) else None

    def mask(self, size: tuple[int, int]) -> np.ndarray:
        """The one object that is marked; see `masks`."""
        masks = self.masks(size)
        if len(masks) > 1:
            raise UserError(
                f"The mask file holds {len(masks)} objects ({', '.join(map(str, masks))}): choose one of them."
            )
        return next(iter(masks.values()))

    def preview(self, picture: np.ndarray) -> np.ndarray:
        """The picture, uint8 (H, W, 3), with what is marked by clicks, a box or a file, as far as it makes a mask.

        The longer side of what comes back is `EDITOR_SIDE`.
        """
        shown = fitted(picture, EDITOR_SIDE, EDITOR_SIDE)
        try:
            masks = {} if self.way == PAINT or self.is_empty else self.masks((picture.shape[0], picture.shape[1]))
        except UserError:
            masks = {}
        resized = {n: fitted(mask, EDITOR_SIDE, EDITOR_SIDE, smooth=False) for n, mask in masks.items()}
        drawn = overlay_masks(shown, resized) if resized else shown
        if self.way in (CLICK, BOX):
            return draw_clicks(drawn, self.clicks, shown.shape[1] / picture.shape[1])
        return drawn
