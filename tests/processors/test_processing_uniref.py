"""What the processor makes of pictures, sentences and examples together, and how it is saved."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoProcessor

from processor_support import (
    SMALL_SIZE,
    disc,
    picture,
    small_processor,
    small_tokenizer,
)
from transformers_uniref import UniRefImageProcessor, UniRefImageProcessorPil, UniRefProcessor
from transformers_uniref.core.masks import nearest_resize


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
