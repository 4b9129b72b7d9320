"""Sentence -> reference: a Transformers text encoder and a projection to d channels (paper section 3.2)."""

import torch
from torch import Tensor, nn
from transformers import AutoModel

from .configuration_references import ReferenceFusionConfig
from .references import References, ReferenceTokens
from .visual_encoder import is_tracing


class LanguageReferenceEncoder(nn.Module):
    """All tokens of the sentence, [CLS] and [SEP] included, are keys and values alike; their mean is the condition."""

    def __init__(self, config: ReferenceFusionConfig):
        super().__init__()
        self.levels = len(config.feature_strides)
        self.text_encoder = AutoModel.from_config(config.text_config, add_pooling_layer=False)
        self.projection = nn.Linear(config.text_config.hidden_size, config.d_model)
        self.layer_norm = nn.LayerNorm(config.d_model, eps=1e-12)
        self.dropout = nn.Dropout(config.text_dropout)

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> References:
        """Encode sentences.

        Args:
            input_ids: (N, L) token ids.
            attention_mask: (N, L), non-zero for real tokens; None when all are.
        """
        valid = torch.ones_like(input_ids, dtype=torch.bool) if attention_mask is None else attention_mask.bool()
        if not is_tracing():
            # Columns that no sentence uses are dropped: they would be masked everywhere.
            length = int(valid.any(0).nonzero().max()) + 1
            input_ids, valid = input_ids[:, :length], valid[:, :length]
        hidden = self.text_encoder(input_ids=input_ids, attention_mask=valid.long()).last_hidden_state
        tokens = self.dropout(self.layer_norm(self.projection(hidden)))
        weight = valid.to(tokens.dtype)[..., None]
        condition = (tokens * weight).sum(1) / weight.sum(1)
        level = ReferenceTokens(tokens, tokens, valid, condition)
        return References("language", [level] * self.levels)
