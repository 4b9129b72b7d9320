"""The model behaves as a Transformers model, and as one model for every kind of reference."""

from __future__ import annotations

import copy

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, AutoModel

from model_support import hollow_model, label, padded, picture, sentence, small_config, small_model
from noise import GRADIENTS, MASKS, SCORES, assert_same, assert_same_output
from transformers_uniref import UniRefConfig, UniRefModel

SIZE = 64


def language_inputs(batch: int = 2, seed: int = 0) -> dict[str, torch.Tensor]:
    return {"pixel_values": picture(batch, SIZE, SIZE, seed), "input_ids": sentence(batch, 6, seed)}


def mask_inputs(batch: int = 2, shots: int = 1, seed: int = 0) -> dict[str, torch.Tensor]:
    masks = torch.zeros(batch, shots, SIZE, SIZE)
    masks[..., 16:48, 20:40] = 1
    return {
        "pixel_values": picture(batch, SIZE, SIZE, seed),
        "reference_pixel_values": picture(batch * shots, SIZE, SIZE, seed + 1).unflatten(0, (batch, shots)),
        "reference_masks": masks,
    }


@pytest.fixture(scope="module")
def model() -> UniRefModel:
    return small_model()


@torch.no_grad()
def test_outputs_have_the_documented_shapes(model):
    output = model(**language_inputs(), num_masks=3, output_hidden_states=True)
    assert output.logits.shape == (2, 8, 1)
    assert output.pred_boxes.shape == (2, 8, 4)
    assert output.pred_masks.shape == (2, 3, SIZE // 4, SIZE // 4)
    assert output.mask_queries.shape == (2, 3)
    assert output.image_sizes.tolist() == [[SIZE, SIZE]] * 2
    assert [tuple(level.shape) for level in output.fused_features] == [(2, 64, s, s) for s in (8, 4, 2, 1)]
    assert output.loss is None
    full = model(**language_inputs(), num_masks="all", full_resolution_masks=True)
    assert full.pred_masks.shape == (2, 8, SIZE, SIZE)


@torch.no_grad()
def test_full_resolution_is_an_option_of_the_model_that_a_call_can_change():
    fine, coarse = small_model(full_resolution_masks=True), small_model()
    assert fine(**language_inputs()).pred_masks.shape == (2, 1, SIZE, SIZE)
    assert_same_output(fine(**language_inputs()), coarse(**language_inputs(), full_resolution_masks=True))
    assert_same_output(fine(**language_inputs(), full_resolution_masks=False), coarse(**language_inputs()))
    targets = torch.zeros(1, SIZE, SIZE)
    targets[0, 3:30, 5:20] = 1  # edges between the pixels that a quarter of the size keeps
    label = {
        "boxes": torch.tensor([[0.2, 0.26, 0.23, 0.42]]),
        "masks": targets,
        "class_labels": torch.zeros(1, dtype=torch.long),
    }
    losses = [m(**language_inputs(), labels=[label, label]).loss_dict["loss_mask"] for m in (fine, coarse)]
    assert losses[0] != losses[1]


@torch.no_grad()
def test_masks_come_best_query_first(model):
    output = model(**language_inputs(), num_masks=3)
    everything = model(**language_inputs(), num_masks="all")
    order = output.logits[..., 0].argsort(dim=1, descending=True)[:, :3]
    torch.testing.assert_close(output.mask_queries, order)
    for entry in range(2):
        assert_same(output.pred_masks[entry], everything.pred_masks[entry, order[entry]], MASKS)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["language", "mask"])
def test_the_reference_matters(model, kind):
    make = language_inputs if kind == "language" else mask_inputs
    inputs = make()
    other = dict(inputs)
    if kind == "language":
        other["input_ids"] = sentence(2, 6, seed=9)
    else:
        other["reference_masks"] = inputs["reference_masks"].flip(-1)
    assert (model(**inputs).logits - model(**other).logits).abs().max() > 1e-3
    without = model(pixel_values=inputs["pixel_values"])
    assert (model(**inputs).logits - without.logits).abs().max() > 1e-3


