"""Pictures and clips in and out: palette masks, overlays, reading and writing clips."""

from __future__ import annotations

import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transformers_uniref.media.atomic import filling, replacing
from transformers_uniref.media.overlays import contact_sheet, object_colour, overlay_labels, overlay_masks
from transformers_uniref.media.palette import davis_palette, label_image, load_label_map, save_label_map
from transformers_uniref.media.video_io import VideoWriter, frame_files, probe_clip, read_frames, save_animation


def grey(height: int, width: int, value: int = 90) -> np.ndarray:
    return np.full((height, width, 3), value, dtype=np.uint8)


def moving_square(count: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    frames = []
    for index in range(count):
        frame = grey(height, width)
        frame[10:26, 4 * index : 4 * index + 16] = (220, 40, 40)
        frames.append(frame)
    return frames


def write_frames(folder: Path, frames: list[np.ndarray], pattern: str = "{:05d}.png") -> Path:
    folder.mkdir(exist_ok=True)
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / pattern.format(index))
    return folder


def write_video(path: Path, frames: list[np.ndarray], fps: float = 12) -> Path:
    with VideoWriter(path, fps) as writer:
        for frame in frames:
            writer.write(frame)
    return path


# ------------------------------------------------------------------------------------------------------------- palette
def test_palette_begins_with_the_colours_of_davis() -> None:
    expected = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128)]
    palette = davis_palette()
    assert [tuple(colour) for colour in palette[:7].tolist()] == expected
    assert tuple(palette[8].tolist()) == (64, 0, 0) and tuple(palette[255].tolist()) == (224, 224, 192)
    assert len({tuple(colour) for colour in palette.tolist()}) == 256


def test_label_map_survives_its_file(tmp_path: Path) -> None:
    labels = np.random.default_rng(0).integers(0, 256, (13, 17))
    save_label_map(tmp_path / "labels.png", labels)
    with Image.open(tmp_path / "labels.png") as image:
        assert image.mode == "P"
        assert image.getpalette() == davis_palette().flatten().tolist()
    assert np.array_equal(load_label_map(tmp_path / "labels.png"), labels)
    assert [file.name for file in tmp_path.iterdir()] == ["labels.png"]


def test_masks_are_read_whatever_their_mode(tmp_path: Path) -> None:
    mask = np.zeros((6, 8), dtype=np.uint8)
    mask[2:4, 3:6] = 1
    for name, image in {
        "bit": Image.fromarray(mask > 0),
        "grey": Image.fromarray(mask * 255),
        "rgb": Image.fromarray(mask * 255).convert("RGB"),
        "palette": label_image(mask),
        "coloured": label_image(mask).convert("RGB"),
    }.items():
        image.save(tmp_path / f"{name}.png")
        assert np.array_equal(load_label_map(tmp_path / f"{name}.png"), mask), name


def test_ids_of_a_coloured_mask_are_found(tmp_path: Path) -> None:
    labels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    label_image(labels).convert("RGB").save(tmp_path / "coloured.png")
    assert np.array_equal(load_label_map(tmp_path / "coloured.png"), labels)


def test_masks_that_cannot_be_right_are_refused(tmp_path: Path) -> None:
    label_image(np.eye(8, dtype=np.uint8)).convert("RGB").save(tmp_path / "mask.jpg")
    with pytest.raises(ValueError, match="lossless.*mask.jpg"):
        load_label_map(tmp_path / "mask.jpg")
    Image.fromarray(grey(4, 4, 37)).save(tmp_path / "photo.png")
    with pytest.raises(ValueError, match=r"\(37, 37, 37\) at row 0, column 0"):
        load_label_map(tmp_path / "photo.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and nothing else")
    with pytest.raises(ValueError, match="broken.png"):
        load_label_map(tmp_path / "broken.png")
    for labels, message in ((np.zeros((2, 2)), "integer type"), (np.full((2, 2), 256), "0..255")):
        with pytest.raises(ValueError, match=message):
            label_image(labels)
    with pytest.raises(ValueError, match="two-dimensional"):
        label_image(np.zeros((2, 2, 3), dtype=np.uint8))
    with pytest.raises(ValueError, match=".png"):
        save_label_map(tmp_path / "labels.jpg", np.zeros((2, 2), dtype=np.uint8))


