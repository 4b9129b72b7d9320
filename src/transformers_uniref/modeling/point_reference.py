"""Clicks, boxes and scribbles in the picture itself -> reference.

As for an annotated frame, every position of a level is a token: keys are its visual features, here with its place
added, and values say whether the object is there. What an annotation says by a mask, the little that was pointed at
says by relations: how like is a position to what lies under the clicks or in the box, how near is it to them, and is it
rather on the side of what was clicked at or of what was excluded? A few convolutions let positions of one object agree.

Unlike an annotated frame it is about this picture, so places count: the same projection of them goes to the keys and to
the queries of fusion, which without it could not tell twins apart.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization as init

from .configuration_references import ReferenceFusionConfig
from .references import References, ReferenceTokens, VisualFeatures

WIDTH, BLOCKS = 96, 4
HEADS, HEAD_DIM = 4, 24
"""Of the comparison of positions with what was pointed at."""
REACHES = (0.03, 0.08, 0.2)
"""Radii of nearness, as shares of the picture's longer side."""
WAVES = 12
"""Half periods of the finest wave of a place along the picture's longer side."""
RING = 1.6
"""How far around a box its surroundings reach, in half sides."""
_OF_POINTS = HEADS + 2 * len(REACHES)
_OF_BOX = 2 * HEADS + 6
_RELATIONS = 2 * _OF_POINTS + _OF_BOX + 4


