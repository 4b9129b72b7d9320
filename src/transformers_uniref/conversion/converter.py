"""An original UniRef++ checkpoint becomes a folder that `AutoModel` and `AutoProcessor` load."""

from __future__ import annotations

import os
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel

from ..core.errors import one_line
from ..core.provenance import Provenance, converted, write_provenance
from ..modeling.configuration_references import ReferenceFusionConfig
from ..modeling.configuration_uniref import UniRefConfig
from ..modeling.configuration_uniref_sam import UniRefSamConfig
from ..processors.processing_uniref import UniRefProcessor
from .key_mapping import Drop, Duplicate, Move, place
from .sam_variants import infer_sam_config, is_sam_variant
from .variants import CheckpointError, apply_overrides, check_is_uniref, infer_config
from .whole_folder import whole_folder

DEFAULT_TEXT_ENCODERS = {"bert": "google-bert/bert-base-uncased", "roberta": "FacebookAI/roberta-base"}
NO_TEXT_ENCODER = "none"

_TOKENIZER_FILES = ["config.json", "tokenizer*", "vocab*", "merges.txt", "special_tokens_map.json", "added_tokens.json"]
_BATCH_COUNTER = "num_batches_tracked"
_BOXINST_COUNTER = "criterion.boxinst_iteration"


@dataclass
class ConversionAccount:
    """What became of every tensor.

    Attributes:
        mapped: original name -> names in the model (several where one tensor was cut).
        dropped: original name -> why nothing is lost without it.
        created: model name -> where its value comes from, for tensors that the original does not list.
        variant: the inferred architecture, option -> value.
        output_dir: the folder written, None when nothing was.
    """

    mapped: dict[str, list[str]] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)
    created: dict[str, str] = field(default_factory=dict)
    variant: dict[str, Any] = field(default_factory=dict)
    output_dir: str | None = None

    def summary(self) -> str:
        """Counts, and one line a reason for what was dropped or created."""
        produced = sum(len(targets) for targets in self.mapped.values())
        lines = [f"mapped {len(self.mapped)} tensors of the original onto {produced} of the model"]
        for verb, table in (("dropped", self.dropped), ("created", self.created)):
            reasons: dict[str, list[str]] = {}
            for name, reason in table.items():
                reasons.setdefault(reason, []).append(name)
            for reason, names in reasons.items():
                example = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
                lines.append(f"{verb} {len(names)}: {reason} ({example})")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """The account as JSON-ready data."""
        return {name: getattr(self, name) for name in ("output_dir", "variant", "mapped", "dropped", "created")}


def load_original_checkpoint(path: str | os.PathLike[str]) -> dict[str, torch.Tensor]:
    """The tensors of a `.pth` file, `{"model": {...}}` (other entries ignored) or the bare dictionary.

    Only tensors and plain containers are unpickled (`weights_only=True`), on the CPU.

    Raises:
        CheckpointError: no such file, not a file of `torch.save`, damaged, or without a dictionary of tensors.
    """
    path = Path(path)
    if path.is_dir():
        raise CheckpointError(
            f"{path}: is a folder, not a checkpoint file; `build_around_sam` takes a Transformers SAM model"
        )
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    try:
        # Files in the zip format are mapped, so that an optimiser's state next to the weights costs no memory.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols of files that are refused anyway
            saved = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        if "Unsupported global" in str(error) or "WeightsUnpickler" in str(error):
            what = "it holds Python objects besides tensors, which are not loaded for safety"
        else:
            what = "it is not a file written by torch.save"
        raise CheckpointError(f"{path}: {what}") from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError, TypeError, IndexError) as error:
        reason = str(error).strip().splitlines()
        raise CheckpointError(
            f"{path}: not readable as a PyTorch checkpoint, truncated or of another format "
            f"({reason[0] if reason else type(error).__name__})"
        ) from error
    state = saved.get("model", saved) if isinstance(saved, dict) else saved
    if not isinstance(state, dict) or not state:
        what = f"a {type(state).__name__}" if state else "nothing"
        raise CheckpointError(f"{path}: expected a dictionary of tensors or {{'model': ...}}, got {what}")
    stray = [name for name, value in state.items() if not isinstance(name, str) or not isinstance(value, torch.Tensor)]
    if stray:
        raise CheckpointError(f"{path}: expected a dictionary of tensors, but {stray[0]!r} is none")
    return state


