"""Ready adapter configurations by name: which layers get a low-rank addition, which modules are trained as they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from ..core.errors import InvalidInputError, UsageError, one_line
from ..core.model_names import name_of
from ..core.near_names import named
from ..core.optional import require
from .folders import AdapterError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TARGETS = {
    "uniref": (
        # Swin's attention; a ResNet has no linear layers
        r"visual_encoder\.backbone\..*\.attention\.(q|k|v|o)_proj",
        # the projections of BERT and RoBERTa, or of encoders that call them by shorter names
        r"language_encoder\.text_encoder\..*\.attention\.(self\.(query|key|value)|output\.dense)",
        r"language_encoder\.text_encoder\..*\.(q|k|v|o|out)_proj",
        r"transformer\.(encoder|decoder)\.layers\.\d+\.(self|cross)_attn\.(q|k|v|out|value|output)_proj",
        r"transformer\.(encoder|decoder)\.layers\.\d+\.linear[12]",
    ),
    "uniref_sam": (
        r"visual_encoder\.backbone\.layers\.\d+\.attn\.qkv",
        r"language_encoder\.text_encoder\..*\.attention\.(self\.(query|key|value)|output\.dense)",
        r"language_encoder\.text_encoder\..*\.(q|k|v|o|out)_proj",
    ),
}
"""By model type: full names of the linear layers of `target_modules`; patterns that fit nothing are left out."""

FUSION_TARGETS = (
    r"fusion\.(q|k|v|out)_proj",
    r"fusion\.modulation",
    r"language_encoder\.projection",
    r"mask_decoder\.transformer\..*\.(q|k|v|out)_proj",
    r"mask_decoder\.transformer\..*\.lin[12]",
)
"""The linear layers that a light adapter adds to instead of copying the modules that hold them."""

FUSION = (r"fusion",)
REFERENCE_ENCODERS = (r"mask_encoder", r"language_encoder\.(projection|layer_norm)")
HEADS = (r"class_heads\.\d+", r"box_heads\.\d+", r"mask_head", r"mask_decoder")
LIGHT_HEADS = (r"class_heads\.\d+", r"language_encoder\.layer_norm")


@dataclass(frozen=True)
class AdapterPreset:
    """What a name of `adapter_config` stands for.

    Attributes:
        purpose: one sentence about it.
        options: arguments of `LoraConfig`.
        copied: patterns of the modules in `modules_to_save`, which are trained as whole copies.
        targets: patterns of linear layers beyond `TARGETS`.
    """

    purpose: str
    options: Mapping[str, Any]
    copied: tuple[str, ...] = FUSION + REFERENCE_ENCODERS + HEADS
    targets: tuple[str, ...] = field(default=())


_RANK = {"r": 8, "lora_alpha": 16, "lora_dropout": 0.0, "bias": "none"}
_PRESETS = {
    "lora": AdapterPreset("LoRA on the encoders and the transformer; fusion, reference encoders, heads whole", _RANK),
    "dora": AdapterPreset("as lora, with weight-decomposed additions (DoRA)", {**_RANK, "use_dora": True}),
    "lora-light": AdapterPreset(
        "LoRA on the fusion and on SAM's decoder too; only class heads and a norm whole",
        _RANK,
        copied=LIGHT_HEADS,
        targets=FUSION_TARGETS,
    ),
}


def adapter_presets() -> dict[str, str]:
    """Names that `adapter_config` knows, each with its purpose."""
    return {name: preset.purpose for name, preset in _PRESETS.items()}


def adapter_config(name: str, model: nn.Module, **changes: Any) -> Any:
    """A ready `peft.LoraConfig` for `model`, to be given to `model.add_adapter` or `peft.get_peft_model`.

    LoRA (Hu et al. 2021) adds to the attention of a Swin, to `attn.qkv` of SAM's ViT, to the projections of the text
    encoder, and to the deformable transformer. A ResNet stays as it is. UniFusion, the reference encoders and the heads
    are small or new to the task and are trained whole, in `modules_to_save`.

    Args:
        name: one of `adapter_presets()`.
        model: a `UniRefModel` or `UniRefSamModel`, with any backbone and text encoder.
        **changes: arguments of `LoraConfig` that take the place of the preset's, such as `r=16`.

    Raises:
        MissingExtraError: PEFT is not installed.
        ValueError: an unknown name, a model of another kind, or an argument that `LoraConfig` does not have.
    """
    peft = require("peft", "train", "adapter_config")
    preset = named("name", name, _PRESETS)
    kind = getattr(getattr(model, "config", None), "model_type", None)
    if kind not in TARGETS:
        raise UsageError(f"model: must be a UniRefModel or UniRefSamModel, got {type(model).__name__} ({kind!r})")
    patterns = [p for p in (*TARGETS[kind], *preset.targets) if _fitting(model, p, linear=True)]
    copied = [module for pattern in preset.copied for module in _fitting(model, pattern)]
    values = {
        **preset.options,
        "target_modules": "|".join(f"({pattern})" for pattern in patterns),
        "modules_to_save": copied,
        **changes,
    }
    try:
        return peft.LoraConfig(**values)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name}: refused by LoraConfig ({error})") from error


def _fitting(model: nn.Module, pattern: str, linear: bool = False) -> list[str]:
    return [
        module_name
        for module_name, module in model.named_modules()
        if re.fullmatch(pattern, module_name) and (isinstance(module, nn.Linear) or not linear)
    ]


def config_for(model: nn.Module, preset: str = "", values: Mapping[str, Any] | None = None) -> Any:
    """The PEFT configuration that a preset, a user's own values, or both ask for.

    Args:
        model: that it is for.
        preset: a name of `adapter_presets`; empty: `values` say everything.
        values: with a preset, arguments of `LoraConfig` that change it; without, those of the configuration that their
            `peft_type` names (LORA, IA3, LOHA, ...), as in an `adapter_config.json`.

    Raises:
        ValueError: neither, or values that make no configuration.
    """
    given = {name: value for name, value in (values or {}).items() if name not in _BELONG_TO_A_SAVED_ADAPTER}
    if preset:
        kind = given.pop("peft_type", "LORA")
        if kind != "LORA":
            raise UsageError(f"peft_type: got {kind!r} beside the preset {preset!r}, which is LORA; name no preset")
        return adapter_config(preset, model, **given)
    peft = require("peft", "train", "a PEFT configuration")
    kind = given.pop("peft_type", None)
    known = {str(item.value): item for item in peft.PeftType}
    if kind not in known:
        raise UsageError(f"peft_type: got {kind!r}; accepted: {', '.join(sorted(known))}")
    try:
        return peft.PEFT_TYPE_TO_CONFIG_MAPPING[known[kind]](**given)
    except (TypeError, ValueError) as error:
        raise UsageError(f"the PEFT configuration of type {kind} is refused ({error})") from error


# What a saved adapter_config.json says about the run that it is from.
_BELONG_TO_A_SAVED_ADAPTER = (
    "auto_mapping",
    "base_model_name_or_path",
    "inference_mode",
    "peft_version",
    "revision",
    "task_type",
)


def read_config_values(peft_config: Path) -> dict[str, Any]:
    """The values of a PEFT configuration in a JSON or YAML file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a mapping.
    """
    import yaml

    if not peft_config.is_file():
        raise FileNotFoundError(f"`peft_config`: no such file: {peft_config}")
    try:
        values = yaml.safe_load(peft_config.read_text(encoding="utf-8"))  # JSON is YAML
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"`peft_config`: {peft_config} is neither JSON nor YAML ({one_line(error)})") from error
    if not isinstance(values, dict):
        what = type(values).__name__
        raise InvalidInputError("peft_config", f"a {what} in {peft_config}", "a mapping of options")
    return {str(name): value for name, value in values.items()}


def attach_adapter(model: PreTrainedModel, config: Any, base: str) -> None:
    """Put a new adapter into `model` in place; afterwards it alone is trained.

    Args:
        model: a `UniRefModel` or `UniRefSamModel`.
        config: a PEFT configuration.
        base: folder or Hub id of `model`, which the saved adapter will name. A folder is named by the name under which
            this package knows it everywhere (`uniref-pp`), else by its full path.

    Raises:
        AdapterError: PEFT cannot apply the configuration to this model.
    """
    try:
        model.add_adapter(config)
    except (TypeError, ValueError, NotImplementedError, KeyError) as error:
        raise AdapterError(f"the adapter cannot be put into {base}: {' '.join(str(error).split())[:400]}") from error
    folder = Path(base).expanduser()
    config.base_model_name_or_path = name_of(folder) or (str(folder.absolute()) if folder.is_dir() else base)
