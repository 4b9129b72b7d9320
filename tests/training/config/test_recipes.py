"""The recipes: the figures of the paper's stages, their division on a machine, and the toy chain from end to end."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("accelerate")
datasets = pytest.importorskip("datasets")

from data_support import batches, open_world, run_config, sample_ids, world_feed  # noqa: E402
from data_support import dataset as section  # noqa: E402
from sam_support import DECODER, PROMPT, TEXT, VISION, WIDTH, save_plain_sam, save_text_encoder  # noqa: E402
from transformers_uniref.frontends.cli.main import main  # noqa: E402
from transformers_uniref.training.config.recipes import purpose_of  # noqa: E402
from transformers_uniref.training.config.training import load_config  # noqa: E402
from transformers_uniref.training.config.values import bundled_configs  # noqa: E402
from transformers_uniref.training.data.geometry import draw_geometry  # noqa: E402
from transformers_uniref.training.data.rescaling import divide, fit_to_machine  # noqa: E402
from transformers_uniref.training.export import build_image_processor  # noqa: E402
from transformers_uniref.training.loop import train  # noqa: E402
from transformers_uniref.training.metrics_log import MetricsLog  # noqa: E402
from transformers_uniref.training.model.factory import build_model, choose_tokenizer  # noqa: E402
from transformers_uniref.training.model.tokenizer import build_tokenizer  # noqa: E402
from transformers_uniref.training.resume_check import changed_options  # noqa: E402

BERT_TOKENS = 30522
STAGES = ("detection", "image", "image-few-shot", "video")
DETECTORS = [f"uniref-{backbone}-{stage}" for backbone in ("r50", "swin-l") for stage in STAGES]
PAPER = [*DETECTORS, "uniref-sam-h-image", "uniref-sam-h-video"]
TOY = ("world-toy-detection", "world-toy-image", "world-toy-few-shot", "world-toy-video")


pytestmark = pytest.mark.usefixtures("one_thread")


def model_on_paper(name, **changes):
    """The model of a recipe without start weights and without memory."""
    config = load_config(name)
    bare = dataclasses.replace(config, initial_weights="", backbone_weights="", text_weights="", **changes)
    with torch.device("meta"):
        return build_model(bare, BERT_TOKENS)


def options_of(values):
    """A mapping as an override takes it."""
    return json.dumps(values)


# Figures


@pytest.mark.parametrize(
    ("stage", "steps", "batch", "rate", "milestones", "weights"),
    [
        ("detection", 340741, 64, 2e-4, [312346], [1]),
        ("image", 90000, 32, 2e-4, [75000], [1, 1]),
        ("image-few-shot", 30000, 32, 2e-5, [], [1, 1, 0.05]),
        ("video", 90000, 32, 1e-4, [75000], [0.8, 0.6, 0.4, 0.2, 1, 1]),
    ],
)
@pytest.mark.parametrize("backbone", ["r50", "swin-l"])
def test_the_stages_have_the_released_figures(backbone, stage, steps, batch, rate, milestones, weights):
    config = load_config(f"uniref-{backbone}-{stage}")
    optimizer = config.optimizer
    assert (config.steps, config.global_batch) == (steps, batch)
    assert (optimizer.learning_rate, optimizer.milestones) == (rate, milestones)
    assert [dataset.weight for dataset in config.datasets] == weights
    assert (optimizer.gradient_clip, optimizer.weight_decay, optimizer.decay) == (0.1, 0.05, "all")
    assert config.model["boxinst_loss"] is (stage == "detection")
    assert config.model["num_labels"] == (365 if stage == "detection" else 1)
    assert config.model.get("auxiliary_mask_losses", False) is (stage == "video")
    assert config.model["use_language_references"] is (stage != "detection")
    assert config.model["use_mask_references"] is (stage in ("image-few-shot", "video"))
    assert config.datasets[-1].flip == 0.5 and config.datasets[-1].crop.probability == 0.5
    assert any("text_encoder" in pattern for pattern in config.frozen) is (stage == "video")
    assert any("embedder" in pattern for pattern in config.frozen) is (backbone == "r50")


@pytest.mark.parametrize("name", [*PAPER, *TOY])
def test_a_recipe_says_its_purpose_its_global_batch_and_where_its_figures_are_from(name):
    path = bundled_configs()[name]
    assert len(purpose_of(path)) > 40
    header = " ".join(line.lstrip("# ") for line in path.read_text().splitlines() if line.startswith("#"))
    assert "lobal batch" in header and ("Source of the figures" in header or "Made up" in header)
    assert str(load_config(name).global_batch) in header


def test_videos_are_trained_as_in_the_release():
    config = load_config("uniref-r50-video")
    by_name = {dataset.name: dataset for dataset in config.datasets}
    assert {d.frame_gap for d in config.datasets} == {10} and all(d.reference_first for d in config.datasets)
    assert all(d.full_resolution_masks is (d.task == "vos") for d in config.datasets)
    assert by_name["refcoco-pseudo-video"].language_only_share == 1.0
    assert by_name["refer-youtube-vos"].language_only_share == 0.4
    assert [d.pseudo_video.enabled for d in config.datasets] == [True, False, False, False, True, False]


def test_the_stages_of_sam_have_the_released_figures():
    image, video = load_config("uniref-sam-h-image"), load_config("uniref-sam-h-video")
    assert (image.global_batch, image.optimizer.learning_rate, image.steps) == (16, 2e-4, 90000)
    assert [dataset.weight for dataset in image.datasets] == [1, 0.05]
    assert (video.global_batch, video.optimizer.learning_rate, video.steps) == (16, 1e-4, 90000)
    assert [dataset.weight for dataset in video.datasets] == [0.8, 0.6, 0.4, 0.2, 1, 1]
    model = model_on_paper("uniref-sam-h-video")
    trained = {name.split(".")[0] for name, value in model.named_parameters() if value.requires_grad}
    assert trained == {"mask_decoder", "mask_encoder", "fusion", "language_encoder"}
    with pytest.raises(ValueError, match="`uniref convert`"):
        load_config("uniref-sam-h-image", ["backbone_weights=somewhere"])


@pytest.mark.parametrize("backbone", ["r50", "swin-l"])
def test_what_a_stage_hands_over_fits_the_next(backbone):
    before = {}
    for stage in STAGES:
        name = f"uniref-{backbone}-{stage}"
        config = load_config(name)
        now = model_on_paper(name).state_dict()
        assert config.starts_from == ("" if not before else f"uniref-{backbone}-{STAGES[STAGES.index(stage) - 1]}")
        other = {key for key, value in before.items() if key in now and now[key].shape != value.shape}
        assert bool(other) is (stage == "image") and all(key.startswith("class_heads.") for key in other)
        assert bool(config.initial_weights_skip) is (stage == "image")
        new = {key.split(".")[0] for key in now if key not in before} if before else set()
        expected = {"image": {"language_encoder", "fusion"}, "image-few-shot": {"mask_encoder"}}
        assert new == expected.get(stage, set())
        before = now


def test_the_saved_processor_has_the_released_sizes():
    processor = build_image_processor(load_config("uniref-r50-video").image_processor, 128)
    assert dict(processor.size) == {"shortest_edge": 800, "longest_edge": 1333}
    assert processor.few_shot_size["longest_edge"] == 768 and processor.video_size["shortest_edge"] == 480
    toy = load_config("world-toy-video")
    assert build_image_processor(toy.image_processor, toy.image_sizes[-1].size).size["shortest_edge"] == 64


def test_a_crop_without_a_first_resizing_cuts_the_picture_as_it_is():
    dataset = load_config("uniref-r50-video", ["datasets.0.crop.probability=1"]).datasets[0]
    geometry = draw_geometry(dataset, (480, 854), np.random.default_rng(0))
    assert geometry.first is None and geometry.window is not None
    assert 384 <= geometry.window[2] <= 480 and 384 <= geometry.window[3] <= 600


# What is left to the user


@pytest.mark.parametrize("name", PAPER)
def test_a_dry_run_works_without_data_and_says_what_to_set(name, capsys):
    assert main(["train", name, "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    missing = "\n".join(plan["missing"])
    assert all(f"datasets.{n}.source" in missing for n in range(len(load_config(name).datasets)))
    assert ("initial_weights" in missing) is (not name.endswith("detection"))
    assert ("backbone_weights" in missing) is (name in DETECTORS)
    assert plan["parameters"] >= plan["trainable"] > (30e6 if name in DETECTORS else 10e6)
    assert "global batch" in plan["division"] and "not opened" in plan["data"]


def test_a_run_is_refused_until_everything_is_set(tmp_path, capsys):
    assert main(["train", "uniref-r50-image", "--output", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert "datasets.0.source (coco), datasets.1.source (refcoco)" in said and "initial_weights" in said
    assert "uniref-r50-detection" in said and not (tmp_path / "run").exists()
    given_all = ["datasets.0.source=a", "datasets.1.weight=0", "backbone_weights=b"]
    assert load_config("uniref-r50-image", given_all).unset_options() == []
    assert load_config("uniref-r50-detection", ["backbone_weights="]).backbone_weights == ""
    photographs, start = load_config("world-photo").unset_options()
    assert photographs.startswith("sampling.photo_folder: ") and "world-fine" in start
    with pytest.raises(ValueError, match="initial_weights"):
        train(load_config("world-toy-video"), tmp_path / "run")


def test_every_recipe_is_listed_with_purpose_and_size(capsys):
    assert main(["train", "--list"]) == 0
    text = capsys.readouterr().out
    for name, path in bundled_configs().items():
        assert f"{name}\n    {purpose_of(path)}\n" in text
    assert "90,000 steps of 32 images, 320 to 800 pixels; starts from uniref-r50-image-few-shot" in text
    assert main(["train", "--list", "--json"]) == 0
    recipes = json.loads(capsys.readouterr().out)["recipes"]
    assert [recipe["name"] for recipe in recipes] == list(bundled_configs())


# Recipes on top of others


def test_a_recipe_says_only_what_differs_from_its_base(tmp_path):
    (tmp_path / "mine.yaml").write_text("base: world-smoke\nname: mine\nmodel: {num_queries: 6}\nmicro_batches: []\n")
    child = tmp_path / "child.yaml"
    child.write_text("base: mine.yaml\nname: child\nmicro_batches: [{scenes: {ris: 1}}]\n")
    config, base = load_config(child, ["steps=3"]), load_config("world-smoke")
    assert (config.name, config.steps, config.model["num_queries"]) == ("child", 3, 6)
    assert config.model["d_model"] == base.model["d_model"] and len(config.micro_batches) == 1


def test_a_base_that_leads_back_or_nowhere_is_refused(tmp_path):
    one, other = tmp_path / "one.yaml", tmp_path / "other.yaml"
    one.write_text("base: other.yaml\nname: one\n")
    other.write_text("base: one.yaml\nname: other\n")
    with pytest.raises(ValueError, match="leads back"):
        load_config(one)
    other.write_text("base: nobody\n")
    with pytest.raises(FileNotFoundError, match="nobody"):
        load_config(one)


# Division on a machine


@given(
    global_batch=st.integers(1, 64),
    wanted=st.integers(1, 16),
    processes=st.integers(1, 16),
    micro_batch=st.integers(0, 8),
)
def test_a_division_is_whole_gives_everyone_a_share_and_keeps_to_the_limit(
    global_batch, wanted, processes, micro_batch
):
    try:
        way = divide(global_batch, wanted, processes, micro_batch)
    except ValueError as error:
        assert global_batch < processes or (micro_batch and "micro_batch" in str(error))
        return
    assert way.batches * way.batch_size == global_batch and way.batches <= wanted
    assert way.batch_size >= processes * way.accumulation
    assert not micro_batch or way.largest_pass(processes) <= micro_batch


@pytest.mark.parametrize(
    ("processes", "micro_batch", "expected"),
    [
        (16, 2, (1, 32, 1)),
        (8, 2, (2, 16, 1)),
        (2, 1, (16, 2, 1)),
        (1, 2, (16, 2, 1)),
        (1, 1, (16, 2, 2)),
        (4, 8, (1, 32, 1)),
        (4, 0, (8, 4, 1)),
        (32, 4, (1, 32, 1)),
    ],
)
def test_the_image_stage_is_divided_as_its_machine_needs(processes, micro_batch, expected):
    config = load_config("uniref-r50-image", [f"micro_batch={micro_batch}"])
    fitted, said = fit_to_machine(config, processes)
    assert (fitted.mixture.batches, fitted.datasets[0].batch_size, fitted.accumulation) == expected
    assert f"global batch 32 = {expected[0]} batch(es) of {expected[1]} images" in said
    assert ("fewer batches than the 16 of the recipe" in said) is (expected[0] != 16)
    again, _ = fit_to_machine(fitted, processes)
    assert again == fitted


def test_impossible_divisions_are_refused():
    config = load_config("uniref-r50-image")
    with pytest.raises(ValueError, match=r"global_batch: got 32, too few to share between 64 processes"):
        fit_to_machine(config, 64)
    with pytest.raises(ValueError, match=r"micro_batch: got 1; 3 processes cannot share 4 images.*micro_batch=2"):
        divide(4, 1, 3, 1)


@pytest.mark.parametrize(
    ("recipe", "override", "named"),
    [
        ("world-smoke", "global_batch=8", "no datasets"),
        ("world-toy-image", "global_batch=0", "micro_batch: needs global_batch"),
        ("world-toy-image", "global_batch=-1", "global_batch"),
        ("world-toy-image", "datasets.0.batch_size=4", "one batch size for all"),
    ],
)
def test_options_of_the_division_are_checked(recipe, override, named):
    with pytest.raises(ValueError, match=named):
        load_config(recipe, [override])


def test_a_step_holds_the_same_samples_on_one_process_and_on_two(tmp_path):
    world = open_world(tmp_path)
    options = {"global_batch": 8, "micro_batch": 2, "mixture.batches": 2}
    config = run_config(section("det", "detection"), section("ref", "ris"), **options)
    seen = []
    for processes in (1, 2):
        fitted, _ = fit_to_machine(config, processes)
        assert (fitted.mixture.batches, fitted.accumulation) == (2, 2 // processes)
        parts = [
            sample_ids(batches(world_feed(world, fitted, process, processes), count=3)) for process in range(processes)
        ]
        seen.append([sorted(name for part in parts for name in part[step]) for step in range(3)])
    assert seen[0] == seen[1]


# Chains


def test_a_stage_keeps_the_tokenizer_of_the_one_before(tmp_path):
    """Its word embeddings would mean other words in an order of their own."""
    options = ["model.use_language_references=true", "model.num_labels=1"]
    small = build_tokenizer(["red", "ring"], 24)
    build_model(load_config("world-toy-detection", options), len(small)).save_pretrained(tmp_path)
    following = load_config("world-toy-image", [f"initial_weights={tmp_path}", "initial_weights_skip=[]"])
    words = ["blue", "red", "star"]
    assert "blue" in choose_tokenizer(following, words).get_vocab()  # there is no tokenizer to keep
    small.save_pretrained(tmp_path)
    kept = choose_tokenizer(following, words).get_vocab()
    assert kept == small.get_vocab() and "blue" not in kept
    anew = load_config("world-toy-image", [f"initial_weights={tmp_path}", "initial_weights_skip=[word_embeddings]"])
    assert "blue" in choose_tokenizer(anew, words).get_vocab()


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """All four toy stages, each from the one before: their folders, and what each said."""
    folder = tmp_path_factory.mktemp("chain")
    said, before = {}, None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", str(folder / "cache"))
        for name in TOY:
            arguments = ["train", name, "--output", str(folder / name)]
            if before:
                arguments += ["--override", f"initial_weights={folder / before / 'final'}"]
            messages: list[str] = []
            patch.setattr(MetricsLog, "message", lambda _, text, into=messages: into.append(text))
            assert main(arguments) == 0
            said[name], before = "\n".join(messages), name
    return folder, said


def test_the_toy_stages_run_one_after_the_other_and_name_what_is_new(chain):
    folder, said = chain
    for name in TOY:
        assert "global batch 4 =" in said[name]
        last = json.loads((folder / name / "log.jsonl").read_text().splitlines()[-1])
        assert last["step"] == load_config(name).steps
    assert "start weights" not in said[TOY[0]]
    assert "new" in said[TOY[1]] and "language_encoder" in said[TOY[1]] and "fusion" in said[TOY[1]]
    assert "skipped: class_heads" in said[TOY[1]]
    (new,) = [line for line in said[TOY[2]].splitlines() if "new," in line]
    assert "mask_encoder" in new and "language_encoder" not in new
    assert "new," not in said[TOY[3]]


def test_frozen_parts_stay_as_they_were_through_the_stages(chain):
    from transformers import AutoModel

    folder, _ = chain
    states = [AutoModel.from_pretrained(folder / name / "final").state_dict() for name in TOY]
    stem = "visual_encoder.backbone.embedder.embedder.convolution.weight"
    assert all(torch.equal(state[stem], states[0][stem]) for state in states)
    words = "language_encoder.text_encoder.embeddings.word_embeddings.weight"
    assert torch.equal(states[3][words], states[2][words]) and not torch.equal(states[2][words], states[1][words])
    assert not torch.equal(states[3]["fusion.q_proj.weight"], states[2]["fusion.q_proj.weight"])


def test_the_last_stage_can_be_loaded_and_used(chain):
    from transformers import AutoProcessor, pipeline

    final = str(chain[0] / TOY[-1] / "final")
    assert AutoProcessor.from_pretrained(final).image_processor.size["shortest_edge"] == 64
    picture = np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    result = pipeline("referring-segmentation", model=final)(picture, text="the red ring")
    assert np.asarray(result[0]["mask"] if isinstance(result, list) else result["mask"]).shape == (64, 80)


def test_a_stage_of_the_chain_resumes_on_its_recipe(chain, capsys):
    folder, _ = chain
    name = TOY[1]
    again = ["train", name, "--output", str(folder / name), "--resume"]
    again += ["--override", f"initial_weights={folder / TOY[0] / 'final'}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", str(folder / "cache"))
        assert main(again) == 0
    assert main([*again, "--override", "global_batch=8"]) == 2
    assert "global_batch: 4 then, 8 now" in capsys.readouterr().err


def test_an_option_that_a_run_did_not_know_yet_has_not_changed():
    now = load_config("world-toy-video").to_dict()
    then = {name: value for name, value in now.items() if name not in ("architecture", "micro_batch")}
    assert changed_options(then, now | {"micro_batch": 0}) == []
    assert changed_options(then, now) == ["micro_batch: 0 then, 2 now"]
    assert changed_options(then | {"gone": 1}, now | {"micro_batch": 0})[-1] == "gone: 1 then, absent now"


def test_sam_learns_both_its_stages_around_a_public_model(tmp_path, monkeypatch):
    """The recipes of ViT-H on a ViT of 64 pixels and scenes that are drawn."""
    from transformers import AutoModel, pipeline

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    plain, text = save_plain_sam(tmp_path / "sam"), save_text_encoder(tmp_path / "bert")
    start = tmp_path / "start"
    assert main(["convert", str(plain), str(start), "--sam", "--text-encoder", str(text)]) == 0
    vision = {"model_type": "sam_vision_model", **VISION}
    small = {
        "steps": "2",
        "global_batch": "4",
        "mixture.batches": "2",
        "loader_workers": "0",
        "optimizer.milestones": "[1]",
        "text.config": options_of(TEXT),
        "model.vision_config": options_of(vision),
        "model.prompt_encoder_config": options_of(PROMPT),
        "model.mask_decoder_config": options_of(DECODER),
        "model.d_model": str(WIDTH),
        "image_processor": options_of({"size": {"longest_edge": 64}, "pad_size": {"height": 64, "width": 64}}),
    }
    before = start
    for stage in ("image", "video"):
        recipe = f"uniref-sam-h-{stage}"
        changes = dict(small)
        for number, dataset in enumerate(load_config(recipe).datasets):
            stills = dataset.task in ("ris", "fss") or dataset.pseudo_video.enabled
            changes[f"datasets.{number}.source"] = "world:stills" if stills else "world:clips"
            changes |= {f"datasets.{number}.samples": "12", f"datasets.{number}.short_sides": "[64]"}
            changes |= {f"datasets.{number}.longest_side": "64", f"datasets.{number}.crop.least": "40"}
            changes |= {f"datasets.{number}.crop.most": "60", f"datasets.{number}.weight": "1"}
        arguments = ["train", recipe, "--output", str(tmp_path / stage)]
        for name, value in (changes | {"initial_weights": str(before)}).items():
            arguments += ["--override", f"{name}={value}"]
        assert main(arguments) == 0
        after = tmp_path / stage / "final"
        old, new = (AutoModel.from_pretrained(folder).state_dict() for folder in (before, after))
        changed = {name.split(".")[0] for name in new if not torch.equal(old[name], new[name])}
        assert {"fusion", "mask_encoder", "mask_decoder"} <= changed
        assert not changed & {"visual_encoder", "prompt_encoder"}
        before = after
    picture = np.random.default_rng(0).integers(0, 256, (48, 80, 3), dtype=np.uint8)
    result = pipeline("referring-segmentation", model=str(after))(picture, text="the red ring")
    assert np.asarray(result[0]["mask"] if isinstance(result, list) else result["mask"]).shape == (48, 80)
    with pytest.raises(ValueError, match="type 'uniref_sam'; needed is 'uniref'"):
        build_model(load_config("world-toy-image", [f"initial_weights={start}"]), 90)
