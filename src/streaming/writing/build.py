"""One shard's files and its entry in the index, of the encoded samples. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from streaming.format.compression import compress_pieces, get_compression_extension
from streaming.format.formats import ShardEncoder
from streaming.format.hashing import new_hash

__all__ = ["Content", "build_shard"]

#: What is put together at a time: so much that calls cost little, so little that it stays in the processor's cache.
_CHUNK = 1 << 20


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
        step = max(1, _CHUNK * len(self._pieces) // max(self._size, 1))
        for begin in range(0, len(self._pieces), step):
            yield b"".join(self._pieces[begin : begin + step])

    def drain(self) -> Iterator[bytes]:
        """Yield all bytes like iteration does, for the last time: each piece's memory is free once it was given out."""
        step = max(1, _CHUNK * len(self._pieces) // max(self._size, 1))
        for begin in range(0, len(self._pieces), step):
            piece = b"".join(self._pieces[begin : begin + step])
            self._pieces[begin : begin + step] = [b""] * len(self._pieces[begin : begin + step])
            yield piece
            del piece


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
            # One pass: what is hashed is compressed while it is in the processor's cache.
            packed = Content(list(compress_pieces(compression, hashers.passing(data.drain()), len(data))))
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
