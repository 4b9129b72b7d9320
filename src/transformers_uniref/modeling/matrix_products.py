"""Linear layers without gradients on a CPU, through the faster of the two libraries that PyTorch brings.

In single precision `torch.nn.functional.linear` always calls the BLAS (MKL), which on other makers' processors leaves
half of the vector width unused; convolutions and half precision go to oneDNN, which does not. The operator used here is
the one that `torch.compile` puts in place of linear layers. Sums are in another order, nothing else differs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_PRODUCT = getattr(torch.ops.mkldnn, "_linear_pointwise", None) if torch.backends.mkldnn.is_available() else None


def rows_times(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`F.linear`, the fast way where no gradients are wanted.

    Args:
        x: (..., inputs).
        weight: (outputs, inputs).
        bias: (outputs,) or None.
    """
    if _PRODUCT is None or x.dtype != torch.float32 or not _may_use(x, weight):
        return F.linear(x, weight, bias)
    return _PRODUCT(x, weight, bias, "none", [], "")


def apply_linear(linear: nn.Module, x: Tensor) -> Tensor:
    """`linear(x)`; as `rows_times` where nothing but the product can be meant.

    Adapters, quantised layers and hooks keep their own `forward`.
    """
    if (
        type(linear) is nn.Linear
        and not (linear._forward_hooks or linear._forward_pre_hooks or "forward" in linear.__dict__)
        and x.device.type == "cpu"
        and not torch.is_autocast_enabled("cpu")
    ):
        return rows_times(x, linear.weight, linear.bias)
    return linear(x)


def _may_use(x: Tensor, weight: Tensor) -> bool:
    return (
        x.device.type == "cpu"
        and weight.device.type == "cpu"
        and weight.dtype == x.dtype
        and bool(torch.backends.mkldnn.enabled)
        and not torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
    )
