"""Objects cut out of their pictures."""

from __future__ import annotations

import numpy as np
import pytest

from clip_support import grey
from transformers_uniref.media.cutouts import cut_out


def test_a_cut_out_keeps_the_object_and_nothing_of_the_background() -> None:
    image = np.full((40, 60, 3), 200, dtype=np.uint8)
    mask = np.zeros((40, 60), dtype=bool)
    mask[10:30, 0:20] = True
    image[mask] = (10, 20, 30)
    whole, alone = cut_out(image, mask, whole=True), cut_out(image, mask)
    assert whole.shape == (40, 60, 4) and (whole[12:28, 0:18] == (10, 20, 30, 255)).all()
    assert (whole[:, 25:] == 0).all() and (whole[:6] == 0).all()
    edge = whole[20, 16:25, 3]
    assert (np.diff(edge.astype(int)) <= 0).all() and ((edge > 0) & (edge < 255)).any()  # soft
    assert alone.shape[0] < 26 and alone.shape[1] < 26 and (alone[..., 3] > 0).any(1).all()
    hard = cut_out(image, mask, softness=0)
    assert hard.shape == (20, 20, 4) and (hard == (10, 20, 30, 255)).all()


def test_a_cut_out_of_a_single_pixel_is_seen_and_of_nothing_refused() -> None:
    image, mask = grey(2000, 4000), np.zeros((2000, 4000), dtype=bool)
    with pytest.raises(ValueError, match="`mask` must have a pixel"):
        cut_out(image, mask)
    mask[0, 0] = True
    assert cut_out(image, mask)[..., 3].max() > 0
    with pytest.raises(ValueError, match="`mask` must be bool"):
        cut_out(image, mask.astype(np.uint8))
    with pytest.raises(ValueError, match="`softness`"):
        cut_out(image, mask, softness=-1)
