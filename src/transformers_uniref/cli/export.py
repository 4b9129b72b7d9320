"""`uniref export`: copy a bundled model to where Transformers finds it by its name."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

HELP = "copy a bundled model into a folder, for AutoModel.from_pretrained and for fine-tuning"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's options."""
    from .loading import bundled_checkpoints

    names = ", ".join(bundled_checkpoints()) or "none in this installation"
    parser.add_argument("name", metavar="NAME", help=f"the bundled model: {names}")
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder to write (default: NAME, in this directory)")
    parser.add_argument("--overwrite", action="store_true", help="replace files of the same names in the folder")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on standard output")


def run(arguments: argparse.Namespace) -> int:
    """Copies the files, all or none."""
    from ..media.atomic import filling
    from .errors import UserError
    from .loading import bundled_checkpoints

    bundled = bundled_checkpoints()
    if arguments.name not in bundled:
        raise UserError(f"NAME must be a bundled model ({', '.join(bundled) or 'there is none'}), got {arguments.name}")
    source = bundled[arguments.name]
    target = arguments.output or Path(arguments.name)
    names = sorted(file.name for file in source.iterdir() if file.is_file())
    with filling(target, names, overwrite=arguments.overwrite) as staged:
        for name in names:
            shutil.copyfile(source / name, staged / name)
    print(f'written: {target}; AutoModel.from_pretrained("{target}") loads it', file=sys.stderr)
    if arguments.json:
        print(json.dumps({"name": arguments.name, "output": str(target), "files": names}))
    return 0
