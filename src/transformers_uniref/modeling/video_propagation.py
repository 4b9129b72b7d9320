"""Following objects through a video, one frame at a time (released inference for VOS and RVOS)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..core.score_gate import passes
from .frame_fusion import SharedFrames, share_frames
from .fusion import UniFusion
from .precision import warn_if_slow
from .references import ProjectedReferences, References, VisualFeatures
from .video_references import ReferenceSlot, join_slots, stack_projected, without_padding
from .video_session import PreparedFrame, TextPrompt, TrackedObject, UniRefVideoSession, VideoOutput, is_integer

# Above one half, whatever the rounding: resizing saturated masks makes many pixels that are one half exactly.
_HALF = 0.5 + 1e-6


class VideoPropagationMixin(nn.Module if TYPE_CHECKING else object):  # type: ignore[misc]
    """Adds `propagate_in_video_iterator`, and the step that it and streaming share, to a model with reference encoders.

    A frame passes the visual encoder once. Objects that use the same kinds of references (mask, sentence, both) pass
    fusion and decoder in one batch, and only the mask of each object's best query is decoded. The features of the frame
    are used again when it becomes the previous reference.
    """

    if TYPE_CHECKING:
        device: torch.device
        dtype: torch.dtype
        fusion: UniFusion

        def encode_image(self, pixel_values: Tensor, pixel_mask: Tensor | None = None) -> VisualFeatures: ...
        def encode_language(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> References: ...
        def encode_mask_references(self, features: VisualFeatures, masks: Tensor) -> References: ...
        def project_references(self, references: References) -> ProjectedReferences: ...
        def segment_objects(
            self, features: VisualFeatures, references: Sequence[ProjectedReferences | SharedFrames]
        ) -> tuple[Tensor, Tensor]:
            """Find N objects in one frame.

            Args:
                features: one frame.
                references: of N entries, at most one a modality.

            Returns:
                scores (N,) in 0..1, and mask logits (N, H, W) at the padded input size.
            """

    def propagate_in_video_iterator(
        self,
        inference_session: UniRefVideoSession,
        start_frame_idx: int | None = None,
        max_frames: int | None = None,
        reverse: bool = False,
    ) -> Iterator[VideoOutput]:
        """Follow the objects of a session through its clip; one output a frame, none of them kept.

        Objects may be added, corrected and removed between two outputs. Frames before the first annotation of any
        object have outputs without objects; an object appears in the outputs from its own first frame on.

        Started at the frame after the latest output, in the same direction, it goes on from there. Started elsewhere,
        or after a prompt for a frame that has passed, it begins anew: an object that was given by a mask on the way
        there starts with the last such mask as its only reference.

        Args:
            inference_session: a session with a video.
            start_frame_idx: the first frame; default: the clip's first, or its last in reverse.
            max_frames: the most frames to go through; default: to the end of the clip.
            reverse: go back in time.

        Yields:
            `VideoOutput`.

        Raises:
            TypeError, ValueError: at the call, for wrong arguments; at a frame, when it cannot be read or has another
                size. The session then remains as it was after the frame before.
            RuntimeError: another iterator is in the middle of this session; see `UniRefVideoSession.release`.
        """
        session = _checked_session(inference_session)
        session.check_free()
        count = session.num_frames
        if count is None:
            raise ValueError(
                "`inference_session` is a stream without a video: give it frames one by one, "
                "model(inference_session=session, frame=frame)."
            )
        start = session.frame_index(
            (count - 1 if reverse else 0) if start_frame_idx is None else start_frame_idx, "start_frame_idx"
        )
        if max_frames is not None and (not is_integer(max_frames) or max_frames < 1):
            raise ValueError(f"`max_frames` must be 1 or more, or None for all; got {max_frames!r}.")
        frames = range(start, -1, -1) if reverse else range(start, count)
        return self._propagate(session, frames[: None if max_frames is None else int(max_frames)], reverse)

    def _propagate(self, session: UniRefVideoSession, frames: range, reverse: bool) -> Iterator[VideoOutput]:
        with session.propagation() as check:
            if not session.continues_at(frames[0], reverse):
                session.restart(self._restore_objects(session, frames[0], reverse))
            for frame_idx in frames:
                check()
                frame = session.prepare_frame(session.frame(frame_idx), "video")
                yield self._video_step(session, frame_idx, frame, reverse)

    def stream_frame(self, inference_session: UniRefVideoSession, frame: Any) -> VideoOutput:
        """Follow the objects of a stream into its next frame.

        Args:
            inference_session: a session without a video.
            frame: a PIL image or a uint8 array (H, W, 3), or anything else that the image processor reads; a float
                tensor (3, H, W) of `pixel_values`; a dictionary with `pixel_values` (1, 3, H, W) and `pixel_mask`
                (1, H, W).

        Raises:
            TypeError, ValueError: as the iterator; the session then still waits for the same frame.
        """
        session = _checked_session(inference_session)
        if not session.is_stream:
            raise ValueError(
                "`frame` belongs to a session without a video; this one has its own: use "
                "model.propagate_in_video_iterator(session)."
            )
        if frame is None:
            raise ValueError("`frame` is missing: a session without a video gets its frames one by one.")
        return self._video_step(session, session.next_frame_idx, session.prepare_frame(frame), False)

    # -------------------------------------------------------------------------------------------------------- one frame
    def _video_step(
        self, session: UniRefVideoSession, frame_idx: int, frame: PreparedFrame, reverse: bool
    ) -> VideoOutput:
        self._check_device(session)
        size = session.output_size or frame.video_size
        with self._inference(session):
            given = session.masks_at(frame_idx, frame.video_size)
            objects = _objects_at(session, given, session.texts_at(frame_idx, reverse))
            if not objects:
                session.commit(frame_idx, reverse, frame.video_size, {})
                device = session.inference_device
                none = torch.zeros(0, device=device)
                return VideoOutput(frame_idx, [], torch.zeros(0, *size, device=device), none, none.bool())

            features = self.encode_image(frame.pixel_values, frame.pixel_mask)
            for item in objects.values():
                if not item.is_reserved and (item.given or session.propagate_text):
                    item.reserve(session.references, features, self._number_type(session))
                if item.text is not None and item.text.reference is None:
                    item.text.reference = self._encode_text(item.text)
            if given:
                masks = torch.stack([_nearest(mask, frame.network_size, exact=True) for mask in given.values()])
                for obj_id, entry in zip(given, self._mask_entries(session, features, masks), strict=True):
                    objects[obj_id].remember(entry, frame_idx)

            items = list(objects.values())
            scores, passed, masks = self._find_objects(session, features, items, frame.network_size, size)
            for row, obj_id in enumerate(objects):
                if obj_id in given:
                    passed[row] = True
                    masks[row] = _bilinear(given[obj_id].to(masks)[None], size)[0]
            # As released: objects given by masks alone own the pixels that they win, others what they hold likely.
            winners = merge_masks(masks)
            for row, item in enumerate(items):
                if item.text is not None:
                    winners[row] = masks[row] > _HALF
            seen = winners.flatten(1).any(1).tolist()
            rows = [
                row
                for row, (obj_id, item) in enumerate(objects.items())
                if seen[row] and obj_id not in given and item.wants_frames
            ]
            entries = []
            if rows:
                masks_seen = torch.stack([_nearest(winners[row], frame.network_size) for row in rows])
                entries = list(self._mask_entries(session, features, masks_seen))
            # All is computed: from here on nothing can fail halfway.
            for row, entry in zip(rows, entries, strict=True):
                items[row].remember(entry, frame_idx)
            for item, mask in zip(items, winners, strict=True):
                item.last_mask = mask.clone()
            session.commit(frame_idx, reverse, frame.video_size, objects)
        return VideoOutput(frame_idx, list(objects), masks, scores, passed)

    def _find_objects(
        self,
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
            groups.setdefault((item.text is not None, bool(item.slots())), []).append(row)
        for (with_text, with_mask), rows in groups.items():
            threshold = session.rvos_score_threshold if with_text else session.vos_score_threshold
            for chunk in _chunks(rows, session.object_chunk_size):
                references: list[ProjectedReferences | SharedFrames] = []
                if with_text:
                    texts = [items[row].text for row in chunk]
                    references.append(stack_projected([text.reference for text in texts if text and text.reference]))
                if with_mask:
                    references.append(self._join_frames([items[row].slots() for row in chunk]))
                score, logits = self.segment_objects(features, references)
                found = self.soft_masks(logits.float() + session.mask_shift)[:, : network_size[0], : network_size[1]]
                if threshold is not None:
                    heard = [items[row].is_understood for row in chunk]
                    passed[chunk] = passes(score, threshold) & torch.tensor(heard, device=score.device)
                    found = found * passed[chunk][:, None, None]
                scores[chunk] = score
                masks[chunk] = _bilinear(found, size)
        return scores, passed, masks

    def soft_masks(self, logits: Tensor) -> Tensor:
        """What is resized, gated and merged: probabilities."""
        return logits.float().sigmoid()

    # ------------------------------------------------------------------------------------------------------- references
    def _join_frames(self, rows: list[list[ReferenceSlot]]) -> ProjectedReferences | SharedFrames:
        """The annotated frames of N objects as one reference with N entries."""
        if self.fusion.can_share_frames():
            return share_frames(rows)
        return self.project_references(join_slots(rows))

    def _encode_text(self, text: TextPrompt) -> ProjectedReferences:
        ids, valid = text.input_ids.to(self.device), text.attention_mask.to(self.device)
        return self.project_references(self.encode_language(ids, valid))

    def _mask_entries(
        self, session: UniRefVideoSession, features: VisualFeatures, masks: Tensor
    ) -> Iterator[tuple[References, int]]:
        """References to one frame for masks (n, h, w) at its network size: batches, each with the entry in it."""
        height, width = features.pixel_values.shape[-2:]
        padded = F.pad(masks, (0, width - masks.shape[-1], 0, height - masks.shape[-2]))
        for chunk in _chunks(list(range(len(masks))), session.object_chunk_size):
            references = self.encode_mask_references(features, padded[chunk].to(session.inference_device))
            references = without_padding(references, features)
            yield from ((references, entry) for entry in range(len(chunk)))

    def _restore_objects(self, session: UniRefVideoSession, frame_idx: int, reverse: bool) -> dict[int, TrackedObject]:
        """Memory of the objects whose masks were given on the way to `frame_idx`."""
        self._check_device(session)
        objects: dict[int, TrackedObject] = {}
        by_frame: dict[int, list[int]] = {}
        for obj_id, index in session.nearest_given(frame_idx, reverse).items():
            by_frame.setdefault(index, []).append(obj_id)
        with self._inference(session):
            for index, obj_ids in by_frame.items():
                frame = session.prepare_frame(session.frame(index), "video")
                features = self.encode_image(frame.pixel_values, frame.pixel_mask)
                given = session.masks_at(index, frame.video_size)
                masks = torch.stack([_nearest(given[obj_id], frame.network_size, exact=True) for obj_id in obj_ids])
                for obj_id, entry in zip(obj_ids, self._mask_entries(session, features, masks), strict=True):
                    objects[obj_id] = TrackedObject(None, given=True)
                    objects[obj_id].reserve(session.references, features, self._number_type(session))
                    objects[obj_id].remember(entry, index)
        return objects

    # ------------------------------------------------------------------------------------------------------ environment
    def _check_device(self, session: UniRefVideoSession) -> None:
        wanted, actual = session.inference_device, self.device
        if wanted.type != actual.type or (wanted.index is not None and wanted.index != (actual.index or 0)):
            raise ValueError(f"`inference_device` of the session is {wanted}, but the model is on {actual}.")

    def _number_type(self, session: UniRefVideoSession) -> torch.dtype:
        """In which a session computes: the one that it was told, or the model's where that is half precision."""
        return session.dtype if session.dtype != torch.float32 else self.dtype

    @contextmanager
    def _inference(self, session: UniRefVideoSession) -> Iterator[None]:
        """Without gradients, in evaluation mode, in the session's precision.

        Inference mode is left while it computes, since what is remembered of a frame may be written over by one that is
        followed without that mode.
        """
        half = self._number_type(session)
        warn_if_slow(half, self.device)
        training = [module for module in self.modules() if module.training] if self.training else []
        for module in training:
            module.training = False
        try:
            with (
                torch.inference_mode(False),
                torch.no_grad(),
                torch.autocast(self.device.type, half, enabled=half != torch.float32),
            ):
                yield
        finally:
            for module in training:
                module.training = True


