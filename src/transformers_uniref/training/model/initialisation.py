"""Start values that make a tiny model learn soon: UniFusion looks at its references, masks start undecided.

Training only: neither the architecture nor the meaning of a parameter changes, and a model trained from these start
values is an ordinary UniRef. A model card of such a model states them. From the released start values (xavier
projections, zero gates) a tiny model finds objects first and ignores the reference for a long time.
"""

from __future__ import annotations

from typing import Any

import torch


@torch.no_grad()
def identity_fusion_(fusion: Any, heads: int, noise: float, gate: float = 0.0) -> None:
    """Make UniFusion compare like with like: in every head W_q = W_k = rows of an identity matrix + noise.

    Head h reads `head_dim` consecutive channels of the normalised features, starting where head h - 1 ended (round and
    round), so that q.k of a head is the correlation of these channels of a query and a key.

    Args:
        fusion: a module with linear layers `q_proj`, `k_proj` (width -> heads * head_dim) and `modulation`
            (width -> 3 * width in the order shift, scale, gate).
        heads: number of heads.
        noise: standard deviation added to each projection separately.
        gate: start value of the gate's bias; 0 (released) starts without any influence of the reference.
    """
    inner, width = fusion.q_proj.weight.shape
    head_dim = inner // heads
    rows = torch.arange(inner)
    identity = torch.zeros(inner, width)
    identity[rows, rows % width] = 1.0
    if head_dim > width:
        # A head wider than the features repeats channels: keep q.k on the scale of one identity.
        identity *= (width / head_dim) ** 0.5
    for projection in (fusion.q_proj, fusion.k_proj):
        random = torch.randn(identity.shape) * noise
        projection.weight.copy_(identity + random)
        projection.bias.zero_()
    if gate:
        fusion.modulation.bias[2 * width :].fill_(gate)


@torch.no_grad()
def calm_controller_(controller: Any, scale: float) -> None:
    """Multiply the start weights of the mask controller's last layer by `scale`.

    The dynamic convolutions read coordinates in pixels, so from ordinary start weights the first mask logits are in the
    tens and their gradient drowns every other for hundreds of steps.
    """
    controller.layers[-1].weight.mul_(scale)
