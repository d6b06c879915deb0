"""LAION-400M while img2dataset fetches it: each Parquet file that is complete becomes a shard, which is uploaded."""

from __future__ import annotations

import os
import re
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from typing import Any

from streaming.converters.programs import run
from streaming.core.errors import ConfigError
from streaming.core.imports import optional_import
from streaming.writing.merge import merge_index
from streaming.writing.writers import MDSWriter

__all__ = ["main"]

_STATS = re.compile(r"(\d+)_stats\.json")
_ENCODINGS = {
    "string": "str", "large_string": "str", "binary": "bytes", "large_binary": "bytes", "double": "float64",
    "float": "float32", "int32": "int32", "int64": "int64",
}  # fmt: skip
_EMPTY = {"str": "", "bytes": b"", "float64": float("nan"), "float32": float("nan"), "int32": 0, "int64": 0}
#: In the local directory: nothing more comes; and, beside each Parquet file, that it is converted.
_LAST, _DONE = "done", "{}.done"


def main(argv: Sequence[str] | None = None) -> None:
    """Convert what there is, wait for more, and end when a file ``done`` is there: then the index is written.

    Args:
        argv: Arguments; ``None``: those of this process.
    """
    parser = ArgumentParser(description="Convert what img2dataset writes (--output_format parquet), as it comes.")
    parser.add_argument("--local", required=True, help="directory that img2dataset writes to")
    parser.add_argument("--remote", required=True, help="where the dataset goes: a directory or a URL")
    parser.add_argument("--keep_parquet", type=int, default=1, help="keep converted files: 1 or 0 (default 1)")
    parser.add_argument("--keep_mds", type=int, default=1, help="keep local shards: 1 or 0 (default 1)")
    parser.add_argument("--hashes", default="sha1,xxh64", help="joined by commas (default sha1,xxh64)")
    parser.add_argument("--poll_interval", type=float, default=30, help="seconds between looks (default 30)")
    args = parser.parse_args(argv)
    while True:
        is_last = os.path.exists(os.path.join(args.local, _LAST))
        for name in _complete(args.local):
            _convert(args, name)
        if is_last:
            break
        time.sleep(args.poll_interval)
    merge_index(args.remote)
    print(f"{args.remote}: complete")  # noqa: T201


def _complete(local: str) -> list[str]:
    """Return the files that img2dataset is done with, and that are not converted yet, by number."""
    names = sorted(match[1] for name in os.listdir(local) if (match := _STATS.fullmatch(name)))
    return [name for name in names if not os.path.exists(os.path.join(local, _DONE.format(name)))]


def _convert(args: Namespace, name: str) -> None:
    path = os.path.join(args.local, f"{name}.parquet")
    parquet = optional_import("pyarrow.parquet", "arrow", "Converting LAION-400M")
    columns = _columns(parquet.read_schema(path), path)
    out = os.path.join(args.local, "mds", name), f"{args.remote.rstrip('/')}/{name}"
    hashes: Any = [each for each in args.hashes.split(",") if each]
    with MDSWriter(
        columns=columns, out=out, hashes=hashes, size_limit=None, keep_local=bool(args.keep_mds), exist_ok=True
    ) as writer:
        for sample in _samples(parquet.ParquetFile(path), columns):
            writer.write(sample)
    with open(os.path.join(args.local, _DONE.format(name)), "wb"):
        pass
    if not args.keep_parquet:
        os.unlink(path)
    print(f"{path}: converted")  # noqa: T201


def _columns(schema: Any, path: str) -> dict[str, str]:
    columns: dict[str, str] = {}
    for field in schema:
        kind = str(field.type)
        if kind not in _ENCODINGS:
            raise ConfigError(f"Column {field.name!r} of {path} is of type {kind}, which img2dataset does not write.")
        columns[field.name] = _ENCODINGS[kind]
    return columns


def _samples(file: Any, columns: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Yield the rows whose image was fetched; a null is an empty text, no number, or 0."""
    for batch in file.iter_batches(256):
        for row in batch.to_pylist():
            if row.get("status", "success") == "success":
                yield {name: _EMPTY[encoding] if row[name] is None else row[name] for name, encoding in columns.items()}


if __name__ == "__main__":
    run(main)
