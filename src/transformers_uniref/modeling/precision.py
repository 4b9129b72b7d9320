"""Which number type computes fast where, asked of PyTorch or of the system, never guessed from names of machines.

On processors PyTorch hands half precision to oneDNN, which without instructions for it converts back and forth: a
session takes ten to twenty times as long as in single precision (`docs/performance_guide.md`).
"""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path
from typing import Any

import torch

from ..core.errors import UsageError

HALF = (torch.bfloat16, torch.float16)
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

# Flags of torch.cpu.get_capabilities and of /proc/cpuinfo, which call these alike; "bf16" is the name on ARM.
_INSTRUCTIONS = {
    torch.bfloat16: ("amx_bf16", "avx512_bf16", "bf16"),
    torch.float16: ("amx_fp16", "avx512_fp16", "fp16_arith", "asimdhp"),
}
# Of those, what makes half precision so much faster than single that "auto" gives up exactness for it.
_FASTER = "amx_bf16"

_CPU_INFO = Path("/proc/cpuinfo")


def fast_dtype(device: str | torch.device) -> torch.dtype:
    """The number type that computes fastest on a device.

    CUDA: bfloat16 where the hardware has it, else float16. Processors: bfloat16 with the matrix instructions AMX, else
    float32. Other devices: float32.
    """
    place = torch.device(device)
    if place.type == "cuda":
        return torch.bfloat16 if _cuda_has_bfloat16(place) else torch.float16
    if place.type == "cpu" and _FASTER in (processor_features() or ()) and torch.backends.mkldnn.is_available():
        return torch.bfloat16
    return torch.float32


def chosen_dtype(dtype: Any, device: str | torch.device) -> torch.dtype:
    """A number type, its name, or "auto" for `fast_dtype`.

    Raises:
        ValueError: another.
    """
    if dtype == "auto":
        return fast_dtype(device)
    found = DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if found not in DTYPES.values():
        raise UsageError(f'`dtype` must be torch.float32, torch.bfloat16, torch.float16 or "auto"; got {dtype!r}.')
    return found  # type: ignore[return-value]


def why_slow(dtype: torch.dtype, device: str | torch.device) -> str:
    """Why half precision is far slower on a device than single precision, "" where it is not or nobody knows."""
    features = processor_features()
    if dtype not in HALF or torch.device(device).type != "cpu" or features is None:
        return ""
    what = "" if features.intersection(_INSTRUCTIONS[dtype]) else "this processor has no instructions"
    what = what if torch.backends.mkldnn.is_available() else "this build of PyTorch has no oneDNN, and so no way"
    name = str(dtype).removeprefix("torch.")
    return f"{what} for {name}, which takes ten to twenty times as long as float32 there" if what else ""


def warn_if_slow(dtype: torch.dtype, device: str | torch.device) -> None:
    """Says so, once for each type, where half precision is far slower than single; see `why_slow`.

    Warns:
        UserWarning
    """
    if dtype not in _told and (reason := why_slow(dtype, device)):
        _told.add(dtype)
        warnings.warn(f'{reason}; dtype "auto" takes what is fast', stacklevel=3)


def half_precision(model: Any) -> torch.autocast:
    """A context in which a model with half-precision weights computes as it does in a video session.

    Warns:
        UserWarning: see `warn_if_slow`.
    """
    warn_if_slow(model.dtype, model.device)
    return torch.autocast(model.device.type, model.dtype, enabled=model.dtype != torch.float32)


_told: set[torch.dtype] = set()


@cache
def processor_features() -> frozenset[str] | None:
    """The instruction sets of the processor; None where neither PyTorch nor the system tells."""
    try:
        found = torch.cpu.get_capabilities()  # type: ignore[attr-defined, unused-ignore]  # from PyTorch 2.11 on
        names = frozenset(name for name, there in found.items() if there is True)
        if names:
            return names
    except (AttributeError, RuntimeError):
        pass
    try:
        lines = _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    flags = next((line.partition(":")[2] for line in lines if line.lower().startswith(("flags", "features"))), None)
    return None if flags is None else frozenset(flags.split())


def _cuda_has_bfloat16(device: torch.device) -> bool:
    if torch.version.hip is not None:
        return True
    try:
        return torch.cuda.get_device_capability(device) >= (8, 0)
    except (AssertionError, RuntimeError):
        return False


__all__ = ["chosen_dtype", "fast_dtype", "half_precision", "processor_features", "warn_if_slow", "why_slow"]
