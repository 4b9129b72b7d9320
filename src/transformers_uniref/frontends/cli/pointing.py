"""Options that point at an object in the picture itself."""

from __future__ import annotations

import argparse
from typing import Any

from .option_types import numbers, stroke

OPTIONS = ("point", "not_point", "box", "scribble")


def add_pointing_arguments(group: Any, where: str) -> None:
    """Declares them.

    Args:
        group: of options.
        where: what they point into, such as "the picture".
    """
    more = "all that is given means one and the same object"
    group.add_argument(
        "--point",
        action="append",
        default=[],
        type=numbers(2, "X,Y"),
        metavar="X,Y",
        help=f"the object is here, in pixels of {where} from its top left corner; repeatable, {more}",
    )
    group.add_argument(
        "--not-point",
        action="append",
        default=[],
        type=numbers(2, "X,Y"),
        metavar="X,Y",
        help="the object is not here; repeatable",
    )
    group.add_argument("--box", type=numbers(4, "X0,Y0,X1,Y1"), metavar="X0,Y0,X1,Y1", help="the object is in this box")
    group.add_argument(
        "--scribble",
        action="append",
        default=[],
        type=stroke,
        metavar="'X,Y X,Y ...'",
        help="the object is along this stroke; repeatable",
    )


def pointed_at(arguments: argparse.Namespace) -> dict[str, Any]:
    """What they say, as arguments of the processor about one object; empty where none is given."""
    given: dict[str, Any] = {}
    if arguments.point or arguments.not_point:
        given["input_points"] = [*arguments.point, *arguments.not_point]
        given["input_labels"] = [1] * len(arguments.point) + [0] * len(arguments.not_point)
    if arguments.box:
        given["input_boxes"] = arguments.box
    if arguments.scribble:
        given["input_scribbles"] = [arguments.scribble]
    return given
