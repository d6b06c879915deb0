"""The members of a tar, wherever in it one begins: headers of 512 bytes, each followed by contents padded to 512.

Long names and sizes of GNU's and POSIX's (pax) are understood. What lies between the members that are wanted is not
fetched, where that saves more than a request costs.
"""

from __future__ import annotations

import re
import tarfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any, NamedTuple, Protocol

import numpy as np

from streaming.sources.file import SourceFile
from streaming.sources.names import COMPRESSED
from streaming.sources.streams import fetch, open_stream

__all__ = ["Member", "check_end", "is_compressed", "members", "open_archive"]

_BLOCK = 512
_CHUNK, _PROBE, _GAP = 8 << 20, 1 << 16, 1 << 20
#: The prime of Adler-32.
_ADLER = 65521
_RECORD = re.compile(rb"(\d+) (path|size|GNU\.sparse\.[a-z]+)=")
_REGULAR, _PAX = ord(tarfile.REGTYPE), ord(tarfile.XHDTYPE)
#: What each digit of a number of six is worth.
_OCTAL = 8 ** np.arange(5, -1, -1)
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_LINKS = (tarfile.LNKTYPE, tarfile.SYMTYPE)


class _Header(NamedTuple):
    name: str
    type: bytes
    size: int
    link: str = ""


class Member(NamedTuple):
    """A file of an archive, or what stands for one.

    Attributes:
        name: Its name.
        begin: Where its headers begin.
        data: Where its contents begin.
        size: Their bytes.
        link: The name of the file that it is a link to, if it is one.
    """

    name: str
    begin: int
    data: int
    size: int
    link: str = ""


class ReadAt(Protocol):
    """Reads an archive. Places do not go back."""

    def __call__(self, at: int, count: int) -> bytes:
        """Return bytes from a place on, fewer at the end of the archive."""
        ...

    def seen(self, at: int) -> tuple[bytes, int]:
        """Return bytes that were fetched already, and where among them a place is; behind them, if it was not fetched."""
        ...


class _Ranges:
    """Reads a file by ranges."""

    def __init__(self, file: SourceFile, end: int, contents: bool) -> None:
        self._file, self._end, self._contents = file, end, contents
        self._window, self._begin = b"", 0

    def __call__(self, at: int, count: int) -> bytes:
        begin = at - self._begin
        found = self._window[begin : begin + count] if begin >= 0 else b""
        if len(found) == count or self._begin + len(self._window) >= self._file.size:
            return found
        gap = begin - len(self._window)
        chunk = _CHUNK if self._contents or gap < _GAP else _PROBE
        kept = self._window[begin:] if begin >= 0 else b""
        last = at + len(kept)
        end = max(at + count, min(last + chunk, max(self._end, at + count)))
        self._begin, self._window = at, kept + fetch(self._file, last, end)
        return self._window[:count]

    def seen(self, at: int) -> tuple[bytes, int]:
        return self._window, max(at - self._begin, 0)


