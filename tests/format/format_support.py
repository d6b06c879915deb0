"""Writing and reading whole datasets with the format layer alone."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from streaming.format.codecs.compression import compress, decompress, get_compression_extension
from streaming.format.codecs.hashing import get_hash
from streaming.format.formats import ShardEncoder, make_shard_encoder
from streaming.format.index import Index, dump_index
from streaming.format.shard import open_shard

GOLDENS = Path(__file__).parent.parent / "goldens" / "format"
sys.path.append(str(GOLDENS))


def write_shard(encoder: ShardEncoder, samples: list[bytes], shard_id: int, directory: Path) -> dict[str, Any]:
    """Write the files of a shard; return its index entry."""
    entry = {**encoder.index_fields(), "samples": len(samples)}
    for role, raw in encoder.encode_shard(samples).items():
        name = f"shard.{shard_id:05}.{encoder.format}" + (".meta" if role == "meta" else "")
        files = [("raw", name, raw)]
        entry[f"zip_{role}"] = None
        if entry["compression"]:
            extension = get_compression_extension(entry["compression"])
            files.append(("zip", f"{name}.{extension}", compress(entry["compression"], raw)))
        for kind, basename, data in files:
            entry[f"{kind}_{role}"] = {
                "basename": basename,
                "bytes": len(data),
                "hashes": {algo: get_hash(algo, data) for algo in entry["hashes"]},
            }
        (directory / files[-1][1]).write_bytes(files[-1][2])
    return entry


def write_dataset(
    directory: Path,
    format: str,
    columns: Mapping[str, str],
    samples: Iterable[Mapping[str, Any]],
    **options: Any,
) -> None:
    """Write a dataset, cutting shards where the original does."""
    encoder = make_shard_encoder(format, columns=columns, **options)
    directory.mkdir(parents=True, exist_ok=True)
    limit = encoder.index_fields()["size_limit"]
    entries: list[dict[str, Any]] = []
    shard: list[bytes] = []
    size = encoder.base_bytes

    def flush() -> None:
        entries.append(write_shard(encoder, shard, len(entries), directory))
        shard.clear()

    for sample in samples:
        data = encoder.encode_sample(sample)
        grown = size + len(data) + encoder.extra_bytes_per_sample
        if limit is not None and limit < grown:
            flush()
            grown += encoder.base_bytes - size
        size = grown
        shard.append(data)
    if shard:
        flush()
    (directory / "index.json").write_bytes(dump_index(entries))


def unzip(index: Index, source: Path, target: Path) -> None:
    """Put the raw files of a dataset into a directory."""
    target.mkdir(parents=True, exist_ok=True)
    for shard_id in range(len(index)):
        info = index.shard(shard_id)
        for raw, zipped in zip(info.raw, info.zip, strict=True):
            path = source / (zipped.basename if zipped else raw.basename)
            algo = info.schema.compression if zipped else None
            (target / raw.basename).write_bytes(decompress(algo, path.read_bytes(), raw.bytes))


def read_dataset(source: Path, scratch: Path) -> list[dict[str, Any]]:
    """Read all samples of a dataset."""
    index = Index.parse((source / "index.json").read_bytes(), str(source / "index.json"))
    unzip(index, source, scratch)
    samples: list[dict[str, Any]] = []
    for shard_id in range(len(index)):
        shard = open_shard(index.shard(shard_id), str(scratch))
        samples += [shard.get(sample_id) for sample_id in range(len(shard))]
        shard.close()
    return samples
