"""The two-stage deformable transformer: encoder, proposals (mixed selection), decoder (look forward twice).

Deformable DETR (Zhu et al., ICLR 2021) with DINO's query selection and refinement (Zhang et al., ICLR 2023).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from .configuration_uniref import UniRefConfig
from .deformable_attention import MultiScaleDeformableAttention
from .fusion import eager_attention
from .matrix_products import apply_linear
from .position_embedding import sine_box_positions
from .visual_encoder import is_tracing

# What the feed-forward layers of this many tokens keep between them fits into a processor's cache.
_FEED_FORWARD_TOKENS = 1024


def inverse_sigmoid(x: Tensor, eps: float = 1e-5) -> Tensor:
    """log(x / (1 - x)), both sides clamped at `eps`."""
    x = x.clamp(0, 1)
    return torch.log(x.clamp(min=eps) / (1 - x).clamp(min=eps))


class PerceptronHead(nn.Module):
    """Three linear layers with ReLU between them."""

    def __init__(self, inputs: int, hidden: int, outputs: int):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(inputs, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, outputs)])

    def forward(self, x: Tensor) -> Tensor:
        return self.layers[2](F.relu(self.layers[1](F.relu(self.layers[0](x)))))


def feed_forward(x: Tensor, first: nn.Module, second: nn.Module) -> Tensor:
    """second(relu(first(x))); on a CPU without gradients some tokens at a time, which needs less memory and time.

    Args:
        x: (N, S, d).
    """
    if x.device.type != "cpu" or torch.is_grad_enabled() or is_tracing():
        return second(F.relu(first(x)))
    parts = x.flatten(0, 1).split(_FEED_FORWARD_TOKENS)
    return torch.cat([apply_linear(second, apply_linear(first, part).relu_()) for part in parts]).view(x.shape)


@dataclass
class EncodedLevels:
    """Four levels as one sequence: memory (N, S, d), mask (N, S) bool (True: image), shapes and valid ratios."""

    memory: Tensor
    mask: Tensor | None
    shapes: list[tuple[int, int]]
    valid_ratios: Tensor

    def maps(self) -> list[Tensor]:
        """The levels as maps (N, d, H/s, W/s)."""
        sizes = [height * width for height, width in self.shapes]
        return [
            tokens.transpose(1, 2).unflatten(2, shape)
            for tokens, shape in zip(self.memory.split(sizes, dim=1), self.shapes, strict=True)
        ]


@dataclass
class TransformerOutput:
    """Everything the heads and the losses need; lists go over decoder layers.

    Attributes:
        encoded: the encoder's memory.
        queries: hidden states (N, Q, d).
        boxes: predicted boxes (N, Q, 4), cxcywh relative to the valid area.
        references: boxes (N, Q, 4) that entered each layer; the centre of a mask is read from them.
        proposal_logits: (N, S, classes) of every encoder token.
        proposal_boxes: (N, S, 4) of every encoder token.
        selected: (N, Q) token index of every query.
    """

    encoded: EncodedLevels
    queries: list[Tensor]
    boxes: list[Tensor]
    references: list[Tensor]
    proposal_logits: Tensor
    proposal_boxes: Tensor
    selected: Tensor


class SelfAttention(nn.Module):
    """Plain multi-head attention among queries, positions added to queries and keys only."""

    def __init__(self, config: UniRefConfig):
        super().__init__()
        self.config = config
        self.heads = config.attention_heads
        self.q_proj = nn.Linear(config.d_model, config.d_model)
        self.k_proj = nn.Linear(config.d_model, config.d_model)
        self.v_proj = nn.Linear(config.d_model, config.d_model)
        self.out_proj = nn.Linear(config.d_model, config.d_model)
        self.is_causal = False

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        def heads(t: Tensor) -> Tensor:
            return t.unflatten(-1, (self.heads, -1)).transpose(1, 2)

        located = x + positions
        q, k, v = heads(self.q_proj(located)), heads(self.k_proj(located)), heads(self.v_proj(x))
        implementation = self.config._attn_implementation
        if implementation is not None and "flash" in implementation and q.dtype == torch.float32:
            implementation = "sdpa"
        attention = ALL_ATTENTION_FUNCTIONS.get_interface(implementation, eager_attention)
        out, _ = attention(self, q, k, v, None, scaling=q.shape[-1] ** -0.5, dropout=0.0, is_causal=False)
        return self.out_proj(out.flatten(2))


class EncoderLayer(GradientCheckpointingLayer):
    """Deformable self-attention over all levels, then a feed-forward layer, both post-norm."""

    def __init__(self, config: UniRefConfig):
        super().__init__()
        self.self_attn = MultiScaleDeformableAttention(config.d_model, 4, config.attention_heads, config.num_points)
        self.self_attn_norm = nn.LayerNorm(config.d_model)
        self.linear1 = nn.Linear(config.d_model, config.ffn_dim)
        self.linear2 = nn.Linear(config.ffn_dim, config.d_model)
        self.ffn_norm = nn.LayerNorm(config.d_model)

    def forward(
        self,
        x: Tensor,
        positions: Tensor,
        reference_points: Tensor,
        shapes: list[tuple[int, int]],
        mask: Tensor | None,
    ) -> Tensor:
        x = self.self_attn_norm(x + self.self_attn(x + positions, reference_points, x, shapes, mask))
        return self.ffn_norm(x + feed_forward(x, self.linear1, self.linear2))


class DecoderLayer(GradientCheckpointingLayer):
    """Self-attention among queries, deformable attention to the memory, feed-forward; post-norm."""

    def __init__(self, config: UniRefConfig):
        super().__init__()
        self.self_attn = SelfAttention(config)
        self.self_attn_norm = nn.LayerNorm(config.d_model)
        self.cross_attn = MultiScaleDeformableAttention(config.d_model, 4, config.attention_heads, config.num_points)
        self.cross_attn_norm = nn.LayerNorm(config.d_model)
        self.linear1 = nn.Linear(config.d_model, config.ffn_dim)
        self.linear2 = nn.Linear(config.ffn_dim, config.d_model)
        self.ffn_norm = nn.LayerNorm(config.d_model)

    def forward(
        self,
        x: Tensor,
        positions: Tensor,
        reference_points: Tensor,
        memory: Tensor,
        shapes: list[tuple[int, int]],
        mask: Tensor | None,
    ) -> Tensor:
        x = self.self_attn_norm(x + self.self_attn(x, positions))
        x = self.cross_attn_norm(x + self.cross_attn(x + positions, reference_points, memory, shapes, mask))
        return self.ffn_norm(x + feed_forward(x, self.linear1, self.linear2))


class LayerStack(nn.Module):
    """Layers under one name."""

    def __init__(self, layers: list[nn.Module]):
        super().__init__()
        self.layers = nn.ModuleList(layers)


class DeformableTransformer(nn.Module):
    """Fused pyramid -> queries with boxes."""

    def __init__(self, config: UniRefConfig):
        super().__init__()
        d = config.d_model
        self.d_model = d
        self.num_queries = config.num_queries
        # An embedding rather than a bare parameter, so that adapters can save it.
        self.level_embed = nn.Embedding(4, d)
        self.encoder = LayerStack([EncoderLayer(config) for _ in range(config.encoder_layers)])
        self.decoder = LayerStack([DecoderLayer(config) for _ in range(config.decoder_layers)])
        self.proposal_proj = nn.Linear(d, d)
        self.proposal_norm = nn.LayerNorm(d)
        self.position_proj = nn.Linear(2 * d, 2 * d)
        self.position_norm = nn.LayerNorm(2 * d)
        self.query_embed = nn.Embedding(config.num_queries, d)

    def encode(
        self, levels: list[Tensor], positions: list[Tensor], masks: list[Tensor], padded: bool | None
    ) -> EncodedLevels:
        """Run the encoder.

        Args:
            levels: four fused maps (N, d, H/s, W/s).
            positions: four maps (N or 1, d, H/s, W/s).
            masks: four bool maps (N or 1, H/s, W/s), True where the image is.
            padded: False when no pixel is padding, which saves the masking.
        """
        count = levels[0].shape[0]
        shapes = [(level.shape[-2], level.shape[-1]) for level in levels]
        x = torch.cat([level.flatten(2).transpose(1, 2) for level in levels], dim=1)
        located = torch.cat(
            [
                position.flatten(2).transpose(1, 2).to(x.dtype) + self.level_embed.weight[index]
                for index, position in enumerate(positions)
            ],
            dim=1,
        )
        valid_ratios = torch.stack([_valid_ratio(mask) for mask in masks], dim=1).expand(count, -1, -1)
        mask = None if padded is False else torch.cat([m.flatten(1) for m in masks], dim=1).expand(count, -1)
        reference_points = _grid_reference_points(shapes, valid_ratios)
        for layer in self.encoder.layers:
            x = layer(x, located, reference_points, shapes, mask)
        return EncodedLevels(x, mask, shapes, valid_ratios)

    def propose(self, encoded: EncodedLevels, class_head: nn.Module, box_head: nn.Module) -> tuple[Tensor, Tensor]:
        """Scores (N, S, classes) and unactivated boxes (N, S, 4) of every memory token (two-stage Deformable DETR)."""
        anchors, usable = _anchors(encoded)
        memory = encoded.memory.masked_fill(~usable, 0.0)
        memory = self.proposal_norm(self.proposal_proj(memory))
        return class_head(memory), box_head(memory).float() + anchors

    def forward(
        self,
        levels: list[Tensor],
        positions: list[Tensor],
        masks: list[Tensor],
        padded: bool | None,
        class_heads: nn.ModuleList,
        box_heads: nn.ModuleList,
    ) -> TransformerOutput:
        """Fused levels to refined queries; the last class and box head judge the proposals, the others a layer each."""
        encoded = self.encode(levels, positions, masks, padded)
        proposal_logits, proposals = self.propose(encoded, class_heads[-1], box_heads[-1])

        # As released, candidates are ranked by their first class, whatever the number of classes.
        selected = proposal_logits[..., 0].topk(self.num_queries, dim=1).indices
        chosen = proposals.gather(1, selected[..., None].expand(-1, -1, 4)).detach()
        reference = chosen.sigmoid()

        # Mixed selection: learned content, position from the proposal; fixed over the layers.
        embedded = sine_box_positions(reference, self.d_model // 2).to(encoded.memory.dtype)
        query_positions = self.position_norm(self.position_proj(embedded))[..., : self.d_model]
        x = self.query_embed.weight.to(encoded.memory.dtype).expand(encoded.memory.shape[0], -1, -1)

        ratios = encoded.valid_ratios.repeat(1, 1, 2)[:, None]  # x, y, x, y
        queries, boxes, references = [], [], []
        undetached = reference
        for index, layer in enumerate(self.decoder.layers):
            x = layer(x, query_positions, reference[:, :, None] * ratios, encoded.memory, encoded.shapes, encoded.mask)
            delta = box_heads[index](x).float()
            queries.append(x)
            references.append(undetached)
            # Look forward twice: the prediction may move the reference that entered, the next layer gets it detached.
            boxes.append((delta + inverse_sigmoid(undetached)).sigmoid())
            undetached = (delta + inverse_sigmoid(reference)).sigmoid()
            reference = undetached.detach()
        return TransformerOutput(encoded, queries, boxes, references, proposal_logits, proposals.sigmoid(), selected)


def _valid_ratio(mask: Tensor) -> Tensor:
    """(N, 2) share of the width and height that is image, read from the first row and the first column."""
    height, width = mask.shape[-2:]
    return torch.stack([mask[:, 0, :].sum(1) / width, mask[:, :, 0].sum(1) / height], dim=-1)


def _grid_reference_points(shapes: list[tuple[int, int]], valid_ratios: Tensor) -> Tensor:
    """(N, S, levels, 2) centre of every token, relative to the padded size of each level that is looked at."""
    points = []
    for level, (height, width) in enumerate(shapes):
        grid = _pixel_centres(height, width, valid_ratios.device)
        size = torch.stack([valid_ratios[:, level, 0] * width, valid_ratios[:, level, 1] * height], dim=-1)
        points.append(grid[None] / size[:, None])
    return torch.cat(points, dim=1)[:, :, None] * valid_ratios[:, None]


def _pixel_centres(height: int, width: int, device: torch.device) -> Tensor:
    """(H * W, 2) x and y of pixel centres."""
    y, x = torch.meshgrid(
        torch.arange(height, dtype=torch.float32, device=device) + 0.5,
        torch.arange(width, dtype=torch.float32, device=device) + 0.5,
        indexing="ij",
    )
    return torch.stack([x, y], dim=-1).flatten(0, 1)


def _anchors(encoded: EncodedLevels) -> tuple[Tensor, Tensor]:
    """Unactivated anchor boxes (N, S, 4) and which tokens may carry one (N, S, 1).

    An anchor sits on its token, with sides of 0.05 * 2^level of the valid area. Tokens in the padding or with a number
    outside (0.01, 0.99) get +inf.
    """
    anchors = []
    for level, (height, width) in enumerate(encoded.shapes):
        grid = _pixel_centres(height, width, encoded.memory.device)
        ratio = encoded.valid_ratios[:, level]
        # The valid size in whole pixels, as it was counted.
        size = torch.stack([(ratio[:, 0] * width).round(), (ratio[:, 1] * height).round()], dim=-1)
        centre = grid[None] / size[:, None]
        anchors.append(torch.cat([centre, torch.full_like(centre, 0.05 * 2.0**level)], dim=-1))
    boxes = torch.cat(anchors, dim=1)
    usable = ((boxes > 0.01) & (boxes < 0.99)).all(-1, keepdim=True)
    if encoded.mask is not None:
        usable = usable & encoded.mask[..., None]
    logits = torch.log(boxes / (1 - boxes))
    return logits.masked_fill(~usable, float("inf")), usable
