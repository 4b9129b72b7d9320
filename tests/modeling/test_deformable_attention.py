"""Deformable attention: both ways of sampling agree, and the module follows the rules of Deformable DETR."""

import math

import pytest
import torch

from noise import MASKS, OPERATION, assert_same
from transformers_uniref.modeling.deformable_attention import (
    MultiScaleDeformableAttention,
    sample_values,
    sample_with_embedding_bag,
    sample_with_grid_sample,
)

SHAPES = [(5, 7), (3, 4), (2, 1), (1, 1)]  # not square, down to levels of one pixel
TOKENS = sum(height * width for height, width in SHAPES)


def sampling_inputs(shapes=SHAPES, batch=2, queries=6, heads=2, channels=4, points=3, dtype=torch.float32):
    """Values, locations of which about a third lie outside, weights."""
    generator = torch.Generator().manual_seed(0)
    tokens, levels = sum(height * width for height, width in shapes), len(shapes)
    value = torch.randn(batch, tokens, heads, channels, generator=generator, dtype=dtype)
    locations = torch.rand(batch, queries, heads, levels, points, 2, generator=generator, dtype=dtype) * 1.6 - 0.3
    weights = torch.rand(batch, queries, heads, levels, points, generator=generator, dtype=dtype)
    return value.requires_grad_(), locations.requires_grad_(), weights.requires_grad_()


def outputs_and_gradients(sample, value, shapes, locations, weights):
    output = sample(value, shapes, locations, weights)
    direction = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view_as(output)
    return output, *torch.autograd.grad(output, (value, locations, weights), direction)


@pytest.mark.parametrize("shapes", [SHAPES, [(6, 3)], [(1, 4), (3, 1)]])
@pytest.mark.parametrize("points", [1, 4])
def test_both_ways_of_sampling_agree_in_output_and_gradients(shapes, points):
    value, locations, weights = sampling_inputs(shapes, points=points)
    bags = outputs_and_gradients(sample_with_embedding_bag, value, shapes, locations, weights)
    reference = outputs_and_gradients(sample_with_grid_sample, value, shapes, locations, weights)
    for ours, theirs in zip(bags, reference, strict=True):
        assert_same(ours, theirs, OPERATION)


def test_gradients_agree_without_the_sparse_product(monkeypatch):
    value, locations, weights = sampling_inputs()
    expected = outputs_and_gradients(sample_with_embedding_bag, value, SHAPES, locations, weights)
    monkeypatch.setattr("transformers_uniref.modeling.deformable_attention._has_sampled_products", lambda: False)
    for ours, theirs in zip(
        outputs_and_gradients(sample_with_embedding_bag, value, SHAPES, locations, weights), expected, strict=True
    ):
        assert_same(ours, theirs, OPERATION)


def test_on_pixel_centres_gradients_are_those_of_grid_sample():
    # Offsets start as whole pixels, so that this is where training begins; 8 pixels a side make the positions exact.
    value, _, weights = sampling_inputs([(8, 8)], points=4)
    centres = (torch.arange(-2, 10, dtype=torch.float32) + 0.5) / 8
    locations = torch.stack(torch.meshgrid(centres, centres, indexing="ij"), -1)[:, :8].reshape(2, 6, 2, 1, 4, 2)
    locations.requires_grad_()
    bags = outputs_and_gradients(sample_with_embedding_bag, value, [(8, 8)], locations, weights)
    reference = outputs_and_gradients(sample_with_grid_sample, value, [(8, 8)], locations, weights)
    for ours, theirs in zip(bags, reference, strict=True):
        assert_same(ours, theirs, OPERATION)


def test_gradcheck():
    value, locations, weights = sampling_inputs([(3, 4), (2, 1)], 2, 2, 2, 2, 2, torch.float64)
    assert torch.autograd.gradcheck(
        lambda *tensors: sample_with_embedding_bag(tensors[0], [(3, 4), (2, 1)], *tensors[1:]),
        (value, locations, weights),
    )


