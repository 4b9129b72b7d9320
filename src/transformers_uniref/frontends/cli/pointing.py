"""Options that point at an object in the picture itself, or in a frame of a clip."""

from __future__ import annotations

import argparse
from typing import Any

from ..errors import UserError
from .option_types import at_frame, numbers, stroke


def add_pointing_arguments(group: Any, *, in_clip: bool) -> None:
    """Declares them.

    Args:
        group: of options.
        in_clip: each may begin with a frame, FRAME=.
    """
    frame, where = ("[FRAME=]", "the first frame, or of another, by its number or name,") if in_clip else ("", "it")
    for name, kind, form, meaning in (
        ("point", numbers(2, "X,Y"), "X,Y", f"the object is here, in pixels of {where} from the top left corner"),
        ("not-point", numbers(2, "X,Y"), "X,Y", "the object is not here"),
        ("box", numbers(4, "X0,Y0,X1,Y1"), "X0,Y0,X1,Y1", "the object is in this box"),
        ("scribble", stroke, "'X,Y X,Y ...'", "the object is along this stroke"),
    ):
        more = "repeatable" if name != "point" else "repeatable; all that is pointed at is one and the same object"
        if name == "box":
            more = "one for each frame" if in_clip else "given once"
        group.add_argument(
            f"--{name}",
            action="append",
            default=[],
            type=at_frame(kind),
            metavar=f"{frame}{form}",
            help=f"{meaning}; {more}",
        )


def check_not_points(arguments: argparse.Namespace, model: Any) -> None:
    """Refuses clicks beside the object for a model that is given drawn masks, which cannot say that."""
    if arguments.not_point and not model.config.use_point_references:
        raise UserError(
            "--not-point needs a model with an encoder of clicks (use_point_references); see docs/references.md"
        )


def pointed_at(arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """What they say about one object, as arguments of the processor, by the frame that was named ("" for none)."""
    found: dict[str, dict[str, Any]] = {}
    for label, places in ((1, arguments.point), (0, arguments.not_point)):
        for frame, place in places:
            given = found.setdefault(frame, {})
            given.setdefault("input_points", []).append(place)
            given.setdefault("input_labels", []).append(label)
    for frame, box in arguments.box:
        if "input_boxes" in found.setdefault(frame, {}):
            raise UserError(f"--box may be given once for a frame, got another: {','.join(f'{v:g}' for v in box)}")
        found[frame]["input_boxes"] = box
    for frame, line in arguments.scribble:
        found.setdefault(frame, {}).setdefault("input_scribbles", [[]])[0].append(line)
    return found