@torch.no_grad()
def test_sentence_and_mask_act_in_parallel_on_the_same_features(model):
    both = model(**{**mask_inputs(), **language_inputs()}, output_hidden_states=True).fused_features
    language = model(**language_inputs(), output_hidden_states=True).fused_features
    mask = model(**mask_inputs(), output_hidden_states=True).fused_features
    none = model(pixel_values=picture(2, SIZE, SIZE), output_hidden_states=True).fused_features
    for joint, first, second, plain in zip(both, language, mask, none, strict=True):
        assert_same(joint, first + second - plain, SCORES)


@torch.no_grad()
def test_a_new_fusion_module_changes_nothing():
    torch.manual_seed(0)
    fresh = UniRefModel(small_config()).eval()
    with_text = fresh(**language_inputs(), output_hidden_states=True)
    without = fresh(pixel_values=picture(2, SIZE, SIZE), output_hidden_states=True)
    # Bit for bit: what is added is multiplied by 0.
    assert all(torch.equal(*pair) for pair in zip(with_text.fused_features, without.fused_features, strict=True))
    assert_same_output(with_text, without)


@torch.no_grad()
def test_entries_of_a_batch_do_not_see_each_other(model):
    inputs = {**mask_inputs(2, shots=2), **language_inputs()}
    together = model(**inputs)
    for entry in range(2):
        alone = model(**{name: value[entry : entry + 1] for name, value in inputs.items()})
        assert_same(alone.logits[0], together.logits[entry], SCORES)
        assert_same(alone.pred_masks[0], together.pred_masks[entry], MASKS)


@torch.no_grad()
def test_padding_a_sentence_changes_nothing(model):
    inputs = language_inputs()
    ids = torch.cat([inputs["input_ids"], torch.zeros(2, 4, dtype=torch.long)], dim=1)
    mask = torch.tensor([[1] * 6 + [0] * 4] * 2)
    plain = model(**inputs)
    filled = model(pixel_values=inputs["pixel_values"], input_ids=ids, attention_mask=mask)
    assert_same_output(filled, plain)


@torch.no_grad()
def test_sentences_of_different_lengths_share_a_batch(model):
    pixels = picture(2, SIZE, SIZE)
    short, long = sentence(1, 4, 1), sentence(1, 7, 2)
    ids = torch.zeros(2, 7, dtype=torch.long)
    ids[0, :4], ids[1] = short[0], long[0]
    mask = (torch.arange(7)[None] < torch.tensor([[4], [7]])).long()
    together = model(pixel_values=pixels, input_ids=ids, attention_mask=mask)
    for entry, own in enumerate((short, long)):
        alone = model(pixel_values=pixels[entry : entry + 1], input_ids=own)
        assert_same(alone.logits[0], together.logits[entry], SCORES)


@torch.no_grad()
def test_images_of_different_sizes_share_a_batch(model):
    """Each image keeps its own coordinates, whatever the size of the batch."""
    small, large = picture(1, 64, 96, 1), picture(1, 96, 128, 2)
    canvas, mask = padded(small, 96, 128)
    ids = sentence(2, 5)
    together = model(
        pixel_values=torch.cat([canvas, large]), pixel_mask=torch.cat([mask, torch.ones(1, 96, 128)]), input_ids=ids
    )
    assert together.image_sizes.tolist() == [[64, 96], [96, 128]]
    alone = model(pixel_values=large, input_ids=ids[1:])
    assert_same(alone.logits[0], together.logits[1], SCORES)
    assert together.logits.isfinite().all() and together.pred_masks.isfinite().all()


