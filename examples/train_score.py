"""Train the score of a model further (`mask_pooled_scores`), and nothing else, on inputs that are stored once.

    python examples/train_score.py runs/photographs/final OUTPUT --photographs COCO ADE --clips CLIPS

The score wants many passes, and all that it looks at stays the same while only it is trained: each picture is seen by
the whole model once, and a pass over what is kept of that takes seconds. COCO and ADE are folders as `uniref evaluate
--dataset photos` takes them, CLIPS one of `sampling.photo_folder`; what that recipe holds back is not used.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoModel, AutoProcessor

from finetuning import fail
from transformers_uniref.core.model_names import model_location
from transformers_uniref.evaluation.photo_rows import read_pictures
from transformers_uniref.modeling.losses.criterion import MASK_STRIDE
from transformers_uniref.modeling.losses.score_losses import fit_loss, fit_of_masks
from transformers_uniref.training.config.training import load_config
from transformers_uniref.training.data.collation import Collator
from transformers_uniref.training.data.feed import build_feed
from transformers_uniref.worlds.photographs.folders import held_out

SENTENCES, ABSENT = 8, 2
"""Of a photograph at most; classes that it does not show, where a folder has no sentences about nothing."""

DRAWN = (
    "micro_batches=[{scenes: {ris: 8}}, {scenes: {fss: 16}}, {scenes: {vos: 4}, every: 2}, "
    "{scenes: {rvos: 4}, every: 2, offset: 1}, {scenes: {rvos_text: 4}, every: 2, offset: 1}]"
)
SPOKEN = ("ris", "rvos", "rvos_text")


@dataclass
class Stored:
    """What the score is computed and judged by, for N references of one call.

    Attributes:
        regions: (N, Q, r) half precision.
        conditions: (N, d) of each kind of reference.
        logits: (N, Q) without the score.
        fit: (N, Q) how well each mask fits, see `fit_of_masks`.
        shift: (N,) what is added to the score while it is trained.
    """

    regions: Tensor
    conditions: list[Tensor]
    logits: Tensor
    fit: Tensor
    shift: Tensor

    def batches(self, size: int) -> Iterator[Stored]:
        """Parts of `size` references in random order."""
        for part in torch.randperm(len(self.fit)).split(size):
            conditions = [one[part] for one in self.conditions]
            yield Stored(self.regions[part], conditions, self.logits[part], self.fit[part], self.shift[part])


class Watcher:
    """Keeps what the score of a model was given last, and what it said."""

    def __init__(self, model: Any) -> None:
        self.model = model
        model.mask_pooled_score.register_forward_hook(self._keep, with_kwargs=True)

    def _keep(self, module: Any, given: tuple[Any, ...], named: dict[str, Any], said: Tensor) -> None:
        queries, boxes, self.masks, maps, valid, conditions = given
        self.regions = module.pool(queries, boxes, self.masks, maps, valid).half()
        self.conditions, self.said = [one.float() for one in conditions], said

    @torch.no_grad()
    def stored(self, inputs: dict[str, Any], truth: Sequence[Tensor], shift: Sequence[float]) -> Stored:
        """Ask the model. `truth` holds the masks (t, h, w) that each reference means, as large as the model's own."""
        logits = self.model(**inputs).logits[..., 0].float() - self.said.float()
        fit = fit_of_masks(self.masks.float(), truth)
        return Stored(self.regions, self.conditions, logits, fit, torch.tensor(shift))


def of_photographs(watcher: Watcher, processor: Any, folder: Path, pictures: int) -> Iterator[Stored]:
    """Sentences about photographs of a folder that are trained on."""
    names = sorted(path.name for path in (folder / "images").glob("*.jpg"))
    kept = {names[number] for number in held_out(len(names), "train")}
    found = [picture for picture in read_pictures(folder) if picture.path.name in kept]
    every = sorted({text for picture in found for text, _ in picture.sentences()})
    for number, picture in enumerate(random.Random(3).sample(found, min(pictures, len(found)))):
        draws = random.Random(number)
        told = picture.sentences()
        asked = draws.sample(told, min(SENTENCES, len(told)))
        if all(ids for _, ids in told):
            shown = {text for text, _ in told}
            absent = [text for text in draws.sample(every, min(len(every), 20 * ABSENT)) if text not in shown]
            asked += [(text, []) for text in absent[:ABSENT]]
        objects = {number: mask for number, _, mask in picture.objects()}
        with Image.open(picture.path) as file:
            inputs = processor(images=[file.convert("RGB")], text=[[text for text, _ in asked]], return_tensors="pt")
        valid = inputs["pixel_mask"][0]
        size = (int(valid.any(1).sum()), int(valid.any(0).sum()))
        truth = [as_large([objects[number] for number in ids], size, valid.shape) for _, ids in asked]
        yield watcher.stored(dict(inputs), truth, [0.0] * len(asked))


