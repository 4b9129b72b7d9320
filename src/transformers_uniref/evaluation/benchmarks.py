"""The benchmarks that a model can be measured on: their tasks, whose rules hold, and how the released code asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..core.errors import UsageError
from ..core.near_names import named

if TYPE_CHECKING:
    from ..metrics.video_protocols import VideoProtocol

Family = Literal["ris", "gris", "photos", "fss", "vos", "rvos", "everything", "uvos"]
MANY_OR_NONE = ("gris", "photos")
"""Families whose sentences may mean several objects or none."""

WORLD_GENERALISED = "world-generalised"
WORLD_EVERYTHING = "world-everything"
DRAWN = (WORLD_GENERALISED, WORLD_EVERYTHING)
"""What is drawn when it is asked for, without a folder."""

RELEASED_SIZES = {
    "size": {"shortest_edge": 800, "longest_edge": 1333},
    "few_shot_size": {"shortest_edge": 480, "longest_edge": 768},
    "video_size": {"shortest_edge": 480, "longest_edge": 1333},
}
"""Options of the image processor at test time, as the released code has them (not those of the SAM variant)."""

PRESETS = ("paper",)

EXPRESSIONS = "mevis"
"""The rules of MeViS, which is judged by no protocol of the others; each sentence counts like an object."""


@dataclass(frozen=True)
class Released:
    """How the released code asks its model.

    Attributes:
        gate: the score below which an answer counts as empty; None for no gate.
        propagate_text: whether what a sentence has found becomes a reference in later frames.
        references: which annotated frames a session keeps.
        shots: examples of a few-shot question.
    """

    gate: float | None = None
    propagate_text: bool = True
    references: str = "both"
    shots: int = 1


@dataclass(frozen=True)
class Benchmark:
    """A data set with its rules.

    Attributes:
        name: as for `uniref evaluate --dataset` and `uniref data build`.
        title: for people.
        family: "ris": sentences about pictures; "gris": such that may mean several objects or none; "photos": the same,
            measured apart; "fss": annotated examples; "vos": objects given by masks in a clip; "rvos": by sentences;
            "everything": all objects of a picture, without any reference; "uvos": those of a clip.
        splits: those with public answers, the default first.
        server_splits: those whose answers only a server knows.
        server: a name of `submission_servers.SERVERS`.
        protocols: rules for clips, names of `PROTOCOLS` or `EXPRESSIONS`; the first gives the measures.
        by_sentence: each sentence has masks of its own; else the objects of a clip share out its pixels.
        released: None where the paper does not measure it.
        targets: how many objects an answer has unless something else is asked for: the best, or all.
    """

    name: str
    title: str
    family: Family
    splits: tuple[str, ...] = ()
    server_splits: tuple[str, ...] = ()
    server: str | None = None
    protocols: tuple[str, ...] = ()
    by_sentence: bool = False
    released: Released | None = None
    targets: Literal["one", "all"] = "one"

    @property
    def task(self) -> str:
        """The task of `data.schema.TASK_COLUMNS` whose columns are needed."""
        others = {"everything": "detection", "uvos": "vos"}
        return "ris" if self.family in MANY_OR_NONE else others.get(self.family, self.family)

    @property
    def asks_with_sentences(self) -> bool:
        """Whether the model has to read sentences; otherwise, but for "everything", it has to read masks."""
        return self.family in ("ris", *MANY_OR_NONE, "rvos")

    @property
    def is_video(self) -> bool:
        """Whether its samples are clips."""
        return self.family in ("vos", "rvos", "uvos")

    def rules(self, protocol: str) -> VideoProtocol:
        """The rules of one of `protocols`."""
        # Imported here, so that help texts can name the benchmarks without loading the measures.
        from ..metrics.video_protocols import VideoProtocol, video_protocol

        if protocol != EXPRESSIONS:
            return video_protocol(protocol)
        what = "MeViS: J and F of every sentence over all frames"
        return VideoProtocol(EXPRESSIONS, what, objects="anywhere", frames="all", dense=False)

    def checked_split(self, split: str | None) -> str:
        """The split, or the default one.

        Raises:
            ValueError: there is no such split; the message lists them.
        """
        known = (*self.splits, *self.server_splits)
        if split is None:
            return known[0]
        if split not in known:
            raise UsageError(f"`split` must be one of {', '.join(known)} for {self.name}, got {split!r}")
        return split


def _refer(name: str, title: str, splits: Sequence[str], released: Released | None = None) -> Benchmark:
    return Benchmark(name, title, "ris", tuple(splits), released=released)


def _masks(
    name: str,
    title: str,
    protocol: str,
    gate: float | None = None,
    **options: Any,
) -> Benchmark:
    released = None if gate is None else Released(gate=gate)
    return Benchmark(name, title, "vos", protocols=(protocol,), released=released, **options)


_ALL = (
    _refer("refcoco", "RefCOCO (UNC)", ("val", "testA", "testB"), Released()),
    _refer("refcoco+", "RefCOCO+ (UNC)", ("val", "testA", "testB"), Released()),
    _refer("refcocog", "RefCOCOg (UMD)", ("val", "test"), Released()),
    _refer("refcoco-google", "RefCOCO (Google)", ("val", "test")),
    _refer("refcocog-google", "RefCOCOg (Google)", ("val",)),
    Benchmark("grefcoco", "gRefCOCO", "gris", ("val", "testA", "testB")),
    Benchmark(
        WORLD_GENERALISED,
        "Drawn scenes, sentences about none, one and many objects",
        "gris",
        ("test", "validation"),
        targets="all",
    ),
    Benchmark("photos", "Photographs of yours, with sentences", "photos", ("all",)),
    Benchmark(WORLD_EVERYTHING, "Drawn scenes, all objects without a reference", "everything", ("test", "validation")),
    Benchmark("photos-everything", "Photographs of yours, all objects without a reference", "everything", ("all",)),
    Benchmark("photo-pairs", "Photographs of yours, by an example of the class", "fss", ("all",)),
    Benchmark("fss-1000", "FSS-1000", "fss", ("test", "val"), released=Released()),
    _masks("davis-2016", "DAVIS 2016", "davis-semi-supervised", splits=("val",)),
    _masks(
        "davis-2017",
        "DAVIS 2017",
        "davis-semi-supervised",
        0.3,
        splits=("val",),
        server_splits=("test_dev", "test_challenge"),
    ),
    Benchmark(
        "davis-2017-unsupervised",
        "DAVIS 2017, objects found without help",
        "uvos",
        splits=("val",),
        protocols=("davis-unsupervised",),
    ),
    Benchmark(
        "davis-like-unsupervised",
        "Clips in folders, objects found without help",
        "uvos",
        splits=("all",),
        protocols=("davis-unsupervised",),
    ),
    _masks("davis-like", "Clips in folders, by the rules of DAVIS", "davis-semi-supervised", 0.3, splits=("all",)),
    _masks(
        "youtube-vos-2018",
        "YouTube-VOS 2018",
        "youtube-vos",
        0.4,
        server_splits=("valid", "test"),
        server="youtube-vos",
    ),
    _masks(
        "youtube-vos-2019",
        "YouTube-VOS 2019",
        "youtube-vos",
        0.4,
        server_splits=("valid", "test"),
        server="youtube-vos",
    ),
    _masks("lvos-v1", "LVOS v1", "lvos-v1", 0.5, splits=("val",), server_splits=("test",), server="lvos"),
    _masks("lvos-v2", "LVOS v2", "lvos-v2", splits=("val",), server_splits=("test",), server="lvos"),
    _masks("mose", "MOSE", "mose-v1", 0.4, server_splits=("valid",), server="mose"),
    Benchmark(
        "ref-youtube-vos",
        "Refer-YouTube-VOS",
        "rvos",
        server_splits=("valid", "test"),
        server="ref-youtube-vos",
        by_sentence=True,
        released=Released(gate=0.3),
    ),
    Benchmark(
        "ref-davis-2017",
        "Ref-DAVIS17",
        "rvos",
        splits=("val",),
        protocols=("ref-davis17", "ref-davis17-by-id"),
        released=Released(propagate_text=False),
    ),
    Benchmark(
        "mevis",
        "MeViS",
        "rvos",
        splits=("valid_u",),
        server_splits=("valid", "test"),
        server="mevis",
        protocols=(EXPRESSIONS,),
        by_sentence=True,
    ),
)
BENCHMARKS: dict[str, Benchmark] = {benchmark.name: benchmark for benchmark in _ALL}


def find_benchmark(name: str) -> Benchmark:
    """The benchmark of a name.

    Raises:
        ValueError: there is none; the message lists the names.
    """
    return named("benchmark", name, BENCHMARKS)
