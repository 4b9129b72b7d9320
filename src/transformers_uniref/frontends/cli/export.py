"""`uniref export`: a bundled model as a folder, an adapter merged with its base, a model as graphs."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

from ...core.json_writing import to_json
from ..errors import UserError

HELP = (
    "copy a bundled model into a folder, merge an adapter with its base into one, or write ONNX or torch.export files"
)
EXAMPLES = (
    "uniref export uniref-pp",
    "uniref export runs/lora/final --output models/merged",
    "uniref export uniref-pp --onnx --output models/onnx",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's options."""
    from ...core.model_names import bundled_checkpoints

    names = ", ".join(bundled_checkpoints()) or "none in this installation"
    parser.add_argument(
        "model",
        metavar="NAME",
        help=f"a bundled model ({names}) or the folder of an adapter; with --onnx or --torch "
        "any model: folder or Hub id",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="folder to write (default: the bundled model's name, in this directory, with -onnx or -torch behind it; "
        "needed for the merging of an adapter)",
    )
    graphs = parser.add_mutually_exclusive_group()
    graphs.add_argument("--onnx", action="store_true", help="write ONNX files of the image path (extra onnx)")
    graphs.add_argument("--torch", action="store_true", help="write torch.export programs (.pt2) of the image path")
    parser.add_argument(
        "--paths",
        nargs="+",
        choices=("sentence", "examples"),
        metavar="PATH",
        help="with --onnx or --torch, what to write: sentence, examples (default: all that the model has)",
    )
    parser.add_argument(
        "--verify",
        action=argparse.BooleanOptionalAction,
        help="with --onnx or --torch, compare what was written with the model (default: yes, for ONNX where "
        "onnxruntime is installed)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files of the same names in the folder")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on standard output")


def run(arguments: argparse.Namespace) -> int:
    """Copies the files, all or none."""
    from ...core.atomic import filling
    from ...core.model_names import bundled_checkpoints

    if arguments.onnx or arguments.torch:
        return _graphs(arguments)
    if arguments.paths is not None or arguments.verify is not None:
        raise UserError("--paths and --verify go with --onnx or --torch")
    bundled = bundled_checkpoints()
    if Path(arguments.model, "adapter_config.json").is_file():
        return _merge(arguments)
    if arguments.model not in bundled:
        known = ", ".join(bundled) or "there is none"
        raise UserError(
            f"NAME must be a bundled model ({known}) or the folder of an adapter, got {arguments.model}; other models "
            "need --onnx or --torch"
        )
    source = bundled[arguments.model]
    target = arguments.output or Path(arguments.model)
    names = sorted(file.name for file in source.iterdir() if file.is_file())
    with filling(target, names, overwrite=arguments.overwrite) as staged:
        for name in names:
            shutil.copyfile(source / name, staged / name)
    print(f'written: {target}; AutoModel.from_pretrained("{target}") loads it', file=sys.stderr)
    if arguments.json:
        print(to_json({"name": arguments.model, "output": str(target), "files": names}))
    return 0


def _graphs(arguments: argparse.Namespace) -> int:
    """Writes the image path as graphs, compared with the model."""
    from ...export import ExportDiffersError, export_onnx, export_program
    from ...export.folder import require_onnx
    from ..loading import load_model_and_processor

    kind = "onnx" if arguments.onnx else "torch"
    target = arguments.output or Path(f"{Path(arguments.model).name}-{kind}")
    if arguments.onnx:
        require_onnx(arguments.verify)  # before a model is loaded
    model, processor = load_model_and_processor(arguments.model, "cpu")
    if Path(arguments.model, "adapter_config.json").is_file():
        from ...adapters.merging import merge_adapter

        model = merge_adapter(arguments.model)
    options: dict[str, Any] = {"paths": arguments.paths, "overwrite": arguments.overwrite}
    print("exporting; this takes a minute or more", file=sys.stderr)
    try:
        if arguments.onnx:
            written = export_onnx(model, processor, target, verify=arguments.verify, **options)
        else:
            written = export_program(model, processor, target, verify=arguments.verify is not False, **options)
    except ExportDiffersError as error:
        raise UserError(
            f"nothing was written, for a graph does not compute what the model computes: {error}"
        ) from error
    print(f"written: {target} ({', '.join(written.files)})", file=sys.stderr)
    for path, agreement in written.agreements.items():
        print(f"{path}: {agreement}", file=sys.stderr)
    if not written.agreements:
        print("not compared with the model", file=sys.stderr)
    if arguments.json:
        result = {"name": arguments.model, "output": str(target), "files": written.files}
        compared = {path: vars(agreement) for path, agreement in written.agreements.items()}
        print(to_json({**result, "compared": compared}))
    return 0


def _merge(arguments: argparse.Namespace) -> int:
    """Writes an adapter and its base as one model."""
    from transformers import AutoProcessor

    from ...adapters.folders import base_of
    from ...adapters.merging import merge_adapter
    from ...adapters.saving import replacing_folder
    from ...core.hub_reach import reach_options
    from ..loading import processor_location

    target = arguments.output
    if target is None:
        raise UserError("--output is missing: the folder for the merged model")
    if target.exists() and not arguments.overwrite and any(target.iterdir() if target.is_dir() else [target]):
        raise UserError(f"--output exists already: {target}; name another folder or give --overwrite")
    base = base_of(arguments.model)
    assert base is not None
    model = merge_adapter(arguments.model)
    place = processor_location(arguments.model, base)
    processor: Any = AutoProcessor.from_pretrained(place, **reach_options(place))
    with replacing_folder(target) as partial:
        model.save_pretrained(partial, save_original_format=False)
        processor.save_pretrained(partial)
        names = sorted(file.name for file in partial.iterdir())
    print(f"written: {target}, {arguments.model} merged into its base", file=sys.stderr)
    if arguments.json:
        print(to_json({"name": arguments.model, "output": str(target), "files": names}))
    return 0
