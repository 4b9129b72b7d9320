"""Sounds as references: the encoder, the processor, sessions, the drawn world's sounds, training and commands."""

from __future__ import annotations

import json
import wave

import numpy as np
import pytest
import torch

from model_support import small_model
from processor_support import picture, small_processor
from training_support import very_tiny
from transformers_uniref import UniRefModel, UniRefProcessor
from transformers_uniref.evaluation.world_sound import evaluate_sounds
from transformers_uniref.frontends.cli.main import main
from transformers_uniref.modeling.references import joined
from transformers_uniref.processors.log_mel import LogMelExtractor
from transformers_uniref.training.config.training import load_config
from transformers_uniref.training.config.world import SamplingConfig
from transformers_uniref.training.data.collation import Collator
from transformers_uniref.training.data.mixture import ScenePlan
from transformers_uniref.training.data.world_source import WorldSource
from transformers_uniref.training.loop import train
from transformers_uniref.training.model.audio_start import name_tokens, teach_names_
from transformers_uniref.training.model.tokenizer import build_tokenizer
from transformers_uniref.worlds import World, vocabulary
from transformers_uniref.worlds.drawn.shapes import NAMED_SHAPES
from transformers_uniref.worlds.drawn.sound import (
    NAMES,
    SAMPLING_RATE,
    TIMBRES,
    loudness_of,
    random_sounds,
    room_noise,
    sound_of_object,
    synthesise,
    tellable,
)

SMALL = {"model_type": "uniref_log_mel", "widths": [8, 8, 8], "hidden_size": 16, "num_mel_bins": 32}


def hearing_model(**changes) -> UniRefModel:
    return small_model(use_audio_references=True, **{"audio_config": SMALL, **changes})


def hearing_processor(bands: int = 32) -> UniRefProcessor:
    processor = small_processor()
    processor.audio_extractor, processor.text_length = LogMelExtractor(bands), 12
    return processor


def hum(hertz: float = 300.0, seconds: float = 0.5, rate: int = SAMPLING_RATE) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


# ---------------------------------------------------------------------------------------------------- model, processor
def test_what_is_found_depends_on_the_sound():
    model, processor = hearing_model(), hearing_processor()
    inputs = processor(images=picture(), audio=[hum(200), hum(900)], sampling_rate=SAMPLING_RATE)
    assert inputs["audio_values"].shape == (2, 32, 51) and inputs["image_indices"].tolist() == [0, 0]
    with torch.no_grad():
        output = model(**inputs)
    assert output.pred_masks.shape[0] == 2 and not torch.allclose(output.logits[0], output.logits[1], atol=1e-4)


def test_padding_of_a_shorter_sound_changes_nothing_of_note():
    model, extractor = hearing_model(), LogMelExtractor(32)
    sounds = [hum(300, 0.64), hum(700, 1.28)]
    together = extractor(sounds, sampling_rate=SAMPLING_RATE)
    with torch.no_grad():
        both = model.encode_audio(together["input_features"], together["attention_mask"]).levels[0].keys
        alone = model.encode_audio(extractor(sounds[:1], sampling_rate=SAMPLING_RATE)["input_features"]).levels[0].keys
        unmasked = model.encode_audio(together["input_features"]).levels[0].keys
    # Convolutions see a few frames of it at the border.
    assert (both[0] - alone[0]).abs().mean() < 0.4 * (unmasked[0] - alone[0]).abs().mean()


def test_a_sentence_and_a_sound_are_one_reference_of_both():
    model, processor = hearing_model(), hearing_processor()
    inputs = processor(images=picture(), text="the dog", audio=hum(), sampling_rate=SAMPLING_RATE)
    with torch.no_grad():
        said = model.encode_language(inputs["input_ids"], inputs["attention_mask"])
        heard = model.encode_audio(inputs["audio_values"], inputs["audio_mask"])
        both = joined(said, heard).levels[0]
        words = int(inputs["attention_mask"].sum())
        assert both.keys.shape[1] == words + model.config.audio_tokens and both.valid.all()
        torch.testing.assert_close(both.condition, (said.levels[0].condition + heard.levels[0].condition) / 2)
        results = [model(**part).logits for part in (inputs, {k: v for k, v in inputs.items() if "audio" not in k})]
    assert not torch.allclose(*results, atol=1e-4)
    with pytest.raises(ValueError, match="equally many entries, got 1 sentences and 2 sounds"):
        model.encode_said(inputs["input_ids"], None, inputs["audio_values"].repeat(2, 1, 1))


