"""What the processor refuses, with an error that names the argument, and the odd input that it nevertheless takes."""

from __future__ import annotations

import io
import warnings
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from processor_support import RecordingSession, disc, picture, small_processor
from transformers_uniref.core.masks import nearest_resize
from transformers_uniref.media.video.frames import VideoFrames


def examples(**changes):
    return {"images": picture(), "reference_images": [picture()], "reference_masks": [disc()], **changes}


# ----------------------------------------------------------------------------------------------------------- sentences
@pytest.mark.parametrize("text", ["", "   ", "\t\n", "?!", " - / ", ["the dog", ""], "\u200b\u200d"])
def test_a_blank_sentence_is_refused(text):
    images = [picture()] * (len(text) if isinstance(text, list) else 1)
    with pytest.raises(ValueError, match="`text` must name something to segment"):
        small_processor()(images=images, text=text)


@pytest.mark.parametrize("text", [5, ["the dog", None], {"a": "dog"}, b"the dog"])
def test_a_sentence_that_is_no_string_is_refused(text):
    with pytest.raises(TypeError, match="`text`"):
        small_processor()(images=[picture()] * 2, text=text)


@pytest.mark.parametrize(
    ("count", "text", "message"),
    [
        (2, "the dog", "one result for each of the 2 images, got 1"),
        (2, ["a dog", "a cat", "a man"], "one result for each of the 2 images, got 3"),
        (2, [["a dog"]], "one list for each of the 2 images, got 1"),
        (2, [["a dog"], []], "non-empty lists"),
        (2, [["a dog"], "a cat"], "not a mixture"),
        (1, [], "empty list"),
    ],
)
def test_numbers_of_sentences_and_pictures_must_fit(count, text, message):
    with pytest.raises(ValueError, match=f"`text`.*{message}"):
        small_processor()(images=[picture()] * count, text=text)


def test_a_sentence_without_a_tokenizer_is_refused():
    with pytest.raises(ValueError, match="`text` needs a tokenizer.*token ids"):
        small_processor(tokenizer=False)(images=picture(), text="the dog")


def test_nothing_at_all_is_refused():
    with pytest.raises(ValueError, match="`images` and `text` are both missing"):
        small_processor()()
    with pytest.raises(ValueError, match="`reference_images` came without `images`"):
        small_processor()(reference_images=picture(), reference_masks=disc())


# ---------------------------------------------------------------------------------------------------------- references
@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"reference_masks": None}, ValueError, "`reference_images` came without `reference_masks`"),
        ({"reference_images": None}, ValueError, "`reference_masks` came without `reference_images`"),
        ({"reference_masks": [disc(), disc()]}, ValueError, r"`reference_masks` must hold one mask for each"),
        ({"reference_masks": []}, ValueError, "`reference_masks` is empty"),
        ({"reference_masks": [disc(80, 119)]}, ValueError, r"\(80, 120\), got \(80, 119\)"),
        ({"reference_masks": [disc(40, 60)]}, ValueError, r"\(80, 120\), got \(40, 60\)"),
        ({"reference_masks": [np.zeros((80, 120), np.uint8)]}, ValueError, "without a single pixel"),
        ({"reference_masks": [np.zeros((80, 120), bool)]}, ValueError, "without a single pixel"),
        ({"reference_masks": [disc() + disc()[:, ::-1]]}, ValueError, "0 and one other value, got 0, 1, 2"),
        ({"reference_masks": [disc() + 1]}, ValueError, "0 and one other value, got 1, 2"),
        ({"reference_masks": [disc() * np.float32("nan")]}, ValueError, "NaN or infinite"),
        ({"reference_masks": [torch.rand(80, 120)]}, ValueError, "float32 holds fractions.*binarise"),
        ({"reference_masks": [torch.randn(80, 120)]}, ValueError, "must hold 0..1 or object ids"),
        ({"reference_masks": [disc().astype(int) * -1]}, ValueError, "object ids from 1, got -1"),
        ({"reference_masks": [disc().astype(str)]}, TypeError, "bool, an integer or a floating type"),
        ({"reference_masks": [Image.new("RGB", (120, 80), "red")]}, ValueError, r"colour \(255, 0, 0\) at row 0"),
        ({"reference_masks": ["no/such/mask.png"]}, FileNotFoundError, "`reference_masks`.*no/such/mask.png"),
        ({"reference_masks": [7]}, TypeError, "`reference_masks`.*int"),
        ({"reference_images": [picture()[..., :2]]}, ValueError, "`reference_images`.*C = 1, 3 or 4"),
        ({"reference_images": ["no/such/file.png"]}, FileNotFoundError, "`reference_images`.*no/such/file.png"),
        ({"images": [picture()] * 2}, ValueError, "each of the 2 images, got 1"),
        ({"text": ["a", "dog"]}, ValueError, "2 sentences and 1 groups"),
    ],
)
def test_examples_must_be_pairs_of_a_picture_and_its_binary_mask(changes, error, message):
    with pytest.raises(error, match=message):
        small_processor()(**examples(**changes))


