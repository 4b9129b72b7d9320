"""A start for an audio encoder: the tokens of a sound are those of the sentence that names what sounds.

That needs no picture and no step of the network: the frozen text encoder is the teacher. What follows then finds things
by their sound as it finds them by their names, and a run through the whole network has little left to do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ...core.errors import UsageError
from ...processors.text import padded_tokens
from ...worlds.drawn.sound import NAMES, SAMPLING_RATE, random_sounds

BATCH = 24
_LEARNING_RATE = 2e-3
_SOUNDS = 2000


def teach_names_(model: Any, tokenizer: Any, extractor: Any, steps: int, seed: int = 0) -> float:
    """Trains a model's audio encoder, and nothing else of it, for so many steps on sounds of the drawn world.

    Returns:
        The mean squared error of the last tenth of the steps.

    Raises:
        ValueError: the model does not both read and hear.
    """
    config = model.config
    if not (config.use_audio_references and config.use_language_references):
        raise UsageError("audio_start_steps: needs a model that reads and hears, with use_audio_references")
    encoder, device = model.audio_encoder, model.device
    targets = name_tokens(model, tokenizer)
    rng = np.random.default_rng(seed)
    numbers, sounds = random_sounds(_SOUNDS, rng)
    made = extractor(sounds, sampling_rate=SAMPLING_RATE, return_tensors="pt", padding=True)
    values, names = made[extractor.model_input_names[0]], torch.from_numpy(numbers)
    was_training = model.training
    model.eval()
    optimizer = torch.optim.AdamW(encoder.parameters(), _LEARNING_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _LEARNING_RATE, total_steps=steps, pct_start=0.1)
    losses = []
    for _ in range(steps):
        chosen = torch.from_numpy(rng.integers(_SOUNDS, size=BATCH))
        tokens = encoder(values[chosen].to(device)).levels[0].keys
        loss = F.mse_loss(tokens.float(), targets[names[chosen].to(device)])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    model.train(was_training)
    return float(np.mean(losses[-max(1, steps // 10) :]))


@torch.no_grad()
def name_tokens(model: Any, tokenizer: Any) -> Tensor:
    """(names, audio_tokens, d) the tokens that the text encoder makes of each of `NAMES`, repeated to their number."""
    was_training = model.training
    model.eval()
    read = padded_tokens(list(NAMES), tokenizer, model.config.text_length)
    ids, valid = (torch.from_numpy(read[name]).to(model.device) for name in ("input_ids", "attention_mask"))
    keys = model.encode_language(ids, valid).levels[0].keys.float()
    model.train(was_training)
    lengths = valid.sum(1).tolist()
    count = model.config.audio_tokens
    parts = [F.interpolate(one[:n].T[None], size=count)[0].T for one, n in zip(keys, lengths, strict=True)]
    return torch.stack(parts)
