"""One frame of a session: references, the model's answer, whose each pixel is, and what is remembered of it."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...core.score_gate import passes
from ..frame_fusion import SharedFrames, share_frames
from ..references import ProjectedReferences, References, VisualFeatures, pad_to
from .appearing import Answer, look_for_groups
from .frames import PreparedFrame
from .inference_mode import computing, number_type
from .memory import SessionMemory, TrackedObject
from .merging import likely_masks, merge_masks
from .pointing import given_masks, settle
from .prompts import TextPrompt
from .references import join_slots, stack_projected, without_padding
from .resizing import bilinear, nearest
from .session import UniRefVideoSession, VideoOutput

if TYPE_CHECKING:
    from .propagation import VideoPropagationMixin


def follow_into_frame(
    model: VideoPropagationMixin, session: UniRefVideoSession, frame_idx: int, frame: PreparedFrame, reverse: bool
) -> VideoOutput:
    """Finds the objects of a session in a frame and remembers what was found; after an error nothing has changed."""
    size = session.output_size or frame.video_size
    with computing(model, session):
        named = {*session.prompts.masks_at(frame_idx, frame.video_size), *session.prompts.points_at(frame_idx)}
        texts = session.prompts.texts_at(frame_idx, reverse)
        objects = _objects_at(session, named, texts)
        groups = session.groups_at(frame_idx, reverse)
        if not objects and not groups:
            session.commit(frame_idx, reverse, frame.video_size, {}, session.memory.last_id)
            none = torch.zeros(0, device=session.inference_device)
            masks = none.new_zeros(0, *size)
            return VideoOutput(frame_idx, [], masks, none, none.bool(), masks.bool(), [])

        features = model.encode_image(frame.pixel_values, frame.pixel_mask)
        for item in objects.values():
            if not item.memory.is_reserved and (item.given or session.propagate_text):
                item.memory.reserve(session.references, features, number_type(model, session))
        for text in (*(item.text for item in objects.values()), *(group.text for group in groups.values())):
            if text is not None and text.reference is None:
                said = model.encode_said(*(None if part is None else part.to(model.device) for part in text.said))
                assert said is not None
                text.reference = model.project_references(said)
        given = given_masks(model, session, features, frame, frame_idx, texts, session.memory.objects)
        if given:
            _remember_given(model, session, features, frame, given, objects, frame_idx)

        items = list(objects.values())
        scores, passed, masks = _find_objects(model, session, features, items, frame.network_size, size)
        # As released, a given mask is the result of its frame, resized bilinearly and not made binary again.
        for row, obj_id in enumerate(objects):
            if obj_id in given:
                passed[row] = True
                masks[row] = bilinear(given[obj_id].to(masks)[None], size)[0]
        last_id = session.memory.last_id
        if groups:
            answer = Answer(scores, passed, masks)
            network_size = frame.network_size
            answer, last_id = look_for_groups(model, session, features, network_size, groups, objects, answer)
            scores, passed, masks = answer
            items = list(objects.values())
        merged = merge_masks(masks)
        # As released, an object with a sentence is followed by all that is likely its own (p > 0.5), whatever others
        # claim: each sentence was asked alone there, and only the results were merged. Masks compete from the start.
        by_text = torch.tensor([item.text is not None for item in items], dtype=torch.bool, device=merged.device)
        seen = torch.where(by_text[:, None, None], likely_masks(masks), merged)
        visible = seen.flatten(1).any(1).tolist()
        rows = [
            row
            for row, obj_id in enumerate(objects)
            if visible[row] and obj_id not in given and items[row].memory.wants_frames
        ]
        entries = []
        if rows:
            masks_seen = torch.stack([nearest(seen[row], frame.network_size) for row in rows])
            entries = list(_encode_masks(model, session, features, masks_seen))
        # All is computed: from here on nothing can fail halfway.
        settle(session, frame_idx, given)
        for row, entry in zip(rows, entries, strict=True):
            items[row].memory.remember(entry, frame_idx)
        for item, mask, in_sight in zip(items, seen, visible, strict=True):
            if item.group is not None:
                item.note_sight(in_sight)
            item.memory.last_mask = mask.clone()
        kept = {obj_id: item for obj_id, item in objects.items() if not _has_ended(session, item)}
        session.commit(frame_idx, reverse, frame.video_size, kept, last_id)
    found_by = [item.group for item in items]
    return VideoOutput(frame_idx, list(objects), masks, scores, passed, merged, found_by)


def restart(model: VideoPropagationMixin, session: UniRefVideoSession, frame_idx: int, reverse: bool) -> None:
    """Begins anew before `frame_idx`, with the last masks that were given on the way there and with nothing else."""
    objects: dict[int, TrackedObject] = {}
    with computing(model, session):
        for index, obj_ids in session.prompts.nearest_given(frame_idx, reverse).items():
            frame = session.prepare_frame(session.frame(index), "video")
            features = model.encode_image(frame.pixel_values, frame.pixel_mask)
            masks = given_masks(model, session, features, frame, index, {}, objects)
            settle(session, index, masks)
            for obj_id in obj_ids:
                objects[obj_id] = TrackedObject(None, given=True)
                objects[obj_id].memory.reserve(session.references, features, number_type(model, session))
            given = {obj_id: masks[obj_id] for obj_id in obj_ids}
            _remember_given(model, session, features, frame, given, objects, index)
    session.memory = SessionMemory(objects, restart_needed=False)


def _objects_at(
    session: UniRefVideoSession, given: Container[int], texts: dict[int, TextPrompt]
) -> dict[int, TrackedObject]:
    """The objects that are looked for in a frame, by ascending id."""
    objects = {}
    for obj_id in session.object_ids:
        item, text = session.memory.objects.get(obj_id), texts.get(obj_id)
        if obj_id in given:
            item = TrackedObject(text, given=True, group=None if item is None else item.group)
        elif item is not None and item.group is not None and text is None:
            pass
        elif item is not None and item.given:
            item = item if item.text is text else TrackedObject(text, True, item.memory)
        elif text is None:
            continue
        elif item is None or item.text is not text:
            item = TrackedObject(text)
        objects[obj_id] = item
    return objects


def _has_ended(session: UniRefVideoSession, item: TrackedObject) -> bool:
    """Whether one of a group was out of sight for too long; what a user's mask gave is waited for."""
    return item.group is not None and not item.given and item.unseen > session.groups[item.group].patience


