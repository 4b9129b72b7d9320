"""Multi-scale deformable attention (Deformable DETR, equation 3): every query reads a few points of every level.

The sampling is written twice. `sample_with_grid_sample` is short and runs everywhere. `sample_with_embedding_bag` sees
each output row as a bag of weighted rows of the value table, four corners a point, and has its own gradients: on a
CPU it takes a fraction of the time. `sample_values` chooses.
"""

import functools
import math
import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from transformers.integrations import use_kernel_forward_from_hub
from transformers.utils.generic import maybe_autocast

from ..core.errors import UsageError
from .matrix_products import apply_linear


def sample_values(value: Tensor, spatial_shapes: list[tuple[int, int]], locations: Tensor, weights: Tensor) -> Tensor:
    """Weighted sum of bilinear samples of a multi-level value map.

    Args:
        value: (B, S, heads, d), the levels concatenated row by row; S is the sum of H_l * W_l.
        spatial_shapes: (H_l, W_l) of every level, Python integers.
        locations: (B, Lq, heads, levels, points, 2), x and y relative to the level: 0 is the left (top) edge of its
            first pixel, 1 the right (bottom) edge of its last. What lies outside reads as zero.
        weights: (B, Lq, heads, levels, points), factor of every sample.

    Returns:
        (B, Lq, heads * d) in the dtype of `value`. The arithmetic is float32, or float64 when an argument is.

    Raises:
        ValueError: when `spatial_shapes` does not fit `value` or `locations`.
    """
    tokens, levels = value.shape[1], locations.shape[3]
    if len(spatial_shapes) != levels or sum(height * width for height, width in spatial_shapes) != tokens:
        raise UsageError(
            f"spatial_shapes must hold {levels} sizes, the levels of locations, that add up to the {tokens} tokens of "
            f"value, got {list(spatial_shapes)}."
        )
    sample = sample_with_embedding_bag if value.device.type == "cpu" else sample_with_grid_sample
    return sample(value, spatial_shapes, locations, weights)


def sample_with_grid_sample(
    value: Tensor, spatial_shapes: list[tuple[int, int]], locations: Tensor, weights: Tensor
) -> Tensor:
    """`sample_values`, one `grid_sample` a level."""
    batch, _, heads, channels = value.shape
    queries, levels, points = locations.shape[1], locations.shape[3], locations.shape[4]
    dtype = _arithmetic_dtype(value, locations, weights)
    level_values = value.to(dtype).split([height * width for height, width in spatial_shapes], dim=1)
    grid = (2 * locations.to(dtype) - 1).transpose(1, 2).flatten(0, 1)  # (B * heads, Lq, levels, points, 2)
    samples = []
    for level, (height, width) in enumerate(spatial_shapes):
        planes = level_values[level].permute(0, 2, 3, 1).reshape(batch * heads, channels, height, width)
        samples.append(
            F.grid_sample(planes, grid[:, :, level], mode="bilinear", padding_mode="zeros", align_corners=False)
        )
    factors = weights.to(dtype).transpose(1, 2).reshape(batch * heads, 1, queries, levels * points)
    output = (torch.cat(samples, dim=-1) * factors).sum(-1)  # (B * heads, d, Lq)
    return output.view(batch, heads * channels, queries).transpose(1, 2).to(value.dtype).contiguous()


def sample_with_embedding_bag(
    value: Tensor, spatial_shapes: list[tuple[int, int]], locations: Tensor, weights: Tensor
) -> Tensor:
    """`sample_values`, one `embedding_bag` for all levels. Differentiable once."""
    dtype = _arithmetic_dtype(value, locations, weights)
    shapes = tuple((int(height), int(width)) for height, width in spatial_shapes)
    output = _BagSampling.apply(value.to(dtype), locations.to(dtype), weights.to(dtype), shapes)
    return output.to(value.dtype)


def _arithmetic_dtype(*tensors: Tensor) -> torch.dtype:
    return functools.reduce(torch.promote_types, (tensor.dtype for tensor in tensors), torch.float32)