def test_only_wanted_gradients_are_computed():
    value, locations, weights = sampling_inputs()
    sample_values(value.detach(), SHAPES, locations.detach(), weights).sum().backward()
    assert weights.grad is not None
    sample_values(value, SHAPES, locations.detach(), weights.detach()).sum().backward()
    assert value.grad is not None
    assert locations.grad is None


@pytest.mark.parametrize("sample", [sample_with_embedding_bag, sample_with_grid_sample])
def test_a_pixel_centre_reads_the_pixel_and_outside_reads_zero(sample):
    value = torch.arange(12.0).view(1, 12, 1, 1)
    centres = [((column + 0.5) / 4, (line + 0.5) / 3) for line in range(3) for column in range(4)]
    outside = [(-0.5, 0.5), (1.5, 0.5), (0.5, -0.5), (0.5, 1.5), (1e9, -1e9)]
    locations = torch.tensor(centres + outside).view(1, -1, 1, 1, 1, 2)
    output = sample(value, [(3, 4)], locations, torch.ones(1, 17, 1, 1, 1))
    assert_same(output.flatten(), torch.cat([torch.arange(12.0), torch.zeros(5)]), OPERATION)


def test_halfway_over_the_edge_reads_half():
    output = sample_with_embedding_bag(
        torch.ones(1, 4, 1, 1), [(2, 2)], torch.tensor([0.0, 0.25]).view(1, 1, 1, 1, 1, 2), torch.ones(1, 1, 1, 1, 1)
    )
    assert output.item() == pytest.approx(0.5)


def test_locations_that_are_not_numbers_give_nan_and_no_crash():
    value, locations, weights = sampling_inputs()
    output = sample_values(value, SHAPES, torch.full_like(locations, math.nan), weights)
    output.sum().backward()
    assert output.isnan().all()


@pytest.mark.parametrize("sample", [sample_with_embedding_bag, sample_with_grid_sample])
def test_half_precision_values_keep_precise_locations(sample):
    value, locations, weights = sampling_inputs()
    rounded = value.detach().bfloat16()
    output = sample(rounded, SHAPES, locations, weights)
    assert output.dtype == torch.bfloat16
    expected = sample(rounded.float(), SHAPES, locations, weights)
    torch.testing.assert_close(output.float(), expected, atol=1e-3, rtol=2**-8)


def test_sizes_that_do_not_fit_are_refused():
    value, locations, weights = sampling_inputs()
    with pytest.raises(ValueError, match="spatial_shapes"):
        sample_values(value, [(5, 7), (3, 4), (2, 1), (1, 2)], locations, weights)
    with pytest.raises(ValueError, match="spatial_shapes"):
        sample_values(value, [(5, 7), (15, 1)], locations, weights)


def module_and_inputs(coordinates=2):
    torch.manual_seed(0)
    module = MultiScaleDeformableAttention(d_model=8, levels=4, heads=2, points=3)
    torch.nn.init.normal_(module.sampling_offsets.weight, std=0.5)
    module.sampling_offsets.bias.data = module.initial_offset_bias(2, 4, 3)
    mask = torch.ones(2, TOKENS, dtype=torch.bool)
    mask[1, 4:20] = False
    return module, {
        "hidden_states": torch.randn(2, 6, 8),
        "reference_points": torch.rand(2, 6, 4, coordinates),
        "memory": torch.randn(2, TOKENS, 8),
        "spatial_shapes": SHAPES,
        "memory_mask": mask,
    }


