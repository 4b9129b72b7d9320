"""The options `--output DIR|HUB_ID` and `--push [HUB_ID]` of verbs that write datasets."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..errors import UserError


def add_push_arguments(parser: argparse._ActionsContainer, condition: str) -> None:
    """Declares `--push` and `--public`; `condition` is the rest of the help of `--push`."""
    parser.add_argument(
        "--push",
        nargs="?",
        const="",
        metavar="HUB_ID",
        help=f"upload at the end; without a Hub id to that given as --output{condition}",
    )
    parser.add_argument(
        "--public", action="store_true", help="with --push: a new repository is public (default: private)"
    )


def upload(folder: Path, hub_id: str, public: bool, message: str) -> str:
    """Uploads a dataset's folder, says where to, and returns the address."""
    from ...datasets.push import push

    address = push(folder, hub_id, private=not public, message=message)
    print(f"uploaded to {address}", file=sys.stderr)
    return address


def output_and_hub_id(output: str, push: str | None) -> tuple[str, str | None]:
    """The folder to write to, and where to upload it; None where it is not."""
    from ...datasets.push import is_hub_id, local_folder

    if push == "":
        if not is_hub_id(output):
            raise UserError(f"--push needs a Hub id, NAMESPACE/NAME, behind it or as --output, got {output!r}")
        return str(local_folder(output)), output
    if push is not None and not is_hub_id(push):
        raise UserError(f"--push must be a Hub id, NAMESPACE/NAME, got {push!r}")
    return output, push
