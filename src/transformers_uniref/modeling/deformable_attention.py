"""Multi-scale deformable attention (Deformable DETR, equation 3): every query reads a few points of every level."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.integrations import use_kernel_forward_from_hub
from transformers.utils.generic import maybe_autocast

from .dense_sampling import sample_densely

DENSE_TOKENS = 1024  # maps up to this size are sampled by one matrix product when gradients are needed


def sample_values(value: Tensor, spatial_shapes: list[tuple[int, int]], locations: Tensor, weights: Tensor) -> Tensor:
    """Weighted sum of bilinear samples of a multi-level value map.

    Args:
        value: (B, S, heads, d), the levels concatenated row by row; S is the sum of H_l * W_l.
        spatial_shapes: (H_l, W_l) of every level, Python integers.
        locations: (B, Lq, heads, levels, points, 2), x and y relative to the level: 0 is the left (top) edge of its
            first pixel, 1 the right (bottom) edge of its last. What lies outside reads as zero.
        weights: (B, Lq, heads, levels, points), factor of every sample.

    Returns:
        (B, Lq, heads * d) in the dtype of `value`.
    """
    if value.device.type == "cpu":
        learning = torch.is_grad_enabled() and (value.requires_grad or locations.requires_grad)
        if learning and value.shape[1] <= DENSE_TOKENS and not torch.compiler.is_compiling():
            return sample_densely(value, spatial_shapes, locations, weights)
        return sample_with_embedding_bag(value, spatial_shapes, locations, weights)
    return sample_with_grid_sample(value, spatial_shapes, locations, weights)


def sample_with_grid_sample(
    value: Tensor, spatial_shapes: list[tuple[int, int]], locations: Tensor, weights: Tensor
) -> Tensor:
    """`sample_values`, one `grid_sample` a level; half-precision values are sampled in the dtype of `locations`."""
    batch, _, heads, channels = value.shape
    dtype, value = value.dtype, value.to(locations.dtype)
    queries, points = locations.shape[1], locations.shape[4]
    level_values = value.split([height * width for height, width in spatial_shapes], dim=1)
    grid = (2 * locations - 1).transpose(1, 2).flatten(0, 1)  # (B * heads, Lq, levels, points, 2)
    samples = []
    for level, (height, width) in enumerate(spatial_shapes):
        planes = level_values[level].permute(0, 2, 3, 1).reshape(batch * heads, channels, height, width)
        samples.append(
            F.grid_sample(planes, grid[:, :, level], mode="bilinear", padding_mode="zeros", align_corners=False)
        )
    weights = weights.transpose(1, 2).reshape(batch * heads, 1, queries, len(spatial_shapes) * points)
    output = (torch.cat(samples, dim=-1) * weights).sum(-1)  # (B * heads, d, Lq)
    return output.view(batch, heads * channels, queries).transpose(1, 2).to(dtype).contiguous()


def sample_with_embedding_bag(
    value: Tensor, spatial_shapes: list[tuple[int, int]], locations: Tensor, weights: Tensor
) -> Tensor:
    """`sample_values`, each output row one bag: 4 corners * points * levels weighted rows of the value table."""
    batch, tokens, heads, channels = value.shape
    queries = locations.shape[1]
    device = value.device
    sizes = torch.tensor([(width, height) for height, width in spatial_shapes], device=device)[:, None]
    starts = torch.tensor([0] + [h * w for h, w in spatial_shapes[:-1]], device=device).cumsum(0)

    positions = locations * sizes - 0.5
    positions = torch.minimum(positions.clamp(min=-1), sizes.to(positions.dtype))  # also keeps indices finite
    floor = positions.detach().floor()
    fraction = positions - floor
    corner = torch.stack([floor, floor + 1])  # (2, B, Lq, heads, levels, points, 2)
    inside = (corner >= 0) & (corner < sizes)
    corner_weight = torch.stack([1 - fraction, fraction]) * inside
    corner = torch.minimum(corner.long().clamp(min=0), sizes - 1)
    x_weight, y_weight = corner_weight.unbind(-1)
    x, y = corner.unbind(-1)
    bag_weights = weights * y_weight[:, None] * x_weight[None]  # (2, 2, B, Lq, heads, levels, points)
    rows = y[:, None] * sizes[..., 0] + x[None] + starts[:, None]
    rows = rows + tokens * torch.arange(batch, device=device).view(batch, 1, 1, 1, 1)
    rows = rows * heads + torch.arange(heads, device=device).view(heads, 1, 1)

    bags = batch * queries * heads
    output = F.embedding_bag(
        rows.permute(2, 3, 4, 5, 6, 0, 1).reshape(bags, -1),
        value.reshape(batch * tokens * heads, channels),
        mode="sum",
        per_sample_weights=bag_weights.permute(2, 3, 4, 5, 6, 0, 1).reshape(bags, -1).to(value.dtype),
    )
    return output.view(batch, queries, heads * channels)


@use_kernel_forward_from_hub("MultiScaleDeformableAttention")
class DeformableSampling(nn.Module):
    """`sample_values` as a module without parameters: the place where Transformers puts its compiled CUDA kernel.

    The argument list is the kernel's.
    """

    def forward(
        self,
        value: Tensor,
        value_spatial_shapes: Tensor,
        value_spatial_shapes_list: list[tuple],
        level_start_index: Tensor,
        sampling_locations: Tensor,
        attention_weights: Tensor,
        im2col_step: int,
    ) -> Tensor:
        return sample_values(value, value_spatial_shapes_list, sampling_locations, attention_weights)


class MultiScaleDeformableAttention(nn.Module):
    """Deformable DETR, equation 3. Locations and weights are computed in float32 (float64 for a float64 model).

    Args:
        d_model: channels of queries and memory, a multiple of `heads`.
        levels: number of feature levels.
        heads: number of attention heads.
        points: samples per head and level.
    """

    def __init__(self, d_model: int = 256, levels: int = 4, heads: int = 8, points: int = 4):
        super().__init__()
        if d_model % heads != 0:
            raise ValueError(f"d_model must be a multiple of heads, got d_model={d_model} and heads={heads}.")
        self.d_model = d_model
        self.levels = levels
        self.heads = heads
        self.points = points
        self.sampling_offsets = nn.Linear(d_model, heads * levels * points * 2)
        self.attention_weights = nn.Linear(d_model, heads * levels * points)
        self.value_proj = nn.Linear(d_model, d_model)
        self.output_proj = nn.Linear(d_model, d_model)
        self.sampling = DeformableSampling()

    @staticmethod
    def initial_offset_bias(heads: int, levels: int, points: int) -> Tensor:
        """Classic initial bias of `sampling_offsets`, (heads * levels * points * 2,).

        Head h looks in direction 2 pi h / heads, scaled so that its larger coordinate is 1; its p-th point lies p
        pixels out, counted from 1, the same on every level.
        """
        angle = torch.arange(heads, dtype=torch.float32) * (2 * math.pi / heads)
        direction = torch.stack([angle.cos(), angle.sin()], dim=-1)
        direction = direction / direction.abs().amax(dim=-1, keepdim=True)
        distance = torch.arange(1, points + 1, dtype=torch.float32)
        grid = direction[:, None, None, :] * distance[:, None]  # (heads, 1, points, 2)
        return grid.expand(heads, levels, points, 2).flatten()

    def forward(
        self,
        hidden_states: Tensor,
        reference_points: Tensor,
        memory: Tensor,
        spatial_shapes: list[tuple[int, int]],
        memory_mask: Tensor | None = None,
    ) -> Tensor:
        """Attend from `hidden_states` to points of `memory`.

        Args:
            hidden_states: (B, Lq, d_model) queries, positions already added.
            reference_points: (B, Lq, levels, 2) centres x, y or (B, Lq, levels, 4) boxes cx, cy, w, h; relative to
                the padded size of the level. An offset is counted in pixels of the level for a centre and in
                half-boxes divided by `points` for a box.
            memory: (B, S, d_model), the levels concatenated row by row.
            spatial_shapes: (H_l, W_l) of every level, Python integers with sum of H_l * W_l = S.
            memory_mask: (B, S) bool, True for valid tokens; None when all are. Other tokens read as zero.

        Returns:
            (B, Lq, d_model).

        Raises:
            ValueError: when sizes do not fit each other.
        """
        batch, queries, _ = hidden_states.shape
        tokens = memory.shape[1]
        if len(spatial_shapes) != self.levels or sum(height * width for height, width in spatial_shapes) != tokens:
            raise ValueError(
                f"spatial_shapes must hold {self.levels} sizes that add up to the {tokens} tokens of memory, "
                f"got {list(spatial_shapes)}."
            )
        if reference_points.shape[-1] not in (2, 4):
            raise ValueError(
                f"reference_points must have 2 or 4 numbers in the last dimension, got {reference_points.shape[-1]}."
            )
        value = self.value_proj(memory)
        if memory_mask is not None:
            value = value.masked_fill(~memory_mask[..., None], 0.0)
        value = value.view(batch, tokens, self.heads, self.d_model // self.heads)

        with maybe_autocast(device_type=hidden_states.device.type, enabled=False):
            queries_in = hidden_states.to(self.sampling_offsets.weight.dtype)
            offsets = self.sampling_offsets(queries_in)
            weights = self.attention_weights(queries_in)
            if offsets.dtype in (torch.float16, torch.bfloat16):
                offsets, weights = offsets.float(), weights.float()
            offsets = offsets.view(batch, queries, self.heads, self.levels, self.points, 2)
            weights = weights.view(batch, queries, self.heads, self.levels * self.points).softmax(-1)
            weights = weights.view(batch, queries, self.heads, self.levels, self.points)
            references = reference_points.to(offsets.dtype)[:, :, None, :, None]
            shapes = torch.tensor(spatial_shapes, device=offsets.device)
            if reference_points.shape[-1] == 2:
                locations = references + offsets / shapes.flip(-1)[:, None]
            else:
                locations = references[..., :2] + offsets / self.points * references[..., 2:] * 0.5
            sizes = shapes.prod(-1)
            output = self.sampling(value, shapes, spatial_shapes, sizes.cumsum(0) - sizes, locations, weights, 64)
        return self.output_proj(output)
