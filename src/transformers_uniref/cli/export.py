"""`uniref export`: copy a bundled model to where Transformers finds it by its name."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

HELP = "copy a bundled model into a folder, or merge an adapter with its base into one"
EXAMPLES = (
    "uniref export uniref-pp",
    "uniref export runs/lora/final --output models/merged",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's options."""
    from ..bundled import bundled_checkpoints

    names = ", ".join(bundled_checkpoints()) or "none in this installation"
    parser.add_argument("name", metavar="NAME", help=f"a bundled model ({names}), or the folder of an adapter")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="folder to write (default: the bundled model's name, in this directory; needed for an adapter)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files of the same names in the folder")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on standard output")


def run(arguments: argparse.Namespace) -> int:
    """Copies the files, all or none."""
    from ..bundled import bundled_checkpoints
    from ..media.atomic import filling
    from .errors import UserError

    bundled = bundled_checkpoints()
    if Path(arguments.name, "adapter_config.json").is_file():
        return _merge(arguments)
    if arguments.name not in bundled:
        known = ", ".join(bundled) or "there is none"
        raise UserError(f"NAME must be a bundled model ({known}) or the folder of an adapter, got {arguments.name}")
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


def _merge(arguments: argparse.Namespace) -> int:
    """Writes an adapter and its base as one model."""
    from transformers import AutoProcessor

    from ..adapters.folders import base_of
    from ..adapters.merging import merge_adapter
    from ..adapters.saving import replacing_folder
    from .errors import UserError
    from .loading import processor_location

    target = arguments.output
    if target is None:
        raise UserError("--output is missing: the folder for the merged model")
    if target.exists() and not arguments.overwrite and any(target.iterdir() if target.is_dir() else [target]):
        raise UserError(f"--output exists already: {target}; name another folder or give --overwrite")
    base = base_of(arguments.name)
    assert base is not None
    model = merge_adapter(arguments.name)
    processor: Any = AutoProcessor.from_pretrained(processor_location(arguments.name, base))
    with replacing_folder(target) as partial:
        model.save_pretrained(partial, save_original_format=False)
        processor.save_pretrained(partial)
        names = sorted(file.name for file in partial.iterdir())
    print(f"written: {target}, {arguments.name} merged into its base", file=sys.stderr)
    if arguments.json:
        print(json.dumps({"name": arguments.name, "output": str(target), "files": names}))
    return 0