def test_every_entry_needs_equally_many_examples():
    image, mask = picture(), disc()
    with pytest.raises(ValueError, match="equally many examples"):
        small_processor()(
            images=[image] * 2, reference_images=[[image], [image] * 2], reference_masks=[[mask], [mask] * 2]
        )


@pytest.mark.parametrize(
    ("maps", "error", "message"),
    [
        (disc(40, 60), ValueError, r"got \(40, 60\)"),
        ([disc(), disc(40, 60)], ValueError, r"got \(40, 60\)"),
        ([disc() + disc()[:, ::-1]], None, ""),
        ([disc(), disc() + disc()[:, ::-1]], ValueError, "0 and one other value"),
        (disc() * 0.5, ValueError, "holds fractions, 0 to 0.5"),
        ([[disc()]] * 3, TypeError, "got list"),
        (5, TypeError, "got 5"),
    ],
)
def test_training_masks_must_fit_their_pictures(maps, error, message):
    with nullcontext() if error is None else pytest.raises(error, match=f"`segmentation_maps`.*{message}"):
        small_processor()(images=picture(), segmentation_maps=maps)


def test_every_result_needs_its_training_mask():
    with pytest.raises(ValueError, match="`segmentation_maps` must hold one item for each of 2 results, got 3"):
        small_processor()(images=[picture()] * 2, segmentation_maps=[disc()] * 3)
    with pytest.raises(ValueError, match="`segmentation_maps` came without `images`"):
        small_processor()(text="the dog", segmentation_maps=disc())


# -------------------------------------------------------------------------------------------------------------- images
@pytest.mark.parametrize("size", [(1, 60), (60, 1), (1, 1), (20, 31), (1, 3), (3, 3), (5, 4)])
def test_pictures_smaller_than_the_networks_stride_work(size):
    for given in (picture(*size), Image.fromarray(picture(*size)), torch.from_numpy(picture(*size)).permute(2, 0, 1)):
        made = small_processor()(images=given, text="the dog", return_original_sizes=True)
        assert made.original_sizes.tolist() == [list(size)]
        assert made.pixel_mask.any()
        assert made.pixel_values.shape[-1] % 32 == made.pixel_values.shape[-2] % 32 == 0
        unresized = small_processor()(images=given, do_resize=False)
        assert unresized.pixel_mask.sum() == size[0] * size[1]


@pytest.mark.parametrize("shape", [(0, 40, 3), (40, 0, 3), (0, 40)])
def test_a_picture_without_pixels_is_refused(shape):
    with pytest.raises(ValueError, match="`images` has an image without pixels"):
        small_processor()(images=np.zeros(shape, np.uint8))
    with pytest.raises(ValueError, match="`images` has an image without pixels"):
        small_processor()(images=Image.new("RGB", (0, 5)))


