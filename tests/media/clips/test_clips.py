"""Clips in and out: folders, animations and videos, read and written."""

from __future__ import annotations

import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clip_support import grey, moving_square, write_frames, write_video
from transformers_uniref.media.cut_off import missing_bytes
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
