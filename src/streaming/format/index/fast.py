"""Reading ``index.json`` quickly, where its entries are written alike.

The entries of a dataset's shards differ in a few numbers, names and hashes. So one entry is read and checked with care, and
becomes a pattern for those that follow. Whatever is not just so (another writer's idea of JSON, a value out of range, a
name that needs a second look) makes this give up: :mod:`streaming.format.index.parse` then reads everything with care, and
says what is wrong.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.format.index.entry import MAX_SAMPLES, VERSION
from streaming.format.index.files import FileTable, StringColumn

__all__ = ["FILE_KEYS", "Columns", "GiveUp", "read_alike"]

#: Keys under which a shard's entry names its files.
FILE_KEYS = ("raw_data", "raw_meta", "zip_data", "zip_meta")

_HEAD = re.compile(rb'\s*\{\s*(?:"version"\s*:\s*2\s*,\s*)?"shards"\s*:\s*\[\s*')
_MORE = re.compile(rb"\s*,\s*")
_LAST = re.compile(rb"\s*\]\s*")
_TAILS = {True: re.compile(rb"\}\s*"), False: re.compile(rb',\s*"version"\s*:\s*2\s*\}\s*')}

_NUMBER = rb"(0|[1-9][0-9]{0,14})"
_NAME = rb'((?i:(?!index\.json"|[^"]*\.streaming-|[^"]*\.part"))[^"\\/\x00-\x1f\x7f-\xff]+)'
_HASH = rb"([0-9A-Za-z]*)"
_DECODER = json.JSONDecoder()

_CHUNK = 1 << 14
_LONGEST = 1 << 20
_MAX_PATTERNS = 64
_MAX_BYTES = 1 << 48


class GiveUp(Exception):
    """The index has to be read with care."""


@dataclass
class Columns:
    """A run of shards of one schema, by column.

    Attributes:
        entry: The entry of the first.
        samples: ``int64[n]``.
        files: The table of each file that the shards have, by key.
    """

    entry: dict[str, Any]
    samples: NDArray[np.int64]
    files: dict[str, FileTable]


@dataclass(frozen=True)
class _Pattern:
    """What entries of one schema look like.

    Attributes:
        match: Matches an entry.
        entry: The one it was made from.
        fields: What each group is: a file's key (or ``''``), and ``samples``, ``name``, ``bytes`` or a hash's name.
    """

    match: Callable[[bytes, int], re.Match[bytes] | None]
    entry: dict[str, Any]
    fields: tuple[tuple[str, str], ...]


def read_alike(data: bytes, check: Callable[[dict[str, Any]], Any]) -> Iterator[Columns]:
    """Read an index, run by run.

    Args:
        data: Contents of an ``index.json``.
        check: Checks one entry with care; raises if it is wrong.

    Yields:
        The shards.

    Raises:
        GiveUp: It has to be read with care.
    """
    head = _HEAD.match(data)
    if head is None:
        raise GiveUp
    at = head.end()
    patterns: list[_Pattern] = []
    pattern: _Pattern | None = None
    rows: list[tuple[bytes, ...]] = []
    while True:
        found = pattern.match(data, at) if pattern is not None else None
        if found is None:
            if pattern is not None and rows:
                yield _columns(pattern, rows)
                rows = []
            pattern, found = _other_pattern(patterns, data, at, check)
        rows.append(found.groups())
        at = found.end()
        if len(rows) == _CHUNK and pattern is not None:
            yield _columns(pattern, rows)
            rows = []
        # What json.dumps writes, first.
        if data[at : at + 2] == b", ":
            at += 2
            continue
        more = _MORE.match(data, at)
        if more is None:
            break
        at = more.end()
    last = _LAST.match(data, at)
    versioned = b'"version"' in head.group()
    if last is None or _TAILS[versioned].fullmatch(data, last.end()) is None:
        raise GiveUp
    if rows and pattern is not None:
        yield _columns(pattern, rows)


def _other_pattern(
    patterns: list[_Pattern], data: bytes, at: int, check: Callable[[dict[str, Any]], Any]
) -> tuple[_Pattern, re.Match[bytes]]:
    for pattern in patterns:
        found = pattern.match(data, at)
        if found is not None:
            return pattern, found
    if len(patterns) == _MAX_PATTERNS:
        raise GiveUp
    pattern = _make_pattern(data, at, check)
    found = pattern.match(data, at)
    if found is None:
        raise GiveUp
    patterns.append(pattern)
    return pattern, found


def _make_pattern(data: bytes, at: int, check: Callable[[dict[str, Any]], Any]) -> _Pattern:
    """Make a pattern of the entry at a place."""
    try:
        # Only ASCII, so that places in the text are places in the bytes.
        text = data[at : at + _LONGEST].decode("ascii", "replace")
        entry, end = _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        raise GiveUp from None
    text = text[:end]
    if not isinstance(entry, dict) or "\ufffd" in text or entry.get("version", VERSION) != VERSION:
        raise GiveUp
    check(entry)
    places: list[tuple[int, int, tuple[str, str], bytes]] = []
    spans: list[tuple[int, int]] = []
    for key in FILE_KEYS:
        if entry.get(key) is None:
            continue
        begin = _only(rf'"{key}"\s*:\s*(?=\{{)', text).end()
        file, end = _DECODER.raw_decode(text, begin)
        spans.append((begin, end))
        if set(file) - {"basename", "bytes", "hashes"}:
            raise GiveUp
        part = text[begin:end]
        fields = [("name", r'"basename"\s*:\s*"([^"\\]*)"', _NAME), ("bytes", r'"bytes"\s*:\s*([0-9]+)', _NUMBER)]
        for algo in file.get("hashes") or {}:
            if re.fullmatch(r"[A-Za-z0-9_-]+", algo) is None:
                raise GiveUp
            fields.append((algo, rf'"{algo}"\s*:\s*"([0-9A-Za-z]*)"', _HASH))
        for field, value, group in fields:
            found = _only(value, part)
            places.append((begin + found.start(1), begin + found.end(1), (key, field), group))
    outside = "".join(c if not any(a <= i < b for a, b in spans) else " " for i, c in enumerate(text))
    found = _only(r'"samples"\s*:\s*([0-9]+)', outside)
    places.append((found.start(1), found.end(1), ("", "samples"), _NUMBER))
    places.sort()
    pieces: list[bytes] = []
    done = 0
    for begin, end, _, group in places:
        pieces += [re.escape(text[done:begin].encode()), group]
        done = end
    pieces.append(re.escape(text[done:].encode()))
    fields_ = tuple(field for _, _, field, _ in places)
    return _Pattern(re.compile(b"".join(pieces)).match, entry, fields_)


def _only(pattern: str, text: str) -> re.Match[str]:
    found = list(re.finditer(pattern, text))
    if len(found) != 1:
        raise GiveUp
    return found[0]


def _columns(pattern: _Pattern, rows: list[tuple[bytes, ...]]) -> Columns:
    columns = dict(zip(pattern.fields, zip(*rows, strict=True), strict=True))
    samples = _numbers(columns["", "samples"])
    if int(samples.max()) > MAX_SAMPLES:
        raise GiveUp
    files: dict[str, FileTable] = {}
    names: list[tuple[bytes, ...]] = []
    for key in FILE_KEYS:
        if (key, "name") not in columns:
            continue
        values, sizes = columns[key, "name"], _numbers(columns[key, "bytes"])
        if int(sizes.max()) > _MAX_BYTES or b"." in values or b".." in values:
            raise GiveUp
        names.append(values)
        algos = [field for at, field in pattern.fields if at == key and field not in ("name", "bytes")]
        files[key] = FileTable(
            _strings(values), sizes, _hashes(algos, [columns[key, algo] for algo in algos], len(rows))
        )
    if len(names) > 1 and any(len(set(row)) != len(row) for row in zip(*names, strict=True)):
        raise GiveUp
    table = files.get("raw_meta") or files["raw_data"]
    if (table.bytes < 4 * (samples + 2)).any():
        raise GiveUp
    return Columns(pattern.entry, samples, files)


def _numbers(values: tuple[bytes, ...]) -> NDArray[np.int64]:
    return np.array(values).astype(np.int64)


def _strings(values: tuple[bytes, ...] | list[bytes]) -> StringColumn:
    offsets = np.zeros(len(values) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, values), np.int64, len(values)), out=offsets[1:])
    return StringColumn(np.frombuffer(b"".join(values), np.uint8), offsets)


def _hashes(algos: list[str], values: list[tuple[bytes, ...]], count: int) -> StringColumn:
    """Join hashes as :class:`FileTable` has them."""
    if not algos:
        return StringColumn(np.empty(0, np.uint8), np.zeros(count + 1, np.int64))
    prefixes = [algo.encode() + b":" for algo in algos]
    if len(algos) == 1:
        return _strings([prefixes[0] + value for value in values[0]])
    rows = zip(*values, strict=True)
    return _strings([b",".join([p + v for p, v in zip(prefixes, row, strict=True)]) for row in rows])
