"""Log-mel spectrograms with NumPy, and the extractor of a processor by its saved description."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from transformers import BatchFeature, SequenceFeatureExtractor
from transformers.audio_utils import mel_filter_bank

from ..core.errors import KindError, UsageError


class LogMelExtractor(SequenceFeatureExtractor):
    """Sounds to `input_features` (N, bands, T): the logarithm of the power in each band, every ten milliseconds.

    Unlike Whisper's, values do not depend on the loudest part of the sound: silence stays silence.

    Args:
        feature_size: bands, between 0 Hz and half the sampling rate, evenly on the mel scale.
        sampling_rate: samples a second.
        padding_value: of shorter sounds in a batch; default: silence.
    """

    model_input_names = ["input_features", "attention_mask"]

    def __init__(
        self, feature_size: int = 64, sampling_rate: int = 16_000, padding_value: float = -1.0, **kwargs: Any
    ) -> None:
        super().__init__(feature_size=feature_size, sampling_rate=sampling_rate, padding_value=padding_value, **kwargs)

    def __call__(
        self, raw_speech: Sequence[np.ndarray], sampling_rate: int, return_tensors: str = "pt", **_: Any
    ) -> BatchFeature:
        """Spectrograms of sounds, each (samples,), of this `sampling_rate`."""
        made = [self._spectrogram(np.asarray(sound, np.float32)) for sound in raw_speech]
        length = max(one.shape[1] for one in made)
        values = np.full((len(made), self.feature_size, length), self.padding_value, np.float32)
        mask = np.zeros((len(made), length), np.int64)
        for row, one in enumerate(made):
            values[row, :, : one.shape[1]] = one
            mask[row, : one.shape[1]] = 1
        return BatchFeature({"input_features": values, "attention_mask": mask}, tensor_type=return_tensors)

    def _spectrogram(self, sound: np.ndarray) -> np.ndarray:
        """(bands, T), from -1, which is silence, to about 1."""
        hop = self.sampling_rate // 100
        size = 5 * hop // 2  # 25 milliseconds
        frames = sliding_window_view(np.pad(sound, size // 2), size)[::hop] * np.hanning(size).astype(np.float32)
        power = np.abs(np.fft.rfft(frames, 2 * size)) ** 2
        logarithms = np.log10(np.maximum(power @ _filters(self.feature_size, size + 1, self.sampling_rate), 1e-8))
        return np.asarray(logarithms.T / 4 + 1, np.float32)


@functools.cache
def _filters(bands: int, frequencies: int, sampling_rate: int) -> np.ndarray:
    """Triangular filters (frequencies, bands)."""
    return np.asarray(mel_filter_bank(frequencies, bands, 0.0, sampling_rate / 2, sampling_rate, norm="slaney"))


def audio_extractor(given: Any) -> Any:
    """A feature extractor out of itself or of its saved description; None stays None.

    Raises:
        TypeError, ValueError: neither of them.
    """
    if given is None or isinstance(given, SequenceFeatureExtractor):
        return given
    if not isinstance(given, Mapping):
        raise KindError(f"`audio_extractor` must be a feature extractor of Transformers, got {type(given).__name__}.")
    options = dict(given)
    kind = options.pop("feature_extractor_type", None)
    if kind == LogMelExtractor.__name__:
        return LogMelExtractor(**options)
    import transformers

    found = getattr(transformers, str(kind), None)
    if not (isinstance(found, type) and issubclass(found, SequenceFeatureExtractor)):
        raise UsageError(f"`audio_extractor` must name a feature extractor of Transformers, got {kind!r}.")
    return found(**options)


def sound_tensors(extractor: Any, audio: Any, sampling_rate: Any) -> dict[str, torch.Tensor]:
    """`audio_values` (N, ...) and, where the extractor makes one, `audio_mask` (N, T) of sounds.

    Raises:
        TypeError, ValueError: the model hears nothing, or see `checked_sounds`.
    """
    if extractor is None:
        raise UsageError(
            "`audio` needs a model that hears, and this one has no audio encoder; docs/sound.md says how to train one."
        )
    sounds = checked_sounds(audio, sampling_rate, extractor.sampling_rate)
    # Whisper's pads to its thirty seconds unless told otherwise, and its encoder wants that.
    padding = getattr(inspect.signature(type(extractor).__call__).parameters.get("padding"), "default", None) or True
    made = extractor(sounds, sampling_rate=extractor.sampling_rate, return_tensors="pt", padding=padding)
    values = {"audio_values": made[extractor.model_input_names[0]]}
    return values | ({"audio_mask": made["attention_mask"]} if "attention_mask" in made else {})


def checked_sounds(audio: Any, sampling_rate: Any, wanted: int, name: str = "audio") -> list[np.ndarray]:
    """Sounds as float32 (samples,) each.

    Args:
        audio: a sound (samples,), or a list of them, or an array (N, samples); floating point, -1..1.
        sampling_rate: its samples a second.
        wanted: those that the model was trained with.

    Raises:
        TypeError, ValueError: naming the argument, what came, and what is accepted.
    """
    if sampling_rate is None:
        raise UsageError(f"`sampling_rate` is missing; `{name}` needs it, and this model hears {wanted} Hz.")
    if isinstance(sampling_rate, bool) or not isinstance(sampling_rate, (int, np.integer)):
        raise KindError(f"`sampling_rate` must be an integer, got {sampling_rate!r}.")
    if sampling_rate != wanted:
        raise UsageError(
            f"`sampling_rate` must be {wanted} Hz, which this model hears, got {sampling_rate}; resample `{name}` "
            "(`media.sound.read_sound` does while it reads a file)."
        )
    if not isinstance(audio, (list, tuple)):
        audio = np.asarray(audio)
        audio = [audio] if audio.ndim == 1 else list(audio) if audio.ndim == 2 else [audio]
    elif len(audio) and np.isscalar(audio[0]):
        audio = [audio]
    sounds = [np.asarray(sound) for sound in audio]
    if not sounds:
        raise UsageError(f"`{name}` is empty; give at least one sound.")
    for sound in sounds:
        if sound.ndim != 1 or not np.issubdtype(sound.dtype, np.floating):
            raise UsageError(
                f"`{name}` must be of one channel, floating point (samples,), got {sound.dtype} {sound.shape}."
            )
        if len(sound) < wanted // 20:
            raise UsageError(f"`{name}` must last a twentieth of a second, {wanted // 20} samples, got {len(sound)}.")
        if not np.isfinite(sound).all():
            raise UsageError(f"`{name}` must hold finite numbers, got NaN or infinity.")
        if np.abs(sound).max() > 1.5:
            raise UsageError(f"`{name}` must be within -1 to 1, got {np.abs(sound).max():.3g}.")
    return [sound.astype(np.float32) for sound in sounds]
