"""What an annotation is to do: which columns, which gates, in which portions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.errors import InvalidInputError, UsageError
from ..core.score_gate import check_threshold
from ..modeling.object_choice import MOST_OBJECTS
from ..processors.all_targets import Targets, check_targets


@dataclass(frozen=True)
class AnnotationSettings:
    """The settings of a bulk annotation.

    Attributes:
        text_column: holds a sentence or a list of sentences; `NAME.FIELD` for a list of structures. None with examples
            alone, or with `everything`.
        image_column: holds the picture; None: the only column of pictures.
        id_column: holds the rows' ids; None: `sample_id` or `id` where there is one, else rows are numbered.
        keep_columns: copied to the output, besides the id column and `image_id`.
        reference_images, reference_masks: examples of the thing to look for, the same for every row; masks are bool or
            integer (H, W), 0 and one other value.
        pointed: what points at the object in every picture, see `segment_pictures`; for questions about one picture.
        audio, sampling_rate: a sound of the thing to look for, the same for every row, (samples,) of so many a second.
        threshold: 0 to 1; what scores this or less counts as absent. None: the model's own gate; 0: everything counts
            as present.
        show_all: whether answers that did not pass keep their masks.
        targets: "one", the best object of each reference; "all": none, one or many.
        everything: whether all objects are asked for, `max_objects` of a picture at most, and nothing refers to them.
        mask_threshold: 0 to 1; the probability above which a pixel belongs to the object.
        copy_images: whether the output holds the pictures as well, so that it can be trained on.
        shard_size: rows of the input that become one Parquet file.
        batch_size: pictures at a time. It does not change what is asked, and may differ when the work goes on.
        max_bad_samples: rows that may be skipped because they cannot be annotated.

    Raises:
        ValueError: nothing to look for, unpaired examples, or a number out of range.
    """

    text_column: str | None = None
    image_column: str | None = None
    id_column: str | None = None
    keep_columns: tuple[str, ...] = ()
    reference_images: Sequence[Any] = ()
    reference_masks: Sequence[Any] = ()
    pointed: Mapping[str, Any] | None = None
    audio: Any = None
    sampling_rate: int | None = None
    threshold: float | None = None
    show_all: bool = False
    targets: Targets = "one"
    everything: bool = False
    max_objects: int = MOST_OBJECTS
    mask_threshold: float = 0.5
    copy_images: bool = False
    shard_size: int = 1000
    batch_size: int = 8
    max_bad_samples: int = 0

    def __post_init__(self) -> None:
        said = self.text_column is not None or self.reference_images or self.pointed or self.audio is not None
        if self.everything and said:
            raise UsageError(
                "`everything` asks for all objects: no `text_column`, no `reference_images`, no `audio` and nothing "
                "that points beside it"
            )
        if not said and not self.everything:
            raise UsageError(
                "say what to look for: `text_column`, or `reference_images` with `reference_masks`, or all of them"
            )
        if len(self.reference_images) != len(self.reference_masks):
            raise UsageError(
                f"`reference_images` and `reference_masks` must come in pairs, got {len(self.reference_images)} and "
                f"{len(self.reference_masks)}"
            )
        check_targets(self.targets)
        for name in ("threshold", "mask_threshold"):
            check_threshold(getattr(self, name), name)
        for name, least in {"max_objects": 1, "shard_size": 1, "batch_size": 1, "max_bad_samples": 0}.items():
            if getattr(self, name) < least:
                raise InvalidInputError(name, getattr(self, name), f"{least} or more")
