"""Image embeddings on disk: what a frozen image encoder has seen once is read instead of computed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..core.atomic import replacing
from ..core.errors import UsageError

_NAME = "embedding"


class EmbeddingCache:
    """A folder with one file an image.

    A file's name follows from the encoder's weights, the precision and every pixel of the network's input, so that
    another encoder, another size or an augmented picture never gets a wrong embedding; it only takes another file.
    Several processes may share the folder: files appear whole or not at all, and a damaged one is made anew.

    Args:
        folder: made if it is missing. For SAM's 1024 x 1024 input a file has 4 MB (2 MB in half precision).
        encoder: the frozen image encoder.

    Raises:
        ValueError: a parameter of `encoder` is trained.
    """

    def __init__(self, folder: str | os.PathLike[str], encoder: nn.Module) -> None:
        self.encoder = encoder
        self._check_frozen()
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        fingerprint = hashlib.blake2b(digest_size=16)
        for name, tensor in sorted(encoder.state_dict().items()):
            fingerprint.update(name.encode())
            fingerprint.update(_bytes(tensor))
        self.encoder_id = fingerprint.digest()

    def embed(self, pixel_values: Tensor, encode: Callable[[Tensor], Tensor]) -> Tensor:
        """The embeddings of a batch.

        Args:
            pixel_values: (B, 3, H, W).
            encode: gives those (M, d, h, w) of the M images that have no file yet, in one batch.

        Returns:
            (B, d, h, w), on the device of `pixel_values`, without gradient.

        Raises:
            ValueError: the encoder is not frozen any more.
        """
        self._check_frozen()
        files = [self._file(image) for image in pixel_values]
        found = [_read(file) for file in files]
        missing = [index for index, embedding in enumerate(found) if embedding is None]
        if missing:
            with torch.no_grad():
                made = encode(pixel_values[missing])
            for index, embedding in zip(missing, made, strict=True):
                found[index] = embedding
                with replacing(files[index]) as partial:
                    save_file({_NAME: embedding.detach().cpu().contiguous()}, partial)
        return torch.stack([embedding.to(pixel_values.device) for embedding in found if embedding is not None])

    def _check_frozen(self) -> None:
        trained = [name for name, parameter in self.encoder.named_parameters() if parameter.requires_grad]
        if trained:
            raise UsageError(
                f"`encoder` must be frozen for its embeddings to be kept (encoder.requires_grad_(False)); "
                f"{len(trained)} of its parameters are trained, {trained[0]} for one."
            )

    def _file(self, image: Tensor) -> Path:
        key = hashlib.blake2b(self.encoder_id, digest_size=16)
        kind = image.device.type
        precision = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else image.dtype
        key.update(f"{precision} {tuple(image.shape)}".encode())
        key.update(_bytes(image))
        return self.folder / f"{key.hexdigest()}.safetensors"


def _bytes(tensor: Tensor) -> Any:
    """The memory of a tensor, to be hashed without a copy."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()


def _read(file: Path) -> Tensor | None:
    try:
        return load_file(file)[_NAME]
    except (OSError, SafetensorError, KeyError):
        return None


__all__ = ["EmbeddingCache"]
