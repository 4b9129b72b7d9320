"""How far two ways of computing the same numbers in float32 may lie apart, and where that comes from.

A sum of products is rounded after every addition, by up to `UNIT` of what has been added so far, and the order of the
additions is nobody's choice: AVX2 adds eight numbers at a time and AVX-512 sixteen, two threads have halves of a sum
each, a batch of four is cut into other blocks than a batch of one, and weights that lie where a file is mapped into
memory go through other instructions than weights that were allocated. So results are equal to the last bit on one
machine and not on the next, also where the same model is merely loaded twice. What is the same everywhere is what is
copied or looked up and not summed: saved tensors, a resumed run in one process after another, palettes, run lengths.
Those are compared exactly.

Three things make the noise of one sum larger on its way through a network:

- It adds up. Sixty layers in a row, each with a noise of some `UNIT` of its largest sums, make the constants below.
- Where a result is the small difference of large sums, the noise is that of the sums. Tensors are therefore compared
  relative to their largest number and not number by number.
- A threshold turns noise into a whole step: a pixel at one half flips (`assert_same_mask`), and a clip that remembers
  this mask moves in all later frames (`assert_same_clip`). Which of two equals is the best is a toss: models in tests
  have scores that lie apart.

The constants are what the released code differs from itself between one thread and two, times 5 to 20 (the oracle's
README, "Tolerances"). A wrong formula moves results by more than 1e-3.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from transformers_uniref.modeling.video.merging import merge_masks

UNIT = 2.0**-24
"""Half the distance of two neighbouring float32 numbers near 1."""

# Relative to the largest number of a tensor.
OPERATION = 200 * UNIT  # one sum of up to 40 000 numbers: the square root of its length
SCORES = 1e-5  # logits of a network: 3e-6 of 5 between one thread and two
MASKS = 7e-5  # mask logits: 1e-4 of 29; their last layers multiply by coordinates
GRADIENTS = 1e-3

# Absolute, of numbers in 0..1.
PROBABILITIES = 1e-4  # of a frame's masks: a quarter of the noise of their logits, as a sigmoid is no steeper
SCORE = 2e-5  # of an object in a frame: a quarter of the noise of its logit
CLIP = 1e-2  # the same after a pixel has flipped and was remembered
FLIPPED = 1e-3  # the share of pixels that may flip; and always one

# Absolute, of the oracle's cases, whose logits reach 5 and whose mask logits reach 29.
ORACLE_LOGITS = ORACLE_BOXES = 5e-5
ORACLE_MASKS = 2e-3
ORACLE_PROBES = 5e-4
# Relative.
ORACLE_LOSSES = 1e-4
ORACLE_GRADIENT_NORMS = 1e-3

Array = torch.Tensor | np.ndarray | float


def assert_same(actual: Array, expected: Array, noise: float, what: str = "") -> None:
    """Equal but for noise: no number is off by more than `noise` times the largest number of `expected`.

    Infinite and undefined numbers must be the same in both.
    """
    ours, theirs = _numbers(actual), _numbers(expected)
    assert ours.shape == theirs.shape, f"{what} has shape {ours.shape}, expected {theirs.shape}"
    known = np.isfinite(theirs)
    np.testing.assert_array_equal(ours[~known], theirs[~known], err_msg=what)
    largest = float(np.abs(theirs[known]).max(initial=0.0))
    off = float(np.abs(ours[known] - theirs[known]).max(initial=0.0))
    assert off <= noise * largest, f"{what} is off by {off:.3g} of {largest:.3g}; noise is {noise:.3g} of it"


def assert_same_mask(actual: torch.Tensor | np.ndarray, expected: torch.Tensor | np.ndarray, what: str = "") -> None:
    """Equal but for pixels at a threshold: label maps or masks, (..., H, W)."""
    ours, theirs = np.asarray(actual), np.asarray(expected)
    assert ours.shape == theirs.shape, f"{what} has shape {ours.shape}, expected {theirs.shape}"
    flipped = int((ours != theirs).sum())
    assert flipped <= max(1, FLIPPED * ours.size), f"{what} differs in {flipped} of {ours.size} pixels"


def assert_same_probabilities(
    actual: Array, expected: Array, noise: float = PROBABILITIES, what: str = "a probability"
) -> None:
    """Equal but for noise: soft masks or scores of a frame, numbers in 0..1."""
    ours, theirs = _numbers(actual), _numbers(expected)
    assert ours.shape == theirs.shape, f"{what} has shape {ours.shape}, expected {theirs.shape}"
    off = float(np.abs(ours - theirs).max(initial=0.0))
    assert off <= noise, f"{what} is off by {off:.3g}; noise is {noise:g}"


def assert_same_output(actual: Any, expected: Any) -> None:
    """Equal but for noise: `logits` and `pred_masks` of two outputs of a model.

    UniRef-SAM predicts its score, not the logit; taking the logit enlarges the noise of scores near 0 or 1.
    """
    is_sam = getattr(expected, "iou_scores", None) is not None
    assert_same(actual.logits, expected.logits, MASKS if is_sam else SCORES, "logits")
    assert_same(actual.pred_masks, expected.pred_masks, MASKS, "pred_masks")


def assert_same_clip(actual: Iterable[Any], expected: Iterable[Any]) -> None:
    """Equal but for noise: the outputs of a video session, (n, H, W) probabilities and scores, frame after frame.

    As long as both have remembered the same masks, each frame is held to `PROBABILITIES`, after a flip to `CLIP`.
    """
    masks, scores = PROBABILITIES, SCORE
    for ours, theirs in zip(actual, expected, strict=True):
        frame = f"frame {theirs.frame_idx}"
        assert ours.object_ids == theirs.object_ids, frame
        assert_same_probabilities(ours.pred_masks, theirs.pred_masks, masks, f"masks of {frame}")
        assert_same_probabilities(ours.object_scores, theirs.object_scores, scores, f"scores of {frame}")
        if not torch.equal(_remembered(ours.pred_masks), _remembered(theirs.pred_masks)):
            masks = scores = CLIP  # the pixels that flipped are ties: their probabilities are the same


def _remembered(probabilities: torch.Tensor) -> torch.Tensor:
    """What a session may remember of a frame: disjoint masks, and each by itself."""
    return torch.stack([merge_masks(probabilities), probabilities > 0.5])


def _numbers(value: Array) -> np.ndarray:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().double().numpy()
    return np.asarray(value, dtype=np.float64)
