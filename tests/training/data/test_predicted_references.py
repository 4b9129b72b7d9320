"""The masks that a model gives to the frames on the way, as references of the training."""

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch

pytest.importorskip("accelerate")

from transformers_uniref import UniRefModel, UniRefProcessor  # noqa: E402
from transformers_uniref.training.config.world import SamplingConfig  # noqa: E402
from transformers_uniref.training.data.collation import Collator  # noqa: E402
from transformers_uniref.training.data.mixture import ScenePlan  # noqa: E402
from transformers_uniref.training.data.predicted_references import MOST_PROBABILITY, with_predicted_references  # noqa: E402
from transformers_uniref.training.data.world_source import WorldSource  # noqa: E402
from transformers_uniref.training.validation.propagation import upsample  # noqa: E402


@pytest.fixture(scope="module")
def model():
    return UniRefModel.from_pretrained("uniref-pp")


@pytest.fixture(scope="module")
def draw():
    source = WorldSource(SamplingConfig(corrupted_share=0.0, conflict_share=0.0))
    collator = Collator(UniRefProcessor.from_pretrained("uniref-pp").tokenizer, 24)

    def of(task, shots, clips=2):
        plans = [ScenePlan(task, index, 96, shots, False, index) for index in range(clips)]
        return collator([source.draw(plan) for plan in plans])

    return of


def test_later_references_become_what_the_model_finds_from_the_first(model, draw):
    batch = draw("vos", 2)
    before = batch.inputs["reference_masks"].clone()
    model.train()
    torch.manual_seed(3)
    result = with_predicted_references(model, batch, 1.0, nullcontext)
    assert model.training and torch.equal(batch.inputs["reference_masks"], before)
    given = result.inputs["reference_masks"]
    assert torch.equal(given[:, 0], before[:, 0]) and not torch.equal(given[:, 1], before[:, 1])
    assert set(given.unique().tolist()) == {0.0, 1.0} and given.flatten(2).any(2).all()

    model.eval()
    for row, mask in enumerate(given[:, 1]):
        # One by one, each with its own frame: what is sure in the answer is in the reference.
        with torch.no_grad():
            output = model(
                pixel_values=batch.inputs["reference_pixel_values"][row, 1:],
                reference_pixel_values=batch.inputs["reference_pixel_values"][row : row + 1, :1],
                reference_masks=before[row : row + 1, :1],
            )
        probability = upsample(output.pred_masks[:, 0], mask.shape)[0].sigmoid()
        assert mask[probability > MOST_PROBABILITY + 0.01].all() or torch.equal(mask, before[row, 1])
        assert not mask[probability < 0.19].any() or torch.equal(mask, before[row, 1])


def test_a_mask_without_a_pixel_leaves_the_reference_and_padding_is_no_object(draw):
    batch = draw("vos", 2)
    batch.inputs["reference_pixel_mask"][..., 64:] = 0

    class Answering(torch.nn.Module):
        def forward(self, image_indices, **inputs):
            return SimpleNamespace(pred_masks=torch.full((len(image_indices), 1, 24, 24), self.logit))

    model, before = Answering(), batch.inputs["reference_masks"]
    model.logit = -9.0
    assert torch.equal(with_predicted_references(model, batch, 1.0, nullcontext).inputs["reference_masks"], before)
    model.logit = 9.0
    after = with_predicted_references(model, batch, 1.0, nullcontext).inputs["reference_masks"][:, 1]
    assert (after[..., :64] == 1).all() and (after[..., 64:] == 0).all()


def test_the_share_is_of_entries_and_follows_the_generator(model, draw):
    batch = draw("vos", 2, clips=5)
    torch.manual_seed(0)
    one = with_predicted_references(model, batch, 0.5, nullcontext).inputs["reference_masks"]
    torch.manual_seed(0)
    again = with_predicted_references(model, batch, 0.5, nullcontext).inputs["reference_masks"]
    kept = [torch.equal(a, b) for a, b in zip(one[:, 1], batch.inputs["reference_masks"][:, 1], strict=True)]
    assert torch.equal(one, again) and 0 < np.sum(kept) < len(kept)


@pytest.mark.parametrize(("task", "shots", "share"), [("ris", 0, 1.0), ("fss", 2, 1.0), ("vos", 1, 1.0), ("vos", 2, 0)])
def test_other_batches_stay_as_they_are(model, draw, task, shots, share):
    batch = draw(task, shots, clips=1)
    assert with_predicted_references(model, batch, share, nullcontext) is batch


def test_a_sentence_does_not_help_to_find_the_reference(model, draw):
    batch = draw("rvos", 3)
    torch.manual_seed(1)
    result = with_predicted_references(model, batch, 1.0, nullcontext)
    del batch.inputs["input_ids"], batch.inputs["attention_mask"]
    torch.manual_seed(1)
    without = with_predicted_references(model, batch, 1.0, nullcontext)
    assert torch.equal(result.inputs["reference_masks"], without.inputs["reference_masks"])
