"""What the processor makes of pictures, sentences, examples and frames, and what it makes of the model's output."""

from __future__ import annotations

import copy
import json
import pickle
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers import AutoImageProcessor, AutoProcessor

from processor_support import (
    SMALL_SIZE,
    WORDS,
    RecordingSession,
    disc,
    picture,
    small_processor,
    small_tokenizer,
)
from transformers_uniref import UniRefImageProcessor, UniRefImageProcessorPil, UniRefProcessor
from transformers_uniref.core.masks import nearest_resize
from transformers_uniref.media.video.frames import VideoFrames
from transformers_uniref.processors.image_sizes import padded_size, resized_size
from transformers_uniref.processors.post_processing import class_wise_nms, pairwise_iou
from transformers_uniref.processors.text import normalise_sentence
from transformers_uniref.processors.vocabulary import NothingUnderstoodWarning

MEAN = np.array([123.675, 116.28, 103.53], dtype=np.float32)
STD = np.array([58.395, 57.12, 57.375], dtype=np.float32)


# --------------------------------------------------------------------------------------------------------------- sizes
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


# -------------------------------------------------------------------------------------------------------------- images
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


# ---------------------------------------------------------------------------------------------------------------- text
@pytest.mark.parametrize(
    ("sentence", "normalised"),
    [
        ("The dog, on the LEFT!", "the dog on the left"),
        ("man in t-shirt/jeans", "man in t shirt jeans"),
        ('  a  \t(red) "car": #2; *really*?  ', "a red car 2 really"),
        ("the man's hat.", "the mans hat"),
        ("ÉCOLE Straße", "école straße"),
    ],
)
def test_sentences_are_normalised_as_in_training(sentence, normalised):
    assert normalise_sentence(sentence) == normalised


def test_sentences_are_always_padded_to_the_full_context():
    made = small_processor()(text=["The dog on the left.", "a red T-shirt"])
    words = ["[CLS]", "the", "dog", "on", "the", "left", "[SEP]"]
    assert made.input_ids.shape == made.attention_mask.shape == (2, 77)
    assert made.input_ids[0, :7].tolist() == [WORDS.index(word) for word in words]
    assert made.input_ids[0, 7:].sum() == 0
    assert made.attention_mask.sum(1).tolist() == [7, 6]


def test_a_sentence_beyond_the_context_is_cut_with_a_warning():
    with pytest.warns(UserWarning, match="reads the first 75"):
        made = small_processor()(text="dog " * 100)
    assert made.attention_mask.sum() == 77
    assert made.input_ids[0, -1] == WORDS.index("[SEP]")


def test_unknown_words_become_unk_and_a_sentence_of_nothing_else_is_worth_a_warning():
    processor = small_processor()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert WORDS.index("[UNK]") in processor(text="the red zebra").input_ids
    for nothing in ("左边的狗", "the zebra", "of the"):
        with pytest.warns(NothingUnderstoodWarning, match=f"nothing in '{nothing}' was understood"):
            made = processor(text=nothing)
    assert made.understood == [False] and made.unknown_words == [[]]


# ------------------------------------------------------------------------------------------------------ language, pairs
def test_one_picture_and_one_sentence():
    made = small_processor()(images=picture(), text="the dog")
    assert sorted(made) == ["attention_mask", "input_ids", "pixel_mask", "pixel_values"]
    assert made.pixel_values.shape == (1, 3, 64, 96)  # 60 x 90, padded
    assert made.input_ids.shape == (1, 77)


def test_equal_numbers_of_pictures_and_sentences_pair_up():
    made = small_processor()(images=[picture(), picture(60, 60)], text=["the dog", "a cat"])
    assert made.pixel_values.shape[0] == made.input_ids.shape[0] == 2
    assert "image_indices" not in made


def test_several_sentences_share_one_picture():
    made = small_processor()(images=picture(), text=["the dog", "a cat", "the man"])
    assert made.pixel_values.shape[0] == 1
    assert made.input_ids.shape[0] == 3
    assert made.image_indices.tolist() == [0, 0, 0]


