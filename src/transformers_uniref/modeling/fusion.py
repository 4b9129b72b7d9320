"""UniFusion (paper section 3.3, equations 2 to 5): injects any reference into the visual features."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from .configuration_references import ReferenceFusionConfig
from .frame_fusion import FoldedProjections, SharedFrames, attend_to_frames, can_fold, fold
from .matrix_products import apply_linear
from .references import (
    ProjectedReferences,
    ProjectedTokens,
    References,
    ReferenceTokens,
    VisualFeatures,
    map_levels,
)
from .visual_encoder import is_tracing


def eager_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **_: object,
) -> tuple[Tensor, Tensor]:
    """softmax(Q K^T * scaling) V for (N, heads, tokens, head_dim); a bool mask is True where a key may be read."""
    scores = torch.matmul(query, key.transpose(-1, -2)) * scaling
    if attention_mask is not None:
        scores = scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
    weights = scores.softmax(-1, dtype=torch.float32).to(query.dtype)
    weights = F.dropout(weights, dropout, module.training)
    return torch.matmul(weights, value).transpose(1, 2), weights


class UniFusion(nn.Module):
    """Multi-head cross attention to the reference, scaled, shifted and gated by the reference's condition vector.

    One module for all levels, modalities and tasks. Equation 5 starts from zero, so a new module changes nothing.
    """

    def __init__(self, config: ReferenceFusionConfig):
        super().__init__()
        self.config = config
        self.heads, self.head_dim = config.fusion_heads, config.fusion_head_dim
        inner = self.heads * self.head_dim
        self.query_norm = nn.LayerNorm(config.d_model)
        self.key_norm = nn.LayerNorm(config.d_model)
        self.q_proj = nn.Linear(config.d_model, inner)
        self.k_proj = nn.Linear(config.d_model, inner)
        self.v_proj = nn.Linear(config.d_model, inner)
        self.out_proj = nn.Linear(inner, config.d_model)
        self.modulation = nn.Linear(config.d_model, 3 * config.d_model)
        self.is_causal = False

    def project(self, references: References) -> ProjectedReferences:
        """Keys and values of a reference, ready for attention; may be kept as long as the reference is used.

        Keys are normalised, values are not (as released). Keys that are padding in every entry are removed here,
        others are masked.
        """
        levels = map_levels(references.levels, self._project_level)
        return ProjectedReferences(references.kind, levels, references.query_positions)

    def _project_level(self, tokens: ReferenceTokens) -> ProjectedTokens:
        keys, values, valid, kept = tokens.keys, tokens.values, tokens.valid, None
        if valid is not None and not is_tracing():
            used = valid.any(0)
            if not bool(used.all()):
                keys, values, valid, kept = keys[:, used], values[:, used], valid[:, used], used
            if bool(valid.all()):
                valid = None
        keys = self._heads(apply_linear(self.k_proj, self.key_norm(keys)))
        return ProjectedTokens(keys, self._heads(apply_linear(self.v_proj, values)), valid, tokens.condition, kept)

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, self.head_dim)).transpose(1, 2)

    def forward(
        self,
        source: Tensor,
        tokens: ProjectedTokens,
        positions: Tensor | None = None,
        image_indices: Tensor | None = None,
    ) -> Tensor:
        """What one reference adds to one level.

        Args:
            source: (B, S, d) visual tokens of a level.
            tokens: the reference of N entries at this level.
            positions: (B or 1, S, d) added to the normalised queries, or None.
            image_indices: (N,) the image of every entry; None when N = B.

        Returns:
            (N, S, d): gate * (attention * (1 + scale) + shift).
        """
        q, k = self._queries_and_keys(source, tokens, positions, image_indices)
        attended = apply_linear(self.out_proj, self._attend(q, k, tokens.values, tokens.valid).flatten(2))
        return self._modulate(attended, tokens.condition)

    def _queries_and_keys(
        self, source: Tensor, tokens: ProjectedTokens, positions: Tensor | None, image_indices: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        queries = self.query_norm(source)
        if positions is not None:
            queries = queries + positions.to(queries.dtype)
        q = self._heads(apply_linear(self.q_proj, queries))
        count = tokens.values.shape[0]
        q = q[image_indices] if image_indices is not None else q.expand(count, -1, -1, -1)
        return q, tokens.keys.expand(count, -1, -1, -1)

    def attention_weights(
        self,
        source: Tensor,
        tokens: ProjectedTokens,
        positions: Tensor | None = None,
        image_indices: Tensor | None = None,
    ) -> Tensor:
        """The softmax of `forward`, which does not compute it by itself where a fused kernel does the attention.

        Args:
            source, tokens, positions, image_indices: see `forward`.

        Returns:
            (N, heads, S, T) for T tokens of the reference, 0 at padding; sums to 1 over T. In training without dropout.
        """
        q, k = self._queries_and_keys(source, tokens, positions, image_indices)
        if self._kernel(tokens.valid)[1]:
            q, k = q.bfloat16(), k.bfloat16()
        mask = None if tokens.valid is None else tokens.valid[:, None, None, :]
        _, weights = eager_attention(self, q, k, tokens.values[..., :0].to(q.dtype), mask, self.head_dim**-0.5)
        if tokens.kept is None:
            return weights
        whole = weights.new_zeros(*weights.shape[:-1], len(tokens.kept))
        whole[..., tokens.kept] = weights
        return whole

    def _kernel(self, valid: Tensor | None) -> tuple[str, bool]:
        """The attention implementation, and whether queries, keys and values become bfloat16 for it."""
        implementation = self.config._attn_implementation or "eager"
        if "flash" in implementation and valid is not None:
            # The library's flash wrapper would drop *queries* by the key mask; SDPA takes the mask as it is.
            implementation = "sdpa"
        return implementation, self.config.fusion_bf16 or "flash" in implementation

    def _modulate(self, attended: Tensor, condition: Tensor) -> Tensor:
        shift, scale, gate = self.modulation(F.silu(condition))[:, None].chunk(3, dim=-1)
        return gate * (attended * (1 + scale) + shift)

    def can_share_frames(self) -> bool:
        """Whether `attend_to_frames` may stand in for `project` and `forward`: on a CPU the same result, sooner."""
        return (
            not self.training
            and not torch.is_grad_enabled()
            and not is_tracing()
            and self.config._attn_implementation in (None, "sdpa")
            # Whoever listens to `forward` wants it called.
            and not self._forward_hooks
            and not self._forward_pre_hooks
            and can_fold(self.head_dim, [self.q_proj, self.k_proj, self.v_proj, self.out_proj])
        )

    def fold_projections(self) -> FoldedProjections:
        """The projections as `attend_to_frames` wants them, in the precision of the surroundings.

        Its sums are not normalised, which float16 has no room for: that runs in float32.
        """
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else self.q_proj.weight.dtype
        if self.config.fusion_bf16:
            dtype = torch.bfloat16
        elif dtype == torch.float16:
            dtype = torch.float32
        return fold(self.heads, self.q_proj, self.k_proj, self.v_proj, self.out_proj, dtype)

    def attend_to_frames(self, source: Tensor, shared: SharedFrames, folded: FoldedProjections, level: int) -> Tensor:
        """What the annotated frames of N objects add to one level of one image.

        Args:
            source: (1, S, d) visual tokens of the level.
            folded: from `fold_projections`.

        Returns:
            (N, S, d), as `forward`.
        """
        attended = attend_to_frames(self.query_norm(source[0]), self.key_norm, folded, shared, level)
        return self._modulate(attended, shared.conditions[level])

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, valid: Tensor | None) -> Tensor:
        """(N, S, heads, head_dim)."""
        dtype = q.dtype
        implementation, in_bfloat16 = self._kernel(valid)
        if in_bfloat16:
            q, k, v = q.bfloat16(), k.bfloat16(), v.bfloat16()
        attention: Callable = ALL_ATTENTION_FUNCTIONS.get_interface(implementation, eager_attention)
        out, _ = attention(
            self,
            q,
            k,
            v,
            None if valid is None else valid[:, None, None, :],
            scaling=self.head_dim**-0.5,
            dropout=self.config.fusion_dropout if self.training else 0.0,
            is_causal=False,
        )
        return out.to(dtype)


def fuse_levels(
    fusion: UniFusion,
    features: VisualFeatures,
    references: Sequence[ProjectedReferences | SharedFrames],
    image_indices: Tensor | None = None,
) -> list[Tensor]:
    """Equation 2 on every level; several references act in parallel on the same features and are summed.

    `SharedFrames` need one image, without gradients (`UniFusion.can_share_frames`).

    Returns:
        maps (N, d, H/s, W/s), one a level.
    """
    fused = []
    folded = fusion.fold_projections() if any(isinstance(item, SharedFrames) for item in references) else None
    for level, feature in enumerate(features.levels):
        source = feature.flatten(2).transpose(1, 2)
        positions = features.positions[level].flatten(2).transpose(1, 2)
        result = source if image_indices is None else source[image_indices]
        for reference in references:
            if isinstance(reference, SharedFrames):
                assert folded is not None
                result = result + fusion.attend_to_frames(source, reference, folded, level)
                continue
            added = None if reference.query_positions is None else reference.query_positions[level]
            if fusion.config.language_query_positions and reference.kind == "language":
                added = positions
            result = result + fusion(source, reference.levels[level], added, image_indices)
        fused.append(result.transpose(1, 2).unflatten(2, feature.shape[-2:]))
    return fused
