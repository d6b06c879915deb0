"""What is wrong with the bytes of an image file, as far as its begin and its end tell; nothing is decoded."""

from __future__ import annotations

__all__ = ["fault_of_image"]

_JPEG, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
_PNG, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND"
_BEGINS = (_JPEG, _PNG, b"GIF8", b"BM", b"II*\0", b"MM\0*", b"P4", b"P5", b"P6")
#: Cameras and editors leave something behind the end.
_BEHIND = 1 << 16


def fault_of_image(data: bytes) -> str | None:
    """Say why bytes are no whole image; ``None`` if nothing speaks against it.

    Args:
        data: The bytes of a file.
    """
    if not data:
        return "it is empty"
    if data.startswith(_JPEG):
        return None if _JPEG_END in data[-_BEHIND:] else f"a JPEG that is cut off: its {len(data):,} bytes have no end"
    if data.startswith(_PNG):
        return None if _PNG_END in data[-_BEHIND:] else f"a PNG that is cut off: its {len(data):,} bytes have no end"
    if data.startswith(_BEGINS) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP"):
        return None
    return f"no image: it begins with {data[:12]!r}"