# ------------------------------------------------------------------------------------------------------------ overlays
def test_overlay_changes_the_mask_and_nothing_else() -> None:
    image = grey(60, 80)
    mask = np.zeros((60, 80), dtype=bool)
    mask[20:40, 10:50] = True
    drawn = overlay_masks(image, [mask])
    assert (drawn[~mask] == 90).all() and (drawn[mask] != 90).any(-1).all()
    assert tuple(drawn[20, 10].tolist()) == object_colour(1)
    assert tuple(drawn[30, 30].tolist()) != object_colour(1)
    assert (image == 90).all()


def test_overlay_of_a_label_map_colours_by_id() -> None:
    labels = np.zeros((40, 40), dtype=np.uint8)
    labels[2:12, 2:12], labels[20:30, 20:30] = 3, 7
    drawn = overlay_labels(grey(40, 40), labels, opacity=1.0)
    assert tuple(drawn[5, 5].tolist()) == object_colour(3)
    assert tuple(drawn[25, 25].tolist()) == object_colour(7)
    assert np.array_equal(overlay_labels(grey(4, 4), np.zeros((4, 4), dtype=int)), grey(4, 4))


def test_overlay_reaches_the_border_of_tiny_pictures() -> None:
    drawn = overlay_masks(grey(1, 3), {2: np.array([[True, True, False]])})
    assert tuple(drawn[0, 0].tolist()) == object_colour(2) and drawn[0, 2, 0] == 90


@pytest.mark.parametrize(
    ("image", "mask", "message"),
    [
        (np.zeros((4, 4), dtype=np.uint8), np.ones((4, 4)), "`image`"),
        (np.zeros((4, 4, 3)), np.ones((4, 4)), "`image`"),
        (grey(4, 4), np.ones((4, 5)), "`masks`"),
    ],
)
def test_overlay_names_the_wrong_argument(image: np.ndarray, mask: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        overlay_masks(image, [mask])


def test_contact_sheet_places_pictures_of_any_size() -> None:
    pictures = [grey(30, 90, 200), grey(200, 20, 210), grey(64, 64, 220)]
    sheet = contact_sheet(
        pictures, ["one", "a caption that is far too long for its little cell " * 3, ""], cell=(96, 64)
    )
    assert sheet.shape == (8 + 64 + 36 + 8, 8 + 3 * (96 + 8), 3)
    for value in (200, 210, 220):
        assert (sheet == value).all(-1).sum() > 64 * 4
    assert contact_sheet(pictures, columns=1, cell=(32, 32)).shape == (8 + 3 * 40, 48, 3)
    with pytest.raises(ValueError, match="captions"):
        contact_sheet(pictures, ["one"])
    with pytest.raises(ValueError, match="images"):
        contact_sheet([])


# ------------------------------------------------------------------------------------------------------------- reading
def test_folder_of_frames_is_read_in_natural_order(tmp_path: Path) -> None:
    for value in (2, 10, 1):
        Image.fromarray(grey(5, 6, value)).save(tmp_path / f"frame_{value}.png")
    (tmp_path / "notes.txt").write_text("no frame")
    (tmp_path / ".hidden.png").write_text("no frame")
    assert [int(frame[0, 0, 0]) for frame in read_frames(tmp_path)] == [1, 2, 10]
    info = probe_clip(tmp_path)
    assert (info.kind, info.num_frames, info.name(2)) == ("frames", 3, "frame_10")


def test_frames_of_every_mode_become_upright_rgb(tmp_path: Path) -> None:
    picture = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8) * 5)
    rotated = Image.Exif()
    rotated[0x0112] = 6  # the camera was turned: display it a quarter clockwise
    picture.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "0.jpg", exif=rotated, quality=100)
    picture.save(tmp_path / "1.png")
    picture.convert("RGBA").save(tmp_path / "2.png")
    Image.fromarray(np.asarray(picture).astype(np.uint16) * 257).save(tmp_path / "3.png")
    picture.convert("P").save(tmp_path / "4.png")
    frames = list(read_frames(tmp_path))
    assert len(frames) == 5
    for frame in frames:
        assert frame.dtype == np.uint8 and frame.shape == (6, 8, 3)
        assert np.abs(frame.astype(int) - np.asarray(picture)[..., None]).max() <= 3


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".apng"])
def test_animations_go_out_and_come_back(tmp_path: Path, suffix: str) -> None:
    frames = moving_square(5)
    save_animation(tmp_path / f"clip{suffix}", frames, 10)
    info = probe_clip(tmp_path / f"clip{suffix}")
    assert (info.kind, info.num_frames) == ("animation", 5)
    assert info.frames_per_second == pytest.approx(10) or suffix == ".webp"
    back = list(read_frames(tmp_path / f"clip{suffix}"))
    for frame, again in zip(frames, back, strict=True):
        assert np.abs(frame.astype(int) - again).mean() < 6


