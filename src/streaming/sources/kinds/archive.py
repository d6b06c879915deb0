"""The members of a tar, wherever in it one begins: headers of 512 bytes, each followed by contents padded to 512.

Long names and sizes of GNU's and POSIX's (pax) are understood. What lies between the members that are wanted is not
fetched, where that saves more than a request costs.
"""

from __future__ import annotations

import re
import tarfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, NamedTuple

from streaming.sources.file import SourceFile
from streaming.sources.names import COMPRESSED
from streaming.sources.streams import fetch, open_stream

__all__ = ["Member", "check_end", "is_compressed", "members", "open_archive"]

#: Returns bytes from a place on, fewer at the end of the archive. Places do not go back.
ReadAt = Callable[[int, int], bytes]

_BLOCK = 512
_CHUNK, _PROBE, _GAP = 8 << 20, 1 << 16, 1 << 20
#: The prime of Adler-32.
_ADLER = 65521
_RECORD = re.compile(rb"(\d+) (path|size|GNU\.sparse\.[a-z]+)=")
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


def _by_ranges(file: SourceFile, end: int, contents: bool) -> ReadAt:
    window, begin = b"", 0

    def read(at: int, count: int) -> bytes:
        nonlocal window, begin
        if at + count > begin + len(window) and begin + len(window) < file.size:
            gap = at - (begin + len(window))
            chunk = _CHUNK if contents or gap < _GAP else _PROBE
            window = window[at - begin :] if 0 <= at - begin < len(window) else b""
            last = at + len(window)
            begin, window = at, window + fetch(file, last, max(at + count, min(last + chunk, max(end, at + count))))
        return window[at - begin : at - begin + count]

    return read


def _from_stream(stream: IO[bytes]) -> ReadAt:
    position = 0

    def read(at: int, count: int) -> bytes:
        nonlocal position
        while position < at:
            skipped = len(stream.read(min(at - position, _CHUNK)))
            if not skipped:
                return b""
            position += skipped
        data = stream.read(count)
        position += len(data)
        return data

    return read


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
            continue
        at = data + _padded(info.size)
    if on_end is not None:
        on_end(at if block[:1] == b"\0" else -1)


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
    return _from_stream(open_stream(file)) if is_compressed(file.name) else _by_ranges(file, end, contents)


def is_compressed(name: str) -> bool:
    """Say whether an archive of a name is to be read from its begin to its end."""
    return name.lower().endswith((".tgz", *COMPRESSED))
