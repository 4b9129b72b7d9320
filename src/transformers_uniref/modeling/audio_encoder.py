"""A small audio encoder for log-mel spectrograms: a few convolutions, no more than a demonstration needs."""

from __future__ import annotations

import torch
from huggingface_hub.dataclasses import strict
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutput


@strict
class LogMelEncoderConfig(PreTrainedConfig):
    r"""Configuration of [`LogMelEncoder`].

    Args:
        num_mel_bins: bands of the spectrograms, a multiple of 8.
        widths: channels of the three convolutions; each halves bands and frames.
        hidden_size: channels of the output.
    """

    model_type = "uniref_log_mel"

    num_mel_bins: int = 64
    widths: list[int] | tuple[int, ...] = (24, 48, 48)
    hidden_size: int = 128


class LogMelEncoder(PreTrainedModel):
    """Three convolutions over bands and frames, and two over frames alone."""

    config: LogMelEncoderConfig
    config_class = LogMelEncoderConfig
    base_model_prefix = "log_mel"
    main_input_name = "input_features"
    input_modalities = "audio"
    # It has no attention: whatever the model around it uses is right.
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True

    def __init__(self, config: LogMelEncoderConfig):
        super().__init__(config)
        widths, d = (1, *config.widths), config.hidden_size
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, 3, stride=2, padding=1)
            for before, after in zip(widths[:-1], widths[1:], strict=True)
        )
        bands = config.num_mel_bins // 2 ** len(config.widths)
        self.projection = nn.Linear(widths[-1] * bands, d)
        self.frames = nn.ModuleList(nn.Conv1d(d, d, 5, padding=2) for _ in range(2))
        self.layer_norm = nn.LayerNorm(d)
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, (nn.Conv1d, nn.Conv2d)):
            init.kaiming_uniform_(module.weight, a=1)
            if module.bias is not None:
                init.zeros_(module.bias)
        else:
            super()._init_weights(module)

    def forward(self, input_features: Tensor) -> BaseModelOutput:
        """Log-mel spectrograms (N, bands, T) to `last_hidden_state` (N, ceil(T / 8), hidden_size)."""
        x = input_features[:, None]
        # No norm in between: it would take away how loud a sound is.
        for convolution in self.convolutions:
            x = F.gelu(convolution(x))
        x = self.projection(x.flatten(1, 2).transpose(1, 2))
        for convolution in self.frames:
            x = x + F.gelu(convolution(x.transpose(1, 2))).transpose(1, 2)
        return BaseModelOutput(last_hidden_state=self.layer_norm(x))


__all__ = ["LogMelEncoder", "LogMelEncoderConfig"]
