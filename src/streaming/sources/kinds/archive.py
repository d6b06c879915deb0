"""The members of a tar, wherever in it one begins: headers of 512 bytes, each followed by contents padded to 512.

Long names and sizes of GNU's and POSIX's (pax) are understood. What lies between the members that are wanted is not
fetched, where that saves more than a request costs.
"""

from __future__ import annotations

import re
import tarfile
import zlib
from collections.abc import Callable, Iterator
from io import BufferedReader
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from streaming.sources.file import SourceFile
from streaming.sources.names import COMPRESSED
from streaming.sources.streams import fetch, open_stream

__all__ = ["Members", "check_end", "is_compressed", "members", "open_archive"]

_BLOCK = 512
_CHUNK, _STEP, _PROBE, _GAP = 8 << 20, 1 << 20, 1 << 16, 1 << 20
#: The prime of Adler-32.
_ADLER = 65521
_RECORD = re.compile(rb"(\d+) (path|size|GNU\.sparse\.[a-z]+)=")
_PLAIN = _REGULAR, _PAX = ord(tarfile.REGTYPE), ord(tarfile.XHDTYPE)
#: What each digit of a number of eleven is worth.
_OCTAL = 8 ** np.arange(10, -1, -1)
#: Where a header says what it is.
_KIND = 156
#: Bytes that are looked at for simple headers, at first: what follows may be none.
_LEAST_REACH = 1 << 17
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_LINKS = (tarfile.LNKTYPE, tarfile.SYMTYPE)


class _Header(NamedTuple):
    name: str
    type: bytes
    size: int
    link: str = ""


class Members(NamedTuple):
    """Files of an archive, one after the other, or what stands for them. Legend: N files.

    Attributes:
        names: N names.
        begins: Where the headers of each begin.
        data: Where the contents of each begin.
        sizes: Bytes of the contents of each.
        link: The name of the file that the only one is a link to, if it is one.
    """

    names: list[str]
    begins: list[int]
    data: list[int]
    sizes: list[int]
    link: str = ""

    @property
    def end(self) -> int:
        """Where the last ends."""
        return self.data[-1] + _padded(self.sizes[-1])


class ReadAt(Protocol):
    """Reads an archive. Places do not go back."""

    def __call__(self, at: int, count: int) -> bytes:
        """Return bytes from a place on, fewer at the end of the archive."""
        ...

    def seen(self, at: int) -> tuple[bytes, int]:
        """Return bytes that were fetched already, and where among them a place is; behind them, if it was not fetched."""
        ...


class _Window:
    """Reads an archive by a window that moves on."""

    def __init__(self) -> None:
        self._window, self._begin, self._is_last = b"", 0, False

    def __call__(self, at: int, count: int) -> bytes:
        begin = at - self._begin
        found = self._window[begin : begin + count] if begin >= 0 else b""
        if len(found) == count or self._is_last:
            return found
        kept, gap = self._window[begin:] if begin >= 0 else b"", begin - len(self._window)
        self._window = b""  # whose room is free to be used again
        more, self._is_last = self._fetch(at + len(kept), at + count, gap)
        self._begin, self._window = at, kept + more if kept else more
        return self._window[:count]

    def seen(self, at: int) -> tuple[bytes, int]:
        return self._window, max(at - self._begin, 0)

    def _fetch(self, begin: int, end: int, gap: int) -> tuple[bytes, bool]:
        """Return at least bytes ``[begin, end)``, fewer at the end of the archive, and whether they reach to it.

        Args:
            begin: The first.
            end: One behind the last.
            gap: How many there are between them and those before; less than 0 if those are needed, too.
        """
        raise NotImplementedError


class _Ranges(_Window):
    """Reads a file by ranges."""

    def __init__(self, file: SourceFile, end: int, contents: bool) -> None:
        super().__init__()
        self._file, self._end, self._contents = file, end, contents

    def _fetch(self, begin: int, end: int, gap: int) -> tuple[bytes, bool]:
        chunk = _CHUNK if self._contents or gap < _GAP else _PROBE
        last = max(end, min(begin + chunk, self._end))
        return fetch(self._file, begin, last), last >= self._file.size