@torch.no_grad()
def test_several_references_of_one_image_share_its_encoding(model):
    pixels, ids = picture(2, SIZE, SIZE), sentence(3, 5)
    indices = torch.tensor([0, 0, 1])
    calls = []
    handle = model.visual_encoder.register_forward_hook(lambda *_: calls.append(1))
    try:
        shared = model(pixel_values=pixels, input_ids=ids, image_indices=indices)
    finally:
        handle.remove()
    repeated = model(pixel_values=pixels[indices], input_ids=ids)
    assert len(calls) == 1
    assert_same_output(shared, repeated)


@torch.no_grad()
def test_the_order_of_examples_does_not_matter(model):
    inputs = mask_inputs(1, shots=3)
    turned = dict(inputs)
    for name in ("reference_pixel_values", "reference_masks"):
        turned[name] = inputs[name].flip(1)
    assert_same_output(model(**turned), model(**inputs))


@torch.no_grad()
@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_attention_implementations_agree(model, implementation):
    """With padded keys in both modalities."""
    other = copy.deepcopy(model)
    other.set_attn_implementation(implementation)
    assert other.fusion.config._attn_implementation == implementation
    image, valid = padded(picture(1, 48, 64), SIZE, SIZE)
    inputs = {
        **language_inputs(1),
        **mask_inputs(1),
        "reference_pixel_values": image[:, None],
        "reference_pixel_mask": valid[:, None],
        "attention_mask": torch.tensor([[1, 1, 1, 1, 0, 0]]),
    }
    reference = model(**inputs, output_hidden_states=True)
    output = other(**inputs, output_hidden_states=True)
    for ours, theirs in zip(reference.fused_features, output.fused_features, strict=True):
        assert_same(theirs, ours, SCORES)


