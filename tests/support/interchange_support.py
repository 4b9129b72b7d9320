"""Masks, pictures and clips for tests of interchange, drawn by hypothesis."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from transformers_uniref.interchange import AnnotatedClip, AnnotatedImage, AnnotatedObject

LABELS = ("object", "the red dog", 'a "b" <c> & ä')


def masks(size: tuple[int, int]) -> st.SearchStrategy[np.ndarray]:
    """Bool masks of a size, mostly of large parts with holes rather than noise."""
    noise = arrays.arrays(np.bool_, size)
    small = arrays.arrays(np.bool_, ((size[0] + 2) // 3, (size[1] + 2) // 3))
    blocks = small.map(lambda mask: np.kron(mask, np.ones((3, 3), bool))[: size[0], : size[1]])
    return st.one_of(
        noise, st.tuples(blocks, noise).map(lambda pair: pair[0] ^ (pair[1] & (np.indices(size).sum(0) % 5 == 0)))
    )


sizes = st.tuples(st.integers(1, 13), st.integers(1, 13))


@st.composite
def images(draw: st.DrawFn, name: str = "a.jpg", ids: bool = False, scores: bool = True) -> AnnotatedImage:
    """A picture with up to four objects that have a pixel."""
    size = draw(sizes)
    count = draw(st.integers(0, 4))
    objects = []
    for number in range(1, count + 1):
        mask = draw(masks(size))
        mask[draw(st.integers(0, size[0] - 1)), draw(st.integers(0, size[1] - 1))] = True
        score = draw(st.floats(0, 1)) if scores else None
        objects.append(AnnotatedObject(mask, draw(st.sampled_from(LABELS)), score, None, number if ids else None))
    return AnnotatedImage(size, objects, name)


@st.composite
def clips(draw: st.DrawFn, scores: bool = True) -> AnnotatedClip:
    """A clip of up to four frames with up to three objects, each of which may hide."""
    size, length, count = draw(sizes), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    labels = {number: draw(st.sampled_from(LABELS)) for number in range(1, count + 1)}
    confidence = {number: draw(st.sampled_from([0.25, 0.5, 1.0])) if scores else None for number in labels}
    frames = []
    for index in range(length):
        objects = []
        for number, label in labels.items():
            mask = draw(masks(size))
            if mask.any():
                objects.append(AnnotatedObject(mask, label, confidence[number], None, number))
        frames.append(AnnotatedImage(size, objects, f"frame_{index:06d}"))
    return AnnotatedClip(frames, "clip")


def same_objects(first: AnnotatedImage, second: AnnotatedImage, *, scores: bool = True, ids: bool = True) -> bool:
    """Whether two pictures hold the same masks and labels in the same order, to the bit."""
    return (
        tuple(first.size) == tuple(second.size)
        and len(first.objects) == len(second.objects)
        and all(
            np.array_equal(a.mask, b.mask)
            and a.label == b.label
            and (not scores or a.score == b.score)
            and (not ids or a.object_id == b.object_id)
            for a, b in zip(first.objects, second.objects, strict=True)
        )
    )


def same_clips(first: AnnotatedClip, second: AnnotatedClip, *, scores: bool = True) -> bool:
    """Whether two clips hold the same objects in every frame."""
    return len(first.frames) == len(second.frames) and all(
        same_objects(a, b, scores=scores) for a, b in zip(first.frames, second.frames, strict=True)
    )
