"""An oracle family as a user gets it: an original checkpoint, converted, then loaded through the Auto classes."""

from __future__ import annotations

from functools import reduce
from pathlib import Path
from typing import Any

import torch

from transformers_uniref.verification.drawn_weights import original_state_dict

from .folder import Oracle


def write_checkpoint(oracle: Oracle, family: str, path: Path) -> None:
    """The family's weights as the released code would have saved them."""
    torch.save({"model": original_state_dict(oracle.manifest(family)["entries"])}, path)


def convert_family(oracle: Oracle, family: str, folder: Path) -> Path:
    """The family as a Transformers folder without a tokenizer; the oracle feeds token ids."""
    from transformers_uniref.conversion.converter import convert_checkpoint
    from transformers_uniref.conversion.variants import parse_overrides

    original, converted = folder / f"{family}.pth", folder / family
    write_checkpoint(oracle, family, original)
    names = [entry["name"] for entry in oracle.manifest(family)["entries"]]
    has_text = any("text_encoder." in name for name in names)
    heads = oracle.manifest(family)["meta"].get("bert", {}).get("num_attention_heads", 4)
    settings = [f"text_config.num_attention_heads={heads}"] if has_text else []
    settings += ["reproduce_released_bugs=true"] if any(".sam." in name for name in names) else []
    convert_checkpoint(original, converted, text_encoder="none", overrides=parse_overrides(settings))
    original.unlink()
    return converted


def load_model(folder: Path, **options: Any) -> Any:
    """`AutoModel`, in evaluation mode, in float32; `options` change the configuration (`a__b` for an option b of a)."""
    from transformers import AutoConfig, AutoModel

    import transformers_uniref  # noqa: F401  (registers with the Auto classes)

    config = AutoConfig.from_pretrained(folder)
    for name, value in options.items():
        *parents, last = name.split("__")
        setattr(reduce(getattr, parents, config), last, value)
    return AutoModel.from_pretrained(folder, config=config, dtype=torch.float32)


def load_processor(folder: Path) -> Any:
    from transformers import AutoProcessor

    import transformers_uniref  # noqa: F401

    return AutoProcessor.from_pretrained(folder)
