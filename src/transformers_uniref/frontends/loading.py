"""The options that choose a model and how it computes, those of the output, and what verbs share in following them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.families import DEFAULT_CHECKPOINT, MODEL_FAMILIES
from ..core.hub_reach import reach_options, why_not_here
from ..core.model_names import NotDownloadedError, introduction, known_names, model_location
from ..core.near_names import did_you_mean
from .errors import UserError, describe

if TYPE_CHECKING:
    from ..modeling.shared_model import AnyUniRefModel
    from ..processors.processing_uniref import UniRefProcessor

DTYPES = ("auto", "float32", "bfloat16", "float16")


def add_model_arguments(parser: argparse.ArgumentParser, *, tuning: bool = True) -> argparse._ArgumentGroup:
    """Declares `--model`, `--download`, `--device`, `--dtype`, with `tuning` also `--compile`; returns their group."""
    group = parser.add_argument_group("model")
    group.add_argument(
        "--model",
        metavar="DIR_OR_ID",
        help="folder or Hub id of a UniRef model, or a name that `uniref download --list` shows (default: the "
        f"bundled {DEFAULT_CHECKPOINT.name})",
    )
    group.add_argument(
        "--download", action="store_true", help="fetch the authors' weights that --model names, where they are not here"
    )
    group.add_argument(
        "--device",
        type=lambda text: None if text == "auto" else text,
        metavar="NAME",
        help="where to compute: cpu, cuda, cuda:1, mps; auto, the default, is cuda where there is one, else cpu",
    )
    group.add_argument(
        "--dtype",
        choices=DTYPES,
        metavar="TYPE",
        help=f"of weights and computation, one of {', '.join(DTYPES)}; auto is what is fast on the device: half "
        "precision on CUDA, float32 on processors without AMX (default: that of the saved weights)",
    )
    if not tuning:
        return group
    group.add_argument(
        "--compile",
        action="store_true",
        help="compile the model with torch.compile: a slow start, for many pictures or long clips of few sizes",
    )
    return group


def add_quiet_argument(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Declares `--quiet`."""
    parser.add_argument("--quiet", action="store_true", help="say nothing on standard error but warnings and errors")


def add_example_arguments(group: argparse._ArgumentGroup, image_help: str) -> None:
    """Declares `--reference-image` and `--reference-mask`, which may be repeated."""
    mask_help = "the mask of the object in the example picture (PNG of its size, 0 and one other value), one for each"
    for name, text in (("--reference-image", image_help), ("--reference-mask", mask_help)):
        group.add_argument(name, action="append", type=Path, default=[], metavar="FILE", help=text)


def introduce_model(arguments: argparse.Namespace) -> None:
    """Says on standard error what a bundled model is, unless `--quiet` or `--json` was given."""
    text = introduction(arguments.model)
    if text is not None and not (arguments.quiet or getattr(arguments, "json", False)):
        print(f"uniref: {text}, then --model uniref-pp-r50", file=sys.stderr)


def tell_unknown_words(processor: UniRefProcessor, sentences: Sequence[str]) -> None:
    """Says on standard error which words of the sentences mean nothing to the model."""
    unknown = dict.fromkeys(word for sentence in sentences for word in processor.unknown_words(sentence))
    if unknown:
        print(f"uniref: unknown to this model: {', '.join(unknown)}", file=sys.stderr)


def sound_for(processor: UniRefProcessor, path: Path, model: str | None) -> dict[str, Any]:
    """`audio` and `sampling_rate` of a file with sound, as a model hears it.

    Raises:
        UserError: the model hears nothing.
    """
    if processor.audio_extractor is None:
        name = model or DEFAULT_CHECKPOINT.name
        raise UserError(f"--audio needs a model that hears, this one has no audio encoder (see docs/sound.md): {name}")
    from ..media.sound import read_sound

    rate = int(processor.audio_extractor.sampling_rate)
    return {"audio": read_sound(path, rate), "sampling_rate": rate}


