"""What a folder holds: a model, an adapter or a processor; what is known about it; which of its files are pushed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..core import provenance
from ..core.errors import one_line
from ..core.families import MODEL_FAMILIES
from ..core.hub_reach import reach_options, why_not_here
from ..core.push_errors import PushError
from ..evaluation import results_file
from .shim import CONFIG_FILE, PROCESSOR_FILE

if TYPE_CHECKING:
    from ..processors.processing_uniref import UniRefProcessor

CARD_FILE = "README.md"
ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_MODEL_WEIGHTS = ("model.safetensors", "model-*-of-*.safetensors", "model.safetensors.index.json")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")
_PROCESSOR_FILES = (
    PROCESSOR_FILE,
    "preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
)
_COMMON_FILES = (*_PROCESSOR_FILES, provenance.FILE_NAME, results_file.FILE_NAME, "LICENSE", "LICENSE.*")

Kind = Literal["model", "adapter", "processor"]


@dataclass
class ModelFolder:
    """A folder that can be pushed.

    Attributes:
        path, kind: where it is, and what it holds.
        config: of the model, or of the model that the adapter is for.
        parameters: number of the model's, or the adapter's, weights.
        dtypes: the types in which they are stored, such as "float16".
        adapter: the adapter's configuration.
        base_model: Hub id of the model that the adapter is for, or that the weights were fine-tuned from.
        evaluation: results measured on these weights.
        files: what is pushed, by name, the card left out.
        left_out: what else the folder holds.
    """

    path: Path
    kind: Kind
    config: Any = None
    parameters: int = 0
    dtypes: str = ""
    adapter: dict[str, Any] = field(default_factory=dict)
    base_model: str = ""
    processor: UniRefProcessor | None = None
    provenance: provenance.Provenance | None = None
    evaluation: dict[str, Any] | None = None
    files: dict[str, Path] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    @cached_property
    def tasks(self) -> list[str]:
        """The pipelines' names of what the model does."""
        tasks = []
        if self.config is not None and self.config.use_language_references:
            tasks += ["referring-segmentation", "referring-video-segmentation"]
        if self.config is not None and self.config.use_mask_references:
            tasks += ["few-shot-segmentation", "video-object-segmentation"]
        return tasks

    @property
    def reads_sentences(self) -> bool:
        """Whether model and processor turn a sentence into a mask."""
        tokenizer = getattr(self.processor, "tokenizer", None)
        return "referring-segmentation" in self.tasks and (tokenizer is not None or self.borrows_processor)

    @property
    def borrows_processor(self) -> bool:
        """Whether the processor is the one of the adapter's base model."""
        return self.kind == "adapter" and self.processor is None


def read_folder(folder: Path, base_model: str | None = None) -> ModelFolder:
    """Look at a folder before it is pushed: it has to load, and nothing in it may be a pickle that is needed.

    Args:
        folder: written by `save_pretrained`, `uniref train`, `uniref convert` or PEFT.
        base_model: Hub id of the adapter's base model, in place of what the adapter says.

    Raises:
        PushError: with one line that says what is wrong.
    """
    if not folder.is_dir():
        raise PushError(f"`folder` must be a folder, got {folder}{'' if folder.exists() else ', which does not exist'}")
    kind = _kind(folder)
    found = ModelFolder(folder, kind)
    if kind == "adapter":
        _read_adapter(found, base_model)
    elif kind == "model":
        _read_model(found)
    if (folder / PROCESSOR_FILE).is_file():
        found.processor = _load_processor(folder)
    try:
        found.provenance = provenance.read_provenance(folder)
    except ValueError as error:
        raise PushError(str(error)) from None
    if kind != "processor":
        found.evaluation = results_file.read_results(folder)
    if kind == "model":
        found.base_model = base_model or (found.provenance.started_from.get("model", "") if found.provenance else "")
        if not provenance.hub_id(found.base_model):
            found.base_model = ""
    wanted = {
        "model": (CONFIG_FILE, *_MODEL_WEIGHTS, *_COMMON_FILES),
        "adapter": (ADAPTER_CONFIG, ADAPTER_WEIGHTS, *_COMMON_FILES),
        "processor": _PROCESSOR_FILES,
    }[kind]
    found.files = {path.name: path for pattern in wanted for path in sorted(folder.glob(pattern)) if path.is_file()}
    found.left_out = sorted(p.name for p in folder.iterdir() if p.name not in {*found.files, CARD_FILE})
    return found


