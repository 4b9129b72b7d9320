"""The model against the oracle: numbers that the released code computed with weights that anybody can regenerate.

Every case of the folder (`UNIREF_ORACLE`; tests/support/oracle_support/folder.py has the defaults) is one test: an
original checkpoint is written, converted, loaded with the Auto classes and run through the public API. Tolerances are
those of the oracle's README. `pytest -rP tests/project/test_oracle.py` shows the largest differences of each case.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oracle_support import image_cases, matching_cases, sam_cases, train_cases, video_cases
from oracle_support.comparison import Report
from oracle_support.folder import IMAGE_FAMILIES, SAM_FAMILY, find_oracle
from oracle_support.models import convert_family, load_model, load_processor

ORACLE = find_oracle()


@pytest.fixture(scope="session")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Family -> its Transformers folder, converted once."""
    done: dict[str, Path] = {}
    workshop = tmp_path_factory.mktemp("oracle")

    def of(family: str) -> Path:
        if family not in done:
            done[family] = convert_family(ORACLE, family, workshop)
        return done[family]

    return of


@pytest.fixture(scope="session")
def loaded(converted: Callable[[str], Path]) -> Callable[[str], tuple[Any, Any]]:
    """Family -> (model in evaluation mode, processor), loaded once."""
    done: dict[str, tuple[Any, Any]] = {}

    def of(family: str) -> tuple[Any, Any]:
        if family not in done:
            folder = converted(family)
            done[family] = load_model(folder), load_processor(folder)
        return done[family]

    return of


@pytest.mark.parametrize(
    ("family", "name"), [(family, name) for family in IMAGE_FAMILIES for name in ORACLE.cases(family)]
)
def test_image_case_equals_the_released_code(family: str, name: str, loaded: Callable[[str], tuple[Any, Any]]) -> None:
    model, processor = loaded(family)
    expected = ORACLE.arrays(family, name)
    case = image_cases.read_case(name, ORACLE.inputs(family), expected, processor)
    if case is None:
        pytest.skip(f"the folder has no inputs for {family}/{name}")
    report = Report(f"{family}/{name}")
    image_cases.run_case(model, processor, case, expected, report)
    report.finish()


@pytest.mark.parametrize(
    ("family", "name"), [(family, name) for family in IMAGE_FAMILIES for name in ORACLE.cases(f"{family}/bf16")]
)
def test_bfloat16_fusion_finds_the_same_object(
    family: str, name: str, loaded: Callable[[str], tuple[Any, Any]]
) -> None:
    if name not in ORACLE.cases(family):
        pytest.skip(f"the folder has no {family}/{name} to compare with")
    model, processor = loaded(family)
    expected = ORACLE.arrays(f"{family}/bf16", name)
    case = image_cases.read_case(name, ORACLE.inputs(family), expected, processor)
    if case is None:
        pytest.skip(f"the folder has no inputs for {family}/bf16/{name}")
    report = Report(f"{family}/bf16/{name}")
    image_cases.run_rounded_case(model, case, expected, ORACLE.arrays(family, name), report)
    report.finish()


TRAIN_STEPS = [name for name in ORACLE.json_names("train") if name not in ("notes", "sam")]


@pytest.mark.parametrize("name", TRAIN_STEPS)
def test_training_step_equals_the_released_code(
    name: str, converted: Callable[[str], Path], loaded: Callable[[str], tuple[Any, Any]]
) -> None:
    expected = ORACLE.json(f"train/{name}")
    family = train_cases.family_of(expected)
    step = train_cases.read_step(name, ORACLE.inputs("train"), loaded(family)[1])
    if step is None:
        pytest.skip(f"the folder has no inputs for train/{name}")
    model = train_cases.load_for_training(converted(family), expected, name)
    names = [entry["name"] for entry in ORACLE.manifest(family)["entries"]]
    report = Report(f"train/{name}")
    train_cases.run_step(model, step, expected, names, report)
    report.finish()


def test_boxinst_supervision_equals_the_released_code() -> None:
    if "boxinst_targets" not in ORACLE.cases("train"):
        pytest.skip("the folder has no train/boxinst_targets")
    report = Report("train/boxinst_targets")
    matching_cases.run_boxinst_targets(ORACLE.arrays("train", "boxinst_targets"), ORACLE.inputs("train"), report)
    report.finish()


