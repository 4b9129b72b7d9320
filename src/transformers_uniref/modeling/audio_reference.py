"""Sound -> reference: a Transformers audio encoder, of whose frames a few learned queries make tokens like words.

The tokens take the place of a sentence's: what follows treats both alike, and both may be given together.
"""

from __future__ import annotations

import inspect

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoModel

from .configuration_references import ReferenceFusionConfig, sub_config
from .references import References, ReferenceTokens


class AudioReferenceEncoder(nn.Module):
    """`audio_tokens` queries attend to the encoder's frames; the tokens are keys and values, their mean the condition.

    With a sound of any length the number of tokens is that of a short sentence. (The resampler of Flamingo, Alayrac et
    al. 2022, with one layer.)
    """

    def __init__(self, config: ReferenceFusionConfig):
        super().__init__()
        self.levels = len(config.feature_strides)
        # Where hearing is switched on as an option of `from_pretrained`, nobody has filled this in.
        config.audio_config = sub_config(config.audio_config, "uniref_log_mel")
        encoder = AutoModel.from_config(config.audio_config)
        # Of Whisper and its like, the half that listens.
        self.audio_encoder = encoder.get_encoder() if config.audio_config.is_encoder_decoder else encoder
        width, d = config.audio_config.hidden_size, config.d_model
        self.queries = nn.Embedding(config.audio_tokens, d)
        self.keys = nn.Linear(width, d)
        self.values = nn.Linear(width, d)
        self.inner = nn.Linear(d, 2 * d)
        self.outer = nn.Linear(2 * d, d)
        self.layer_norm = nn.LayerNorm(d, eps=1e-12)

    def forward(self, audio_values: Tensor, audio_mask: Tensor | None = None) -> References:
        """Encode sounds.

        Args:
            audio_values: (N, ...) what the processor's extractor makes of N sounds: spectrograms or samples.
            audio_mask: (N, T), non-zero for frames (samples) that are no padding; None when none are.
        """
        encoder = self.audio_encoder
        options = {}
        if audio_mask is not None and "attention_mask" in inspect.signature(encoder.forward).parameters:
            options["attention_mask"] = audio_mask
        hidden = encoder(**{encoder.main_input_name: audio_values}, **options).last_hidden_state
        valid = None
        if audio_mask is not None:
            # Encoders make fewer frames than they were given, evenly.
            shares = F.interpolate(audio_mask[:, None].float(), size=hidden.shape[1], mode="nearest")[:, 0]
            valid = (shares > 0)[:, None, None]
        count = self.queries.num_embeddings
        queries = self.queries.weight.to(hidden.dtype)[None, None].expand(len(hidden), -1, -1, -1)
        keys, values = self.keys(hidden)[:, None], self.values(hidden)[:, None]
        tokens = F.scaled_dot_product_attention(queries, keys, values, attn_mask=valid)[:, 0]
        tokens = tokens + self.queries.weight.to(tokens.dtype)
        tokens = self.layer_norm(tokens + self.outer(F.gelu(self.inner(tokens))))
        all_valid = torch.ones(len(hidden), count, dtype=torch.bool, device=hidden.device)
        level = ReferenceTokens(tokens, tokens, all_valid, tokens.mean(1))
        return References("language", [level] * self.levels)


__all__ = ["AudioReferenceEncoder"]
