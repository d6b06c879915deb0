"""``streaming copy``: a dataset to another place, checked on the way, the index last."""

from __future__ import annotations

import os
import tempfile
from argparse import Namespace
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from streaming.cli.check import check_file
from streaming.cli.output import print_json, print_line, progress_bar
from streaming.cli.source import INDEX_NAME, Source, read_source, with_retries
from streaming.core.errors import ConfigError, ObjectNotFoundError
from streaming.format.index import FileInfo
from streaming.storage.local import LocalStore
from streaming.storage.registry import open_store, options_for
from streaming.storage.store import Store
from streaming.storage.url import redact
from streaming.writing.report import show_bytes

__all__ = ["run"]


def run(args: Namespace) -> int:
    """Copy and print what was copied."""
    source = read_source(args.source, args.storage_options)
    target = open_store(args.target, options_for(args.target, args.storage_options))
    target.check_writable()
    there = {} if args.force else {info.path: info.bytes for info in target.list()}
    if INDEX_NAME in there and _get_index(target) != source.data:
        raise ConfigError(
            f"There is another dataset at {redact(args.target)}. Copy to another place, or pass --force to replace it."
        )
    files = _files(source)
    missing = [file for file in files if there.get(file.basename) != file.bytes]
    pool = ThreadPoolExecutor(args.jobs)
    try:
        with progress_bar("Copying", sum(file.bytes for file in missing), "B") as bar:
            for size in pool.map(partial(_copy, source.store, target), missing):
                bar.update(size)
    finally:
        pool.shutdown(cancel_futures=True)
    with_retries(lambda: target.put(INDEX_NAME, source.data))
    size = sum(file.bytes for file in missing)
    if args.json:
        facts = {"from": source.name, "to": redact(args.target), "files": len(files)}
        print_json({**facts, "copied_files": len(missing), "copied_bytes": size})
    else:
        left_out = f"; {len(files) - len(missing):,} were there already" if len(missing) < len(files) else ""
        print_line(f"{redact(args.target)}: copied {len(missing):,} files, {show_bytes(size)}{left_out}")
    return 0


def _get_index(store: Store) -> bytes | None:
    try:
        return with_retries(lambda: store.get(INDEX_NAME))
    except ObjectNotFoundError:
        return None


def _files(source: Source) -> list[FileInfo]:
    """Return the files that readers fetch: the compressed one of each where there is one."""
    return [
        zipped or raw
        for shard_id in range(source.index.num_shards)
        for shard in [source.index.shard(shard_id)]
        for raw, zipped in zip(shard.raw, shard.zip, strict=True)
    ]


def _copy(source: Store, target: Store, file: FileInfo) -> int:
    if isinstance(source, LocalStore):
        source.head(file.basename)  # tells a missing file in the usual words
        _put(target, file, os.path.join(source.root, file.basename))
        return file.bytes
    with tempfile.TemporaryDirectory(prefix="streaming-copy-") as directory:
        path = os.path.join(directory, "file")
        with_retries(lambda: source.download(file.basename, path))
        _put(target, file, path)
    return file.bytes


def _put(target: Store, file: FileInfo, path: str) -> None:
    check_file(path, file)
    with_retries(lambda: target.put(file.basename, path))