def test_saving_and_loading_keeps_every_weight(model, tmp_path):
    model.save_pretrained(tmp_path)
    loaded, info = AutoModel.from_pretrained(tmp_path, output_loading_info=True)
    assert type(loaded) is UniRefModel
    assert not any(info[name] for name in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"))
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    with torch.no_grad():
        assert_same_output(loaded.eval()(**language_inputs()), model(**language_inputs()))


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_loading_with_an_attention_implementation(model, implementation, tmp_path):
    model.save_pretrained(tmp_path)
    loaded = AutoModel.from_pretrained(tmp_path, attn_implementation=implementation)
    assert loaded.fusion.config._attn_implementation == implementation
    assert loaded.language_encoder.text_encoder.config._attn_implementation == implementation


def test_the_configuration_survives_a_round_trip(tmp_path):
    config = small_config(backbone_norm="group", language_query_positions=True, fusion_bf16=True)
    config.save_pretrained(tmp_path)
    loaded = AutoConfig.from_pretrained(tmp_path)
    assert isinstance(loaded, UniRefConfig)
    assert {**loaded.to_dict(), "_name_or_path": ""} == config.to_dict()


def test_building_on_the_meta_device_gives_the_same_start():
    torch.manual_seed(3)
    direct = UniRefModel(small_config(boxinst_loss=True))
    hollow = hollow_model(lambda: UniRefModel(small_config(boxinst_loss=True)))
    torch.manual_seed(3)
    hollow.init_weights()
    for name, value in hollow.state_dict().items():
        assert value.isfinite().all(), name
        if not any(part in name for part in ("backbone", "text_encoder", "running")) and value.unique().numel() == 1:
            torch.testing.assert_close(value, direct.state_dict()[name], msg=name)


def test_start_values_are_those_of_the_paper():
    model = UniRefModel(small_config())
    assert model.fusion.modulation.weight.abs().max() == 0 and model.fusion.modulation.bias.abs().max() == 0
    for head in model.box_heads:
        assert head.layers[-1].weight.abs().max() == 0
    for head in model.class_heads:
        torch.testing.assert_close(head.bias.sigmoid(), torch.full_like(head.bias, 0.01))
    attention = model.transformer.encoder.layers[0].self_attn
    assert attention.sampling_offsets.weight.abs().max() == 0
    assert attention.sampling_offsets.bias.abs().max() == model.config.num_points


@pytest.mark.parametrize("norm", ["frozen", "batch", "group"])
def test_backbone_norms(norm):
    model = small_model(backbone_norm=norm)
    trainable = [name for name, _ in model.visual_encoder.backbone.named_parameters() if "normalization" in name]
    assert bool(trainable) is (norm != "frozen")
    model.train()
    before = {name: value.clone() for name, value in model.visual_encoder.backbone.named_buffers()}
    model(**language_inputs())
    moved = any(
        not torch.equal(value, before[name])
        for name, value in model.visual_encoder.backbone.named_buffers()
        if name.endswith("running_mean")
    )
    assert moved is (norm == "batch")


@pytest.mark.parametrize("inputs", ["language", "mask", "both", "none"])
def test_labels_give_a_loss_with_gradients(inputs):
    model = small_model().train()
    values = {
        "language": language_inputs(),
        "mask": mask_inputs(),
        "both": {**mask_inputs(), **language_inputs()},
        "none": {"pixel_values": picture(2, SIZE, SIZE)},
    }[inputs]
    output = model(**values, labels=[label(SIZE), label(SIZE, present=False)])
    assert output.loss.isfinite() and {"loss_ce", "loss_mask", "loss_dice_0", "loss_giou_enc"} <= set(output.loss_dict)
    output.loss.backward()
    untouched = {name.split(".")[0] for name, value in model.named_parameters() if value.grad is None}
    expected = {"language_encoder"} if inputs == "mask" else set()
    expected |= {"mask_encoder"} if inputs == "language" else set()
    expected |= {"language_encoder", "mask_encoder", "fusion"} if inputs == "none" else set()
    assert untouched == expected


def test_gradient_checkpointing_gives_the_same_gradients():
    plain, saving = small_model().train(), small_model().train()
    for dropout in [m for model in (plain, saving) for m in model.modules() if isinstance(m, torch.nn.Dropout)]:
        dropout.p = 0.0
    for model in (plain, saving):
        model.config.fusion_dropout = 0.0
    saving.gradient_checkpointing_enable()
    for model in (plain, saving):
        model(**language_inputs(), labels=[label(SIZE)] * 2).loss.backward()
    for (name, ours), theirs in zip(plain.named_parameters(), saving.parameters(), strict=True):
        if ours.grad is not None:
            torch.testing.assert_close(theirs.grad, ours.grad, atol=1e-4, rtol=GRADIENTS, msg=name)


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_autocast_stays_close(model, dtype):
    exact = model(**language_inputs(), output_hidden_states=True)
    with torch.autocast("cpu", dtype):
        rough = model(**language_inputs(), output_hidden_states=True)
    for ours, theirs in zip(exact.fused_features, rough.fused_features, strict=True):
        assert (ours - theirs.float()).abs().mean() < 0.1 * ours.abs().mean()
    assert rough.pred_masks.isfinite().all()


@torch.no_grad()
def test_weights_in_bfloat16_run(model):
    half = copy.deepcopy(model).bfloat16()
    inputs = {**mask_inputs(), **language_inputs()}
    output = half(**{k: v.bfloat16() if v.is_floating_point() else v for k, v in inputs.items()})
    assert output.pred_masks.isfinite().all() and output.logits.dtype == torch.bfloat16


@torch.no_grad()
def test_a_swin_backbone_works():
    swin = {"model_type": "swin", "embed_dim": 16, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2], "window_size": 4}
    model = small_model(backbone_config=swin)
    assert model(**language_inputs()).pred_masks.isfinite().all()


@torch.no_grad()
def test_a_roberta_text_encoder_works():
    roberta = {
        "model_type": "roberta",
        "vocab_size": 50,
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 48,
        "max_position_embeddings": 32,
    }
    model = small_model(text_config=roberta)
    assert model(**language_inputs()).pred_masks.isfinite().all()


