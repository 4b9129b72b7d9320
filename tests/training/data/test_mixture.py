"""The mixture of drawn scenes: what a step is made of, and what its samples hold."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

pytest.importorskip("accelerate")

from training_support import tiny  # noqa: E402
from transformers_uniref.training.config.training import config_from_dict, load_config  # noqa: E402
from transformers_uniref.training.config.world import SamplingConfig  # noqa: E402
from transformers_uniref.training.data.corruption import corrupt_mask  # noqa: E402
from transformers_uniref.training.data.mixture import Mixture, ScenePlan  # noqa: E402
from transformers_uniref.training.data.world_source import WorldSource  # noqa: E402


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
