"""What UniFusion reads of a sentence and of annotated examples, as maps over pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F

from ..core.errors import KindError, UsageError
from ..core.mask_reading import is_mask
from ..core.masks import binary_mask
from ..core.picture_input import as_tree, is_image, rgb_array
from ..inference.pictures import prepare, read
from ..modeling.precision import half_precision
from ..processors.text import check_sentence

if TYPE_CHECKING:
    from ..modeling.shared_model import AnyUniRefModel
    from ..processors.processing_uniref import UniRefProcessor


@dataclass(frozen=True, eq=False)
class AttentionMaps:
    """The attention of UniFusion in one pass over one picture, averaged over heads and levels.

    Each place of the picture divides one unit of attention among the tokens of the sentence, and one among those of the
    examples.

    Attributes:
        image: uint8 (H, W, 3).
        segmentation: bool (H, W), what was found.
        score: 0 to 1.
        text: the sentence; None without one.
        words: of the sentence as the model reads it, special tokens in brackets among them.
        word_maps: (words, h, w) the attention that each place pays to each word; sums to 1 over words.
        examples: uint8 (H', W', 3) each.
        example_masks: bool (H', W') each.
        example_maps: (h', w') each: where the places of the found object look; all of them together sum to 1.
    """

    image: np.ndarray
    segmentation: np.ndarray
    score: float
    text: str | None = None
    words: Sequence[str] = ()
    word_maps: np.ndarray = field(default_factory=lambda: np.zeros((0, 1, 1), dtype=np.float32))
    examples: Sequence[np.ndarray] = ()
    example_masks: Sequence[np.ndarray] = ()
    example_maps: Sequence[np.ndarray] = ()

    def word_shares(self, mask: np.ndarray | None = None) -> np.ndarray:
        """(words,) the mean attention to each word within a mask (H, W); default: the whole picture."""
        if mask is None:
            return self.word_maps.mean((1, 2))
        weight = shrink(mask, self.word_maps.shape[1:])
        return (self.word_maps * weight).sum((1, 2)) / max(float(weight.sum()), 1e-12)

    def example_shares(self) -> list[float]:
        """How much of the attention to each example lies on its mask, 0 to 1."""
        shares = []
        for mask, heat in zip(self.example_masks, self.example_maps, strict=True):
            total = float(heat.sum())
            shares.append(float((heat * shrink(mask, heat.shape)).sum()) / total if total > 0 else 0.0)
        return shares


@torch.no_grad()
def attention_maps(
    model: AnyUniRefModel,
    processor: UniRefProcessor,
    image: Any,
    text: str | None = None,
    reference_images: Any = None,
    reference_masks: Any = None,
    *,
    level: int | None = None,
) -> AttentionMaps:
    """Asks the model about one picture and keeps what UniFusion attended to.

    Args:
        model: `UniRefModel` or `UniRefSamModel`; in eval mode.
        processor: its processor.
        image: one picture.
        text: one sentence.
        reference_images: an annotated example, or a list of K.
        reference_masks: its mask, or a list of K.
        level: of the pyramid, 0 the finest; None: the mean of all.

    Raises:
        TypeError, ValueError: as for the processor; neither a sentence nor an example; an unknown level.
    """
    if text is None and reference_images is None:
        raise UsageError("`text` and `reference_images` are both missing; attention needs something to attend to.")
    if text is not None and not isinstance(text, str):
        raise KindError(f"`text` must be one sentence (str), got {type(text).__name__}.")
    picture = rgb_array(image, "image")
    question = prepare(
        processor, picture, text=text, reference_images=reference_images, reference_masks=reference_masks
    )
    inputs = {name: value.to(model.device) for name, value in question.inputs.items()}
    # `compute` keeps no attentions, which are large.
    with half_precision(model):
        output = model(**inputs, output_attentions=True)
    (answer,) = read(processor, question, output, threshold=0)
    found = answer.mask
    attentions = list(output.fusion_attentions)
    levels = range(len(attentions[0]))
    if level is not None and level not in levels:
        raise UsageError(f"`level` must be from 0 to {len(levels) - 1}, got {level}.")
    used = list(levels) if level is None else [level]
    strides = tuple(model.config.feature_strides)
    padded = tuple(int(side) for side in output.padded_sizes[0])
    frame = _Frame(padded, tuple(int(side) for side in output.image_sizes[0]), strides)
    parts: dict[str, Any] = {}
    if text is not None:
        words, groups = _words(processor.tokenizer, check_sentence(text), attentions[0][0].shape[-1])
        parts |= {"text": text, "words": words}
        parts["word_maps"] = _word_maps(attentions.pop(0), groups, frame, used)
    if reference_images is not None:
        parts["examples"] = [rgb_array(entry, "reference_images") for entry in _flat(reference_images, is_image)]
        parts["example_masks"] = [
            binary_mask(entry, None, "reference_masks") for entry in _flat(reference_masks, is_mask)
        ]
        region = torch.from_numpy(found if found.any() else np.ones_like(found))
        sizes = [(int(mask[:, 0].sum()), int(mask[0].sum())) for mask in inputs["reference_pixel_mask"][0]]
        examples = [_Frame(_whole_input(inputs["reference_pixel_mask"], model), size, strides) for size in sizes]
        parts["example_maps"] = _example_maps(attentions.pop(0), region, frame, examples, used)
    return AttentionMaps(picture, found, answer.score, **parts)


@dataclass(frozen=True)
class _Frame:
    """Where a picture lies in the network's input: padded and own (height, width), and the strides of the levels."""

    padded: tuple[int, ...]
    valid: tuple[int, ...]
    strides: tuple[int, ...]

    def shape(self, level: int) -> tuple[int, ...]:
        """Cells of a level over the padded input."""
        return tuple(-(-side // self.strides[level]) for side in self.padded)

    def cut(self, maps: torch.Tensor) -> np.ndarray:
        """(..., h, w) over the padded input -> the part over the picture, in whole cells."""
        cells = zip(maps.shape[-2:], self.valid, self.padded, strict=True)
        rows, columns = (max(1, round(count * inside / whole)) for count, inside, whole in cells)
        return maps[..., :rows, :columns].cpu().numpy()

    def on_level(self, region: torch.Tensor, level: int) -> torch.Tensor:
        """A mask (H, W) of the user's picture as shares of the cells of a level, (S,), never all zero."""
        whole = torch.zeros(self.padded)
        resized = F.interpolate(region[None, None].float(), size=self.valid, mode="nearest")[0, 0]
        whole[: self.valid[0], : self.valid[1]] = resized
        rows, columns = self.shape(level)
        return F.adaptive_avg_pool2d(whole[None, None], (rows, columns)).flatten().clamp(min=1e-9)


def _word_maps(
    weights: Sequence[torch.Tensor], groups: list[list[int]], frame: _Frame, levels: Sequence[int]
) -> np.ndarray:
    """(words, h, w), the mean over heads and levels, at the cells of the finest level used."""
    maps = []
    for level in levels:
        mean = weights[level][0].float().cpu().mean(0)
        heat = torch.stack([mean[:, group].sum(1) for group in groups]).unflatten(1, frame.shape(level))
        maps.append(_resized(heat, frame.shape(levels[0])))
    return frame.cut(torch.stack(maps).mean(0))


def _example_maps(
    weights: Sequence[torch.Tensor],
    region: torch.Tensor,
    frame: _Frame,
    examples: Sequence[_Frame],
    levels: Sequence[int],
) -> list[np.ndarray]:
    """(h, w) for each example: where the cells of a region look, the mean over them, heads and levels."""
    maps = []
    for level in levels:
        share = frame.on_level(region, level)
        looks = (weights[level][0].float().cpu().mean(0) * share[:, None]).sum(0) / share.sum()
        heat = looks.unflatten(0, (len(examples), *examples[0].shape(level)))
        finer = _resized(heat, examples[0].shape(levels[0]))
        maps.append(finer * (heat.sum() / finer.sum().clamp(min=1e-12)))
    return [example.cut(heat) for example, heat in zip(examples, torch.stack(maps).mean(0), strict=True)]


def _resized(maps: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    return F.interpolate(maps[None], size=shape, mode="bilinear", align_corners=False)[0]


def _flat(value: Any, is_leaf: Any) -> list[Any]:
    tree = as_tree(value, is_leaf, "reference_images" if is_leaf is is_image else "reference_masks")
    return tree if isinstance(tree, list) else [tree]


def _whole_input(pixel_mask: torch.Tensor, model: AnyUniRefModel) -> tuple[int, ...]:
    """(height, width) of the examples in the network: a family with inputs of one size pads them to that."""
    vision = getattr(model.config, "vision_config", None)
    if vision is None:
        return tuple(int(side) for side in pixel_mask.shape[-2:])
    return (int(vision.image_size), int(vision.image_size))


def shrink(mask: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """float (h, w): how much of each cell a mask (H, W) covers, 0 to 1."""
    resized = F.interpolate(torch.from_numpy(mask)[None, None].float(), size=tuple(shape), mode="area")
    return resized[0, 0].numpy()


def _words(tokenizer: Any, sentence: str, tokens: int) -> tuple[list[str], list[list[int]]]:
    """Words of a sentence, and the tokens of each; special tokens count as words of their own."""
    encoded = tokenizer(sentence)
    ids = encoded["input_ids"][:tokens]
    pieces = tokenizer.convert_ids_to_tokens(ids)
    numbers = encoded.word_ids(0)[:tokens] if encoded.is_fast else list(range(len(ids)))
    special = set(tokenizer.all_special_ids)
    words: list[str] = []
    groups: list[list[int]] = []
    last: Any = None
    for place, (token, piece, number) in enumerate(zip(ids, pieces, numbers, strict=True)):
        name = piece.removeprefix("##").strip("Ġ▁")
        if token in special and number is None:
            name = f"[{piece.strip('[]<>')}]"
        if number is not None and number == last:
            words[-1] += name
            groups[-1].append(place)
        else:
            words.append(name)
            groups.append([place])
        last = number
    return words, groups
