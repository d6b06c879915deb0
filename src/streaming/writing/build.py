"""One shard's files and its entry in the index, of the encoded samples. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from streaming.format.compression import compress, get_compression_extension
from streaming.format.formats import ShardEncoder
from streaming.format.hashing import get_hash

__all__ = ["build_shard"]


def build_shard(
    encoder: ShardEncoder, stem: str, samples: Sequence[bytes], compression: str | None, hashes: Sequence[str]
) -> tuple[dict[str, Any], dict[str, bytes]]:
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
    files: dict[str, bytes] = {}
    for role, data in encoder.encode_shard(samples).items():
        name = base if role == "data" else f"{base}.{role}"
        entry[f"raw_{role}"] = _file_info(name, data, hashes)
        entry[f"zip_{role}"] = None
        if compression:
            data = compress(compression, data)
            name = f"{name}.{get_compression_extension(compression)}"
            entry[f"zip_{role}"] = _file_info(name, data, hashes)
        files[name] = data
    return entry, files


def _file_info(name: str, data: bytes, hashes: Sequence[str]) -> dict[str, Any]:
    return {"basename": name, "bytes": len(data), "hashes": {algo: get_hash(algo, data) for algo in hashes}}
