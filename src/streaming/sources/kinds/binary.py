"""Arrays that lie in files as they are in memory: NumPy's ``.npy``, and the tokens of Megatron's ``.bin`` and ``.idx``."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np

from streaming.core.errors import SourceError
from streaming.sources.contract import Files, Part, Row, Source
from streaming.sources.file import SourceFile
from streaming.sources.kinds.arrays import steadily
from streaming.sources.pieces import Piece, Scan
from streaming.sources.streams import fetch

__all__ = ["Megatron", "NumPy"]

_PIECE_BYTES = 8 << 20
_HEADER_BYTES = 1 << 12
_MAGIC = b"MMIDIDX\0\0"
_DTYPES = {1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float64", 7: "float32", 8: "uint16"}


class _Arrays(Source):
    """Files, each of many arrays; a piece is a run of them, by their numbers."""

    @cached_property
    def parts(self) -> Sequence[Part]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """All pieces of all files."""
        every = [self.scan(self.files[i]).pieces for i in range(len(self.files))]
        names = [info.path for info in self.files.infos]
        return [
            Part(names[i], i, piece.begin, piece.end, piece.begin, piece.rows, piece.bytes)
            for i, pieces in enumerate(every)
            for piece in pieces
        ]

    def _pieces(self, ends: Any) -> list[Piece]:
        """Return pieces of some megabytes.

        Args:
            ends: ``int64[N + 1]``, where each of N arrays begins, in bytes, and where the last ends.
        """
        pieces: list[Piece] = []
        begin, count = 0, len(ends) - 1
        while begin < count:
            end = int(np.searchsorted(ends, ends[begin] + _PIECE_BYTES))
            end = min(max(end, begin + 1), count)
            pieces.append(Piece(begin, end, end - begin, int(ends[end] - ends[begin])))
            begin = end
        return pieces


class NumPy(_Arrays):
    """Files of NumPy: a row is what the first axis counts, in the column ``x``."""

    def scan(self, file: SourceFile) -> Scan:
        """Read the header."""
        layout = _layout(file)
        shape = ",".join(map(str, layout.shape))
        pieces = self._pieces(np.arange(layout.rows + 1) * layout.row_bytes)
        return Scan({"x": f"ndarray:{layout.dtype.name}:{shape}"}, pieces)

    def read(self, part: Part, names: Sequence[str] | None = None) -> Iterator[Row]:
        """Yield the rows."""
        file = self.files[part.file]
        layout = _layout(file)
        begin, end = (layout.begin + at * layout.row_bytes for at in (part.begin, part.end))
        data = np.frombuffer(fetch(file, begin, end), layout.dtype)
        for array in data.astype(layout.dtype.newbyteorder("="), copy=False).reshape(-1, *layout.shape):
            yield {"x": array}


class _Layout(NamedTuple):
    dtype: np.dtype[Any]
    rows: int
    shape: tuple[int, ...]
    begin: int
    row_bytes: int


@lru_cache(64)
def _layout(file: SourceFile) -> _Layout:
    """Read the header of a file of NumPy.

    Raises:
        SourceError: It is none, or its first axis does not count samples.
    """
    data = fetch(file, 0, _HEADER_BYTES)
    try:
        shape, is_fortran, dtype, begin = steadily(lambda: _header(data))
    except ValueError as error:
        raise SourceError(f"{file.name} cannot be read as a file of NumPy: {error}") from error
    if dtype.kind not in "iuf" or dtype.itemsize > 8 or is_fortran or len(shape) < 2 or 0 in shape[1:]:
        what = f"{dtype} of the shape {shape}{' in Fortran order' if is_fortran else ''}"
        raise SourceError(
            f"{file.name} has {what}. Whole numbers or floats of at most 64 bits in C order are read, whose first of at "
            "least two axes counts samples; save them so."
        )
    layout = _Layout(dtype, shape[0], shape[1:], begin, int(np.prod(shape[1:])) * dtype.itemsize)
    if layout.begin + layout.rows * layout.row_bytes > file.size:
        raise SourceError(f"{file.name} is cut off: {file.size:,} bytes do not hold {dtype} of the shape {shape}.")
    return layout


def _header(data: bytes) -> tuple[Any, bool, Any, int]:
    """Return shape, whether it is in Fortran order, dtype, and where the numbers begin."""
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    read: Any = np.lib.format.read_array_header_1_0 if version[0] == 1 else np.lib.format.read_array_header_2_0
    return *read(stream), stream.tell()


class Megatron(_Arrays):
    """Tokens of documents, in the column ``tokens``: files ``name.bin``, beside each of which is ``name.idx``."""

    def scan(self, file: SourceFile) -> Scan:
        """Read the index."""
        index = _read_index(self.files, file)
        lengths = np.frombuffer(fetch(index.file, index.lengths, index.places), "<i4")
        documents = np.frombuffer(fetch(index.file, index.documents, index.file.size), "<i8")
        bounds = np.concatenate([[0], documents, [len(lengths)]])
        if (lengths < 0).any() or (np.diff(bounds) < 0).any():
            raise SourceError(f"{index.file.name} is damaged: its sequences or documents end before they begin.")
        ends = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])[documents] * index.dtype.itemsize
        if ends[-1] > file.size:
            raise SourceError(f"{file.name} is cut off: {file.size:,} bytes, and its index counts {ends[-1]:,}.")
        if ends[0] or ends[-1] < file.size:
            warnings.warn(
                f"{file.store!r}/{file.name} has {file.size:,} bytes, and the documents of its index take "
                f"{ends[-1] - ends[0]:,} of them. The others are not served: see whether the index is that of this file.",
                stacklevel=2,
            )
        is_list = bool((np.diff(ends) == 0).any())
        return Scan({"tokens": f"{'list' if is_list else 'ndarray'}:{index.dtype.name}"}, self._pieces(ends))

    def read(self, part: Part, names: Sequence[str] | None = None) -> Iterator[Row]:
        """Yield the documents."""
        file = self.files[part.file]
        index = _read_index(self.files, file)
        documents = _numbers(index.file, index.documents, part.begin, part.end + 1, "<i8")
        first = int(documents[0])
        lengths = _numbers(index.file, index.lengths, first, int(documents[-1]), "<i4")
        if not len(lengths):
            return
        (begin,) = _numbers(index.file, index.places, first, first + 1, "<i8").tolist()
        ends = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])[documents - first].tolist()
        tokens = np.frombuffer(fetch(file, begin, begin + ends[-1] * index.dtype.itemsize), index.dtype)
        for i, end in enumerate(ends[1:]):
            yield {"tokens": tokens[ends[i] : end]}


class _Index(NamedTuple):
    """Where what is in an index."""

    file: SourceFile
    dtype: np.dtype[Any]
    lengths: int
    places: int
    documents: int


def _read_index(files: Files, file: SourceFile) -> _Index:
    """Read the header of the index beside a file.

    Raises:
        SourceError: It is none.
        StorageError: There is none.
    """
    info = files.store.head(f"{file.name.removesuffix('.bin')}.idx")
    index = SourceFile(files.store, info, files.came)
    header = fetch(index, 0, 34)
    code = header[17] if len(header) == 34 else 0
    if not header.startswith(_MAGIC) or code not in _DTYPES:
        raise SourceError(f"{index.name} is no index of Megatron: it begins with {header[:9]!r}.")
    sequences, bounds = np.frombuffer(header, "<i8", 2, 18).tolist()
    lengths = 34
    places = lengths + 4 * sequences
    documents = places + 8 * sequences
    if documents + 8 * bounds + sequences == index.size and sequences > 0:
        raise SourceError(f"{index.name} is that of documents with images, which are not supported.")
    if documents + 8 * bounds != index.size or bounds < 1:
        raise SourceError(f"{index.name} is cut off: {index.size:,} bytes, of {documents + 8 * bounds:,}.")
    return _Index(index, np.dtype(_DTYPES[code]), lengths, places, documents)


def _numbers(file: SourceFile, place: int, begin: int, end: int, kind: str) -> Any:
    size = np.dtype(kind).itemsize
    return np.frombuffer(fetch(file, place + begin * size, place + end * size), kind)
