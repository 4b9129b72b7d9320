"""FSDP2: every process holds its piece of the parameters, gradients, moments and averages.

Parameters are gathered module by module when a pass needs them, and gradients are averaged and cut into pieces as soon
as a module's backward pass is done. That works only while all processes run the same modules in the same order:
`require_lockstep` sees to that. Pieces are `DTensor`s, which checkpoints never hold: `whole` puts them together,
`piece_of` cuts them again, so that a checkpoint does not tell how many processes wrote it.

This is PyTorch's `fully_shard` without `Accelerator.prepare`, which shards one module, where a step has the model and
the training-only heads, and on CPUs drops the request without a word.
"""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers.modeling_layers import GradientCheckpointingLayer

from ...core.errors import UsageError
from ..data.collation import Batch
from .request import Sharding

if TYPE_CHECKING:
    from accelerate import Accelerator

# Entered by `forward` alone, once or twice a pass. What is also entered by other methods (UniFusion, the mask head) or
# has hardly any parameters (the heads) stays in the model's own group, which is whole from the pass's begin to its end.
_LARGE_PARTS = ("visual_encoder", "language_encoder", "mask_encoder")


def require_shardable(channels_last: bool, with_adapter: bool, compile: str) -> None:
    """Refuse a run that cannot be sharded, by its options and whether it trains an adapter.

    Raises:
        ValueError: an option, or the installed PyTorch, stands against it.
    """
    if channels_last:
        raise UsageError("channels_last: got true; accepted with sharding fsdp2: false, FSDP2 needs plain strides")
    if with_adapter:
        raise UsageError("peft: given together with sharding fsdp2, which has not been tried; train it unsharded")
    if compile:
        raise UsageError(f"compile: got {compile!r}; accepted with sharding fsdp2: empty, it has not been tried")
    if not hasattr(FSDPModule, "reset_iter_state"):
        raise UsageError(f"sharding: PyTorch {torch.__version__} is too old for it; 2.13 has what it needs")


def shard_(model: nn.Module, helper: nn.Module, accelerator: Accelerator, sharding: Sharding) -> str:
    """Cut the parameters of `model` and of the training-only `helper` into a piece for every process.

    Every transformer layer is a group of its own, so are the rests of the encoders, and what remains of the model. All
    processes must hold equal values, and the optimiser must be made afterwards.

    Returns:
        a line that says what was done.
    """
    # The encoders and the model return views, which nobody changes in place.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
    mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
    total = sum(p.numel() for p in model.parameters())
    # The innermost first: a group takes what the groups inside it have left.
    parts = [module for module in reversed(list(model.modules())) if isinstance(module, GradientCheckpointingLayer)]
    parts += [getattr(model, name) for name in _LARGE_PARTS if hasattr(model, name)]
    for module in (*parts, model, helper):
        fully_shard(module, mesh=mesh, reshard_after_forward=sharding.reshard_after_forward)
    # After their forward passes the outermost groups are needed at once.
    for root in (model, helper):
        _of_fsdp(root).set_reshard_after_forward(False, recurse=False)
    own = sum(local(p).numel() for p in model.parameters())
    return (
        f"sharding fsdp2: {len(parts) + 1} groups over {mesh.size()} processes, {own / 1e6:.2f} of {total / 1e6:.2f} M "
        "parameters in this one"
    )


def _of_fsdp(module: nn.Module) -> FSDPModule:
    assert isinstance(module, FSDPModule)
    return module


def is_sharded(module: nn.Module) -> bool:
    """Whether `shard_` was applied to `module`."""
    return isinstance(module, FSDPModule)


def put_away_(module: nn.Module) -> None:
    """Give back what passes without a backward pass have left gathered, so that parameters are pieces again."""
    for part in module.modules():
        if isinstance(part, FSDPModule):
            part.reshard()


def gather_(module: nn.Module) -> None:
    """Gather the own group of a sharded `module` now instead of in its forward pass. Every process must call."""
    _of_fsdp(module).unshard()


def abandon_pass_(roots: Iterable[nn.Module]) -> None:
    """Make ready for the next forward pass after one without its backward pass, or that did not come to its end."""
    for root in roots:
        _of_fsdp(root).reset_iter_state()


def require_lockstep(accelerator: Accelerator, batches: Sequence[Batch]) -> None:
    """Refuse a step in which the processes would use different modules; every process must call.

    The processes gather parameters together: with micro-batches of other kinds they would wait for each other for ever.

    Raises:
        ValueError: in all processes, when the kinds of their micro-batches differ.
    """
    kinds = [sorted(batch.inputs) for batch in batches]
    mark = torch.tensor([zlib.crc32(repr(kinds).encode())], device=accelerator.device)
    if len(set(accelerator.gather(mark).tolist())) > 1:
        raise UsageError(
            f"sharding: the processes have micro-batches of different kinds in one step (here {len(kinds)}: "
            f"{'; '.join(', '.join(kind) for kind in kinds)}); accepted with fsdp2: the same kinds in the same order"
        )


def local(tensor: Tensor) -> Tensor:
    """This process's piece of a sharded tensor, sharing its memory; any other tensor itself."""
    return cast(DTensor, tensor.detach()).to_local() if isinstance(tensor, DTensor) else tensor


def whole_tensor(tensor: Tensor) -> Tensor:
    """A sharded tensor put together; any other itself. Every process must call."""
    return cast(DTensor, tensor.detach()).full_tensor() if isinstance(tensor, DTensor) else tensor


def whole(value: Any, keep: bool) -> Any:
    """Nested dictionaries and lists with all sharded tensors put together, on the CPU. Every process must call.

    Args:
        value: the same structure in every process.
        keep: whether this process wants the result; otherwise sharded tensors become None, and take no memory.
    """
    if isinstance(value, DTensor):
        full = whole_tensor(value)
        return full.cpu() if keep else None
    if isinstance(value, Mapping):
        return {name: whole(part, keep) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(whole(part, keep) for part in value)
    return value


def piece_of(full: Tensor, like: Tensor) -> Tensor:
    """This process's piece of a whole tensor, cut as `like` is; itself where `like` is whole or has another shape."""
    if not isinstance(like, DTensor) or full.shape != like.shape:
        return full
    # Every process has the whole tensor and takes its piece: nothing travels.
    placed = full.to(like.device, like.dtype)
    return distribute_tensor(placed, like.device_mesh, like.placements, src_data_rank=None)


def pieces_of(state: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`piece_of` for every name."""
    return {name: piece_of(value, like[name]) if name in like else value for name, value in state.items()}


def moments_in_pieces(state: dict[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The state of an optimiser with whole tensors, cut as the parameters of `optimizer` are.

    Args:
        state: of an optimiser with as many parameters in each group.
        optimizer: is not changed.
    """
    numbers = [number for group in state["param_groups"] for number in group["params"]]
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    like = dict(zip(numbers, parameters, strict=False))  # other groups are refused where the state is loaded
    cut = {
        number: {
            name: piece_of(value, like[number]) if isinstance(value, Tensor) and number in like else value
            for name, value in values.items()
        }
        for number, values in state["state"].items()
    }
    return state | {"state": cut}
