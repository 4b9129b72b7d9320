"""Training: configuration, mixture, collation, helpers, and a loop that learns, resumes and saves."""

import dataclasses
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch

pytest.importorskip("accelerate")

from transformers_uniref.processors.targets import make_label, relative_boxes  # noqa: E402
from transformers_uniref.training.checkpointing import list_checkpoints, save_checkpoint  # noqa: E402
from transformers_uniref.training.config.loop import OptimizerConfig  # noqa: E402
from transformers_uniref.training.config.training import config_from_dict, load_config  # noqa: E402
from transformers_uniref.training.config.values import bundled_configs  # noqa: E402
from transformers_uniref.training.config.world import SamplingConfig  # noqa: E402
from transformers_uniref.training.data.collation import Collator  # noqa: E402
from transformers_uniref.training.data.corruption import corrupt_mask  # noqa: E402
from transformers_uniref.training.data.mixture import Mixture, ScenePlan  # noqa: E402
from transformers_uniref.training.data.samples import Entry, Sample  # noqa: E402
from transformers_uniref.training.data.world_source import WorldSource  # noqa: E402
from transformers_uniref.training.loop import TrainingRun, train  # noqa: E402
from transformers_uniref.training.model.initialisation import identity_fusion_  # noqa: E402
from transformers_uniref.training.model.tokenizer import build_tokenizer  # noqa: E402
from transformers_uniref.training.step.auxiliary_head import AuxiliaryMaskHead  # noqa: E402
from transformers_uniref.training.step.ema import ExponentialMovingAverage  # noqa: E402
from transformers_uniref.training.step.optimisation import learning_rate_factor, parameter_groups  # noqa: E402
from transformers_uniref.training.validation.validation import Validation, validation_parts  # noqa: E402

TINY = (
    "steps=6",
    "log_every=3",
    "sampling.predicted_share=0.5",
    "micro_batches=[{scenes: {ris: 2}}, {scenes: {fss: 1, vos: 1}}, {scenes: {rvos: 1}, every: 2}]",
)


pytestmark = pytest.mark.usefixtures("kept_threads")


def tiny(*overrides):
    return load_config("world-smoke", [*TINY, *overrides])


# Configuration


def test_every_bundled_configuration_loads():
    assert {"world", "world-fine", "world-smoke"} <= set(bundled_configs())
    for name in bundled_configs():
        assert load_config(name).name == name


def test_overrides_change_nested_values_and_list_items():
    config = load_config(
        "world-smoke", ["steps=7", "optimizer.learning_rate=1e-4", "micro_batches.0.scenes.ris=3", "mixed_precision=no"]
    )
    assert (config.steps, config.optimizer.learning_rate, config.micro_batches[0].scenes["ris"]) == (7, 1e-4, 3)
    assert config.mixed_precision == "no"


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("stepz=1", "stepz"),
        ("optimizer.speed=1", "optimizer.speed"),
        ("steps=many", "steps"),
        ("steps=0", "steps"),
        ("steps", "override"),
        ("micro_batches.9.weight=1", "micro_batches.9"),
        ("micro_batches.0.scenes={ris: 1, fss: 1}", "different kinds of references"),
        ("micro_batches.0.scenes={chess: 1}", "chess"),
        ("mixed_precision=fp8", "mixed_precision"),
        ("sampling.shots=[0.5]", "sampling.shots"),
        ("sampling.clip_shots=[0.5, 0.4]", "sampling.clip_shots"),
        ("sampling.photo_share=1.5", "sampling.photo_share"),
        ("sampling.scrap_share=-0.5", "sampling.scrap_share"),
        ("sampling.photo_shares={vos: 2}", "sampling.photo_shares.vos"),
        ("sampling.photo_shares={vis: 0.5}", "sampling.photo_shares: unknown task 'vis'"),
        ("sampling.photo_shares={vos: 0.5}", "sampling.photo_shares: given without sampling.photo_share"),
        ("sampling.stale_share=-0.1", "sampling.stale_share"),
        ("sampling.predicted_share=1.1", "sampling.predicted_share"),
        ("micro_batches.0.size=-64", "micro_batches[0].size"),
        ("micro_batches.0.size=large", "micro_batches[0].size"),
        ("micro_batches.0.photo_share=1.5", "micro_batches[0].photo_share"),
        ("micro_batches.0.photo_share=some", "micro_batches[0].photo_share"),
        ("micro_batches.0.photo_share=0.5", "micro_batches[0].photo_share: given without sampling.photo_share"),
        ("image_sizes=[{until: 0.5, size: 64}]", "image_sizes"),
    ],
)
def test_a_wrong_option_is_named(override, named):
    with pytest.raises((ValueError, TypeError), match=re.escape(named)):
        load_config("world-smoke", [override])


