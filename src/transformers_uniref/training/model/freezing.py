"""Which parameters a run leaves as they are: presets by name, on top of which patterns may freeze more."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from torch import nn

from ...core.errors import UsageError

_FUSION = (r"^fusion\.",)
_DECODER = {
    "uniref": (
        r"^transformer\.(decoder|query_embed|position_proj|position_norm)\.",
        r"^(class_heads|box_heads|mask_head)\.",
    ),
    "uniref_sam": (r"^mask_decoder\.",),
}
_RELEASED_RESNET = (r"^visual_encoder\.backbone\.embedder\.", r"^visual_encoder\.backbone\.encoder\.stages\.0\.")
_RELEASED_SAM = (r"^visual_encoder\.backbone\.", r"^prompt_encoder\.")


def frozen_by_preset(model: Any, preset: str) -> list[str]:
    """The names of the parameters that a preset freezes.

    Args:
        model: a `UniRefModel` or `UniRefSamModel`.
        preset: `released`: what every released stage freezes: stem and first stage of a ResNet, nothing of a Swin; of a
            SAM the image encoder and the prompt encoder. (The released video stages freeze the text encoder as well.)
            `fusion`: all but UniFusion. `decoder`: all but the decoder, its queries and the heads; of a SAM all but the
            mask decoder. `full`: nothing, the whole model is trained.

    Raises:
        ValueError: the model has nothing of what the preset trains.
    """
    names = [name for name, _ in model.named_parameters()]
    kind = model.config.model_type
    if preset == "full":
        return []
    if preset == "released":
        if kind == "uniref_sam":
            return _found(names, _RELEASED_SAM)
        resnet = model.config.backbone_config.model_type == "resnet"
        return _found(names, _RELEASED_RESNET) if resnet else []
    trained = set(_found(names, _FUSION if preset == "fusion" else _DECODER[kind]))
    if not trained:
        raise UsageError(f"freeze: {preset!r} leaves nothing to train in a model without a {preset}")
    return [name for name in names if name not in trained]


def _found(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    return [name for name in names if any(re.search(pattern, name) for pattern in patterns)]


def freeze_(model: nn.Module, patterns: Sequence[str]) -> list[str]:
    """Stop training the parameters whose name one of the regular expressions is found in.

    Only the gradient is switched off: dropout inside a frozen part stays active, as in the released video stage, whose
    text encoder is frozen (fact: its dropout of 0.1 is not).

    Returns:
        the names.

    Raises:
        ValueError: a pattern fits no parameter.
    """
    frozen = []
    for pattern in patterns:
        fitting = _found([name for name, _ in model.named_parameters()], [pattern])
        if not fitting:
            raise UsageError(f"frozen: {pattern!r} is found in no parameter's name; {first_names(model)}")
        frozen += fitting
    for name in frozen:
        model.get_parameter(name).requires_grad_(False)
    return sorted(set(frozen))


def freeze_model_(model: nn.Module, preset: str, patterns: Sequence[str]) -> list[str]:
    """Freeze what `preset` says, and the parameters that one of `patterns` is found in; the names of both.

    Raises:
        ValueError: see `frozen_by_preset` and `freeze_`.
    """
    by_preset = frozen_by_preset(model, preset)
    for name in by_preset:
        model.get_parameter(name).requires_grad_(False)
    return sorted({*by_preset, *freeze_(model, patterns)})


def trained_share(model: nn.Module) -> tuple[int, int]:
    """How many of the model's parameters are trained, and how many there are, copies that an adapter keeps not counted.

    `modules_to_save` of an adapter are trained copies of modules of the base; the module itself counts once, trained.
    """
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    own = sum(p.numel() for name, p in model.named_parameters() if ".original_module." not in name)
    return trained, own


def first_names(model: nn.Module) -> str:
    """How the names of its parameters begin, for an error about a pattern that fits none."""
    return f"names begin with {', '.join(name for name, _ in model.named_children())}"
