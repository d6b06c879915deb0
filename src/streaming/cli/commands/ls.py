"""``streaming ls``: files, and which directories are datasets."""

from __future__ import annotations

import os
from argparse import Namespace
from dataclasses import dataclass
from typing import Any

from streaming.cli.reading.source import INDEX_NAME
from streaming.cli.shell.output import print_json, print_table
from streaming.core.errors import ConfigError, ObjectNotFoundError
from streaming.storage.registry import open_store
from streaming.writing.bulk.report import show_bytes

__all__ = ["run"]


@dataclass
class _Row:
    """A file, or a directory with all files below it."""

    name: str
    num_files: int = 0
    num_bytes: int = 0
    is_dataset: bool = False

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "files": self.num_files,
            "bytes": self.num_bytes,
            "dataset": self.is_dataset,
        }


def run(args: Namespace) -> int:
    """List what is at a URL."""
    store = open_store(args.url)
    rows: dict[str, _Row] = {}
    for info in store.list():
        first, slash, rest = info.path.partition("/")
        name = info.path if args.recursive else first + slash
        row = rows.setdefault(name, _Row(name))
        row.num_files += 1
        row.num_bytes += info.bytes
        row.is_dataset |= rest == INDEX_NAME and not args.recursive
    if args.url.is_local and os.path.isfile(args.url.path):
        raise ConfigError(f"{args.url} is a file. Name the directory that it is in.")
    if not rows and not store.exists_root():
        raise ObjectNotFoundError(f"There is nothing at {args.url}. Check the path.")
    if args.json:
        print_json([row.as_json() for row in rows.values()])
    elif rows:
        print_table([_cells(row) for row in rows.values()], right=(0,))
    return 0


def _cells(row: _Row) -> list[str]:
    note = f"{row.num_files:,} files" if row.name.endswith("/") else ""
    return [show_bytes(row.num_bytes), row.name, note + (", dataset" if row.is_dataset else "")]