@torch.no_grad()
def test_a_model_without_references_detects():
    model = small_model(use_language_references=False, use_mask_references=False, num_labels=7)
    output = model(pixel_values=picture(1, SIZE, SIZE))
    assert output.logits.shape == (1, 8, 7)
    assert not hasattr(model, "fusion")
    with pytest.raises(ValueError, match="input_ids"):
        model(**language_inputs())
    with pytest.raises(ValueError, match="reference_masks"):
        model(**mask_inputs())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixel_values": None}, "pixel_values"),
        ({"pixel_values": torch.zeros(3, SIZE, SIZE)}, "pixel_values"),
        ({"num_masks": 0}, "num_masks"),
        ({"num_masks": 9}, "num_masks"),
        ({"input_ids": sentence(3, 5)}, "3"),
        ({"attention_mask": torch.zeros(2, 6)}, "attention_mask"),
        ({"reference_masks": torch.zeros(2, 1, SIZE, SIZE)}, "reference_pixel_values"),
        ({"reference_masks": torch.zeros(2, SIZE, SIZE), "reference_pixel_values": torch.zeros(2, 3, SIZE, SIZE)}, "K"),
    ],
)
def test_contradicting_inputs_are_refused(model, change, message):
    with pytest.raises(ValueError, match=message):
        model(**{**language_inputs(), **change})


@torch.no_grad()
def test_an_image_with_fewer_positions_than_queries_is_refused_by_its_size():
    model = small_model(num_queries=22)
    inputs = {name: value for name, value in language_inputs().items() if name != "pixel_values"}
    with pytest.raises(ValueError, match=r"32x32 pixels have 22 positions") as error:
        small_model(num_queries=23)(**inputs, pixel_values=picture(2, 32, 32))
    assert "fewer than the 23 queries" in str(error.value) and "such as 64x64" in str(error.value)
    assert model(**inputs, pixel_values=picture(2, 32, 32)).logits.shape[:2] == (2, 22), "as many are enough"
    with pytest.raises(ValueError, match=r"96x96 pixels have 193 positions.*the 300 queries.*such as 128x128"):
        small_model(num_queries=300)(**inputs, pixel_values=picture(2, 96, 96))


def test_unknown_arguments_are_refused(model):
    with pytest.raises(TypeError, match="pixel_value"):
        model(**language_inputs(), pixel_value=1)


@pytest.mark.parametrize(
    "change",
    [
        {"backbone_norm": "layer"},
        {"matching": "greedy"},
        {"d_model": 50},
        {"value_encoder_widths": [1, 2]},
        {"backbone_config": {"model_type": "resnet", "depths": [1, 1], "hidden_sizes": [8, 8]}},
    ],
)
def test_wrong_configurations_are_refused(change):
    with pytest.raises((ValueError, StrictDataclassError), match=next(iter(change))):
        small_config(**change)


@torch.no_grad()
def test_the_model_compiles_without_graph_breaks(model):
    """The eager backend traces everything that a compiler would get, without waiting for a compiler."""
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    inputs = {**mask_inputs(1), **language_inputs(1), "attention_mask": torch.ones(1, 6, dtype=torch.long)}
    assert_same_output(compiled(**inputs), model(**inputs))


@torch.no_grad()
def test_the_image_forward_exports(model):
    inputs = {**language_inputs(1), "attention_mask": torch.tensor([[1, 1, 1, 1, 0, 0]])}
    inputs["pixel_values"], inputs["pixel_mask"] = padded(picture(1, 48, 64), SIZE, SIZE)
    program = torch.export.export(model, (), inputs)
    other = {**inputs, "input_ids": sentence(1, 6, 5), "pixel_values": inputs["pixel_values"] * 0.5}
    assert_same_output(program.module()(**other), model(**other))
