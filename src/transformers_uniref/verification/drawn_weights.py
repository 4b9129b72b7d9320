"""The oracle's weights, from the rule stated in its README: a seed and a scale for every tensor's name.

Tensor = scale(name, z) with z = numpy's legacy normal stream seeded by crc32 of the name, in C order and float64,
cast to float32 at the end.  Tensors whose manifest entry says "keep" (counters and index tables) are not drawn.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from math import prod
from typing import Any

import numpy as np

Scale = Callable[[np.ndarray, str], np.ndarray]

INVALID_TOKEN_DIRECTION = "oracle:invalid token direction"
COUNTERS = (".num_batches_tracked",)


def fan_in(z: np.ndarray) -> int:
    """Inputs of one output: everything but the first axis."""
    return prod(z.shape[1:])


def normal_stream(seed_name: str, shape: tuple[int, ...]) -> np.ndarray:
    seed = zlib.crc32(seed_name.encode())
    return np.asarray(np.random.RandomState(seed).standard_normal(shape))


def by(factor: float) -> Scale:
    return lambda z, name: factor * z


def by_fan_in(factor: float) -> Scale:
    return lambda z, name: factor * z / np.sqrt(fan_in(z))


def around(mean: float, deviation: float) -> Scale:
    return lambda z, name: mean + deviation * z


def proposal_bias(z: np.ndarray, name: str) -> np.ndarray:
    """Not random over names: the direction that padded tokens have once they are normalised."""
    return 0.02 * normal_stream(INVALID_TOKEN_DIRECTION, z.shape)


def class_head(z: np.ndarray, name: str) -> np.ndarray:
    """Gives padded tokens, which point along the fixed direction, a logit of about -6."""
    inputs = fan_in(z)
    against = normal_stream(INVALID_TOKEN_DIRECTION, z.shape[1:])
    return z / np.sqrt(inputs) - (6.0 / inputs) * against


def dynamic_filter_generator(z: np.ndarray, name: str) -> np.ndarray:
    """Last layer of the controller: 8 filters of (2 + C) inputs come first; those on the two coordinates are shrunk."""
    scaled = z * (1.3 / np.sqrt(fan_in(z))) if z.ndim > 1 else 0.1 * z
    rows, filters = z.shape[0], 8
    inputs = (rows - (filters * filters + 3 * filters + 1)) // filters
    shrink = np.ones(rows)
    for output in range(filters):
        shrink[output * inputs : output * inputs + 2] = 0.02
    return scaled * shrink.reshape(-1, *[1] * (z.ndim - 1))


def ordinary(z: np.ndarray, name: str) -> np.ndarray:
    """Matrices and kernels by their fan-in, norm weights around one, biases around zero."""
    if z.ndim > 1:
        return z / np.sqrt(fan_in(z))
    return 1.0 + 0.1 * z if name.endswith("weight") else 0.02 * z


EMBEDDINGS = (
    "query_embed.weight",
    "iou_token.weight",
    "mask_tokens.weight",
    "no_mask_embed.weight",
    "not_a_point_embed.weight",
    "positional_encoding_gaussian_matrix",
)
TEXT_EMBEDDINGS = tuple(f"{kind}_embeddings.weight" for kind in ("word", "position", "token_type"))

# First rule whose test holds wins; the order matters.
RULES: list[tuple[Callable[[str], bool], Scale]] = [
    (lambda n: n.endswith("running_var"), lambda z, name: np.exp(0.1 * z)),
    (lambda n: n.endswith("running_mean"), by(0.05)),
    (lambda n: n.endswith("sampling_offsets.bias"), by(1.5)),
    (lambda n: n.endswith("adaLN_modulation.1.weight"), by_fan_in(1.5)),
    (lambda n: n.endswith("adaLN_modulation.1.bias"), by(0.4)),
    (lambda n: n.endswith("transformer.enc_output.bias"), proposal_bias),
    (lambda n: ".class_embed." in n and n.endswith(".weight"), class_head),
    (lambda n: n.endswith("relative_position_bias_table"), by(0.5)),
    (lambda n: n.endswith(("rel_pos_h", "rel_pos_w")), by(0.1)),
    (lambda n: n.endswith("pos_embed"), by(0.2)),
    (lambda n: n.endswith("level_embed"), by(0.5)),
    (lambda n: n.endswith(EMBEDDINGS) or ".point_embeddings." in n, by(1.0)),
    (lambda n: n.endswith(TEXT_EMBEDDINGS), by(0.5)),
    (lambda n: ".controller.layers.2." in n, dynamic_filter_generator),
    (lambda n: n.endswith(("detr.mask_conv.weight", "output_hypernetworks_mlps.0.layers.2.weight")), by_fan_in(4.0)),
    (lambda n: n.endswith("iou_prediction_head.layers.2.bias"), around(1.6, 0.02)),
]


def generate(name: str, shape: Iterable[int]) -> np.ndarray:
    """The float32 tensor of one manifest entry."""
    name = first_name(name)
    z = normal_stream(name, tuple(shape))
    scale = next((scale for applies, scale in RULES if applies(name)), ordinary)
    return np.ascontiguousarray(scale(z, name), dtype=np.float32)


def first_name(name: str) -> str:
    """The decoder lists the class and box heads a second time; both names seed as the first."""
    for head in ("class_embed", "bbox_embed"):
        name = name.replace(f"transformer.decoder.{head}.", f"{head}.")
    return name


def original_state_dict(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """What the released code's `state_dict()` would hold: generated tensors and the constructor's counters (zeros).

    Index tables are left out; a converter has no use for them.
    """
    import torch

    state: dict[str, Any] = {}
    for entry in entries:
        name, source = entry["name"], entry.get("alias_of")
        if entry.get("rule", "gen") == "gen":
            state[name] = state[source] if source in state else torch.from_numpy(generate(name, entry["shape"]))
        elif name.endswith(COUNTERS):
            state[name] = torch.zeros((), dtype=torch.int64)
        elif name.endswith("criterion._iter"):
            state[name] = torch.zeros(entry["shape"])
    return state