@pytest.mark.parametrize(
    ("audio_config", "extractor"),
    [
        (
            {"model_type": "whisper", "d_model": 16, "encoder_layers": 1, "decoder_layers": 1}
            | {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 16}
            | {"decoder_ffn_dim": 16, "vocab_size": 20, "num_mel_bins": 16, "max_source_positions": 50}
            | {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1},
            {"feature_extractor_type": "WhisperFeatureExtractor", "feature_size": 16, "chunk_length": 1},
        ),
        (
            {"model_type": "wav2vec2", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
            | {"intermediate_size": 16, "conv_dim": [8, 8], "conv_stride": [10, 8], "conv_kernel": [10, 8]}
            | {"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2},
            {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "return_attention_mask": True},
        ),
    ],
    ids=["whisper", "wav2vec2"],
)
def test_any_audio_encoder_of_transformers_hears(audio_config, extractor):
    model = hearing_model(audio_config=audio_config)
    processor = UniRefProcessor(small_processor().image_processor, audio_extractor=extractor)
    sounds = [hum(200), hum(900, 0.3)]
    inputs = processor(images=picture(), audio=sounds, sampling_rate=SAMPLING_RATE)
    with torch.no_grad():
        output = model(**inputs)
    assert output.logits.isfinite().all() and not torch.allclose(output.logits[0], output.logits[1], atol=1e-4)


def test_a_model_that_hears_is_saved_and_loaded_and_others_say_nothing_of_it(tmp_path):
    model, processor = hearing_model(), hearing_processor()
    model.save_pretrained(tmp_path / "hears")
    processor.save_pretrained(tmp_path / "hears")
    again = UniRefModel.from_pretrained(tmp_path / "hears")
    inputs = processor(images=picture(), audio=hum(), sampling_rate=SAMPLING_RATE)
    same = UniRefProcessor.from_pretrained(tmp_path / "hears")(images=picture(), audio=hum(), sampling_rate=16_000)
    with torch.no_grad():
        torch.testing.assert_close(model(**inputs).logits, again(**same).logits)
    small_processor().save_pretrained(tmp_path / "deaf")
    assert "audio_extractor" not in json.loads((tmp_path / "deaf" / "processor_config.json").read_text())
    assert not any("audio" in name for name in small_model().state_dict())


def test_hearing_can_be_added_to_a_saved_model(tmp_path):
    deaf = small_model()
    deaf.save_pretrained(tmp_path)
    hears, account = UniRefModel.from_pretrained(tmp_path, use_audio_references=True, output_loading_info=True)
    assert all(name.startswith("audio_encoder.") for name in account["missing_keys"])
    assert sum(p.numel() for p in hears.audio_encoder.parameters()) * 4 < 2_000_000
    values = hears.state_dict()
    assert all(torch.equal(value, values[name]) for name, value in deaf.state_dict().items())
    assert all(value.isfinite().all() for value in values.values())


def test_a_model_that_hears_nothing_says_so():
    with pytest.raises(ValueError, match=r"hears nothing \(use_audio_references is off\); docs/sound.md"):
        small_model().encode_audio(torch.zeros(1, 32, 50))
    with pytest.raises(ValueError, match="`audio` needs a model that hears"):
        small_processor()(images=picture(), audio=hum(), sampling_rate=SAMPLING_RATE)


@pytest.mark.parametrize(
    ("audio", "rate", "message"),
    [
        (hum(), None, "`sampling_rate` is missing"),
        (hum(), 44_100, "`sampling_rate` must be 16000 Hz, which this model hears, got 44100"),
        (hum(), 16_000.0, "`sampling_rate` must be an integer"),
        (np.stack([hum()] * 2)[None], 16_000, "one channel, floating point"),
        ((hum() * 30_000).astype(np.int16), 16_000, "floating point"),
        (hum() * 30_000, 16_000, "within -1 to 1"),
        (hum()[:100], 16_000, "must last a twentieth of a second, 800 samples, got 100"),
        (hum() * np.nan, 16_000, "NaN"),
        ([], 16_000, "`audio` is empty"),
    ],
)
def test_a_sound_that_cannot_be_is_refused_by_name(audio, rate, message):
    with pytest.raises((ValueError, TypeError), match=message):
        hearing_processor()(images=picture(), audio=audio, sampling_rate=rate)


def test_sounds_must_be_as_many_as_what_they_stand_beside():
    processor = hearing_processor()
    with pytest.raises(ValueError, match="`text` and `audio` must .* got 2 sentences and 1 sounds"):
        processor(images=picture(), text=["the dog", "the cat"], audio=hum(), sampling_rate=SAMPLING_RATE)
    with pytest.raises(ValueError, match="`audio` came without `images`"):
        processor(text="the dog", audio=hum(), sampling_rate=SAMPLING_RATE)
    with pytest.raises(ValueError, match="must name a feature extractor of Transformers, got 'BertModel'"):
        UniRefProcessor(processor.image_processor, audio_extractor={"feature_extractor_type": "BertModel"})
    with pytest.raises(TypeError, match="must be a feature extractor"):
        UniRefProcessor(processor.image_processor, audio_extractor=3)


def test_spectrograms_keep_how_loud_a_sound_is():
    extractor = LogMelExtractor()
    loud, faint, silence = (
        extractor([sound], sampling_rate=SAMPLING_RATE)["input_features"]
        for sound in (hum(), hum() / 100, np.zeros(8000, np.float32))
    )
    assert loud.max() > faint.max() + 0.9 and bool((silence == -1).all())
    # 300 Hz lies in the lower bands.
    assert int(loud[0, :, 25].argmax()) < 16


# -------------------------------------------------------------------------------------------------------------- videos
def frames(count: int = 8) -> list[np.ndarray]:
    return [picture(48, 64, seed) for seed in range(count)]


def test_a_sound_beside_the_frames_is_listened_to_piece_by_piece():
    model, processor = hearing_model(), hearing_processor()
    track = np.concatenate([hum(200, 1.0), hum(900, 1.0)])
    session = processor.init_video_session(video=frames(), threshold=0)
    processor.add_audio_prompt(session, 1, track, SAMPLING_RATE, frames_per_second=4)
    assert sorted(session.prompts[1].texts) == [0, 2, 4, 6]
    outputs = list(model.propagate_in_video_iterator(session))
    assert [output.object_ids for output in outputs] == [[1]] * 8 and session.gate_of(1) is None
    whole = processor.init_video_session(video=frames(), threshold=0, propagate_text=False)
    processor.add_audio_prompt(whole, 1, hum(900, 0.5), SAMPLING_RATE)
    alike = list(model.propagate_in_video_iterator(whole))
    assert list(whole.prompts[1].texts) == [0]
    # Where the same piece of sound is listened to anew, it finds the same.
    torch.testing.assert_close(outputs[6].object_scores, alike[6].object_scores)
    assert not torch.allclose(outputs[2].object_scores, alike[2].object_scores, atol=1e-5)


def test_a_sound_may_come_with_a_sentence_and_into_a_stream():
    model, processor = hearing_model(), hearing_processor()
    scores = []
    for text in (None, "the dog"):
        session = processor.init_video_session(threshold=0)
        processor.add_audio_prompt(session, 3, hum(), SAMPLING_RATE, text=text)
        output = model(inference_session=session, frame=frames(1)[0])
        assert output.object_ids == [3] and session.num_bytes() > 0
        scores.append(output.object_scores)
    assert not torch.allclose(*scores, atol=1e-5)


def test_prompts_of_sound_are_checked():
    processor = hearing_processor()
    session = processor.init_video_session(video=frames(2))
    with pytest.raises(ValueError, match="`audio` must be one sound, got 2"):
        processor.add_audio_prompt(session, 1, [hum(), hum()], SAMPLING_RATE)
    with pytest.raises(ValueError, match="`frames_per_second` must be above 0, got 0"):
        processor.add_audio_prompt(session, 1, hum(), SAMPLING_RATE, frames_per_second=0)
    with pytest.raises(ValueError, match="`step` must be at least 0.1 seconds"):
        processor.add_audio_prompt(session, 1, hum(), SAMPLING_RATE, frames_per_second=2, step=0.01)
    with pytest.raises(ValueError, match="`audio_values` must be one sound"):
        session.add_audio(0, 1, torch.zeros(2, 32, 9))
    assert session.object_ids == []
    processor.add_audio_prompt(session, 1, hum(), SAMPLING_RATE)
    with pytest.raises(ValueError, match="use_audio_references is off"):
        next(iter(small_model().propagate_in_video_iterator(session)))


# --------------------------------------------------------------------------------------------------------------- world
def test_every_named_shape_has_a_sound_of_its_own():
    assert set(TIMBRES) == set(NAMED_SHAPES)
    extractor, made = LogMelExtractor(), []
    for shape in NAMED_SHAPES:
        sound = synthesise(shape, 0.13, 0.5, 1.0, np.random.default_rng(0))
        assert sound.shape == (SAMPLING_RATE,) and 0.1 < np.abs(sound).max() < 0.12
        made.append(extractor([sound], sampling_rate=SAMPLING_RATE)["input_features"][0])
    apart = torch.cdist(torch.stack(made).flatten(1), torch.stack(made).flatten(1))
    assert float((apart + 1e6 * torch.eye(len(made))).min()) > 5


def test_small_things_are_high_near_and_fast_ones_loud():
    small, big = (synthesise("circle", radius, 0.5, 1.0, np.random.default_rng(0)) for radius in (0.13, 0.22))
    pitches = [int(np.abs(np.fft.rfft(sound)).argmax()) for sound in (small, big)]
    assert pitches[0] == pytest.approx(60 / 0.13, abs=2) and pitches[1] == pytest.approx(60 / 0.22, abs=2)
    assert loudness_of(0.5, 0.5) > loudness_of(0.1, 0.2) == loudness_of(0.1, 0.2, 0.0) < loudness_of(0.1, 0.2, 0.05)
    assert loudness_of(0.5, 0.5, 1.0) == 1 and loudness_of(0, 0) == 0
    assert np.abs(room_noise(1.0, np.random.default_rng(1))).max() < 0.02


def test_scenes_sound_the_same_each_time_and_only_where_sounds_tell():
    world = World(split="test", size=64)
    assert world.image(3)["image"].tobytes() == world.image(3, sounds=True)["image"].tobytes()
    told = 0
    for index in range(12):
        scene, again = world.image(index, sounds=True), world.image(index, sounds=True)
        looks = [(one["shape"], one["size"]) for one in scene["objects"]]
        for number, sound in enumerate(scene["sounds"]):
            assert (sound is None) == (looks.count(looks[number]) > 1)
            assert sound is None or np.array_equal(sound, again["sounds"][number])
        told += len(tellable(scene["objects"]))
        assert np.abs(scene["silence"]).max() < 0.02
    assert told > 12


def test_in_a_clip_one_object_sounds_after_the_other():
    world = World(split="validation", size=64)
    changes = 0
    for index in range(6):
        clip = world.clip(index, frames=12, frames_per_second=4)
        assert clip["sound"].shape == (3 * SAMPLING_RATE,) and len(clip["sounding"]) == 12
        for time, who in enumerate(clip["sounding"]):
            level = np.abs(clip["sound"][time * 4000 : (time + 1) * 4000]).max()
            assert (level > 0.02) == bool(who) and (not who or clip["visible"][who][time])
        changes += len(set(clip["sounding"])) > 1
    assert changes


def test_random_sounds_are_named():
    numbers, sounds = random_sounds(60, np.random.default_rng(0))
    assert len(sounds) == 60 and set(numbers) <= set(range(len(NAMES))) and NAMES[-1] == ""
    silent = [np.abs(sound).max() < 0.02 for sound in sounds]
    assert silent == [number == len(NAMES) - 1 for number in numbers] and 0 < sum(silent) < 20
    assert sound_of_object({"shape": "star", "radius": 0.13, "centre": (0.5, 0.5)}, 0.5, np.random.default_rng(0)).any()


# --------------------------------------------------------------------------------------------------------------- files
def write_wav(path, sound: np.ndarray, rate: int = SAMPLING_RATE, channels: int = 1):
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, 2, rate, 0, "NONE", ""))
        file.writeframes((np.repeat(sound[:, None], channels, 1) * 32_767).astype("<i2").tobytes())
    return path


