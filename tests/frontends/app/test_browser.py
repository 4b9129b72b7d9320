"""The web application as its users meet it: clicked through in a real browser.

Screenshots go to the folder that the environment variable UNIREF_SCREENSHOTS names, or to the test's own.
"""

from __future__ import annotations

import io
import json
import os
import re
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from browser_support import CHROMIUM, Application, User, started_browser
from transformers_uniref.core.mask_codes import decode_rle
from transformers_uniref.media.video.io import VideoWriter
from transformers_uniref.metrics.region import iou
from transformers_uniref.worlds.drawn.world import World

pytest.importorskip("gradio")
pytest.importorskip("av")
pytest.importorskip("playwright")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")

CLIP_FRAMES = 150
"""So many that it is stopped long before its end."""


@pytest.fixture(scope="module")
def application() -> Iterator[Application]:
    started = Application()
    try:
        started.wait_until_it_serves()
        yield started
    finally:
        started.clean_up()


@pytest.fixture(scope="module")
def browser(application: Application) -> Iterator[Any]:
    with started_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def user(browser: Any, application: Application) -> User:
    return User(browser, application.url)


def is_shown(user: User, block: str) -> None:
    """Waits until the picture of `block` has arrived and can be drawn."""
    user.page.locator(f"#{block} img").first.wait_for()
    user.page.wait_for_function(f"document.querySelector('#{block} img').naturalWidth > 0")


