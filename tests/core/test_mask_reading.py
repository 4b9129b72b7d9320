"""Masks as users have them: every kind of file and array is read as what it shows, or refused."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from transformers_uniref.core.mask_reading import load_label_map, read_mask
from transformers_uniref.core.masks import binary_mask, object_masks
from transformers_uniref.core.palette import label_image
from transformers_uniref.pipelines.mask_prompts import read_mask_prompts

HEIGHT, WIDTH = 60, 80


def square() -> np.ndarray:
    """bool (H, W)."""
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[15:45, 20:60] = True
    return mask


def two_objects(first: int = 1, second: int = 2, dtype: type = np.uint8) -> np.ndarray:
    labels = np.zeros((HEIGHT, WIDTH), dtype=dtype)
    labels[10:30, 10:30], labels[35:55, 40:70] = first, second
    return labels


def photograph() -> np.ndarray:
    """uint8 (H, W, 3) that differs from pixel to pixel."""
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def grey(mask: np.ndarray) -> Image.Image:
    return Image.fromarray(mask.astype(np.uint8) * 255)


def with_alpha(colours: np.ndarray, alpha: np.ndarray) -> Image.Image:
    return Image.fromarray(np.dstack([colours, alpha]).astype(np.uint8))


def palette(indices: np.ndarray, colours: list[tuple[int, int, int]], transparency: int | bytes | None = None) -> bytes:
    """A PNG with this palette, of which entries may be transparent."""
    image = Image.fromarray(indices.astype(np.uint8))
    image.putpalette([value for colour in colours for value in colour])
    options = {} if transparency is None else {"transparency": transparency}
    return encoded(image, "PNG", **options)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def in_file(data: bytes | Image.Image, folder: Path, suffix: str = ".png") -> Path:
    path = folder / f"mask{suffix}"
    path.write_bytes(data if isinstance(data, bytes) else encoded(data, "PNG"))
    return path


BLACK, WHITE, RED, GREEN = (0, 0, 0), (255, 255, 255), (128, 0, 0), (0, 128, 0)
SHOWN_AS_ONE_OBJECT: dict[str, Callable[[], Image.Image | bytes]] = {
    "one bit": lambda: Image.fromarray(square()),
    "grey": lambda: grey(square()),
    "sixteen bits": lambda: Image.fromarray(square().astype(np.uint16) * 65535),
    "colours": lambda: grey(square()).convert("RGB"),
    "CMYK in a TIFF": lambda: encoded(grey(square()).convert("RGB").convert("CMYK"), "TIFF"),
    "opaque RGBA": lambda: grey(square()).convert("RGBA"),
    "opaque LA": lambda: grey(square()).convert("LA"),
    "white on nothing": lambda: with_alpha(np.full((HEIGHT, WIDTH, 3), 255), square() * 255),
    "black on nothing": lambda: with_alpha(np.zeros((HEIGHT, WIDTH, 3)), square() * 255),
    "a translucent red overlay": lambda: with_alpha(np.full((HEIGHT, WIDTH, 3), (255, 0, 0)), square() * 100),
    "white on nothing, hidden colours there": lambda: with_alpha(
        np.where(square()[..., None], 255, photograph()), square() * 255
    ),
    "a cut-out photograph": lambda: with_alpha(photograph(), square() * 255),
    "a grey cut-out photograph": lambda: Image.merge("LA", [Image.fromarray(photograph()[..., 0]), grey(square())]),
    "white on opaque black on nothing": lambda: with_alpha(
        square()[..., None].repeat(3, -1) * 255, (np.indices((HEIGHT, WIDTH))[0] > 5) * 255
    ),
    "a palette of black and white": lambda: palette(square(), [BLACK, WHITE]),
    "a palette of white and black": lambda: palette(~square(), [WHITE, BLACK]),
    "the object first, then a transparent entry": lambda: palette(~square(), [WHITE, RED], 1),
    "a transparent first entry": lambda: palette(square(), [GREEN, RED], 0),
    "entries of which the first is transparent": lambda: palette(square(), [BLACK, RED], bytes([0, 255])),
    "a quantised cut-out": lambda: palette(
        np.where(square(), photograph()[..., 0] // 2 + 1, 0), [(i, 255 - i, i // 2) for i in range(256)], 0
    ),
    "a grey level that is transparent": lambda: encoded(grey(square()), "PNG", transparency=0),
}


@pytest.mark.parametrize("kind", SHOWN_AS_ONE_OBJECT)
def test_a_file_that_shows_one_object_is_its_mask(kind: str, tmp_path: Path) -> None:
    path = in_file(SHOWN_AS_ONE_OBJECT[kind](), tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(binary_mask(path, None, "masks"), square())
        assert np.array_equal(load_label_map(path), square())
        assert list(read_mask_prompts(path)[0]) == [1]
    with Image.open(path) as image:
        assert np.array_equal(binary_mask(image, (HEIGHT, WIDTH), "masks"), square())


def test_ids_are_told_by_the_palette_where_its_background_is_transparent(tmp_path: Path) -> None:
    labels = two_objects()
    for transparency in (0, bytes([0, 255, 255]), bytes([0, 90, 90]), 7):
        path = in_file(palette(labels, [BLACK, RED, GREEN], transparency), tmp_path)
        assert np.array_equal(read_mask(path, "masks").values, labels), transparency
    hidden = in_file(palette(labels, [BLACK, RED, GREEN], bytes([255, 255, 0])), tmp_path)
    assert np.array_equal(read_mask(hidden, "masks").values, np.where(labels == 2, 0, labels))
    coloured = in_file(with_alpha(np.asarray(label_image(labels).convert("RGB")), (labels > 0) * 255), tmp_path)
    assert np.array_equal(read_mask(coloured, "masks").values, labels)


def test_a_wholly_transparent_mask_is_refused(tmp_path: Path) -> None:
    path = in_file(with_alpha(photograph(), np.zeros((HEIGHT, WIDTH))), tmp_path)
    with pytest.raises(ValueError, match=r"`masks` has a mask that is wholly transparent: .*mask\.png"):
        read_mask(path, "masks")


def soft(radius: float = 1.0) -> Image.Image:
    return grey(square()).filter(ImageFilter.GaussianBlur(radius))


SOFT: dict[str, Callable[[], Image.Image | bytes]] = {
    "antialiased": soft,
    "feathered": lambda: soft(3),
    "supersampled": lambda: grey(np.kron(square(), np.ones((3, 3))) > 0).rotate(9).resize((WIDTH, HEIGHT), 4),
    "in colours": lambda: soft().convert("RGB"),
    "in sixteen bits": lambda: Image.fromarray(np.asarray(soft()).astype(np.uint16) * 257),
    "in a palette": lambda: encoded(soft().convert("P"), "GIF"),
    "an antialiased cut-out": lambda: with_alpha(photograph(), np.asarray(soft())),
    "antialiased white on nothing": lambda: with_alpha(np.full((HEIGHT, WIDTH, 3), 255), np.asarray(soft())),
    "JPEG": lambda: encoded(grey(square()), "JPEG", quality=60),
    "JPEG in colours": lambda: encoded(grey(square()).convert("RGB"), "JPEG", quality=60),
    "JPEG, saved as PNG": lambda: Image.open(io.BytesIO(encoded(grey(square()), "JPEG", quality=60))),
}


@pytest.mark.parametrize("kind", SOFT)
def test_soft_edges_are_one_object_and_a_warning(kind: str, tmp_path: Path) -> None:
    path = in_file(SOFT[kind](), tmp_path)
    with pytest.warns(UserWarning, match=r"`masks` is black and white with soft edges.*one object.*mask\.png"):
        prompts = read_mask_prompts(path)
    assert list(prompts[0]) == [1]
    wanted = square()
    if kind == "supersampled":
        wanted = np.asarray(SOFT[kind]()) > 127
    assert (prompts[0][1] ^ wanted).sum() <= 0.04 * wanted.sum()  # blurring rounds the corners


def test_a_label_map_in_a_jpeg_and_a_photograph_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="lossless"):
        read_mask(in_file(encoded(Image.fromarray(two_objects(20, 90)), "JPEG"), tmp_path, ".jpg"), "masks")
    for picture in (photograph(), photograph()[..., 0]):
        with pytest.raises(ValueError, match="`masks` (is neither black and white nor|must be) a label map"):
            read_mask(in_file(Image.fromarray(picture), tmp_path), "masks")


def test_small_objects_with_small_numbers_are_no_soft_edges() -> None:
    labels = np.zeros((40, 40), dtype=np.uint8)
    labels[3:5, 3:5], labels[10:13, 10:13], labels[20:22, 4:30] = 1, 2, 255
    with pytest.warns(UserWarning, match="void"):
        assert read_mask(labels, "masks").ids() == [1, 2]


def test_255_beside_other_ids_is_void_with_a_warning_or_refused_where_it_may_be_an_object() -> None:
    labels = two_objects(1, 255)
    with pytest.warns(UserWarning, match="`masks` holds 255 beside 1: those pixels are taken for void"):
        assert list(read_mask_prompts(labels)[0]) == [1]
    with pytest.warns(UserWarning, match="void"):
        assert np.array_equal(binary_mask(labels, None, "masks"), labels == 1)
    with pytest.raises(ValueError, match="`masks` holds 255 beside 128: write 0 where 255 means void"):
        read_mask_prompts(two_objects(128, 255))
    assert np.array_equal(object_masks(labels, [1, 255])[1], labels == 255)  # whoever names 255 means it
    assert list(read_mask_prompts(np.where(square(), 255, 0))[0]) == [1]


@pytest.mark.parametrize("ids", [(256, 300), (255, 1000), (7, 40000)])
def test_ids_above_255_are_read_whole(ids: tuple[int, int], tmp_path: Path) -> None:
    labels = two_objects(*ids, dtype=np.uint16)
    path = in_file(Image.fromarray(labels), tmp_path)
    with Image.open(path) as image:
        forms = [path, image.copy(), labels, labels.astype(np.int64), Image.fromarray(labels.astype(np.int32)),
                 torch.from_numpy(labels.astype(np.int32)), labels.astype(np.float32)]  # fmt: skip
    for form in forms:
        assert np.array_equal(read_mask(form, "masks").values, labels)
        assert list(read_mask_prompts(form)[0]) == list(ids)
        assert np.array_equal(object_masks(form, [ids[1]])[0], labels == ids[1])
    assert load_label_map(path).max() == ids[1]


@pytest.mark.parametrize("scale", [1, 255])
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16, np.int64, np.float32, np.float64])
def test_arrays_and_tensors_of_every_type_and_shape_are_one_mask(scale: int, dtype: type) -> None:
    array = (square() * scale).astype(dtype)
    forms = [array, array[None], array[..., None], array[None, None]]
    if dtype is not np.uint16:
        forms += [torch.from_numpy(form) for form in forms]
    if dtype is np.float32:
        forms += [torch.from_numpy(array).to(torch.bfloat16), torch.from_numpy(array).half().requires_grad_()]
    if dtype is np.uint8:
        forms += [np.dstack([array] * 3), np.asarray(grey(square()).convert("RGBA"))]
    for form in forms:
        assert np.array_equal(binary_mask(form, (HEIGHT, WIDTH), "masks"), square())
        assert np.array_equal(object_masks(form, [4])[0], square())
        assert np.array_equal(read_mask_prompts(form)[0][1], square())


def test_a_label_map_may_have_an_axis_for_its_channel() -> None:
    labels = two_objects(3, 9)
    for form in (labels[None], labels[..., None], torch.from_numpy(labels)[None]):
        assert list(read_mask_prompts(form)[0]) == [3, 9]
        assert np.array_equal(object_masks(form, [3, 9])[1], labels == 9)
    stack = np.stack([labels == 3, labels == 9])
    assert np.array_equal(read_mask_prompts(stack)[0][2], labels == 9)


def test_probabilities_are_cut_at_one_half_with_a_warning() -> None:
    likely = torch.from_numpy(np.asarray(soft()).astype(np.float32) / 255)
    with pytest.warns(UserWarning, match="fractions between 0 and 1"):
        assert np.array_equal(binary_mask(likely[None], None, "masks"), likely.numpy() >= 0.5)


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        (two_objects() / 255, ValueError, "holds fractions, 0 to 0.0078"),
        (square() * 4.5 - 2, ValueError, r"must hold 0..1 or object ids, got -2..2.5"),
        (two_objects().astype(int) - 1, ValueError, "got -1"),
        (np.asarray(label_image(two_objects()).convert("RGB")), ValueError, "colours of shape .* does not say"),
        (np.zeros((2, 3, HEIGHT, WIDTH), bool), ValueError, "two-dimensional"),
        (np.zeros((0, 4), bool), ValueError, "two-dimensional"),
        (square().astype(complex), TypeError, "complex128"),
        ("mask", FileNotFoundError, "mask"),
        (None, TypeError, "NoneType"),
    ],
)
def test_what_is_no_mask_is_refused_by_name(mask: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"`masks`.*{message}"):
        read_mask(mask, "masks")