def _find_objects(
    model: VideoPropagationMixin,
    session: UniRefVideoSession,
    features: VisualFeatures,
    items: list[TrackedObject],
    network_size: tuple[int, int],
    size: tuple[int, int],
) -> tuple[Tensor, Tensor, Tensor]:
    """Scores (n,), whether they passed (n,), and gated probabilities (n, *size) of objects in a frame."""
    scores = torch.zeros(len(items), device=session.inference_device)
    passed = torch.ones(len(items), dtype=torch.bool, device=session.inference_device)
    masks = torch.zeros(len(items), *size, device=session.inference_device)
    groups: dict[tuple[bool, bool], list[int]] = {}
    for row, item in enumerate(items):
        if item.text is None and not item.memory.slots():
            # One of a group that is not followed by its masks: its sentence alone finds it.
            passed[row] = False
            continue
        groups.setdefault((item.text is not None, bool(item.memory.slots())), []).append(row)
    for (with_text, with_mask), rows in groups.items():
        threshold = session.rvos_score_threshold if with_text else session.vos_score_threshold
        for chunk in _chunks(rows, session.object_chunk_size):
            references: list[ProjectedReferences | SharedFrames] = []
            if with_text:
                texts = [items[row].text for row in chunk]
                references.append(stack_projected([text.reference for text in texts if text and text.reference]))
            if with_mask:
                slots = [items[row].memory.slots() for row in chunk]
                shared = model.fusion.can_share_frames()
                references.append(share_frames(slots) if shared else model.project_references(join_slots(slots)))
            score, logits = model.segment_objects(features, references)
            found = model.soft_masks(logits.float() + session.mask_shift)[:, : network_size[0], : network_size[1]]
            if threshold is not None:
                heard = [items[row].is_understood for row in chunk]
                passed[chunk] = passes(score, threshold) & torch.tensor(heard, device=score.device)
                found = found * passed[chunk][:, None, None]
            scores[chunk] = score
            masks[chunk] = bilinear(found, size)
    return scores, passed, masks


def _encode_masks(
    model: VideoPropagationMixin, session: UniRefVideoSession, features: VisualFeatures, masks: Tensor
) -> Iterator[tuple[References, int]]:
    """References to one frame for masks (n, h, w) at its network size: batches, each with the entry in it."""
    padded = pad_to(masks, features.pixel_values.shape[-2:])
    for chunk in _chunks(list(range(len(masks))), session.object_chunk_size):
        references = model.encode_mask_references(features, padded[chunk].to(session.inference_device))
        references = without_padding(references, features)
        yield from ((references, entry) for entry in range(len(chunk)))


def _remember_given(
    model: VideoPropagationMixin,
    session: UniRefVideoSession,
    features: VisualFeatures,
    frame: PreparedFrame,
    given: dict[int, Tensor],
    objects: dict[int, TrackedObject],
    frame_idx: int,
) -> None:
    """Given masks (H, W), by object, become the references of their objects."""
    masks = torch.stack([nearest(mask, frame.network_size, exact=True) for mask in given.values()])
    for obj_id, entry in zip(given, _encode_masks(model, session, features, masks), strict=True):
        objects[obj_id].memory.remember(entry, frame_idx)


def _chunks(rows: list[int], size: int | None) -> list[list[int]]:
    size = size or max(len(rows), 1)
    return [rows[start : start + size] for start in range(0, len(rows), size)]