def test_an_unknown_configuration_lists_the_bundled_ones():
    with pytest.raises(FileNotFoundError, match="world-smoke"):
        load_config("no-such-config")


# Mixture and samples


def test_a_step_is_a_pure_function_of_seed_and_step():
    mixture = Mixture(tiny())
    assert mixture.plan(3) == Mixture(tiny()).plan(3)
    assert mixture.plan(3) != mixture.plan(4)
    assert mixture.plan(3) != Mixture(tiny("seed=1")).plan(3)


def test_no_scene_is_used_twice():
    mixture = Mixture(tiny())
    indices = [scene.index for step in range(6) for plan in mixture.plan(step) for scene in plan.scenes]
    assert len(indices) == len(set(indices))


def test_processes_share_the_scenes_of_a_step():
    config = load_config("world-smoke", ["micro_batches=[{scenes: {ris: 3}}]"])
    whole = Mixture(config).plan(5)[0].scenes
    parts = [Mixture(config, rank, 2).plan(5)[0].scenes for rank in range(2)]
    assert sorted(parts[0] + parts[1], key=lambda scene: scene.index) == list(whole)
    with pytest.raises(ValueError, match="too few to share between 4"):
        Mixture(config, 0, 4)


def test_a_rarer_micro_batch_comes_every_so_many_steps():
    mixture = Mixture(tiny())
    assert [len(mixture.plan(step)) for step in range(4)] == [3, 2, 3, 2]


def test_a_micro_batch_may_have_a_size_and_a_share_of_photographs_of_its_own():
    scenes = "micro_batches=[{scenes: {vos: 1}, size: 96, photo_share: 0.25}, {scenes: {vos: 1}, photo_share: null}]"
    config = tiny(scenes, "sampling.photo_share=0.5", "sampling.photo_folder=photographs")
    own, usual = (plan.scenes[0] for plan in Mixture(config).plan(0))
    assert (own.size, own.photo_share) == (96, 0.25)
    assert (usual.size, usual.photo_share) == (config.image_size(0), None)
    assert config_from_dict(config.to_dict()) == config


def test_clips_alone_can_have_their_own_number_of_references():
    scenes = "micro_batches=[{scenes: {fss: 1}}, {scenes: {vos: 1}}, {scenes: {vos: 1, fss: 1}}]"
    mixture = Mixture(tiny(scenes, "sampling.shots=[1.0]", "sampling.clip_shots=[0.0, 1.0]"))
    assert [[scene.shots for scene in plan.scenes] for plan in mixture.plan(0)] == [[1], [2], [1, 1]]


def test_stale_references_are_frames_that_a_propagation_left_behind():
    stale = WorldSource(SamplingConfig(stale_share=1.0))
    fresh = WorldSource(SamplingConfig())
    ages = set()
    for seed in range(30):
        _, (previous,), target = stale._choose_frames(12, 2, np.random.default_rng(seed))
        ages.add(abs(target - previous))
        _, (previous,), target = fresh._choose_frames(12, 2, np.random.default_rng(seed))
        assert abs(target - previous) == 1
    assert ages - {1} == {2, 3, 4}  # 1 where the clip ends


