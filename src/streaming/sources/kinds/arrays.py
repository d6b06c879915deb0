"""NumPy's ``.npz``: each array is a column, and its first axis are rows. What is compressed is read as a whole."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast
from zipfile import BadZipFile

import numpy as np

from streaming.core.errors import SourceError
from streaming.sources.contract import Files, Part, Row, Source
from streaming.sources.streams import fetch

__all__ = ["Arrays"]


class Arrays(Source):
    """Files of arrays; each is a part. Those of a file are as long as each other."""

    def __init__(self, files: Files) -> None:
        super().__init__(files)
        self.parts = [Part(info.path, i, 0, 1, 0, -1, info.bytes) for i, info in enumerate(files.infos)]

    def _load(self, number: int) -> Mapping[str, Any]:
        file = self.files[number]
        try:
            found: Any = np.load(io.BytesIO(fetch(file)), allow_pickle=False)
            arrays = {name: found[name] for name in cast("list[str]", found.files)}
        except (ValueError, EOFError, OSError, AttributeError, BadZipFile, zlib.error) as error:
            raise SourceError(f"{file.name} cannot be read as NumPy's: {error}") from error
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
    if isinstance(value, np.str_):
        return str(value)
    return value if isinstance(value, np.generic) else np.array(value)
