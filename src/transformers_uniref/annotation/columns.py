"""Which columns of a dataset hold what, and a row of it as a sample: picture, sentences, id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..core.errors import InvalidInputError, UsageError
from ..processors.text import says_nothing
from .settings import AnnotationSettings

ID_COLUMNS = ("sample_id", "id")
"""Taken for the id of a row, the first that is there, unless another column is named."""


PREDICTIONS = "predictions"
"""The column that `datasets/schema.py` does not have: one entry for each sentence, or one for the examples."""


class BadSampleError(UsageError):
    """A row that cannot be annotated.

    Attributes:
        sample_id: its id.
        reason: what is wrong with it.
    """

    def __init__(self, sample_id: str, reason: str) -> None:
        super().__init__(f"sample {sample_id}: {reason}")
        self.sample_id = sample_id
        self.reason = reason


@dataclass(frozen=True)
class Sample:
    """A row to be annotated.

    Attributes:
        sample_id: unique in the dataset.
        image: the picture as the column holds it: {"bytes", "path"}, bytes, a path, an array.
        sentences: what to look for; none where examples say it.
        image_id: the picture in its collection; "" where unknown.
        kept: the columns that are copied.
    """

    sample_id: str
    image: Any
    sentences: tuple[str, ...] = ()
    image_id: str = ""
    kept: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Columns:
    """The columns of a dataset by their meaning; a dot leads into the entries of a list of structures.

    Attributes:
        image: of the picture.
        text: of the sentence or sentences.
        sample_id: of the rows' ids; None: rows are numbered.
        kept: copied to the output.
        has_image_id: whether `image_id` is copied as well.
    """

    image: str
    text: str | None
    sample_id: str | None
    kept: tuple[str, ...] = ()
    has_image_id: bool = False

    @property
    def light(self) -> list[str]:
        """Those that are read for the plan, without pictures."""
        named = [self.sample_id, _first_part(self.text)]
        return list(dict.fromkeys(name for name in named if name is not None))

    @property
    def all(self) -> list[str]:
        """Every column that is read."""
        more = ["image_id"] if self.has_image_id else []
        return list(dict.fromkeys([*self.light, self.image, *self.kept, *more]))

    def row_id(self, row: Mapping[str, Any], number: int) -> str:
        """The id of row `number`.

        Raises:
            ValueError: it is missing; a row that has no id cannot be skipped either, since nothing would name it.
        """
        if self.sample_id is None:
            return f"{number:09d}"
        value = row[self.sample_id]
        if value is None or value == "":
            raise UsageError(f"`id_column`: {self.sample_id} is empty in row {number}")
        return str(value)

    def sentences(self, row: Mapping[str, Any]) -> Any:
        """What the text column holds: a sentence or a list; None without a text column."""
        if self.text is None:
            return None
        name, _, field_name = self.text.partition(".")
        value = row[name]
        if not field_name or value is None:
            return value
        if isinstance(value, Mapping):
            return value.get(field_name)
        return [None if entry is None else entry.get(field_name) for entry in value]

    def sample(self, row: Mapping[str, Any], number: int) -> Sample:
        """Row `number` as a sample.

        Raises:
            BadSampleError: no picture, more than one, or a sentence that is missing or empty.
        """
        sample_id = self.row_id(row, number)
        image = row[self.image]
        if isinstance(image, (list, tuple)):
            if len(image) != 1:
                raise BadSampleError(sample_id, f"{self.image} holds {len(image)} pictures, one is needed")
            image = image[0]
        if image is None or (isinstance(image, Mapping) and not (image.get("bytes") or image.get("path"))):
            raise BadSampleError(sample_id, f"there is no picture in {self.image}")
        return Sample(
            sample_id,
            image,
            self._checked_sentences(row, sample_id),
            str(row.get("image_id") or "") if self.has_image_id else "",
            {name: row[name] for name in self.kept},
        )

    def _checked_sentences(self, row: Mapping[str, Any], sample_id: str) -> tuple[str, ...]:
        if self.text is None:
            return ()
        value = self.sentences(row)
        given: list[Any] = [value] if value is None or isinstance(value, str) else list(value)
        if not given:
            raise BadSampleError(sample_id, f"there is no sentence in {self.text}")
        for position, sentence in enumerate(given):
            if says_nothing(sentence):
                which = f"sentence {position + 1} of {len(given)} in" if len(given) > 1 else "the sentence in"
                what = "empty" if sentence is None or isinstance(sentence, str) else f"no text but {sentence!r}"
                what += f" ({sentence!r}: no word)" if isinstance(sentence, str) and sentence.strip() else ""
                raise BadSampleError(sample_id, f"{which} {self.text} is {what}")
        return tuple(given)


def _first_part(name: str | None) -> str | None:
    return None if name is None else name.partition(".")[0]


def choose_columns(features: Mapping[str, Any], settings: AnnotationSettings) -> Columns:
    """Find the columns that the settings name, or that can only be meant.

    Args:
        features: the dataset's `datasets.Features`, or column names with None for their types.
        settings: of the annotation.

    Raises:
        ValueError: a column is missing or cannot be told; names it and what was found.
    """
    found = ", ".join(features) or "none"
    named = {"text_column": _first_part(settings.text_column), "image_column": settings.image_column}
    named["id_column"] = settings.id_column
    for argument, name in [*named.items(), *(("keep_columns", name) for name in settings.keep_columns)]:
        if name is not None and name not in features:
            raise InvalidInputError(argument, repr(name), f"a column of the dataset: {found}")
    image = settings.image_column
    if image is None:
        candidates = [name for name, kind in features.items() if _holds_pictures(kind)]
        if "image" in features and len(candidates) != 1:
            candidates = ["image"]
        if len(candidates) != 1:
            which = f"several ({', '.join(candidates)})" if candidates else "none"
            got = f"none, and columns of pictures are {which}"
            raise InvalidInputError("image_column", got, f"a column of the dataset: {found}")
        image = candidates[0]
    sample_id: str | None = settings.id_column or next((name for name in ID_COLUMNS if name in features), None)
    own: tuple[str, ...] = () if sample_id is None else (sample_id,)
    kept = [name for name in (*own, *settings.keep_columns) if name not in ("sample_id", "image_id")]
    _check_free(kept)
    return Columns(image, settings.text_column, sample_id, tuple(dict.fromkeys(kept)), "image_id" in features)


def _check_free(names: Sequence[str]) -> None:
    from ..datasets.schema import COLUMNS

    taken = (*COLUMNS, PREDICTIONS)
    for name in names:
        if name in taken:
            raise UsageError(f"`keep_columns`: {name} is a column of the output ({', '.join(taken)}); rename it first")


def _holds_pictures(kind: Any) -> bool:
    from datasets import Image, List

    return isinstance(kind, Image) or (isinstance(kind, List) and isinstance(kind.feature, Image))
