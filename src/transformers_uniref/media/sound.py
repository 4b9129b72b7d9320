"""Reading sounds: of audio files, and the tracks of video files."""

from __future__ import annotations

import os

import numpy as np

from ..core.errors import UsageError
from ..core.optional import require


def read_sound(path: str | os.PathLike[str], sampling_rate: int, name: str = "audio") -> np.ndarray:
    """The first sound track of a file, mixed to one channel and resampled.

    Args:
        path: any file with sound that FFmpeg knows: WAV, MP3, FLAC, MP4, ...
        sampling_rate: samples a second of the result; `processor.audio_extractor.sampling_rate` of a model.
        name: what the caller calls the argument, for messages.

    Returns:
        float32 (samples,), -1..1.

    Raises:
        FileNotFoundError: no such file.
        MissingExtraError: PyAV is not installed.
        ValueError: no such file format, damaged, or without a sound track.
    """
    av = require("av", "video", "reading sounds")
    if not os.path.isfile(path):
        raise FileNotFoundError(f"`{name}` must be a file with sound, found none: {path}")
    parts = []
    try:
        with av.open(f"file:{os.fspath(path)}") as container:
            if not container.streams.audio:
                raise UsageError(f"`{name}` must have a sound track, this file has none: {path}")
            resampler = av.AudioResampler(format="flt", layout="mono", rate=sampling_rate)
            for frame in container.decode(container.streams.audio[0]):
                parts += [one.to_ndarray()[0] for one in resampler.resample(frame)]
            parts += [one.to_ndarray()[0] for one in resampler.resample(None)]
    except (av.FFmpegError, EOFError) as error:
        raise UsageError(f"`{name}` could not be read: {path} ({error})") from error
    if not parts:
        raise UsageError(f"`{name}` has a sound track without a sample: {path}")
    return np.clip(np.concatenate(parts), -1, 1).astype(np.float32)


__all__ = ["read_sound"]