def test_image_size_and_easy_share_follow_the_schedule():
    config = tiny("steps=10", "image_sizes=[{until: 0.5, size: 64}, {until: 1.0, size: 96}]")
    assert [config.image_size(step) for step in (0, 4, 5, 9)] == [64, 64, 96, 96]
    assert config.easy_share(0) == pytest.approx(0.6) and config.easy_share(9) == pytest.approx(0.1)


@pytest.mark.parametrize("task", ["ris", "rvos_text", "fss", "vos", "rvos"])
def test_equal_plans_give_equal_samples_with_the_task_s_references(task):
    shots = 0 if task in ("ris", "rvos_text") else 2
    plan = ScenePlan(task, index=11, size=64, shots=shots, easy=False, seed=5)
    source = WorldSource(load_config("world-smoke").sampling)
    first, second = source.draw(plan), source.draw(plan)
    assert np.array_equal(first.image, second.image) and len(first.entries) == len(second.entries) >= 1
    for one, other in zip(first.entries, second.entries, strict=True):
        assert one.sentence == other.sentence and np.array_equal(one.target, other.target)
        assert (one.sentence is not None) == (task in ("ris", "rvos_text", "rvos"))
        assert (one.reference_masks is not None) == (shots > 0)
        if shots:
            assert one.reference_masks.shape == (2, 64, 64) and one.reference_masks.any((1, 2)).all()


def test_without_conflicts_reference_and_target_show_the_same_object():
    sampling = dataclasses.replace(load_config("world-smoke").sampling, conflict_share=0.0, absent_share=0.0)
    source = WorldSource(sampling)
    for index in range(5):
        sample = source.draw(ScenePlan("rvos", index, 64, 1, False, index))
        clip = source.world(64).clip(index, frames=sampling.clip_frames)
        for entry in sample.entries:
            number = next(n for n, sentences in clip["sentences"].items() if entry.sentence in sentences)
            assert any(np.array_equal(entry.reference_masks[0], labels == number) for labels in clip["label_maps"])


def test_frames_that_hide_an_object_are_sought():
    def hidden(share):
        sampling = dataclasses.replace(load_config("world-smoke").sampling, hidden_share=share, absent_share=1.0)
        source = WorldSource(sampling)
        samples = [source.draw(ScenePlan("vos", index, 64, 1, False, index)) for index in range(24)]
        return sum(not entry.target.any() for sample in samples for entry in sample.entries)

    assert hidden(1.0) > hidden(0.0) + 1


def test_a_corrupted_mask_keeps_a_pixel():
    rng = np.random.default_rng(0)
    mask, other = np.zeros((32, 32), dtype=bool), np.zeros((32, 32), dtype=bool)
    mask[10, 10] = True
    other[:, 20:] = True
    results = [corrupt_mask(mask, other, rng) for _ in range(40)]
    assert all(result.any() for result in results)
    assert any(not np.array_equal(result, mask) for result in results)
    assert any(not (result & mask).any() for result in results)  # strayed


# Collation


def entry(task="ris", size=(40, 64), box=(8, 24, 16, 48), **references):
    target = np.zeros(size, dtype=bool)
    if box is not None:
        target[box[0] : box[1], box[2] : box[3]] = True
    return Entry(task, target, np.zeros((0, *size), dtype=bool), **references)


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(["red", "star", "the"], text_length=8)


