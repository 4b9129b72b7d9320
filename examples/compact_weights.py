"""Store a UniRef model in few bytes: half precision, and one byte a number for the words of its text encoder.

    python examples/compact_weights.py runs/photographs/final OUTPUT

The rows of a vocabulary are most of a small model. What follows them is a layer norm, which takes any common factor out
again: scaled by a power of two into the range of 8-bit floats (e4m3: 3 bits of mantissa) they lose little, and
Transformers loads the file as it is. The model computes in float32, as before. How far the states of words moved is
printed.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoModel, AutoProcessor

from finetuning import fail
from transformers_uniref.core.model_names import model_location

BYTE = torch.float8_e4m3fn
TABLES = ("word_embeddings", "position_embeddings", "token_type_embeddings")
"""Of a BERT-like text encoder: their sum is normalised, so that their common factor says nothing."""


def compact(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights in half precision, the tables of the text encoder in 8 bits; what is not floating stays."""
    prefix = "language_encoder.text_encoder.embeddings."
    tables = {name: state[name] for part in TABLES if (name := f"{prefix}{part}.weight") in state}
    stored = {n: (v.to(torch.float16) if v.is_floating_point() else v).contiguous() for n, v in state.items()}
    if tables and f"{prefix}LayerNorm.weight" in state:
        largest = max(float(table.abs().max()) for table in tables.values())
        factor = 2.0 ** math.floor(math.log2(torch.finfo(BYTE).max / largest))
        stored |= {name: (factor * table.float()).to(BYTE).contiguous() for name, table in tables.items()}
    return stored


@torch.no_grad()
def moved(before: Any, after: Any, processor: Any, sentences: list[str]) -> float:
    """How far the word states moved, as a share of their root mean square."""
    tokens = processor.tokenizer(sentences, padding=True, return_tensors="pt")
    inputs = {name: tokens[name] for name in ("input_ids", "attention_mask")}
    first, second = (model.language_encoder(**inputs).levels[0].keys.float() for model in (before, after))
    valid = inputs["attention_mask"].bool()
    return float((first - second)[valid].square().mean().sqrt() / first[valid].square().mean().sqrt())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a folder, a Hub id or a bundled name")
    parser.add_argument("output_dir", type=Path, help="folder to write; must not exist yet, or be empty")
    arguments = parser.parse_args()
    if arguments.output_dir.exists() and any(arguments.output_dir.iterdir()):
        return fail(f"output_dir: {arguments.output_dir} is not empty")
    location = model_location(arguments.model)
    model, processor = AutoModel.from_pretrained(location, dtype=torch.float32), AutoProcessor.from_pretrained(location)
    model.config.save_pretrained(arguments.output_dir)
    processor.save_pretrained(arguments.output_dir)
    file = arguments.output_dir / "model.safetensors"
    save_file(compact(model.state_dict()), file, metadata={"format": "pt"})
    read_back = AutoModel.from_pretrained(arguments.output_dir, dtype=torch.float32)
    text = ""
    if model.config.use_language_references:
        sentences = ["the dog on the left", "a person in a red coat next to the bicycle", "the smallest star"]
        text = f", word states moved by {moved(model.eval(), read_back.eval(), processor, sentences):.2%}"
    print(f"{file}: {file.stat().st_size / 1e6:.1f} MB{text}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
