"""What is found in a frame by a sentence for all objects, or by none: objects that are followed, and new ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from ..object_choice import choose_everything, choose_objects
from ..references import VisualFeatures
from .groups import Group, identities
from .inference_mode import number_type
from .memory import TrackedObject
from .merging import likely_masks
from .resizing import bilinear
from .session import UniRefVideoSession

if TYPE_CHECKING:
    from .propagation import VideoPropagationMixin


class Answer(NamedTuple):
    """What was found of n objects in a frame.

    Attributes:
        scores: (n,) in 0..1.
        passed: (n,) bool, whether each passed its gate.
        masks: (n, H, W) probabilities at the size of the results, 0 where the gate was not passed.
    """

    scores: Tensor
    passed: Tensor
    masks: Tensor


def look_for_groups(
    model: VideoPropagationMixin,
    session: UniRefVideoSession,
    features: VisualFeatures,
    network_size: tuple[int, int],
    groups: Mapping[int, Group],
    objects: dict[int, TrackedObject],
    answer: Answer,
) -> tuple[Answer, int]:
    """Asks for all objects of a frame that each sentence means, or that it shows.

    An object found where one is followed is that one, whoever asked for it. Where following it by its masks lost one
    of a group, what the sentence found in its place is its mask; otherwise its own mask stays. What is left is new.

    Args:
        model, session, features, network_size: of the frame.
        groups: what is to be looked for in it, by number.
        objects: what was followed into the frame, by ascending id; those that are new are added.
        answer: about them.

    Returns:
        The answer with a row for each new object behind the others, and the highest id given so far.
    """
    last_id = max([session.memory.last_id, *session.object_ids])
    for number, group in groups.items():
        found_scores, found = _find_all(model, session, features, network_size, group, len(objects), answer.masks)
        visible = likely_masks(answer.masks)
        empty = ~visible.flatten(1).any(1)
        items = list(objects.values())
        known = visible.clone()
        for place, item in enumerate(items):
            if bool(empty[place]):
                known[place] = item.last_seen(visible[place])
        rows = identities(likely_masks(found), known)
        room = group.max_objects - sum(item.group == number for item in items)
        new: list[int] = []
        for position, row in enumerate(rows):
            if row is None:
                new += [position] if len(new) < room else []
            elif bool(empty[row]) and items[row].group is not None:
                answer.masks[row], answer.scores[row], answer.passed[row] = (
                    found[position],
                    found_scores[position],
                    True,
                )
                empty[row] = False
        for _ in new:
            last_id += 1
            objects[last_id] = TrackedObject(None, group=number)
            if session.propagate_text or group.text is None:
                objects[last_id].memory.reserve(session.references, features, number_type(model, session))
        answer = Answer(
            torch.cat([answer.scores, found_scores[new]]),
            torch.cat([answer.passed, answer.passed.new_ones(len(new))]),
            torch.cat([answer.masks, found[new]]),
        )
    return answer, last_id


def _find_all(
    model: VideoPropagationMixin,
    session: UniRefVideoSession,
    features: VisualFeatures,
    network_size: tuple[int, int],
    group: Group,
    followed: int,
    like: Tensor,
) -> tuple[Tensor, Tensor]:
    """Scores (m,) and probabilities (m, H, W) of what a group means, best first, of the type and size of `like`."""
    gate = session.rvos_score_threshold
    text = group.text
    if text is not None and (text.reference is None or (gate is not None and not text.understood)):
        return like.new_zeros(0), like[:0]
    # Each of those that are followed may be found again; more than these and the new ones are of no use.
    most = followed + group.max_objects

    def choose(logits: Tensor, scores: Tensor) -> list[int]:
        stride = features.pixel_values.shape[-1] // logits.shape[-1]
        height, width = (-(-side // stride) for side in network_size)
        masks = logits[:, :height, :width].float() + session.mask_shift > 0
        if text is None:
            return choose_everything(masks, scores, gate)[:most]
        return choose_objects(masks, scores, gate, session.object_choice)[:most]

    references = [text.reference] if text is not None and text.reference is not None else []
    scores, logits = model.segment_objects(features, references, choose)
    if not len(scores):
        return like.new_zeros(0), like[:0]
    found = model.soft_masks(logits.float() + session.mask_shift)[:, : network_size[0], : network_size[1]]
    size = (int(like.shape[-2]), int(like.shape[-1]))
    return scores.to(like), bilinear(found, size).to(like)
