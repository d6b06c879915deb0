"""One shard's files and its entry in the index, of the encoded samples. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from streaming.format.codecs.compression import compress_pieces, get_compression_extension
from streaming.format.codecs.hashing import new_hash
from streaming.format.formats import ShardEncoder

__all__ = ["Content", "build_shard"]

#: What is put together at a time: so much that calls cost little, so little that it stays in the processor's cache.
_CHUNK = 1 << 20
#: What is put together to be compressed. Each such step ends with waiting for the interpreter, which the thread that encodes
#: samples gives up only now and then; so there are few.
_CHUNK_TO_COMPRESS = 8 << 20
#: Pieces of this size and more are written as they are, so many at a time: what is free then is used again while it is in
#: a cache.
_LARGE_PIECE, _MOST_PIECES = 1 << 10, 256


class Content:
    """What a file is going to hold, in pieces.

    Args:
        pieces: The bytes, in order.
    """

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = list(pieces)
        self._size = sum(map(len, self._pieces))

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        """Yield all bytes, about a megabyte at a time."""
        step = self._step(_CHUNK)
        for begin in range(0, len(self._pieces), step):
            yield b"".join(self._pieces[begin : begin + step])

    def drain(self, chunk: int = _CHUNK) -> Iterator[bytes]:
        """Yield all bytes for the last time, about ``chunk`` at a time: a piece's memory is free once it was given out."""
        for pieces in self._drained(self._step(chunk)):
            yield b"".join(pieces)

    def drain_groups(self) -> Iterator[list[bytes]]:
        """Yield all bytes for the last time, in groups of pieces that can be written at once."""
        if self._size >= _LARGE_PIECE * len(self._pieces):
            yield from self._drained(_MOST_PIECES)
        else:
            yield from ([chunk] for chunk in self.drain())

    def _step(self, chunk: int) -> int:
        """Return how many pieces make a chunk."""
        return max(1, chunk * len(self._pieces) // max(self._size, 1))

    def _drained(self, step: int) -> Iterator[list[bytes]]:
        for begin in range(0, len(self._pieces), step):
            pieces = self._pieces[begin : begin + step]
            self._pieces[begin : begin + step] = [b""] * len(pieces)
            yield pieces
            del pieces


def build_shard(
    encoder: ShardEncoder, stem: str, samples: list[bytes], compression: str | None, hashes: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Content]]:
    """Build a shard.

    Args:
        encoder: Of the dataset.
        stem: Name of the shard's files up to the format: ``shard.00000``.
        samples: Its encoded samples. The list is emptied, so that their memory is free as soon as they are stored.
        compression: Compression of its files, ``None`` for none.
        hashes: Hash algorithms to record.

    Returns:
        The shard's entry in the index, and the contents of the files to write, by name.

    Raises:
        ShardTooLargeError: The shard passes what the format can address.
    """
    base = f"{stem}.{encoder.format}"
    entry: dict[str, Any] = {"samples": len(samples), **encoder.index_fields()}
    files: dict[str, Content] = {}
    contents = {role: Content(pieces) for role, pieces in _layout(encoder, samples).items()}
    samples.clear()
    for role, data in contents.items():
        name = base if role == "data" else f"{base}.{role}"
        hashers = _Hashers(hashes)
        if compression is None:
            hashers.take(data)
            entry[f"zip_{role}"] = None
            files[name] = data
        else:
            raw = hashers.passing(data.drain(_CHUNK_TO_COMPRESS))
            packed = Content(list(compress_pieces(compression, raw, len(data))))
            zip_name = f"{name}.{get_compression_extension(compression)}"
            zip_hashers = _Hashers(hashes)
            zip_hashers.take(packed)
            entry[f"zip_{role}"] = _file_info(zip_name, packed, zip_hashers)
            files[zip_name] = packed
        entry[f"raw_{role}"] = _file_info(name, data, hashers)
    return entry, files


def _layout(encoder: ShardEncoder, samples: Sequence[bytes]) -> dict[str, Sequence[bytes]]:
    """Return the pieces of the file of each role."""
    encode_pieces = getattr(encoder, "encode_pieces", None)
    if encode_pieces is not None:
        return {"data": encode_pieces(samples)}
    return {role: [whole] for role, whole in encoder.encode_shard(samples).items()}


class _Hashers:
    """Hashes of bytes that go by."""

    def __init__(self, algos: Sequence[str]) -> None:
        self._hashers = {algo: new_hash(algo) for algo in algos}

    def passing(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the pieces, each after it is hashed."""
        for piece in pieces:
            for hasher in self._hashers.values():
                hasher.update(piece)
            yield piece

    def take(self, pieces: Iterable[bytes]) -> None:
        """Hash the pieces."""
        if self._hashers:
            for _ in self.passing(pieces):
                pass

    def hexdigests(self) -> dict[str, str]:
        """Return the hash by every algorithm."""
        return {algo: hasher.hexdigest() for algo, hasher in self._hashers.items()}


def _file_info(name: str, data: Content, hashers: _Hashers) -> dict[str, Any]:
    return {"basename": name, "bytes": len(data), "hashes": hashers.hexdigests()}
