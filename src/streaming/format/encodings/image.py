"""Columns of images (PIL) and of lists of images."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Sequence
from io import BytesIO
from typing import Any

from streaming.core.errors import ColumnTypeError, ColumnValueError
from streaming.core.imports import optional_import
from streaming.format.encodings.base import Encoding
from streaming.format.encodings.packed import pack_list, unpack_list

__all__ = [
    "JPEG",
    "JPEGS",
    "PIL",
    "PNG",
    "ImageFile",
    "ImageList",
    "JPEGArray",
    "JPEGList",
    "PILList",
    "PNGList",
    "file_of",
    "jpeg_file_of",
    "warn_of_frames",
]

#: What images are that were opened from files that every reader of JPEG reads; those of some cameras hold more than one.
JPEGS = ("JPEG", "MPO")


def _image_module() -> Any:
    return optional_import("PIL.Image", "vision", "Reading or writing an image column")


def _check_image(obj: Any) -> Any:
    module = _image_module()
    if not isinstance(obj, module.Image):
        raise ColumnTypeError(f"expected PIL.Image.Image, got {type(obj).__name__}")
    return obj


def _save(obj: Any, kind: str) -> bytes:
    out = BytesIO()
    warn_of_frames(_check_image(obj))
    try:
        obj.save(out, format=kind)
    except (OSError, ValueError) as error:
        raise ColumnValueError(f"image of mode {obj.mode} as {kind}: {error}") from error
    return out.getvalue()


def warn_of_frames(image: Any) -> None:
    """Warn of an image of several frames or pages, of which one is to be stored."""
    if image.format == "GIF" and not getattr(image, "tile", ()):  # to count its frames would undo what was drawn on it
        data = file_of(image)
        if data is None:
            return
        image = _image_module().open(BytesIO(data))
    if getattr(image, "n_frames", 1) > 1:
        warnings.warn(
            "Of an image that has several frames or pages, the one that it shows is stored. A column of 'image' keeps the "
            "whole file; image.copy() has one.",
            stacklevel=2,
        )


class PIL(Encoding):
    """An image's size, mode and uncompressed pixels. Palette and metadata are not stored."""

    def encode(self, obj: Any) -> bytes:
        """Return the header and the pixels."""
        image = _check_image(obj)
        warn_of_frames(image)
        if image.palette is not None and image.palette.palette:
            warnings.warn(
                "A column of 'pil' keeps an image's pixels, but not its palette: what is read back has the indices of the "
                "colours alone. Use 'png' to keep both, or image.convert('RGB').",
                stacklevel=2,
            )
        mode = image.mode.encode()
        width, height = image.size
        return struct.pack("<3I", width, height, len(mode)) + mode + image.tobytes()

    def decode(self, data: bytes) -> Any:
        """Return the image.

        Raises:
            ColumnValueError: The bytes are not those of an image.
        """
        if len(data) < 12:
            raise ColumnValueError(f"no image: {len(data)} bytes are too few")
        width, height, mode_bytes = struct.unpack_from("<3I", data)
        begin = 12 + mode_bytes
        mode = str(data[12:begin], "utf-8")
        pixels = data[begin:]
        # A band of a pixel takes at least a bit: this bounds what a lying header can allocate.
        if not mode or width * height > 8 * len(pixels):
            raise ColumnValueError(f"no image: {width} x {height} pixels of mode {mode!r} in {len(pixels)} bytes")
        return _image_module().frombytes(mode, (width, height), bytes(pixels))


class _File(Encoding):
    """An image as an image file; opened, but not decompressed, when read."""

    kind: str

    def encode(self, obj: Any) -> bytes:
        """Return the image file."""
        return _save(obj, self.kind)

    def decode(self, data: bytes) -> Any:
        """Return the image, whose pixels are read on first use."""
        return _image_module().open(BytesIO(data))


class JPEG(_File):
    """An image as JPEG. One that was opened from a JPEG file, and not changed since, keeps that file's bytes."""

    kind = "JPEG"

    def encode(self, obj: Any) -> bytes:
        """Return the JPEG file."""
        data = jpeg_file_of(_check_image(obj))
        return super().encode(obj) if data is None else data


