"""The walk through an archive, against Python's own."""

from __future__ import annotations

import io
import random
import tarfile
from pathlib import Path

import pytest

from streaming.sources.file import SourceFile
from streaming.sources.kinds import archive
from streaming.sources.kinds.archive import members, open_archive
from streaming.storage.providers.local import LocalStore


def write(path: Path, format: int, rng: random.Random) -> None:
    """Write members of every kind that there is, most of them plain."""
    with tarfile.open(path, "w", format=format) as out:
        for number in range(120):
            info = tarfile.TarInfo(f"{number:05}.txt")
            kind = rng.randrange(12)
            if kind == 0:
                info.name = f"{'d' * 80}/{'n' * 60}{number}.txt"
            elif kind == 1:
                info.name = f"é{number}.txt"
            elif kind == 2:
                info.type = tarfile.DIRTYPE
            elif kind in (3, 4):
                info.mtime = number + 0.5  # of which pax makes records of their own
            elif kind == 5 and format == tarfile.PAX_FORMAT:
                info.pax_headers = {"comment": "x" * 2000}
            data = rng.randbytes(rng.choice([0, 1, 511, 512, 513, 3000])) if info.isreg() else b""
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))


def walked(path: Path, begin: int = 0, end: int | None = None) -> list[tuple[str, int, int, int]]:
    store = LocalStore(str(path.parent))
    file = SourceFile(store, store.head(path.name))
    found = members(open_archive(file, end or file.size, False), begin, end)
    return [each for some in found for each in zip(*some[:4], strict=True)]


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
@pytest.mark.parametrize("chunk", [1 << 10, 1 << 14, 1 << 23])
def test_members_are_those_of_tarfile(format: int, chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "_CHUNK", chunk)
    monkeypatch.setattr(archive, "_LEAST_REACH", max(chunk >> 4, 512))
    path = tmp_path / "x.tar"
    write(path, format, random.Random(chunk))
    with tarfile.open(path) as read:
        expected = [(info.name, info.offset, info.offset_data, info.size) for info in read if info.isreg()]
    assert walked(path) == expected
    begin, end = expected[20][1], expected[70][1]
    assert walked(path, begin, end) == expected[20:70]
    assert walked(path, begin, end + 1) == expected[20:71]


def test_a_damaged_header_among_many(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    write(path, tarfile.GNU_FORMAT, random.Random(1))
    found = walked(path)
    good = path.read_bytes()
    for place in (0, 99, 124, 130, 148, 300, 511):
        data = bytearray(good)
        data[found[50][2] - 512 + place] ^= 1
        path.write_bytes(data)
        with pytest.raises(tarfile.TarError):
            walked(path)
    data = bytearray(good)
    data[found[50][2] - 388 : found[50][2] - 377] = b"-0000001750"  # a size that would lead back
    path.write_bytes(data)
    with pytest.raises(tarfile.TarError):
        walked(path)


def test_archives_in_archives_and_names_with_something_behind_them(tmp_path: Path) -> None:
    """Contents that look like headers are none; of a name counts what comes before its first zero."""
    inner, path = tmp_path / "inner.tar", tmp_path / "x.tar"
    write(inner, tarfile.GNU_FORMAT, random.Random(2))
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as out:
        for number in range(40):
            info = tarfile.TarInfo(f"{number:03}.{'tar' if number % 7 == 3 else 'bin'}")
            data = inner.read_bytes() if number % 7 == 3 else bytes(700)
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))
    with tarfile.open(path) as read:
        expected = [(info.name, info.offset, info.offset_data, info.size) for info in read]
    assert walked(path) == expected
    data = bytearray(path.read_bytes())
    head = expected[30][1]
    data[head + 50 : head + 53] = b"odd"
    noted = sum(data[head : head + 148]) + 8 * 32 + sum(data[head + 156 : head + 512])
    data[head + 148 : head + 156] = b"%06o\0 " % noted
    path.write_bytes(data)
    assert walked(path) == expected
