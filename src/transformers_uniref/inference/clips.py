"""Following a clip: what a session's next frame shows, whoever asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import UsageError
from .results import SegmentedObject

if TYPE_CHECKING:
    from ..modeling.video.propagation import VideoPropagationMixin
    from ..modeling.video.session import UniRefVideoSession, VideoOutput
    from ..processors.processing_uniref import UniRefProcessor

MOST_OBJECTS = 255
"""Of a label map."""

Objects = dict[int, SegmentedObject]
"""What was found in a frame, by object id."""


def follow(
    model: VideoPropagationMixin, processor: UniRefProcessor, session: UniRefVideoSession, *, apart: bool = False
) -> Iterator[Objects]:
    """The objects of each frame of a session that has its clip and prompts, the next one when it is asked for.

    The model is in evaluation mode; for `apart` see `read_frame`.
    """
    for output in model.propagate_in_video_iterator(session):
        yield read_frame(processor, session, output, apart=apart)


def next_frame(
    model: VideoPropagationMixin, processor: UniRefProcessor, session: UniRefVideoSession, frame: Any
) -> Objects:
    """The objects of the next frame, a picture, of a stream: of a session without a clip."""
    return read_frame(processor, session, model(inference_session=session, frame=frame))


def read_frame(
    processor: UniRefProcessor, session: UniRefVideoSession, output: VideoOutput, *, apart: bool = False
) -> Objects:
    """What a model's output for one frame says about it.

    With `apart`, each object has the pixels that are likelier its own than not, and two may share one; by default the
    objects share the pixels out (`UniRefProcessor.post_process_video_masks`). The label is the sentence for all objects
    that found it; who was asked for one by one is known to who asked.
    """
    ids, soft, scores, gated = output.object_ids, output.pred_masks, output.object_scores, output.objects_passed
    assert ids is not None and soft is not None and scores is not None and gated is not None
    if apart:
        from ..modeling.video.merging import likely_masks  # needs torch, and who only reads masks has none

        masks = dict(zip(ids, likely_masks(soft), strict=True))
    else:
        masks = processor.post_process_video_masks(output, session)
    groups = output.object_groups or [None] * len(ids)
    labels = [None if group not in session.groups else session.groups[group].sentence for group in groups]
    found = {}
    for number, label, score, passed in zip(ids, labels, scores.tolist(), gated.tolist(), strict=True):
        mask, gate = masks[number].cpu().numpy(), session.gate_of(number)
        found[number] = SegmentedObject(mask, label, score=score, object_id=number, passed=passed, threshold=gate)
    return found


def frame_label_map(objects: Mapping[int, SegmentedObject], size: tuple[int, int]) -> np.ndarray:
    """uint8 (height, width) of object ids; 0 is the background.

    Raises:
        ValueError: an id is above 255, as sentences for all objects may make in a long clip.
    """
    if max(objects, default=0) > MOST_OBJECTS:
        raise UsageError(f"`objects` must have ids up to {MOST_OBJECTS} for a label map, got {max(objects)}.")
    labels = np.zeros(size, dtype=np.uint8)
    for number, item in objects.items():
        labels[item.mask] = number
    return labels
