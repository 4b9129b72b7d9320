"""`export_onnx` and `export_program`: a folder with the graphs and all that is needed to use them."""

from __future__ import annotations

import importlib.util
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..core.atomic import filling
from ..core.errors import KindError, UsageError
from ..core.json_writing import to_json
from ..core.optional import require
from ..core.version import __version__
from ..modeling.modeling_uniref import UniRefModel
from .description import DESCRIPTION, describe_export
from .paths import OUTPUTS, PATHS
from .tracing import available_paths, exportable, trace
from .verification import Agreement, compare, onnx_runner, program_runner

if TYPE_CHECKING:
    from ..modeling.shared_model import AnyUniRefModel
    from ..processors.processing_uniref import UniRefProcessor

OPSET = 20
"""The version of the ONNX operators: the first whose `GridSample` has the names of today."""

# An ONNX file of more than this keeps its weights in a second file: protobuf ends at 2 GiB.
_LARGEST_FILE = 1_500_000_000


@dataclass(frozen=True)
class ExportedFolder:
    """What was written.

    Attributes:
        folder: where.
        files: names of the files, the description (`export.json`) among them.
        agreements: how far each graph is from the model; empty when that was not asked for.
    """

    folder: Path
    files: list[str]
    agreements: dict[str, Agreement]


def export_onnx(
    model: AnyUniRefModel,
    processor: UniRefProcessor,
    path: str | os.PathLike[str],
    *,
    paths: Sequence[str] | None = None,
    verify: bool | None = None,
    overwrite: bool = False,
) -> ExportedFolder:
    """Write the image path as ONNX files.

    `sentence.onnx` answers a sentence, `examples.onnx` annotated examples. Batch size, height and width (multiples of
    32, at least 96), sentence length and number of examples are free. `export.json` names inputs, outputs, sizes and
    how pictures are prepared; `tokenizer.json` is what a sentence is tokenised with.

    Args:
        model: on a CPU, in float32; it is left as it was.
        processor: its processor.
        path: folder to write.
        paths: which of "sentence" and "examples"; default: all that the model has.
        verify: compare every graph, run by onnxruntime, with the model on inputs of several sizes; default: where
            onnxruntime is installed.
        overwrite: replace files of the same names.

    Returns:
        what was written, with the measured differences.

    Raises:
        MissingExtraError: the extra `onnx` is missing.
        TypeError: `model` is no `UniRefModel`; a UniRef-SAM cannot be exported.
        ValueError: it is not on a CPU in float32, or lacks a path that was asked for.
        FileExistsError: the folder holds such files already.
        ExportDiffersError: a graph is more than `TOLERANCE` from the model. Nothing is written then.
    """
    verify = require_onnx(verify)

    def write(program: torch.export.ExportedProgram, name: str, file: Path) -> Callable[[], Any]:
        _save_onnx(program, name, file)
        return lambda: onnx_runner(str(file))

    return _export(model, processor, path, "onnx", write, paths, verify, overwrite)


def require_onnx(verify: bool | None = None) -> bool:
    """Whether an ONNX file is to be compared with the model, once all packages for that are known to be there.

    Raises:
        MissingExtraError: one is missing.
    """
    require("onnx", "onnx", "writing ONNX files")
    require("onnxscript", "onnx", "writing ONNX files")
    if verify is None:
        return importlib.util.find_spec("onnxruntime") is not None
    if verify:
        require("onnxruntime", "onnx", "comparing an ONNX file with the model")
    return verify


def export_program(
    model: AnyUniRefModel,
    processor: UniRefProcessor,
    path: str | os.PathLike[str],
    *,
    paths: Sequence[str] | None = None,
    verify: bool = True,
    overwrite: bool = False,
) -> ExportedFolder:
    """Write the image path as `torch.export` programs: `sentence.pt2` and `examples.pt2`.

    `torch.export.load(file).module()(**inputs)` runs one, without this package and without Transformers. The arguments
    are those of [`export_onnx`]; with `verify` the files are loaded again and compared.
    """

    def write(program: torch.export.ExportedProgram, name: str, file: Path) -> Callable[[], Any]:
        torch.export.save(program, file)
        return lambda: program_runner(torch.export.load(file))

    return _export(model, processor, path, "pt2", write, paths, verify, overwrite)


def _export(
    model: AnyUniRefModel,
    processor: UniRefProcessor,
    path: str | os.PathLike[str],
    suffix: str,
    write: Callable[[torch.export.ExportedProgram, str, Path], Callable[[], Any]],
    paths: Sequence[str] | None,
    verify: bool,
    overwrite: bool,
) -> ExportedFolder:
    if not isinstance(model, UniRefModel):
        hint = ": UniRef-SAM has no export" if type(model).__name__ == "UniRefSamModel" else ""
        raise KindError(f"model must be a UniRefModel, got {type(model).__name__}{hint}.")
    if model.device.type != "cpu" or model.dtype != torch.float32:
        raise UsageError(
            f"model must be on a CPU in float32 to be exported, got {model.dtype} on {model.device}: load it anew, or "
            "call model.float().cpu()."
        )
    chosen = available_paths(model, paths)
    folder = Path(path)
    claimed = [f"{name}.{suffix}" for name in chosen] + [f"{name}.{suffix}.data" for name in chosen] + [DESCRIPTION]
    agreements: dict[str, Agreement] = {}
    with filling(folder, claimed, overwrite=overwrite) as staged, exportable(model):
        for name in chosen:
            file = staged / f"{name}.{suffix}"
            open_runner = write(trace(model, name), name, file)
            if verify:
                agreements[name] = compare(model, name, open_runner())
        description = describe_export(model, processor, chosen, suffix, staged)
        description["written_by"] = f"transformers-uniref {__version__}, torch {torch.__version__}"
        if suffix == "onnx":
            description["opset"] = OPSET
        description["differences"] = {name: agreement.differences for name, agreement in agreements.items()}
        (staged / DESCRIPTION).write_text(to_json(description, indent=2) + "\n")
        names = sorted(file.name for file in staged.iterdir())
    return ExportedFolder(folder, names, agreements)


def _save_onnx(program: torch.export.ExportedProgram, name: str, file: Path) -> None:
    spec = PATHS[name]
    named = {
        given: {axis: size for axis, size in enumerate(entry.dims) if isinstance(size, str)}
        for given, entry in spec.inputs.items()
    }
    with _quiet_exporter():
        graph = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(spec.inputs),
            output_names=list(OUTPUTS),
            dynamic_shapes=named,
            verbose=False,
        )
    assert graph is not None
    weights = sum(tensor.nbytes for tensor in program.state_dict.values())
    graph.save(str(file), external_data=weights > _LARGEST_FILE)


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Without the exporter's warnings about its own workings and about operators of torchvision, not used here."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)
