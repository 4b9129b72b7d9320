"""An adapter and its base as one ordinary model."""

from __future__ import annotations

import os
from typing import Any

from ..core.hub_reach import reach_options
from ..core.optional import require
from .folders import AdapterError, base_of, check_fits, require_base, require_safetensors


def merge_adapter(source: str | os.PathLike[str], base: Any = None, **options: Any) -> Any:
    """Load an adapter, add it into the weights of its base, and take the additions away.

    The result computes what base and adapter compute together, up to rounding, needs no PEFT, and is saved, pushed and
    fine-tuned like any other model.

    Args:
        source: folder or Hub id of the adapter.
        base: the loaded model to merge into, which is changed; None: what the adapter names.
        **options: of `AutoModel.from_pretrained`, for the base.

    Returns:
        a `UniRefModel` or `UniRefSamModel`.

    Raises:
        AdapterError: `source` is no adapter, is a pickle, does not fit the base, or names one that cannot be found.
    """
    peft = require("peft", "train", "merging an adapter")
    from transformers import AutoModel

    name = base_of(source)
    if name is None:
        raise AdapterError(f"source: {source} holds no adapter (adapter_config.json)")
    weights = require_safetensors(source)
    if base is None:
        require_base(source, name)
    model = AutoModel.from_pretrained(name, **{**reach_options(name, model=True), **options}) if base is None else base
    assert weights is not None
    check_fits(source, weights, model, name)
    return peft.PeftModel.from_pretrained(model, str(source)).merge_and_unload()