def test_each_picture_may_have_its_own_list_of_sentences():
    made = small_processor()(images=[picture(), picture()], text=[["the dog"], ["a cat", "the man"]])
    assert made.image_indices.tolist() == [0, 1, 1]
    assert made.input_ids.shape[0] == 3


def test_pictures_alone_make_a_detection_input():
    assert sorted(small_processor()(images=[picture(), picture()])) == ["pixel_mask", "pixel_values"]


def test_original_sizes_come_only_on_request_and_one_for_each_entry():
    processor = small_processor()
    assert "original_sizes" not in processor(images=picture(), text="the dog")
    made = processor(images=picture(80, 120), text=["the dog", "a cat"], return_original_sizes=True)
    assert made.original_sizes.tolist() == [[80, 120], [80, 120]]


def test_numpy_arrays_on_request():
    made = small_processor()(
        images=picture(),
        text="the dog",
        reference_images=picture(),
        reference_masks=disc(),
        segmentation_maps=disc(),
        return_tensors="np",
    )
    assert all(isinstance(value, np.ndarray) for name, value in made.items() if name != "labels")
    assert all(isinstance(value, np.ndarray) for value in made["labels"][0].values())


# ---------------------------------------------------------------------------------------------------------- references
def test_k_examples_of_one_picture_are_k_shots():
    examples = [picture(60, 60), picture(80, 50)]
    masks = [disc(60, 60), disc(80, 50)]
    made = small_processor()(images=picture(), reference_images=examples, reference_masks=masks)
    assert made.reference_pixel_values.shape == (1, 2, 3, 96, 64)
    assert made.reference_pixel_mask.sum((-2, -1)).tolist() == [[60 * 60, 96 * 60]]
    assert made.reference_masks.dtype == torch.bool
    assert torch.equal(made.reference_masks[0, 1, :96, :60], torch.from_numpy(nearest_resize(masks[1] > 0, (96, 60))))
    assert not made.reference_masks[0, 0, 60:].any()
    assert "image_indices" not in made


def test_references_come_as_arrays_or_single_pictures_too():
    processor, image, mask = small_processor(), picture(60, 60), disc(60, 60)
    made = processor(images=picture(), reference_images=[image, image], reference_masks=[mask, mask])
    stacked = processor(images=picture(), reference_images=np.stack([image] * 2), reference_masks=np.stack([mask] * 2))
    single = processor(images=picture(), reference_images=image, reference_masks=Image.fromarray(mask * 255))
    assert torch.equal(made.reference_pixel_values, stacked.reference_pixel_values)
    assert torch.equal(made.reference_masks, stacked.reference_masks)
    assert torch.equal(made.reference_masks[:, :1], single.reference_masks)


def test_a_batch_has_one_group_of_examples_for_each_picture():
    image, mask = picture(60, 60), disc(60, 60)
    processor = small_processor()
    one = processor(images=[picture()] * 2, reference_images=[image] * 2, reference_masks=[mask] * 2)
    assert one.reference_pixel_values.shape[:2] == (2, 1)
    three = processor(images=[picture()] * 2, reference_images=[[image] * 3] * 2, reference_masks=[[mask] * 3] * 2)
    assert three.reference_pixel_values.shape[:2] == (2, 3)
    shared = processor(images=picture(), reference_images=[[image], [image]], reference_masks=[[mask], [mask]])
    assert shared.reference_pixel_values.shape[:2] == (2, 1)
    assert shared.image_indices.tolist() == [0, 0]


def test_a_sentence_and_an_example_go_together():
    made = small_processor()(
        images=picture(), text="the dog", reference_images=picture(60, 60), reference_masks=disc(60, 60)
    )
    assert made.input_ids.shape[0] == made.reference_masks.shape[0] == 1


