"""Pictures and clips in and out: palette masks, overlays, reading and writing clips."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transformers_uniref.core.atomic import filling, replacing
from transformers_uniref.core.mask_codes import decode_rle
from transformers_uniref.core.mask_reading import load_label_map
from transformers_uniref.core.palette import davis_palette, label_image, save_label_map
from transformers_uniref.media.clips.rendering import ClipSheet, clip_contact_sheet, render_overlay_clip
from transformers_uniref.media.clips.rle import ClipRleWriter
from transformers_uniref.media.cut_off import missing_bytes
from transformers_uniref.media.cutouts import cut_out
from transformers_uniref.media.legends import legend_strip, letter_size, tag_objects, with_legend
from transformers_uniref.media.overlays import contact_sheet, object_colour, overlay_labels, overlay_masks
from transformers_uniref.media.video.io import (
    GifWriter,
    VideoWriter,
    clip_writer,
    frame_files,
    probe_clip,
    read_clip,
    read_frames,
    save_animation,
)


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


def test_a_video_without_a_single_frame_is_refused(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    for suffix in (".mkv", ".mp4"):
        with av.open(str(tmp_path / f"empty{suffix}"), mode="w") as container:
            stream = container.add_stream("mpeg4", rate=10)
            stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
            container.start_encoding()
        with pytest.raises(ValueError, match=rf"`video` (has no|.* damaged).*empty{suffix}"):
            list(read_frames(tmp_path / f"empty{suffix}"))


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
        "from transformers_uniref.media.video.io import read_frames\n"
        "from transformers_uniref.core.optional import MissingExtraError\n"
        "try: next(read_frames(sys.argv[1]))\n"
        "except MissingExtraError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "clip.mp4")], capture_output=True, text=True, check=True
    )
    assert 'needs the package av: pip install "transformers-uniref[video]"' in done.stdout


def test_a_part_of_a_clip_keeps_its_numbers_and_times(tmp_path: Path) -> None:
    info = probe_clip(write_frames(tmp_path / "frames", moving_square(9)))
    part = list(read_clip(info, start=1, end=8, stride=3))
    assert [frame.index for frame in part] == [1, 4, 7]
    assert [frame.time for frame in part] == pytest.approx([1 / 24, 4 / 24, 7 / 24])
    with pytest.raises(ValueError, match="9 frames, counted from 0, got 9"):
        list(read_clip(info, start=9))
    with pytest.raises(ValueError, match="`stride` 1 or more"):
        list(read_clip(info, stride=0))


def test_listed_pictures_are_a_clip_in_their_order(tmp_path: Path) -> None:
    write_frames(tmp_path / "frames", moving_square(3))
    info = probe_clip([tmp_path / "frames" / "00002.png", tmp_path / "frames" / "00000.png"])
    assert (info.kind, info.num_frames, info.names) == ("frames", 2, ("00002", "00000"))
    with pytest.raises(FileNotFoundError, match="gone"):
        probe_clip([tmp_path / "gone.png"])
    with pytest.raises(ValueError, match="no picture at all"):
        probe_clip([])


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".gif"])
def test_frames_keep_the_times_that_they_were_written_with(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("av")
    times = [0.0, 0.1, 0.35, 0.4, 1.0]
    with clip_writer(tmp_path / f"clip{suffix}", 10) as writer:
        for frame, time in zip(moving_square(5, height=47, width=65), times, strict=True):
            writer.write(frame, time)
    back = list(read_clip(probe_clip(tmp_path / f"clip{suffix}")))
    assert [frame.time for frame in back] == pytest.approx(times, abs=2e-3)
    for frame, written in zip(back, moving_square(5, height=47, width=65), strict=True):
        assert np.abs(frame.image[:47, :65].astype(int) - written).mean() < 8


def test_a_gif_plays_at_its_speed_and_holds_one_frame(tmp_path: Path) -> None:
    with GifWriter(tmp_path / "fast.gif", 100) as writer:
        for frame in moving_square(8):
            writer.write(frame)
    back = list(read_clip(probe_clip(tmp_path / "fast.gif")))
    assert [round(frame.time, 6) for frame in back] == [0, 0.02, 0.04, 0.06]
    with Image.open(tmp_path / "fast.gif") as image:
        assert image.info["loop"] == 0 and image.n_frames == 4

    def peak(count: int) -> int:
        tracemalloc.start()
        with GifWriter(tmp_path / "long.gif", 10) as writer:
            for index in range(count):
                writer.write(grey(64, 64, index))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(2)
    assert peak(40) < peak(10) + 4 * grey(64, 64).nbytes


def photograph_in_motion(count: int, height: int = 100, width: int = 160, step: int = 3) -> list[np.ndarray]:
    """What a moving camera sees: a smooth texture with grain, of which no pixel stays."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 200, (height // 10, width // 10, 1)) + random.integers(0, 56, (1, 1, 3))
    scene = np.asarray(
        Image.fromarray(coarse.astype(np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    ).astype(np.int16)
    scene = (scene + random.integers(-12, 13, scene.shape)).clip(0, 255).astype(np.uint8)
    return [np.roll(scene, step * index, axis=1) for index in range(count)]


def gif_of(path: Path, frames: list[np.ndarray], **options: int | None) -> list[np.ndarray]:
    with GifWriter(path, 10, **options) as writer:
        for frame in frames:
            writer.write(frame)
    return [frame.image for frame in read_clip(probe_clip(path))]


def test_a_gif_stays_small_where_everything_moves_unless_its_colours_are_named(tmp_path: Path) -> None:
    frames = photograph_in_motion(12)
    back = gif_of(tmp_path / "small.gif", frames)
    assert len(back) == 12
    assert (tmp_path / "small.gif").stat().st_size < 0.42 * (12 + 4) * frames[0][..., 0].size + 2000
    many = gif_of(tmp_path / "large.gif", frames, colours=256)
    assert (tmp_path / "large.gif").stat().st_size > (tmp_path / "small.gif").stat().st_size
    error = [np.abs(np.stack(shown).astype(int) - np.stack(frames)).mean() for shown in (back, many)]
    assert error[1] < error[0] < 8


def test_what_stays_in_a_gif_is_written_once(tmp_path: Path) -> None:
    still = photograph_in_motion(1)[0]
    moving = [still.copy() for _ in range(8)]
    for index, frame in enumerate(moving):
        frame[20:40, 10 * index : 10 * index + 20] = (255, 0, 0)
    moving[5] = moving[4].copy()  # a frame in which nothing changes is a frame all the same
    alone = gif_of(tmp_path / "still.gif", [still])
    back = gif_of(tmp_path / "moving.gif", moving)
    size = (tmp_path / "still.gif").stat().st_size
    assert len(back) == 8 and size < (tmp_path / "moving.gif").stat().st_size < 1.5 * size
    assert np.array_equal(back[4], back[5])
    for frame, written in zip(back, moving, strict=True):
        red = (written == (255, 0, 0)).all(-1)
        assert np.abs(frame[red].astype(int) - (255, 0, 0)).max() <= 16
        assert np.abs(frame[~red].astype(int) - written[~red]).mean() < np.abs(alone[0].astype(int) - still).mean() + 2


def test_a_slow_fade_in_a_gif_never_lags_behind(tmp_path: Path) -> None:
    frames = [grey(16, 16, 60 + 2 * index) for index in range(30)]
    for frame, shown in zip(frames, gif_of(tmp_path / "fade.gif", frames), strict=True):
        assert np.abs(shown.astype(int) - frame).max() <= 8


def test_a_gif_is_shrunk_to_the_side_that_is_asked_for(tmp_path: Path) -> None:
    frames = [grey(600, 300, shade) for shade in (10, 200)]
    assert gif_of(tmp_path / "default.gif", frames)[0].shape == (480, 240, 3)
    assert gif_of(tmp_path / "side.gif", frames, longest_side=60)[1].shape == (60, 30, 3)
    assert gif_of(tmp_path / "whole.gif", frames, longest_side=None, colours=2)[1].shape == (600, 300, 3)
    assert (
        np.abs(gif_of(tmp_path / "tiny.gif", [grey(1, 1, shade) for shade in (10, 200)])[1].astype(int) - 200).max() < 2
    )
    with pytest.raises(ValueError, match="`colours` must be from 2 to 256, or None, got 300"):
        GifWriter(tmp_path / "no.gif", 10, colours=300)
    with pytest.raises(ValueError, match="`longest_side` must be 1 or more"):
        GifWriter(tmp_path / "no.gif", 10, longest_side=0)


def test_files_that_end_before_their_end_are_known_at_once(tmp_path: Path) -> None:
    pytest.importorskip("av")
    for suffix in (".mp4", ".mkv", ".webm"):
        whole = write_video(tmp_path / f"whole{suffix}", moving_square(6))
        assert missing_bytes(whole) == 0
        cut = tmp_path / f"cut{suffix}"
        cut.write_bytes(whole.read_bytes()[:-20])
        assert missing_bytes(cut) == 20
        with pytest.raises(ValueError, match=f"cut off, at least 20 bytes are missing.*cut{suffix}"):
            probe_clip(cut)
    for content in (b"", b"\x1a\x45\xdf\xa3", b"\0\0\0\x08ftyp", b"no video at all"):
        (tmp_path / "odd").write_bytes(content)
        assert missing_bytes(tmp_path / "odd") == 0


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


# ----------------------------------------------------------------------------------------------------------- rendering
def square_labels(count: int, number: int = 3) -> list[np.ndarray]:
    labels = []
    for index in range(count):
        label = np.zeros((48, 64), dtype=np.uint8)
        label[10:26, 4 * index : 4 * index + 16] = number
        labels.append(label)
    return labels


def test_an_overlay_clip_shows_objects_where_they_are(tmp_path: Path) -> None:
    count = render_overlay_clip(
        tmp_path / "overlay.gif", iter(moving_square(4)), iter(square_labels(4)), 10, tags={3: "it"}
    )
    back = list(read_clip(probe_clip(tmp_path / "overlay.gif")))
    assert count == len(back) == 4 and back[-1].time == pytest.approx(0.3)
    for index, frame in enumerate(back):
        near_border = frame.image[25, 4 * index + 8].astype(int)
        assert np.abs(near_border - object_colour(3)).max() < 12
        assert np.abs(frame.image[40, 40].astype(int) - 90).max() < 12
    with pytest.raises(ValueError):
        render_overlay_clip(tmp_path / "short.gif", moving_square(3), square_labels(2))
    assert not (tmp_path / "short.gif").exists()


@pytest.mark.parametrize("count", [1, 5, 12, 13, 49, 200])
def test_a_sheet_shows_evenly_spaced_frames_from_first_to_last(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    def remember(images: list[np.ndarray], captions: list[str], **options: object) -> np.ndarray:
        shown.extend(captions)
        return contact_sheet(images, captions, cell=(16, 16))

    monkeypatch.setattr("transformers_uniref.media.clips.rendering.contact_sheet", remember)
    sheet = ClipSheet(12, (16, 16))
    for index in range(count):
        sheet.add(grey(8, 8), str(index))
        assert len(sheet._kept) <= 4 * 12
    sheet.render()
    numbers = [int(caption) for caption in shown]
    assert len(numbers) == min(count, 12) and (numbers[0], numbers[-1]) == (0, count - 1)
    ideal = np.linspace(0, count - 1, len(numbers))
    assert np.abs(np.array(numbers) - ideal).max() <= max(0.5, count / 48 + 0.5)


def test_a_contact_sheet_ends_with_the_legend() -> None:
    bare = clip_contact_sheet(moving_square(5), square_labels(5), num_frames=4, cell=(64, 48))
    named = clip_contact_sheet(
        moving_square(5), square_labels(5), num_frames=4, cell=(64, 48), legend={3: "the red square"}
    )
    assert np.array_equal(named[: bare.shape[0]], bare) and named.shape[0] > bare.shape[0]
    assert (named[bare.shape[0] :] == object_colour(3)).all(-1).any()
    with pytest.raises(ValueError, match="at least one frame"):
        clip_contact_sheet([], [])


def test_a_legend_breaks_lines_and_cuts_what_is_too_wide() -> None:
    entries = {1: "one", 2: "a sentence that is far too long for a narrow strip", 7: "seven"}
    narrow, wide = legend_strip(120, entries), legend_strip(900, entries)
    assert narrow.shape[1] == 120 and narrow.shape[0] > wide.shape[0] > 0
    for number in entries:
        assert (narrow == object_colour(number)).all(-1).any()
    assert legend_strip(50, {}).shape == (0, 50, 3)


LONG = "the person in a white top who is not driving the bus on the left side of the road"


@pytest.mark.parametrize("size", [(48, 64), (640, 360), (480, 640), (1080, 1920), (3000, 4000), (200, 4000)])
def test_the_letters_of_a_legend_grow_with_the_picture(size: tuple[int, int]) -> None:
    image = grey(*size, 90)
    entries = {1: "1: a dog", 2: f"2: {LONG}"}
    framed = with_legend(image, entries)
    assert np.array_equal(framed[: size[0]], image) and framed.shape[1] == size[1]
    strip = framed[size[0] :]
    swatch = (strip == object_colour(1)).all(-1)
    side = int(swatch.any(1).sum())
    assert side == int(swatch.any(0).sum()) == letter_size(*size) + 1
    assert side > 11 and abs(side - 0.03 * min(size)) <= max(12, 2)
    assert strip.shape[0] <= max(size[0], 8 * side)


def test_a_legend_of_many_objects_counts_what_it_has_no_room_for() -> None:
    entries = {number: f"{number}: object {number}" for number in range(1, 200)}
    framed = with_legend(grey(240, 320), entries)
    assert 240 < framed.shape[0] <= 2 * 240
    drawn = [number for number in entries if (framed[240:] == object_colour(number)).all(-1).any()]
    assert drawn[:20] == list(range(1, 21)) and len(drawn) < 199
    assert with_legend(grey(48, 64), {}).shape == (48, 64, 3)
    image = grey(239, 321, 90)
    framed = with_legend(image, entries, keep_proportions=True)
    assert abs(framed.shape[1] / framed.shape[0] - image.shape[1] / image.shape[0]) < 0.01
    assert not any(side % 2 for side in framed.shape[:2])
    left = (framed.shape[1] - image.shape[1]) // 2
    assert np.array_equal(framed[: image.shape[0], left : left + image.shape[1]], image)
    assert with_legend(grey(48, 64), {}, keep_proportions=True).shape == (48, 64, 3)


def test_a_tag_lies_at_its_object_and_inside_the_picture() -> None:
    labels = np.zeros((60, 200), dtype=np.uint8)
    labels[0:20, 190:200] = 2
    tagged = tag_objects(grey(60, 200), labels, {2: "a rather long name", 9: "not there"})
    changed = np.argwhere((tagged != 90).any(-1))
    assert len(changed) and changed[:, 0].max() < 30 and changed[:, 1].max() == 199
    with pytest.raises(ValueError, match="`labels`"):
        tag_objects(grey(4, 4), labels, {})


def test_run_lengths_of_a_clip_give_its_masks_back(tmp_path: Path) -> None:
    late = np.zeros((48, 64), dtype=bool)
    late[3:9, 5:6] = True
    with ClipRleWriter(tmp_path / "rle.json", "a clip", {1: "the square", 4: None}) as writer:
        for index, labels in enumerate(square_labels(3, 1)):
            masks = {1: labels == 1} if index < 2 else {1: labels == 9, 4: late}
            writer.write(f"{index:05d}", masks, dict.fromkeys(masks, 0.5))
        assert [entry.name for entry in tmp_path.iterdir()] == []
    made = json.loads((tmp_path / "rle.json").read_text())
    (video,) = made["videos"]
    assert (video["height"], video["width"], video["length"]) == (48, 64, 3)
    assert video["file_names"] == ["00000", "00001", "00002"]
    first, second = made["annotations"]
    assert {item["id"]: item["name"] for item in made["categories"]} == {1: "the square", 4: "object 4"}
    for index in range(2):
        assert np.array_equal(decode_rle(first["segmentations"][index]), square_labels(3)[index] > 0)
    assert first["segmentations"][2] is None and first["scores"] == [0.5, 0.5, 0.5]
    assert second["segmentations"][:2] == [None, None] and second["scores"] == [None, None, 0.5]
    assert np.array_equal(decode_rle(second["segmentations"][2]), late)
    assert second["bboxes"][2] == [5, 3, 1, 6] and second["areas"] == [None, None, 6]


def test_run_lengths_that_fail_leave_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="size of the first"), ClipRleWriter(tmp_path / "rle.json", "", {}) as writer:
        writer.write("0", {1: np.ones((4, 4), dtype=bool)}, {1: 1.0})
        writer.write("1", {1: np.ones((4, 5), dtype=bool)}, {1: 1.0})
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------------------------------------------- whole or not
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


def test_a_folder_that_cannot_be_replaced_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "results" / "masks").mkdir(parents=True)
    (tmp_path / "results" / "masks" / "old").touch()
    rename = Path.rename

    def interrupted(self: Path, target: Path) -> Path:
        if self.name == "masks" and Path(target).parent.name == "results":
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt), filling(tmp_path / "results", ["masks"], overwrite=True) as staged:
        (staged / "masks").mkdir()
    assert [file.name for file in (tmp_path / "results" / "masks").iterdir()] == ["old"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["results"]


def test_filling_a_folder_refuses_to_overwrite_unasked(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    with pytest.raises(FileExistsError, match="holds masks already"), filling(tmp_path, ["overlay.png", "masks"]):
        pytest.fail("the work must not begin")
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError, match="must be a folder"), filling(tmp_path / "file", []):
        pytest.fail("the work must not begin")


# ------------------------------------------------------------------------------------------------------------- cut-outs
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