def write_clip(path, sound: np.ndarray | None, count: int = 8, rate: int = 4):
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=rate)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = None if sound is None else container.add_stream("aac", rate=SAMPLING_RATE, layout="mono")
        for image in frames(count):
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(video.encode())
        if audio is not None and sound is not None:
            for start in range(0, len(sound), 1024):
                frame = av.AudioFrame.from_ndarray(sound[None, start : start + 1024], format="fltp", layout="mono")
                frame.sample_rate, frame.pts = SAMPLING_RATE, start
                container.mux(audio.encode(frame))
            container.mux(audio.encode())
    return path


def test_sounds_are_read_mixed_and_resampled(tmp_path):
    pytest.importorskip("av")
    from transformers_uniref.media.sound import read_sound

    exact = read_sound(write_wav(tmp_path / "a.wav", hum()), SAMPLING_RATE)
    assert exact.dtype == np.float32 and np.abs(exact - hum()).max() < 1e-3
    stereo = read_sound(write_wav(tmp_path / "b.wav", hum(rate=44_100), 44_100, channels=2), SAMPLING_RATE)
    assert abs(len(stereo) - 8000) < 20 and int(np.abs(np.fft.rfft(stereo, 16_000)).argmax()) == pytest.approx(
        300, abs=2
    )
    track = read_sound(write_clip(tmp_path / "c.mp4", hum(300, 2.0)), SAMPLING_RATE)
    assert abs(len(track) - 32_000) < 4000
    with pytest.raises(ValueError, match="`audio` must have a sound track, this file has none"):
        read_sound(write_clip(tmp_path / "d.mp4", None), SAMPLING_RATE)
    (tmp_path / "e.wav").write_text("no sound")
    with pytest.raises(ValueError, match="`audio` could not be read"):
        read_sound(tmp_path / "e.wav", SAMPLING_RATE)
    with pytest.raises(FileNotFoundError, match="`audio` must be a file with sound"):
        read_sound(tmp_path / "f.wav", SAMPLING_RATE)


