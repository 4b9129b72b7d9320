"""What becomes of pictures: sizes, pixels, padding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from processor_support import (
    SMALL_SIZE,
    picture,
    small_processor,
)
from transformers_uniref import UniRefImageProcessor, UniRefImageProcessorPil
from transformers_uniref.processors.image_sizes import padded_size, resized_size

MEAN = np.array([123.675, 116.28, 103.53], dtype=np.float32)
STD = np.array([58.395, 57.12, 57.375], dtype=np.float32)


@pytest.mark.parametrize(
    ("given_size", "expected"),
    [
        ((480, 640), (800, 1067)),
        ((640, 480), (1067, 800)),
        ((427, 1280), (445, 1333)),  # the long side decides
        ((720, 1280), (750, 1333)),
        ((20, 20), (800, 800)),  # small pictures grow
        ((1, 500), (3, 1333)),
        ((1, 5000), (1, 1333)),  # a side never vanishes
    ],
)
def test_default_rule_is_short_side_800_unless_long_side_exceeds_1333(given_size, expected):
    assert UniRefImageProcessorPil().get_resized_size(*given_size) == expected


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ({"shortest_edge": 480, "longest_edge": 768}, (480, 640)),
        ({"shortest_edge": 480}, (480, 640)),
        ({"longest_edge": 1024}, (768, 1024)),
        ({"height": 100, "width": 90}, (100, 90)),
        (480, (480, 640)),
    ],
)
def test_every_notation_of_a_size_is_understood(size, expected):
    assert UniRefImageProcessorPil().get_resized_size(600, 800, size) == expected


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(1, 900), st.integers(1, 1400))
@settings(max_examples=60, deadline=None)
def test_resized_sides_are_positive_and_within_the_limits(height, width, shortest, longest):
    new = resized_size(height, width, {"shortest_edge": shortest, "longest_edge": longest})
    assert min(new) >= 1
    assert max(new) <= max(longest, shortest)
    assert min(new) <= max(shortest, 1)


def test_padding_goes_to_the_largest_picture_and_to_a_multiple_of_32():
    assert padded_size([(60, 100), (90, 40)], 32) == (96, 128)
    assert padded_size([(64, 96)], 32) == (64, 96)
    assert padded_size([(60, 100)], 32, {"height": 1024, "width": 1024}) == (1024, 1024)
    with pytest.raises(ValueError, match="pad_size"):
        padded_size([(60, 100)], 32, {"height": 64, "width": 64})


def test_pixels_are_resized_on_8_bits_normalised_and_then_padded_with_zero():
    image = picture(50, 90)
    made = UniRefImageProcessorPil(size=SMALL_SIZE)(image)
    resized = np.asarray(Image.fromarray(image).resize((107, 59), Image.Resampling.BILINEAR), dtype=np.float32)
    assert made.pixel_values.shape == (1, 3, 64, 128)
    assert torch.equal(made.pixel_values[0, :, :59, :107], torch.from_numpy((resized - MEAN) / STD).permute(2, 0, 1))
    assert made.pixel_values[..., 59:, :].abs().sum() == 0
    assert made.pixel_values[..., 107:].abs().sum() == 0
    assert made.pixel_mask.sum() == 59 * 107
    assert made.pixel_mask[0, :59, :107].all()


def test_a_batch_may_mix_sizes_and_each_picture_is_what_it_is_alone():
    small, large = picture(40, 60), picture(70, 50, seed=1)
    processor = UniRefImageProcessorPil(size={"shortest_edge": 40, "longest_edge": 60})
    together = processor([small, large])
    for index, image in enumerate((small, large)):
        alone = processor(image)
        height, width = alone.pixel_mask[0, :, 0].sum(), alone.pixel_mask[0, 0].sum()
        assert torch.equal(together.pixel_values[index, :, :height, :width], alone.pixel_values[0, :, :height, :width])
        assert together.pixel_mask[index].sum() == height * width


def test_resizing_can_be_switched_off():
    made = UniRefImageProcessorPil()(picture(50, 70), do_resize=False)
    assert made.pixel_values.shape == (1, 3, 64, 96)
    assert made.pixel_mask.sum() == 50 * 70


def test_padding_can_be_switched_off_for_pictures_of_one_size():
    processor = UniRefImageProcessorPil()
    assert processor([picture(50, 70)] * 2, do_resize=False, do_pad=False).pixel_values.shape == (2, 3, 50, 70)
    with pytest.raises(ValueError, match="do_pad"):
        processor([picture(50, 70), picture(50, 71)], do_resize=False, do_pad=False)


def test_pictures_can_be_padded_to_a_fixed_square():
    made = UniRefImageProcessorPil(size={"longest_edge": 100}, pad_size={"height": 128, "width": 128})(picture(50, 70))
    assert made.pixel_values.shape == (1, 3, 128, 128)
    assert made.pixel_mask.sum() == 71 * 100


def test_size_alone_sets_the_rules_for_examples_and_videos_too():
    processor = UniRefImageProcessorPil(size={"shortest_edge": 64})
    assert dict(processor.few_shot_size) == dict(processor.video_size) == {"shortest_edge": 64}
    assert dict(UniRefImageProcessorPil().few_shot_size) == {"shortest_edge": 480, "longest_edge": 768}
    assert dict(UniRefImageProcessorPil().video_size) == {"shortest_edge": 480, "longest_edge": 1333}


@pytest.mark.parametrize(
    ("given_size", "expected"),
    [
        ((500, 700), (192, 269)),  # reduced as ever
        ((192, 200), (192, 200)),
        ((150, 300), (150, 300)),  # would grow: kept
        ((128, 128), (128, 128)),
        ((60, 90), (128, 192)),  # grows, no further than by the limit
        ((20, 200), (38, 384)),
    ],
)
def test_small_pictures_grow_no_further_than_by_the_limit(given_size, expected, tmp_path):
    limit = {"shortest_edge": 128, "longest_edge": 384}
    processor = UniRefImageProcessorPil(size={"shortest_edge": 192, "longest_edge": 576}, enlarged_to=limit)
    processor.save_pretrained(tmp_path)
    processor = UniRefImageProcessorPil.from_pretrained(tmp_path)
    assert processor.get_resized_size(*given_size) == expected
    made = processor(picture(*given_size))
    assert (int(made.pixel_mask[0, :, 0].sum()), int(made.pixel_mask[0, 0].sum())) == expected


def test_a_call_with_a_size_of_its_own_has_no_limit_unless_it_gives_one():
    processor = UniRefImageProcessorPil(size={"shortest_edge": 192}, enlarged_to={"shortest_edge": 128})
    assert processor(picture(64, 64), size=256).pixel_values.shape[-1] == 256
    assert processor(picture(64, 64), size=256, enlarged_to=96).pixel_values.shape[-1] == 96
    assert processor(picture(64, 64), enlarged_to=160).pixel_values.shape[-1] == 160
    assert UniRefImageProcessorPil(size={"shortest_edge": 192})(picture(64, 64)).pixel_values.shape[-1] == 192
    with pytest.raises(ValueError, match="`enlarged_to` must have the keys"):
        processor(picture(64, 64), enlarged_to={"max_height": 64, "max_width": 64})


def test_the_container_of_a_picture_does_not_matter(tmp_path):
    array = picture(40, 60)
    path = tmp_path / "picture.png"
    Image.fromarray(array).save(path)
    chw = np.ascontiguousarray(array.transpose(2, 0, 1))
    forms = [
        Image.fromarray(array),
        path,
        str(path),
        chw,
        torch.from_numpy(chw),
        torch.from_numpy(array),
        array[None],
        [array],
        array / 255.0,
        torch.from_numpy(chw) / 255.0,
        array.astype(np.float64),
        array.astype(np.int64),
        array.astype(np.uint16) * 257,
    ]
    processor = small_processor()
    expected = processor(array).pixel_values
    for form in forms:
        assert torch.equal(processor(form).pixel_values, expected)


def test_an_ambiguous_order_of_axes_can_be_stated():
    array = picture(3, 40)  # (3, 40, 3): channels at either end
    processor = small_processor()
    last = processor(array).pixel_values
    assert torch.equal(processor(array, input_data_format="channels_last").pixel_values, last)
    first = processor(array, input_data_format="channels_first").pixel_values
    assert first.shape != last.shape


def test_the_two_image_backends_agree():
    pytest.importorskip("torchvision")
    images = [picture(50, 90), picture(70, 60, seed=1)]
    with_pil = UniRefImageProcessorPil(size=SMALL_SIZE)(images)
    with_torchvision = UniRefImageProcessor(size=SMALL_SIZE)(images)
    assert torch.equal(with_pil.pixel_mask, with_torchvision.pixel_mask)
    difference = (with_pil.pixel_values - with_torchvision.pixel_values).abs() * torch.tensor(STD)[:, None, None]
    assert difference.max() <= 1.01
