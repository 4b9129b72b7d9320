"""A clip of a camera that was held upright, or a picture that is turned on purpose, is turned the right way round."""

from __future__ import annotations

import struct
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from transformers_uniref.media.video.frames import VideoFrames
from transformers_uniref.media.video.io import VideoWriter, probe_clip, read_clip, read_frames
from transformers_uniref.worlds.drawn.scene import Pose, draw_look, make_sprite
from transformers_uniref.worlds.photo.scene import PastedObject, rasterise
from video_support import image_processor

ONE = 1 << 16
QUARTERS = {  # of a turn, clockwise: the display matrix of the track
    1: (0, ONE, 0, -ONE, 0, 0, 0, 0, 1 << 30),
    2: (-ONE, 0, 0, 0, -ONE, 0, 0, 0, 1 << 30),
    3: (0, -ONE, 0, ONE, 0, 0, 0, 0, 1 << 30),
}


def scene(index: int) -> np.ndarray:
    """Another colour in each corner, and a bar that travels."""
    picture = np.full((48, 80, 3), 90, np.uint8)
    picture[:16, :16], picture[:16, -16:], picture[-16:, :16] = (250, 30, 30), (30, 250, 30), (30, 30, 250)
    picture[20:28, 10 * index : 10 * index + 10] = 240
    return picture


@pytest.mark.parametrize("quarters", QUARTERS)
def test_every_reader_shows_a_turned_clip_upright(quarters: int, tmp_path: Path) -> None:
    pytest.importorskip("av")
    from transformers_uniref.modeling.video.session import UniRefVideoSession

    path = tmp_path / "clip.mp4"
    with VideoWriter(path, 10) as writer:
        for index in range(4):
            writer.write(scene(index))
    straight = list(read_frames(path))
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 4 + 4 + 36
    content[matrix : matrix + 36] = struct.pack(">9i", *QUARTERS[quarters])
    path.write_bytes(content)

    wanted = [np.rot90(frame, k=-quarters) for frame in straight]
    in_order = [item.image for item in read_clip(probe_clip(path))]
    by_number, session = VideoFrames(path), UniRefVideoSession(path, image_processor())
    assert session.video_size == wanted[0].shape[:2]
    for number in (3, 0, 2, 1):
        for frame in (in_order[number], by_number[number], session.frame(number)):
            assert np.array_equal(frame, wanted[number])


def test_a_drawn_object_turns_clockwise_on_the_screen() -> None:
    from transformers_uniref.worlds.drawn.draws import Draws

    look = draw_look(Draws(0, 0), shape="triangle")
    for degrees in (-20, 20):
        sprite = make_sprite(look, Pose(0.5, 0.5, np.radians(degrees)), 128)
        top = np.flatnonzero(sprite.solid.any(1))[0]
        apex = np.flatnonzero(sprite.solid[top]).mean()
        assert (apex > sprite.centre[0]) == (degrees > 0)


def test_a_pasted_object_turns_clockwise_on_the_screen() -> None:
    cutout = np.zeros((60, 20, 4), np.uint8)
    cutout[:, 8:12] = 255  # a line from top to bottom
    pasted_object = PastedObject(
        "line", [SimpleNamespace(image=Image.fromarray(cutout))], (0,), 1.0, 0.2, False, np.ones(3), 0.0
    )
    for degrees in (-30, 30):
        solid = rasterise(pasted_object, 0, Pose(0.5, 0.5, np.radians(degrees)), 128).solid
        rows = np.flatnonzero(solid.any(1))
        top, bottom = (np.flatnonzero(solid[row]).mean() for row in rows[[2, -3]])
        assert (top > bottom) == (degrees > 0)