def test_grey_pictures_are_repeated_to_three_channels():
    grey = picture()[..., 0]
    expected = small_processor()(images=np.repeat(grey[..., None], 3, axis=-1)).pixel_values
    for form in (grey, grey[..., None], grey[None], Image.fromarray(grey), torch.from_numpy(grey)):
        assert torch.equal(small_processor()(images=form).pixel_values, expected)


def test_transparent_pictures_are_laid_over_white():
    rgba = np.concatenate([picture(), np.full((80, 120, 1), 255, np.uint8)], axis=-1)
    rgba[:, :60, 3] = 0
    expected = picture().copy()
    expected[:, :60] = 255
    expected = small_processor()(images=expected).pixel_values
    for form in (rgba, Image.fromarray(rgba), torch.from_numpy(rgba).permute(2, 0, 1)):
        assert torch.equal(small_processor()(images=form).pixel_values, expected)


def test_partial_transparency_is_blended_alike_in_every_container():
    rgba = np.random.default_rng(5).integers(0, 256, (40, 60, 4), dtype=np.uint8)
    difference = (
        small_processor()(images=rgba).pixel_values - small_processor()(images=Image.fromarray(rgba)).pixel_values
    )
    assert difference.abs().max() == 0


@pytest.mark.parametrize("mode", ["1", "P", "LA", "PA", "CMYK", "YCbCr", "HSV", "LAB"])
def test_every_pil_mode_is_read(mode):
    image = Image.fromarray(picture()).convert("P") if mode == "PA" else Image.fromarray(picture())
    assert small_processor()(images=image.convert(mode)).pixel_values.shape[1] == 3


def test_16_bit_pictures_are_scaled_not_clipped(tmp_path):
    grey = picture()[..., 0]
    expected = small_processor()(images=grey).pixel_values
    deep = grey.astype(np.uint16) * 257
    path = tmp_path / "deep.png"
    Image.fromarray(deep).save(path)
    forms = [deep, Image.fromarray(deep), path, Image.open(path), Image.fromarray(deep.astype(np.int32))]
    for form in forms:
        assert torch.equal(small_processor()(images=form).pixel_values, expected)


def test_exif_orientation_is_applied_to_picture_and_mask(tmp_path):
    upright = picture(80, 120)
    turned = Image.fromarray(np.rot90(upright))  # stored lying on its side; orientation 6 says: turn it clockwise
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "turned.png"
    turned.save(path, exif=exif)
    expected = small_processor()(images=upright).pixel_values
    for form in (path, Image.open(path)):
        made = small_processor()(images=form, return_original_sizes=True)
        assert made.original_sizes.tolist() == [[80, 120]]
        assert torch.equal(made.pixel_values, expected)
    processor = small_processor()
    processor(images=upright, reference_images=path, reference_masks=disc(80, 120))
    with pytest.raises(ValueError, match="`reference_masks`"):
        processor(images=upright, reference_images=path, reference_masks=disc(120, 80))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_no_numbers_are_refused(value):
    image = picture().astype(np.float32) / 255
    image[3, 4, 1] = value
    for form in (image, torch.from_numpy(image).permute(2, 0, 1), Image.fromarray(image[..., 1])):
        with pytest.raises(ValueError, match="`images`.*NaN or infinite"):
            small_processor()(images=form)


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (picture().astype(np.float32) - 100, ValueError, "0..1 or 0..255.*pixel_values"),
        (picture().astype(np.float32) * 3, ValueError, "0..1 or 0..255"),
        (picture().astype(np.int16) - 1, ValueError, "0..255.*-1"),
        (picture().astype(np.int32) * 256, ValueError, "uint16"),
        (picture() > 5, TypeError, "integer or floating type, got bool"),
        (picture().astype(object), TypeError, "object"),
        (picture()[..., :2], ValueError, "C = 1, 3 or 4"),
        (np.zeros((2, 2, 5, 5, 3), np.uint8), ValueError, "flat list"),
        (np.zeros(7, np.uint8), TypeError, "`images`"),
        ([], ValueError, "`images` is empty"),
        ([picture(), None], TypeError, "NoneType"),
        ([[picture()], [picture()]], ValueError, "flat list"),
        (3.5, TypeError, "float"),
    ],
)
def test_what_is_no_picture_is_refused(image, error, message):
    with pytest.raises(error, match=message):
        small_processor()(images=image)


