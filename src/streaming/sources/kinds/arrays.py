"""NumPy's ``.npz``: each array is a column, and its first axis are rows. What is compressed is read as a whole."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar, cast
from zipfile import BadZipFile

import numpy as np

from streaming.core.errors import SourceError
from streaming.sources.contract import Files, Part, Row, Source
from streaming.sources.streams import fetch

__all__ = ["Arrays", "load_array", "steadily"]

_TRIES = 100
_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")

T = TypeVar("T")


def steadily(read: Callable[[], T]) -> T:
    """Return what reads a header of NumPy's, and does so again where Python fails by itself.

    NumPy has Python parse its headers. Python 3.11 may raise ``SystemError`` for no reason where other threads do
    the same.

    Args:
        read: What reads it, from the begin each time.
    """
    for _ in range(_TRIES):
        with suppress(SystemError):
            return read()
    return read()


def load_array(data: bytes) -> Any:
    """Return the array of a file of NumPy.

    Args:
        data: The file.

    Raises:
        ValueError: It is none, or of objects.
        EOFError: It is cut off.
    """
    return steadily(lambda: np.load(io.BytesIO(data), allow_pickle=False))


class Arrays(Source):
    """Files of arrays; each is a part. Those of a file are as long as each other."""

    def __init__(self, files: Files) -> None:
        super().__init__(files)
        self.parts = [Part(info.path, i, 0, 1, 0, -1, info.bytes) for i, info in enumerate(files.infos)]

    def _load(self, number: int) -> Mapping[str, Any]:
        file = self.files[number]
        data = fetch(file)
        if data[:4] not in _MAGICS:  # which would be taken for a pickle
            raise SourceError(
                f"{file.name} cannot be read as NumPy's: its {len(data):,} bytes do not begin like an archive."
            )
        try:
            found: Any = np.load(io.BytesIO(data), allow_pickle=False)
            arrays = {name: steadily(partial(found.__getitem__, name)) for name in cast("list[str]", found.files)}
        except (ValueError, EOFError, OSError, AttributeError, BadZipFile, zlib.error) as error:
            raise SourceError(f"{file.name} cannot be read as NumPy's: {error}") from error
        for name, array in arrays.items():
            dtype = getattr(array, "dtype", None)
            if dtype is None or dtype.kind not in "biufUS" or (dtype.kind in "iuf" and dtype.itemsize > 8):
                what = "no array" if dtype is None else f"of {dtype}"
                raise SourceError(
                    f"{file.name}: {name} is {what}. Numbers of at most 64 bits, truth values and texts are read: save it "
                    "as one of these, or leave it out."
                )
        if len({array.shape[:1] for array in arrays.values()}) != 1 or not next(iter(arrays.values())).ndim:
            shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
            raise SourceError(f"{file.name}: its arrays have no first axis in common: {shapes}.")
        return arrays

    def read(self, part: Part, names: Sequence[str] | None = None) -> Iterator[Row]:
        """Yield the rows of a part."""
        arrays = self._load(part.file)
        wanted = {name: array for name, array in arrays.items() if names is None or name in names}
        for i in range(len(next(iter(arrays.values())))):
            yield {name: _value(array[i]) for name, array in wanted.items()}


def _value(value: Any) -> Any:
    if isinstance(value, (np.str_, np.bytes_)):
        return value.item()
    return value if isinstance(value, np.generic) else np.array(value)