class _Stream(_Window):
    """Reads a file from its begin on."""

    def __init__(self, stream: BufferedReader) -> None:
        super().__init__()
        self._stream, self._at = stream, 0

    def _fetch(self, begin: int, end: int, gap: int) -> tuple[bytes, bool]:
        del gap
        parts: list[bytes] = []
        while self._at < end:
            data = self._stream.read1(_STEP)  # what is damaged behind that is not needed yet
            if not data:
                break
            self._at += len(data)
            if self._at > begin:
                parts.append(data[max(0, begin - self._at + len(data)) :] if not parts else data)
        return b"".join(parts), self._at < end


def members(
    read: ReadAt, begin: int, end: int | None, on_end: Callable[[int], None] | None = None
) -> Iterator[Members]:
    """Yield the files that begin in a range of an archive, as many at once as are simple and were fetched.

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
                yield Members([name or info.name], [start], [data], [taken], info.link)
            at = start = data + _padded(taken)
            name, size = "", -1
            reach = _LEAST_REACH
            while (some := _plain(*read.seen(at), at, end, reach)) is not None:
                yield some
                at = start = some.end
                reach *= 8
            continue
        at = data + _padded(info.size)
    if on_end is not None:
        on_end(at if block[:1] == b"\0" else -1)


def _plain(window: bytes, begin: int, at: int, end: int | None, reach: int) -> Members | None:
    """Return members that follow each other and whose headers are of the simple kind that most are, checked all at once.

    Args:
        window: Bytes of an archive.
        begin: Where in them the first member begins.
        at: Where in the archive that is.
        end: Where in it none begins any more.
        reach: How many bytes to look at, if there are so many.

    Returns:
        At least one, or ``None``.
    """
    count = min(len(window) - begin, reach) // _BLOCK
    if count <= 0 or window[begin + _KIND] not in _PLAIN:
        return None
    if window[begin + _KIND] == _PAX and _RECORD.search(window, begin + _BLOCK, begin + 2 * _BLOCK):
        return None  # as will often be so for all
    magics: Any = np.ndarray(count, "S5", window, begin + 257, (_BLOCK,))
    heads = np.flatnonzero(magics == b"ustar")
    rows = np.frombuffer(window, np.uint8, count * _BLOCK, begin).reshape(count, _BLOCK)[heads]
    sizes = (rows[:, 124:135] - ord("0")) @ _OCTAL
    nexts = heads + 1 + (sizes + _BLOCK - 1) // _BLOCK
    follows = np.append(0, nexts[:-1]) == heads
    rows = rows[: int(np.append(_is_simple(rows) & follows, False).argmin())]
    extended = np.flatnonzero(rows[:, _KIND] == _PAX)
    for number in extended.tolist():  # records that tell nothing that is needed here
        data = begin + (int(heads[number]) + 1) * _BLOCK
        stop = data + int(sizes[number])
        if stop > len(window) or _RECORD.search(window, data, stop):
            rows = rows[:number]
            break
    files = np.flatnonzero(rows[:, _KIND] == _REGULAR)
    begins = at + np.append(0, nexts[files])[:-1] * _BLOCK
    if end is not None:
        files = files[: int(np.searchsorted(begins, end))]
    if not len(files):
        return None
    fields: Any = np.ascontiguousarray(rows[files, :100]).view("S100")
    names: list[bytes] = fields[:, 0].tolist()
    text = b"\0".join(names)
    if text.count(b"\0") >= len(names):  # what follows the end of a name is no part of it
        text = b"\0".join(name.partition(b"\0")[0] for name in names)
    places = at + (heads[files] + 1) * _BLOCK
    several = text.decode("utf-8", "surrogateescape").split("\0")
    return Members(several, begins[: len(files)].tolist(), places.tolist(), sizes[files].tolist())


def _is_simple(rows: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return for each header whether it is undamaged, and says all that there is to say by itself."""
    noted = rows[:, 148:154] - ord("0")
    sums = rows.sum(axis=1, dtype=np.uint16) - rows[:, 148:156].sum(axis=1, dtype=np.uint16) + np.uint16(8 * ord(" "))
    return (
        (rows[:, 124:135] - ord("0") < 8).all(axis=1)
        & (rows[:, 135] <= ord(" "))
        & (noted < 8).all(axis=1)
        & ((noted @ _OCTAL[-6:]).astype(np.uint16) == sums)
        & ((rows[:, _KIND] == _REGULAR) | (rows[:, _KIND] == _PAX))
        & (rows[:, 345] == 0)
    )


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