class PointReferenceEncoder(nn.Module):
    """Points with labels and a box, for every entry, to references."""

    def __init__(self, config: ReferenceFusionConfig):
        super().__init__()
        d, levels = config.d_model, len(config.feature_strides)
        self.content = nn.ModuleList([nn.Conv2d(d, WIDTH, 1) for _ in range(min(levels, 3))])
        self.match = nn.Conv2d(WIDTH, HEADS * HEAD_DIM, 1)
        self.relations = nn.Sequential(nn.Conv2d(_RELATIONS, WIDTH, 1), nn.GELU(), nn.Conv2d(WIDTH, WIDTH, 1))
        self.blocks = nn.ModuleList([_Block(WIDTH) for _ in range(BLOCKS)])
        self.value_norm = nn.LayerNorm(WIDTH)
        self.values = nn.ModuleList([nn.Linear(WIDTH, d) for _ in range(levels)])
        self.condition = nn.Linear(WIDTH, d)
        self.query_places = nn.Linear(4 * WAVES, d, bias=False)
        self.key_places = nn.Linear(4 * WAVES, d, bias=False)

    def initialise_(self) -> None:
        """Start values: near places agree, as in `identity_fusion_`; the condition is that of an annotated frame."""
        init.orthogonal_(self.query_places.weight)
        init.copy_(self.key_places.weight, self.query_places.weight * 8)
        init.copy_(self.query_places.weight, self.query_places.weight * 12)
        init.zeros_(self.condition.weight)

    def forward(
        self,
        features: VisualFeatures,
        points: Tensor,
        labels: Tensor,
        boxes: Tensor | None = None,
        image_indices: Tensor | None = None,
    ) -> References:
        """Encode what was pointed at in N entries.

        Args:
            features: visual features of B images.
            points: (N, P, 2) x and y as shares of the width and height of the picture's valid area; P may be 0.
            labels: (N, P) 1: the object is here, 0: it is not, below 0: no point.
            boxes: (N, 4) x0, y0, x1, y1 in the same unit; without an inside (x1 <= x0): no box.
            image_indices: (N,) the image of every entry; None: N = B, or B = 1 shared by all.

        Returns:
            references with keys (N, S, d), values (N, S, d), condition (N, d), and `query_positions` (B, S, d).
        """
        count = points.shape[0]
        if image_indices is None:
            image_indices = torch.arange(count, device=points.device) if len(features.pixel_mask) == count else None
        if image_indices is None:
            image_indices = torch.zeros(count, dtype=torch.long, device=points.device)
        size = (features.levels[0].shape[-2], features.levels[0].shape[-1])
        content = self.content[0](features.levels[0])
        for project, level in zip(self.content[1:], features.levels[1:], strict=False):
            content = content + F.interpolate(project(level), size=size, mode="bilinear", align_corners=False)
        # Half precision has too few digits for places.
        valid = features.masks[0].float()
        scale = features.image_sizes.amax(1, keepdim=True).float()
        places = self._places(features, size) / scale[:, None, None]

        sides = features.image_sizes.flip(1).float() / scale
        sides = sides[image_indices]
        if boxes is None:
            boxes = points.new_zeros(count, 4)
        relations, chosen = self._relations(
            content.float()[image_indices],
            valid[image_indices],
            places[image_indices],
            points.float() * sides[:, None],
            labels,
            boxes.float() * sides.repeat(1, 2),
        )
        hidden = content[image_indices] + self.relations(relations.to(content.dtype))
        for block in self.blocks:
            hidden = block(hidden)

        levels, query_positions = [], []
        added = self.condition(chosen.to(content.dtype))
        for project_values, feature, mask in zip(self.values, features.levels, features.masks, strict=True):
            shape = (feature.shape[-2], feature.shape[-1])
            waves = self._waves(self._places(features, shape) / scale[:, None, None]).flatten(1, 2)
            waves = waves.to(content.dtype)
            query_positions.append(self.query_places(waves))
            tokens = feature.flatten(2).transpose(1, 2)
            keys = (tokens + self.key_places(waves))[image_indices]
            own = hidden if shape == size else F.adaptive_avg_pool2d(hidden, shape)
            values = project_values(self.value_norm(own.flatten(2).transpose(1, 2)))
            inside = mask.flatten(1)
            weight = inside.to(tokens.dtype)[..., None]
            condition = ((tokens * weight).sum(1) / weight.sum(1).clamp(min=1))[image_indices] + added
            valid_tokens = None if features.padded is False else inside[image_indices]
            levels.append(ReferenceTokens(keys, values, valid_tokens, condition))
        return References("point", levels, query_positions)

    @staticmethod
    def _places(features: VisualFeatures, shape: tuple[int, int]) -> Tensor:
        """(1, h, w, 2) x and y of a map's positions in pixels of the padded input."""
        height, width = features.pixel_values.shape[-2:]
        device = features.pixel_values.device
        y = (torch.arange(shape[0], device=device) + 0.5) * (height / shape[0])
        x = (torch.arange(shape[1], device=device) + 0.5) * (width / shape[1])
        return torch.stack([x.expand(shape[0], -1), y[:, None].expand(-1, shape[1])], dim=-1)[None]

    @staticmethod
    def _waves(places: Tensor) -> Tensor:
        """(..., 4 * WAVES) of places (..., 2): unit vectors that agree the less, the farther two places are apart."""
        order = torch.arange(1, WAVES + 1, device=places.device, dtype=places.dtype)
        amplitude = torch.exp(-0.5 * (order / (0.7 * WAVES)) ** 2)
        amplitude = amplitude / (2 * amplitude.square().sum()).sqrt()
        angles = places[..., None] * (order * math.pi)
        return torch.cat([angles.sin() * amplitude, angles.cos() * amplitude], dim=-1).flatten(-2)

    def _relations(
        self, content: Tensor, valid: Tensor, places: Tensor, points: Tensor, labels: Tensor, boxes: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What is known of every position (N, r, h, w), and the content that was pointed at (N, WIDTH).

        All in units of the picture's longer side: places (N, h, w, 2), points (N, P, 2), boxes (N, 4).
        """
        matched = self.match(content.to(self.match.weight.dtype)).float()
        matched = F.normalize(matched.unflatten(1, (HEADS, HEAD_DIM)), dim=2)
        has_box = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        across, down, inside, ring = _box_places(places, boxes, valid)
        of_box = (matched * inside[:, None, None]).sum((3, 4)) / inside.sum((1, 2)).clamp(min=1e-4)[:, None, None]
        of_ring = (matched * ring[:, None, None]).sum((3, 4)) / ring.sum((1, 2)).clamp(min=1e-4)[:, None, None]
        farthest = torch.maximum(across.abs(), down.abs())
        boxed = torch.cat(
            [
                torch.einsum("nkdhw,nkd->nkhw", matched, of_box),
                torch.einsum("nkdhw,nkd->nkhw", matched, of_ring),
                torch.stack([across, down, across.abs(), down.abs(), farthest.clamp(max=2), inside], dim=1),
            ],
            dim=1,
        ) * has_box[:, None, None, None].to(content.dtype)

        # The maps' positions that points lie on are read between their neighbours.
        under = _read_at(places, points, matched.flatten(1, 2)).unflatten(2, (HEADS, HEAD_DIM))
        alike = torch.einsum("nkdhw,npkd->npkhw", matched, F.normalize(under, dim=3))
        squared = (places[:, None] - points[:, :, None, None]).square().sum(-1)
        near = torch.stack([torch.exp(-0.5 * squared / reach**2) for reach in REACHES], dim=2)
        closest = alike.mean(2, keepdim=True) * near
        found = torch.cat([alike, near, closest], dim=2)
        here, elsewhere = (_largest(found, labels == label) for label in (1, 0))

        count = (labels == 1).sum(1, keepdim=True).to(content.dtype)
        flags = torch.cat([(count > 0), (labels == 0).any(1, keepdim=True), has_box[:, None]], dim=1).to(content.dtype)
        flags = torch.cat([flags, torch.log1p(count)], dim=1)[:, :, None, None].expand(-1, -1, *content.shape[-2:])

        shown = _read_at(places, points, content)
        meant = (labels == 1).to(content.dtype)[..., None]
        box_content = (content * inside[:, None]).sum((2, 3)) / inside.sum((1, 2)).clamp(min=1e-4)[:, None]
        chosen = (shown * meant).sum(1) / count.clamp(min=1)
        chosen = torch.where((count > 0), chosen, box_content * has_box[:, None].to(content.dtype))
        return torch.cat([here, elsewhere, boxed, flags], dim=1), chosen


def _box_places(places: Tensor, boxes: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Where positions lie in a box: x and y in half sides from its middle, (N, h, w), whether inside and around it."""
    middle = ((boxes[:, :2] + boxes[:, 2:]) / 2)[:, None, None]
    half = ((boxes[:, 2:] - boxes[:, :2]) / 2).clamp(min=1e-3)[:, None, None]
    across, down = ((places - middle) / half).unbind(-1)
    farthest = torch.maximum(across.abs(), down.abs())
    # A soft edge of about one position, so that boxes smaller than that have an inside.
    step = (places[:, -1, -1] - places[:, 0, 0]).amax(1) / max(places.shape[1:3])
    softness = (step[:, None] / half[:, 0, 0]).amax(1).clamp(min=0.05)[:, None, None]
    inside = torch.sigmoid((1 - farthest) / (0.5 * softness)) * valid
    ring = torch.sigmoid((RING - farthest) / (0.5 * softness)) * valid * (1 - inside)
    return across.clamp(-2, 2), down.clamp(-2, 2), inside, ring


def _read_at(places: Tensor, points: Tensor, maps: Tensor) -> Tensor:
    """(N, P, c) of maps (N, c, h, w) at points, between the four positions that are nearest."""
    if not points.shape[1]:
        return maps.new_zeros(points.shape[0], 0, maps.shape[1])
    first, last = places[:, 0, 0][:, None], places[:, -1, -1][:, None]
    grid = 2 * (points - first) / (last - first).clamp(min=1e-6) - 1
    read = F.grid_sample(maps, grid[:, :, None], padding_mode="border", align_corners=True)
    return read[..., 0].transpose(1, 2)


def _largest(found: Tensor, chosen: Tensor) -> Tensor:
    """(N, c, h, w) the largest of (N, P, c, h, w) over the points that are chosen (N, P); 0 where none is."""
    if not found.shape[1]:
        return found.new_zeros(found.shape[0], *found.shape[2:])
    least = found.masked_fill(~chosen[:, :, None, None, None], -1).amax(1)
    return torch.where(chosen.any(1)[:, None, None, None], least, torch.zeros_like(least))


class _Block(nn.Module):
    """What ConvNeXt's does (Liu et al., CVPR 2022): depthwise 7x7, norm, and an inverted bottleneck."""

    def __init__(self, width: int):
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.GroupNorm(1, width)
        self.widen = nn.Conv2d(width, 2 * width, 1)
        self.narrow = nn.Conv2d(2 * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.narrow(F.gelu(self.widen(self.norm(self.depthwise(x)))))
