"""One shard's files and its entry in the index, of the encoded samples. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from streaming.format.compression import compress, get_compression_extension
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

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces
        self._size = sum(map(len, pieces))

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        """Yield all bytes, about a megabyte at a time."""
        step = max(1, _CHUNK * len(self._pieces) // max(self._size, 1))
        for begin in range(0, len(self._pieces), step):
            yield b"".join(self._pieces[begin : begin + step])


def build_shard(
    encoder: ShardEncoder, stem: str, samples: Sequence[bytes], compression: str | None, hashes: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Content]]:
    """Build a shard.

    Args:
        encoder: Of the dataset.
        stem: Name of the shard's files up to the format: ``shard.00000``.
        samples: Its encoded samples.
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
    pieces = getattr(encoder, "encode_pieces", None)
    shard = encoder.encode_shard(samples) if compression or pieces is None else {"data": None}
    for role, whole in shard.items():
        data = Content(pieces(samples) if whole is None and pieces is not None else [whole or b""])
        name = base if role == "data" else f"{base}.{role}"
        entry[f"raw_{role}"] = _file_info(name, data, hashes)
        entry[f"zip_{role}"] = None
        if compression:
            data = Content([compress(compression, whole or b"")])
            name = f"{name}.{get_compression_extension(compression)}"
            entry[f"zip_{role}"] = _file_info(name, data, hashes)
        files[name] = data
    return entry, files


def _file_info(name: str, data: Content, hashes: Sequence[str]) -> dict[str, Any]:
    hashers = {algo: new_hash(algo) for algo in hashes}
    if hashers:
        for chunk in data:
            for hasher in hashers.values():
                hasher.update(chunk)
    return {
        "basename": name,
        "bytes": len(data),
        "hashes": {algo: hasher.hexdigest() for algo, hasher in hashers.items()},
    }
