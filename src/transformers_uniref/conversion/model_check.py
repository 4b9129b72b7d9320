"""Whether a converted folder holds the model that a released checkpoint becomes, told from the headers of its files."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from .tensor_list import counted, tensor_list


def model_differences(folder: Path, name: str) -> str:
    """How the tensors in a folder's `*.safetensors` depart from the model's; empty where they do not.

    `name`: of the list of the original's tensors.
    """
    from safetensors import SafetensorError, safe_open

    held: dict[str, tuple[int, ...]] = {}
    for file in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(file, framework="np") as weights:
                held |= {key: tuple(weights.get_slice(key).get_shape()) for key in weights.keys()}  # noqa: SIM118
        except SafetensorError as error:
            return f"{file.name} is damaged ({error})"
    if not held:
        return "it has no safetensors"
    wanted = model_shapes(name)
    missing = [key for key in wanted if key not in held]
    foreign = [key for key in held if key not in wanted]
    misshapen = [key for key, shape in held.items() if wanted.get(key, shape) != shape]
    return counted({"tensors are missing": missing, "should not be there": foreign, "have other shapes": misshapen})


@cache
def model_shapes(name: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the model's tensors that a checkpoint with this list becomes; without memory for values."""
    import torch
    from transformers import AutoModel

    from .converter import convert_state_dict, variant_config

    with torch.device("meta"):
        original = {key: torch.empty(entry.shape) for key, entry in tensor_list(name).items()}
        state = AutoModel.from_config(variant_config(original)).state_dict()
    converted, _ = convert_state_dict(original, state)
    return {key: tuple(value.shape) for key, value in converted.items()}
