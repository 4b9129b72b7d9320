"""The web application without a browser: what it accepts, refuses, computes and writes."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from places import ROOT
from transformers_uniref import UniRefModel, UniRefProcessor
from transformers_uniref.core.annotated_object import AnnotatedObject
from transformers_uniref.core.families import DEFAULT_CHECKPOINT
from transformers_uniref.core.mask_codes import decode_rle
from transformers_uniref.core.palette import save_label_map
from transformers_uniref.frontends.app import clips, limits, uploads
from transformers_uniref.frontends.app.clip_files import draw_frame, render_clip, save_masks
from transformers_uniref.frontends.app.clip_job import ClipJob
from transformers_uniref.frontends.app.clips import open_clip
from transformers_uniref.frontends.app.drawn_masks import drawn_mask
from transformers_uniref.frontends.app.legend import draw_results, legend_line
from transformers_uniref.frontends.app.marking import CLICK, FILE, Marking
from transformers_uniref.frontends.app.messages import LABELS
from transformers_uniref.frontends.app.model_cache import BUNDLED, FOLDER, HUB, RELEASED, ModelCache, ModelChoice
from transformers_uniref.frontends.app.page import Page, own_gate
from transformers_uniref.frontends.app.results_area import (
    picture_notes,
    picture_rows,
    save_picture_results,
)
from transformers_uniref.frontends.app.sentences import split_sentences
from transformers_uniref.frontends.app.settings import AppSettings
from transformers_uniref.frontends.app.uploads import fitted, read_picture
from transformers_uniref.frontends.app.video_handlers import ALL, add_objects, follow, remove_object, start_over
from transformers_uniref.frontends.cli.main import main
from transformers_uniref.frontends.errors import UserError, describe
from transformers_uniref.inference.pictures import segment_pictures
from transformers_uniref.inference.results import SegmentedObject
from transformers_uniref.media.video.io import read_frames, save_animation
from transformers_uniref.metrics.region import iou
from transformers_uniref.worlds.drawn.world import World

Loaded = tuple[Any, Any]


class OneModel:
    """Holds one model."""

    def __init__(self, loaded: Any) -> None:
        self.loaded = loaded

    def get(self, choice: ModelChoice) -> Any:
        return self.loaded


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    model = UniRefModel.from_pretrained(DEFAULT_CHECKPOINT).eval()
    return model, UniRefProcessor.from_pretrained(DEFAULT_CHECKPOINT)


# ------------------------------------------------------------------------------------------------------------ sentences
def test_each_line_is_a_sentence_and_empty_lines_are_none() -> None:
    assert split_sentences(" the red  star \n\n the ring\n") == ["the red star", "the ring"]
    assert split_sentences(None, required=False) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Write what to look for"),
        ("\n".join(["a star"] * (limits.MAX_OBJECTS + 1)), "Up to 10 sentences"),
        ("star " * 100, "up to 300 letters, got 499"),
        ("a star\n?!", "must hold a word"),
    ],
)
def test_sentences_that_cannot_be_meant_are_refused(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        split_sentences(text)


# ------------------------------------------------------------------------------------------------------------- pictures
def test_a_picture_with_too_many_pixels_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "large.png"
    Image.new("1", (10_000, 5_000)).save(file)

    def decode(*_: Any) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(uploads, "rgb_array", decode)
    with pytest.raises(UserError, match=r"The picture has 50\.0 megapixels \(10000 x 5000\); up to 32 are accepted"):
        read_picture(str(file))


def test_what_is_no_picture_is_refused_by_name_and_not_by_folder(tmp_path: Path) -> None:
    whole = tmp_path / "whole.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(whole)
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:4000])
    (tmp_path / "words.png").write_text("words")
    # Pillow would hand a PostScript file to another program.
    (tmp_path / "drawing.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n")
    for name in ("cut.png", "words.png", "drawing.png"):
        with pytest.raises(UserError, match=name) as told:
            read_picture(str(tmp_path / name), "the example picture")
        assert str(told.value).startswith("The example picture is ") and str(tmp_path) not in str(told.value)
    with pytest.raises(UserError, match="The example picture is missing"):
        read_picture(None, "the example picture")


@settings(deadline=None, max_examples=25)
@given(height=st.integers(1, 3000), width=st.integers(1, 3000))
def test_fitted_pictures_keep_their_proportions(height: int, width: int) -> None:
    mask = np.ones((height, width), dtype=bool)
    small = fitted(mask, 20, 40, smooth=False)
    assert small.dtype == bool and 20 <= max(small.shape) <= 40
    scale = max(small.shape) / max(mask.shape)
    assert all(abs(after - max(1, before * scale)) <= 1 for after, before in zip(small.shape, mask.shape, strict=True))


# ------------------------------------------------------------------------------------------------------------- drawings
def layer(size: tuple[int, int], rows: slice, columns: slice, opacity: int = 255) -> np.ndarray:
    drawn = np.zeros((*size, 4), dtype=np.uint8)
    drawn[rows, columns, 3] = opacity
    return drawn


def test_strokes_become_a_mask_of_the_pictures_size() -> None:
    layers = [layer((64, 128), slice(0, 32), slice(0, 64)), layer((64, 128), slice(32, 64), slice(64, 128))]
    mask = drawn_mask({"layers": layers}, (32, 64))
    assert mask.dtype == bool and mask.shape == (32, 64)
    assert mask[:16, :32].all() and mask[16:, 32:].all() and mask.sum() == 32 * 32


def test_a_drawing_of_nothing_or_everything_is_refused() -> None:
    size = (16, 16)
    nothings: list[Any] = [None, {"layers": []}, {"layers": [layer(size, slice(None), slice(None), opacity=40)]}]
    for nothing in nothings:
        with pytest.raises(UserError, match="Nothing is drawn yet"):
            drawn_mask(nothing, size)
    with pytest.raises(UserError, match="whole picture"):
        drawn_mask({"layers": [layer(size, slice(None), slice(None))]}, size)


# -------------------------------------------------------------------------------------------------------------- results
def test_sentences_find_what_they_name_in_a_drawn_scene(loaded: Loaded, tmp_path: Path) -> None:
    scene = World(split="test", size=128, seed=5).image(1, easy=True)
    sentences = [sentences[0] for sentences in scene["sentences"]]
    found = segment_pictures(*loaded, [(scene["image"], sentences)], threshold=0)[0]
    overlaps = [iou(item.mask, truth) for item, truth in zip(found, scene["masks"], strict=True)]
    assert np.mean(overlaps) > 0.5, overlaps
    overlay = draw_results(scene["image"], found)
    files = [Path(file) for file in save_picture_results(tmp_path, overlay, found)]
    assert [file.name for file in files] == ["overlay.png", "masks.png", "masks.json"]
    told = json.loads(files[2].read_text())
    for item, stored in zip(found, told["objects"], strict=True):
        assert np.array_equal(decode_rle(stored["segmentation"]), item.mask) and stored["text"] == item.label
    labels = np.asarray(Image.open(files[1]))
    assert labels.shape == (128, 128) and set(np.unique(labels)) <= set(range(len(found) + 1))
    assert np.array_equal(np.asarray(Image.open(files[0])), overlay)
    assert [row[:2] for row in picture_rows(found)] == [[n, text] for n, text in enumerate(sentences, start=1)]


@pytest.mark.filterwarnings("ignore::transformers_uniref.processors.vocabulary.NothingUnderstoodWarning")
def test_the_page_says_what_is_unknown_and_what_fell_below_the_models_gate(loaded: Loaded) -> None:
    gate = own_gate(Page(AppSettings(), OneModel(loaded), None, None), ModelChoice())
    assert gate == loaded[1].score_threshold
    found = segment_pictures(*loaded, [(np.zeros((128, 128, 3), np.uint8), ["a <b>submarine</b>"])], threshold=gate)[0]
    assert not found[0].passed and not found[0].mask.any()
    _, unknown, below = picture_notes(found)
    assert unknown == "unknown to this model: b, submarine"
    assert below.startswith(f"no answer passed {gate:g}".replace("0.", "."))
    passed = SegmentedObject(np.ones((2, 2), bool), "the star", score=0.8, threshold=gate)
    assert picture_notes([passed]) == ["Found: the star (0.80)."]


def test_where_masks_overlap_the_better_score_owns_the_pixel(tmp_path: Path) -> None:
    full, half = np.ones((8, 8), dtype=bool), np.zeros((8, 8), dtype=bool)
    half[:, :4] = True
    found = [SegmentedObject(half, "half", score=0.9), SegmentedObject(full, "full", score=0.5)]
    save_picture_results(tmp_path, draw_results(np.zeros((8, 8, 3), np.uint8), found), found)
    labels = np.asarray(Image.open(tmp_path / "masks.png"))
    assert (labels[:, :4] == 1).all() and (labels[:, 4:] == 2).all()


def test_the_legend_grows_by_one_line_an_object_and_cuts_long_sentences() -> None:
    picture = np.zeros((60, 90, 3), dtype=np.uint8)
    nothing = np.zeros((60, 90), dtype=bool)
    objects = [AnnotatedObject(nothing, "a " * 200, 0.5), AnnotatedObject(nothing, "the ring")]
    bare, one, two = (draw_results(picture, objects[:count]) for count in range(3))
    assert bare.shape == (320, 480, 3)
    assert one.shape[1] == two.shape[1] == 480 and bare.shape[0] < one.shape[0] < two.shape[0]
    assert (one[320:, -4:] == one[-1, -1]).all(), "the text runs over the border"
    assert legend_line(2, objects[1], "the ring") == "2  the ring  (not found)"


# ---------------------------------------------------------------------------------------------------------------- clips
@pytest.fixture(scope="module")
def drawn_clip() -> dict[str, Any]:
    return World(split="test", size=128, seed=5).clip(0, frames=5)


@pytest.fixture
def job(drawn_clip: dict[str, Any], tmp_path: Path) -> ClipJob:
    save_animation(tmp_path / "clip.png", drawn_clip["frames"], 8)
    folder = tmp_path / "masks"
    folder.mkdir()
    return ClipJob(open_clip(str(tmp_path / "clip.png")), folder)


@pytest.mark.filterwarnings("ignore::transformers_uniref.processors.vocabulary.NothingUnderstoodWarning")
def test_a_clip_says_what_is_unknown_and_what_was_never_found(job: ClipJob, loaded: Loaded) -> None:
    assert job.doubts() == []
    job.add(0, sentence="the kraken")
    next(job.run(*loaded))
    unknown, below = job.doubts()
    assert unknown == "unknown to this model: kraken"
    assert below.startswith("object 1 (the kraken): no answer passed") and below.endswith("in frame 0")


def test_files_that_are_no_clip_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "words.mp4").write_text("no video")
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "broken.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(500))
    # FFmpeg would open the files that such a list names.
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n/etc/passwd\n#EXT-X-ENDLIST\n")
    (tmp_path / "concat.mp4").write_text("ffconcat version 1.0\nfile /etc/passwd\n")
    for file in tmp_path.iterdir():
        with pytest.raises(UserError, match=f"no video that can be read: {file.name}") as told:
            open_clip(str(file))
        assert str(tmp_path) not in str(told.value)
    with pytest.raises(UserError, match="The video is missing"):
        open_clip(None)


def test_clips_that_are_too_long_or_too_large_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [np.full((16, 16, 3), shade, dtype=np.uint8) for shade in (0, 99, 200)]
    save_animation(tmp_path / "clip.gif", frames, 8)
    monkeypatch.setattr(clips, "MAX_FRAMES", 2)
    with pytest.raises(UserError, match="has 3 frames; up to 2 are accepted"):
        open_clip(str(tmp_path / "clip.gif"))
    monkeypatch.setattr(clips, "MAX_FRAMES", 3)
    assert len(open_clip(str(tmp_path / "clip.gif"))) == 3
    monkeypatch.setattr(clips, "MAX_FRAME_PIXELS", 255)
    with pytest.raises(UserError, match="frames are 16 x 16"):
        open_clip(str(tmp_path / "clip.gif"))


def test_a_clip_is_followed_stopped_added_to_and_goes_on(
    job: ClipJob, drawn_clip: dict[str, Any], loaded: Loaded, tmp_path: Path
) -> None:
    pytest.importorskip("av")
    truth = drawn_clip["label_maps"]
    first, second = (int(number) for number in np.unique(truth[0])[1:3])
    job.add(0, mask=truth[0] == first)
    for result in job.run(*loaded):
        assert set(result.objects) == {1}
        if result.index == 1:
            with pytest.raises(UserError, match="being followed already"):
                next(job.run(*loaded))
            job.stop()
    assert job.position == 2
    with pytest.raises(UserError, match="Frame 1 has been computed already: mark it in frame 2"):
        job.add(1, mask=truth[1] == second)
    sentence = drawn_clip["sentences"][second][0]
    job.add(0, sentence=sentence)
    assert job.objects[2].frame == 2, "a sentence for a frame that has passed holds from the next one on"
    rest = list(job.run(*loaded))
    assert [result.index for result in rest] == [2, 3, 4] and set(rest[0].objects) == {1, 2}
    overlaps = [iou(result.objects[1].mask, truth[result.index] == first) for result in rest]
    assert np.mean(overlaps) > 0.5, overlaps
    with pytest.raises(UserError, match="The clip is done"):
        next(job.run(*loaded))

    assert list(render_clip(job, tmp_path / "overlay.mp4")) == [1, 2, 3, 4, 5]
    rendered = list(read_frames(tmp_path / "overlay.mp4"))
    assert len(rendered) == 5 and rendered[0].shape == draw_frame(job, rest[0]).shape
    archive, code = save_masks(job, tmp_path)
    with zipfile.ZipFile(archive) as opened:
        assert opened.namelist() == [f"{index:05d}.png" for index in range(5)]
        label_map = np.asarray(Image.open(io.BytesIO(opened.read("00000.png"))))
    assert np.array_equal(label_map == 1, truth[0] == first), "the given mask is the first frame's result"
    told = json.loads(Path(code).read_text())
    assert [(item["id"], item["text"], item["given_by"]) for item in told["objects"]] == [
        (1, None, "mask"),
        (2, sentence, "sentence"),
    ]
    assert told["frames"][0]["objects"][0]["score"] is None and len(told["frames"]) == 5
    assert np.array_equal(decode_rle(told["frames"][4]["objects"][0]["segmentation"]), rest[2].objects[1].mask)

    job.remove(1)
    job.start_over()
    assert job.position == 0 and list(job.known) == [2] and not list(job.folder.iterdir())


@pytest.mark.filterwarnings("ignore::transformers_uniref.processors.vocabulary.NothingUnderstoodWarning")
def test_a_sentence_for_all_objects_is_followed_beside_others_and_removed(
    job: ClipJob, drawn_clip: dict[str, Any], loaded: Loaded, tmp_path: Path
) -> None:
    truth = drawn_clip["label_maps"]
    first, second = (int(number) for number in np.unique(truth[0])[1:3])
    job.add(0, mask=truth[0] == first)
    sentence = drawn_clip["sentences"][second][0]
    nothing = Marking(editor={"layers": [layer((128, 128), slice(0, 0), slice(0, 0))]})
    assert add_objects(job, 0, nothing, f"{sentence}\n{sentence}\nthe  kraken", "all") == []
    assert job.sentences == {sentence: 0, "the kraken": 0} and list(job.objects) == [1]
    drawing = Marking(editor={"layers": [layer((128, 128), slice(10, 40), slice(10, 40))]})
    with pytest.raises(UserError, match="A marked object is one"):
        add_objects(job, 0, drawing, "the ring", "all")
    for result in job.run(*loaded):
        if result.index == 1:
            job.stop()
    found = {number: item for number, item in job.known.items() if number != 1}
    assert found and {item.sentence for item in found.values()} == {sentence} and 2 in found
    assert found[2].given_by == "sentence" and list(job.objects) == [1]
    assert "the kraken: no object was found" in job.doubts() and "unknown to this model: kraken" in job.doubts()
    remove_object(job, ALL + sentence)
    with pytest.raises(UserError, match="no sentence for all objects"):
        remove_object(job, ALL + sentence)
    rest = list(job.run(*loaded))
    assert all(set(result.objects) == {1} for result in rest)
    (folder := tmp_path / "files").mkdir()
    _, code = save_masks(job, folder)
    texts = {item["id"]: item["text"] for item in json.loads(Path(code).read_text())["objects"]}
    assert texts == {1: None} | {number: sentence for number in found}
    job.start_over()
    assert list(job.known) == [1] and list(job.sentences) == ["the kraken"]


def test_objects_come_from_marks_from_sentences_or_from_both(job: ClipJob) -> None:
    drawing = Marking(editor={"layers": [layer((128, 128), slice(10, 40), slice(10, 40))]})
    nothing = Marking(editor={"layers": [layer((128, 128), slice(0, 0), slice(0, 0))]})
    assert add_objects(job, 0, nothing, "the star\nthe ring") == [1, 2]
    assert add_objects(job, 1, drawing, "") == [3]
    assert add_objects(job, 2, Marking(CLICK, clicks="64, 64"), "the disc") == [4]
    assert [item.given_by for item in job.objects.values()] == ["sentence", "sentence", "mask", "mask and sentence"]
    assert [item.text for item in job.objects.values()] == ["the star", "the ring", "drawn", "the disc"]
    for marking, text, said in (
        (nothing, "", "Write a sentence, or mark"),
        (drawing, "the star\nthe ring", "may have one sentence"),
    ):
        with pytest.raises(UserError, match=said):
            add_objects(job, 0, marking, text)
    with pytest.raises(UserError, match="Choose a video first"):
        add_objects(None, 0, nothing, "the star")
    with pytest.raises(UserError, match="from 0 to 4"):
        add_objects(job, 5, nothing, "the star")
    remove_object(job, "3")
    remove_object(job, None)
    assert list(job.objects) == [1, 2, 4]
    for chosen, said in (("3", "no object 3"), ("the star", "by its number, got 'the star'")):
        with pytest.raises(UserError, match=said):
            remove_object(job, chosen)


def test_objects_of_one_request_are_added_all_or_none(job: ClipJob) -> None:
    for _ in range(limits.MAX_OBJECTS - 1):
        job.add(0, "the star")
    with pytest.raises(UserError, match="Up to 10 objects can be followed; there is room for 1 more, got 2"):
        add_objects(job, 0, Marking(), "the star\nthe ring")
    assert len(job.objects) == limits.MAX_OBJECTS - 1


def test_objects_of_a_mask_file_keep_their_ids_where_these_are_free(job: ClipJob, tmp_path: Path) -> None:
    labels = np.zeros((128, 128), dtype=np.uint8)
    labels[:20, :20], labels[40:60, 40:60] = 1, 7
    save_label_map(tmp_path / "ids.png", labels)
    marking = Marking(FILE, file=str(tmp_path / "ids.png"))
    job.add(0, "the star")
    with pytest.raises(UserError, match="holds 2 objects: leave out the sentence"):
        add_objects(job, 0, marking, "the ring")
    assert add_objects(job, 0, marking, "") == [2, 7]
    item = job.objects[7]
    assert item.mask is not None and np.array_equal(item.mask, labels == 7) and item.text == "mask file"
    assert job.add(0, "the disc").number == 3


# ------------------------------------------------------------------------------------------------ following on the page
@pytest.fixture
def page(loaded: Loaded, tmp_path: Path) -> Any:
    models = SimpleNamespace(get=lambda choice: loaded)
    shown = SimpleNamespace(shown=lambda *_: "newest.jpg", new_folder=lambda: Path(tempfile.mkdtemp(dir=tmp_path)))
    return SimpleNamespace(models=models, workspace=shown)


def test_following_twice_at_once_is_following_once(job: ClipJob, page: Any) -> None:
    pytest.importorskip("av")
    job.add(0, "the star")
    first = follow(page, job, ModelChoice())
    assert "loading" in next(first).bar
    assert list(follow(page, job, ModelChoice())) == []
    with pytest.raises(UserError, match="being followed: press Stop first"):
        start_over(job)
    job.stop()  # while the model is loaded
    assert "stopped before the first frame" in list(first)[-1].bar
    last = list(follow(page, job, ModelChoice()))[-1]
    assert "done: 5 of 5" in last.bar and last.files
    assert start_over(job).position == 0


def test_a_job_whose_user_chose_another_clip_says_no_more(job: ClipJob, page: Any) -> None:
    job.add(0, "the star")
    steps = follow(page, job, ModelChoice())
    next(steps)
    job.abandon()
    assert list(steps) == [] and job.position == 0


# --------------------------------------------------------------------------------------------------------------- models
def model_folder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    return folder


def test_only_folders_below_the_root_can_be_chosen(tmp_path: Path) -> None:
    root = tmp_path / "models"
    inside, outside = model_folder(root / "mine" / "final"), model_folder(tmp_path / "elsewhere")
    (root / "link").symlink_to(outside)
    models = ModelCache(AppSettings(models_root=root))
    assert models.folders() == ["mine/final"]
    assert models.locate(ModelChoice(FOLDER, "mine/final")) == str(inside)
    for name in ("link", "../elsewhere", str(outside), str(inside), "", "mine"):
        with pytest.raises(UserError):
            models.locate(ModelChoice(FOLDER, name))


def test_without_permission_no_folder_can_be_named_and_with_it_any(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "model")
    closed = ModelCache(AppSettings(hub=False))
    assert closed.kinds == [BUNDLED, RELEASED]
    for choice in (ModelChoice(FOLDER, str(folder)), ModelChoice(HUB, "owner/name")):
        with pytest.raises(UserError, match="cannot be chosen here"):
            closed.locate(choice)
    with pytest.raises(UserError, match="not on this machine yet; press “Fetch it” first"):
        closed.locate(ModelChoice(RELEASED, "uniref-pp-r50"))
    public = ModelCache(AppSettings(host="0.0.0.0"))
    with pytest.raises(UserError, match="its operator can: uniref download uniref-pp-r50"):
        public.locate(ModelChoice(RELEASED, "uniref-pp-r50"))
    with pytest.raises(UserError, match="one of the listed"):
        closed.locate(ModelChoice(RELEASED, "../uniref-pp-r50"))
    opened = ModelCache(AppSettings(allow_folders=True))
    assert opened.locate(ModelChoice(FOLDER, str(folder))) == str(folder)
    with pytest.raises(UserError, match="no folder with a model"):
        opened.locate(ModelChoice(FOLDER, str(tmp_path)))
    with pytest.raises(UserError) as caught:
        opened.get(ModelChoice(FOLDER, str(folder)))
    assert describe(caught.value, LABELS).startswith("the model cannot be loaded from")


def test_a_hub_id_is_never_read_as_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model_folder(tmp_path / "owner" / "name")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    models = ModelCache(AppSettings())
    with pytest.raises(UserError, match="owner/name cannot be had from the Hub"):
        models.locate(ModelChoice(HUB, "owner/name"))
    for name in ("../owner", "/etc/passwd", "name", "", "owner/name/more", "https://example.org/x"):
        with pytest.raises(UserError, match="looks like owner/name"):
            models.locate(ModelChoice(HUB, name))


# ------------------------------------------------------------------------------------------------------------- settings
def test_settings_that_would_open_the_machine_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert AppSettings(host="localhost", allow_folders=True).is_local
    assert AppSettings(host="::1").is_local and not AppSettings(host="0.0.0.0").is_local
    for options, said in (
        (["--allow-folders", "--host", "0.0.0.0"], "--allow-folders lets users read"),
        (["--allow-folders", "--share"], "--allow-folders lets users read"),
        (["--port", "70000"], "--port must be between 1 and 65535"),
        (["--models-root", str(tmp_path / "none")], "--models-root must be a folder"),
    ):
        assert main(["app", *options]) == 2
        assert said in capsys.readouterr().err


def test_the_space_starts_the_same_application() -> None:
    folder = ROOT / "spaces" / "uniref"
    front_matter = (folder / "README.md").read_text().split("---\n")[1]
    about = dict(line.split(": ", 1) for line in front_matter.splitlines())
    assert about["sdk"] == "gradio" and about["app_file"] == "app.py" and about["license"] == "apache-2.0"
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    assert f"gradio=={about['sdk_version']}" in pins
    assert (folder / "requirements.txt").read_text() == "transformers-uniref[app]\n"
    compile((folder / "app.py").read_text(), "app.py", "exec")
