"""Which query learns which target."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from oracle_support.folder import find_oracle
from transformers_uniref.modeling.losses import hungarian_match, ota_match
from transformers_uniref.modeling.losses.matching import assign_dynamic_k, ota_costs

ORACLE = find_oracle()
SCENARIOS = sorted(ORACLE.json("matching/ota")) if ORACLE.has_json("matching/ota") else []


def scenario(name: str) -> dict[str, Tensor]:
    arrays = ORACLE.arrays("matching", "ota")
    return {
        key.split("/", 1)[1]: torch.from_numpy(value) for key, value in arrays.items() if key.startswith(f"{name}/")
    }


@pytest.mark.parametrize("name", SCENARIOS)
def test_ota_matches_are_those_of_the_released_code(name):
    case = scenario(name)
    (matches,) = ota_match(case["logits"][None, None], case["boxes"][None, None], [case["labels"]], [case["gt"]])
    assert matches.query.tolist() == case["ota_query"].tolist()
    assert matches.target.tolist() == case["ota_target"].tolist()
    assert matches.entry.tolist() == [0] * len(case["ota_query"])


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_cheapest_match_of_each_target_is_that_of_the_released_code(name):
    case = scenario(name)
    valid = torch.ones(1, len(case["gt"]), dtype=torch.bool)
    cost, _ = ota_costs(
        case["logits"][None, None], case["boxes"][None, None], case["labels"][None], case["gt"][None], valid
    )
    assigned = torch.zeros_like(cost[0, 0], dtype=torch.bool)
    assigned[case["ota_query"], case["ota_target"]] = True
    assert cost[0, 0].masked_fill(~assigned, torch.inf).argmin(0).tolist() == case["ota_best_query"].tolist()


@pytest.mark.parametrize("name", SCENARIOS)
def test_hungarian_matches_are_those_of_the_released_code(name):
    case = scenario(name)
    (matches,) = hungarian_match(case["logits"][None, None], case["boxes"][None, None], [case["labels"]], [case["gt"]])
    assert matches.query.tolist() == case["hungarian_query"].tolist()
    assert matches.target.tolist() == case["hungarian_target"].tolist()


@pytest.mark.parametrize("match", [ota_match, hungarian_match])
def test_a_batch_of_several_layers_matches_like_each_entry_alone(match):
    torch.manual_seed(0)
    counts = [3, 0, 1, 5]
    logits, boxes = torch.randn(2, 4, 12, 2), torch.rand(2, 4, 12, 4) * 0.5 + 0.1
    labels = [torch.randint(0, 2, (count,)) for count in counts]
    targets = [torch.rand(count, 4) * 0.4 + 0.2 for count in counts]
    together = match(logits, boxes, labels, targets)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    for layer in range(2):
        for n, count in enumerate(counts):
            query, target = together[layer].of_entry(n)
            (alone,) = match(logits[layer, n][None, None], boxes[layer, n][None, None], [labels[n]], [targets[n]])
            assert (query.tolist(), target.tolist()) == (alone.query.tolist(), alone.target.tolist())
            assert (len(query) >= 1) == (count > 0)
            flat = together[layer].flat_target[together[layer].entry == n]
            assert (flat - int(offsets[n])).tolist() == target.tolist()


@pytest.mark.parametrize("match", [ota_match, hungarian_match])
def test_without_targets_nothing_is_matched(match):
    empty = [torch.zeros(0, dtype=torch.long)] * 2
    for matches in match(torch.randn(3, 2, 5, 1), torch.rand(3, 2, 5, 4), empty, [torch.zeros(0, 4)] * 2):
        assert len(matches) == 0
        assert matches.query.dtype == torch.long


@pytest.mark.parametrize("match", [ota_match, hungarian_match])
def test_predictions_that_are_not_finite_are_refused(match):
    logits = torch.randn(1, 1, 5, 1)
    logits[0, 0, 2] = torch.nan
    with pytest.raises(ValueError, match="NaN or infinite"):
        match(logits, torch.rand(1, 1, 5, 4), [torch.zeros(1, dtype=torch.long)], [torch.full((1, 4), 0.5)])


def test_many_overlapping_queries_share_one_target():
    box = torch.tensor([0.5, 0.5, 0.4, 0.4])
    boxes = torch.cat([box.repeat(6, 1), torch.tensor([[0.1, 0.1, 0.1, 0.1]] * 6)])
    (matches,) = ota_match(torch.zeros(1, 1, 12, 1), boxes[None, None], [torch.zeros(1, dtype=torch.long)], [box[None]])
    assert len(matches) in (5, 6)  # the sum of six IoUs of 1, rounded down
    assert set(matches.query.tolist()) <= set(range(6))


@given(
    queries=st.integers(1, 20),
    targets=st.integers(1, 12),
    wanted=st.integers(1, 5),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=150, deadline=None)
def test_an_assignment_gives_a_query_once_and_ends(queries, targets, wanted, seed):
    rng = np.random.default_rng(seed)
    cost = rng.choice([0.0, 100.0, 10100.0], (queries, targets)) + rng.random((queries, targets))
    query, target = assign_dynamic_k(cost.astype(np.float32), rng.integers(1, wanted + 1, targets))
    assert len(query) == len(target) >= 1
    assert np.all(np.diff(query) > 0)
    assert query.max() < queries
    assert target.max() < targets


def test_a_target_that_lost_its_query_takes_the_next_free_one():
    cost = np.array([[0.0, 1.0], [5.0, 7.0], [9.0, 3.0]], dtype=np.float32)
    query, target = assign_dynamic_k(cost, np.array([1, 1]))
    assert (query.tolist(), target.tolist()) == ([0, 2], [0, 1])
    contested = np.array([[0.0, 1.0], [5.0, 7.0], [9.0, 8.0]], dtype=np.float32)
    query, target = assign_dynamic_k(contested, np.array([1, 1]))
    assert (query.tolist(), target.tolist()) == ([0, 1], [0, 1])