def test_the_size_follows_the_kind_of_reference_unless_given():
    processor = small_processor(
        size={"shortest_edge": 96}, few_shot_size={"shortest_edge": 32}, video_size={"shortest_edge": 64}
    )
    image, mask = picture(64, 64), disc(64, 64)
    example = {"reference_images": image, "reference_masks": mask}

    def side(**given):
        return processor(images=image, **given).pixel_values.shape[-1]

    assert side() == side(text="the dog") == 96
    assert side(**example) == 32
    assert side(**example, text="the dog") == 64
    assert side(**example, size=128) == 128
    processor.image_processor.enlarged_to = {"shortest_edge": 48}
    assert side() == side(**example, text="the dog") == 64 and side(**example) == 32
    assert side(size=128) == 128


def test_masks_are_resized_like_pil_nearest():
    random = np.random.default_rng(3)
    for old, new in random.integers(1, 140, (60, 2, 2)).tolist():
        mask = random.integers(0, 256, old, dtype=np.uint8)
        with_pil = np.asarray(Image.fromarray(mask).resize(new[::-1], Image.Resampling.NEAREST))
        assert np.array_equal(nearest_resize(mask, new), with_pil)


# ------------------------------------------------------------------------------------------------------------- targets
def test_labels_are_made_of_the_resized_masks():
    mask = np.zeros((80, 120), dtype=np.uint8)
    mask[20:40, 30:90] = 1
    made = small_processor()(images=picture(), text="the dog", segmentation_maps=mask)
    (label,) = made.labels
    resized = nearest_resize(mask, (60, 90))
    rows, columns = np.nonzero(resized)
    x0, y0, x1, y1 = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    expected = torch.tensor([[(x0 + x1) / 2 / 90, (y0 + y1) / 2 / 60, (x1 - x0) / 90, (y1 - y0) / 60]])
    assert torch.allclose(label["boxes"], expected.float(), atol=1e-6)
    assert label["masks"].shape == (1, *made.pixel_values.shape[-2:])
    assert torch.equal(label["masks"][0, :60, :90], torch.from_numpy(resized > 0))
    assert not label["masks"][0, 60:].any()
    assert label["class_labels"].tolist() == [0]


def test_a_label_map_is_several_objects_and_an_empty_map_is_none():
    two = disc() + 2 * (np.indices((80, 120))[1] > 100).astype(np.uint8)
    made = small_processor()(
        images=[picture()] * 3, text=["a", "the", "dog"], segmentation_maps=[two, np.zeros_like(two), []]
    )
    assert [len(label["boxes"]) for label in made.labels] == [2, 0, 0]
    assert made.labels[1]["masks"].shape == (0, *made.pixel_values.shape[-2:])


def test_a_stack_or_a_list_of_masks_is_several_objects():
    masks = [disc() > 0, disc()[::-1] > 0]
    processor = small_processor()
    as_list = processor(images=picture(), segmentation_maps=masks).labels[0]
    as_stack = processor(images=picture(), segmentation_maps=np.stack(masks)).labels[0]
    assert torch.equal(as_list["boxes"], as_stack["boxes"])
    assert len(as_list["boxes"]) == 2


# --------------------------------------------------------------------------------------------------- saving and loading
@pytest.mark.parametrize("with_tokenizer", [True, False])
def test_a_saved_processor_comes_back_the_same(tmp_path, with_tokenizer):
    processor = small_processor(with_tokenizer, few_shot_size={"shortest_edge": 48}, pad_size_divisor=16)
    processor.text_length = 20
    processor.save_pretrained(tmp_path)
    assert (tmp_path / "tokenizer.json").exists() == with_tokenizer
    assert json.loads((tmp_path / "processor_config.json").read_text())["image_processor"]["image_processor_type"] == (
        "UniRefImageProcessor"
    )
    for loaded in (UniRefProcessor.from_pretrained(tmp_path), AutoProcessor.from_pretrained(tmp_path)):
        assert isinstance(loaded, UniRefProcessor)
        assert loaded.text_length == 20
        assert (loaded.tokenizer is not None) == with_tokenizer
        assert loaded.image_processor.to_dict() == processor.image_processor.to_dict()
        assert torch.equal(loaded(picture()).pixel_values, processor(picture()).pixel_values)
        if with_tokenizer:
            assert torch.equal(loaded(text="the dog").input_ids, processor(text="the dog").input_ids)


