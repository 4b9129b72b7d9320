"""Clicks, boxes and scribbles: from what a user gives to what the model, a session and the command make of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import video_support as clips
from cli_support import save_tiny_checkpoint
from processor_support import picture, small_processor
from sam_support import sam_model
from transformers_uniref import UniRefModel
from transformers_uniref.core.errors import UsageError
from transformers_uniref.frontends.cli.main import main
from transformers_uniref.inference.pictures import segment_pictures
from transformers_uniref.processors.pointing import model_inputs, split_objects
from transformers_uniref.processors.processing_uniref import UniRefProcessor

SIZE = (80, 120)


@pytest.fixture(scope="module")
def pointed() -> UniRefModel:
    """The tiny model of the sessions' tests with an encoder of clicks beside its own weights."""
    config = clips.tiny_config()
    config.use_point_references = True
    torch.manual_seed(3)
    model = UniRefModel(config)
    known = clips.tiny_model().state_dict()
    missing = model.load_state_dict(known, strict=False).missing_keys
    assert missing and all(name.startswith("point_encoder.") for name in missing)
    return model.eval()


def test_places_become_shares_of_the_picture_and_strokes_become_clicks() -> None:
    [one] = split_objects(
        {"input_points": [(60, 20), (30, 40)], "input_labels": [1, 0], "input_boxes": (12, 8, 60, 80)}
    )
    made = model_inputs([one], [SIZE])
    torch.testing.assert_close(made["input_points"], torch.tensor([[[0.5, 0.25], [0.25, 0.5]]]))
    assert made["input_labels"].tolist() == [[1, 0]]
    torch.testing.assert_close(made["input_boxes"], torch.tensor([[0.1, 0.1, 0.5, 1.0]]))
    [stroke] = split_objects({"input_scribbles": [(0, 0), (60, 0), (60, 40)]})
    points = model_inputs([stroke], [SIZE])["input_points"][0] * torch.tensor([120, 80])
    steps = (points[1:] - points[:-1]).norm(dim=1)
    assert len(points) == 16 and steps.max() < 1.5 * steps.min()
    assert points[0].tolist() == [0, 0] and points[-1].tolist() == [60, 40]


