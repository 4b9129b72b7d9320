"""UniRef-SAM: one map, SAM's decoder prompted by a reference, the same calls as the other family."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoConfig, AutoModel, AutoProcessor, BertConfig, SamModel, pipeline

from model_support import hollow_model
from noise import GRADIENTS, MASKS, SCORES, assert_same, assert_same_clip, assert_same_output
from sam_support import (
    HEIGHT_WIDTH,
    SIDE,
    WIDTH,
    clip,
    sam_config,
    sam_model,
    sam_processor,
    save_plain_sam,
    save_sam_checkpoint,
    save_text_encoder,
)
from transformers_uniref import UniRefProcessor, UniRefSamConfig, UniRefSamModel
from transformers_uniref.conversion.converter import CheckpointError
from transformers_uniref.conversion.sam_plug_in import build_around_sam
from transformers_uniref.frontends.cli.main import main
from transformers_uniref.processors.post_processing import mask_bounds

SENTENCE = "the dog on the left"


@pytest.fixture(scope="module")
def model() -> UniRefSamModel:
    return sam_model()


@pytest.fixture(scope="module")
def processor() -> UniRefProcessor:
    return sam_processor()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_sam_checkpoint(tmp_path_factory.mktemp("uniref-sam")))


@pytest.fixture(scope="module")
def plain_sam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_plain_sam(tmp_path_factory.mktemp("sam"))


def questions(processor: UniRefProcessor, kind: str) -> dict[str, Any]:
    frames, masks = clip()
    given: dict[str, Any] = {}
    if kind != "examples":
        given["text"] = SENTENCE
    if kind != "sentence":
        given |= {"reference_images": frames[:2], "reference_masks": list(masks[:2])}
    return dict(processor(images=frames[3], **given))


KINDS = ["sentence", "examples", "both"]


# --- one picture


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_every_kind_of_reference_gives_a_mask_and_its_score(
    kind: str, model: UniRefSamModel, processor: UniRefProcessor
) -> None:
    inputs = questions(processor, kind)
    output = model(**inputs, output_hidden_states=True)
    assert output.pred_masks.shape == (1, 1, SIDE // 4, SIDE // 4) and output.mask_queries.tolist() == [[0]]
    assert output.logits.shape == (1, 1, 1) and output.iou_scores.shape == (1, 1) and output.pred_boxes is None
    assert [level.shape for level in output.fused_features] == [(1, WIDTH, SIDE // 16, SIDE // 16)]
    assert output.logits.sigmoid().item() == pytest.approx(output.iou_scores.clamp(0, 1).item(), abs=1e-5)
    [found] = processor.post_process_referring_segmentation(output, target_sizes=[HEIGHT_WIDTH])
    assert found["segmentation"].shape == HEIGHT_WIDTH and 0 < found["segmentation"].float().mean() < 1
    assert found["box"].tolist() == mask_bounds(found["segmentation"]).tolist()
    full = model(**inputs, full_resolution_masks=True)
    [same] = processor.post_process_referring_segmentation(full, target_sizes=[HEIGHT_WIDTH])
    assert full.pred_masks.shape[-2:] == (SIDE, SIDE) and torch.equal(same["segmentation"], found["segmentation"])


@torch.no_grad()
def test_the_reference_decides_what_is_found(model: UniRefSamModel, processor: UniRefProcessor) -> None:
    masks = [model(**questions(processor, kind)).pred_masks for kind in KINDS]
    assert not torch.allclose(masks[0], masks[1], atol=0.1) and not torch.allclose(masks[0], masks[2], atol=0.1)


@torch.no_grad()
def test_the_decoder_is_prompted_by_the_sentence_else_by_the_mean_of_the_examples(
    model: UniRefSamModel, processor: UniRefProcessor
) -> None:
    prompts: list[torch.Tensor] = []
    hook = model.mask_decoder.register_forward_pre_hook(
        lambda module, _, named: prompts.append(named["sparse_prompt_embeddings"]), with_kwargs=True
    )
    for kind in KINDS:
        model(**questions(processor, kind))
    hook.remove()
    inputs = questions(processor, "both")
    sentence = model.encode_language(inputs["input_ids"], inputs["attention_mask"]).levels[0].condition
    features = model.encode_image(inputs["reference_pixel_values"][0], inputs["reference_pixel_mask"][0])
    shown = features.masks[0][:, None]
    means = (features.levels[0] * shown).sum((2, 3)) / shown.sum((2, 3))
    for prompt, wanted in zip(prompts, (sentence, means.mean(0, keepdim=True), sentence), strict=True):
        assert_same(prompt[:, 0, 0], wanted, SCORES)


@torch.no_grad()
def test_padding_of_examples_is_left_out_unless_the_released_numbers_are_wanted(processor: UniRefProcessor) -> None:
    inputs = questions(processor, "examples")
    outputs = {}
    for bugs in (False, True):
        model = sam_model(reproduce_released_bugs=bugs)
        features = model.encode_image(inputs["reference_pixel_values"][0], inputs["reference_pixel_mask"][0])
        # 38 of 64 rows are picture: cells whose upper left pixel is.
        assert features.masks[0].float().mean() == (1.0 if bugs else 0.75)
        outputs[bugs] = model(**inputs).pred_masks
    assert not torch.allclose(outputs[False], outputs[True], atol=1e-3)


@torch.no_grad()
def test_the_model_pads_what_is_smaller_than_its_input(model: UniRefSamModel, processor: UniRefProcessor) -> None:
    inputs = questions(processor, "both")
    output = model(**inputs)
    cut = dict(inputs)
    for name in ("pixel_values", "pixel_mask", "reference_pixel_values", "reference_pixel_mask", "reference_masks"):
        cut[name] = inputs[name][..., :38, :]
    assert_same_output(model(**cut), output)
    assert model(**cut).image_sizes.tolist() == [[38, 64]] and model(**cut).padded_sizes.tolist() == [[64, 64]]


@torch.no_grad()
def test_masks_of_narrow_pictures_are_still_known_to_be_a_quarter(
    model: UniRefSamModel, processor: UniRefProcessor
) -> None:
    wide = np.zeros((20, 160, 3), dtype=np.uint8)
    output = model(**processor(images=wide, text=SENTENCE))
    assert int(output.image_sizes[0, 0]) < output.pred_masks.shape[-2]
    [found] = processor.post_process_referring_segmentation(output)
    grown = torch.nn.functional.interpolate(output.pred_masks, scale_factor=4, mode="bilinear")[0, 0, :8, :64] > 0
    assert torch.equal(found["segmentation"], grown)


@torch.no_grad()
def test_entries_share_a_picture_and_do_not_see_each_other(model: UniRefSamModel, processor: UniRefProcessor) -> None:
    picture = clip()[0][0]
    together = model(**processor(images=picture, text=[SENTENCE, "a red car"]))
    for row, sentence in enumerate([SENTENCE, "a red car"]):
        alone = model(**processor(images=picture, text=sentence))
        assert_same(together.pred_masks[row], alone.pred_masks[0], MASKS)


@torch.no_grad()
def test_eager_and_sdpa_agree(model: UniRefSamModel, processor: UniRefProcessor, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    eager = AutoModel.from_pretrained(tmp_path, attn_implementation="eager")
    assert eager.visual_encoder.backbone.config._attn_implementation == "eager"
    inputs = questions(processor, "both")
    assert_same_output(eager(**inputs), model(**inputs))
    eager.set_attn_implementation("sdpa")
    assert eager.config._attn_implementation == eager.mask_decoder.config._attn_implementation == "sdpa"
    assert eager.visual_encoder.backbone.config._attn_implementation == "eager"
    assert_same_output(eager(**inputs), model(**inputs))


@torch.no_grad()
def test_half_precision_stays_close(model: UniRefSamModel, processor: UniRefProcessor) -> None:
    inputs = questions(processor, "both")
    expected = model(**inputs).pred_masks
    with torch.autocast("cpu", torch.bfloat16):
        close = model(**inputs).pred_masks.float()
        weights = sam_model().bfloat16()(**inputs).pred_masks.float()
    for masks in (close, weights):
        assert ((masks > 0) == (expected > 0)).float().mean() > 0.9


@torch.no_grad()
def test_place_words_may_see_sams_positions(processor: UniRefProcessor) -> None:
    inputs = questions(processor, "sentence")
    plain, placed = (sam_model(language_query_positions=on)(**inputs).pred_masks for on in (False, True))
    assert not torch.allclose(plain, placed, atol=1e-3)


# --- training


def labels(*counts: int) -> list[dict[str, torch.Tensor]]:
    mask = torch.zeros(SIDE, SIDE)
    mask[10:30, 8:40] = 1
    return [
        {"masks": mask.expand(t, -1, -1), "boxes": torch.zeros(t, 4), "class_labels": torch.zeros(t, dtype=torch.long)}
        for t in counts
    ]


def test_losses_are_those_of_the_definition(model: UniRefSamModel, processor: UniRefProcessor) -> None:
    inputs = processor(images=clip()[0][0], text=[SENTENCE, "a red car"])
    with torch.no_grad():
        output = model(**inputs, labels=labels(1, 0), full_resolution_masks=True)
    logits, target = output.pred_masks[:, 0], torch.stack([labels(1)[0]["masks"][0], torch.zeros(SIDE, SIDE)])
    probability = logits.sigmoid()
    cross_entropy = torch.nn.functional.binary_cross_entropy(probability, target)
    overlap, extent = (probability * target).sum((1, 2)), (probability + target).sum((1, 2))
    dice = (1 - (2 * overlap / 1000 + 1e-6) / (extent / 1000 + 1e-6)).mean()
    assert output.loss_dict["loss_mask"] == pytest.approx(cross_entropy.item(), rel=1e-4)
    assert output.loss_dict["loss_dice"] == pytest.approx(dice.item(), rel=1e-4)
    assert output.loss.item() == pytest.approx(2.0 * cross_entropy.item() + 0.5 * dice.item(), rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_all_that_acts_and_not_the_score(kind: str, processor: UniRefProcessor) -> None:
    model = sam_model().train()
    model(**questions(processor, kind), labels=labels(1)).loss.backward()
    touched = {name for name, value in model.named_parameters() if value.grad is not None and value.grad.any()}
    assert any(name.startswith("visual_encoder.backbone.layers.0.attn.qkv") for name in touched)
    assert any(name.startswith("fusion.q_proj") for name in touched)
    assert any(name.startswith("language_encoder.projection") for name in touched) == (kind != "examples")
    assert any(name.startswith("mask_encoder.stem") for name in touched) == (kind != "sentence")
    assert not any("iou_prediction_head" in name for name in touched)


def test_gradient_checkpointing_gives_the_same_gradients(processor: UniRefProcessor) -> None:
    gradients = []
    for recompute in (False, True):
        model = sam_model(fusion_dropout=0.0, text_dropout=0.0).train()
        model.language_encoder.eval()
        if recompute:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model(**questions(processor, "sentence"), labels=labels(1)).loss.backward()
        gradients.append(model.visual_encoder.backbone.layers[0].attn.qkv.weight.grad)
    assert_same(gradients[1], gradients[0], GRADIENTS)


def test_a_frozen_image_encoder_gets_no_gradient_and_records_none(processor: UniRefProcessor) -> None:
    model = sam_model().train()
    model.visual_encoder.requires_grad_(False)
    features = model.encode_image(questions(processor, "sentence")["pixel_values"])
    assert not features.levels[0].requires_grad


def test_kept_embeddings_are_those_that_would_be_computed(processor: UniRefProcessor, tmp_path: Path) -> None:
    model, inputs = sam_model(), questions(processor, "both")
    with pytest.raises(ValueError, match="must be frozen.*of its parameters are trained"):
        model.cache_image_embeddings(tmp_path)
    model.visual_encoder.requires_grad_(False)
    expected = model(**inputs, labels=labels(1)).loss
    model.cache_image_embeddings(tmp_path)
    computed: list[int] = []
    model.visual_encoder.backbone.register_forward_hook(lambda module, given, _: computed.append(len(given[0])))
    for _ in range(2):
        assert_same(model(**inputs, labels=labels(1)).loss, expected, SCORES)
    assert computed == [2, 1] and len(list(tmp_path.iterdir())) == 3  # two examples and the picture, once
    # A damaged file is made anew, another encoder or picture gets another one.
    next(tmp_path.iterdir()).write_bytes(b"broken")
    assert_same(model(**inputs, labels=labels(1)).loss, expected, SCORES)
    assert sum(computed) == 4
    with torch.no_grad():
        model.visual_encoder.backbone.neck.conv1.weight[:8].mul_(3)
    model.cache_image_embeddings(tmp_path)
    assert abs(model(**inputs, labels=labels(1)).loss - expected) > 100 * SCORES * expected
    assert len(list(tmp_path.iterdir())) == 6
    model.visual_encoder.requires_grad_(True)
    with pytest.raises(ValueError, match="must be frozen"):
        model(**inputs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda inputs: {"pixel_values": inputs["pixel_values"]}, "a reference is missing.*nothing to detect"),
        (lambda inputs: inputs | {"pixel_values": torch.zeros(1, 3, 96, 64)}, "at most 64 x 64.*got 96 x 64"),
        (lambda inputs: inputs | {"num_masks": 2}, "between 1 and 1"),
        (lambda inputs: inputs | {"labels": labels(1, 1)}, "got 2 entries"),
        (lambda inputs: inputs | {"labels": [{"boxes": torch.zeros(1, 4)}]}, r"labels\[0\]\['masks'\]: got nothing"),
        (lambda inputs: inputs | {"labels": [{"masks": torch.zeros(1, 96, 64)}]}, r"at most \(64, 64\)"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(
    change: Any, message: str, model: UniRefSamModel, processor: UniRefProcessor
) -> None:
    with pytest.raises(ValueError, match=message):
        model(**change(questions(processor, "sentence")))


def test_detections_are_refused(model: UniRefSamModel, processor: UniRefProcessor) -> None:
    with torch.no_grad():
        output = model(**questions(processor, "sentence"))
    with pytest.raises(ValueError, match="no `pred_boxes`.*post_process_referring_segmentation"):
        processor.post_process_instance_segmentation(output)


@pytest.mark.parametrize(
    "change",
    [
        {"d_model": 64},
        {"value_encoder_widths": [8, 8, 8, 8], "value_encoder_depths": [1, 1, 1, 1]},
        {"prompt_encoder_config": {"hidden_size": WIDTH, "image_size": 128}},
        {"vision_config": {"model_type": "vit"}},
        {"value_encoder_norm": "none"},
        {"use_language_references": False, "use_mask_references": False},
    ],
)
def test_wrong_configurations_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(
        Exception, match="d_model|value_encoder|prompt_encoder_config|vision_config|output_channels|are off"
    ):
        sam_config(**change)


# --- loading


def test_the_auto_classes_load_what_was_saved(folder: str, model: UniRefSamModel) -> None:
    config = AutoConfig.from_pretrained(folder)
    assert type(config) is UniRefSamConfig and config.to_dict() == sam_config(dtype="float32").to_dict() | {
        name: config.to_dict()[name] for name in ("architectures", "_name_or_path", "transformers_version")
    }
    loaded, account = AutoModel.from_pretrained(folder, output_loading_info=True)
    assert type(loaded) is UniRefSamModel and not any(account[key] for key in ("missing_keys", "unexpected_keys"))
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in loaded.state_dict().items())
    processor = AutoProcessor.from_pretrained(folder)
    assert type(processor) is UniRefProcessor
    assert processor(images=clip()[0][0], text=SENTENCE)["pixel_values"].shape == (1, 3, SIDE, SIDE)


def test_the_released_sizes_are_the_default() -> None:
    config = UniRefSamConfig()
    assert (config.d_model, config.image_size, config.feature_strides) == (256, 1024, (16,))
    assert config.value_encoder_widths == [64, 128, 256] and not config.reproduce_released_bugs
    with torch.device("meta"):
        assert UniRefSamModel(config).mask_encoder.extra_level is None


def test_building_on_the_meta_device_gives_the_same_start() -> None:
    torch.manual_seed(3)
    direct = UniRefSamModel(sam_config()).state_dict()
    hollow = hollow_model(lambda: UniRefSamModel(sam_config()))
    hollow.init_weights()
    assert not hollow.fusion.modulation.weight.any()
    for name, value in hollow.state_dict().items():
        assert value.isfinite().all(), name
        if value.unique().numel() == 1:
            torch.testing.assert_close(value, direct[name], msg=name)


# --- built around a SAM


def test_a_new_model_around_a_sam_sees_what_sam_sees(plain_sam: Path, tmp_path: Path) -> None:
    text = save_text_encoder(tmp_path / "text")
    account = build_around_sam(
        plain_sam, tmp_path / "model", text, {"fusion_heads": 2, "value_encoder_widths": [8, 8, 16]}
    )
    loaded, processor = AutoModel.from_pretrained(tmp_path / "model"), AutoProcessor.from_pretrained(tmp_path / "model")
    sam = SamModel.from_pretrained(plain_sam)
    inputs = questions(processor, "both")
    with torch.no_grad():
        output = loaded(**inputs, output_hidden_states=True)
        embedding = sam.get_image_embeddings(inputs["pixel_values"])
        assert_same(output.fused_features[0], embedding, SCORES)
        # and its decoder answers as SAM's own to the same prompt
        prompt = loaded.encode_language(inputs["input_ids"], inputs["attention_mask"]).levels[0].condition
        masks, scores = sam.mask_decoder(
            embedding,
            sam.get_image_wide_positional_embeddings(),
            prompt[:, None, None],
            sam.prompt_encoder(None, None, None, None)[1],
            multimask_output=False,
        )
    assert_same(output.pred_masks, masks[:, 0], MASKS)
    assert_same(output.iou_scores, scores[:, 0], SCORES)
    assert torch.equal(
        loaded.language_encoder.text_encoder.embeddings.word_embeddings.weight,
        AutoModel.from_pretrained(text).embeddings.word_embeddings.weight,
    )
    assert set(account.dropped) == {"shared_image_embedding.positional_embedding"}
    produced = [target for targets in account.mapped.values() for target in targets]
    assert sorted([*produced, *account.created]) == sorted(loaded.state_dict())
    assert not any(name.startswith(("visual_encoder", "mask_decoder", "prompt_encoder")) for name in account.created)


def test_the_command_builds_a_model_without_sentences(
    plain_sam: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = str(tmp_path / "model")
    settings = ["--set", "value_encoder_widths=[8,8,16]", "--json"]
    assert main(["convert", "--sam", str(plain_sam), output, "--text-encoder", "none", *settings]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["output_dir"] == output and "new, to be trained" in printed.err
    assert not AutoModel.from_pretrained(output).config.use_language_references
    assert AutoProcessor.from_pretrained(output).tokenizer is None


def test_a_folder_that_holds_no_sam_is_refused(folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    BertConfig().save_pretrained(tmp_path / "bert")
    for source, message in (
        (tmp_path / "bert", "a model of type 'bert'; accepted are SAM models, type 'sam'"),
        (Path(folder), "a model of type 'uniref_sam'"),
        (tmp_path / "empty", "no Transformers model there"),
    ):
        assert main(["convert", "--sam", str(source), str(tmp_path / "model")]) == 2
        printed = capsys.readouterr().err
        assert printed.startswith("uniref: error: ") and message in printed and printed.count("\n") == 1
    assert main(["convert", str(tmp_path / "empty"), str(tmp_path / "model")]) == 2
    assert "is a folder, not a checkpoint file (a Transformers SAM model needs --sam)" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()


def test_a_sam_without_all_its_weights_is_refused(plain_sam: Path, tmp_path: Path) -> None:
    sam = SamModel.from_pretrained(plain_sam)
    state = {name: value for name, value in sam.state_dict().items() if "neck" not in name}
    sam.save_pretrained(tmp_path / "sam", state_dict=state)
    with pytest.raises(CheckpointError, match="lacks 6 of its weights"):
        build_around_sam(tmp_path / "sam", tmp_path / "model", "none")


def test_a_text_encoder_that_cannot_be_loaded_names_the_option(plain_sam: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match='nowhere.*as `text_encoder`, or "none" for a model without'):
        build_around_sam(plain_sam, tmp_path / "model", tmp_path / "nowhere")


# --- videos


def session(processor: UniRefProcessor, streaming: bool = False) -> Any:
    frames, masks = clip()
    made = processor.init_video_session(None if streaming else frames)
    processor.add_mask_prompt(made, 0, [1], [masks[0]])
    processor.add_mask_prompt(made, 1, [2], [masks[1]])
    processor.add_text_prompt(made, [3], [SENTENCE])
    return made


def test_objects_are_followed_and_a_frame_is_encoded_once(model: UniRefSamModel, processor: UniRefProcessor) -> None:
    seen: list[int] = []
    hook = model.visual_encoder.backbone.register_forward_hook(lambda module, inputs, _: seen.append(len(inputs[0])))
    made = session(processor)
    outputs, sizes = [], []
    for output in model.propagate_in_video_iterator(made):
        outputs.append(output)
        sizes.append(made.num_bytes())
    hook.remove()
    assert seen == [1, 1, 1, 1]
    assert [output.object_ids for output in outputs] == [[1, 3], [1, 2, 3], [1, 2, 3], [1, 2, 3]]
    assert len(set(sizes[1:])) == 1
    for output in outputs:
        assert output.pred_masks.shape[1:] == HEIGHT_WIDTH
        assert output.pred_masks.min() >= 0 and output.pred_masks.max() <= 1
        assert ((output.object_scores >= 0) & (output.object_scores <= 1)).all()
    assert any(0 < output.pred_masks[0].mean() < 1 for output in outputs[1:])


def test_a_sentence_for_all_objects_finds_the_one_that_this_model_answers_with(
    model: UniRefSamModel, processor: UniRefProcessor
) -> None:
    made = processor.init_video_session(clip()[0], threshold=0)
    processor.add_text_prompt(made, None, [SENTENCE], targets="all")
    one = processor.init_video_session(clip()[0], threshold=0)
    processor.add_text_prompt(one, [1], [SENTENCE])
    first, wanted = (next(model.propagate_in_video_iterator(asked)) for asked in (made, one))
    assert first.object_ids == ([1] if wanted.object_masks.any() else [])
    assert torch.equal(first.pred_masks, wanted.pred_masks[: len(first.object_ids)])


def test_streaming_gives_what_the_clip_gives(model: UniRefSamModel, processor: UniRefProcessor) -> None:
    stream = session(processor, streaming=True)
    outputs = [model(inference_session=stream, frame=frame) for frame in clip()[0]]
    assert_same_clip(outputs, model.propagate_in_video_iterator(session(processor)))


def test_prepared_frames_need_not_have_the_models_size(model: UniRefSamModel, processor: UniRefProcessor) -> None:
    stream = processor.init_video_session(None)
    stream.add_mask(0, 1, torch.ones(38, 64, dtype=torch.bool) & (torch.arange(64) < 20))
    pixels = processor(images=clip()[0][0], text=SENTENCE)["pixel_values"][0, :, :38]
    for _ in range(2):
        output = model(inference_session=stream, frame=pixels)
    assert output.pred_masks.shape == (1, 38, 64)


def test_shared_frames_give_what_projections_give(
    model: UniRefSamModel, processor: UniRefProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = sam_model(fusion_head_dim=WIDTH)
    assert wide.fusion.can_share_frames() is False  # gradients are on here
    quick = list(wide.propagate_in_video_iterator(session(processor)))
    monkeypatch.setattr(type(wide.fusion), "can_share_frames", lambda _: False)
    assert_same_clip(quick, wide.propagate_in_video_iterator(session(processor)))


def test_sessions_run_in_half_precision(model: UniRefSamModel, processor: UniRefProcessor) -> None:
    frames, masks = clip()
    made = processor.init_video_session(frames, dtype=torch.bfloat16)
    processor.add_mask_prompt(made, 0, [1], [masks[0]])
    assert all(output.pred_masks.isfinite().all() for output in model.propagate_in_video_iterator(made))


def test_released_numbers_of_videos_are_logits(processor: UniRefProcessor) -> None:
    model = sam_model(reproduce_released_bugs=True)
    last = list(model.propagate_in_video_iterator(session(processor)))[-1]
    assert last.pred_masks.min() < 0


# --- pipelines and commands


def test_all_pipelines_work_with_the_folder(folder: str) -> None:
    frames, masks = clip()
    [found] = pipeline("referring-segmentation", model=folder)(frames[0], text=SENTENCE)
    assert found["mask"].size == HEIGHT_WIDTH[::-1] and 0 <= found["box"]["xmin"] <= found["box"]["xmax"]
    few = pipeline("few-shot-segmentation", model=folder)
    assert len(few([frames[0], frames[1]], reference_images=frames[2], reference_masks=masks[2], batch_size=2)) == 2
    vos = pipeline("video-object-segmentation", model=folder)(frames, masks=masks[0].astype(np.uint8))
    assert [result["frame"] for result in vos] == [0, 1, 2, 3]
    rvos = pipeline("referring-video-segmentation", model=folder)(frames, text=SENTENCE)
    assert rvos[-1]["labels"] == {1: SENTENCE}


def test_commands_work_with_the_folder(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clip").mkdir()
    frames, masks = clip(2)
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / "clip" / f"{index:05d}.png")
    Image.fromarray(masks[0].astype(np.uint8)).save(tmp_path / "mask.png")
    assert main(["segment", "clip/00000.png", "--text", SENTENCE, "--model", folder, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)
    assert main(["track", "clip", "--mask", "mask.png", "--model", folder, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 2
