"""The four tasks through Transformers' `pipeline`: what goes in, what comes out, in batches, from disk, and refused."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import pipeline
from transformers.pipelines import PIPELINE_REGISTRY

from noise import PROBABILITIES, SCORES, assert_same_mask
from processor_support import small_tokenizer
from transformers_uniref import UniRefProcessor
from transformers_uniref.core.families import PIPELINE_CLASSES
from transformers_uniref.core.palette import save_label_map
from transformers_uniref.pipelines.mask_prompts import read_mask_prompts
from video_support import HEIGHT, WIDTH, clip, disc, image_processor, tiny_model

SENTENCE = "the dog on the left"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("model")
    tiny_model().save_pretrained(path)
    UniRefProcessor(image_processor(), small_tokenizer()).save_pretrained(path)
    return str(path)


@pytest.fixture(scope="module")
def ris(folder: str) -> Any:
    return pipeline("referring-segmentation", model=folder, device="cpu")


@pytest.fixture(scope="module")
def fss(folder: str) -> Any:
    return pipeline("few-shot-segmentation", model=folder, device="cpu")


@pytest.fixture(scope="module")
def vos(folder: str) -> Any:
    return pipeline("video-object-segmentation", model=folder, device="cpu")


@pytest.fixture(scope="module")
def rvos(folder: str) -> Any:
    return pipeline("referring-video-segmentation", model=folder, device="cpu")


def labels(frame: int = 0, objects: tuple[int, ...] = (1, 2)) -> np.ndarray:
    """A label map (H, W), uint8."""
    drawn = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    for number in objects:
        drawn[disc(frame, number)] = number
    return drawn


def photo(seed: int = 0) -> np.ndarray:
    return clip(6)[seed % 6]


# ------------------------------------------------------------------------------------------------------------ pictures
def test_a_sentence_gives_a_mask_a_score_a_box_and_its_label(ris: Any) -> None:
    [found] = ris(photo(), text=SENTENCE)
    assert set(found) == {"score", "label", "mask", "box", "passed", "threshold", "unknown_words"}
    assert 0 <= found["score"] <= 1 and found["label"] == SENTENCE
    assert found["mask"].mode == "L" and found["mask"].size == (WIDTH, HEIGHT)
    assert set(np.unique(found["mask"])) <= {0, 255}
    assert list(found["box"]) == ["xmin", "ymin", "xmax", "ymax"]
    assert 0 <= found["box"]["xmin"] <= found["box"]["xmax"] <= WIDTH
    assert all(isinstance(side, int) for side in found["box"].values())


def test_results_are_those_of_the_model_and_its_processor(ris: Any) -> None:
    inputs = ris.processor(images=photo(), text=[SENTENCE, "a cat"], return_tensors="pt")
    with torch.no_grad():
        outputs = ris.model(**inputs)
    wanted = ris.processor.post_process_referring_segmentation(outputs, target_sizes=[(HEIGHT, WIDTH)] * 2)
    for found, expected in zip(ris(photo(), [SENTENCE, "a cat"]), wanted, strict=True):
        assert found["score"] == pytest.approx(expected["score"], rel=SCORES)
        assert_same_mask(np.asarray(found["mask"]) > 0, expected["segmentation"])


def test_a_picture_may_be_a_path_and_is_turned_upright(ris: Any, tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(photo()).save(tmp_path / "turned.png", exif=turned)
    for picture in (tmp_path / "turned.png", str(tmp_path / "turned.png"), Image.open(tmp_path / "turned.png")):
        assert ris(picture, text=SENTENCE)[0]["mask"].size == (HEIGHT, WIDTH)


EXAMPLE = {"reference_images": photo(0), "reference_masks": disc(0, 1)}


def test_thresholds_are_given_to_the_call_or_once_for_all(ris: Any, folder: str) -> None:
    def pixels(found: list[dict[str, Any]]) -> int:
        return int((np.asarray(found[0]["mask"]) > 0).sum())

    assert pixels(ris(photo(), text=SENTENCE, threshold=1.0)) == 0
    assert pixels(ris(photo(), text=SENTENCE, mask_threshold=0.2)) > pixels(ris(photo(), text=SENTENCE)) > 0
    strict = pipeline("referring-segmentation", model=ris.model, processor=ris.processor, threshold=1.0)
    assert pixels(strict(photo(), text=SENTENCE)) == 0
    assert pixels(strict(photo(), text=SENTENCE, threshold=None)) > 0, "the model's own gate"


def test_the_models_own_gate_is_the_default_and_the_result_says_whether_it_was_passed(ris: Any, fss: Any) -> None:
    [found] = ris(photo(), text=SENTENCE)
    assert found["passed"] and found["threshold"] == ris.processor.score_threshold
    strict = copy.copy(ris.processor)
    strict.score_threshold = 0.999
    for pipe, references in ((ris, {"text": SENTENCE}), (fss, EXAMPLE)):
        severe = pipeline(pipe.task, model=pipe.model, processor=strict)
        [shut] = severe(photo(), **references)
        assert not shut["passed"] and shut["threshold"] == 0.999 and not np.asarray(shut["mask"]).any()
        [open_] = severe(photo(), **references, threshold=0)
        assert open_["passed"] and open_["threshold"] is None and np.asarray(open_["mask"]).any()
        assert shut["score"] == pytest.approx(open_["score"]) and shut["box"] == open_["box"]


@pytest.mark.filterwarnings("ignore::transformers_uniref.processors.vocabulary.NothingUnderstoodWarning")
def test_words_that_the_model_does_not_know_are_in_the_result_and_alone_never_pass(ris: Any, fss: Any) -> None:
    partly, nothing = ris(photo(), text=["the red zebra", "a kraken"])
    assert partly["unknown_words"] == ["zebra"] and partly["passed"]
    assert nothing["unknown_words"] == ["kraken"] and not nothing["passed"] and not np.asarray(nothing["mask"]).any()
    assert ris(photo(), text="a kraken", threshold=0)[0]["passed"], "without a gate everything passes"
    [by_example] = fss(photo(), **EXAMPLE, text="a kraken")
    assert by_example["unknown_words"] == ["kraken"] and by_example["passed"], "the example says what it is"


def test_nothing_found_in_a_clip_is_told_with_the_best_score_and_the_option(rvos: Any, vos: Any) -> None:
    with pytest.warns(UserWarning, match=r"nothing was found in this clip: the best score is \.\d+ .*`threshold`"):
        frames = rvos(clip(2), text=["a dog", "the red zebra"], threshold=0.999)
    assert all(frame["passed"] == {1: False, 2: False} for frame in frames)
    assert frames[0]["unknown_words"] == {1: [], 2: ["zebra"]}
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert rvos(clip(1), text="a dog", threshold=0)[0]["passed"] == {1: True}
        assert vos(clip(1), masks=labels(), threshold=1)[0]["passed"] == {1: True, 2: True}, "given, not looked for"


def same(first: Any, second: Any) -> bool:
    """Whether results agree, but for a pixel at a border."""
    return all(
        a["label"] == b["label"]
        and abs(a["score"] - b["score"]) < 1e-4
        and (np.asarray(a["mask"]) != np.asarray(b["mask"])).mean() < 1e-3
        for a, b in zip(first, second, strict=True)
    )


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_a_batch_mixes_sizes_and_numbers_of_sentences(ris: Any, batch_size: int) -> None:
    questions = [
        {"image": photo(0), "text": ["a dog", "a cat", "the red car"]},
        {"image": photo(1)[:40], "text": "the man"},
        {"image": photo(2)[10:], "text": ["a cat on the right"]},
    ]
    expected = [ris(question["image"], text=question["text"]) for question in questions]
    for given in (questions, tuple(questions), (question for question in questions)):
        found = list(ris(given, batch_size=batch_size))
        assert [len(results) for results in found] == [3, 1, 1]
        assert all(same(*pair) for pair in zip(found, expected, strict=True))


def test_a_generator_is_answered_one_by_one(ris: Any) -> None:
    drawn = []

    def pictures() -> Iterator[np.ndarray]:
        for index in range(4):
            drawn.append(index)
            yield photo(index)

    answers = iter(ris(pictures(), text=SENTENCE))
    assert len(drawn) <= 1
    next(answers)
    assert len(drawn) <= 2
    assert len(list(answers)) == 3


def test_an_example_is_found_in_one_picture_or_in_several(fss: Any) -> None:
    references = {"reference_images": [photo(0)], "reference_masks": [disc(0, 1)]}
    [found] = fss(photo(1), **references)
    assert found["label"] is None and found["mask"].size == (WIDTH, HEIGHT)
    several = fss([photo(1), photo(2)[:40]], **references, batch_size=2)
    assert same(several[0], [found]) and several[1][0]["mask"].size == (WIDTH, 40)
    assert same(fss(photo(1), photo(0), disc(0, 1)), [found])


def test_a_batch_mixes_numbers_of_examples(fss: Any) -> None:
    one = {"image": photo(1), "reference_images": photo(0), "reference_masks": disc(0, 1)}
    two = {"image": photo(2), "reference_images": [photo(0), photo(3)], "reference_masks": [disc(0, 2), disc(3, 2)]}
    together = fss([one, two, one], batch_size=3)
    assert same(together[0], fss(one)) and same(together[1], fss(two)) and same(together[2], together[0])


def test_examples_and_a_sentence_act_together(fss: Any) -> None:
    example = {"reference_images": photo(0), "reference_masks": disc(0, 1)}
    [alone], [both] = fss(photo(1), **example), fss(photo(1), **example, text=SENTENCE)
    assert both["label"] == SENTENCE and both["score"] != alone["score"]


def test_a_model_of_half_precision_gives_nearly_the_same(ris: Any, folder: str) -> None:
    half = pipeline("referring-segmentation", model=folder, dtype=torch.bfloat16, device="cpu")
    assert half.dtype == torch.bfloat16
    [rough], [exact] = half(photo(), text=SENTENCE), ris(photo(), text=SENTENCE)
    assert rough["score"] == pytest.approx(exact["score"], abs=0.1)


# --------------------------------------------------------------------------------------------------------------- clips
def test_masked_objects_are_followed_through_a_clip(vos: Any) -> None:
    frames = vos(clip(4), masks=labels())
    assert [frame["frame"] for frame in frames] == [0, 1, 2, 3]
    for frame in frames:
        assert set(frame) == {"frame", "masks", "scores", "passed"}
        assert list(frame["masks"]) == list(frame["scores"]) == [1, 2]
        assert all(mask.dtype == bool and mask.shape == (HEIGHT, WIDTH) for mask in frame["masks"].values())
        assert not (frame["masks"][1] & frame["masks"][2]).any()
        assert all(0 <= score <= 1 for score in frame["scores"].values())
    assert (frames[0]["masks"][2] == disc(0, 2)).all()


def test_results_are_those_of_a_session(vos: Any) -> None:
    session = vos.processor.init_video_session(video=clip(4))
    vos.processor.add_mask_prompt(session, 0, [1, 2], labels())
    for frame, output in zip(
        vos(np.stack(clip(4)), labels()), vos.model.propagate_in_video_iterator(session), strict=True
    ):
        masks = vos.processor.post_process_video_masks(output, session)
        for number in (1, 2):
            assert_same_mask(frame["masks"][number], masks[number])
        assert list(frame["scores"].values()) == pytest.approx(output.object_scores.tolist(), abs=PROBABILITIES)


def test_a_stream_is_computed_frame_by_frame_from_any_iterator(vos: Any) -> None:
    read = []

    def camera() -> Iterator[np.ndarray]:
        for index, frame in enumerate(clip(5)):
            read.append(index)
            yield frame

    results = vos(camera(), masks=labels(), stream=True)
    assert read == []
    assert next(results)["frame"] == 0 and read == [0]
    rest = list(results)
    listed = vos(clip(5), masks=labels())[1:]
    for one, other in zip(rest, listed, strict=True):
        assert_same_mask(one["masks"][1], other["masks"][1])
    lazily = vos(clip(5), masks=labels(), stream=True)
    assert next(lazily)["frame"] == 0


def test_later_frames_add_and_correct_objects(vos: Any) -> None:
    frames = vos(clip(4), masks={0: labels(0, (1,)), 2: {1: disc(2, 1), 3: disc(2, 3)}})
    assert [list(frame["masks"]) for frame in frames] == [[1], [1], [1, 3], [1, 3]]
    assert (frames[2]["masks"][1] == disc(2, 1)).all()


def test_sentences_are_followed_through_a_clip(rvos: Any) -> None:
    frames = rvos(clip(3), text=["a dog", "a cat"], threshold=0)
    assert [list(frame["masks"]) for frame in frames] == [[1, 2]] * 3
    assert frames[0]["labels"] == {1: "a dog", 2: "a cat"}
    assert any(mask.any() for frame in frames for mask in frame["masks"].values())
    assert rvos(clip(1), text={4: "a dog"})[0]["labels"] == {4: "a dog"}
    assert not rvos(clip(1), text="a dog", threshold=1.0)[0]["masks"][1].any()


def test_a_sentence_may_mean_all_objects_of_a_clip(rvos):
    frames = rvos(clip(3), text=["All dogs", "a cat"], targets="all", max_objects=2, threshold=0)
    found = frames[-1]["labels"]
    assert found and set(found.values()) <= {"All dogs", "a cat"} and list(found) == list(range(1, 1 + len(found)))
    assert list(frames[-1]["masks"]) == list(found) and set(frames[-1]["unknown_words"]) == set(found)
    assert all(sum(label == text for label in found.values()) <= 2 for text in ("All dogs", "a cat"))
    given = rvos(clip(1), text="a dog", masks=labels(), targets="all", threshold=0)[0]["labels"]
    assert given[1] is given[2] is None and set(given.values()) == {None, "a dog"}
    assert rvos(clip(1), text="a dog", targets="all", threshold=1)[0]["masks"] == {}
    for options, message in (({"targets": "many"}, "`targets` must be"), ({"text": {1: "a dog"}}, "`text` must be")):
        with pytest.raises((TypeError, ValueError), match=message):
            rvos(clip(1), **{"text": "a dog", "targets": "all", **options})


def test_one_thing_may_be_meant_by_two_sentences(rvos: Any) -> None:
    for frame in rvos(clip(3), text=["a dog", "a dog"], threshold=0):
        assert_same_mask(frame["masks"][1], frame["masks"][2])


def test_sentences_and_masks_act_together(rvos: Any, vos: Any) -> None:
    frames = rvos(clip(3), text=["a dog", "a cat"], masks=labels(0, (2, 3)))
    assert frames[0]["labels"] == {2: "a dog", 3: "a cat"}
    assert (frames[0]["masks"][3] == disc(0, 3)).all()
    assert frames[2]["scores"][2] != vos(clip(3), masks=labels(0, (2, 3)))[2]["scores"][2]
    assert rvos(clip(1), text={2: "a dog"}, masks=labels(0, (2, 3)))[0]["labels"] == {2: "a dog", 3: None}


def test_clips_and_masks_are_read_from_disk(vos: Any, tmp_path: Path) -> None:
    (tmp_path / "clip").mkdir()
    for index, frame in enumerate(clip(3)):
        Image.fromarray(frame).save(tmp_path / "clip" / f"{index}.png")
    save_label_map(tmp_path / "first.png", labels())
    expected = vos(clip(3), masks=labels())
    for given in (tmp_path / "clip", str(tmp_path / "clip"), sorted((tmp_path / "clip").iterdir())):
        found = vos(given, masks=tmp_path / "first.png", references="both", object_chunk_size=1)
        assert all((a["masks"][2] == b["masks"][2]).mean() > 0.999 for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize(
    ("masks", "objects"),
    [
        (labels(), {0: [1, 2]}),
        (torch.from_numpy(labels()), {0: [1, 2]}),
        (Image.fromarray(labels()), {0: [1, 2]}),
        (disc(0, 2), {0: [1]}),
        (disc(0, 2).astype(np.uint8) * 255, {0: [1]}),
        ([disc(0, 1), disc(0, 3)], {0: [1, 2]}),
        (np.stack([disc(0, 1), disc(0, 3)]), {0: [1, 2]}),
        ({3: labels(), 1: [disc(1, 1)]}, {1: [1], 3: [1, 2]}),
        ({2: {7: disc(0, 1)}, 4: np.zeros((4, 4), dtype=np.uint8)}, {2: [7]}),
    ],
)
def test_masks_come_in_many_arrangements(masks: Any, objects: dict[int, list[int]]) -> None:
    prompts = read_mask_prompts(masks)
    assert {frame: list(found) for frame, found in prompts.items()} == objects
    assert all(mask.dtype == bool and mask.any() for found in prompts.values() for mask in found.values())


# ------------------------------------------------------------------------------------------------------- disk and hub
@pytest.mark.parametrize("task", PIPELINE_CLASSES)
def test_a_task_alone_uses_its_default_model(task: str, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PIPELINE_REGISTRY.supported_tasks[task], "default", {"model": (folder, None)})
    made = pipeline(task)
    assert f"{type(made).__module__}.{type(made).__name__}" == PIPELINE_CLASSES[task]
    assert made.task == task and made.tokenizer is not None and made.image_processor is not None


def test_a_saved_pipeline_is_complete_and_trusted(ris: Any, tmp_path: Path) -> None:
    ris.save_pretrained(tmp_path / "saved")
    assert "custom_pipelines" not in json.loads((tmp_path / "saved" / "config.json").read_text())
    again = pipeline("referring-segmentation", model=str(tmp_path / "saved"), device="cpu", local_files_only=True)
    assert same(again(photo(), text=SENTENCE), ris(photo(), text=SENTENCE))
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError, match="`save_directory` must be a folder"):
        ris.save_pretrained(tmp_path / "file")


def test_a_model_without_sentences_follows_masks(vos: Any) -> None:
    silent = UniRefProcessor(image_processor())
    made = pipeline("video-object-segmentation", model=vos.model, processor=silent)
    assert len(made(clip(2), masks=labels())) == 2


# ------------------------------------------------------------------------------------------------------------ refusals
@pytest.mark.parametrize(
    ("task", "given", "error", "message"),
    [
        ("ris", {}, ValueError, "`text` is missing"),
        ("ris", {"text": "  "}, ValueError, "`text` must name something"),
        ("ris", {"text": []}, ValueError, "`text` is an empty list"),
        ("ris", {"text": "a dog", "treshold": 0.5}, TypeError, "`treshold` is no argument of the task 'referring-seg"),
        ("ris", {"text": "a dog", "threshold": 3}, ValueError, "`threshold` must be between 0 and 1"),
        ("fss", {}, ValueError, "`reference_images` is missing"),
        ("fss", {"reference_images": photo()}, ValueError, "`reference_masks` is missing"),
        (
            "fss",
            {"reference_images": photo(), "reference_masks": labels()},
            ValueError,
            "`reference_masks` must hold 0",
        ),
        (
            "fss",
            {"reference_images": [photo()], "reference_masks": [disc(0, 1)] * 2},
            ValueError,
            "one mask for each reference image",
        ),
        ("vos", {}, ValueError, "`masks` is missing"),
        ("vos", {"masks": labels() * 0}, ValueError, "`masks` must mark at least one object"),
        ("vos", {"masks": labels()[:30]}, ValueError, "`masks` must have the frame's size"),
        ("vos", {"masks": labels() * 0.5}, ValueError, "`masks` of type float64 holds fractions"),
        ("vos", {"masks": labels().astype(int) - 1}, ValueError, "`masks` must hold 0 and object ids from 1, got -1"),
        ("vos", {"masks": {-1: labels()}}, ValueError, "frame indices, 0 or more, as keys; got -1"),
        ("vos", {"masks": {9: labels()}}, ValueError, "must be from 0 to 1, got 9"),
        ("vos", {"masks": {0: {0: disc(0, 1)}}}, ValueError, "must be 1 or more"),
        ("vos", {"masks": labels(), "text": "a dog"}, TypeError, "`text` is no argument of the task 'video-object"),
        ("vos", {"masks": labels(), "references": "last"}, ValueError, "`references` must be one of"),
        ("rvos", {}, ValueError, "`text` is missing"),
        ("rvos", {"masks": labels()}, ValueError, "`text` is missing"),
        ("rvos", {"text": []}, ValueError, "`text` is an empty list"),
        ("rvos", {"text": 3}, TypeError, "`text` must be a sentence, a list"),
        ("rvos", {"text": ["a dog"], "masks": labels()}, ValueError, "one sentence for each of the 2 objects"),
        ("rvos", {"text": "a dog", "threshold": -1}, ValueError, "must be between 0 and 1"),
    ],
)
def test_mistakes_are_named(
    task: str, given: dict[str, Any], error: type[Exception], message: str, request: pytest.FixtureRequest
) -> None:
    made = request.getfixturevalue(task)
    with pytest.raises(error, match=message):
        made(clip(2) if task.endswith("vos") else photo(), **given)


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        ("nowhere.png", FileNotFoundError, "`image` names a file that does not exist"),
        ([], ValueError, "`image` is an empty list"),
        (np.full((8, 8, 3), np.nan), ValueError, "`image` has pixels that are NaN"),
        ({"picture": photo()}, ValueError, "`image` as a dictionary must hold `image`"),
        (None, TypeError, "`image` must be PIL images"),
    ],
)
def test_what_is_no_picture_is_refused(ris: Any, image: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ris(image, text="a dog")


@pytest.mark.parametrize(
    ("video", "error", "message"),
    [
        (None, ValueError, "`video` must be a list of frames"),
        ([], ValueError, "`video` has no frames"),
        (iter([]), ValueError, "`video` has no frames"),
        ("nowhere.mp4", FileNotFoundError, "there is no nowhere.mp4"),
        ([photo(), photo()[:-3]], ValueError, "`video` must have frames of one size"),
    ],
)
def test_what_is_no_clip_is_refused(rvos: Any, video: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        rvos(video, text="a dog")


def test_a_mask_for_a_frame_that_never_comes_is_told(vos: Any) -> None:
    with pytest.raises(ValueError, match="frames 0 to 1 of `video`, got one for 5"):
        vos(iter(clip(2)), masks={0: labels(), 5: labels()})


def test_other_models_and_unknown_options_are_refused(folder: str, ris: Any) -> None:
    from transformers import BertConfig, BertModel

    bert = BertModel(
        BertConfig(vocab_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    )
    with pytest.raises(ValueError, match="must be a UniRef model, got BertModel"):
        pipeline("referring-segmentation", model=bert, processor=ris.processor)
    with pytest.raises(TypeError, match="`colour` is no argument"):
        pipeline("referring-segmentation", model=folder, colour="red")