class _Stream:
    """Reads a file from its begin on."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._at = stream, 0

    def __call__(self, at: int, count: int) -> bytes:
        while self._at < at:
            skipped = len(self._stream.read(min(at - self._at, _CHUNK)))
            if not skipped:
                return b""
            self._at += skipped
        data = self._stream.read(count)
        self._at += len(data)
        return data

    def seen(self, at: int) -> tuple[bytes, int]:
        del at
        return b"", 0


def members(read: ReadAt, begin: int, end: int | None, on_end: Callable[[int], None] | None = None) -> Iterator[Member]:
    """Yield the files that begin in a range of an archive.

    Args:
        read: Reads it.
        begin: Where the first begins.
        end: Where none begins any more; ``None``: at the end of the archive.
        on_end: Told where the mark at the end begins; -1 if there is none.

    Raises:
        tarfile.TarError: It is damaged, or cut off.
    """
    at = start = begin
    name, size, block = "", -1, b""
    while end is None or start < end:
        block = read(at, _BLOCK)
        if block[:1] in b"\0" and not block.strip(b"\0"):
            if len(block) < _BLOCK and (block or name):
                raise tarfile.ReadError("it is cut off")
            break
        info = _header(block)
        data = at + _BLOCK
        if info.type in (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
            more = read(data, info.size)
            if info.type == tarfile.GNUTYPE_LONGNAME:
                name = more.rstrip(b"\0").decode("utf-8", "surrogateescape")
            else:
                name, size = _of_records(more, name, size)
        elif info.type == tarfile.GNUTYPE_SPARSE:
            raise tarfile.ReadError(f"{name or info.name} is a sparse file, which is not supported")
        elif info.type not in (tarfile.GNUTYPE_LONGLINK, tarfile.XGLTYPE):
            has_data = info.type in _FILES or info.type not in tarfile.SUPPORTED_TYPES
            taken = (size if size >= 0 else info.size) if has_data else 0
            if info.type in _FILES or info.link:
                yield Member(name or info.name, start, data, taken, info.link)
            at = start = data + _padded(taken)
            name, size = "", -1
            for member in _plain(*read.seen(at), at, end):
                yield member
                at = start = member.data + _padded(member.size)
            continue
        at = data + _padded(info.size)
    if on_end is not None:
        on_end(at if block[:1] == b"\0" else -1)


def _plain(window: bytes, begin: int, at: int, end: int | None) -> Iterator[Member]:
    """Yield members that follow each other and whose headers are of the simple kind that most are, checked all at once.

    Args:
        window: Bytes of an archive.
        begin: Where in them the first member begins.
        at: Where in the archive that is.
        end: Where in it none begins any more.
    """
    last = len(window) if end is None else min(len(window), end - at + begin)
    heads: list[int] = []
    found: list[tuple[int, int, int]] = []
    here = start = begin
    while start < last and here + _BLOCK <= len(window):
        try:
            size = int(window[here + 124 : here + 135], 8)
        except ValueError:
            break
        data, kind = here + _BLOCK, window[here + 156]
        heads.append(here)
        here = data + (size + _BLOCK - 1) // _BLOCK * _BLOCK
        if kind == _REGULAR and size >= 0:
            found.append((start, data, size))
            start = here
        elif kind != _PAX or size < 0 or len(window) < here or _RECORD.search(window, data, data + size):
            break
        else:  # records that tell nothing that is needed here
            found.append((-1, data, size))
    good, names = _checked(window, heads[: len(found)])
    several = zip(found[:good], names[:good], strict=True)
    for (first, data, size), name in several:
        if first >= 0:
            yield Member(name.decode("utf-8", "surrogateescape"), at + first - begin, at + data - begin, size)


def _checked(window: bytes, heads: list[int]) -> tuple[int, list[bytes]]:
    """Return how many headers, from the first on, are undamaged and simple, and the name in each."""
    if not heads:
        return 0, []
    rows = np.frombuffer(window, np.uint8, (heads[-1] - heads[0]) + _BLOCK, heads[0]).reshape(-1, _BLOCK)
    rows = rows[(np.array(heads) - heads[0]) // _BLOCK]
    noted, is_end = rows[:, 148:154] - ord("0"), rows[:, :100] == 0
    sums = rows.sum(axis=1, dtype=np.int64) - rows[:, 148:156].sum(axis=1, dtype=np.int64) + 8 * ord(" ")
    is_good = (
        (rows[:, 257:262] == np.frombuffer(b"ustar", np.uint8)).all(axis=1)
        & (rows[:, 124:135] - ord("0") < 8).all(axis=1)
        & (rows[:, 135] <= ord(" "))
        & (noted < 8).all(axis=1)
        & (noted @ _OCTAL == sums)
        & (rows[:, 345] == 0)
        & (is_end[:, 1:] >= is_end[:, :-1]).all(axis=1)
    )
    names: Any = np.ascontiguousarray(rows[:, :100]).view("S100")
    return int(np.append(is_good, False).argmin()), names[:, 0].tolist()


def _header(block: bytes) -> _Header:
    """Return what a header says: most are of one simple kind, which is read here many times faster."""
    size, noted = block[124:135], block[148:154]
    if block[257:262] == b"ustar" and size.isdigit() and noted.isdigit():
        if (_sum_of(block) - sum(block[148:156]) + 8 * ord(" ") - int(noted, 8)) % _ADLER:
            raise tarfile.ReadError("a header is damaged")
        name, prefix = (block[begin:end].partition(b"\0")[0] for begin, end in ((0, 100), (345, 500)))
        kind = block[156:157]
        if kind not in _LINKS and (not prefix or kind in tarfile.GNU_TYPES):
            return _Header(name.decode("utf-8", "surrogateescape"), kind, int(size, 8))
    info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    return _Header(info.name, info.type, info.size, (info.linkname or "?") if info.type in _LINKS else "")


def _sum_of(block: bytes) -> int:
    """Return the sum of bytes, modulo :data:`_ADLER`: the lower half of a checksum that is made many times faster."""
    return zlib.adler32(block, 0) & 0xFFFF


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _of_records(records: bytes, name: str, size: int) -> tuple[str, int]:
    """Return name and size as a header of pax has them."""
    at = 0
    while at < len(records):
        length, space, _ = records[at : at + 20].partition(b" ")
        if not space or not length.isdigit() or int(length) <= 0:
            raise tarfile.ReadError("a header of pax is damaged")
        record = records[at : at + int(length)]
        found = _RECORD.match(record)
        if found is not None and found[2].startswith(b"GNU"):
            raise tarfile.ReadError("it has a sparse file, which is not supported")
        if found is not None:
            value = record[found.end() : -1]
            name, size = (value.decode("utf-8", "surrogateescape"), size) if found[2] == b"path" else (name, int(value))
        at += int(length)
    return name, size


def check_end(read: ReadAt, at: int, size: int | None) -> None:
    """Check what comes behind the mark at the end of an archive: of a compressed one, its checksum.

    Args:
        read: Reads the archive.
        at: Where the mark begins.
        size: Bytes of the archive; ``None`` if it is compressed.

    Raises:
        tarfile.TarError: There is something.
        OSError: It is not what was compressed.
    """
    while data := read(at, _CHUNK if size is None else min(_CHUNK, size - at)):
        if data.strip(b"\0"):
            raise tarfile.ReadError(
                "something follows its end. Of archives that were joined by cat, programs see the first only: join them "
                "by tar --concatenate"
            )
        at += len(data)


def open_archive(file: SourceFile, end: int, contents: bool) -> ReadAt:
    """Return what reads an archive, compressed or not.

    Args:
        file: The archive.
        end: Where no more is wanted.
        contents: Whether most contents are wanted, rather than headers alone.
    """
    return _Stream(open_stream(file)) if is_compressed(file.name) else _Ranges(file, end, contents)


def is_compressed(name: str) -> bool:
    """Say whether an archive of a name is to be read from its begin to its end."""
    return name.lower().endswith((".tgz", *COMPRESSED))
