"""What clicks, boxes and scribbles in a frame of a session mean: the model's own mask of each object there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...core.errors import UsageError
from ..references import ProjectedReferences, VisualFeatures
from .frames import PreparedFrame
from .memory import TrackedObject
from .prompts import PointPrompt, TextPrompt
from .references import join_slots
from .resizing import bilinear
from .session import UniRefVideoSession

if TYPE_CHECKING:
    from .propagation import VideoPropagationMixin


def given_masks(
    model: VideoPropagationMixin,
    session: UniRefVideoSession,
    features: VisualFeatures,
    frame: PreparedFrame,
    frame_idx: int,
    texts: Mapping[int, TextPrompt],
    before: Mapping[int, TrackedObject],
) -> dict[int, Tensor]:
    """The masks that are given in a frame, (H, W) at its size, by ascending id; those that clicks stand for are new.

    Args:
        features: of the frame.
        texts, before: the sentences in force, and the objects as they were followed up to here; both take part.

    Raises:
        ValueError: clicks beside an object, which no drawn mask says, for a model without an encoder of them.
    """
    masks = session.prompts.masks_at(frame_idx, frame.video_size)
    for obj_id, pointed in session.prompts.points_at(frame_idx).items():
        if model.config.use_point_references:
            masks[obj_id] = _found_mask(model, session, features, frame, pointed, texts.get(obj_id), before.get(obj_id))
        elif obj_id not in masks:
            raise UsageError(
                f"`labels` of object {obj_id} has a 0, a click beside it, and this model has no encoder of clicks "
                "(use_point_references): the mask that is drawn for it cannot say that."
            )
    return dict(sorted(masks.items()))


def settle(session: UniRefVideoSession, frame_idx: int, given: Mapping[int, Tensor]) -> None:
    """Let the masks take the place of what was pointed at in a frame, so that it is asked about once."""
    for obj_id in session.prompts.points_at(frame_idx):
        prompts = session.prompts.of(obj_id)
        prompts.masks[frame_idx] = given[obj_id].cpu()
        del prompts.points[frame_idx]


def _found_mask(
    model: VideoPropagationMixin,
    session: UniRefVideoSession,
    features: VisualFeatures,
    frame: PreparedFrame,
    pointed: PointPrompt,
    text: TextPrompt | None,
    item: TrackedObject | None,
) -> Tensor:
    device = features.pixel_values.device
    points, labels, boxes = (part.to(device) for part in (pointed.points, pointed.labels, pointed.boxes))
    references: list[ProjectedReferences] = []
    if text is not None and text.reference is not None:
        references.append(text.reference)
    if item is not None and item.memory.slots():
        references.append(model.project_references(join_slots([item.memory.slots()])))
    references.append(model.project_references(model.encode_points(features, points, labels, boxes)))
    _, logits = model.segment_objects(features, references)
    found = model.soft_masks(logits.float() + session.mask_shift)
    height, width = frame.network_size
    mask = bilinear(found[:, :height, :width], frame.video_size)[0] > 0.5
    if not bool(mask.any()):
        # An object needs a pixel: those under the clicks, or the middle of the box.
        rows, columns = frame.video_size
        places = points[0][labels[0] == 1]
        places = places if len(places) else boxes.unflatten(1, (2, 2)).mean(1)
        at = (places.clamp(0, 1) * torch.tensor([columns, rows], device=device)).long()
        mask[at[:, 1].clamp(max=rows - 1), at[:, 0].clamp(max=columns - 1)] = True
    return mask
