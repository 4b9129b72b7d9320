"""Make one UniRef model of several with equal modules: the weighted mean of their weights.

    python examples/mean_of_weights.py OUTPUT runs/a/final=0.5 runs/b/final=0.25 runs/b/checkpoints/step-00000200=0.25

A source is a model (a folder, a Hub id or a bundled name) or a checkpoint of a training run, of which the averaged
weights are taken. Configuration and processor are those of the first source, which has to be a model. The shares must
sum to 1. Means of models that come from one start often keep more of what each can do than either; measure it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModel, AutoProcessor

from finetuning import fail
from transformers_uniref.core.model_names import model_location
from transformers_uniref.training.checkpointing import STATE_FILE, load_checkpoint


def shared_source(text: str) -> tuple[str, float]:
    """A source and its share, from SOURCE=SHARE."""
    source, separator, share = text.rpartition("=")
    try:
        if not separator or not source:
            raise ValueError
        return source, float(share)
    except ValueError:
        raise argparse.ArgumentTypeError(f"got {text!r}; expected SOURCE=SHARE, such as runs/a/final=0.5") from None


def weights_of(source: str) -> dict[str, Tensor]:
    """All weights of a model, or those of a checkpoint with the averages in place of what is averaged."""
    if (Path(source) / STATE_FILE).is_file():
        state = load_checkpoint(Path(source))
        return state["model"] | state["ema"]["parameters"]
    return AutoModel.from_pretrained(model_location(source), dtype=torch.float32).state_dict()


def mean_of(sources: list[tuple[str, float]]) -> dict[str, Tensor]:
    """The weighted mean; numbers that count something are the first source's.

    Raises:
        ValueError: a source has other weights than the first.
    """
    (first, share), *others = sources
    kept = weights_of(first)
    mean = {name: share * value.float() if value.is_floating_point() else value for name, value in kept.items()}
    for source, share in others:
        weights = weights_of(source)
        strange = sorted(set(kept) ^ set(weights)) or [n for n in kept if kept[n].shape != weights[n].shape]
        if strange:
            raise ValueError(f"{source}: its weights are not those of {first}: {strange[0]} differs")
        for name, value in weights.items():
            if value.is_floating_point():
                mean[name] += share * value.float()
    return mean


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output_dir", type=Path, help="folder to write; must not exist yet, or be empty")
    parser.add_argument("sources", nargs="+", type=shared_source, metavar="SOURCE=SHARE", help="what to mix, how much")
    arguments = parser.parse_args()
    if arguments.output_dir.exists() and any(arguments.output_dir.iterdir()):
        return fail(f"output_dir: {arguments.output_dir} is not empty")
    total = sum(share for _, share in arguments.sources)
    if abs(total - 1.0) > 1e-6:
        return fail(f"sources: their shares sum to {total:g}; expected 1")
    first = arguments.sources[0][0]
    if (Path(first) / STATE_FILE).is_file():
        return fail(f"sources: {first} is a checkpoint; the first has to be a model, with its processor")
    try:
        mean = mean_of(arguments.sources)
    except (OSError, ValueError) as error:
        return fail(str(error))
    location = model_location(first)
    model = AutoModel.from_pretrained(location, dtype=torch.float32)
    model.load_state_dict(mean)
    model.save_pretrained(arguments.output_dir)
    AutoProcessor.from_pretrained(location).save_pretrained(arguments.output_dir)
    print(f"{model.num_parameters():,} parameters in {arguments.output_dir}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