def merge_masks(probabilities: Tensor) -> Tensor:
    """Who owns each pixel: the background has prod_i(1 - p_i), an object p_i; the largest wins, the first among equals.

    Args:
        probabilities: (n, H, W).

    Returns:
        disjoint bool masks (n, H, W).
    """
    background = (1 - probabilities).prod(0, keepdim=True)
    owner = torch.cat([background, probabilities]).argmax(0)
    return owner == torch.arange(1, len(probabilities) + 1, device=owner.device)[:, None, None]


def _objects_at(
    session: UniRefVideoSession, given: dict[int, Tensor], texts: dict[int, TextPrompt]
) -> dict[int, TrackedObject]:
    """The objects that are looked for in a frame, by ascending id."""
    objects = {}
    for obj_id in session.object_ids:
        item, text = session.tracked(obj_id), texts.get(obj_id)
        if obj_id in given:
            item = TrackedObject(text, given=True)
        elif item is not None and item.given:
            item = item if item.text is text else item.with_text(text)
        elif text is None:
            continue
        elif item is None or item.text is not text:
            item = TrackedObject(text)
        objects[obj_id] = item
    return objects


def _chunks(rows: list[int], size: int | None) -> list[list[int]]:
    size = size or max(len(rows), 1)
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _nearest(mask: Tensor, size: tuple[int, int], exact: bool = False) -> Tensor:
    """(H, W) bool resized; `exact` reads the pixel under the centre, as masks of the training data are resized."""
    mode = "nearest-exact" if exact else "nearest"
    return F.interpolate(mask[None, None].float(), size=size, mode=mode)[0, 0]


def _bilinear(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """(n, h, w) resized."""
    if tuple(masks.shape[-2:]) == size:
        return masks
    return F.interpolate(masks[None], size=size, mode="bilinear", align_corners=False)[0]


def _checked_session(session: Any) -> UniRefVideoSession:
    if not isinstance(session, UniRefVideoSession):
        raise TypeError(
            "`inference_session` must be a UniRefVideoSession (see processor.init_video_session), got "
            f"{type(session).__name__}."
        )
    return session


__all__ = ["VideoPropagationMixin", "merge_masks"]