class ImageFile(Encoding):
    """An image as an image file of any kind. One that was opened from a file keeps its bytes; any other becomes PNG."""

    def encode(self, obj: Any) -> bytes:
        """Return the file; of an image that is not, or no more, what a file holds, a PNG file, which loses nothing.

        Raises:
            ColumnTypeError: It is no image.
            ColumnValueError: PNG has no such mode.
        """
        data = file_of(_check_image(obj))
        return _save(obj, "PNG") if data is None else data

    def decode(self, data: bytes) -> Any:
        """Return the image, whose pixels are read on first use."""
        return _image_module().open(BytesIO(data))


def jpeg_file_of(image: Any) -> bytes | None:
    """Return the JPEG file that an image was opened from; see :func:`file_of`."""
    return file_of(image) if getattr(image, "format", None) in JPEGS else None


def file_of(image: Any) -> bytes | None:
    """Return the file that an image was opened from by name, if both still show the same; else ``None``.

    Drawing, pasting or thumbnails change an image in place, and others may write its file anew; neither can be told by
    the image's attributes. So the pixels of an image that was loaded are compared with the file's. One that was not
    loaded has no pixels of its own: its file is what it shows.
    """
    if not getattr(image, "format", None) or not getattr(image, "filename", None):
        return None
    try:
        data = _bytes_of_file(image)
        fresh = _image_module().open(BytesIO(data))
        if (fresh.format, fresh.size, fresh.mode) != (image.format, image.size, image.mode):
            return None
        tile = getattr(image, "tile", None)
        same = tile == fresh.tile if tile else fresh.tobytes() == image.tobytes()
    except Exception:  # no file any more, or no whole one
        return None
    return data if same else None


def _bytes_of_file(image: Any) -> bytes:
    # The file that it has open is its own, even where another took the name since.
    file = getattr(image, "fp", None)
    if file is None or file.closed:
        with open(image.filename, "rb") as named:
            return named.read()
    position = file.tell()
    try:
        file.seek(0)
        return file.read()
    finally:
        file.seek(position)


class PNG(_File):
    """An image as PNG, which loses nothing."""

    kind = "PNG"


class ImageList(Encoding):
    """A list of images, each in the encoding ``item``."""

    item: Encoding

    def encode(self, obj: Sequence[Any]) -> bytes:
        """Return a table of sizes followed by the images."""
        self._validate(obj, list)
        return pack_list([self.item.encode(image) for image in obj], reserved=b"\0\0\0\0")

    def decode(self, data: bytes) -> list[Any]:
        """Return the images."""
        return [self.item.decode(part) for part in unpack_list(data, begin=4)]


class PILList(ImageList):
    """A list of images as :class:`PIL`."""

    item = PIL()


class JPEGList(ImageList):
    """A list of images as :class:`JPEG`."""

    item = JPEG()


class PNGList(ImageList):
    """A list of images as :class:`PNG`."""

    item = PNG()


class JPEGArray(Encoding):
    """A sequence, not empty, of JPEG files given as bytes; images when read."""

    def encode(self, obj: Sequence[bytes]) -> bytes:
        """Return a table of sizes followed by the files."""
        if isinstance(obj, (str, bytearray, memoryview)) or not isinstance(obj, Sequence):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ColumnTypeError(f"expected a sequence of JPEG bytes, got {type(obj).__name__}")
        if not obj:
            raise ColumnValueError("an empty jpeg_array could not be read back")
        for part in obj:
            self._validate(part, (bytes, bytearray, memoryview))
        return pack_list([bytes(part) for part in obj])

    def decode(self, data: bytes) -> list[Any]:
        """Return the images.

        Raises:
            ColumnValueError: There is none, or the table of sizes is wrong.
        """
        parts = unpack_list(data, begin=0)
        if not parts:
            raise ColumnValueError("no jpeg_array: it holds no image")
        item = JPEG()
        return [item.decode(part) for part in parts]
