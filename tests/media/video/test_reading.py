"""Video files: the frame with number n is the n-th that decoding in order gives, whatever the file."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import random
import threading
import warnings
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from transformers_uniref.media import numbered_frames
from transformers_uniref.media.clips.rendering import clip_contact_sheet, render_overlay_clip
from transformers_uniref.media.pixel_aspect import square_pixels
from transformers_uniref.media.video import index as video_index
from transformers_uniref.media.video.frames import VideoFrames
from transformers_uniref.media.video.io import NumberedFrames, probe_clip, read_clip, read_frames
from video_file_support import (
    COUNT,
    GROUPS,
    HEIGHT,
    HEVC,
    KINDS,
    WIDTH,
    copied,
    decoded_in_order,
    drawn_frames,
    encode,
    make,
    with_cover,
    with_display_matrix,
)

pytest.importorskip("av")


def shuffled(count: int) -> list[int]:
    return random.Random(0).sample(range(count), count)


def check_by_number(path: Path, expected: list[np.ndarray]) -> NumberedFrames:
    """Every frame in order, backwards and at random."""
    video = NumberedFrames(path)
    assert len(video) == len(expected)
    for order in (range(len(expected)), range(len(expected) - 1, -1, -1), shuffled(len(expected))):
        wrong = [number for number in order if not np.array_equal(video[number], expected[number])]
        assert wrong == []
    return video


# ------------------------------------------------------------------------------------------------ containers and codecs
@pytest.mark.parametrize("kind", KINDS)
def test_every_frame_of_every_kind_of_file_is_found_by_its_number(tmp_path: Path, kind: str) -> None:
    import av

    codec = KINDS[kind][1]
    if codec not in av.codec.codecs_available:
        pytest.skip(f"this FFmpeg has no {codec}")
    path = make(tmp_path, kind)
    expected = decoded_in_order(path)
    assert len(expected) == COUNT
    in_order = list(read_frames(path))
    assert len(in_order) == COUNT and all(map(np.array_equal, in_order, expected))
    check_by_number(path, expected)
    frames = VideoFrames(path)
    assert len(frames) == len(list(frames)) == COUNT and np.array_equal(frames[-1], expected[-1])


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
def test_every_frame_of_an_animated_picture_is_found_by_its_number(tmp_path: Path, suffix: str) -> None:
    pictures = [Image.fromarray(frame) for frame in drawn_frames(6)]
    pictures[0].save(tmp_path / f"clip{suffix}", save_all=True, append_images=pictures[1:], duration=40)
    expected = list(read_frames(tmp_path / f"clip{suffix}"))
    frames = VideoFrames(tmp_path / f"clip{suffix}")
    assert len(expected) == len(frames) == 6
    assert all(np.array_equal(frames[number], expected[number]) for number in shuffled(6))


def test_a_clip_that_was_trimmed_without_encoding_has_the_frames_that_are_shown(tmp_path: Path) -> None:
    whole = encode(tmp_path / "whole.mp4", options=GROUPS)
    trimmed = copied(whole, tmp_path / "trimmed.mp4", begin=0.52)
    expected = decoded_in_order(trimmed)
    assert len(expected) < COUNT - 8
    assert [np.array_equal(frame, again) for frame, again in zip(expected, decoded_in_order(whole)[13:], strict=True)]
    check_by_number(trimmed, expected)


@pytest.mark.parametrize("suffix", [".mkv", ".ts", ".mp4"])
def test_a_clip_that_begins_within_an_open_group_has_the_frames_that_can_be_decoded(
    tmp_path: Path, suffix: str
) -> None:
    whole = encode(tmp_path / "whole.mkv", "libx265", HEVC)
    begun = []

    def from_second_key_frame(number: int, packet: Any) -> bool:
        begun.extend([number] * (packet.is_keyframe and number > 0))
        return bool(begun)

    path = copied(whole, tmp_path / f"late{suffix}", change=from_second_key_frame)
    expected = decoded_in_order(path)
    # The pictures that lead the first key frame need what is no longer there.
    assert 0 < len(expected) < COUNT - begun[0]
    check_by_number(path, expected)


def test_frames_at_uneven_times_and_in_a_long_group_are_found(tmp_path: Path) -> None:
    times = [0, 1, 2, 7, 8, 30, 31, 32, 60, 61, 62, 63]
    path = encode(tmp_path / "clip.mkv", options={"g": "250", "bf": "3"}, frames=drawn_frames(12), times=times)
    check_by_number(path, decoded_in_order(path))
    assert [round(25 * frame.time) for frame in read_clip(probe_clip(path))] == times


def test_lost_packets_count_neither_in_order_nor_by_number(tmp_path: Path) -> None:
    whole = encode(tmp_path / "whole.mp4", options={"g": "8", "bf": "0"})
    for suffix in (".mp4", ".ts", ".flv"):
        path = copied(whole, tmp_path / f"lost{suffix}", change=lambda number, packet: number not in (5, 11))
        check_by_number(path, decoded_in_order(path))


def test_a_packet_of_vp9_tells_whether_its_frame_is_shown(tmp_path: Path) -> None:
    import av

    with av.open(str(encode(tmp_path / "clip.webm", "libvpx-vp9", {"g": "30"}))) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    assert len(packets) == COUNT and all(video_index._vp9_is_shown(packet) for packet in packets)
    single = [packet for packet in packets if packet[-1] & 0xE0 != 0xC0]
    assert single
    for packet in single:
        assert not video_index._vp9_is_shown(bytes([packet[0] & ~2]) + packet[1:])


def test_a_container_that_states_too_many_frames_is_corrected_by_what_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = encode(tmp_path / "whole.mp4", "libx265", HEVC)
    path = copied(whole, tmp_path / "lost.mkv", change=lambda number, packet: number > 0 or packet.is_keyframe)
    expected = decoded_in_order(path)
    honest = video_index._stated_index(path)
    assert honest is not None and len(honest) == COUNT
    # As if one more packet, the last, gave a frame of its own.
    listed = honest.packets
    packets = video_index.Packets(
        *(
            np.append(column, column[-1])
            for column in (listed.sizes, listed.positions, listed.times, listed.decoding_times)
        ),
        listed.keys,
    )
    lying = video_index.VideoIndex(packets, np.append(honest.shown, COUNT), None, honest.pixel_aspect, honest.bytes)
    monkeypatch.setattr(video_index, "_stated_index", lambda path: lying)
    video = NumberedFrames(path)
    assert len(video) == COUNT + 1
    with pytest.raises(ValueError, match=f"has {COUNT} frames, fewer than its container says; frame {COUNT} was"):
        video[COUNT]
    assert len(video) == COUNT and all(map(np.array_equal, video, expected))


# -------------------------------------------------------------------------------------------------------------- streams
def test_cover_pictures_sound_and_thumbnails_are_no_clip(tmp_path: Path) -> None:
    plain = encode(tmp_path / "plain.mp4", options=GROUPS)
    expected = decoded_in_order(plain)
    covered = with_cover(plain, tmp_path / "covered.mp4")
    assert decoded_in_order(covered)[0].shape == (50, 50, 3)
    assert all(map(np.array_equal, read_frames(covered), expected))
    assert VideoFrames(covered).size == probe_clip(covered).size == (HEIGHT, WIDTH)
    check_by_number(covered, expected)


def test_of_several_video_streams_the_default_one_is_read(tmp_path: Path) -> None:
    import av

    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("libx264", rate=25, options=GROUPS) for _ in range(2)]
        default = type(streams[0].disposition).default
        streams[0].disposition, streams[1].disposition = 0, default.value
        for stream in streams:
            stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
            stream.codec_context.time_base = Fraction(1, 25)
        for number in range(10):
            for stream, brightness in zip(streams, (20, 200), strict=True):
                frame = np.full((HEIGHT, WIDTH, 3), brightness + number, np.uint8)
                picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
                picture.pts, picture.time_base = number, Fraction(1, 25)
                container.mux(stream.encode(picture))
        for stream in streams:
            container.mux(stream.encode())
    expected = decoded_in_order(path, stream=1)
    assert expected[0].mean() > 150
    assert all(map(np.array_equal, read_frames(path), expected))
    check_by_number(path, expected)


@pytest.mark.parametrize("name", ["Übung 視頻.mp4", "what: a clip?.mp4", "50%d [x] *.mp4", "-clip.mp4"])
def test_files_of_any_name_are_read(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = encode(tmp_path / "plain.mp4", frames=drawn_frames(3))
    try:
        path.rename(tmp_path / name)
    except OSError:
        pytest.skip("no such name here")
    monkeypatch.chdir(tmp_path)
    assert len(list(read_frames(name))) == len(VideoFrames(name)) == 3


# ------------------------------------------------------------------------------------------------------ what is shown
@pytest.mark.parametrize(
    ("matrix", "wanted"),
    [
        ((1, 0, 0, 1), lambda frame: frame),
        ((0, 1, -1, 0), lambda frame: np.rot90(frame, -1)),
        ((-1, 0, 0, -1), lambda frame: np.rot90(frame, 2)),
        ((0, -1, 1, 0), lambda frame: np.rot90(frame)),
        ((-1, 0, 0, 1), lambda frame: frame[:, ::-1]),
        ((1, 0, 0, -1), lambda frame: frame[::-1]),
        ((0, 1, 1, 0), lambda frame: frame.transpose(1, 0, 2)),
        ((0, -1, -1, 0), lambda frame: frame[::-1, ::-1].transpose(1, 0, 2)),
    ],
)
def test_frames_are_turned_and_mirrored_as_the_container_says(tmp_path: Path, matrix: Any, wanted: Any) -> None:
    plain = encode(tmp_path / "plain.mp4", frames=drawn_frames(5))
    path = with_display_matrix(plain, tmp_path / "turned.mp4", matrix)
    expected = [wanted(frame) for frame in decoded_in_order(plain)]
    assert all(map(np.array_equal, read_frames(path), expected))
    check_by_number(path, expected)


def test_transparency_is_laid_over_white_as_in_pictures(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "clip.mov"), "w") as container:
        stream = container.add_stream("png", rate=25)
        stream.height, stream.width, stream.pix_fmt = 4, 6, "rgba"
        for alpha in (255, 0, 102):
            picture = np.full((4, 6, 4), (250, 0, 0, alpha), np.uint8)
            picture[0, :, 3] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgba")))
        container.mux(stream.encode())
    opaque, clear, between = read_frames(tmp_path / "clip.mov")
    assert opaque[2, 2].tolist() == clear[0, 0].tolist() == [250, 0, 0]
    assert clear[2, 2].tolist() == [255, 255, 255]
    assert between[2, 2].tolist() == [253, 153, 153]


@pytest.mark.parametrize(("turned", "shown"), [(False, Fraction(4, 3)), (True, Fraction(3, 4))])
def test_frames_keep_their_pixels_and_tell_their_shape(tmp_path: Path, turned: bool, shown: Fraction) -> None:
    path = encode(tmp_path / "clip.mp4", frames=drawn_frames(3), aspect=Fraction(4, 3))
    if turned:
        path = with_display_matrix(path, tmp_path / "turned.mp4", (0, 1, -1, 0))
    size = (WIDTH, HEIGHT) if turned else (HEIGHT, WIDTH)
    frames = list(read_clip(probe_clip(path)))
    assert {frame.pixel_aspect for frame in frames} == {shown} and frames[0].image.shape[:2] == size
    assert VideoFrames(path).pixel_aspect == shown and VideoFrames(path).size == size
    assert VideoFrames(VideoFrames(path)).pixel_aspect == shown
    assert VideoFrames(drawn_frames(2)).pixel_aspect == 1


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".gif"])
def test_overlays_have_the_proportions_that_the_clip_is_shown_with(tmp_path: Path, suffix: str) -> None:
    path = encode(tmp_path / "clip.mp4", frames=drawn_frames(3), aspect=Fraction(3, 2))
    video = VideoFrames(path)
    labels = [np.ones(video.size, np.uint8)] * 3
    render_overlay_clip(tmp_path / f"overlay{suffix}", video, labels, pixel_aspect=video.pixel_aspect)
    written = list(read_clip(probe_clip(tmp_path / f"overlay{suffix}")))
    assert {(frame.image.shape[:2], frame.pixel_aspect) for frame in written} == {((HEIGHT, 96), 1)}
    sheets = [clip_contact_sheet(video, labels, pixel_aspect=aspect) for aspect in (1, video.pixel_aspect)]
    assert sheets[0].shape[0] > sheets[1].shape[0] and sheets[0].shape[1] == sheets[1].shape[1]


def test_square_pixels_lose_nothing_and_keep_labels() -> None:
    labels = np.array([[0, 300], [7, 0]], np.int32)
    assert square_pixels(labels, 1) is labels
    assert square_pixels(labels, 2).tolist() == [[0, 0, 300, 300], [7, 7, 0, 0]]
    assert square_pixels(labels, Fraction(1, 2)).tolist() == [[0, 300], [0, 300], [7, 0], [7, 0]]
    assert square_pixels(labels, 1.5).shape == (2, 3) and square_pixels(labels > 0, 1.5).dtype == bool
    assert square_pixels(np.zeros((90, 160, 3), np.uint8), Fraction(4, 3)).shape == (90, 213, 3)
    with pytest.raises(ValueError, match="`pixel_aspect` must be above 0, got 0"):
        square_pixels(labels, 0)


# ---------------------------------------------------------------------------------------------------- copies, processes
def test_frames_of_a_file_are_pickled_and_copied_in_the_middle_of_reading(tmp_path: Path) -> None:
    path = encode(tmp_path / "clip.ts", options=GROUPS)
    video = VideoFrames(path)
    expected = list(video)
    video[5]
    for other in (pickle.loads(pickle.dumps(video)), copy.deepcopy(video), copy.copy(video)):
        assert len(other) == COUNT
        assert all(np.array_equal(other[number], expected[number]) for number in (6, 20, 3))
    assert np.array_equal(video[6], expected[6])


def _last_frame(video: VideoFrames) -> np.ndarray:
    return video[-1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_forked_process_reads_on_by_itself(tmp_path: Path) -> None:
    video = VideoFrames(encode(tmp_path / "clip.mp4", options=GROUPS))
    first, last = video[0], video[-1]
    video[3]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking while threads run
        with multiprocessing.get_context("fork").Pool(1) as pool:
            assert np.array_equal(pool.apply_async(_last_frame, (video,)).get(timeout=60), last)
    assert np.array_equal(video[0], first)


def test_threads_share_the_frames_of_a_file(tmp_path: Path) -> None:
    video = VideoFrames(encode(tmp_path / "clip.mp4", options=GROUPS))
    expected = list(video)
    wrong: list[int] = []

    def read(seed: int) -> None:
        for number in random.Random(seed).choices(range(COUNT), k=20):
            if not np.array_equal(video[number], expected[number]):
                wrong.append(number)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_frames_belong_to_the_reader_of_them(tmp_path: Path) -> None:
    video = NumberedFrames(encode(tmp_path / "clip.mp4", frames=drawn_frames(3)))
    first = video[0]
    first[:] = 0
    assert video[0].any()


def test_a_file_that_changes_or_goes_is_noticed(tmp_path: Path) -> None:
    path = encode(tmp_path / "clip.mp4", options=GROUPS)
    video = VideoFrames(path)
    video[20]
    encode(path, options=GROUPS, frames=drawn_frames(9))
    with pytest.raises(ValueError, match=r"`video` has changed since it was opened: .*clip\.mp4"):
        video[2]
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"`video` names a file that is gone: .*clip\.mp4"):
        video[2]


def test_going_back_decodes_a_group_of_pictures_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = encode(tmp_path / "clip.mp4", options={"g": "10", "bf": "2"}, frames=drawn_frames(60))
    video = NumberedFrames(path)
    decoded = 0
    original = numbered_frames.VideoFile._decoded

    def counted(self: Any, packet: Any) -> Any:
        nonlocal decoded
        decoded += packet is not None
        return original(self, packet)

    monkeypatch.setattr(numbered_frames.VideoFile, "_decoded", counted)
    video[45]
    video[44]
    decoded, most = 0, 0
    for number in range(43, -1, -1):
        before = decoded
        video[number]
        most = max(most, decoded - before)
    assert decoded < 2 * 60
    # Two groups, and what the decoder's threads take in beforehand.
    assert most <= 2 * 10 + 4 + (os.cpu_count() or 1)
    assert video._seeks_well


# ------------------------------------------------------------------------------------------------------------- damaged
def damaged_copy(path: Path, to: Path, packets: range) -> Path:
    """The same file with rubbish in some packets, counted from 0 in the order of the file."""
    import av

    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for number in packets:
        place, size = places[number]
        data[place : place + size] = bytes([0xFF]) * size
    to.write_bytes(data)
    return to


@pytest.mark.parametrize("kind", ["H.264 in MP4", "H.264 in AVI", "MPEG-4 in AVI", "motion JPEG in MOV", "raw HEVC"])
def test_a_damaged_file_is_refused_in_clear_words_or_read_as_far_as_it_can_be(tmp_path: Path, kind: str) -> None:
    whole = make(tmp_path, kind)
    path = damaged_copy(whole, tmp_path / f"damaged{whole.suffix}", range(9, 12))
    kept: list[np.ndarray] = []
    try:
        for frame in read_frames(path):
            kept.append(frame)
        refused = False
    except ValueError as error:
        refused = True
        assert f"damaged at frame {len(kept)} " in str(error) and str(path) in str(error) and "keep" in str(error)
    assert all(map(np.array_equal, kept[:5], decoded_in_order(whole)))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        rest = list(read_frames(path, damaged="keep"))
    assert len(rest) >= max(len(kept), COUNT - 8)
    assert refused == any("packets could not be decoded" in str(warning.message) for warning in told)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        video = VideoFrames(path, damaged="keep")
        assert len(video) == len(rest)
        assert all(np.array_equal(video[number], rest[number]) for number in shuffled(len(rest)))
    if refused:
        with pytest.raises(ValueError, match="damaged at frame"):
            list(VideoFrames(path))


def test_of_a_file_that_is_cut_off_what_is_there_can_be_kept(tmp_path: Path) -> None:
    whole = make(tmp_path, "H.264 in MP4 with its index first")
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    with pytest.raises(ValueError, match=r'cut off, at least \d+ bytes are missing \(damaged="keep" reads what is'):
        VideoFrames(cut)
    with pytest.warns(UserWarning, match="cut off"):
        frames = VideoFrames(cut, damaged="keep")
    expected = decoded_in_order(whole)
    assert (
        8 <= len(frames) < COUNT and np.array_equal(frames[7], expected[7]) and np.array_equal(frames[0], expected[0])
    )
    with pytest.raises(ValueError, match=r'`damaged` must be "refuse" or "keep", got \'repair\''):
        VideoFrames(whole, damaged="repair")  # type: ignore[arg-type]


def test_frames_of_changing_size_are_named(tmp_path: Path) -> None:
    path = tmp_path / "clip.h264"
    parts = [encode(tmp_path / f"{height}.h264", frames=drawn_frames(3, height)) for height in (48, 64)]
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    with pytest.raises(ValueError, match=r"one size, got \(64, 64\) .* at frame 3 after \(48, 64\)"):
        list(read_frames(path))
    frames = VideoFrames(path)
    assert len(frames) == 6 and frames[2].shape[:2] == (48, 64)
    with pytest.raises(ValueError, match=r"frame 4 has \(height, width\) = \(64, 64\), the first \(48, 64\)"):
        frames[4]


@pytest.mark.parametrize("video", [b"clip.mp4", bytearray(b"clip.mp4")])
def test_bytes_are_no_clip(video: Any) -> None:
    with pytest.raises(TypeError, match=r"`video` must be a list of frames, .*, got byte"):
        VideoFrames(video)