def test_entries_share_images_and_absent_targets_have_no_boxes(tokenizer):
    image = np.full((40, 64, 3), 255, dtype=np.uint8)
    samples = [
        Sample(image, [entry(sentence="the red star"), entry(box=None, sentence="red")]),
        Sample(image[:32, :32], [entry(size=(32, 32), sentence="star", box=(0, 8, 0, 8))]),
    ]
    batch = Collator(tokenizer, 8)(samples)
    inputs = batch.inputs
    assert inputs["pixel_values"].shape == (2, 3, 64, 64) and inputs["image_indices"].tolist() == [0, 0, 1]
    assert inputs["pixel_mask"].sum((1, 2)).tolist() == [40 * 64, 32 * 32]
    assert inputs["pixel_values"][0, :, 40:].abs().max() == 0
    assert inputs["input_ids"].shape == (3, 8)
    assert [len(label["boxes"]) for label in inputs["labels"]] == [1, 0, 1]
    # Boxes are relative to the unpadded picture.
    assert inputs["labels"][0]["boxes"][0].tolist() == pytest.approx([0.5, 0.4, 0.5, 0.4])
    assert inputs["labels"][0]["masks"].shape == (1, 64, 64) and inputs["labels"][1]["masks"].shape == (0, 64, 64)
    assert batch.targets[1].sum() == 0


def test_labels_are_those_that_the_processor_makes_of_the_same_masks(tokenizer):
    sizes = [(40, 64), (32, 32)]
    rng = np.random.default_rng(0)
    samples = [
        Sample(
            np.zeros((*size, 3), dtype=np.uint8), [entry(size=size, sentence="red"), entry(size=size, sentence="star")]
        )
        for size in sizes
    ]
    for sample in samples:
        sample.entries[0].target = rng.random(sample.image.shape[:2]) > 0.9
        sample.entries[1].target = np.zeros(sample.image.shape[:2], dtype=bool)
    labels = Collator(tokenizer, 8)(samples).inputs["labels"]
    expected = [make_label(e.target[None], e.target.shape, (64, 64)) for sample in samples for e in sample.entries]
    for own, other in zip(labels, expected, strict=True):
        assert own.keys() == other.keys()
        assert all(own[name].dtype == other[name].dtype and torch.equal(own[name], other[name]) for name in own)
    # A loader process sends every storage by itself.
    assert len({label["masks"].untyped_storage().data_ptr() for label in labels}) == 1


def test_references_are_stacked_per_entry(tokenizer):
    image = np.zeros((40, 64, 3), dtype=np.uint8)
    references = {"reference_images": np.stack([image] * 2), "reference_masks": np.ones((2, 40, 64), dtype=bool)}
    batch = Collator(tokenizer, 8)([Sample(image, [entry("fss", **references), entry("fss", **references)])])
    assert batch.inputs["reference_pixel_values"].shape == (2, 2, 3, 64, 64)
    assert batch.inputs["reference_masks"].shape == (2, 2, 64, 64)
    assert batch.inputs["reference_masks"][0, 0].sum() == 40 * 64
    assert "input_ids" not in batch.inputs


def test_different_kinds_of_references_do_not_mix(tokenizer):
    image = np.zeros((32, 32, 3), dtype=np.uint8)
    references = {"reference_images": image[None], "reference_masks": np.ones((1, 32, 32), dtype=bool)}
    samples = [Sample(image, [entry(size=(32, 32), sentence="red"), entry(size=(32, 32), **references)])]
    with pytest.raises(ValueError, match="same kind"):
        Collator(tokenizer, 8)(samples)


def test_the_box_of_a_mask_counts_whole_pixels():
    mask = np.zeros((10, 20), dtype=bool)
    mask[2:4, 5:10] = True
    assert relative_boxes(mask[None])[0] == pytest.approx([7.5 / 20, 3 / 10, 5 / 20, 2 / 10])


def test_the_tokenizer_spells_unknown_words_and_reloads(tokenizer, tmp_path):
    from transformers import AutoTokenizer

    tokenizer.save_pretrained(tmp_path)
    reloaded = AutoTokenizer.from_pretrained(tmp_path)
    for one in (tokenizer, reloaded):
        assert one.tokenize("The red cat 7") == ["the", "red", "c", "##a", "##t", "7"]
        assert one.tokenize("\u0437\u0432\u0435\u0437\u0434\u0430") == ["[UNK]"]
    with pytest.raises(ValueError, match="light blue"):
        build_tokenizer(["light blue"], 8)


# Helpers