def _kind(folder: Path) -> Kind:
    if any(folder.glob("model*.safetensors")) and (folder / CONFIG_FILE).is_file():
        return "model"
    if (folder / ADAPTER_CONFIG).is_file():
        if not (folder / ADAPTER_WEIGHTS).is_file():
            pickled = " (adapter_model.bin is a pickle and is not pushed)" if list(folder.glob("*.bin")) else ""
            raise PushError(f"{folder}: an adapter needs {ADAPTER_WEIGHTS}, which is not there{pickled}")
        return "adapter"
    if (folder / CONFIG_FILE).is_file():
        pickles = [path.name for pattern in _PICKLES for path in folder.glob(pattern)]
        hint = f"; {pickles[0]} is a pickle and is not pushed: save the model as safetensors" if pickles else ""
        raise PushError(f"{folder}: holds config.json but no weights as safetensors{hint}")
    if (folder / PROCESSOR_FILE).is_file():
        return "processor"
    raise PushError(
        f"{folder}: holds neither a model (config.json, model.safetensors), nor an adapter ({ADAPTER_CONFIG}, "
        f"{ADAPTER_WEIGHTS}), nor a processor ({PROCESSOR_FILE})"
    )


def _read_model(found: ModelFolder) -> None:
    """Load the model, which is the proof that others can; count its parameters."""
    from transformers import AutoConfig, AutoModel

    folder = found.path
    try:
        found.config = AutoConfig.from_pretrained(folder)
        if found.config.model_type not in [family.model_type for family in MODEL_FAMILIES]:
            raise PushError(f"{folder}: must be a UniRef model, got one of type {found.config.model_type!r}")
        loaded: Any = AutoModel.from_pretrained(
            folder, config=found.config, dtype="auto", use_safetensors=True, output_loading_info=True
        )
    except PushError:
        raise
    except Exception as error:  # the file system, safetensors and the strict configurations all raise their own
        raise PushError(f"{folder}: does not load: {one_line(error)}") from error
    model, account = loaded
    if missing := sorted(account["missing_keys"]):
        raise PushError(f"{folder}: lacks {len(missing)} of the model's weights ({missing[0]}, ...)")
    found.parameters = sum(parameter.numel() for parameter in model.parameters())
    found.dtypes = _dtypes(folder.glob("model*.safetensors"))


def _read_adapter(found: ModelFolder, base_model: str | None) -> None:
    from safetensors import SafetensorError, safe_open

    path = found.path / ADAPTER_CONFIG
    try:
        found.adapter = json.loads(path.read_text(encoding="utf-8"))
        named = found.adapter.get("base_model_name_or_path") or ""
        with safe_open(found.path / ADAPTER_WEIGHTS, framework="np") as weights:
            found.parameters = sum(prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
        found.dtypes = _dtypes([found.path / ADAPTER_WEIGHTS])
    except (ValueError, AttributeError, OSError, SafetensorError) as error:
        raise PushError(f"{found.path}: does not load: {one_line(error)}") from error
    found.base_model = base_model or named
    if not provenance.hub_id(found.base_model):
        raise PushError(
            f"{path}: the adapter's base model must be the id of a repository, NAMESPACE/NAME, for others to find it, "
            f"got {found.base_model!r}; push that model first, then name it with `base_model`"
        )
    # What the adapter was trained on lies here, perhaps; else its base model is looked up, in the cache first.
    found.config = base_config(named if Path(named).is_dir() else found.base_model)


def base_config(name: str) -> Any:
    """The configuration of an adapter's base model, a folder or the id of a repository.

    Raises:
        PushError: no such model in reach, or not one of this package.
    """
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(name, **reach_options(name))
    except Exception as error:  # the hub and the file system raise their own
        why = why_not_here(name) or one_line(error)
        raise PushError(f"the adapter's base model {name!r} cannot be resolved: {why}") from error
    if config.model_type not in [family.model_type for family in MODEL_FAMILIES]:
        raise PushError(
            f"the adapter's base model must be a UniRef model, got one of type {config.model_type!r}: {name}"
        )
    return config


def _load_processor(folder: Path) -> UniRefProcessor:
    from transformers import AutoProcessor

    try:
        return AutoProcessor.from_pretrained(folder)
    except Exception as error:  # the file system and the tokenizers library raise their own
        raise PushError(f"{folder}: its processor does not load: {one_line(error)}") from error


def _dtypes(files: Any) -> str:
    from safetensors import safe_open

    names = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
    kinds = set()
    for file in files:
        with safe_open(file, framework="np") as weights:
            kinds |= {weights.get_slice(name).get_dtype() for name in weights.keys()}  # noqa: SIM118
    return " and ".join(sorted(names[kind] for kind in kinds if kind in names))
