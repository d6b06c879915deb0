"""NumPy's files: of ``.npy`` the first axis are rows, in the column ``x``; of ``.npz`` each array is a column."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np

from streaming.core.errors import SourceError
from streaming.sources.contract import Files, Part, Row, Source
from streaming.sources.streams import fetch
from streaming.storage.providers.local import LocalStore

__all__ = ["Arrays"]

_PART_BYTES = 32 << 20


class Arrays(Source):
    """Files of arrays. Those of a file are as long as each other."""

    def __init__(self, files: Files) -> None:
        super().__init__(files)
        self.parts = [part for number in range(len(files)) for part in self._cut(number)]

    def _cut(self, number: int) -> Iterator[Part]:
        info = self.files.infos[number]
        arrays = self._load(number)
        lengths = {len(array) if array.ndim else -1 for array in arrays.values()}
        if len(lengths) != 1 or -1 in lengths:
            shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
            raise SourceError(f"{info.path}: its arrays have no first axis in common: {shapes}.")
        (count,) = lengths
        # What is compressed, or in a store, is read as a whole: as one part.
        is_mapped = isinstance(next(iter(arrays.values())), np.memmap)
        step = max(1, _PART_BYTES * count // max(info.bytes, 1)) if is_mapped else max(count, 1)
        for begin in range(0, count, step):
            end = min(begin + step, count)
            yield Part(info.path, number, begin, end, begin, end - begin, info.bytes * (end - begin) // count)

    def _load(self, number: int) -> Mapping[str, Any]:
        file = self.files[number]
        store = self.files.store
        is_one = file.name.lower().endswith(".npy")
        try:
            if is_one and isinstance(store, LocalStore):
                path = os.path.join(store.directory, file.name)
                return {"x": np.load(path, mmap_mode="r", allow_pickle=False)}
            found: Any = np.load(io.BytesIO(fetch(file)), allow_pickle=False)
            return {"x": found} if is_one else {name: found[name] for name in cast("list[str]", found.files)}
        except (ValueError, EOFError, OSError) as error:
            raise SourceError(f"{file.name} cannot be read as NumPy's: {error}") from error

    def read(self, part: Part, names: Sequence[str] | None = None) -> Iterator[Row]:
        """Yield the rows of a part."""
        arrays = {name: a for name, a in self._load(part.file).items() if names is None or name in names}
        for i in range(part.begin, part.end):
            yield {name: _value(array[i]) for name, array in arrays.items()}


def _value(value: Any) -> Any:
    if isinstance(value, np.str_):
        return str(value)
    return value if isinstance(value, np.generic) else np.array(value)
