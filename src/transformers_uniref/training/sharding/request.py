"""Whether a run shall be sharded: what its configuration and the launcher ask for, and what this loop does not do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...core.errors import UsageError

if TYPE_CHECKING:
    from accelerate import DistributedType

_LAUNCHED_FOR_FSDP = "ACCELERATE_USE_FSDP"
_LAUNCHED_FOR_OTHERS = {
    "ACCELERATE_USE_DEEPSPEED": "DEEPSPEED",
    "ACCELERATE_USE_MEGATRON_LM": "MEGATRON_LM",
}
# Options of `fsdp_config` in an Accelerate configuration that would change what this loop does, and what to do instead.
_REFUSED_OPTIONS = {
    "FSDP_OFFLOAD_PARAMS": "parameters stay on the device; start more processes",
    "FSDP_ACTIVATION_CHECKPOINTING": "set gradient_checkpointing in the training configuration",
    "FSDP_CPU_RAM_EFFICIENT_LOADING": "every process reads the start weights by itself",
}


@dataclass(frozen=True)
class Sharding:
    """FSDP2, and whether layers are put away after the forward pass, to be gathered again in the backward pass."""

    reshard_after_forward: bool = True


def requested_sharding(option: str) -> Sharding | None:
    """What `sharding` of the configuration (`none` or `fsdp2`) or `accelerate launch` asks for; None: whole copies.

    Which modules are sharded is decided by the loop, so the launcher's wrapping policy is not read.

    Raises:
        ValueError: the launcher asks for FSDP1, or for an option of FSDP2 that this loop does not have.
    """
    if not _is_set(_LAUNCHED_FOR_FSDP):
        return Sharding() if option == "fsdp2" else None
    version = os.environ.get("FSDP_VERSION", "1")
    if version != "2":
        raise UsageError(f"accelerate: launched with fsdp_version {version}; accepted: 2, as in fsdp2.yaml")
    for name, instead in _REFUSED_OPTIONS.items():
        if _is_set(name):
            raise UsageError(f"accelerate: {name.lower()}: got true; accepted: false ({instead})")
    return Sharding(os.environ.get("FSDP_RESHARD_AFTER_FORWARD", "true").lower() != "false")


def refuse_sharding(kind: DistributedType) -> None:
    """Refuse what this loop does not do, rather than train with whole copies under another name.

    Args:
        kind: what Accelerate made of the launch. On CPUs it drops a request for sharding silently, so the launcher's
            environment is asked too.

    Raises:
        ValueError: Accelerate was launched for DeepSpeed or Megatron-LM.
    """
    wanted = [kind.value, *(of for name, of in _LAUNCHED_FOR_OTHERS.items() if _is_set(name))]
    sharded = [of for of in wanted if of in _LAUNCHED_FOR_OTHERS.values()]
    if sharded:
        raise UsageError(
            f"accelerate: launched with {sharded[0]}; `uniref train` shards with FSDP2 only: use "
            "training/accelerate/fsdp2.yaml, or ddp.yaml for whole copies, or train with transformers.Trainer"
        )


@contextmanager
def hidden_from_accelerate() -> Iterator[None]:
    """Inside the block Accelerate does not see that it was launched for FSDP.

    It then joins and places the processes as for whole copies, on CPUs too; the sharding itself is the loop's.
    """
    launched = os.environ.pop(_LAUNCHED_FOR_FSDP, None)
    try:
        yield
    finally:
        if launched is not None:
            os.environ[_LAUNCHED_FOR_FSDP] = launched


def _is_set(name: str) -> bool:
    return os.environ.get(name, "").lower() in ("true", "1")