def test_video_goes_out_and_comes_back(tmp_path: Path) -> None:
    pytest.importorskip("av")
    frames = moving_square(7, height=47, width=65)  # odd sides are padded for the encoder
    clip = write_video(tmp_path / "clip.mp4", frames, 30000 / 1001)
    info = probe_clip(clip)
    assert (info.kind, info.num_frames, info.name(3)) == ("video", 7, "00003")
    assert info.frames_per_second == pytest.approx(30000 / 1001)
    back = list(read_frames(clip))
    assert [frame.shape for frame in back] == [(48, 66, 3)] * 7
    for frame, again in zip(frames, back, strict=True):
        assert np.abs(frame.astype(int) - again[:47, :65]).mean() < 8
    assert [file.name for file in tmp_path.iterdir()] == ["clip.mp4"]


def test_video_of_a_turned_camera_is_read_upright(tmp_path: Path) -> None:
    pytest.importorskip("av")
    clip = write_video(tmp_path / "clip.mp4", moving_square(2))
    straight = next(iter(read_frames(clip)))
    content = bytearray(clip.read_bytes())
    matrix = content.index(b"tkhd") + 4 + 4 + 36
    quarter_clockwise = (0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    content[matrix : matrix + 36] = struct.pack(">9i", *quarter_clockwise)
    clip.write_bytes(content)
    turned = next(iter(read_frames(clip)))
    assert np.array_equal(turned, np.rot90(straight, k=-1))


def test_reading_and_writing_a_video_holds_few_frames(tmp_path: Path) -> None:
    pytest.importorskip("av")

    def peak(count: int) -> int:
        tracemalloc.start()
        with VideoWriter(tmp_path / f"{count}.mp4") as writer:
            for frame in read_frames(write_video(tmp_path / "source.mp4", moving_square(2) * (count // 2))):
                writer.write(frame)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(4)
    assert peak(160) < peak(20) + 20 * grey(48, 64).nbytes


def test_clips_without_frames_or_of_another_kind_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("av")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ValueError, match=r"holds no picture: .*empty"):
        probe_clip(empty)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        probe_clip(tmp_path / "nowhere.mp4")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        frame_files(tmp_path / "nowhere")
    (tmp_path / "clip.mp4").write_bytes(b"this is no video at all" * 20)
    with pytest.raises(ValueError, match=r"damaged: .*clip\.mp4"):
        list(read_frames(tmp_path / "clip.mp4"))
    (tmp_path / "clip.gif").write_bytes(b"GIF89a")
    with pytest.raises(ValueError, match=r"damaged picture: .*clip\.gif"):
        list(read_frames(tmp_path / "clip.gif"))
    whole = write_video(tmp_path / "whole.mp4", moving_square(6)).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"cut off, at least \d+ bytes.*cut\.mp4"):
        list(read_frames(tmp_path / "cut.mp4"))


def test_sound_without_pictures_is_refused(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "sound.mp4"), mode="w") as container:
        stream = container.add_stream("aac", rate=16000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono")
        sound.sample_rate = 16000
        container.mux([*stream.encode(sound), *stream.encode()])
    with pytest.raises(ValueError, match=r"no picture stream.*sound\.mp4"):
        probe_clip(tmp_path / "sound.mp4")


def test_a_damaged_or_differing_frame_is_named(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "frames", moving_square(3))
    Image.fromarray(grey(48, 60)).save(folder / "00001.png")
    with pytest.raises(ValueError, match=r"one size, got \(48, 60\) .* at frame 1"):
        list(read_frames(folder))
    content = (folder / "00000.png").read_bytes()
    (folder / "00001.png").write_bytes(content[:60])
    with pytest.raises(ValueError, match=r"00001\.png"):
        list(read_frames(folder))


def test_video_without_pyav_says_which_extra_brings_it(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"not read")
    program = (
        "import sys; sys.modules['av'] = None\n"
        "from transformers_uniref.media.video_io import read_frames\n"
        "from transformers_uniref.optional import MissingExtraError\n"
        "try: next(read_frames(sys.argv[1]))\n"
        "except MissingExtraError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "clip.mp4")], capture_output=True, text=True, check=True
    )
    assert 'needs the package av: pip install "transformers-uniref[video]"' in done.stdout


# ------------------------------------------------------------------------------------------------------------- writing
def test_a_failed_video_leaves_nothing_behind(tmp_path: Path) -> None:
    pytest.importorskip("av")
    (tmp_path / "clip.mp4").write_bytes(b"what was there before")
    with pytest.raises(ValueError, match="first frame's size"), VideoWriter(tmp_path / "clip.mp4") as writer:
        writer.write(grey(16, 16))
        writer.write(grey(16, 18))
    with pytest.raises(ValueError, match="at least one frame"), VideoWriter(tmp_path / "clip.mp4"):
        pass
    assert (tmp_path / "clip.mp4").read_bytes() == b"what was there before"
    assert len(list(tmp_path.iterdir())) == 1


def test_writers_refuse_what_they_cannot_write(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=".mp4"):
        VideoWriter(tmp_path / "clip.avi")
    with pytest.raises(ValueError, match="frames_per_second"):
        VideoWriter(tmp_path / "clip.mp4", 0)
    with pytest.raises(ValueError, match="got none"):
        save_animation(tmp_path / "clip.gif", [])
    with pytest.raises(ValueError, match=".webp"):
        save_animation(tmp_path / "clip.mp4", [grey(4, 4)])
    assert not list(tmp_path.iterdir())


def test_replacing_keeps_the_old_file_when_the_block_fails(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file.txt"
    with replacing(target) as partial:
        partial.write_text("first")
    with pytest.raises(RuntimeError), replacing(target) as partial:
        partial.write_text("second")
        raise RuntimeError
    assert target.read_text() == "first" and len(list(target.parent.iterdir())) == 1


def test_filling_a_folder_is_all_or_nothing(tmp_path: Path) -> None:
    target = tmp_path / "results"
    with pytest.raises(RuntimeError), filling(target, ["a.txt"]) as staged:
        (staged / "a.txt").write_text("half")
        raise RuntimeError
    assert not list(tmp_path.iterdir())
    for text in ("one", "two"):
        with filling(target, ["a.txt", "masks"], overwrite=text == "two") as staged:
            (staged / "a.txt").write_text(text)
            (staged / "masks").mkdir()
            (staged / "masks" / text).touch()
        (target / "own.txt").touch()
    assert (target / "a.txt").read_text() == "two"
    assert [file.name for file in (target / "masks").iterdir()] == ["two"]
    assert (target / "own.txt").exists() and [entry.name for entry in tmp_path.iterdir()] == ["results"]


def test_filling_a_folder_refuses_to_overwrite_unasked(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    with pytest.raises(FileExistsError, match="holds masks already"), filling(tmp_path, ["overlay.png", "masks"]):
        pytest.fail("the work must not begin")
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError, match="must be a folder"), filling(tmp_path / "file", []):
        pytest.fail("the work must not begin")
