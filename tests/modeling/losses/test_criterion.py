"""The training criterion and its terms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck
from transformers.image_transforms import center_to_corners_format

from criterion_support import Predictor, criterion, distributed_case, make_labels, train_a_part
from noise import OPERATION, assert_same
from oracle_support.folder import find_oracle
from transformers_uniref.modeling.losses import DecoderPredictions, boxinst, hungarian_match
from transformers_uniref.modeling.losses.box_losses import (
    giou_loss,
    l1_loss,
    pairwise_iou_and_giou,
)
from transformers_uniref.modeling.losses.class_losses import one_hot_classes, sigmoid_focal_loss
from transformers_uniref.modeling.losses.mask_losses import (
    binary_cross_entropy_mask_loss,
    dice_loss,
    focal_mask_loss,
    hardest_pixels_loss,
    sharpen,
    soft_iou_loss,
)

ORACLE = find_oracle()
SCENARIOS = sorted(ORACLE.json("matching/ota")) if ORACLE.has_json("matching/ota") else []
BOX_NAMES = ["loss_ce", "loss_bbox", "loss_giou"]


# --- the released code's numbers


@pytest.mark.parametrize("name", SCENARIOS)
def test_losses_on_given_predictions_are_those_of_the_released_code(name):
    arrays = ORACLE.arrays("matching", "ota")
    case = {key.split("/", 1)[1]: value for key, value in arrays.items() if key.startswith(f"{name}/")}
    shape = tuple(case["gt_masks_shape"])
    masks = np.unpackbits(case["gt_masks"])[: np.prod(shape)].reshape(shape)
    labels, boxes = torch.from_numpy(case["labels"]), torch.from_numpy(case["gt"])
    logits, predicted = torch.from_numpy(case["logits"])[None], torch.from_numpy(case["boxes"])[None]
    outputs = DecoderPredictions(
        logits=[logits],
        boxes=[predicted],
        encoder_logits=logits,
        encoder_boxes=predicted,
        decode_masks=lambda layer, entry, query: torch.from_numpy(case["mask_logits"])[0],
    )
    target = {"boxes": boxes, "class_labels": labels, "masks": torch.from_numpy(masks)}
    _, losses = criterion(auxiliary_mask_losses=True)(outputs, [target])

    # the scenario gives the one-to-one matcher the classes, which the criterion hides from the proposals
    matches = hungarian_match(logits[None], predicted[None], [labels], [boxes])[0]
    one_hot = one_hot_classes(logits, matches.entry, matches.query, labels[matches.target])
    matched, wanted = predicted[matches.entry, matches.query], boxes[matches.target]
    losses["loss_ce_enc"] = sigmoid_focal_loss(logits, one_hot).sum() / len(matches)
    losses["loss_bbox_enc"] = l1_loss(matched, wanted).mean()
    losses["loss_giou_enc"] = giou_loss(center_to_corners_format(matched), center_to_corners_format(wanted)).mean()

    case_numbers = ORACLE.json("matching/ota")[name]
    expected = case_numbers["losses"] | case_numbers["hungarian_losses"]
    assert set(losses) == set(expected)
    assert {key: value.item() for key, value in losses.items()} == pytest.approx(expected, rel=1e-5)


@pytest.fixture(scope="module")
def boxinst_case() -> tuple[dict[str, np.ndarray], Tensor, Tensor, Tensor]:
    if "boxinst_targets" not in ORACLE.cases("train"):
        pytest.skip("the folder has no BoxInst targets")
    inputs = ORACLE.inputs("train")
    images = [torch.from_numpy(inputs[f"det/image{n}"]) for n in range(2)]
    sizes = torch.tensor([image.shape[-2:] for image in images])
    height, width = (int(side) for side in -(-sizes.amax(0) // 32) * 32)
    padded = torch.zeros(2, 3, height, width)
    for image, place in zip(images, padded, strict=True):
        place[:, : image.shape[-2], : image.shape[-1]] = image
    original = torch.tensor([int(inputs[f"det/original_hw{n}"][0]) for n in range(2)])
    return ORACLE.arrays("train", "boxinst_targets"), padded, sizes, original


def test_boxinst_colour_similarity_is_that_of_the_released_code(boxinst_case):
    expected, images, sizes, original = boxinst_case
    similarity = boxinst.color_similarity(images, sizes, original)
    for n in range(2):
        stored = torch.from_numpy(expected[f"image{n}/color_similarity_instance0"]).float()
        torch.testing.assert_close(similarity[n], stored, rtol=0, atol=5e-4)  # stored in half precision
        decided = (stored - 0.3).abs() > 5e-4
        assert torch.equal((similarity[n] >= 0.3)[decided], (stored >= 0.3)[decided])


def test_boxinst_box_masks_have_the_pixels_of_the_released_code(boxinst_case):
    expected, images, sizes, _ = boxinst_case
    for n in range(2):
        boxes = torch.from_numpy(expected[f"image{n}/boxes"])
        masks = boxinst.box_masks(boxes, sizes[n].expand(len(boxes), 2), tuple(images.shape[-2:]))
        assert masks.sum((1, 2)).tolist() == expected[f"image{n}/mask_sums"].tolist()


# --- boxes

side = st.floats(0.02, 0.6)
box = st.tuples(st.floats(0, 1), st.floats(0, 1), side, side)


@given(first=box, second=box)
@settings(max_examples=100, deadline=None)
def test_giou_is_symmetric_bounded_and_one_for_the_box_itself(first, second):
    a, b = (center_to_corners_format(torch.tensor([values], dtype=torch.float64)) for values in (first, second))
    iou, giou = pairwise_iou_and_giou(a, b)
    assert 0 <= iou.item() <= 1 + 1e-9
    assert -1 <= giou.item() <= iou.item() + 1e-9
    assert giou.item() == pytest.approx(pairwise_iou_and_giou(b, a)[1].item(), abs=1e-12)
    assert pairwise_iou_and_giou(a, a)[1].item() == pytest.approx(1, abs=1e-12)
    assert giou_loss(a, b).item() == pytest.approx(1 - giou.item(), abs=1e-3)
    assert 0 <= giou_loss(a, b).item() <= 2


def test_boxes_far_apart_have_a_negative_giou_and_no_iou():
    iou, giou = pairwise_iou_and_giou(torch.tensor([[0.0, 0.0, 0.1, 0.1]]), torch.tensor([[0.9, 0.9, 1.0, 1.0]]))
    assert iou.item() == 0
    assert giou.item() == pytest.approx(-0.98)


# --- masks


@given(seed=st.integers(0, 2**16), size=st.integers(1, 12))
@settings(max_examples=50, deadline=None)
def test_dice_lies_between_a_perfect_and_an_opposite_mask(seed, size):
    generator = torch.Generator().manual_seed(seed)
    targets = (torch.rand(3, size, size, generator=generator) > 0.5).double()
    perfect, opposite = 40 * (2 * targets - 1), -40 * (2 * targets - 1)
    loss = dice_loss(torch.randn(3, size, size, generator=generator).double(), targets)
    assert torch.all(dice_loss(perfect, targets).abs() < 1e-9)
    assert torch.all((loss > 0) & (loss < 1))
    assert torch.all(loss <= dice_loss(opposite, targets) + 1e-9)


def test_focal_loss_is_the_weighted_cross_entropy_of_its_definition():
    logits, targets = torch.randn(4, 5), (torch.rand(4, 5) > 0.5).float()
    p = logits.sigmoid()
    expected = torch.where(targets == 1, -0.25 * (1 - p) ** 2 * p.log(), -0.75 * p**2 * (1 - p).log())
    torch.testing.assert_close(sigmoid_focal_loss(logits, targets), expected)


def test_sharpened_masks_are_a_softmax_over_background_and_object():
    logits = torch.linspace(-12, 12, 49, dtype=torch.float64)
    p = logits.sigmoid()
    torch.testing.assert_close(sharpen(logits).sigmoid(), p**2 / (p**2 + (1 - p) ** 2))
    torch.testing.assert_close(sharpen(logits), 2 * logits)


def test_sharpened_masks_stay_finite_where_a_pixel_is_certain():
    logits = torch.tensor([-200.0, -30.0, 30.0, 200.0], requires_grad=True)
    sharpened = sharpen(logits)
    sharpened.sum().backward()
    assert torch.all(sharpened.abs() < 33)
    assert logits.grad is not None
    assert torch.all(logits.grad == 0)


def test_only_the_hardest_pixels_count():
    targets = torch.zeros(1, 10, 10)
    logits = torch.full((1, 10, 10), -9.0)
    logits[0, :4] = 1.0  # 40 % of the pixels are wrong
    pixel = torch.nn.functional.softplus(torch.tensor(2.0))
    torch.testing.assert_close(hardest_pixels_loss(logits, targets), pixel[None])


@pytest.mark.parametrize(
    "loss",
    [
        focal_mask_loss,
        binary_cross_entropy_mask_loss,
        dice_loss,
        hardest_pixels_loss,
        soft_iou_loss,
        boxinst.projection_loss,
    ],
)
def test_gradients_of_mask_losses(loss):
    torch.manual_seed(0)
    logits = torch.randn(2, 5, 6, dtype=torch.float64, requires_grad=True)
    targets = (torch.rand(2, 5, 6) > 0.5).double()
    assert gradcheck(lambda x: loss(x, targets), (logits,))


def test_gradients_of_box_and_pairwise_losses():
    torch.manual_seed(0)
    boxes = torch.tensor([[0.1, 0.2, 0.5, 0.6], [0.6, 0.5, 0.9, 0.8]], dtype=torch.float64)
    predicted = (boxes + 0.03 * torch.rand(2, 4)).requires_grad_()
    assert gradcheck(lambda x: giou_loss(x, boxes), (predicted,))
    assert gradcheck(lambda x: l1_loss(x, boxes), (predicted,))
    logits = torch.randn(2, 5, 6, dtype=torch.float64, requires_grad=True)
    inside, similarity = torch.ones(2, 5, 6, dtype=torch.float64), torch.rand(2, 8, 5, 6, dtype=torch.float64)
    assert gradcheck(lambda x: boxinst.pairwise_loss(x, inside, similarity), (logits,))


# --- BoxInst


def test_lab_of_known_colours():
    rgb = torch.tensor([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0], [12, 12, 12]]).float()
    lab = boxinst.rgb_to_lab(rgb.T[:, :, None])[:, :, 0].T
    expected = torch.tensor(
        [
            [53.2406, 80.0923, 67.2028],
            [87.7351, -86.1830, 83.1796],
            [32.2957, 79.1856, -107.8573],
            [100.0, 0.0, 0.0],
            [0.0, 0.0, 0.0],
            [3.3210, 0.0, 0.0],
        ]
    )
    torch.testing.assert_close(lab, expected, rtol=0, atol=2e-2)


def test_colour_similarity_is_zero_towards_padding_and_the_bottom_rows():
    images = torch.full((1, 3, 64, 64), 90.0)
    images[:, :, :, 40:] = 0
    similarity = boxinst.color_similarity(images, torch.tensor([[64, 40]]), torch.tensor([64]))
    right, below = similarity[0, 4], similarity[0, 6]
    noise = 100 * OPERATION  # the colours that are subtracted go up to 100
    assert_same(right[:13, :8], torch.ones(13, 8), noise)
    assert torch.all(right[:, 8:] == 0)
    assert_same(below[:11, :10], torch.ones(11, 10), noise)
    assert torch.all(below[12:] == 0)  # rows 54 to 63 are ignored: the pixels at 54 and 58 of the grid 2, 6, ...


def test_a_mask_that_fills_the_box_has_no_boxinst_loss():
    boxes = torch.zeros(1, 8, 8)
    boxes[:, 2:6, 1:7] = 1
    logits = 60 * (2 * boxes - 1)
    similarity = torch.zeros(1, 8, 8, 8)
    similarity[:, :, 4, 3] = 1  # all of its neighbours, two pixels away, lie inside
    similarity[:, 3:5, 4, 3] = 1
    assert boxinst.projection_loss(logits, boxes).item() == pytest.approx(0, abs=1e-5)
    inner = similarity.clone()
    inner[:, [0, 1, 2, 5, 6, 7]] = 0
    assert boxinst.pairwise_loss(logits, boxes, inner).item() == pytest.approx(0, abs=1e-6)
    assert boxinst.pairwise_loss(logits, boxes, similarity).item() > 1


def boxinst_outputs(predictor: Predictor, counts: list[int]) -> DecoderPredictions:
    outputs = predictor.part(slice(0, len(counts)))
    outputs.images = torch.full((len(counts), 3, 32, 32), 100.0)
    outputs.image_sizes = torch.tensor([[32, 32]] * len(counts))
    outputs.original_heights = torch.tensor([320] * len(counts))
    return outputs


def test_boxinst_warms_up_by_evaluations_of_the_last_layer_first():
    torch.manual_seed(0)
    counts = [2, 1]
    labels = make_labels(counts)
    outputs = boxinst_outputs(Predictor(2), counts)
    loss = criterion(boxinst_loss=True)
    assert list(loss.state_dict()) == ["boxinst_iteration"]
    _, first = loss(outputs, labels)
    assert loss.boxinst_iteration.tolist() == [2.0]
    loss.boxinst_iteration.fill_(20000)
    _, full = loss(outputs, labels)
    assert first["loss_pairwise"].item() == pytest.approx(full["loss_pairwise"].item() * 1e-4, rel=1e-4)
    assert first["loss_pairwise_0"].item() == pytest.approx(full["loss_pairwise_0"].item() * 2e-4, rel=1e-4)
    assert "loss_mask" not in full
    loss.eval()
    loss(outputs, labels)
    assert loss.boxinst_iteration.tolist() == [20002.0]


def test_boxinst_decodes_at_most_64_masks_a_layer():
    torch.manual_seed(0)
    predictor = Predictor(1, queries=120)
    criterion(boxinst_loss=True)(boxinst_outputs(predictor, [80]), make_labels([80]))
    assert predictor.decoded == 2 * 64


def test_boxinst_needs_the_images():
    with pytest.raises(ValueError, match="images"):
        criterion(boxinst_loss=True)(Predictor(1).part(slice(0, 1)), make_labels([1]))


# --- the criterion


def test_names_weights_and_total():
    torch.manual_seed(0)
    outputs, labels = Predictor(3).part(slice(0, 3)), make_labels([1, 0, 2])
    loss = criterion(auxiliary_mask_losses=True)
    total, losses = loss(outputs, labels)
    names = [*BOX_NAMES, "loss_mask", "loss_dice", "loss_mask_cls", "loss_mask_iou"]
    assert list(losses) == [*names, *(f"{name}_0" for name in names), *(f"{name}_enc" for name in BOX_NAMES)]
    weights = dict(zip(names, (2, 5, 2, 2, 5, 1, 1), strict=True))
    for name in names:
        assert loss.weight_of(name) == loss.weight_of(f"{name}_0") == loss.weight_of(f"{name}_11") == weights[name]
    assert total.item() == pytest.approx(sum(loss.weight_of(name) * value.item() for name, value in losses.items()))
    assert list(loss.state_dict()) == []


def test_only_matched_queries_are_decoded():
    torch.manual_seed(0)
    predictor = Predictor(2)
    outputs, labels = predictor.part(slice(0, 2)), make_labels([2, 1])
    loss = criterion()
    matches, _ = loss.match(outputs, labels)
    loss(outputs, labels)
    assert predictor.decoded == sum(len(layer) for layer in matches)


@pytest.mark.parametrize("options", [{}, {"auxiliary_mask_losses": True}, {"boxinst_loss": True}])
def test_without_targets_every_query_is_a_negative_and_every_parameter_gets_a_gradient(options):
    torch.manual_seed(0)
    predictor = Predictor(2)
    total, losses = criterion(**options)(boxinst_outputs(predictor, [0, 0]), make_labels([0, 0]))
    logits = predictor.logits[-1]
    expected = sigmoid_focal_loss(logits, torch.zeros_like(logits)).sum()  # the normaliser is at least 1
    assert losses["loss_ce"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert all(value.item() == 0 for name, value in losses.items() if "loss_ce" not in name)
    total.backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in predictor.parameters())


def test_the_proposals_are_trained_as_class_0():
    torch.manual_seed(0)
    outputs, labels = Predictor(1).part(slice(0, 1)), make_labels([2])
    labels[0]["class_labels"] = torch.tensor([1, 1])
    _, proposals = criterion().match(outputs, labels)
    _, losses = criterion()(outputs, labels)
    one_hot = one_hot_classes(
        outputs.encoder_logits, proposals.entry, proposals.query, torch.zeros(2, dtype=torch.long)
    )
    expected = sigmoid_focal_loss(outputs.encoder_logits, one_hot).sum() / 2
    torch.testing.assert_close(losses["loss_ce_enc"], expected)


def test_masks_at_full_resolution_and_at_stride_4():
    torch.manual_seed(0)
    predictor, labels = Predictor(1, queries=1), make_labels([1])
    outputs = predictor.part(slice(0, 1))
    _, losses = criterion()(outputs, labels)
    wanted = labels[0]["masks"][:, 2::4, 2::4].float()
    torch.testing.assert_close(losses["loss_dice"], dice_loss(predictor.masks[1, 0], wanted)[0])

    full = torch.randn(1, 1, 32, 32)
    outputs.decode_masks, outputs.full_resolution = lambda layer, entry, query: full, True
    _, losses = criterion(mask_loss_type="bce")(outputs, labels)
    wanted = labels[0]["masks"].float()
    torch.testing.assert_close(losses["loss_dice"], dice_loss(full[0], wanted)[0])
    torch.testing.assert_close(losses["loss_mask"], binary_cross_entropy_mask_loss(full[0], wanted)[0])


def test_hungarian_matching_of_the_decoder_takes_one_query_a_target():
    torch.manual_seed(0)
    matches, _ = criterion(matching="hungarian").match(Predictor(2).part(slice(0, 2)), make_labels([3, 2]))
    assert [len(layer) for layer in matches] == [5, 5]


def test_half_precision_predictions_give_losses_in_single_precision():
    torch.manual_seed(0)
    predictor, labels = Predictor(2), make_labels([1, 2])
    _, expected = criterion()(predictor.part(slice(0, 2)), labels)
    _, losses = criterion()(predictor.bfloat16().part(slice(0, 2)), labels)
    assert all(value.dtype == torch.float32 for value in losses.values())
    assert losses["loss_ce"].item() == pytest.approx(expected["loss_ce"].item(), rel=0.05)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"boxes": torch.tensor([[40.0, 50.0, 20.0, 20.0]])}, "fractions of the unpadded image"),
        ({"boxes": torch.rand(4)}, r"labels\[0\]\['boxes'\]"),
        ({"class_labels": torch.tensor([2])}, "accepted are 0 to 1"),
        ({"class_labels": torch.tensor([0.0])}, "int64"),
        ({"class_labels": torch.tensor([0, 1])}, "one for each box"),
        ({"masks": torch.zeros(2, 32, 32)}, r"labels\[0\]\['masks'\]"),
        ({"masks": torch.zeros(1, 64, 64)}, "padded size of pixel_values"),
    ],
)
def test_labels_that_do_not_fit_are_refused(change, message):
    labels = make_labels([1])
    with pytest.raises(ValueError, match=message):
        criterion()(Predictor(1).part(slice(0, 1)), [labels[0] | change])


def test_missing_keys_entries_and_unknown_options_are_refused():
    outputs = Predictor(1).part(slice(0, 1))
    with pytest.raises(ValueError, match="missing: \\['masks'\\]"):
        criterion()(outputs, [{"boxes": torch.rand(1, 4), "class_labels": torch.tensor([0])}])
    with pytest.raises(ValueError, match="got 2 entries"):
        criterion()(outputs, make_labels([1, 1]))
    for option in ("matching", "mask_loss_type", "loss_normalizer"):
        with pytest.raises(ValueError, match=f"{option}: got 'x'"):
            criterion(**{option: "x"})


# --- several processes


def _gradients_of_two_processes(folder, normalizer: str) -> list[Tensor]:
    address = f"file://{folder / 'rendezvous'}"
    torch.multiprocessing.spawn(train_a_part, args=(address, str(folder), normalizer), nprocs=2)
    saved = [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(2)]
    assert saved[0]["loss_dice"] != saved[1]["loss_dice"]
    return saved[0]["gradients"]


@pytest.mark.slow
@pytest.mark.parametrize("normalizer", ["mean", "local"])
def test_two_processes_train_like_one_when_the_normaliser_is_reduced(tmp_path, normalizer):
    predictor, labels = distributed_case()
    criterion()(predictor.part(slice(0, 4)), labels)[0].backward()
    together = [parameter.grad for parameter in predictor.parameters()]
    apart = _gradients_of_two_processes(tmp_path, normalizer)
    same = all(torch.allclose(a, b, rtol=1e-4, atol=1e-7) for a, b in zip(apart, together, strict=True))
    assert same == (normalizer == "mean")