def test_identity_fusion_compares_like_with_like():
    class Fusion(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.q_proj, self.k_proj = torch.nn.Linear(16, 32), torch.nn.Linear(16, 32)
            self.modulation = torch.nn.Linear(16, 48)

    fusion = Fusion()
    identity_fusion_(fusion, heads=4, noise=0.0, gate=0.5)
    x = torch.randn(5, 16)
    assert torch.equal(fusion.q_proj(x), fusion.k_proj(x))
    assert torch.equal(fusion.q_proj(x)[:, :8], x[:, :8]) and torch.equal(fusion.q_proj(x)[:, 8:16], x[:, 8:])
    assert (fusion.modulation.bias[32:] == 0.5).all()


def test_the_auxiliary_head_prefers_the_right_mask():
    head = AuxiliaryMaskHead(4, 2)
    for conv in head.heads:
        torch.nn.init.ones_(conv.weight)
    targets = torch.zeros(2, 16, 16)
    targets[:, :8] = 1
    features = [torch.full((2, 4, 4, 4), -2.0), torch.full((2, 4, 2, 2), -2.0)]
    for level in features:
        level[:, :, : level.shape[2] // 2] = 2.0
    assert head(features, targets) < 0.1 < head([-level for level in features], targets)


def test_the_average_follows_the_weights_and_comes_off_again():
    model = torch.nn.Linear(2, 1)
    ema = ExponentialMovingAverage(model, 0.5)
    start = model.weight.detach().clone()
    with torch.no_grad():
        model.weight += 1
    ema.update(model)
    own = model.weight.detach().clone()
    with ema.applied(model):
        assert torch.allclose(model.weight, start + 0.9)  # the first decay is 1 / 10
    assert torch.equal(model.weight, own)


def test_warm_up_and_cosine():
    config = OptimizerConfig(warmup_steps=10, final_share=0.1)
    factors = [learning_rate_factor(step, 100, config) for step in range(101)]
    assert factors[0] == pytest.approx(0.1) and factors[9] == pytest.approx(1.0) and factors[100] == pytest.approx(0.1)
    assert all(a >= b for a, b in zip(factors[10:], factors[11:], strict=False))


def test_norms_biases_and_embeddings_do_not_decay():
    model = torch.nn.Sequential(torch.nn.Embedding(3, 4), torch.nn.Linear(4, 4), torch.nn.LayerNorm(4))
    decayed, free = parameter_groups(model, OptimizerConfig(weight_decay=0.1))
    assert [p.shape for p in decayed["params"]] == [(4, 4)] and len(free["params"]) == 4


def test_checkpoints_are_kept_to_a_number_and_never_half_written(tmp_path):
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, step, {"step": step}, keep=2)
    (tmp_path / "step-00000009.partial").mkdir()
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step-00000002", "step-00000003"]


# The loop


@pytest.fixture(scope="module")
def straight_run(tmp_path_factory):
    output = tmp_path_factory.mktemp("straight")
    run = TrainingRun(tiny(), output)
    assert run.run()
    return run


def test_a_resumed_run_equals_an_uninterrupted_one(straight_run, tmp_path):
    interrupted = TrainingRun(tiny(), tmp_path)
    step_of = interrupted.train_step

    def stop_after_three(batches):
        step_of(batches)
        interrupted.stop_requested = interrupted.step == 2

    interrupted.train_step = stop_after_three
    assert not interrupted.run()
    assert interrupted.step == 3
    resumed = TrainingRun(tiny(), tmp_path)
    assert resumed.resume() and resumed.step == 3
    assert resumed.run()
    for name, value in straight_run.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name
    for name, value in straight_run.ema.parameters.items():
        assert torch.equal(value, resumed.ema.parameters[name]), name


def test_resuming_with_another_configuration_is_refused(straight_run):
    other = TrainingRun(tiny("optimizer.learning_rate=2e-3"), straight_run.output)
    with pytest.raises(ValueError, match=r"optimizer.learning_rate: 0.001 then, 0.002 now.*`force`"):
        other.resume()
    assert other.resume(force=True) and other.step == 6
    assert any("optimizer.learning_rate" in line for line in other.start_report)


def test_a_used_output_folder_is_refused(tmp_path):
    (tmp_path / "something").touch()
    with pytest.raises(FileExistsError, match="not empty"):
        train(tiny(), tmp_path)


def test_the_final_folder_is_a_transformers_model_without_training_helpers(straight_run):
    from transformers import AutoModel, AutoProcessor

    import transformers_uniref  # noqa: F401

    final = straight_run.output / "final"
    model, info = AutoModel.from_pretrained(final, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert set(model.state_dict()) == set(straight_run.model.state_dict())
    for name, value in straight_run.ema.parameters.items():
        assert torch.equal(model.get_parameter(name), value), name
    processor = AutoProcessor.from_pretrained(final)
    image = np.zeros((64, 80, 3), dtype=np.uint8)
    with torch.no_grad():
        output = model(**processor(images=image, text="the red star", return_tensors="pt"))
    assert output.pred_masks.shape[:2] == (1, 1)


def test_the_log_tells_the_right_object_rate_and_the_time_of_each_task(straight_run):
    lines = [json.loads(line) for line in (straight_run.output / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [3, 6]
    assert {"ris/right", "ris/iou", "fss/iou", "ris/loss", "ris/ms", "learning_rate"} <= set(lines[-1])


def test_a_few_steps_lower_the_loss(tmp_path):
    overrides = ("steps=25", "checkpoint.every=100", "micro_batches=[{scenes: {ris: 4}}]")
    assert train(tiny(*overrides), tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    losses = [line["ris/loss"] for line in lines]
    assert losses[-1] < 0.85 * losses[0]


def test_the_validation_reports_every_task(straight_run):
    run = straight_run
    config = tiny("validation.every=1")
    parts = validation_parts(config.validation, config.sampling, config.seed, True, run.collator)
    values = Validation(parts, run.collator).run(run.model.train(), run.device, run.accelerator.autocast)
    assert {"ris/iou", "swap", "fss/iou", "vos/propagated", "rvos/propagated"} <= set(values)
    assert all(0.0 <= value <= 1.0 for value in values.values())
    assert run.model.training


@pytest.mark.slow
def test_two_processes_learn_the_same_weights_on_each(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(
        "import sys, torch\n"
        "from accelerate import Accelerator\n"
        "from transformers_uniref.training.config.training import load_config\n"
        "from transformers_uniref.training.loop import TrainingRun\n"
        "overrides = ['steps=1', 'micro_batches=[{scenes: {ris: 2}}, {scenes: {fss: 2}}]', 'text.dropout=0.0']\n"
        "run = TrainingRun(load_config('world-smoke', overrides), sys.argv[1], accelerator=Accelerator(cpu=True))\n"
        "assert run.run() and run.accelerator.num_processes == 2\n"
        "total = torch.stack([p.detach().double().sum() for p in run.model.parameters()]).sum()[None]\n"
        "both = run.accelerator.gather(total)\n"
        "assert torch.equal(both[0], both[1]), both\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(script)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run([*command, str(tmp_path / "out")], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "out" / "final" / "model.safetensors").is_file()


def test_a_run_starts_from_given_weights_of_its_own_sizes_only(tmp_path):
    from transformers_uniref.training.model.factory import build_model

    source = build_model(load_config("world-smoke", ["seed=5"]), 60)
    source.save_pretrained(tmp_path)
    started = build_model(load_config("world-smoke", [f"initial_weights={tmp_path}"]), 60)
    for name, value in source.state_dict().items():
        assert torch.equal(started.state_dict()[name], value), name
    with pytest.raises(ValueError, match="initial_weights.*word_embeddings.*initial_weights_skip"):
        build_model(load_config("world-smoke", [f"initial_weights={tmp_path}"]), 61)