@pytest.fixture(scope="module")
def hearing_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hearing")
    hearing_model(text_config=None, use_language_references=False).save_pretrained(folder)
    processor = small_processor(tokenizer=False, video_size={"shortest_edge": 48, "longest_edge": 64})
    processor.audio_extractor = LogMelExtractor(32)
    processor.save_pretrained(folder)
    return folder


def test_the_command_line_segments_what_sounds(hearing_folder, tmp_path, capsys):
    pytest.importorskip("av")
    from PIL import Image

    Image.fromarray(picture()).save(tmp_path / "photo.png")
    command = ["segment", str(tmp_path / "photo.png"), "--audio", str(write_wav(tmp_path / "a.wav", hum()))]
    command += ["--output", str(tmp_path / "out"), "--quiet", "--json"]
    assert main([*command, "--model", str(hearing_folder), "--threshold", "0"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["objects"]
    assert found["text"] is None and 0 <= found["score"] <= 1 and (tmp_path / "out" / "overlay.png").exists()
    assert main([*command, "--overwrite"]) == 2
    assert "--audio needs a model that hears, this one has no audio encoder (see docs/sound.md)" in (
        capsys.readouterr().err
    )


def test_the_command_line_follows_what_sounds_in_a_clip(hearing_folder, tmp_path, capsys):
    clip = write_clip(tmp_path / "clip.mp4", np.concatenate([hum(200, 1.0), hum(900, 1.0)]))
    options = ["--model", str(hearing_folder), "--threshold", "0", "--formats", "palette", "--quiet", "--json"]
    assert main(["track", str(clip), "--output", str(tmp_path / "own"), *options, "--audio"]) == 0
    (own,) = json.loads(capsys.readouterr().out)["objects"]
    assert own["frames"] == 8 and own["text"] is None
    other = str(write_wav(tmp_path / "a.wav", hum(500, 2.0)))
    assert main(["track", str(clip), "--output", str(tmp_path / "other"), *options, "--audio", other]) == 0
    (beside,) = json.loads(capsys.readouterr().out)["objects"]
    assert beside["mean_score"] != own["mean_score"]
    silent = write_clip(tmp_path / "silent.mp4", None)
    assert main(["track", str(silent), "--output", str(tmp_path / "none"), *options, "--audio"]) == 2
    assert "--audio must have a sound track, this file has none" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------ training, evaluation
def test_training_samples_sound_and_silence_means_nothing():
    source = WorldSource(SamplingConfig(absent_share=1.0))
    collator = Collator(build_tokenizer(vocabulary(), 24), 24, audio_extractor=LogMelExtractor(32))
    plans = [ScenePlan("sound", index, 64, 0, easy=False, seed=index) for index in range(4)]
    samples, again = [source.draw(plan) for plan in plans], [source.draw(plan) for plan in plans]
    for sample, other in zip(samples, again, strict=True):
        assert [entry.target.any() for entry in sample.entries[:-1]] == [True] * (len(sample.entries) - 1)
        assert not sample.entries[-1].target.any() and len(sample.entries) > 1
        assert all(np.array_equal(a.sound, b.sound) for a, b in zip(sample.entries, other.entries, strict=True))
    batch = collator(samples)
    count = sum(len(sample.entries) for sample in samples)
    assert batch.inputs["audio_values"].shape == (count, 32, 101) and "input_ids" not in batch.inputs
    samples[0].entries[0].sound = None
    with pytest.raises(ValueError, match="the same kind and number of references"):
        collator(samples)


def test_an_audio_encoder_learns_the_names_of_what_sounds():
    tokenizer, extractor = build_tokenizer(vocabulary(), 12), LogMelExtractor(32)
    model = hearing_model(text_config=small_model().config.text_config.to_dict() | {"vocab_size": len(tokenizer)})
    before = {name: value.clone() for name, value in model.state_dict().items()}
    targets = name_tokens(model, tokenizer)
    assert targets.shape == (len(NAMES), model.config.audio_tokens, 64)
    few, many = teach_names_(model, tokenizer, extractor, 4), teach_names_(model, tokenizer, extractor, 60)
    assert many < 0.7 * few and not model.training
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and all(name.startswith("audio_encoder.") for name in changed)
    with pytest.raises(ValueError, match="audio_start_steps: needs a model that reads and hears"):
        teach_names_(small_model(), tokenizer, extractor, 4)


def test_a_run_adds_hearing_to_a_model_and_trains_nothing_else(tmp_path):
    train(very_tiny("steps=1", "micro_batches=[{scenes: {ris: 1}}]"), tmp_path / "first")
    first = tmp_path / "first" / "final"
    audio = '{"model_type": "uniref_log_mel", "widths": [8, 8, 8], "hidden_size": 16}'
    overrides = [f"initial_weights={first}", "steps=2", "micro_batches=[{scenes: {sound: 2}}]", "audio_start_steps=2"]
    overrides += ["image_sizes=[{until: 1.0, size: 64}]", f"model.audio_config={audio}", "save_dtype=float32"]
    train(load_config("world-sound", [*overrides, "loader_workers=0"]), tmp_path / "second")
    second = tmp_path / "second" / "final"
    before, after = (UniRefModel.from_pretrained(folder).state_dict() for folder in (first, second))
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    added = set(after) - set(before)
    assert added and all(name.startswith("audio_encoder.") for name in added)
    assert UniRefProcessor.from_pretrained(second).audio_extractor.feature_size == 64
    # A later run goes on with what is there.
    overrides[0] = f"initial_weights={second}"
    train(load_config("world-sound", [*overrides[:3], *overrides[4:], "loader_workers=0"]), tmp_path / "third")
    with pytest.raises(ValueError, match=r"model.d_model: got 8.*parts may be added .*use_audio_references"):
        train(load_config("world-sound", [*overrides, "model.d_model=8"]), tmp_path / "fourth")


def test_sounds_are_measured_in_pictures_and_clips(hearing_folder, capsys):
    model = UniRefModel.from_pretrained(hearing_folder).eval()
    processor = UniRefProcessor.from_pretrained(hearing_folder)
    report = evaluate_sounds(model, processor, images=3, clips=1, size=64)
    values = report.to_dict()
    assert values["counts"]["sound"] == dict.fromkeys(values["sound"], 3)
    assert values["counts"]["clips"]["right_object"] + values["counts"]["clips"]["silence_empty"] == 16
    assert all(0 <= value <= 1 for value in values["sound"].values())
    command = ["evaluate", "--dataset", "world-sound", "--images", "2", "--clips", "1", "--size", "64", "--quiet"]
    assert main([*command, "--model", str(hearing_folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["settings"]["dataset"] == "world-sound"
    assert main(command) == 2
    assert "--model must hear" in capsys.readouterr().err
    with pytest.raises(ValueError, match="`split` must be test or validation"):
        evaluate_sounds(model, processor, split="train")