class _BagSampling(torch.autograd.Function):
    """Bilinear sampling as a weighted sum of table rows, with gradients for value, locations and weights.

    The table has one row for every (image, token, head). A point reads four of them, a block of 2 x 2 pixels moved into
    the level where the point is near or beyond its edge. The corner at distance (x, y) from the point weighs
    hat(x) * hat(y), hat(t) = max(0, 1 - |t|): inside the level this is bilinear interpolation, outside it is
    interpolation with the surrounding zeros.

    "Line" arrays below are (B * Lq, heads * levels * points), "bag" arrays the same numbers as
    (B * Lq * heads, levels * points). Only locations, distances and first rows are kept for the backward pass: what
    follows from them costs less to repeat than memory does.
    """

    @staticmethod
    def forward(
        ctx: Any, value: Tensor, locations: Tensor, weights: Tensor, shapes: tuple[tuple[int, int], ...]
    ) -> Tensor:
        batch, tokens, heads, channels = value.shape
        queries, per_bag = locations.shape[1], len(shapes) * locations.shape[4]
        lines, bags = batch * queries, batch * queries * heads
        table = value.reshape(batch * tokens * heads, channels)
        sizes, seconds, lasts, row_length, level_start, steps = _level_constants(shapes, locations)

        coordinates = locations.reshape(lines, heads * per_bag, 2)
        first, x = _locate(coordinates[..., 0], sizes[0], lasts[0])
        row, y = _locate(coordinates[..., 1], sizes[1], lasts[1])
        first = first.mul_(heads).addcmul_(row, row_length).add_(level_start)
        image = torch.arange(batch, dtype=first.dtype, device=first.device) * (tokens * heads)
        first = (first.view(batch, queries, heads * per_bag) + image[:, None, None]).view(bags, per_bag)

        factors = weights.reshape(lines, heads * per_bag)
        corner_weights = _corner_weights(*_hats(x, seconds[0]), *_hats(y, seconds[1]), factors)
        output = F.embedding_bag(
            (first[:, None] + steps).view(bags, 4 * per_bag),
            table,
            mode="sum",
            per_sample_weights=torch.stack([w.view(bags, per_bag) for w in corner_weights], 1).view(bags, 4 * per_bag),
        )
        ctx.save_for_backward(value, locations, weights, first, x, y)
        ctx.shapes = shapes
        return output.view(batch, queries, heads * channels)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        value, locations, weights, first, x, y = ctx.saved_tensors
        shapes = ctx.shapes
        batch, tokens, heads, channels = value.shape
        (bags, per_bag), line_shape = first.shape, x.shape
        table = value.reshape(batch * tokens * heads, channels)
        gradient = gradients[0].reshape(bags, channels)
        sizes, seconds, _, _, _, steps = _level_constants(shapes, locations)
        factors = weights.reshape(line_shape)
        x0, x1 = _hats(x, seconds[0])
        y0, y1 = _hats(y, seconds[1])

        value_gradient = locations_gradient = weights_gradient = None
        if ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
            # What one more unit of each corner would add to the loss, then the chain rule through the hats.
            rows = (first[:, None] + steps).view(bags, 4 * per_bag)
            corners = _row_products(gradient, table, rows).view(bags, 4, per_bag).unbind(1)
            bag_x0, bag_x1, bag_y0, bag_y1 = (hat.view(bags, per_bag) for hat in (x0, x1, y0, y1))
            above = (corners[0] * bag_x0).addcmul_(corners[1], bag_x1).view(line_shape)
            below = (corners[2] * bag_x0).addcmul_(corners[3], bag_x1).view(line_shape)
            left = (corners[0] * bag_y0).addcmul_(corners[2], bag_y1).view(line_shape)
            right = (corners[1] * bag_y0).addcmul_(corners[3], bag_y1).view(line_shape)
            weights_gradient = (left * x0).addcmul_(right, x1).view(weights.shape)
            slope0, slope1 = _slopes(x, seconds[0])
            x_gradient = left.mul_(slope0).addcmul_(right, slope1).mul_(sizes[0]).mul_(factors)
            slope0, slope1 = _slopes(y, seconds[1])
            y_gradient = above.mul_(slope0).addcmul_(below, slope1).mul_(sizes[1]).mul_(factors)
            locations_gradient = torch.empty(*line_shape, 2, dtype=x.dtype, device=x.device)
            locations_gradient[..., 0] = x_gradient
            locations_gradient[..., 1] = y_gradient
            locations_gradient = locations_gradient.view(locations.shape)
        if ctx.needs_input_grad[0]:
            value_gradient = _table_gradient(gradient, first, _corner_weights(x0, x1, y0, y1, factors), value, shapes)
        return value_gradient, locations_gradient, weights_gradient, None