def test_a_damaged_file_is_refused(tmp_path):
    stored = io.BytesIO()
    Image.fromarray(picture(200, 200)).save(stored, format="JPEG")
    for name, content in {
        "truncated.jpg": stored.getvalue()[:2000],
        "empty.png": b"",
        "text.png": b"this is not a picture at all",
    }.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"`images`.*{name}"):
            small_processor()(images=path, text="the dog")
    with pytest.raises(ValueError, match="`images`.*cannot be decoded"):
        small_processor()(images=Image.open(io.BytesIO(stored.getvalue()[:2000])))
    with pytest.raises(FileNotFoundError, match=r"`images`.*missing\.png"):
        small_processor()(images=tmp_path / "missing.png")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"size": {"shortest_edge": 0}}, ValueError, "`size`"),
        ({"size": {"shortest": 5}}, ValueError, "size"),
        ({"size": "large"}, TypeError, "size"),
        ({"do_resize": "yes"}, TypeError, "do_resize"),
        ({"do_resze": False}, TypeError, "do_resze"),
        ({"return_tensors": "tf"}, ValueError, "`return_tensors`"),
    ],
)
def test_wrong_options_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        small_processor()(images=picture(), **options)


# ------------------------------------------------------------------------------------------------------------- results
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target_sizes": [(10, 10)]}, "`target_sizes` must hold one .* 2 entries, got 1"),
        ({"target_sizes": [(10, 10), (0, 5)]}, "`target_sizes`"),
        ({"target_sizes": [10, 10]}, "`target_sizes`"),
        ({"threshold": 1.5}, "`threshold` must be between 0 and 1"),
        ({"mask_threshold": -0.1}, "`mask_threshold` must be between 0 and 1"),
    ],
)
def test_post_processing_checks_its_arguments(arguments, message):
    outputs = SimpleNamespace(
        logits=torch.zeros(2, 6, 1),
        pred_boxes=torch.full((2, 6, 4), 0.5),
        pred_masks=torch.zeros(2, 1, 16, 24),
        mask_queries=torch.zeros(2, 1, dtype=torch.long),
        image_sizes=torch.tensor([[64, 96], [50, 70]]),
    )
    for method in ("post_process_referring_segmentation", "post_process_instance_segmentation"):
        with pytest.raises(ValueError, match=message):
            getattr(small_processor(), method)(outputs, **arguments)