def as_large(masks: list[np.ndarray], size: tuple[int, int], padded: Sequence[int]) -> Tensor:
    """Masks (t, H, W) resized to the model's pictures, padded and reduced to its masks."""
    if not masks:
        return torch.zeros(0, padded[0] // MASK_STRIDE, padded[1] // MASK_STRIDE)
    grown = F.interpolate(torch.from_numpy(np.stack(masks))[None].float(), size=size, mode="area")[0] > 0.5
    whole = F.pad(grown.float(), (0, padded[1] - size[1], 0, padded[0] - size[0]))
    return whole[:, MASK_STRIDE // 2 :: MASK_STRIDE, MASK_STRIDE // 2 :: MASK_STRIDE]


def of_drawings(watcher: Watcher, processor: Any, clips: Path | None, steps: int, shift: float) -> Iterator[Stored]:
    """References of all kinds in the drawn world, as the recipe `photographs` draws them."""
    photographs = [f"sampling.photo_folder={clips}"] if clips else ["sampling.photo_share=0.0"]
    config = load_config("photographs", [DRAWN, "loader_workers=0", "sampling.photographs=[]", *photographs])
    collator = Collator(processor.tokenizer, processor.text_length)
    for batches in islice(build_feed(config, reads_words=False).steps(0, collator), steps):
        for batch in batches:
            start = MASK_STRIDE // 2
            truth = [
                label["masks"][:, start::MASK_STRIDE, start::MASK_STRIDE].float() for label in batch.inputs["labels"]
            ]
            inputs = {name: value for name, value in batch.inputs.items() if name != "labels"}
            yield watcher.stored(inputs, truth, [shift if task in SPOKEN else 0.0 for task in batch.tasks])


def joined(parts: list[Stored]) -> list[Stored]:
    """All that was stored, put together where there are as many references."""
    groups: dict[int, list[Stored]] = {}
    for part in parts:
        groups.setdefault(len(part.conditions), []).append(part)
    return [
        Stored(
            torch.cat([one.regions for one in group]),
            [torch.cat(conditions) for conditions in zip(*(one.conditions for one in group), strict=True)],
            *(torch.cat([getattr(one, name) for one in group]) for name in ("logits", "fit", "shift")),
        )
        for group in groups.values()
    ]


def train(score: Any, parts: list[Stored], passes: int, learning_rate: float, batch_size: int = 64) -> None:
    """AdamW with a cosine over all passes."""
    steps = passes * sum(-(-len(part.fit) // batch_size) for part in parts)
    optimizer = torch.optim.AdamW(score.parameters(), lr=learning_rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    score.train()
    for number in range(passes):
        batches = [batch for part in parts for batch in part.batches(batch_size)]
        random.shuffle(batches)
        total = 0.0
        for batch in batches:
            said = batch.logits + score.compare(batch.regions.float(), batch.conditions) + batch.shift[:, None]
            loss = fit_loss(said, batch.fit)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(score.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        print(f"pass {number + 1}: loss {total / len(batches):.3f}")
    score.eval()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a UniRef model with `mask_pooled_scores`: a folder, a Hub id or a bundled name")
    parser.add_argument("output_dir", type=Path, help="folder to write; must not exist yet, or be empty")
    parser.add_argument("--photographs", type=Path, nargs="+", default=[], help="folders of photographs")
    parser.add_argument("--clips", type=Path, help="folder of clips for a share of the drawn world's scenes")
    parser.add_argument("--pictures", type=int, default=1500, help="photographs of each folder (1500)")
    parser.add_argument("--steps", type=int, default=130, help="steps of the recipe whose drawings are stored (130)")
    parser.add_argument("--passes", type=int, default=10, help="passes over all that is stored (10)")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="at the start (1e-3)")
    parser.add_argument("--dropout", type=float, default=0.3, help="of the score while it is trained (.3)")
    parser.add_argument(
        "--shift",
        type=float,
        default=1.25,
        help="the logit of sentences about drawings is taken for so much higher, so that it ends so much lower and one "
        "gate serves photographs and drawings (1.25)",
    )
    arguments = parser.parse_args()
    if arguments.output_dir.exists() and any(arguments.output_dir.iterdir()):
        return fail(f"output_dir: {arguments.output_dir} is not empty")
    location = model_location(arguments.model)
    model, processor = AutoModel.from_pretrained(location).eval(), AutoProcessor.from_pretrained(location)
    if not model.config.mask_pooled_scores:
        return fail(f"model: {arguments.model} has no such score (`mask_pooled_scores` of its configuration)")
    torch.manual_seed(0)
    random.seed(0)
    watcher = Watcher(model)
    parts = list(of_drawings(watcher, processor, arguments.clips, arguments.steps, arguments.shift))
    for folder in arguments.photographs:
        parts += of_photographs(watcher, processor, folder, arguments.pictures)
    print(f"{sum(len(part.fit) for part in parts)} references")
    model.mask_pooled_score.dropout.p = arguments.dropout
    train(model.mask_pooled_score, joined(parts), arguments.passes, arguments.learning_rate)
    model.save_pretrained(arguments.output_dir)
    processor.save_pretrained(arguments.output_dir)
    print(f"saved {arguments.output_dir}; choose the gates (`score_threshold`, ...) anew")
    return 0


if __name__ == "__main__":
    sys.exit(main())