def variant_config(
    original: Mapping[str, torch.Tensor], overrides: Mapping[str, Any] | None = None
) -> ReferenceFusionConfig:
    """The configuration of a checkpoint, inferred from its tensors, with `overrides` (dotted names) on top.

    Raises:
        CheckpointError: not a UniRef checkpoint, an unknown option, or a value that the configuration refuses.
    """
    overrides = dict(overrides or {})
    shapes = {name: tuple(tensor.shape) for name, tensor in original.items()}
    config_class: type[ReferenceFusionConfig] = UniRefConfig
    infer = infer_config
    if is_sam_variant(shapes):
        config_class, infer = UniRefSamConfig, infer_sam_config
    inferred = infer(shapes, overrides)
    known = config_class(**inferred).to_dict() | {"num_labels": inferred.get("num_labels", 1)}
    try:
        return config_class(**apply_overrides(inferred, known, overrides))
    except CheckpointError:
        raise
    except Exception as error:  # whatever the strict configurations raise, the user's overrides are the cause
        named = f"`overrides` {', '.join(overrides)}"
        raise CheckpointError(f"{named}: refused by the configuration: {one_line(error)}") from error


def convert_state_dict(
    original: Mapping[str, torch.Tensor], target: Mapping[str, torch.Tensor]
) -> tuple[dict[str, torch.Tensor], ConversionAccount]:
    """Rename and cut the tensors of an original checkpoint to those of a model's `state_dict()`; meta tensors do.

    Returns:
        A state dict with exactly the names of `target`, and the account of it.

    Raises:
        CheckpointError: a tensor of unknown name, of a shape that does not fit, without a place in the model, missing,
            or listed twice with different values.
    """
    account = ConversionAccount()
    unknown = [name for name in original if place(name) is None]
    if unknown:
        raise CheckpointError(f"{len(unknown)} tensors that no UniRef checkpoint has: {_some(unknown)}")

    converted: dict[str, torch.Tensor] = {}
    homeless, misfits = [], []
    for name, tensor in original.items():
        placement = place(name)
        if isinstance(placement, Duplicate):
            if placement.original in original:
                _check_equal(name, tensor, placement.original, original[placement.original])
                account.dropped[name] = "a second name of the same tensor (equal values, checked)"
                continue
            placement = place(placement.original)
        if isinstance(placement, Drop):
            account.dropped[name] = placement.reason
            continue
        assert isinstance(placement, Move)
        absent = [wanted for wanted in placement.targets if wanted not in target]
        if absent:
            if absent[0].endswith(_BATCH_COUNTER):
                account.dropped[name] = "counter of a normalisation that is frozen here"
            elif absent[0] == _BOXINST_COUNTER:
                account.dropped[name] = "warm-up counter of the BoxInst loss, which only the pretrain stage uses"
            else:
                homeless.append(name)
            continue
        for wanted, piece in zip(placement.targets, _cut(tensor, len(placement.targets)), strict=True):
            if piece.shape == target[wanted].shape:
                converted[wanted] = piece
            else:
                misfits.append(f"{name} {tuple(piece.shape)} for {wanted} {tuple(target[wanted].shape)}")
        account.mapped[name] = list(placement.targets)

    if homeless:
        raise CheckpointError(f"{len(homeless)} tensors have no place in the inferred model: {_some(homeless)}")
    if misfits:
        raise CheckpointError(f"{len(misfits)} tensors do not fit the model: {_some(misfits)}")
    for name, tensor in target.items():
        if name in converted:
            continue
        if name.endswith(_BATCH_COUNTER) or name == _BOXINST_COUNTER:
            converted[name] = torch.zeros_like(tensor, device=next(iter(original.values())).device)
            account.created[name] = "counter that the checkpoint does not list, starts at 0"
    missing = [name for name in target if name not in converted]
    if missing:
        raise CheckpointError(
            f"the checkpoint lacks {len(missing)} of the model's {len(target)} tensors: {_some(missing)}"
        )
    return converted, account


