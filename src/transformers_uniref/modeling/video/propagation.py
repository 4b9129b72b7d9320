"""The calls by which a model follows objects through a video (released inference for VOS and RVOS)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from ...core.errors import KindError, UsageError
from ..references import ProjectedReferences, References, VisualFeatures
from .session import UniRefVideoSession, VideoOutput, is_integer
from .step import follow_into_frame, restart

if TYPE_CHECKING:
    import torch

    from ..frame_fusion import SharedFrames
    from ..fusion import UniFusion


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
        def encode_said(
            self,
            input_ids: Tensor | None,
            attention_mask: Tensor | None = None,
            audio_values: Tensor | None = None,
            audio_mask: Tensor | None = None,
        ) -> References | None: ...
        def encode_mask_references(self, features: VisualFeatures, masks: Tensor) -> References: ...
        def encode_points(
            self,
            features: VisualFeatures,
            points: Tensor | None,
            labels: Tensor | None,
            boxes: Tensor | None = None,
            image_indices: Tensor | None = None,
        ) -> References: ...
        def project_references(self, references: References) -> ProjectedReferences: ...
        def segment_objects(
            self,
            features: VisualFeatures,
            references: Sequence[ProjectedReferences | SharedFrames],
            choose: Callable[[Tensor, Tensor], list[int]] | None = None,
        ) -> tuple[Tensor, Tensor]:
            """Find objects in one frame: the best one of each reference, or all that one reference means.

            Args:
                features: one frame.
                references: of N entries, at most one a modality; of one entry with `choose`.
                choose: gets mask logits (Q, h, w) of all queries, at a size of which the padded input's is a multiple,
                    and their scores (Q,); returns the N queries that are objects.

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
        session.lock.check_free()
        count = session.num_frames
        if count is None:
            raise UsageError(
                "`inference_session` is a stream without a video: give it frames one by one, "
                "model(inference_session=session, frame=frame)."
            )
        start = session.frame_index(
            (count - 1 if reverse else 0) if start_frame_idx is None else start_frame_idx, "start_frame_idx"
        )
        if max_frames is not None and (not is_integer(max_frames) or max_frames < 1):
            raise UsageError(f"`max_frames` must be 1 or more, or None for all; got {max_frames!r}.")
        frames = range(start, -1, -1) if reverse else range(start, count)
        return self._propagate(session, frames[: None if max_frames is None else int(max_frames)], reverse)

    def _propagate(self, session: UniRefVideoSession, frames: range, reverse: bool) -> Iterator[VideoOutput]:
        with session.lock.held() as check:
            if not session.memory.continues_at(frames[0], reverse):
                restart(self, session, frames[0], reverse)
            for frame_idx in frames:
                check()
                frame = session.prepare_frame(session.frame(frame_idx), "video")
                yield follow_into_frame(self, session, frame_idx, frame, reverse)

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
            raise UsageError(
                "`frame` belongs to a session without a video; this one has its own: use "
                "model.propagate_in_video_iterator(session)."
            )
        if frame is None:
            raise UsageError("`frame` is missing: a session without a video gets its frames one by one.")
        return follow_into_frame(self, session, session.next_frame_idx, session.prepare_frame(frame), False)

    def soft_masks(self, logits: Tensor) -> Tensor:
        """What is resized, gated and merged: probabilities."""
        return logits.float().sigmoid()


def _checked_session(session: Any) -> UniRefVideoSession:
    if not isinstance(session, UniRefVideoSession):
        raise KindError(
            "`inference_session` must be a UniRefVideoSession (see processor.init_video_session), got "
            f"{type(session).__name__}."
        )
    return session


__all__ = ["VideoPropagationMixin"]
