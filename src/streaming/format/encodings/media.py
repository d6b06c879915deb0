"""Columns of sound and video: the bytes of a file, decoded when it is asked for."""

from __future__ import annotations

from typing import Any

from streaming.core.errors import ColumnTypeError
from streaming.format.encodings.base import Encoding
from streaming.format.media import Audio, Video

__all__ = ["AudioFile", "VideoFile"]


class AudioFile(Encoding):
    """The bytes of a sound file, as they are; an :class:`Audio` when read."""

    def encode(self, obj: Any) -> bytes:
        """Return the bytes of a file.

        Raises:
            ColumnTypeError: It is none.
        """
        raise ColumnTypeError(
            f"expected the bytes of a sound file, got {type(obj).__name__}; read it: open(path, 'rb')"
        )

    def decode(self, data: bytes) -> Audio:
        """Return the file, not decoded yet."""
        return Audio(data)


class VideoFile(Encoding):
    """The bytes of a video file, as they are; a :class:`Video` when read."""

    def encode(self, obj: Any) -> bytes:
        """Return the bytes of a file.

        Raises:
            ColumnTypeError: It is none.
        """
        raise ColumnTypeError(
            f"expected the bytes of a video file, got {type(obj).__name__}; read it: open(path, 'rb')"
        )

    def decode(self, data: bytes) -> Video:
        """Return the file, not decoded yet."""
        return Video(data)