SCENARIOS = [
    (file, name) for file in ORACLE.cases("matching") for name in ORACLE.json(f"matching/{file}") if name != "note"
]


@pytest.mark.parametrize(("file", "name"), SCENARIOS)
def test_matching_equals_the_released_code(file: str, name: str) -> None:
    report = Report(f"matching/{file}/{name}")
    arrays = matching_cases.scenario(ORACLE.arrays("matching", file), name)
    matching_cases.run_scenario(arrays, ORACLE.json(f"matching/{file}")[name], report)
    report.finish()


SAM_CLIPS = tuple(f"sam/{task}" for task in sam_cases.TASKS) if "sam" in ORACLE.cases("video") else ()
CLIPS = [name for name in ORACLE.cases("video") if name != "sam"] + list(SAM_CLIPS)


@pytest.fixture(scope="session")
def clip_case(
    converted: Callable[[str], Path], loaded: Callable[[str], tuple[Any, Any]]
) -> Callable[[str], video_cases.VideoCase]:
    """Name of a clip -> its case: gone through once, and again if its own masks are not the stored ones."""
    done: dict[str, video_cases.VideoCase] = {}

    def of(name: str) -> video_cases.VideoCase:
        if name not in done:
            done[name] = read_clip(name, converted, loaded)
        return done[name]

    return of


def read_clip(
    name: str, converted: Callable[[str], Path], loaded: Callable[[str], tuple[Any, Any]]
) -> video_cases.VideoCase:
    family = SAM_FAMILY if name in SAM_CLIPS else "small_r50"
    model, processor = loaded(family)[0], load_processor(converted(family))
    if name in SAM_CLIPS:
        return sam_cases.read_clip(name.removeprefix("sam/"), model, processor, ORACLE.arrays("video", "sam"))
    noise = ORACLE.json("video/noise")
    if name not in noise["noise"]:
        pytest.skip(f"the folder does not say which clip video/{name} was made with")
    clip = ORACLE.clip(noise["noise"][name]["source_video"])
    if not clip:
        pytest.skip(f"the folder has no inputs for video/{name}")
    height, width = (int(side) for side in noise["output_hw"])
    return video_cases.VideoCase(name, model, processor, clip, (height, width), ORACLE.arrays("video", name))


@pytest.mark.parametrize("name", CLIPS)
def test_each_frame_of_a_clip_equals_the_released_code_where_its_masks_are_remembered(
    name: str, clip_case: Callable[[str], video_cases.VideoCase]
) -> None:
    report = Report(f"video/{name}, frame by frame")
    video_cases.compare_frame_by_frame(clip_case(name), report)
    report.finish()


@pytest.mark.parametrize("name", CLIPS)
def test_clip_equals_the_released_code(name: str, clip_case: Callable[[str], video_cases.VideoCase]) -> None:
    report = Report(f"video/{name}")
    video_cases.compare_whole_clip(clip_case(name), report)
    report.finish()


@pytest.mark.parametrize("name", ORACLE.cases(SAM_FAMILY))
def test_sam_case_equals_the_released_code(name: str, loaded: Callable[[str], tuple[Any, Any]]) -> None:
    model, processor = loaded(SAM_FAMILY)
    expected = ORACLE.arrays(SAM_FAMILY, name)
    case = sam_cases.read_case(name, ORACLE.inputs(SAM_FAMILY), expected, processor)
    report = Report(f"{SAM_FAMILY}/{name}")
    sam_cases.run_case(model, processor, case, expected, report)
    report.finish()


SAM_STEPS = ("ris", "vos") if ORACLE.has_json("train/sam") else ()


@pytest.mark.parametrize("name", SAM_STEPS)
def test_sam_training_step_equals_the_released_code(
    name: str, converted: Callable[[str], Path], loaded: Callable[[str], tuple[Any, Any]]
) -> None:
    expected = ORACLE.json("train/sam")
    step = sam_cases.read_step(name, ORACLE.inputs(SAM_FAMILY), loaded(SAM_FAMILY)[1])
    model = load_model(converted(SAM_FAMILY), **train_cases.NO_DROPOUT, **train_cases.NO_TEXT_DROPOUT).train()
    report = Report(f"train/sam/{name}")
    sam_cases.run_step(model, step, expected[name], expected["frozen_prefixes"], report)
    report.finish()
