"""All converters by name."""

from __future__ import annotations

from functools import partial

from ...core.near_names import named
from .base import Converter, PlanMaker
from .coco import plan_coco, plan_objects365
from .davis import plan_davis, plan_ref_davis
from .fss1000 import plan_fss
from .lvos_mose import plan_lvos, plan_mose
from .refer import plan_refer
from .rle_videos import plan_mevis, plan_ovis
from .youtube_vos import plan_ref_youtube_vos, plan_youtube_vos

_IMAGES = 500
"""Rows of a Parquet file with pictures."""

_COCO_LICENCE = "annotations: CC BY 4.0; pictures: Flickr terms of use"
_LVOS_LICENCE = "annotations: CC BY 4.0; data: for non-commercial research only"
_DAVIS, _YOUTUBE = "https://davischallenge.org", "https://youtube-vos.org"
_TRAIN_VAL = ("train", "val")
_TRAIN_VAL_TEST = (*_TRAIN_VAL, "test")
_TRAIN_VALID_TEST = ("train", "valid", "test")
_UNC = (*_TRAIN_VAL, "testA", "testB")


def _coco(year: str) -> Converter:
    tasks, home, plan = ("detection", "fss", "vos"), "https://cocodataset.org", partial(plan_coco, year)
    return Converter(f"coco-{year}", f"COCO {year}", tasks, _TRAIN_VAL, plan, home, _COCO_LICENCE, _IMAGES)


def _refer(name: str, title: str, folder: str, file: str, splits: tuple[str, ...]) -> Converter:
    home, plan = "https://github.com/lichengunc/refer", partial(plan_refer, name, folder, file)
    return Converter(name, title, ("ris",), splits, plan, home, _COCO_LICENCE, _IMAGES)


def _videos(name: str, title: str, splits: tuple[str, ...], plan: PlanMaker, home: str) -> Converter:
    return Converter(name, title, ("vos",), splits, plan, home)


def _videos_with_sentences(name: str, title: str, splits: tuple[str, ...], plan: PlanMaker, home: str) -> Converter:
    return Converter(name, title, ("rvos", "vos"), splits, plan, home)


def _davis(name: str, title: str, year: str, annotations: str, *test_splits: str) -> Converter:
    return _videos(name, title, (*_TRAIN_VAL, *test_splits), partial(plan_davis, name, year, annotations), _DAVIS)


def _youtube(year: str) -> Converter:
    plan = partial(plan_youtube_vos, year)
    return _videos(f"youtube-vos-{year}", f"YouTube-VOS {year}", _TRAIN_VALID_TEST, plan, _YOUTUBE)


def _lvos(version: str) -> Converter:
    home, plan = "https://github.com/LingyiHongfd/LVOS", partial(plan_lvos, version)
    return Converter(
        f"lvos-{version}", f"LVOS {version}", ("vos",), _TRAIN_VAL_TEST, plan, home, _LVOS_LICENCE, rows_per_shard=1
    )


_OBJECTS365, _FSS = "https://www.objects365.org", "https://github.com/HKUSTCV/FSS-1000"
_REF_YOUTUBE, _MEVIS = f"{_YOUTUBE}/dataset/rvos/", "https://henghuiding.github.io/MeViS/"
_ALL = (
    _coco("2014"),
    _coco("2017"),
    Converter(
        "objects365", "Objects365 v2", ("detection",), _TRAIN_VAL, plan_objects365, _OBJECTS365, rows_per_shard=_IMAGES
    ),
    _refer("refcoco", "RefCOCO (UNC)", "refcoco", "refs(unc).p", _UNC),
    _refer("refcoco-google", "RefCOCO (Google)", "refcoco", "refs(google).p", _TRAIN_VAL_TEST),
    _refer("refcoco+", "RefCOCO+ (UNC)", "refcoco+", "refs(unc).p", _UNC),
    _refer("refcocog", "RefCOCOg (UMD)", "refcocog", "refs(umd).p", _TRAIN_VAL_TEST),
    _refer("refcocog-google", "RefCOCOg (Google)", "refcocog", "refs(google).p", _TRAIN_VAL),
    _refer("grefcoco", "gRefCOCO", "grefcoco", "grefs(unc).json", _UNC),
    Converter("fss-1000", "FSS-1000", ("fss",), _TRAIN_VAL_TEST, plan_fss, _FSS, rows_per_shard=_IMAGES),
    _youtube("2018"),
    _youtube("2019"),
    _videos_with_sentences(
        "ref-youtube-vos", "Refer-YouTube-VOS", _TRAIN_VALID_TEST, plan_ref_youtube_vos, _REF_YOUTUBE
    ),
    _davis("davis-2016", "DAVIS 2016", "2016", "Annotations"),
    _davis("davis-2017", "DAVIS 2017", "2017", "Annotations", "test_dev", "test_challenge"),
    _davis("davis-2017-unsupervised", "DAVIS 2017, unsupervised", "2017", "Annotations_unsupervised"),
    _videos_with_sentences("ref-davis-2017", "Ref-DAVIS17", _TRAIN_VAL, plan_ref_davis, _DAVIS),
    _lvos("v1"),
    _lvos("v2"),
    _videos("mose", "MOSE", ("train", "valid"), plan_mose, "https://henghuiding.github.io/MOSE/"),
    _videos("ovis", "OVIS", _TRAIN_VALID_TEST, plan_ovis, "https://songbai.site/ovis/"),
    _videos_with_sentences("mevis", "MeViS", ("train", "valid_u", "valid", "test"), plan_mevis, _MEVIS),
)
CONVERTERS: dict[str, Converter] = {converter.name: converter for converter in _ALL}


def find_converter(name: str) -> Converter:
    """The converter of a name.

    Raises:
        ValueError: there is none; the message lists the names.
    """
    return named("name", name, CONVERTERS)