def test_several_objects_are_told_apart_by_one_more_list() -> None:
    several = split_objects({"input_points": [[(1, 2)], [(3, 4), (5, 6)]], "input_boxes": [None, (0, 0, 9, 9)]})
    made = model_inputs(several, [SIZE, SIZE])
    assert made["input_labels"].tolist() == [[1, -1], [1, 1]]
    assert made["input_boxes"][0].tolist() == [0, 0, 0, 0] and made["input_boxes"][1].any()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"input_labels": [1]}, "`input_labels` came without"),
        ({"input_points": [[(1, 2)]], "input_boxes": [(0, 0, 9, 9), (1, 1, 5, 5)]}, "equally many objects"),
        ({"input_points": (130, 2)}, "`input_points` must lie in the picture"),
        ({"input_points": (3, 2), "input_labels": 2}, "`input_labels` must hold"),
        ({"input_boxes": (9, 9, 3, 3)}, "x0 < x1"),
    ],
)
def test_what_cannot_be_pointed_at_is_refused(given: dict, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        small_processor()(images=picture(), **given)


def test_padded_clicks_change_nothing_and_other_places_find_something_else(pointed: UniRefModel) -> None:
    inputs = UniRefProcessor(clips.image_processor())(images=clips.clip(1)[0], input_points=[[(37, 27)], [(71, 51)]])
    with torch.inference_mode():
        both = pointed(**inputs)
        first, second = both.pred_masks
        padded = dict(inputs)
        padded["input_points"] = torch.cat([inputs["input_points"], torch.rand(2, 3, 2)], 1)
        padded["input_labels"] = torch.cat([inputs["input_labels"], torch.full((2, 3), -1)], 1)
        same = pointed(**padded).pred_masks
        swapped = dict(inputs, input_labels=torch.zeros_like(inputs["input_labels"]))
        excluded = pointed(**swapped).pred_masks
    torch.testing.assert_close(same, both.pred_masks, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(first, second, atol=1e-3)
    assert not torch.allclose(excluded, both.pred_masks, atol=1e-3)


def test_a_padded_picture_gives_the_same_tokens_as_one_without(pointed: UniRefModel) -> None:
    values = torch.randn(1, 3, 128, 128)
    wide, valid = torch.zeros(1, 3, 128, 256), torch.zeros(1, 128, 256)
    wide[..., :128], valid[..., :128] = values, 1
    points, labels, boxes = torch.tensor([[[0.3, 0.6]]]), torch.ones(1, 1), torch.tensor([[0.1, 0.2, 0.5, 0.9]])
    encoder = pointed.point_encoder
    with torch.inference_mode():
        plain = pointed.encode_image(values)
        padded = pointed.encode_image(wide, valid)
        for level, own in zip(padded.levels, plain.levels, strict=True):
            level[..., : own.shape[-1]], level[..., own.shape[-1] :] = own, 0
        alone, beside = encoder(plain, points, labels, boxes), encoder(padded, points, labels, boxes)
    assert beside.levels[0].valid is not None
    kept = beside.levels[0].valid[0]
    torch.testing.assert_close(beside.levels[0].keys[:, kept], alone.levels[0].keys)
    torch.testing.assert_close(beside.query_positions[0][:, kept], alone.query_positions[0])


def test_clicks_and_a_sentence_act_together(pointed: UniRefModel) -> None:
    inputs = dict(UniRefProcessor(clips.image_processor())(images=clips.clip(1)[0], input_points=(37, 27)))
    words = {"input_ids": torch.tensor([clips.SENTENCES[0]])}
    with torch.inference_mode():
        both = pointed(**inputs, **words, output_hidden_states=True).fused_features[0]
        clicked = pointed(**inputs, output_hidden_states=True).fused_features[0]
        asked = {name: value for name, value in inputs.items() if not name.startswith("input_")}
        said = pointed(**asked, **words, output_hidden_states=True).fused_features[0]
        plain = pointed.encode_image(inputs["pixel_values"], inputs["pixel_mask"]).levels[0]
    torch.testing.assert_close(both - plain, clicked + said - 2 * plain, rtol=1e-3, atol=1e-3)


def test_a_model_without_the_encoder_refuses_clicks_and_its_front_ends_draw_a_mask() -> None:
    model, processor = clips.tiny_model(), UniRefProcessor(clips.image_processor())
    with pytest.raises(UsageError, match="use_point_references"):
        model(**processor(images=clips.clip(1)[0], input_points=(37, 27)))
    [[drawn]] = segment_pictures(model, processor, [(clips.clip(1)[0], ())], pointed={"input_points": [(37, 27)]})
    assert drawn.mask.shape == (clips.HEIGHT, clips.WIDTH)
    with pytest.raises(UsageError, match="cannot say that"):
        beside = {"input_points": [(37, 27)], "input_labels": [0]}
        segment_pictures(model, processor, [(clips.clip(1)[0], ())], pointed=beside)


def test_a_click_in_a_session_becomes_the_models_mask_and_is_followed(pointed: UniRefModel) -> None:
    processor, session = UniRefProcessor(clips.image_processor()), clips.offline(4, vos_score_threshold=None)
    processor.add_point_prompt(session, 0, [1, 2], [(37, 27), (54, 39)], labels=[[1], [1]])
    first = next(iter(pointed.propagate_in_video_iterator(session, max_frames=1)))
    inputs = processor(images=clips.clip(1)[0], input_points=[[(37, 27)], [(54, 39)]], size=clips.NETWORK_SIZE)
    with torch.inference_mode():
        features = pointed.encode_image(inputs["pixel_values"], inputs["pixel_mask"])
        found = pointed.encode_points(features, inputs["input_points"], inputs["input_labels"])
        _, logits = pointed.segment_objects(features, [pointed.project_references(found)])
    height, width = (int(side) for side in features.image_sizes[0])
    wanted = torch.nn.functional.interpolate(
        logits.sigmoid()[None, :, :height, :width], size=(clips.HEIGHT, clips.WIDTH), mode="bilinear"
    )[0]
    agree = ((wanted > 0.5) == (first.pred_masks > 0.5)).float().mean()
    assert first.object_ids == [1, 2] and agree > 0.99
    assert not session.prompts.points_at(0) and set(session.prompts.masks_at(0, session.video_size)) == {1, 2}
    assert len(list(pointed.propagate_in_video_iterator(session, start_frame_idx=1))) == 3


def test_a_click_on_a_later_frame_corrects_with_what_is_remembered(pointed: UniRefModel) -> None:
    processor = UniRefProcessor(clips.image_processor())

    def second_frame(with_memory: bool) -> torch.Tensor:
        session = clips.stream(vos_score_threshold=None)
        if with_memory:
            clips.add_mask(session, 1)
        pictures = clips.clip(2)
        pointed(inference_session=session, frame=pictures[0])
        processor.add_point_prompt(session, 1, 1, [(37, 27), (60, 45)], labels=[1, 0])
        return pointed(inference_session=session, frame=pictures[1]).pred_masks

    assert not torch.equal(second_frame(True), second_frame(False))


def test_a_session_of_a_model_without_the_encoder_keeps_the_drawn_mask() -> None:
    processor, session = UniRefProcessor(clips.image_processor()), clips.offline(2)
    processor.add_box_prompt(session, 0, 1, (20, 15, 50, 40))
    drawn = session.prompts.masks_at(0, session.video_size)[1]
    [first] = clips.tiny_model().propagate_in_video_iterator(session, max_frames=1)
    assert torch.equal(first.pred_masks[0] > 0.5, drawn)
    processor.add_point_prompt(session, 1, 1, [(37, 27)], labels=[0])
    with pytest.raises(UsageError, match="no encoder of clicks"):
        list(clips.tiny_model().propagate_in_video_iterator(session))


def test_the_command_takes_points_and_boxes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(picture()).save("photo.png")
    folder = str(save_tiny_checkpoint(tmp_path / "model"))
    line = ["segment", "photo.png", "--model", folder, "--device", "cpu", "--json", "--output", "out"]
    assert main([*line, "--point", "40,30", "--box", "20,10,70,60"]) == 0
    [found] = json.loads(capsys.readouterr().out)["objects"]
    assert 0 <= found["score"] <= 1
    assert main([*line, "--overwrite", "--not-point", "40,30"]) == 2
    assert "--not-point needs a model with an encoder of clicks" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*line, "--point", "40;30"])
    assert "X,Y" in capsys.readouterr().err