def test_the_image_processor_loads_alone(tmp_path):
    UniRefImageProcessorPil(size=SMALL_SIZE).save_pretrained(tmp_path)
    loaded = AutoImageProcessor.from_pretrained(tmp_path)
    assert isinstance(loaded, UniRefImageProcessorPil | UniRefImageProcessor)
    assert dict(loaded.size) == SMALL_SIZE


def test_options_can_be_changed_while_loading(tmp_path):
    small_processor().save_pretrained(tmp_path)
    loaded = AutoImageProcessor.from_pretrained(tmp_path, pad_size_divisor=64)
    assert loaded.pad_size_divisor == 64


def test_a_processor_can_be_copied_and_sent_to_another_process():
    for processor in (small_processor(), small_processor(tokenizer=False)):
        for twin in (copy.deepcopy(processor), pickle.loads(pickle.dumps(processor))):
            assert torch.equal(twin(picture()).pixel_values, processor(picture()).pixel_values)
        assert "UniRefProcessor" in repr(processor)


# ------------------------------------------------------------------------------------------------------ post-processing
def outputs(seed: int = 0, queries: int = 6, classes: int = 1, decoded: int = 1) -> SimpleNamespace:
    """Two entries in a batch padded to 64 x 96; the valid sizes are 64 x 96 and 50 x 70."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, queries, classes, generator=generator)
    return SimpleNamespace(
        logits=logits,
        pred_boxes=torch.rand(2, queries, 4, generator=generator) * 0.4 + 0.2,
        pred_masks=torch.randn(2, decoded, 16, 24, generator=generator) * 4,
        mask_queries=logits.amax(-1).topk(decoded, dim=1).indices,
        image_sizes=torch.tensor([[64, 96], [50, 70]]),
    )


def test_the_mask_is_grown_cut_thresholded_and_only_then_resized():
    given = outputs()
    results = small_processor().post_process_referring_segmentation(given, target_sizes=[(128, 192), (100, 133)])
    for index, (valid, target) in enumerate([((64, 96), (128, 192)), ((50, 70), (100, 133))]):
        grown = F.interpolate(given.pred_masks[index][None], scale_factor=4, mode="bilinear", align_corners=False)
        binary = (grown.sigmoid() > 0.5).float()[..., : valid[0], : valid[1]]
        expected = F.interpolate(binary, size=target, mode="nearest")[0, 0].bool()
        assert results[index]["segmentation"].dtype == torch.bool
        assert torch.equal(results[index]["segmentation"], expected)


def test_score_and_box_are_those_of_the_best_query():
    given = outputs()
    for index, result in enumerate(small_processor().post_process_referring_segmentation(given, [(100, 200)] * 2)):
        best = int(given.logits[index, :, 0].argmax())
        cx, cy, w, h = given.pred_boxes[index, best].tolist()
        expected = [(cx - w / 2) * 200, (cy - h / 2) * 100, (cx + w / 2) * 200, (cy + h / 2) * 100]
        assert result["score"] == pytest.approx(float(given.logits[index, best].sigmoid()))
        assert result["box"].tolist() == pytest.approx(expected, abs=1e-3)


def test_boxes_are_clipped_to_the_picture():
    given = outputs()
    given.pred_boxes[:] = torch.tensor([0.1, 0.9, 0.6, 0.6])
    (first, _) = small_processor().post_process_referring_segmentation(given, [(100, 200)] * 2)
    assert first["box"].tolist() == pytest.approx([0, 60, 80, 100], abs=1e-3)


def test_a_score_that_is_not_above_the_gate_empties_the_mask():
    given = outputs()
    score = small_processor().post_process_referring_segmentation(given)[0]["score"]
    gate = small_processor().post_process_referring_segmentation
    assert gate(given, threshold=score - 1e-6)[0]["segmentation"].any()
    closed = gate(given, threshold=score)[0]
    assert not closed["segmentation"].any()
    assert closed["score"] == score


def test_without_target_sizes_results_have_the_unpadded_network_size():
    results = small_processor().post_process_referring_segmentation(outputs())
    assert [tuple(result["segmentation"].shape) for result in results] == [(64, 96), (50, 70)]


def test_masks_of_all_queries_give_the_same_best_object():
    given = outputs()
    every = outputs(decoded=6)
    every.mask_queries = torch.arange(6).repeat(2, 1)
    for index in range(2):
        every.pred_masks[index, given.mask_queries[index, 0]] = given.pred_masks[index, 0]
    processor = small_processor()
    for one, best in zip(
        processor.post_process_referring_segmentation(given),
        processor.post_process_referring_segmentation(every),
        strict=True,
    ):
        assert torch.equal(one["segmentation"], best["segmentation"])
        assert one["score"] == best["score"]


def test_full_resolution_masks_are_not_grown():
    given = outputs()
    given.pred_masks = torch.randn(2, 1, 64, 96)
    result = small_processor().post_process_referring_segmentation(given, mask_stride=1)[1]
    assert torch.equal(result["segmentation"], given.pred_masks[1, 0, :50, :70] > 0)
    told = small_processor().post_process_referring_segmentation(given)[1]
    assert torch.equal(told["segmentation"], result["segmentation"])


def test_overlap_of_boxes():
    boxes = torch.tensor([[0.0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6]])
    expected = torch.tensor([[1, 1 / 3, 0], [1 / 3, 1, 0], [0, 0, 1]])
    assert torch.allclose(pairwise_iou(boxes), expected)


def test_suppression_acts_within_a_class_only():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 9], [0, 0, 10, 5]])
    scores = torch.tensor([0.5, 0.9, 0.8, 0.7])
    assert class_wise_nms(boxes, scores, torch.tensor([0, 0, 1, 0])).tolist() == [1, 2, 3]


def test_detection_returns_distinct_objects_best_first():
    given = outputs(queries=5, decoded=5)
    given.mask_queries = torch.arange(5).repeat(2, 1)
    given.logits[0, :, 0] = torch.tensor([2.0, 1.0, 3.0, -5.0, 1.5])
    given.pred_boxes[0, 0] = given.pred_boxes[0, 2]  # the same object, less sure
    given.pred_boxes[0, [1, 3, 4]] = torch.tensor([[0.1, 0.1, 0.1, 0.1], [0.5, 0.9, 0.1, 0.1], [0.9, 0.1, 0.1, 0.1]])
    detect = small_processor().post_process_instance_segmentation
    found = detect(given, target_sizes=[(100, 200)] * 2, threshold=0.5)[0]
    assert found["scores"].tolist() == pytest.approx(torch.tensor([3.0, 1.5, 1.0]).sigmoid().tolist())
    assert found["labels"].tolist() == [0, 0, 0]
    assert found["boxes"][2].tolist() == pytest.approx([10, 5, 30, 15], abs=1e-3)
    assert found["masks"].shape == (3, 100, 200)
    single = small_processor().post_process_referring_segmentation(given, [(100, 200)] * 2)[0]
    assert torch.equal(found["masks"][0], single["segmentation"])
    assert len(detect(given, threshold=0.5, top_k=2)[0]["scores"]) == 2
    nothing = detect(given, threshold=1.0)[0]
    assert nothing["masks"].shape == (0, 64, 96)


def test_one_box_may_be_detected_as_two_classes():
    given = outputs(queries=2, classes=3, decoded=2)
    given.mask_queries = torch.arange(2).repeat(2, 1)
    given.logits[0] = torch.tensor([[2.0, 1.0, -9.0], [-9.0, -9.0, -9.0]])
    found = small_processor().post_process_instance_segmentation(given)[0]
    assert found["labels"].tolist() == [0, 1]
    assert torch.equal(found["masks"][0], found["masks"][1])


# --------------------------------------------------------------------------------------------------------- video masks
def test_video_masks_are_disjoint_and_named_by_object():
    out = SimpleNamespace(object_ids=[5, 2], pred_masks=torch.rand(2, 8, 9), object_scores=torch.ones(2))
    masks = small_processor().post_process_video_masks(out, RecordingSession(video_size=(8, 9)))
    assert list(masks) == [5, 2]
    assert not (masks[5] & masks[2]).any()
    assert masks[5].dtype == torch.bool
    empty = SimpleNamespace(object_ids=[], pred_masks=torch.zeros(0, 8, 9))
    assert small_processor().post_process_video_masks(empty, RecordingSession()) == {}


# ------------------------------------------------------------------------------------------------------------- prompts
def test_a_label_map_gives_each_object_its_pixels():
    session = RecordingSession()
    labels = disc() + 3 * (np.indices((80, 120))[1] > 100).astype(np.uint8)
    small_processor().add_mask_prompt(session, frame_idx=2, obj_ids=[1, 3], masks=Image.fromarray(labels))
    assert sorted(session.masks) == [(2, 1), (2, 3)]
    assert np.array_equal(session.masks[2, 3], labels == 3)
    assert session.masks[2, 1].dtype == np.bool_


def test_binary_masks_come_one_for_each_object_or_alone():
    masks = [disc() > 0, disc(value=255)]
    for form in (masks, np.stack([masks[0], masks[1] > 0]), torch.from_numpy(np.stack([masks[0], masks[1] > 0]))):
        session = RecordingSession()
        small_processor().add_mask_prompt(session, 0, [4, 9], form)
        assert np.array_equal(session.masks[0, 9], masks[1] > 0)
    for alone in (disc() > 0, disc(), disc(value=255), disc(value=4)):
        session = RecordingSession()
        small_processor().add_mask_prompt(session, 0, 4, alone)
        assert np.array_equal(session.masks[0, 4], disc() > 0)


def test_a_mask_a_pixel_too_narrow_is_resized_with_a_warning():
    session = RecordingSession()
    with pytest.warns(UserWarning, match="resized"):
        small_processor().add_mask_prompt(session, 0, [1], [disc(80, 119)])
    assert session.masks[0, 1].shape == (80, 120)


def test_sentences_are_tokenised_one_for_each_object():
    session = RecordingSession()
    small_processor().add_text_prompt(session, obj_ids=[2, 5], text=["The dog.", "a cat"], frame_idx=1)
    assert session.sentences[1, 2] == [WORDS.index(word) for word in ("[CLS]", "the", "dog", "[SEP]")]
    small_processor().add_text_prompt(session, 7, "a cat")
    assert (0, 7) in session.sentences


def test_a_prompt_may_lie_ahead_in_a_stream():
    session = RecordingSession(video_size=None, num_frames=None)
    small_processor().add_mask_prompt(session, 1000, [1], [disc(33, 44)])
    assert session.masks[1000, 1].shape == (33, 44)


def test_a_session_knows_its_clip_and_its_prompts():
    processor = small_processor()
    frames = [picture(40, 60, seed=index) for index in range(3)]
    session = processor.init_video_session(frames, vos_score_threshold=0.5)
    assert (session.num_frames, session.video_size) == (3, (40, 60))
    processor.add_mask_prompt(session, frame_idx=1, obj_ids=[2], masks=[disc(40, 60)])
    processor.add_text_prompt(session, obj_ids=[5], text="the dog")
    assert session.object_ids == [2, 5]
    assert np.array_equal(session.prompts.masks_at(1, (40, 60))[2].numpy(), disc(40, 60) > 0)
    assert session.prompts.texts_at(0, reverse=False)[5].input_ids.shape == (1, 77)
    prepared = session.prepare_frame(frames[0])
    alone = processor.image_processor(frames[0], size=processor.image_processor.video_size)
    assert torch.equal(prepared.pixel_values, alone.pixel_values)
    assert processor.init_video_session().num_frames is None
    with pytest.raises(TypeError, match="thresh"):
        processor.init_video_session(frames, thresh=0.5)


# --------------------------------------------------------------------------------------------------------------- frames
def test_frames_come_from_lists_arrays_directories_and_files(tmp_path):
    frames = [picture(32, 48, seed=index) for index in range(3)]
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / f"frame{index + 9}.png")  # 9, 10, 11: by number, not by letter
    forms = [
        frames,
        tuple(Image.fromarray(frame) for frame in frames),
        np.stack(frames),
        torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2),
        tmp_path,
        str(tmp_path),
    ]
    for form in forms:
        clip = VideoFrames(form)
        assert (len(clip), clip.size) == (3, (32, 48))
        assert all(np.array_equal(got, want) for got, want in zip(clip, frames, strict=True))
        assert np.array_equal(clip[-1], frames[2])
        assert len(clip[1:]) == 2
        with pytest.raises(IndexError):
            clip[3]


def test_a_video_file_is_read_in_any_order(tmp_path):
    pytest.importorskip("av")
    from transformers_uniref.media.video.io import VideoWriter, read_frames

    path = tmp_path / "clip.mp4"
    with VideoWriter(path, frames_per_second=10) as writer:
        for shade in range(0, 250, 10):
            writer.write(np.full((32, 48, 3), shade, dtype=np.uint8))
    expected = list(read_frames(path))
    clip = VideoFrames(path)
    assert len(clip) == len(expected) == 25
    for index in [0, 1, 2, 20, 20, 5, 24, 0, 23]:
        assert np.array_equal(clip[index], expected[index])


def test_an_animated_picture_is_a_clip(tmp_path):
    frames = [picture(16, 16, seed=index) for index in range(3)]
    path = tmp_path / "clip.png"
    Image.fromarray(frames[0]).save(path, save_all=True, append_images=[Image.fromarray(f) for f in frames[1:]])
    assert all(np.array_equal(got, want) for got, want in zip(VideoFrames(path), frames, strict=True))


def test_the_tokenizer_is_any_transformers_tokenizer():
    processor = UniRefProcessor(UniRefImageProcessorPil(), tokenizer=small_tokenizer(), text_length=10)
    assert processor(text="the dog").input_ids.shape == (1, 10)
    assert processor.model_input_names[:4] == ["pixel_values", "pixel_mask", "input_ids", "attention_mask"]


def test_a_models_own_score_gates_reach_its_sessions(tmp_path):
    processor = UniRefProcessor(UniRefImageProcessorPil(), vos_score_threshold=0.2, rvos_score_threshold=None)
    processor.video_mask_threshold = 0.4
    processor.save_pretrained(tmp_path)
    session = UniRefProcessor.from_pretrained(tmp_path).init_video_session()
    assert (session.vos_score_threshold, session.rvos_score_threshold) == (0.2, None)
    assert session.mask_threshold == 0.4
    assert processor.init_video_session(vos_score_threshold=0.6).vos_score_threshold == 0.6
    for threshold, gate in ((0.7, 0.7), (0, None)):
        session = processor.init_video_session(threshold=threshold)
        assert (session.vos_score_threshold, session.rvos_score_threshold) == (gate, gate)
    with pytest.raises(ValueError, match="`vos_score_threshold` cannot be given beside it"):
        processor.init_video_session(threshold=0.5, vos_score_threshold=0.5)
    with pytest.raises(ValueError, match="`threshold` must be between 0 and 1"):
        processor.init_video_session(threshold=2)