# ------------------------------------------------------------------------------------------------------- video prompts
@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"obj_ids": [0]}, ValueError, "`obj_ids` must be 1 or more"),
        ({"obj_ids": -3}, ValueError, "`obj_ids` must be 1 or more"),
        ({"obj_ids": [1, 1], "masks": [disc(), disc()]}, ValueError, "`obj_ids` must be distinct"),
        ({"obj_ids": []}, ValueError, "at least one object"),
        ({"obj_ids": ["a"]}, TypeError, "`obj_ids` must be integers"),
        ({"obj_ids": 1.5}, TypeError, "`obj_ids`"),
        ({"obj_ids": True}, TypeError, "`obj_ids`"),
        ({"frame_idx": 5}, ValueError, "`frame_idx` must be from 0 to 4, got 5"),
        ({"frame_idx": -1}, ValueError, "`frame_idx`"),
        ({"frame_idx": 1.0}, TypeError, "`frame_idx`"),
        ({"masks": [disc(), disc()]}, ValueError, "one mask for each of the 1 objects, got 2"),
        ({"masks": [disc(40, 60)]}, ValueError, r"frame's size.*\(80, 120\), got \(40, 60\)"),
        ({"masks": [disc(80, 123)]}, ValueError, r"frame's size"),
        ({"masks": [disc() * 0]}, ValueError, "without a single pixel"),
        ({"masks": disc() * 0}, ValueError, "without a single pixel"),
        ({"masks": disc() + disc()[:, ::-1], "obj_ids": [1, 3]}, ValueError, "without a pixel of object 3"),
        ({"masks": [disc() + disc()[:, ::-1]]}, ValueError, "0 and one other value"),
        ({"masks": [disc() * 0.5]}, ValueError, "holds fractions, 0 to 0.5"),
        ({"masks": None}, TypeError, "`masks`"),
    ],
)
def test_a_wrong_mask_prompt_is_refused_and_leaves_the_session_as_it_was(changes, error, message):
    session = RecordingSession()
    with warnings.catch_warnings(), pytest.raises(error, match=message):
        warnings.simplefilter("ignore")
        small_processor().add_mask_prompt(session, **{"frame_idx": 0, "obj_ids": [1], "masks": [disc()], **changes})
    assert not session.masks


def test_an_object_that_is_lost_in_fitting_the_frame_is_refused():
    session = RecordingSession(video_size=(80, 119))
    (skipped,) = set(range(120)) - set(nearest_resize(np.arange(120)[None], (1, 119))[0].tolist())
    speck = np.zeros((80, 120), dtype=bool)
    speck[0, skipped] = True
    with pytest.warns(UserWarning, match="resized"), pytest.raises(ValueError, match="`masks`.*no pixel is left"):
        small_processor().add_mask_prompt(session, 0, [1], [speck])
    assert not session.masks


def test_of_several_objects_none_is_added_when_one_is_wrong():
    session = RecordingSession()
    with pytest.raises(ValueError):
        small_processor().add_mask_prompt(session, 0, [1, 2], [disc(), disc() * 0])
    with pytest.raises(ValueError):
        small_processor().add_text_prompt(session, [1, 2], ["the dog", " "])
    assert not session.masks
    assert not session.sentences


@pytest.mark.parametrize(
    ("obj_ids", "text", "message"),
    [
        ([1], ["a dog", "a cat"], "one sentence for each of the 1 objects, got 2"),
        ([1, 2], "a dog", "one sentence for each of the 2 objects, got 1"),
        ([1, 2], [["a dog"], ["a cat"]], "one sentence for each"),
        ([0], ["a dog"], "`obj_ids`"),
        ([1], [""], "`text`"),
    ],
)
def test_a_wrong_text_prompt_is_refused(obj_ids, text, message):
    session = RecordingSession()
    with pytest.raises(ValueError, match=message):
        small_processor().add_text_prompt(session, obj_ids, text)
    assert not session.sentences


# --------------------------------------------------------------------------------------------------------------- clips
def test_what_is_no_clip_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "damaged.mp4").write_bytes(b"\0" * 400)
    for video, error in [
        ([], ValueError),
        (np.zeros((0, 8, 8, 3), np.uint8), ValueError),
        (np.zeros((8, 8, 3), np.uint8), ValueError),
        (tmp_path / "empty", ValueError),
        (tmp_path / "missing.mp4", FileNotFoundError),
        (7, TypeError),
    ]:
        with pytest.raises(error, match="`video`"):
            VideoFrames(video)
    pytest.importorskip("av")
    with pytest.raises(ValueError, match=r"`video`.*damaged\.mp4"):
        VideoFrames(tmp_path / "damaged.mp4")


def test_frames_of_different_sizes_are_refused_when_they_come():
    clip = VideoFrames([picture(32, 48), picture(32, 48), picture(33, 48)])
    assert clip[1].shape == (32, 48, 3)
    with pytest.raises(ValueError, match=r"frame 2 has .*\(33, 48\).*\(32, 48\)"):
        clip[2]
