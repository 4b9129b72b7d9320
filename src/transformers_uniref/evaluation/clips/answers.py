"""What a model answers about a clip of a data set, frame by frame: label maps, or a mask for each sentence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...datasets.schema import Record, Sentence
from ...inference.clips import follow, frame_label_map
from ...metrics.video_protocols import MAX_PROPOSALS
from ..question_settings import QuestionSettings

OBJECTS_AT_ONCE = 8
"""Objects that go through the network together; it bounds memory where a clip has many sentences."""


class RecordFrames(Sequence[np.ndarray]):
    """The frames of a record, decoded when they are asked for."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def __len__(self) -> int:
        return len(self._record)

    def __getitem__(self, index: Any) -> Any:
        return self._record.image(index)


class ClipAnswers:
    """A model in evaluation mode that is asked about clips; its processor resizes as the settings say."""

    def __init__(self, model: Any, processor: Any, settings: QuestionSettings) -> None:
        self.model, self.processor, self.settings = model, processor, settings

    def to_masks(self, record: Record, first_frames: Mapping[int, int]) -> Iterator[np.ndarray]:
        """Objects that are given by their mask in one frame each, as one label map (H, W) uint8 for each frame."""
        session = self._session(record)
        for number, frame in first_frames.items():
            mask = record.instances[number].mask(frame, session.video_size)
            self.processor.add_mask_prompt(session, frame_idx=frame, obj_ids=number, masks=[mask])
        return self._merged(session, bool(first_frames))

    def to_everything(self, record: Record) -> Iterator[np.ndarray]:
        """All objects of a clip, without any reference, as one label map (H, W) uint8 for each frame.

        Of more than a prediction may hold those count that were found first.
        """
        session = self._session(record)
        self.processor.add_everything_prompt(session, max_objects=MAX_PROPOSALS)
        for found in follow(self.model, self.processor, session):
            held = {number: item for number, item in found.items() if number <= MAX_PROPOSALS}
            yield frame_label_map(held, session.video_size)

    def to_sentences_merged(self, record: Record, sentences: Mapping[int, str]) -> Iterator[np.ndarray]:
        """Objects with a sentence each, which share out the pixels, as one label map (H, W) uint8 for each frame."""
        session = self._session(record)
        if sentences:
            self.processor.add_text_prompt(session, obj_ids=list(sentences), text=list(sentences.values()))
        return self._merged(session, bool(sentences))

    def to_sentences(self, record: Record, sentences: Sequence[Sentence]) -> Iterator[np.ndarray]:
        """Every sentence alone, as bool masks (n, H, W) for each frame."""
        session = self._session(record)
        numbers = list(range(1, len(sentences) + 1))
        self.processor.add_text_prompt(session, obj_ids=numbers, text=[sentence.text for sentence in sentences])
        for found in follow(self.model, self.processor, session, apart=True):
            yield np.array([item.mask for item in found.values()], bool).reshape(-1, *session.video_size)

    def _merged(self, session: Any, prompted: bool) -> Iterator[np.ndarray]:
        found = follow(self.model, self.processor, session) if prompted else [{}] * session.num_frames
        return (frame_label_map(objects, session.video_size) for objects in found)

    def _session(self, record: Record) -> Any:
        return self.processor.init_video_session(
            video=RecordFrames(record),
            inference_device=self.model.device,
            threshold=self.settings.gate or 0,
            references=self.settings.references,
            propagate_text=self.settings.propagate_text,
            object_chunk_size=OBJECTS_AT_ONCE,
        )
