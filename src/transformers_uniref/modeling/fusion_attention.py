"""Who looks at what: the attention of UniFusion, computed for those who ask and for nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from .fusion import UniFusion


@contextmanager
def record_fusion_attention(fusion: UniFusion) -> Iterator[list[Tensor]]:
    """Collects the attention weights of every call of a fusion module while the block runs.

    Fused attention kernels do not return their weights, so they are computed a second time, by the same formula. A
    session on a CPU, which usually shares work between objects, calls the module for each of them meanwhile.

    Args:
        fusion: `model.fusion`.

    Yields:
        A list that grows by (N, heads, S, T) with each call: for each level, finest first, one for each reference. S
        visual tokens of the level, T tokens of the reference; see `UniFusion.attention_weights`.
    """
    recorded: list[Tensor] = []

    def record(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        recorded.append(module.attention_weights(*args, **kwargs))

    handle = fusion.register_forward_pre_hook(record, with_kwargs=True)
    try:
        yield recorded
    finally:
        handle.remove()


def by_reference(recorded: list[Tensor], references: int) -> tuple[tuple[Tensor, ...], ...]:
    """The weights that one pass recorded: for each reference one (N, heads, S, T) a level."""
    return tuple(tuple(recorded[place::references]) for place in range(references))