@pytest.fixture
def screenshot(tmp_path: Path) -> Callable[[User, str], None]:
    folder = Path(os.environ.get("UNIREF_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)

    def take(user: User, name: str) -> None:
        user.page.screenshot(path=folder / f"{name}.png", full_page=True)

    return take


def picture_file(folder: Path, picture: np.ndarray, name: str = "picture.png") -> Path:
    Image.fromarray(picture).save(folder / name)
    return folder / name


def ask(user: User, picture: Path, text: str) -> None:
    user.open_tab("Sentence")
    user.send_file("sentence-picture", picture)
    user.write("sentence-text", text)
    user.press("sentence-run")


def test_sentences_are_answered_with_a_picture_and_files(user: User, tmp_path: Path, screenshot: Any) -> None:
    scene = World(split="test", size=128, seed=5).image(1, easy=True)
    sentences = [sentences[0] for sentences in scene["sentences"]]
    ask(user, picture_file(tmp_path, scene["image"]), "\n".join(sentences))
    told = json.loads(user.download("sentence-files", "masks.json"))
    assert [item["text"] for item in told["objects"]] == sentences
    masks = [decode_rle(item["segmentation"]) for item in told["objects"]]
    overlaps = [iou(mask, truth) for mask, truth in zip(masks, scene["masks"], strict=True)]
    assert np.mean(overlaps) > 0.4, overlaps
    labels = Image.open(io.BytesIO(user.download("sentence-files", "masks.png")))
    assert labels.mode == "P" and labels.size == (128, 128)
    is_shown(user, "sentence-overlay")
    screenshot(user, "sentence")


def test_what_is_painted_over_in_an_example_is_found(user: User, tmp_path: Path, screenshot: Any) -> None:
    scene = World(split="test", size=128, seed=5).few_shot(2)
    mask = scene["reference_masks"][0]
    user.open_tab("Example")
    user.send_file("example-picture", picture_file(tmp_path, scene["reference_images"][0], "example.png"))
    user.send_file("example-query", picture_file(tmp_path, scene["image"], "query.png"))
    user.page.locator("#example-editor canvas").first.wait_for()
    user.press("example-run")
    user.is_told_once("Nothing is drawn yet")
    rows, columns = np.nonzero(mask)
    middle = (float(columns.mean()) / 128, float(rows.mean()) / 128)
    user.paint("example-editor", [((middle[0] - 0.04, middle[1]), (middle[0] + 0.04, middle[1]))])
    user.press("example-run")
    told = json.loads(user.download("example-files", "masks.json"))
    assert told["objects"][0]["text"] == "like the example"
    is_shown(user, "example-overlay")
    screenshot(user, "example")


def test_an_example_is_marked_by_a_mask_file_a_box_or_clicks(
    browser: Any, application: Application, tmp_path: Path, screenshot: Any
) -> None:
    scene = World(split="test", size=128, seed=5).few_shot(2)
    user = User(browser, application.url)  # no answer to an earlier question is taken for the one to this
    user.open_tab("Example")
    user.send_file("example-picture", picture_file(tmp_path, scene["reference_images"][0], "example.png"))
    user.send_file("example-query", picture_file(tmp_path, scene["image"], "query.png"))
    user.mark_by("example", "a mask file")
    labels = np.where(scene["reference_masks"][0], np.uint8(7), np.uint8(0))
    labels[:6, :6] = 2
    user.send_file("example-mask", picture_file(tmp_path, labels, "ids.png"))
    user.waits_for_value("example-mask-number", "2")
    user.page.locator("#example-mask-number input").click()
    user.page.get_by_role("option", name="7").click()
    user.waits_for_value("example-mask-number", "7")
    user.press("example-run")
    user.page.locator("#example-notes", has_text="like the example").wait_for()
    found = json.loads(user.download("example-files", "masks.json"))["objects"][0]
    told = {key: value for key, value in found.items() if key != "segmentation"}
    assert iou(decode_rle(found["segmentation"]), scene["mask"]) > 0.4, told
    screenshot(user, "example-mask")

    user.mark_by("example", "a box")
    user.waits_for_value("example-clicks", "")
    preview = user.page.locator("#example-preview img")
    scale = preview.bounding_box()["width"] / 128
    plain = preview.get_attribute("src")
    preview.click(position={"x": 90 * scale, "y": 100 * scale})
    user.page.wait_for_function("document.querySelector('#example-clicks textarea').value !== ''")
    user.page.wait_for_function("(plain) => document.querySelector('#example-preview img').src !== plain", arg=plain)
    preview.click(position={"x": 30 * scale, "y": 20 * scale})
    user.page.wait_for_function("document.querySelector('#example-clicks textarea').value.split(',').length === 4")
    corners = [float(value) for value in user.value("example-clicks").split(",")]
    assert np.abs(np.array(corners) - (30, 20, 90, 100)).max() < 1, corners
    screenshot(user, "example-box")
    user.page.locator("#example-run").focus()
    user.page.keyboard.press("Control+z")
    user.waits_for_value("example-clicks", ", ".join(f"{value:g}" for value in corners[:2]))
    user.page.keyboard.press("Control+Enter")
    user.is_told_once("Half of the box is there: click on its opposite corner.")
    user.context.close()


def test_ctrl_z_takes_back_strokes(browser: Any, application: Application, tmp_path: Path) -> None:
    user = User(browser, application.url)  # no canvas of an earlier picture is painted on
    scene = World(split="test", size=128, seed=5).few_shot(2)
    user.open_tab("Example")
    user.send_file("example-picture", picture_file(tmp_path, scene["reference_images"][0], "example.png"))
    user.mark_by("example", "painting")
    editor = user.page.locator("#example-editor")
    editor.locator("canvas").first.wait_for()
    user.paint("example-editor", [((0.4, 0.5), (0.6, 0.5))])
    user.page.wait_for_function("!document.querySelector('#example-editor button[aria-label=Undo]').disabled")
    assert editor.locator("button[aria-label=Redo]").is_disabled()
    user.page.keyboard.press("Control+z")
    user.page.wait_for_function("!document.querySelector('#example-editor button[aria-label=Redo]').disabled")
    user.page.keyboard.press("Control+Enter")
    user.is_told_once("Nothing is drawn yet")


def test_the_authors_weights_are_listed_and_fetched_by_a_button(
    browser: Any, application: Application, screenshot: Any
) -> None:
    user = User(browser, application.url)
    user.open_tab("Model")
    user.page.locator("#model-kind").get_by_label("the authors' weights").check()
    user.page.locator("#model-released input").first.wait_for()
    assert user.value("model-released").startswith("uniref-pp-r50: ResNet-50, all four tasks, 768 MB to fetch")
    user.press("model-use")
    user.is_told_once("uniref-pp-r50 is not on this machine yet; press “Fetch it” first.")
    screenshot(user, "model-released")
    user.context.close()
    # Without a network the first thing that is missing is the tokenizer.
    user = User(browser, application.url)
    user.open_tab("Model")
    user.page.locator("#model-kind").get_by_label("the authors' weights").check()
    user.press("model-fetch")
    user.is_told_once("the tokenizer of 'google-bert/bert-base-uncased' could not be loaded")
    assert user.cut_off() == []
    user.context.close()


@pytest.mark.parametrize("viewport", [(1280, 800), (390, 844)], ids=["desk", "phone"])
def test_examples_are_above_the_fold_and_work_by_keys_alone(
    browser: Any, application: Application, viewport: tuple[int, int], screenshot: Any
) -> None:
    user = User(browser, application.url, viewport)
    for tab in ("Video", "Example", "Sentence"):
        user.open_tab(tab)
        examples = user.page.locator(".uniref-example:visible")
        examples.first.wait_for()
        boxes = [example.bounding_box() for example in examples.all()]
        assert boxes and all(box["y"] + box["height"] < viewport[1] for box in boxes), boxes
        assert user.cut_off() == []
    user.page.keyboard.press("Tab")  # on from the tab that was opened last
    for _ in range(8):
        if user.page.evaluate("document.activeElement.matches('.uniref-example')"):
            break
        user.page.keyboard.press("Tab")
    sentence = user.page.evaluate("document.activeElement.innerText").strip()
    user.page.keyboard.press("Enter")
    is_shown(user, "sentence-picture")
    assert user.value("sentence-text").startswith(sentence)
    user.page.keyboard.press("Control+Enter")
    user.page.locator("#sentence-files a").first.wait_for()
    user.comes_to_see("sentence-notes")
    assert user.cut_off() == []
    screenshot(user, f"examples-{viewport[0]}")
    user.context.close()


def send_clip_and_sentence(user: User, file: Path, frames: int) -> str:
    """Uploads a drawn clip on the video tab, and adds an object by the sentence that is returned."""
    clip = World(split="test", size=128, seed=5).clip(0, frames=frames)
    with VideoWriter(file, 12) as writer:
        for frame in clip["frames"]:
            writer.write(frame)
    sentence: str = next(sentences[0] for sentences in clip["sentences"].values() if sentences)
    user.open_tab("Video")
    user.send_file("video-clip", file)
    user.page.get_by_text(f"128 x 128, {frames} frames").wait_for()
    user.write("video-text", sentence)
    user.press("video-add")
    user.page.get_by_role("gridcell", name=sentence).first.wait_for()
    return sentence


def test_a_clip_is_followed_to_its_end(user: User, tmp_path: Path, screenshot: Any) -> None:
    sentence = send_clip_and_sentence(user, tmp_path / "clip.mp4", 8)
    user.press("video-run")
    user.page.locator("#video-progress", has_text="done: 8 of 8").wait_for()
    written = json.loads(user.download("video-files", "masks.json"))
    assert len(written["frames"]) == 8 and [item["text"] for item in written["objects"]] == [sentence]
    assert b"ftyp" in user.download("video-files", "overlay.mp4")[:12]
    is_shown(user, "video-live")
    screenshot(user, "video-done")


def test_masks_of_the_first_frame_are_followed_without_being_added_first(user: User, tmp_path: Path) -> None:
    clip = World(split="test", size=128, seed=5).clip(0, frames=3)
    with VideoWriter(tmp_path / "clip.mp4", 12) as writer:
        for frame in clip["frames"]:
            writer.write(frame)
    user.open_tab("Video")
    user.send_file("video-clip", tmp_path / "clip.mp4")
    user.page.get_by_text("128 x 128, 3 frames").wait_for()
    user.mark_by("video", "a mask file")
    labels = clip["label_maps"][0]
    user.send_file("video-mask", picture_file(tmp_path, labels, "first.png"))
    user.page.locator("#video-mask", has_text="first").wait_for()
    user.page.keyboard.press("Control+Enter")
    user.page.locator("#video-progress", has_text="done: 3 of 3").wait_for()
    written = json.loads(user.download("video-files", "masks.json"))
    assert [item["id"] for item in written["objects"]] == [int(number) for number in np.unique(labels) if number]
    for item in written["frames"][0]["objects"]:
        assert np.array_equal(decode_rle(item["segmentation"]), labels == item["id"])


@pytest.mark.slow
def test_a_clip_is_followed_live_and_stopped_and_objects_are_added(user: User, tmp_path: Path, screenshot: Any) -> None:
    sentence = send_clip_and_sentence(user, tmp_path / "clip.mp4", CLIP_FRAMES)
    user.press("video-run")
    user.page.locator("#video-live img").first.wait_for()
    user.press("video-stop")
    stopped = user.page.locator("#video-progress", has_text="stopped; Follow goes on from here")
    stopped.wait_for()
    done = int(stopped.locator("progress").get_attribute("value"))
    assert 0 < done < CLIP_FRAMES
    first = json.loads(user.download("video-files", "masks.json"))
    assert len(first["frames"]) == done and [item["text"] for item in first["objects"]] == [sentence]
    with zipfile.ZipFile(io.BytesIO(user.download("video-files", "masks.zip"))) as archive:
        assert len(archive.namelist()) == done
    assert b"ftyp" in user.download("video-files", "overlay.mp4")[:12]

    user.paint("video-editor", [((0.4, 0.5), (0.6, 0.5))])
    user.press("video-add")
    user.page.get_by_role("gridcell", name="mask").first.wait_for()
    user.press("video-run")
    user.page.locator("#video-progress", has_text="following").wait_for()
    user.press("video-stop")
    stopped.wait_for()
    second = json.loads(user.download("video-files", "masks.json"))
    assert [item["given_by"] for item in second["objects"]] == ["sentence", "mask"]
    assert second["objects"][1]["from_frame"] == done and len(second["frames"]) > done
    screenshot(user, "video")


def test_a_model_is_chosen_for_ones_own_page(user: User, screenshot: Any) -> None:
    user.open_tab("Model")
    user.press("model-use")
    user.page.locator("#model-status", has_text="million parameters").wait_for()
    user.page.get_by_label("a model of the Hub").check()
    user.page.locator("#model-hub textarea, #model-hub input").first.fill("../../etc")
    user.press("model-use")
    user.is_told("A Hub id looks like owner/name")
    screenshot(user, "model")


def test_bad_files_are_answered_in_one_clear_sentence(user: User, tmp_path: Path, screenshot: Any) -> None:
    Image.new("1", (10_000, 5_000)).save(tmp_path / "large.png")
    ask(user, tmp_path / "large.png", "the red star")
    user.is_told_once("The picture has 50.0 megapixels (10000 x 5000); up to 32 are accepted")
    (tmp_path / "words.png").write_text("These are words.")
    user.send_file("sentence-picture", tmp_path / "words.png")
    user.page.locator("#sentence-run").dblclick()
    user.is_told_once("The picture is no picture that can be read: words.png")
    user.send_file("sentence-picture", picture_file(tmp_path, np.full((64, 64, 3), 99, np.uint8)))
    user.write("sentence-text", "<img src=x onerror=alert(1)>" * 20)
    user.press("sentence-run")
    user.is_told_once("A sentence may have up to 300 letters")
    user.open_tab("Video")
    (tmp_path / "words.mp4").write_text("These are words.")
    user.send_file("video-clip", tmp_path / "words.mp4")
    user.is_told_once("This file is no video that can be read: words.mp4")
    screenshot(user, "bad-video")


def test_an_error_without_a_message_still_shows(browser: Any, application: Application, tmp_path: Path) -> None:
    user = User(browser, application.url)  # a message of a moment ago would count as this one's
    user.open_tab("Sentence")
    sent = picture_file(tmp_path, np.full((64, 64, 3), 88, np.uint8), "sent.png")
    user.send_file("sentence-picture", sent)
    user.page.route(
        "**/queue/join*",
        lambda route: route.continue_(post_data=re.sub(r'"[^"]*/sent.png"', '"/etc/passwd"', route.request.post_data)),
    )
    user.press("sentence-run")
    user.page.locator("[data-testid=status-tracker] .error").first.wait_for()
    assert user.page.get_by_test_id("toast-text").count() == 0
    user.context.close()


def test_two_users_at_once_get_their_own_answers(
    user: User, browser: Any, application: Application, tmp_path: Path
) -> None:
    world = World(split="test", size=128, seed=5)
    other = User(browser, application.url)
    for visitor, size, text in ((user, 128, "the star"), (other, 96, "the ring")):
        picture = Image.fromarray(world.image(3)["image"]).resize((size, size))
        picture.save(tmp_path / f"{size}.png")
        ask(visitor, tmp_path / f"{size}.png", text)
    for visitor, size, text in ((other, 96, "the ring"), (user, 128, "the star")):
        visitor.page.get_by_role("gridcell", name=text).first.wait_for()
        told = json.loads(visitor.download("sentence-files", "masks.json"))
        assert (told["height"], told["objects"][0]["text"]) == (size, text)
    other.context.close()


def test_the_page_asks_no_other_server(user: User, application: Application) -> None:
    foreign = [url for url in user.asked_for if not url.startswith((application.url, "data:", "blob:"))]
    assert user.asked_for and not foreign


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd",
        "/file=/etc/passwd",
        "/gradio_api/file=../../../../../../etc/passwd",
        "/gradio_api/file=%2e%2e/%2e%2e/etc/passwd",
        "/static/../../../../../../etc/passwd",
        "/gradio_api/file=/proc/self/environ",
        f"/gradio_api/file={Path(__file__)}",
        "/gradio_api/file=http://127.0.0.1:1/",
        "/gradio_api/file=https:/127.0.0.1:1/",
    ],
)
def test_no_file_outside_is_served(application: Application, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(application.url + path, timeout=120)
    assert refused.value.code in (403, 404)


def test_no_file_outside_is_read_for_somebody_who_claims_to_have_sent_it(application: Application) -> None:
    outside = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}
    request = urllib.request.Request(
        f"{application.url}/gradio_api/call/sentence",
        json.dumps({"data": [outside, "the star", 0.3, "one"]}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=120) as reply:
        event = json.load(reply)["event_id"]
    with urllib.request.urlopen(f"{application.url}/gradio_api/call/sentence/{event}", timeout=120) as reply:
        told = reply.read().decode()
    assert "event: error" in told and "root:" not in told


def test_ctrl_c_ends_the_server_and_leaves_no_file(application: Application) -> None:
    assert application.press_ctrl_c() == 0, application.said
    assert "uniref app: ended" in application.said, application.said
    # Gradio itself reports the path that it refused above.
    refused = application.said.count("InvalidPathError: Cannot move /etc/passwd")
    assert application.said.count("Traceback") == refused, application.said
    assert application.leftovers() == []
