"""Points, boxes and scribbles become masks, and the processor takes them where it takes masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from processor_support import RecordingSession, picture, small_processor
from transformers_uniref.processors.drawn_references import box_mask, point_mask, scribble_mask

SIZE = (80, 120)
quick = settings(max_examples=30, deadline=None)


@pytest.fixture(scope="module")
def processor():
    return small_processor()


# -------------------------------------------------------------------------------------------------------------- drawing
@quick
@given(st.integers(0, 119), st.integers(0, 79), st.floats(0.1, 30))
def test_a_point_is_the_disc_around_it(column: int, row: int, radius: float) -> None:
    mask = point_mask((column + 0.5, row + 0.5), SIZE, radius)
    y, x = np.mgrid[:80, :120]
    distance = np.hypot(x - column, y - row)
    assert mask[row, column]
    assert mask[distance < radius - 1e-6].all()
    assert not mask[distance > radius + 1e-6].any() or radius < 1


def test_the_disc_of_a_point_grows_with_the_picture() -> None:
    small, large = (point_mask((side / 2, side / 2), (side, side)) for side in (100, 400))
    assert small.mean() == pytest.approx(large.mean(), rel=0.05)


@quick
@given(st.integers(0, 100), st.integers(0, 60), st.integers(1, 19), st.integers(1, 19))
def test_a_rectangle_is_the_box_and_an_ellipse_lies_in_it(x: int, y: int, width: int, height: int) -> None:
    box = (x, y, x + width, y + height)
    rectangle, ellipse = box_mask(box, SIZE, "rectangle"), box_mask(box, SIZE)
    assert rectangle.sum() == width * height
    assert rectangle[y : y + height, x : x + width].all()
    assert ellipse.any()
    assert not (ellipse & ~rectangle).any()


def test_the_ellipse_of_a_large_box_covers_a_quarter_of_pi_of_it_and_touches_its_sides() -> None:
    mask = box_mask((10, 20, 110, 70), SIZE)
    assert mask.sum() == pytest.approx(np.pi / 4 * 100 * 50, rel=0.01)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (20, 69, 10, 109)


def test_a_box_is_cut_to_the_picture_and_never_empty() -> None:
    assert box_mask((-10, -10, 5, 5), SIZE, "rectangle").sum() == 25
    assert box_mask((-30, -30, 0.2, 0.2), SIZE).sum() == 1
    assert box_mask((7.6, 3.6, 7.9, 3.9), SIZE)[3, 7]


@quick
@given(st.lists(st.tuples(st.floats(0, 120), st.floats(0, 80)), min_size=1, max_size=5), st.floats(0.5, 12))
def test_a_scribble_is_a_line_of_its_width_through_its_points(stroke: list[tuple[float, float]], width: float) -> None:
    mask = scribble_mask(stroke, SIZE, width)
    for x, y in stroke:
        assert mask[min(int(y), 79), min(int(x), 119)]
    dense = np.concatenate([np.linspace(a, b, 200) for a, b in zip(stroke, [*stroke[1:], stroke[-1]], strict=True)])
    y, x = np.nonzero(mask)
    near = np.hypot(x[:, None] + 0.5 - dense[:, 0], y[:, None] + 0.5 - dense[:, 1]).min(1)
    assert near.max() <= max(width / 2, np.sqrt(0.5)) + 0.5


def test_strokes_are_joined_and_a_stroke_of_one_point_is_a_disc() -> None:
    first, second = [(10, 10), (40, 10)], [(60, 50)]
    both = scribble_mask([first, second], SIZE, 6)
    assert np.array_equal(both, scribble_mask(first, SIZE, 6) | scribble_mask(second, SIZE, 6))
    assert np.array_equal(scribble_mask(second, SIZE, 6), point_mask((60, 50), SIZE, 3))
    assert np.array_equal(scribble_mask(np.array(first), SIZE, 6), scribble_mask(first, SIZE, 6))


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: point_mask((130, 5), SIZE), r"`points` must lie in the picture of width 120 and height 80, got \(130"),
        (lambda: point_mask([], SIZE), r"`points` must be \(x, y\), or a list of them"),
        (lambda: point_mask("here", SIZE), "`points` must hold numbers, got 'here'"),
        (lambda: point_mask((float("nan"), 1), SIZE), "finite numbers"),
        (lambda: point_mask((1, 1), SIZE, 0), "`radius` must be a positive number of pixels, got 0"),
        (lambda: box_mask((1, 2, 3), SIZE), "`boxes` must be x0, y0, x1, y1"),
        (lambda: box_mask((5, 5, 5, 9), SIZE), "x0 < x1"),
        (lambda: box_mask((130, 5, 140, 9), SIZE), "overlap the picture"),
        (lambda: box_mask((1, 1, 5, 5), SIZE, "star"), "`shape` must be one of ellipse, rectangle, got 'star'"),
        (lambda: scribble_mask([(1, 1), (5, 90)], SIZE), "`scribbles` must lie in the picture"),
        (lambda: scribble_mask([(1, 1)], SIZE, -2), "`width` must be a positive number"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_the_reason(draw, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        draw()


# ------------------------------------------------------------------------------------------------------------- pictures
def test_a_drawn_reference_is_the_mask_reference_of_its_mask(processor) -> None:
    image, example = picture(), picture(seed=1)
    given = {
        "reference_points": ([(40, 30), (60, 30)], point_mask([(40, 30), (60, 30)], SIZE)),
        "reference_boxes": ((20, 10, 70, 60), box_mask((20, 10, 70, 60), SIZE)),
        "reference_scribbles": ([(20, 10), (70, 60)], scribble_mask([(20, 10), (70, 60)], SIZE)),
    }
    for name, (drawn, mask) in given.items():
        made = processor(images=image, reference_images=example, **{name: drawn})
        expected = processor(images=image, reference_images=example, reference_masks=mask)
        assert set(made) == set(expected)
        for key in expected:
            assert torch.equal(made[key], expected[key]), (name, key)


def test_drawn_references_are_arranged_like_their_images(processor) -> None:
    image = picture()
    tall = picture(100, 60, seed=1)
    points = [[(10, 10)], [(50, 90), (20, 20)]]
    shots = processor(images=image, reference_images=[image, tall], reference_points=points)
    assert shots["reference_masks"].shape[:2] == (1, 2)
    batch = processor(images=[image, image], reference_images=[image, tall], reference_points=points)
    assert batch["reference_masks"].shape[:2] == (2, 1)
    assert torch.equal(batch["reference_masks"].flatten(0, 1), shots["reference_masks"].flatten(0, 1))
    nested = processor(images=[image, image], reference_images=[[image], [tall]], reference_boxes=[[(1, 1, 9, 9)]] * 2)
    assert nested["reference_masks"].shape[:2] == (2, 1)


def test_how_it_is_drawn_can_be_chosen(processor) -> None:
    image = picture()
    made = processor(
        images=image, reference_images=image, reference_boxes=(0, 0, 60, 40), reference_drawing={"shape": "rectangle"}
    )
    expected = processor(
        images=image, reference_images=image, reference_masks=box_mask((0, 0, 60, 40), SIZE, "rectangle")
    )
    assert torch.equal(made["reference_masks"], expected["reference_masks"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"reference_points": (1, 1)}, "`reference_points` came without `reference_images`"),
        (
            {"reference_images": picture(), "reference_points": (1, 1), "reference_boxes": (1, 1, 2, 2)},
            "`reference_points` and `reference_boxes` came together",
        ),
        (
            {"reference_images": [picture(), picture()], "reference_points": [[(1, 1)]]},
            "arranged like `reference_images`: one item for each of 2, got 1",
        ),
        ({"reference_images": picture(), "reference_drawing": {"radius": 3}}, "came without `reference_masks`"),
        (
            {"reference_images": picture(), "reference_masks": np.ones(SIZE, bool), "reference_drawing": {"radius": 3}},
            "`reference_drawing` came without points",
        ),
    ],
)
def test_drawn_references_that_contradict_the_images_are_refused(processor, arguments, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        processor(images=picture(), **arguments)


# ---------------------------------------------------------------------------------------------------------------- video
def test_drawn_prompts_reach_the_session_as_masks(processor) -> None:
    session = RecordingSession()
    processor.add_point_prompt(session, 0, 1, (40, 30), radius=5)
    processor.add_box_prompt(session, 1, [2, 3], [(1, 1, 20, 20), (30, 30, 60, 60)], shape="rectangle")
    processor.add_scribble_prompt(session, 2, 4, [[(10, 10), (40, 10)], [(60, 50)]], width=6)
    assert np.array_equal(session.masks[0, 1], point_mask((40, 30), SIZE, 5))
    assert np.array_equal(session.masks[1, 3], box_mask((30, 30, 60, 60), SIZE, "rectangle"))
    assert np.array_equal(session.masks[2, 4], scribble_mask([[(10, 10), (40, 10)], [(60, 50)]], SIZE, 6))


def test_a_stream_must_say_its_size_before_something_is_drawn(processor) -> None:
    session = RecordingSession(video_size=None, num_frames=None)
    with pytest.raises(ValueError, match="`frame_size` .* is needed"):
        processor.add_point_prompt(session, 0, 1, (40, 30))
    processor.add_point_prompt(session, 0, 1, (40, 30), frame_size=SIZE)
    assert np.array_equal(session.masks[0, 1], point_mask((40, 30), SIZE))


def test_a_prompt_with_a_mistake_adds_nothing(processor) -> None:
    session = RecordingSession()
    with pytest.raises(ValueError, match="`boxes` must hold one item for each of the 2 objects, got 1"):
        processor.add_box_prompt(session, 0, [1, 2], [(1, 1, 9, 9)])
    with pytest.raises(ValueError, match="`points` must lie in the picture"):
        processor.add_point_prompt(session, 0, [1, 2], [(1, 1), (500, 1)])
    with pytest.raises(ValueError, match="`frame_idx` must be from 0 to 4, got 9"):
        processor.add_scribble_prompt(session, 9, 1, [(1, 1), (5, 5)])
    assert not session.masks