def add_output_arguments(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Declares `--output`, `--overwrite` and `--json`; returns their group."""
    group = parser.add_argument_group("output")
    group.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="folder for the results (default: a new one, out/NAME, out/NAME-2, ...)",
    )
    group.add_argument("--overwrite", action="store_true", help="replace results that --output holds already")
    group.add_argument("--json", action="store_true", help="print the result as JSON on standard output")
    add_quiet_argument(group)
    return group


def output_folder(given: Path | None, name: str) -> Path:
    """The folder that was given, or a new one under `out` that is called after the input."""
    if given is not None:
        return given
    folder, number = Path("out") / name, 1
    while folder.exists():
        number += 1
        folder = Path("out") / f"{name}-{number}"
    return folder


def checkpoint_location(given: str | None) -> str:
    """Where a model lies: the default, a folder, a model by its name, or what was given (a Hub id)."""
    try:
        return str(DEFAULT_CHECKPOINT) if given is None else model_location(given)
    except NotDownloadedError as error:
        raise UserError(f"`model` {error}, or give `download`") from error


def model_folder(model: str | None) -> Path:
    """The folder on this machine that a model was loaded from: the one given, or its place in the cache of the Hub."""
    from transformers.utils import cached_file

    location = checkpoint_location(model)
    if Path(location).is_dir():
        return Path(location)
    return Path(str(cached_file(location, "config.json", local_files_only=True))).parent


def load_model_and_processor(
    model: str | None, device: str | None = None, dtype: str | None = None, compiled: bool = False
) -> tuple[AnyUniRefModel, UniRefProcessor]:
    """Loads a model, ready to predict, and its processor.

    Args:
        model: folder, Hub id or name of a bundled model; None for the default.
        device: see `choose_device`.
        dtype: one of `DTYPES`: the type of the weights, in which pictures are computed under autocast and clips in
            a session; "auto" is what is fast on the device (`precision.fast_dtype`), None what they are saved in.
        compiled: let `torch.compile` translate each part of the model when it is first used.
    """
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModel, AutoProcessor
    from transformers.utils import logging

    from ..adapters.folders import AdapterError, base_of, require_base
    from ..core.optional import require
    from ..modeling.precision import chosen_dtype, warn_if_slow

    place = choose_device(device)
    if compiled:
        check_compiler(place)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    location = checkpoint_location(model)
    base = base_of(location)
    if base is not None:
        require("peft", "train", "loading an adapter")
        try:
            require_base(location, base)
        except AdapterError as error:
            raise UserError(f"`model` {error}") from error
    try:
        named = location if base is None else base
        config = AutoConfig.from_pretrained(named, **reach_options(named))
        if config.model_type not in [family.model_type for family in MODEL_FAMILIES]:
            raise UserError(f"`model` must be a UniRef model, got one of type {config.model_type!r}: {location}")
        # Transformers calls the type of the saved weights "auto".
        wanted = "auto" if dtype is None else chosen_dtype(dtype, place)
        loaded, account = AutoModel.from_pretrained(
            location, config=config, dtype=wanted, output_loading_info=True, **reach_options(location, model=True)
        )
        place_of_processor = processor_location(location, base)
        processor = AutoProcessor.from_pretrained(place_of_processor, **reach_options(place_of_processor))
    except (OSError, ValueError, RuntimeError, SafetensorError, StrictDataclassError) as error:
        reason = f"{why_not_here(location)}{did_you_mean(location, known_names())}" or describe(error)
        raise UserError(f"`model` cannot be loaded from {location}: {reason}") from error
    if missing := sorted(account["missing_keys"]):
        raise UserError(f"`model` lacks {len(missing)} of its weights ({missing[0]}, ...): {location}")
    loaded = loaded.to(place).eval()
    warn_if_slow(loaded.dtype, place)
    if compiled:
        # The parts and not the whole: pictures and video sessions go through the same parts in different ways.
        for part in loaded.children():
            part.compile()
    return loaded, processor


def check_compiler(device: Any) -> None:
    """Compiles a trifle, so that a machine without a compiler says so at once and not in the middle of the work."""
    import torch

    try:
        torch.compile(lambda values: values.sin() + 1)(torch.zeros(2, device=device))
    except Exception as error:  # what a compiler raises is not documented
        reason = describe(error)
        raise UserError(f"`compile` cannot be used on {device}, torch.compile failed: {reason[:200]}") from error


def processor_location(location: str, base: str | None) -> str:
    """Where a model's processor lies: beside it, or beside the base of an adapter that was saved without one."""
    from ..adapters.folders import find_file

    return location if base is None or find_file(location, "processor_config.json") is not None else base


def choose_device(given: str | None) -> Any:
    """The device that was given, else the first CUDA device, else the processor."""
    import torch

    if given is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(given)
        torch.zeros(1, device=device).cpu()  # the meta device gives nothing back
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"`device` cannot be used: {given} ({describe(error)})") from error
    return device