def convert_checkpoint(
    path: str | os.PathLike[str],
    output_dir: str | os.PathLike[str],
    text_encoder: str | os.PathLike[str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    provenance: Provenance | None = None,
) -> ConversionAccount:
    """Convert a checkpoint of any stage (pretrain, image, video; ResNet-50, Swin or SAM) into a Transformers folder.

    The folder (safetensors, config.json, image processor and, with a text encoder, tokenizer files) is written under a
    temporary name next to `output_dir` and renamed when it is complete.

    Args:
        path: the original `.pth`.
        output_dir: the folder to write.
        text_encoder: folder or Hub id that the tokenizer is taken from; None: `google-bert/bert-base-uncased` or
            `FacebookAI/roberta-base`, whichever the checkpoint holds; "none": a folder without a tokenizer, whose
            model takes token ids.
        overrides: configuration options by dotted name, for what the tensors cannot tell.
        overwrite: replace `output_dir` where it already holds a model.
        provenance: where the file is from; default: its name and SHA-256.

    Raises:
        CheckpointError: with one line that says what is wrong; nothing has been written then.
    """
    output = Path(output_dir).expanduser().absolute()
    check_output(output, overwrite)
    original = load_original_checkpoint(path)
    if not is_sam_variant(original):
        try:
            check_is_uniref(original)
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from None
    config = variant_config(original, overrides)
    tokenizer = load_tokenizer(config, text_encoder)
    with torch.device("meta"):
        model = AutoModel.from_config(config)
    state, account = convert_state_dict(original, model.state_dict())
    model.load_state_dict(state, strict=True, assign=True)
    save_folder(model, tokenizer, output, provenance or converted(path), account)
    account.variant = config.to_diff_dict()
    return account


def save_folder(model: Any, tokenizer: Any, output: Path, provenance: Provenance, account: ConversionAccount) -> None:
    """Write model, processor and provenance under a temporary name next to `output`, and rename it when complete."""
    processor = make_processor(model.config, tokenizer)
    with whole_folder(output) as folder:
        # False: the file then has the names of `state_dict()`, not those of an older release of a nested model
        model.save_pretrained(folder, save_original_format=False)
        processor.save_pretrained(folder)
        write_provenance(folder, provenance)
    account.output_dir = str(output)


def _cut(tensor: torch.Tensor, parts: int) -> list[torch.Tensor]:
    if parts == 1:
        return [tensor]
    if tensor.shape[0] % parts:
        return [tensor] * parts  # its shape will be found wrong
    # copies: a safetensors file stores no views of one memory
    return [piece.clone() for piece in tensor.chunk(parts)]


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _check_equal(name: str, tensor: torch.Tensor, other_name: str, other: torch.Tensor) -> None:
    known_equal = tensor.is_meta or tensor.data_ptr() == other.data_ptr()
    if tensor.shape != other.shape or not (known_equal or torch.equal(tensor, other)):
        raise CheckpointError(
            f"{name} and {other_name} are two names of one tensor in every UniRef checkpoint, but differ here"
        )


def check_output(output: Path, overwrite: bool) -> None:
    """Raises CheckpointError when `output` cannot be written, or holds something that may not be replaced."""
    if not output.exists():
        return
    if not output.is_dir():
        raise CheckpointError(f"{output}: is a file; give a folder that does not exist yet")
    if any(output.iterdir()):
        if not overwrite:
            raise CheckpointError(f"{output}: the folder is not empty; give `overwrite` to replace it")
        if not (output / "config.json").is_file():
            raise CheckpointError(f"{output}: holds other things than a model, so it is not overwritten")


def load_tokenizer(config: ReferenceFusionConfig, text_encoder: str | os.PathLike[str] | None) -> Any:
    """The tokenizer of a model's text encoder; None for a model without, or where "none" is wanted."""
    if text_encoder is not None and str(text_encoder) == NO_TEXT_ENCODER:
        return None
    text_config: Any = config.text_config
    if text_config is None:
        if text_encoder is not None:
            raise CheckpointError(f"`text_encoder` {text_encoder}: this checkpoint has no text encoder; leave it out")
        return None
    source = str(text_encoder) if text_encoder is not None else DEFAULT_TEXT_ENCODERS[text_config.model_type]
    tokenizer = fetch_tokenizer(source)
    if len(tokenizer) != text_config.vocab_size:
        raise CheckpointError(
            f"`text_encoder` {source}: its tokenizer has {len(tokenizer)} tokens, the checkpoint "
            f"{text_config.vocab_size}; it is the tokenizer of another text encoder"
        )
    return tokenizer


def fetch_tokenizer(source: str) -> Any:
    """The tokenizer of a folder or a Hub id.

    Raises:
        CheckpointError: it could not be loaded.
    """
    from huggingface_hub import snapshot_download
    from transformers import AutoTokenizer

    try:
        # Files first: without a network this fails at once, where the tokenizer class would retry for a minute.
        local = source if Path(source).is_dir() else snapshot_download(source, allow_patterns=_TOKENIZER_FILES)
        return AutoTokenizer.from_pretrained(local)
    except Exception as error:  # the hub, the file system and the tokenizers library all raise their own
        raise CheckpointError(
            f"the tokenizer of {source!r} could not be loaded ({one_line(error)}); `text_encoder` takes it from a "
            'folder, "none" there makes a model that takes token ids'
        ) from error


def make_processor(config: ReferenceFusionConfig, tokenizer: Any) -> UniRefProcessor:
    """The processor of a model: released sizes, or for SAM everything inside its one square input."""
    from ..processors import UniRefImageProcessor

    options: dict[str, Any] = {}
    if isinstance(config, UniRefSamConfig):
        side = config.image_size
        options = {"size": {"longest_edge": side}, "pad_size": {"height": side, "width": side}}
    return UniRefProcessor(UniRefImageProcessor(**options), tokenizer, text_length=config.text_length)
