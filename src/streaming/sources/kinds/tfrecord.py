"""TFRecords of ``tf.train.Example``, read without TensorFlow.

A record::

    u64 bytes of data | u32 check | data | u32 check

A feature that has one value in all of the first records is that value; any other is a list: an array of numbers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np

from streaming.core.errors import SourceError, StreamingError
from streaming.sources.contract import Files, Part, Row, Source
from streaming.sources.streams import open_stream

__all__ = ["Records"]

_PEEKED = 256
_MOST_BYTES = 1 << 31
_JPEG = b"\xff\xd8\xff"


class Records(Source):
    """Files of records; each is a part."""

    def __init__(self, files: Files) -> None:
        super().__init__(files)
        self.parts = [Part(info.path, i, 0, 1, 0, -1, info.bytes) for i, info in enumerate(files.infos)]
        first = [feature for _, feature in islice(self._features(self.parts[0]), _PEEKED)]
        self._lists = {name for row in first for name, values in row.items() if len(values) != 1}
        self._texts: dict[str, bool] = {}
        self._images: set[str] = set()
        for name in {name for row in first for name in row} - self._lists:
            values = [row[name][0] for row in first if name in row]
            if all(isinstance(value, bytes) for value in values):
                self._texts[name] = all(map(_is_text, values))
                if all(value.startswith(_JPEG) for value in values):
                    self._images.add(name)

    def hint(self, name: str) -> str | None:
        """Return the encoding of images."""
        return "jpeg" if name in self._images else None

    def read(self, part: Part, names: Sequence[str] | None = None) -> Iterator[Row | SourceError]:
        """Yield the records."""
        for number, features in self._features(part):
            try:
                yield {n: self._value(n, found) for n, found in features.items() if names is None or n in names}
            except ValueError as error:
                yield SourceError(f"{part.name}, record {number}: {error}")

    def _value(self, name: str, values: Any) -> Any:
        if name in self._lists:
            return values
        if len(values) != 1:
            raise ValueError(f"column {name!r} has {len(values)} values, and one in the first records")
        value = values[0]
        if isinstance(value, bytes):
            return value.decode() if self._texts.get(name) else value
        return value.item()

    def _features(self, part: Part) -> Iterator[tuple[int, dict[str, Any]]]:
        file = self.files[part.file]
        number = 0
        try:
            with open_stream(file) as stream:
                while head := stream.read(12):
                    (size,) = struct.unpack("<Q", head[:8]) if len(head) == 12 else (_MOST_BYTES,)
                    data = stream.read(size + 4) if size < _MOST_BYTES else b""
                    if len(data) != size + 4:
                        raise SourceError(f"{file.name}, record {number}: it is cut off, or no TFRecord.")
                    yield number, _parse(data[:-4])
                    number += 1
        except StreamingError:
            raise
        except (OSError, EOFError, ValueError, IndexError) as error:
            raise SourceError(f"{file.name}, record {number}: {error}") from error


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in value


def _parse(data: bytes) -> dict[str, Any]:
    """Return the features of an ``Example``: ``{1: Features{1: map of name to Feature}}``."""
    found: dict[str, Any] = {}
    for number, features in _fields(data):
        for _, entry in _fields(features) if number == 1 else ():
            fields = dict(_fields(entry))
            found[bytes(fields.get(1, b"")).decode()] = _feature(fields.get(2, b""))
    return found


def _feature(data: Any) -> Any:
    """Return the values of a ``Feature``: bytes as a list, numbers as an array."""
    for kind, values in _fields(data):
        if kind == 1:
            return [bytes(value) for number, value in _fields(values) if number == 1]
        chunks = [value for number, value in _fields(values) if number == 1]
        if kind == 2:
            return np.concatenate([np.frombuffer(c, "<f4") for c in chunks]) if chunks else np.empty(0, np.float32)
        numbers = [n for chunk in chunks for n in ([chunk] if isinstance(chunk, int) else _varints(chunk))]
        return np.array(numbers, np.uint64).astype(np.int64)
    return []


def _fields(data: Any) -> Iterator[tuple[int, Any]]:
    """Yield number and value of each field of a message of Protocol Buffers."""
    view = memoryview(data)
    at = 0
    while at < len(view):
        key, at = _varint(view, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(view, at)
            yield key >> 3, value
            continue
        if kind == 2:
            size, at = _varint(view, at)
        else:
            size = 8 if kind == 1 else 4
        if kind not in (1, 2, 5) or at + size > len(view):
            raise ValueError("no message of Protocol Buffers")
        yield key >> 3, view[at : at + size]
        at += size


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = view[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & (1 << 64) - 1, at
        shift += 7


def _varints(view: memoryview) -> Iterator[int]:
    at = 0
    while at < len(view):
        value, at = _varint(view, at)
        yield value
