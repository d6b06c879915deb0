"""litdata's chunks: a directory of ``chunk-*.bin`` and an ``index.json``, as ``litdata.optimize`` writes them.

A chunk::

    u32 n | u32 place of each item, and of the end | items, each: u32 bytes of each value | values

Rows are dicts of plain values; columns of items that are no dicts are numbered. Of chunks for ``TokensLoader``, an item is
the tokens of a document without a size before them, in the column ``tokens``. Not read: encrypted chunks, nested dicts,
pickles.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from streaming.core.errors import ConfigError, SampleError, SourceError, StreamingError
from streaming.format.encodings import mds_decode
from streaming.sources.contract import Files, Part, Row, Source
from streaming.sources.file import SourceFile
from streaming.sources.streams import fetch

__all__ = ["Chunks"]

_NUMPY = (
    "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64", "bool",
)  # fmt: skip
_TORCH = {
    0: "float32", 1: "float32", 2: "float64", 3: "float64", 8: "float16", 9: "float16", 11: "uint8", 12: "int8",
    13: "int16", 14: "int16", 15: "int32", 16: "int32", 17: "int64", 18: "int64", 19: "bool", 20: "uint16",
}  # fmt: skip
_FILES = {"jpeg": "jpeg", "image": "png", "pil": "pil", "audio": "audio", "video": "video"}
_FRAMED, _FRAMED_HEAD = b"LDFZ01", 24
_Decode = Callable[[bytes], Any]


class Chunks(Source):
    """Chunks that an index lists."""

    def __init__(self, files: Files) -> None:
        super().__init__(files)
        self._numbers = {info.path: number for number, info in enumerate(files.infos)}
        at = next((i for path, i in self._numbers.items() if path.rpartition("/")[2] == "index.json"), None)
        if at is None:
            raise SourceError(
                f"There is no index.json of litdata's at {files.origin}. Give the directory that holds it."
            )
        where = f"{files.infos[at].path} of {files.origin}"
        try:
            self._settle(fetch(files[at]), where)
        except StreamingError:
            raise
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise SourceError(f"{where} is no index that litdata has written: {error!r}.") from error
        root, slash, _ = files.infos[at].path.rpartition("/")
        self.parts = [
            Part(f"{root}{slash}{name}", self._numbers.get(f"{root}{slash}{name}", i), 0, rows, 0, rows, size)
            for i, (name, rows, size) in enumerate(self._chunks)
        ]

    def _settle(self, data: bytes, where: str) -> None:
        """Take note of what an index says.

        Raises:
            SourceError: Its chunks cannot be read.
        """
        index: Any = json.loads(data)
        config: dict[str, Any] = {**index["config"]}
        self._chunks = [(str(c["filename"]), int(c["chunk_size"]), int(c["chunk_bytes"])) for c in index["chunks"]]
        if config.get("encryption"):
            raise SourceError(f"{where}: its chunks are encrypted, which is not supported.")
        self._compression: str | None = config.get("compression")
        if self._compression not in (None, "zstd"):
            raise SourceError(f"{where}: its chunks are compressed by {self._compression!r}; known is zstd.")
        formats: list[str] | None = config.get("data_format")
        if not formats:
            raise SourceError(f"{where}: it does not say what items are (data_format).")
        self._is_tokens = config.get("item_loader") == "TokensLoader"
        self._names = ["tokens"] if self._is_tokens else _names(config.get("data_spec"), len(formats), where)
        self._formats = dict(zip(self._names, formats, strict=True))
        for name, kind in self._formats.items():
            _ = _decoder(name, kind, where)

    def hint(self, name: str) -> str | None:
        """Return the encoding of values that are files, or arrays."""
        kind = self._formats.get(name, "").partition(":")[0]
        return _FILES.get(kind)

    def read(self, part: Part, names: Sequence[str] | None = None) -> Iterator[Row | SourceError]:
        """Yield the items of a chunk."""
        data = self._chunk(part)
        wanted = [(i, n) for i, n in enumerate(self._names) if names is None or n in names]
        decoders = {name: _decoder(name, self._formats[name], part.name) for _, name in wanted}
        places = np.frombuffer(data, "<u4", part.rows + 1, 4).tolist()
        width = 0 if self._is_tokens else 4 * len(self._names)
        for number, (begin, end) in enumerate(pairwise(places)):
            sizes = np.frombuffer(data, "<u4", width // 4, begin).tolist() if width else [end - begin]
            ends = list(accumulate(sizes, initial=begin + width))
            if ends[-1] != end:
                yield SourceError(
                    f"{part.name}, item {number}: its values take {ends[-1] - begin} bytes of {end - begin}."
                )
                continue
            row: dict[str, Any] = {}
            try:
                for i, name in wanted:
                    row[name] = decoders[name](data[ends[i] : ends[i + 1]])
            except (ValueError, IndexError, SampleError) as error:
                yield SourceError(f"{part.name}, item {number}, column {self._names[len(row)]!r}: {error}")
                continue
            yield row

    def _chunk(self, part: Part) -> bytes:
        """Return a chunk, checked as far as its table goes.

        Raises:
            SourceError: It is damaged.
        """
        number = self._numbers.get(part.name)
        file = SourceFile(self.files.store, self.files.store.head(part.name), self.files.came)
        data = fetch(file if number is None else self.files[number])
        if self._compression:
            data = _decompressed(part.name, data)
        table = 4 * (part.rows + 2)
        count = int.from_bytes(data[:4], "little")
        last = int.from_bytes(data[table - 4 : table], "little")
        if count != part.rows or len(data) < table or last > len(data):
            raise SourceError(
                f"{part.name}: it has {len(data):,} bytes and says {count} items; the index says {part.rows}."
            )
        return data


def _decompressed(name: str, data: bytes) -> bytes:
    """Return a chunk as it is without compression.

    One is a frame as a whole; or its items are some frames, and before them are a head, the places of the items from where
    they begin, and where the frames are.
    """
    import zstandard

    head = places = b""
    count = 0
    if data.startswith(_FRAMED):
        count = int.from_bytes(data[12:16], "little")
        at = data.find(zstandard.FRAME_HEADER, _FRAMED_HEAD + 4 * (count + 1))
        places, data = data[_FRAMED_HEAD : _FRAMED_HEAD + 4 * (count + 1)], data[at:]
    try:
        with zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True) as reader:
            data = reader.read()
    except zstandard.ZstdError as error:
        raise SourceError(f"{name}: it does not decompress: {error}") from error
    if places:
        begin = 4 * (count + 2)
        moved = (np.frombuffer(places, "<u4") + np.uint32(begin)).astype("<u4")
        head = count.to_bytes(4, "little") + moved.tobytes()
    return head + data


def _names(spec: Any, count: int, where: str) -> list[str]:
    """Return the names of an item's values.

    Raises:
        SourceError: They are within others.
    """
    tree: Any = json.loads(spec)[1] if isinstance(spec, str) else None
    children: list[Any] = tree["children_spec"] if tree else []
    if tree and tree["type"] is None:
        return ["0"]
    if len(children) != count or any(child["type"] is not None for child in children):
        raise SourceError(f"{where}: items hold dicts or lists within others, which are no columns.")
    if tree and str(tree["type"]).rpartition(".")[2] in ("dict", "OrderedDict"):
        return [str(name) for name in json.loads(tree["context"])]
    return [str(i) for i in range(count)]


def _decoder(name: str, kind: str, where: str) -> _Decode:
    """Return what decodes the values of a column.

    Raises:
        ConfigError: Nothing does.
    """
    base, _, config = kind.partition(":")
    if base in ("str", "text"):
        return bytes.decode
    if base == "bool":
        return lambda data: data != b"\0"
    if base in ("int", "float"):
        dtype = "<i8" if base == "int" else "<f8"
        return lambda data: np.frombuffer(data, dtype, 1)[0].item()
    if base == "bytes" or base in _FILES:
        return (lambda data: mds_decode("pil", data)) if base == "pil" else bytes
    if base in ("no_header_numpy", "no_header_tensor"):
        names = dict(enumerate(_NUMPY)) if base == "no_header_numpy" else _TORCH
        if int(config) in names:
            return lambda data: np.frombuffer(data, names[int(config)])
    if base in ("numpy", "tensor"):
        return _numpy if base == "numpy" else _tensor
    raise ConfigError(
        f"{where}: column {name!r} is {kind!r} of litdata's, which is not read. Write it as bytes, or as an array."
    )


def _numpy(data: bytes) -> Any:
    code, axes = np.frombuffer(data, "<u4", 2).tolist()
    shape = np.frombuffer(data, "<u4", axes, 8).tolist()
    return np.frombuffer(data, _NUMPY[code], offset=8 + 4 * axes).reshape(shape)


def _tensor(data: bytes) -> Any:
    code, axes = np.frombuffer(data, ">u4", 2).tolist()
    if code not in _TORCH:
        raise ValueError(f"a tensor of a dtype that NumPy has not (number {code})")
    shape = np.frombuffer(data, ">u4", axes, 8).tolist()
    return np.frombuffer(data, _TORCH[code], offset=8 + 4 * axes).reshape(shape)
