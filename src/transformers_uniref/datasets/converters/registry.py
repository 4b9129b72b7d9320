"""All converters by name."""

from __future__ import annotations

from functools import partial

from ...core.near_names import did_you_mean
from .base import Converter
from .coco import plan_coco, plan_objects365
from .davis import plan_davis, plan_ref_davis
from .fss1000 import plan_fss
from .lvos_mose import plan_lvos, plan_mose
from .refer import plan_refer
from .rle_videos import plan_mevis, plan_ovis
from .youtube_vos import plan_ref_youtube_vos, plan_youtube_vos

_IMAGES, _CLIPS = 500, 8
_REFER_HOME = "https://github.com/lichengunc/refer"
_COCO_LICENCE = "annotations: CC BY 4.0; pictures: Flickr terms of use"
_UNKNOWN = "see the homepage"
_UNC = ("train", "val", "testA", "testB")


def _refer(name: str, title: str, folder: str, file: str, splits: tuple[str, ...]) -> Converter:
    plan = partial(plan_refer, name, folder, file)
    return Converter(name, title, ("ris",), splits, plan, _IMAGES, _REFER_HOME, _COCO_LICENCE)


def _davis(name: str, title: str, year: str, annotations: str, splits: tuple[str, ...]) -> Converter:
    plan = partial(plan_davis, name, year, annotations)
    return Converter(name, title, ("vos",), splits, plan, _CLIPS, "https://davischallenge.org", _UNKNOWN)


def _coco(year: str) -> Converter:
    tasks, plan = ("detection", "fss", "vos"), partial(plan_coco, year)
    home = "https://cocodataset.org"
    return Converter(f"coco-{year}", f"COCO {year}", tasks, ("train", "val"), plan, _IMAGES, home, _COCO_LICENCE)


def _youtube(year: str) -> Converter:
    name, splits, plan = f"youtube-vos-{year}", ("train", "valid", "test"), partial(plan_youtube_vos, year)
    home = "https://youtube-vos.org"
    return Converter(name, f"YouTube-VOS {year}", ("vos",), splits, plan, _CLIPS, home, _UNKNOWN)


def _lvos(version: str) -> Converter:
    home, plan = "https://github.com/LingyiHongfd/LVOS", partial(plan_lvos, version)
    licence = "annotations: CC BY 4.0; data: for non-commercial research only"
    return Converter(f"lvos-{version}", f"LVOS {version}", ("vos",), ("train", "val", "test"), plan, 1, home, licence)


_ALL = (
    _coco("2014"),
    _coco("2017"),
    Converter(
        "objects365",
        "Objects365 v2",
        ("detection",),
        ("train", "val"),
        plan_objects365,
        _IMAGES,
        "https://www.objects365.org",
        _UNKNOWN,
    ),
    _refer("refcoco", "RefCOCO (UNC)", "refcoco", "refs(unc).p", _UNC),
    _refer("refcoco-google", "RefCOCO (Google)", "refcoco", "refs(google).p", ("train", "val", "test")),
    _refer("refcoco+", "RefCOCO+ (UNC)", "refcoco+", "refs(unc).p", _UNC),
    _refer("refcocog", "RefCOCOg (UMD)", "refcocog", "refs(umd).p", ("train", "val", "test")),
    _refer("refcocog-google", "RefCOCOg (Google)", "refcocog", "refs(google).p", ("train", "val")),
    _refer("grefcoco", "gRefCOCO", "grefcoco", "grefs(unc).json", _UNC),
    Converter(
        "fss-1000",
        "FSS-1000",
        ("fss",),
        ("train", "val", "test"),
        plan_fss,
        _IMAGES,
        "https://github.com/HKUSTCV/FSS-1000",
        _UNKNOWN,
    ),
    _youtube("2018"),
    _youtube("2019"),
    Converter(
        "ref-youtube-vos",
        "Refer-YouTube-VOS",
        ("rvos", "vos"),
        ("train", "valid", "test"),
        plan_ref_youtube_vos,
        _CLIPS,
        "https://youtube-vos.org/dataset/rvos/",
        _UNKNOWN,
    ),
    _davis("davis-2016", "DAVIS 2016", "2016", "Annotations", ("train", "val")),
    _davis("davis-2017", "DAVIS 2017", "2017", "Annotations", ("train", "val", "test_dev", "test_challenge")),
    _davis("davis-2017-unsupervised", "DAVIS 2017, unsupervised", "2017", "Annotations_unsupervised", ("train", "val")),
    Converter(
        "ref-davis-2017",
        "Ref-DAVIS17",
        ("rvos", "vos"),
        ("train", "val"),
        plan_ref_davis,
        _CLIPS,
        "https://davischallenge.org",
        _UNKNOWN,
    ),
    _lvos("v1"),
    _lvos("v2"),
    Converter(
        "mose", "MOSE", ("vos",), ("train", "valid"), plan_mose, _CLIPS, "https://henghuiding.github.io/MOSE/", _UNKNOWN
    ),
    Converter(
        "ovis",
        "OVIS",
        ("vos",),
        ("train", "valid", "test"),
        plan_ovis,
        _CLIPS,
        "https://songbai.site/ovis/",
        _UNKNOWN,
    ),
    Converter(
        "mevis",
        "MeViS",
        ("rvos", "vos"),
        ("train", "valid_u", "valid", "test"),
        plan_mevis,
        _CLIPS,
        "https://henghuiding.github.io/MeViS/",
        _UNKNOWN,
    ),
)
CONVERTERS: dict[str, Converter] = {converter.name: converter for converter in _ALL}


def find_converter(name: str) -> Converter:
    """The converter of a name.

    Raises:
        ValueError: there is none; lists the names, the nearest first.
    """
    if name not in CONVERTERS:
        hint = did_you_mean(name, CONVERTERS)
        raise ValueError(f"NAME: there is no dataset {name!r} (known: {', '.join(CONVERTERS)}){hint}")
    return CONVERTERS[name]