def _level_constants(
    shapes: tuple[tuple[int, int], ...], locations: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """What every point needs to know of its level, as rows to broadcast over line arrays.

    Returns:
        width and height; distance from first to second corner in x and y (infinite, so never reached, where the level
        is one pixel wide); last column and line of a first corner; table rows per line of the level; first table row
        of level and head; and, for bag arrays, the four steps in table rows from the first corner to each corner.
    """
    heads, points = locations.shape[2], locations.shape[4]

    def spread(numbers: list[list[float]] | list[list[int]], dtype: torch.dtype) -> Tensor:
        per_level = torch.tensor(numbers, dtype=dtype, device=locations.device)
        return per_level.repeat_interleave(points, dim=1).repeat(1, heads)

    heights, widths = [height for height, _ in shapes], [width for _, width in shapes]
    starts = [heads * sum(height * width for height, width in shapes[:level]) for level in range(len(shapes))]
    right = [heads if width > 1 else 0 for width in widths]
    down = [heads * width if height > 1 else 0 for height, width in shapes]
    reals = spread(
        [
            [float(width) for width in widths],
            [float(height) for height in heights],
            [1.0 if width > 1 else math.inf for width in widths],
            [1.0 if height > 1 else math.inf for height in heights],
        ],
        locations.dtype,
    )
    integers = spread(
        [
            [max(width - 2, 0) for width in widths],
            [max(height - 2, 0) for height in heights],
            [heads * width for width in widths],
            starts,
            [0] * len(shapes),
            right,
            down,
            [one + other for one, other in zip(right, down, strict=True)],
        ],
        torch.int32,
    )
    head = torch.arange(heads, dtype=torch.int32, device=locations.device).repeat_interleave(len(shapes) * points)
    steps = integers[4:, : len(shapes) * points]
    return reals[:2], reals[2:], integers[:2], integers[2], integers[3] + head, steps


def _locate(coordinate: Tensor, size: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """Column (or line) of the first corner, moved into the level, and the signed distance from it in pixels."""
    position = (coordinate * size).sub_(0.5)
    # The limits act on integers: whatever a NaN or an overflow was turned into, the row exists.
    cell = torch.minimum(position.floor().to(torch.int32).clamp_(min=0), last)
    return cell, position.sub_(cell)


def _hat(distance: Tensor) -> Tensor:
    return distance.abs().neg_().add_(1).clamp_(min=0)


def _hats(distance: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    return _hat(distance), _hat(distance - second)


def _slopes(distance: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Right derivative of both hats, which is what `grid_sample` uses on a pixel's centre."""
    here, there = distance.floor(), (distance - second).floor_()
    return _hat(here + 1).sub_(_hat(here)), _hat(there + 1).sub_(_hat(there))


def _corner_weights(x0: Tensor, x1: Tensor, y0: Tensor, y1: Tensor, factors: Tensor) -> list[Tensor]:
    top, bottom = y0 * factors, y1 * factors
    return [top * x0, top * x1, bottom * x0, bottom * x1]


def _row_products(gradient: Tensor, table: Tensor, rows: Tensor) -> Tensor:
    """Inner product of each bag's gradient (bags, d) with the table rows (bags, n) that the bag has read: (bags, n)."""
    bags, per_bag = rows.shape
    # A sparse matrix holds at most bags * table rows numbers, and at most 2^31 with 32-bit indices.
    fits = not torch.compiler.is_compiling() and per_bag <= table.shape[0] and rows.numel() < 2**31
    if not fits or table.device.type != "cpu" or not _has_sampled_products():
        starts = torch.arange(0, bags * per_bag, per_bag, dtype=torch.int32, device=rows.device)
        bag = torch.arange(bags, dtype=torch.int32, device=rows.device)[:, None].expand(bags, per_bag).reshape(-1)
        products = torch.ops.aten._embedding_bag_per_sample_weights_backward(
            gradient, table, rows.view(-1), starts, bag, mode=0
        )
        return products.view(bags, per_bag)
    return _sampled_products(gradient, table, rows)


def _sampled_products(gradient: Tensor, table: Tensor, rows: Tensor) -> Tensor:
    bags, per_bag = rows.shape
    row_ends = torch.arange(0, bags * per_bag + 1, per_bag, dtype=rows.dtype, device=rows.device)
    products = torch.sparse_csr_tensor(
        row_ends, rows.view(-1), gradient.new_zeros(rows.numel()), (bags, table.shape[0]), check_invariants=False
    )
    torch.sparse.sampled_addmm(products, gradient, table.t(), beta=0.0, out=products)
    return products.values().view(bags, per_bag)


@functools.lru_cache(maxsize=1)
def _has_sampled_products() -> bool:
    """Whether this build of PyTorch has the sparse product, up to three times as fast as `embedding_bag`'s gradient.

    The first sparse tensor of a process warns that the layout is young; the trial here keeps that from users.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            rows = torch.tensor([[2, 2]], dtype=torch.int32, device="cpu")
            products = _sampled_products(torch.ones(1, 2, device="cpu"), torch.ones(3, 2, device="cpu"), rows)
        except RuntimeError:
            return False
    return products.tolist() == [[2.0, 2.0]]


def _table_gradient(
    gradient: Tensor, first: Tensor, corner_weights: list[Tensor], value: Tensor, shapes: tuple[tuple[int, int], ...]
) -> Tensor:
    """Gradient of the table: each row becomes a bag of the output gradients (bags, d) that it takes part in.

    The bags are found once, by sorting the first corners. The other corners have the same bags one pixel to the right,
    one line below, or both. No first corner lies in the last column or line of its level (where these are also the
    first, the other corners weigh nothing), so that moving all sums at once takes none to a foreign line.
    """
    batch, tokens, heads, channels = value.shape
    table_rows, per_bag = batch * tokens * heads, first.shape[1]
    first = first.view(-1)
    order = torch.sort(first).indices.to(torch.int32)
    counts = first.new_zeros(table_rows).index_add_(0, first, first.new_ones(()).expand(first.shape[0]))
    starts = counts.cumsum(0, dtype=torch.int32) - counts
    sources = order // per_bag

    def sums(weights: Tensor) -> Tensor:
        weights = weights.view(-1).index_select(0, order)
        bags = F.embedding_bag(sources, gradient, starts, mode="sum", per_sample_weights=weights)
        return bags.view(batch, tokens, heads * channels)

    def line(left: Tensor, right: Tensor) -> Tensor:
        total = sums(left)
        total[:, 1:] += sums(right)[:, :-1]
        return total

    top_left, top_right, bottom_left, bottom_right = corner_weights
    bottom = line(bottom_left, bottom_right).split([height * width for height, width in shapes], dim=1)
    moved = [
        part
        for (_, width), level in zip(shapes, bottom, strict=True)
        for part in (torch.zeros_like(level[:, :width]), level[:, :-width])
    ]
    return line(top_left, top_right).add_(torch.cat(moved, dim=1)).view(value.shape)


@use_kernel_forward_from_hub("MultiScaleDeformableAttention")
class DeformableSampling(nn.Module):
    """`sample_values` as a module without parameters: the place where Transformers puts its compiled CUDA kernel.

    The argument list is the kernel's, which wants value, locations and weights in one dtype.
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
            raise UsageError(f"d_model must be a multiple of heads, got d_model={d_model} and heads={heads}.")
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
            raise UsageError(
                f"spatial_shapes must hold {self.levels} sizes that add up to the {tokens} tokens of memory, "
                f"got {list(spatial_shapes)}."
            )
        if reference_points.shape[-1] not in (2, 4):
            raise UsageError(
                f"reference_points must have 2 or 4 numbers in the last dimension, got {reference_points.shape[-1]}."
            )
        value = apply_linear(self.value_proj, memory)
        if memory_mask is not None:
            value = value.masked_fill(~memory_mask[..., None], 0.0)
        value = value.view(batch, tokens, self.heads, self.d_model // self.heads)

        with maybe_autocast(device_type=hidden_states.device.type, enabled=False):
            queries_in = hidden_states.to(self.sampling_offsets.weight.dtype)
            offsets = apply_linear(self.sampling_offsets, queries_in)
            weights = apply_linear(self.attention_weights, queries_in)
            if offsets.dtype in (torch.float16, torch.bfloat16):
                offsets, weights = offsets.float(), weights.float()
            offsets = offsets.view(batch, queries, self.heads, self.levels, self.points, 2)
            weights = weights.view(batch, queries, self.heads, self.levels * self.points).softmax(-1)
            weights = weights.view(batch, queries, self.heads, self.levels, self.points)
            references = reference_points.to(offsets.dtype)[:, :, None, :, None]
            # From pageable memory, so that the copy does not wait for the work already given to an accelerator.
            shapes = torch.tensor(spatial_shapes, device="cpu").to(offsets.device, non_blocking=True)
            if reference_points.shape[-1] == 2:
                locations = references + offsets / shapes.flip(-1)[:, None]
            else:
                locations = references[..., :2] + offsets / self.points * references[..., 2:] * 0.5
            sizes = shapes.prod(-1)
            starts = sizes.cumsum(0) - sizes
            # The kernel works through the batch in equal steps of this length: one step fits every batch size.
            output = self.sampling(
                value.to(locations.dtype), shapes, spatial_shapes, starts, locations, weights, batch
            ).to(value.dtype)
        return apply_linear(self.output_proj, output)
