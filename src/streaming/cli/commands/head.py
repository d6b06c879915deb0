"""``streaming head``: the first samples, readable."""

from __future__ import annotations

import tempfile
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np

from streaming.cli.reading.source import Source, read_source
from streaming.cli.shell.output import print_line, print_note, print_table
from streaming.columns.shards import open_checked
from streaming.core.errors import UnsafeTypeError

__all__ = ["run", "summary"]

_MAX_TEXT = 100
_MAX_ITEMS = 8


def run(args: Namespace) -> int:
    """Print samples."""
    source = read_source(args.url)
    if not args.allow_unsafe_types:
        _check_safe(source)
    num_samples = source.index.num_samples
    if args.start and args.start >= num_samples:
        print_note(f"{source.name} has {num_samples:,} samples; there is none from number {args.start:,} on.")
    for number, sample in _samples(source, args.start, args.num_samples):
        if args.json:
            import json

            print_line(json.dumps({name: as_json(value) for name, value in sample.items()}, ensure_ascii=False))
            continue
        print_line(f"sample {number:,}")
        if sample:
            print_table([[name, summary(value)] for name, value in sample.items()], indent=2)
    return 0


def _check_safe(source: Source) -> None:
    unsafe = sorted({name for schema in source.index.schemas for name in schema.unsafe_columns})
    if unsafe:
        raise UnsafeTypeError(
            f"{source.name} has columns that are unpickled when read ({', '.join(unsafe)}): whoever wrote it could run "
            "code here. If you trust it, pass --allow-unsafe-types."
        )


def _samples(source: Source, start: int, num_samples: int) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield samples ``[start, start + num_samples)`` with their numbers."""
    ends = np.cumsum(source.index.samples)
    position = start
    for shard_id in range(int(np.searchsorted(ends, start, "right")), source.index.num_shards):
        first = int(ends[shard_id] - source.index.samples[shard_id])
        stop = min(start + num_samples, int(ends[shard_id]))
        if stop <= position:
            return
        with tempfile.TemporaryDirectory(prefix="streaming-head-") as directory:
            shard = open_checked(source.store, source.index.shard(shard_id), directory)
            for number in range(position, stop):
                yield number, shard.get(number - first)
            shard.close()
        position = stop


def summary(value: Any) -> str:
    """Return a value on one line of bounded length."""
    if isinstance(value, str):
        return _cut(repr(value), len(value), "characters")
    if isinstance(value, bytes):
        return _cut(repr(value[:_MAX_TEXT]), len(value), "bytes")
    if isinstance(value, np.ndarray):
        array = cast("np.ndarray[Any, Any]", value)
        items = ", ".join(map(str, array.ravel()[:_MAX_ITEMS]))  # NumPy's numbers have no more digits than they need
        more = ", ..." if array.size > _MAX_ITEMS else ""
        return f"array {array.dtype} {list(array.shape)}: {items}{more}"
    if isinstance(value, np.generic):
        return str(value)
    if hasattr(value, "mode") and hasattr(value, "size"):
        kind = getattr(value, "format", None) or "image"
        return f"{kind} {value.mode} {value.size[0]} x {value.size[1]}"
    if isinstance(value, (list, tuple)):
        values = cast("Sequence[Any]", value)
        inner = ", ".join(summary(item) for item in values[:_MAX_ITEMS])
        return _cut(f"[{inner}{', ...' if len(values) > _MAX_ITEMS else ''}]", len(values), "items")
    return _cut(repr(value))


def _cut(text: str, count: int | None = None, unit: str = "") -> str:
    if len(text) <= _MAX_TEXT:
        return text
    return f"{text[:_MAX_TEXT]}..." + (f" ({count:,} {unit})" if count is not None else "")


def as_json(value: Any) -> Any:
    """Return a value as JSON: what JSON can hold as it is, arrays as lists, anything else summarised."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return as_json(list(cast("Any", value)))
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, np.bool_):
        return bool(cast("Any", value))
    if isinstance(value, (float, np.floating)):
        number = float(str(cast("Any", value)))  # as short as its type allows
        return number if np.isfinite(number) else repr(number)
    if isinstance(value, np.integer):
        return int(cast("Any", value))
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in cast("Sequence[Any]", value)]
    return summary(value)
