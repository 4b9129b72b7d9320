"""The configuration: what overrides change, and what is refused."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("accelerate")

from transformers_uniref.training.config.training import load_config  # noqa: E402
from transformers_uniref.training.config.values import bundled_configs  # noqa: E402


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
