"""Segment a picture with an exported model; nothing but onnxruntime, tokenizers, NumPy and Pillow is imported.

    uniref export uniref-pp --onnx --output exported
    python examples/onnx_image.py exported photo.jpg --text "the big red star"
    python examples/onnx_image.py exported photo.jpg --example other.jpg --mask other-mask.png

The mask is written as a PNG; score and box are printed as JSON.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


class ExportedModel:
    """A folder that `uniref export --onnx` wrote; a graph is loaded when it is first asked."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.description = json.loads((folder / "export.json").read_text())
        self.sessions: dict[str, onnxruntime.InferenceSession] = {}

    def run(self, graph: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs of one graph by name."""
        if graph not in self.description["graphs"]:
            raise SystemExit(f"{self.folder} has no graph {graph}, it has {', '.join(self.description['graphs'])}")
        if graph not in self.sessions:
            file = self.folder / self.description["graphs"][graph]["file"]
            self.sessions[graph] = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        names = self.description["graphs"][graph]["outputs"]
        return dict(zip(names, self.sessions[graph].run(names, inputs), strict=True))

    def by_sentence(self, picture: Image.Image, sentence: str) -> dict[str, Any]:
        """What a sentence refers to: `mask` bool (height, width), `score`, `box` x0, y0, x1, y1 in pixels."""
        values, valid = self.prepare(picture, self.description["pictures"]["size"])
        ids = self.tokenise(sentence)
        inputs = {"input_ids": ids[None], "attention_mask": np.ones_like(ids)[None]}
        return self.answer(picture, self.run("sentence", {**as_batch(values, valid), **inputs}))

    def by_example(self, picture: Image.Image, example: Image.Image, mask: np.ndarray) -> dict[str, Any]:
        """What an example's mask, bool (height, width), shows; the answer is that of `by_sentence`."""
        rule = self.description["pictures"]["few_shot_size"]
        values, valid = self.prepare(picture, rule)
        shown, shown_valid = self.prepare(example, rule)
        height, width = shown_valid
        marked = np.zeros(shown.shape[1:], dtype=bool)
        marked[:height, :width] = nearest(mask, (height, width))
        inputs = {f"reference_{name}": array[None] for name, array in as_batch(shown, shown_valid).items()}
        inputs["reference_masks"] = marked[None, None]
        return self.answer(picture, self.run("examples", {**as_batch(values, valid), **inputs}))

    def prepare(self, picture: Image.Image, rule: dict[str, int]) -> tuple[np.ndarray, tuple[int, int]]:
        """The picture resized, normalised and padded, float32 (3, H, W), and its (height, width) without padding."""
        pictures, sizes = self.description["pictures"], self.description["sizes"]
        width, height = resized(picture.size, rule)
        small = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR), dtype=np.float32)
        normal = (small - np.float32(pictures["mean"])) / np.float32(pictures["std"])
        step = sizes["multiple_of"]
        padded = [max(-(-side // step) * step, sizes["least"]) for side in (height, width)]
        values = np.zeros((3, *padded), dtype=np.float32)
        values[:, :height, :width] = normal.transpose(2, 0, 1)
        return values, (height, width)

    def tokenise(self, sentence: str) -> np.ndarray:
        """Token ids, int64 (L,)."""
        from tokenizers import Tokenizer

        sentences = self.description["sentences"]
        tokenizer = Tokenizer.from_file(str(self.folder / sentences["tokenizer"]))
        tokenizer.no_padding()
        tokenizer.enable_truncation(sentences["length"])
        # What the model's own processor does to a sentence before it is tokenised.
        plain = re.sub(r"[-/]", " ", re.sub(r"""[.,'!?"()*#:;]""", "", sentence.lower()))
        return np.array(tokenizer.encode(" ".join(plain.split())).ids, dtype=np.int64)

    def answer(self, picture: Image.Image, outputs: dict[str, np.ndarray]) -> dict[str, Any]:
        """Mask, score and box at the size of the picture."""
        masks = self.description["masks"]
        logits = outputs["pred_masks"][0, 0]
        if masks["stride"] != 1:
            size = (logits.shape[1] * masks["stride"], logits.shape[0] * masks["stride"])
            logits = np.asarray(Image.fromarray(logits).resize(size, Image.Resampling.BILINEAR))
        height, width = outputs["image_sizes"][0]
        threshold = np.log(masks["threshold"] / (1 - masks["threshold"]))
        mask = nearest(logits[:height, :width] > threshold, (picture.height, picture.width))
        query = outputs["mask_queries"][0, 0]
        x, y, w, h = outputs["pred_boxes"][0, query]
        box = np.array([x - w / 2, y - h / 2, x + w / 2, y + h / 2]).clip(0, 1)
        scale = [picture.width, picture.height] * 2
        score = 1 / (1 + np.exp(-outputs["logits"][0, query].max()))
        return {"mask": mask, "score": float(score), "box": [float(side) for side in box * scale]}


def as_batch(values: np.ndarray, valid: tuple[int, int]) -> dict[str, np.ndarray]:
    """One picture as `pixel_values` and `pixel_mask` of a batch."""
    mask = np.zeros(values.shape[1:], dtype=np.int64)
    mask[: valid[0], : valid[1]] = 1
    return {"pixel_values": values[None], "pixel_mask": mask[None]}


def resized(size: tuple[int, int], rule: dict[str, int]) -> tuple[int, int]:
    """(width, height) of a picture by a rule of `export.json`."""
    if "height" in rule:
        return rule["width"], rule["height"]
    scale = min(rule.get("shortest_edge", np.inf) / min(size), rule.get("longest_edge", np.inf) / max(size))
    return max(1, int(size[0] * scale + 0.5)), max(1, int(size[1] * scale + 0.5))


def nearest(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A mask at another (height, width); the pixel at i is that at floor(i * old / new)."""
    rows = np.arange(size[0]) * mask.shape[0] // size[0]
    columns = np.arange(size[1]) * mask.shape[1] // size[1]
    return mask[rows[:, None], columns]


def read_picture(file: Path) -> Image.Image:
    """A picture, upright, in RGB."""
    return ImageOps.exif_transpose(Image.open(file)).convert("RGB")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="what `uniref export --onnx` wrote")
    parser.add_argument("image", type=Path)
    parser.add_argument("--text", help="what to look for")
    parser.add_argument("--example", type=Path, help="a picture with the same kind of thing")
    parser.add_argument("--mask", type=Path, help="its mask: not black where the thing is")
    parser.add_argument("--output", type=Path, default=Path("mask.png"), help="PNG to write (default: mask.png)")
    arguments = parser.parse_args()
    if (arguments.text is None) == (arguments.example is None) or (arguments.example is None) != (
        arguments.mask is None
    ):
        parser.error("give either --text, or --example and --mask")
    model, picture = ExportedModel(arguments.folder), read_picture(arguments.image)
    if arguments.text is not None:
        found = model.by_sentence(picture, arguments.text)
    else:
        mask = np.asarray(read_picture(arguments.mask)).any(2)
        found = model.by_example(picture, read_picture(arguments.example), mask)
    Image.fromarray(found["mask"]).save(arguments.output)
    print(json.dumps({"score": found["score"], "box": found["box"], "pixels": int(found["mask"].sum())}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
