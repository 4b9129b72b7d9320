"""Which files are pictures, animated or not, and which are videos."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from ...core.picture_input import UNREADABLE

FRAME_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
ANIMATION_SUFFIXES = (".apng", ".gif", ".png", ".webp")
ACCEPTED = (
    f"a folder of frames ({', '.join(FRAME_SUFFIXES)}), an animated picture ({', '.join(ANIMATION_SUFFIXES)}) "
    "or a video file (.mp4, .mov, .mkv, .webm, ...)"
)

# Pillow opens more: the first picture of a raw MPEG or motion JPEG stream, for instance.
_PICTURES = {"AVIF", "BMP", "DIB", "GIF", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP"}
_PICTURES_BY_NAME = {"JPEG", "MPO"}


def is_picture(path: Path) -> bool:
    """Whether Pillow is to read a file, by its content; one that cannot be read, by its name.

    Motion JPEG without a container is one JPEG after the other: only the name tells a video from a picture.
    """
    named = path.suffix.lower() in (*FRAME_SUFFIXES, *ANIMATION_SUFFIXES)
    try:
        with Image.open(path) as image:
            return image.format in _PICTURES or (named and image.format in _PICTURES_BY_NAME)
    except UNREADABLE:
        return named
