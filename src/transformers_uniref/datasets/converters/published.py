"""The published sizes of the benchmarks, each with its source, and checksums of downloads.

Only numbers that are certain are listed; a split or a measure that is not here is not checked. A number is compared
with what the rows hold: `rows` (pictures or clips), `objects`, `sentences`, `frames`. Where sources contradict each
other, all their values are accepted and the report says which one was met.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .source_tree import SourceTree

_UNIREF = "UniRef++ (arXiv 2312.15715), section 4.1"
_YU = "Yu et al., Modeling Context in Referring Expressions, ECCV 2016"
_TFDS = "TensorFlow Datasets, catalog of ref_coco"
_COUNTED = "sum of the splits' sentences, as in the FlagEval documentation of RefCOCO"
_COCO = "COCO, annotation files of the release"
_DAVIS16 = "Perazzi et al., CVPR 2016: 50 sequences, 3,455 frames"
_DAVIS17 = "Pont-Tuset et al., The 2017 DAVIS Challenge, table 1"
_REFER_YOUTUBE = "Seo et al., URVOS, ECCV 2020, and the split of its server"
_MEVIS = "MeViS, README of its repository"
_LVOS = "LVOS, README of its repository"
_MOSE = "Ding et al., MOSE, ICCV 2023"
_OVIS = "Qi et al., OVIS, IJCV 2022"
_YOUTUBE = "Xu et al., YouTube-VOS, and the data page of the challenge"
_FSS = "Li et al., FSS-1000, CVPR 2020"
_HSNET = "lists of Min et al., HSNet, ICCV 2021"
_O365 = "Objects365 v2 as listed by Ultralytics"


@dataclass(frozen=True)
class Published:
    """A published number: of a split, or of all splits together (`split` is None)."""

    split: str | None
    measure: str
    values: Mapping[int, str]


@dataclass(frozen=True)
class Comparison:
    """A published number beside what was found."""

    published: Published
    found: int

    @property
    def met(self) -> bool:
        """Whether the found number is one of the published ones."""
        return self.found in self.published.values

    def describe(self) -> str:
        """One line."""
        of = self.published.split or "all splits"
        if self.met:
            return f"{of}: {self.found:,} {self.published.measure}, as in {self.published.values[self.found]}"
        wanted = " or ".join(f"{value:,} ({source})" for value, source in self.published.values.items())
        return f"{of}: {self.found:,} {self.published.measure}, published: {wanted}"


def _numbers(source: str, measure: str, **splits: int) -> list[Published]:
    return [Published(split, measure, {value: source}) for split, value in splits.items()]


def _total(measure: str, value: int, source: str) -> Published:
    return Published(None, measure, {value: source})


PUBLISHED: dict[str, list[Published]] = {
    "coco-2014": _numbers(_COCO, "rows", train=82_783, val=40_504)
    + _numbers(_COCO, "objects", train=604_907, val=291_875),
    "coco-2017": _numbers(_COCO, "rows", train=118_287, val=5_000)
    + _numbers(_COCO, "objects", train=860_001, val=36_781),
    "objects365": _numbers(_O365, "rows", train=1_742_289, val=80_000),
    "refcoco": _numbers(_TFDS, "rows", train=16_994, val=1_500, testA=750, testB=750)
    + _numbers(_TFDS, "objects", train=42_404, val=3_811, testA=1_975, testB=1_810)
    + [
        _total("rows", 19_994, f"{_YU}; {_UNIREF}"),
        _total("objects", 50_000, f"{_YU}; {_UNIREF}"),
        Published(None, "sentences", {142_209: f"{_YU}; {_UNIREF}", 142_210: _COUNTED}),
    ],
    "refcoco-google": _numbers(_TFDS, "rows", train=19_213, val=4_559, test=4_527)
    + _numbers(_TFDS, "objects", train=40_000, val=5_000, test=5_000),
    "refcoco+": _numbers(_TFDS, "rows", train=16_992, val=1_500, testA=750, testB=750)
    + _numbers(_TFDS, "objects", train=42_278, val=3_805, testA=1_975, testB=1_798)
    + [
        _total("rows", 19_992, f"{_YU}; {_UNIREF}"),
        _total("objects", 49_856, f"{_YU}; {_UNIREF}"),
        _total("sentences", 141_564, f"{_YU}; {_UNIREF}"),
    ],
    "refcocog": _numbers(_TFDS, "rows", train=21_899, val=1_300, test=2_600)
    + _numbers(_TFDS, "objects", train=42_226, val=2_573, test=5_023)
    + [
        _total("rows", 25_799, "Nagaraja et al., ECCV 2016 (UMD split)"),
        _total("objects", 49_822, "Nagaraja et al., ECCV 2016 (UMD split)"),
        _total("sentences", 95_010, "Nagaraja et al., ECCV 2016 (UMD split)"),
    ],
    "refcocog-google": _numbers(_TFDS, "rows", train=24_698, val=4_650)
    + _numbers(_TFDS, "objects", train=44_822, val=5_000),
    "fss-1000": [
        Published("train", "rows", {7_600: f"{_FSS}: 760 classes", 5_200: f"{_HSNET}: 520 classes"}),
        Published("val", "rows", {2_400: f"{_HSNET}: 240 classes"}),
        Published("test", "rows", {2_400: f"{_FSS}: 240 classes"}),
        _total("rows", 10_000, f"{_FSS}; {_UNIREF}"),
    ],
    "youtube-vos-2018": _numbers(_YOUTUBE, "rows", train=3_471, valid=474, test=508),
    "youtube-vos-2019": _numbers(_YOUTUBE, "rows", train=3_471, valid=507, test=541),
    "ref-youtube-vos": _numbers(_REFER_YOUTUBE, "rows", train=3_471, valid=202, test=305)
    + [_total("rows", 3_978, f"{_REFER_YOUTUBE}; {_UNIREF}")],
    "davis-2016": _numbers(_DAVIS16, "rows", train=30, val=20) + [_total("frames", 3_455, _DAVIS16)],
    "davis-2017": _numbers(_DAVIS17, "rows", train=60, val=30, test_dev=30, test_challenge=30),
    "davis-2017-unsupervised": _numbers(_DAVIS17, "rows", train=60, val=30),
    "ref-davis-2017": _numbers(_DAVIS17, "rows", train=60, val=30),
    "lvos-v1": _numbers(_LVOS, "rows", train=120, val=50, test=50),
    "lvos-v2": _numbers(_LVOS, "rows", train=420, val=140, test=160),
    "mose": _numbers(_MOSE, "rows", train=1_507, valid=311),
    "ovis": _numbers(_OVIS, "rows", train=607, valid=140, test=154),
    "mevis": _numbers(_MEVIS, "rows", train=1_662, valid_u=50, valid=140),
}

ARCHIVES: dict[str, dict[str, tuple[str, str]]] = {
    "coco-2017": {
        "annotations_trainval2017.zip": ("md5", "f4bbac642086de4f52a3fdda2de5fa2c"),
        "train2017.zip": ("md5", "cced6f7f71b7629ddf16f17bbcfab6b2"),
        "val2017.zip": ("md5", "442b8da7639aecaf257c1dceb8ba8c80"),
    },
    "fss-1000": {
        "fewshot_data.zip": ("sha256", "4e49282322891eae4511153f1b63f6274042702ecd2b6da4bff949e106ac20e0"),
    },
}
"""Checksums of the archives as downloaded, compared where an archive lies in the source."""


def compare(name: str, counts: Mapping[str, Mapping[str, int]], splits: Iterable[str]) -> list[Comparison]:
    """Published numbers beside `counts`, by split and measure; totals once all `splits` of the data set are there."""
    found = []
    for published in PUBLISHED.get(name, ()):
        if published.split is not None:
            if published.split in counts:
                found.append(Comparison(published, counts[published.split][published.measure]))
        elif set(splits) <= set(counts):
            found.append(Comparison(published, sum(counts[split][published.measure] for split in splits)))
    return found


def check_archives(name: str, tree: SourceTree) -> list[str]:
    """Names of archives in the source whose checksum is not the published one, with both."""
    problems = []
    for archive in tree.archives:
        known = ARCHIVES.get(name, {}).get(archive.name)
        if known is None:
            continue
        method, wanted = known
        with archive.open("rb") as file:
            found = hashlib.file_digest(file, method).hexdigest()
        if found != wanted:
            problems.append(f"{archive.name} ({method} {found}, published {wanted})")
    return problems