@pytest.mark.parametrize("coordinates", [2, 4])
def test_the_module_samples_where_deformable_detr_says(coordinates):
    module, inputs = module_and_inputs(coordinates)
    hidden, references = inputs["hidden_states"], inputs["reference_points"]
    offsets = module.sampling_offsets(hidden).view(2, 6, 2, 4, 3, 2)
    weights = module.attention_weights(hidden).view(2, 6, 2, 12).softmax(-1).view(2, 6, 2, 4, 3)
    locations = torch.empty_like(offsets)
    for level, (height, width) in enumerate(SHAPES):
        centre = references[:, :, None, level, None, :2]
        if coordinates == 2:
            scale = torch.tensor([1 / width, 1 / height])
        else:
            scale = references[:, :, None, level, None, 2:] / 3 * 0.5
        locations[:, :, :, level] = centre + offsets[:, :, :, level] * scale
    value = module.value_proj(inputs["memory"]) * inputs["memory_mask"][..., None]
    expected = sample_with_grid_sample(value.view(2, TOKENS, 2, 4), SHAPES, locations, weights)
    assert_same(module(**inputs), module.output_proj(expected), OPERATION)


def test_padded_tokens_have_no_influence():
    module, inputs = module_and_inputs()
    before = module(**inputs)
    changed = inputs["memory"].clone()
    changed[1, 4:20] = 1000.0
    assert_same(module(**{**inputs, "memory": changed}), before, OPERATION)
    assert not torch.equal(module(**{**inputs, "memory_mask": None})[1], before[1])


def test_the_initial_grid_has_one_direction_a_head_and_one_distance_a_point():
    grid = MultiScaleDeformableAttention.initial_offset_bias(heads=8, levels=4, points=4).view(8, 4, 4, 2)
    torch.testing.assert_close(grid[0, 0], torch.tensor([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0], [4.0, 0.0]]))
    torch.testing.assert_close(grid[1, 2, 3], torch.tensor([4.0, 4.0]))
    torch.testing.assert_close(grid[2, 1, 0], torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(grid.abs().amax(-1), torch.arange(1.0, 5.0).expand(8, 4, 4))


def test_autocast_halves_projections_and_not_the_sampling():
    module, inputs = module_and_inputs()
    expected = module(**inputs)
    seen = {}
    module.sampling.register_forward_pre_hook(lambda _, arguments: seen.update(value=arguments[0], at=arguments[4]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = module(**inputs)
    assert (seen["value"].dtype, seen["at"].dtype, output.dtype) == (torch.float32, torch.float32, torch.bfloat16)
    torch.testing.assert_close(output.float(), expected, atol=2e-2, rtol=2e-2)


def test_a_model_in_half_precision_runs_and_has_gradients():
    module, inputs = module_and_inputs()
    expected = module(**inputs)
    module.bfloat16()
    halves = {key: x.bfloat16() if torch.is_tensor(x) and x.is_floating_point() else x for key, x in inputs.items()}
    output = module(**halves)
    output.sum().backward()
    assert output.dtype == module.sampling_offsets.weight.grad.dtype == torch.bfloat16
    torch.testing.assert_close(output.float(), expected, atol=0.1, rtol=0.1)


def test_wrong_arguments_are_named():
    module, inputs = module_and_inputs()
    with pytest.raises(ValueError, match="spatial_shapes"):
        module(**{**inputs, "spatial_shapes": [(5, 7), (3, 4), (2, 1)]})
    with pytest.raises(ValueError, match="reference_points"):
        module(**{**inputs, "reference_points": torch.rand(2, 6, 4, 3)})
    with pytest.raises(ValueError, match="d_model"):
        MultiScaleDeformableAttention(d_model=10, heads=4)


def test_traces_as_one_graph_with_gradients():
    module, inputs = module_and_inputs()
    expected = module(**inputs)
    wanted = torch.autograd.grad(expected.square().sum(), list(module.parameters()))
    torch.compiler.reset()
    output = torch.compile(module, fullgraph=True, backend="aot_eager")(**inputs)
    assert_same(output, expected, OPERATION)
    for ours, theirs in zip(torch.autograd.grad(output.square().sum(), list(module.parameters())), wanted, strict=True):
        assert_same(ours, theirs, MASKS)


def test_exports():
    module, inputs = module_and_inputs()
    program = torch.export.export(module, (), inputs)
    assert_same(program.module()(**inputs), module(**inputs), OPERATION)