def test_a_saved_folder_keeps_the_encoder(pointed: UniRefModel, tmp_path: Path) -> None:
    pointed.save_pretrained(tmp_path)
    again = UniRefModel.from_pretrained(tmp_path)
    for name, value in pointed.point_encoder.state_dict().items():
        assert torch.equal(again.point_encoder.state_dict()[name], value)
    assert np.isfinite(again.point_encoder.query_places.weight.detach().numpy()).all()


def test_the_command_follows_what_is_pointed_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], pointed: UniRefModel
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "frames").mkdir()
    for index, frame in enumerate(clips.clip(3)):
        Image.fromarray(frame).save(f"frames/{index:05d}.png")
    pointed.save_pretrained("model")
    processor = small_processor()
    processor.save_pretrained("model")
    line = ["track", "frames", "--model", "model", "--device", "cpu", "--json", "--formats", "palette"]
    clicks = ["--point", "37,27", "--box", "20,15,50,40", "--not-point", "1=71,51"]
    assert main([*line, "--output", "out", *clicks]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["objects"]) == 1
    assert sorted(path.name for path in (tmp_path / "out" / "masks").iterdir()) == [f"0000{n}.png" for n in range(3)]
    assert main([*line, "--output", "other", "--point", "7=3,4"]) == 2
    assert "--point must name a frame of the clip" in capsys.readouterr().err


def test_the_sam_family_takes_clicks_too() -> None:
    model = sam_model(use_point_references=True)
    values, points = torch.randn(1, 3, 64, 64), torch.tensor([[[0.2, 0.2]], [[0.8, 0.7]]])
    with torch.inference_mode():
        found = model(
            pixel_values=values,
            input_points=points,
            input_labels=torch.ones(2, 1, dtype=torch.long),
            image_indices=torch.zeros(2, dtype=torch.long),
        ).pred_masks
    assert len(found) == 2 and torch.isfinite(found).all() and not torch.allclose(found[0], found[1])
