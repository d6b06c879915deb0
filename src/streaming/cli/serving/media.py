"""What a browser is given of images, sounds and videos: pixels that were made here, or files of a kind that it plays."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

import numpy as np

from streaming.core.imports import optional_import
from streaming.format.values import as_file, is_image

__all__ = ["MAX_PIXELS", "kind_of", "playable", "thumbnail"]

#: Images of more are not decoded.
MAX_PIXELS = 64_000_000
#: Decodes one image after the other, each of which may take a quarter of a gigabyte: several threads would each keep as
#: much, since what a thread has freed, only that thread uses anew.
_thread = ThreadPoolExecutor(1, "streaming-images")
_IMAGES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"II*\0", b"MM\0*")
_SOUNDS = {b"fLaC": "audio/flac", b"OggS": "audio/ogg", b"ID3": "audio/mpeg", b"\xff\xfb": "audio/mpeg"}
_VIDEOS = {b"\x1a\x45\xdf\xa3": "video/webm"}


def kind_of(value: Any) -> str | None:
    """Return ``'image'``, ``'audio'`` or ``'video'``, by what a value is and by its first bytes; ``None`` for others."""
    if is_image(value) or _is_picture(value):
        return "image"
    if not isinstance(value, bytes):
        return None
    if value.startswith(_IMAGES) or _riff(value) == b"WEBP":
        return "image"
    found = playable(value)
    return found.partition("/")[0] if found else None


def playable(data: bytes) -> str | None:
    """Return the media type of a file that a browser plays, by its first bytes."""
    if _riff(data) == b"WAVE":
        return "audio/wav"
    if data[4:8] == b"ftyp":
        return "audio/mp4" if data[8:11] == b"M4A" else "video/mp4"
    return next((kind for magic, kind in {**_SOUNDS, **_VIDEOS}.items() if data.startswith(magic)), None)


def _riff(data: bytes) -> bytes | None:
    return data[8:12] if data[:4] == b"RIFF" else None


def _is_picture(value: Any) -> bool:
    """Say whether an array is most likely an image: bytes, of rows, columns and one, three or four channels."""
    return (
        isinstance(value, np.ndarray)
        and value.dtype == np.uint8
        and value.ndim == 3
        and value.shape[2] in (1, 3, 4)
        and min(value.shape[:2]) >= 8
    )


def thumbnail(value: Any, side: int) -> bytes:
    """Return a PNG of an image.

    Args:
        value: An image of Pillow's, a file's bytes, or ``uint8[height, width, channels]``.
        side: Pixels of its longer side, at most.

    Raises:
        ValueError: It is too large, or broken.
        MissingDependencyError: Pillow is not installed.
    """
    module = optional_import("PIL.Image", "vision", "Showing images")
    return _thread.submit(_thumbnail, module, value, side).result()


def _thumbnail(module: Any, value: Any, side: int) -> bytes:
    try:
        if isinstance(value, np.ndarray):
            image = module.fromarray(value[:, :, 0] if value.shape[2] == 1 else value)
        else:
            image = value if is_image(value) else module.open(BytesIO(value))
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise ValueError(f"An image of {width:,} x {height:,} pixels is not shown.")
        if getattr(image, "format", None) in ("JPEG", "MPO"):
            image = module.open(BytesIO(as_file(image)))  # the value itself may be asked for again
            image.draft("RGB", (side, side))
        if image.mode not in ("L", "RGB", "RGBA") or "transparency" in image.info:
            image = image.convert("RGBA" if "A" in image.getbands() or "transparency" in image.info else "RGB")
        share = side / max(side, *image.size)
        image = image.resize([max(1, round(share * pixels)) for pixels in image.size], reducing_gap=2.0)
        file = BytesIO()
        image.save(file, format="PNG")
    except ValueError:
        raise
    except Exception as error:  # whatever Pillow finds in a broken file
        raise ValueError(f"The image cannot be decoded: {type(error).__name__}: {error}") from error
    return file.getvalue()
