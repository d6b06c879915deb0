"""Image files that are stored as they are."""

from __future__ import annotations

__all__ = ["ImageFile"]


class ImageFile(bytes):
    """The bytes of an image file, to be stored in a column of images without being decoded."""

    __slots__ = ()

    @property
    def encoding(self) -> str:
        """``'jpeg'`` for a JPEG file; ``'png'`` for any other, whose reader takes files of every kind too."""
        return "jpeg" if self.startswith(b"\xff\xd8\xff") else "png"
