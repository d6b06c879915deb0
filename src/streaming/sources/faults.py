"""What is wrong with the bytes of an image, sound or video, as far as its begin and its end tell; nothing is decoded."""

from __future__ import annotations

__all__ = ["fault_of_file"]

_JPEG, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
_PNG, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND"
_BEGINS = (_JPEG, _PNG, b"GIF8", b"BM", b"II*\0", b"MM\0*", b"P4", b"P5", b"P6")
#: Cameras and editors leave something behind the end.
_BEHIND = 1 << 16
#: Programs that write to a pipe note about so many bytes, since they do not know better.
_UNKNOWN = 0x7FFF_0000
#: What a second of MP3 takes, in kilobits, by its frames' headers: of MPEG-2, and of MPEG-1.
_KILOBITS = (
    (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
)
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def fault_of_file(kind: str, data: bytes) -> str | None:
    """Say why bytes are no whole image, sound or video; ``None`` if nothing speaks against it.

    Args:
        kind: ``'image'``, ``'audio'`` or ``'video'``.
        data: The bytes of a file.
    """
    if not data:
        return "it is empty"
    told = _told_size(data)
    if len(data) + 1 < told:  # some leave out the last byte, which makes it even
        return f"it is cut off: {len(data):,} bytes, of the {told:,} that it says it has"
    return _fault_of_image(data) if kind == "image" else None


def _fault_of_image(data: bytes) -> str | None:
    if data.startswith(_JPEG):
        return None if _JPEG_END in data[-_BEHIND:] else f"a JPEG that is cut off: its {len(data):,} bytes have no end"
    if data.startswith(_PNG):
        return None if _PNG_END in data[-_BEHIND:] else f"a PNG that is cut off: its {len(data):,} bytes have no end"
    if data.startswith(_BEGINS) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP"):
        return None
    return f"no image: it begins with {data[:12]!r}"


def _told_size(data: bytes) -> int:
    """Return how many bytes a file has by its own account, at least; 0 if it does not say."""
    begin = data[:4]
    if begin == b"RIFF":  # WAV, AVI, WebP
        size = int.from_bytes(data[4:8], "little")
        return size + 8 if size < _UNKNOWN else 0
    if begin == b"RF64" and data[12:16] == b"ds64":
        return int.from_bytes(data[20:28], "little") + 8
    if data[4:8] == b"ftyp":
        return _end_of_boxes(data)
    if begin == b"OggS":
        return _end_of_pages(data)
    if begin == _EBML:
        return _end_of_segment(data)
    first = 10 + _seven_bits(data[6:10]) if begin[:3] == b"ID3" else 0
    return _end_of_frames(data, first) if _frame_at(data, first) else 0


def _end_of_boxes(data: bytes) -> int:
    """Return where the last box of MP4 ends: each begins with its size, and a name."""
    at = 0
    while data[at + 4 : at + 8].isalnum():
        size = int.from_bytes(data[at : at + 4], "big")
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if size < 8:  # 0: to the end of the file
            break
        at += size
    return at


def _end_of_pages(data: bytes) -> int:
    """Return where the last page of Ogg ends: its header has the lengths of what is in it."""
    at = data.rfind(b"OggS\0")
    table = at + 27
    lengths = data[table : table + data[at + 26]] if table <= len(data) else b""
    return table + len(lengths) + sum(lengths)


def _end_of_segment(data: bytes) -> int:
    """Return where the segment of Matroska ends: each element has an id, and its size."""
    size, at = _size_at(data, 4)
    at += size
    if data[at : at + 4] != _SEGMENT:
        return 0
    size, at = _size_at(data, at + 4)
    return at + size if size else 0


def _end_of_frames(data: bytes, first: int) -> int:
    """Return where the frames of MP3 end, by what encoders note in the first; 0 if no frame is cut.

    Whoever takes out a part of a file, frame by frame, may leave the note as it was.
    """
    told, at = _told_of_frames(data, first), first
    if len(data) < told:
        while size := _frame_at(data, at):
            at += size
    return told if at > len(data) or 0 < len(data) - at < 4 else 0


def _told_of_frames(data: bytes, first: int) -> int:
    is_first, is_mono = data[first + 1] & 24 == 24, data[first + 3] >= 192  # is_first: MPEG-1
    side = 17 if is_first == is_mono else 9 if is_mono else 32
    note = first + 4 + side
    if data[note : note + 4] in (b"Xing", b"Info"):
        flags = int.from_bytes(data[note + 4 : note + 8], "big")
        size = note + (12 if flags & 1 else 8)
    elif data[first + 36 : first + 40] == b"VBRI":
        flags, size = 2, first + 46
    else:
        return 0
    count = int.from_bytes(data[size : size + 4], "big") if flags & 2 else 0
    return first + count if count else 0


def _frame_at(data: bytes, at: int) -> int:
    """Return the bytes of the frame of MP3 that begins at a place, by its header; 0 if none does."""
    header = int.from_bytes(data[at : at + 4], "big")
    version, rate, pace = header >> 19 & 3, header >> 12 & 15, header >> 10 & 3
    if header >> 21 != 0x7FF or header >> 17 & 3 != 1 or version == 1 or rate in (0, 15) or pace == 3:
        return 0
    is_first = version == 3
    hertz = (44100, 48000, 32000)[pace] >> (0 if is_first else 1 if version == 2 else 2)
    return (144 if is_first else 72) * 1000 * _KILOBITS[is_first][rate - 1] // hertz + (header >> 9 & 1)


def _seven_bits(data: bytes) -> int:
    """Return the number whose bytes have seven bits each, as ID3 has it."""
    return sum(byte << 7 * place for place, byte in enumerate(reversed(data)))


def _size_at(data: bytes, at: int) -> tuple[int, int]:
    """Return a size, as many bytes as its first bits say, 0 if it is not known; and where it ends."""
    width = 9 - (data[at] if at < len(data) else 0).bit_length()
    every = (1 << 7 * width) - 1
    size = int.from_bytes(data[at : at + width], "big") & every
    return (0 if size == every else size), at + width
