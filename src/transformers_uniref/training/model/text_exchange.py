"""Give a trained model another text encoder that says, of the sentences it was trained on, what its own said.

A tiny model reads with a vocabulary of its own. A public text encoder knows the language, but the fusion does not know
its states. Before any picture is shown, a projection of them (and the encoder's last layers) learns to repeat the old
encoder's words, one by one: the fusion then goes on as before, and words it never saw lie where related ones do.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ...processors.text import normalise_sentence


def exchange_text_encoder(
    model: Any,
    tokenizer: Any,
    text_encoder: PreTrainedModel,
    new_tokenizer: Any,
    sentences: Sequence[str],
    *,
    text_length: int = 64,
    trained_layers: int = 2,
    steps: int = 1500,
    batch_size: int = 64,
    learning_rate: float = 5e-4,
    seed: int = 0,
    report: Callable[[str], None] = print,
) -> Any:
    """A copy of `model` that reads with `text_encoder`.

    Args:
        model: a `UniRefModel` with a text encoder; it is left as it is.
        tokenizer: its tokenizer. Both tokenizers must split sentences into the same words.
        text_encoder: a Transformers encoder with `encoder.layer`, such as a `BertModel`; its copy is trained.
        new_tokenizer: of `text_encoder`.
        sentences: what the model understands.
        text_length: tokens of a sentence that the new model reads at most.
        trained_layers: of the text encoder, from its end; the others stay as they are.
        steps, batch_size, learning_rate: of the training (AdamW, cosine).
        seed: of the order of sentences.
        report: gets a line now and then.
    """
    text = text_encoder.config.to_dict() | {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = type(model.config).from_dict(model.config.to_dict() | {"text_config": text, "text_length": text_length})
    config._attn_implementation = model.config._attn_implementation
    torch.manual_seed(seed)
    larger: Any = type(model)(config)
    known = {name: value for name, value in model.state_dict().items() if not name.startswith("language_encoder.")}
    larger.load_state_dict(known, strict=False)
    encoder = larger.language_encoder
    encoder.text_encoder.load_state_dict(text_encoder.state_dict(), strict=False)

    layers = encoder.text_encoder.encoder.layer
    for parameter in encoder.text_encoder.parameters():
        parameter.requires_grad_(False)
    for layer in layers[len(layers) - trained_layers :]:
        layer.requires_grad_(True)
    slow = [p for p in encoder.text_encoder.parameters() if p.requires_grad]
    fast = [p for name, p in encoder.named_parameters() if not name.startswith("text_encoder.")]
    groups = [{"params": slow, "lr": learning_rate / 5}, {"params": fast, "lr": 4 * learning_rate}]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    order = random.Random(seed)
    teacher = model.language_encoder.eval()
    encoder.eval()
    means: list[Tensor] = []
    for step in range(steps):
        texts = [normalise_sentence(text) for text in order.sample(sentences, min(batch_size, len(sentences)))]
        with torch.no_grad():
            counts, wanted, wanted_condition = _word_states(teacher, tokenizer, texts, model.config.text_length)
        new_counts, given, condition = _word_states(encoder, new_tokenizer, texts, text_length)
        # Sentences that only one of both reads whole have nothing to compare word by word.
        same = torch.tensor(counts) == torch.tensor(new_counts)
        kept, others = (same.repeat_interleave(torch.tensor(of)) for of in (counts, new_counts))
        difference = given[others] - wanted[kept]
        loss = difference.square().mean() + (condition - wanted_condition).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        means.append(loss.detach())
        if step % 100 == 99:
            share = torch.stack(means).mean() / wanted.square().mean()
            report(f"step {step + 1}: error {share:.4f} of the states' mean square")
            means.clear()
    for parameter in larger.parameters():
        parameter.requires_grad_(True)
    return larger.eval()


def _word_states(encoder: Any, tokenizer: Any, texts: list[str], length: int) -> tuple[list[int], Tensor, Tensor]:
    """The states of [CLS], of each word (the mean of its pieces) and of [SEP], one sentence after the other.

    Returns:
        how many states each sentence has, the states (sum of these, d), and the conditions (N, d).
    """
    encoded = tokenizer(texts, padding=True, truncation=True, max_length=length, return_tensors="pt")
    level = encoder(encoded["input_ids"], encoded["attention_mask"]).levels[0]
    counts: list[int] = []
    groups: list[int] = []
    kept: list[int] = []
    for row, tokens in enumerate(encoded["attention_mask"].sum(1).tolist()):
        words = [-1, *[int(word) for word in encoded.word_ids(row)[1 : tokens - 1]], 10**6]
        places = {word: place for place, word in enumerate(dict.fromkeys(words))}
        groups += [sum(counts) + places[word] for word in words]
        kept += [row * level.keys.shape[1] + token for token in range(tokens)]
        counts.append(len(places))
    place = torch.tensor(groups)
    pieces = level.keys.flatten(0, 1)[torch.tensor(kept)]
    sums = pieces.new_zeros(sum(counts), pieces.shape[1]).index_add(0, place, pieces)
    return counts, sums / torch.bincount(place)[:, None].to(sums), level.condition
