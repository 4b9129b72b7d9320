"""What several processes have to agree on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object
from torch import nn

BUCKET_ELEMENTS = 2**24
"""Gradients travel in pieces of this many numbers (64 MiB in single precision)."""


@torch.no_grad()
def average_gradients(accelerator: Accelerator, parameters: Sequence[nn.Parameter]) -> None:
    """Replace every gradient by its mean over the processes, once an optimiser step.

    `DistributedDataParallel` averages inside each backward pass and waits there for a gradient of every parameter: a
    micro-batch with sentences only has none of the value encoder, and processes whose micro-batches differ would hang,
    or search the graph for unused parameters in every pass. Here the processes meet after the last micro-batch
    of the step, so tasks may touch what they like and the traffic is that of one pass however many micro-batches there
    are; what is given up is the overlap of traffic and backward pass. A parameter that no process used keeps no
    gradient, as on one process, and so neither decays nor moves by its momentum; one that some used counts as zero
    elsewhere.
    """
    if accelerator.num_processes == 1 or not parameters:
        return
    used = torch.tensor([float(p.grad is not None) for p in parameters], device=parameters[0].device)
    used = accelerator.reduce(used, reduction="sum")
    wanted = [p for p, count in zip(parameters, used.tolist(), strict=True) if count]
    for bucket in _buckets(wanted):
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in bucket])
        flat = accelerator.reduce(flat, reduction="mean")
        for parameter, part in zip(bucket, flat.split([p.numel() for p in bucket]), strict=True):
            parameter.grad = part.view_as(parameter).clone()


def _buckets(parameters: Sequence[nn.Parameter]) -> list[list[nn.Parameter]]:
    buckets: list[list[nn.Parameter]] = []
    room = 0
    for parameter in parameters:
        if not buckets or parameter.numel() > room or parameter.dtype != buckets[-1][0].dtype:
            buckets.append([])
            room = BUCKET_ELEMENTS
        buckets[-1].append(parameter)
        room -= parameter.numel()
    return buckets


def any_process(accelerator: Accelerator, flags: Sequence[bool]) -> list[bool]:
    """For each flag, whether it is set in any process. Every process must call."""
    if accelerator.num_processes == 1:
        return list(flags)
    counts = torch.tensor([float(flag) for flag in flags], device=accelerator.device)
    return [bool(count > 0) for count in accelerator.reduce(counts, reduction="sum").tolist()]


def gathered(accelerator: Accelerator, value: Any) -> list[Any]:
    """`value` of every process, by their number. Every process must call."""
    return [value] if accelerator.num_processes == 1 else gather_object([value])


def from_main(accelerator: Accelerator, value: Any) -> Any:
    """The main process's `value`. Every process must call."""
    return value if accelerator.num_processes == 1 else broadcast_object_list([value])[0]
