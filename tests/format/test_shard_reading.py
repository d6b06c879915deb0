"""Opening and reading shards: sound ones of every format, and damaged ones."""

from __future__ import annotations

import os
import struct
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from streaming.core.errors import ShardFormatError, UnknownNameError
from streaming.format.encodings import Encoding, encodings
from streaming.format.index import FileInfo, Index, ShardInfo
from streaming.format.shard import Shard, open_shard

from budget import share
from format_support import read_dataset, write_dataset

COLUMNS = {"id": "int", "text": "str", "tokens": "ndarray:uint16:3"}
FIXED = {"id": "int", "score": "float32", "tokens": "ndarray:uint16:3"}


def samples(count: int) -> list[dict[str, Any]]:
    return [
        {"id": i, "text": "x" * i, "score": i / 2, "tokens": np.arange(i, i + 3, dtype="uint16")} for i in range(count)
    ]


def write(directory: Path, columns: dict[str, str], count: int = 5, format: str = "mds") -> ShardInfo:
    write_dataset(directory, format, columns, samples(count), size_limit=None)
    data = (directory / "index.json").read_bytes()
    return Index.parse(data, str(directory)).shard(0)


def rewrite(directory: Path, info: ShardInfo, data: bytes, which: int = -1) -> ShardInfo:
    """Replace a file of a shard, and its size in the index."""
    (directory / info.raw[which].basename).write_bytes(data)
    files = list(info.raw)
    files[which] = FileInfo(files[which].basename, len(data))
    return replace(info, raw=tuple(files))


def contents(directory: Path, info: ShardInfo, which: int = -1) -> bytearray:
    return bytearray((directory / info.raw[which].basename).read_bytes())


def check_equal(sample: dict[str, Any], expected: dict[str, Any], columns: dict[str, str]) -> None:
    assert sample.keys() == columns.keys()
    for name in columns:
        assert np.array_equal(sample[name], expected[name])


@pytest.mark.parametrize("columns", [COLUMNS, FIXED, {"id": "int"}, {"text": "str"}, {}])
def test_read(tmp_path: Path, columns: dict[str, str]) -> None:
    shard = open_shard(write(tmp_path, columns, 50), str(tmp_path))
    assert len(shard) == 50
    assert shard.nbytes == (tmp_path / "shard.00000.mds").stat().st_size
    for i, expected in enumerate(samples(50)):
        check_equal(shard.get(i), expected, columns)
    ids = [49, 0, 7, 7, 3, 12]
    for many in (shard.get_many(ids), shard.get_many(np.array(ids))):
        for i, sample in zip(ids, many, strict=True):
            check_equal(sample, samples(50)[i], columns)
            assert [type(value) for value in sample.values()] == [type(value) for value in shard.get(i).values()]
    assert shard.get_many([]) == []
    shard.close()


def test_sample_bytes(tmp_path: Path) -> None:
    shard = open_shard(write(tmp_path, {"id": "int", "text": "str"}, 3), str(tmp_path))
    assert shard.sample_bytes(2) == struct.pack("<Iq", 2, 2) + b"xx"


@pytest.mark.parametrize("sample_id", [-1, 5, 1 << 40])
def test_no_such_sample(tmp_path: Path, sample_id: int) -> None:
    shard = open_shard(write(tmp_path, FIXED), str(tmp_path))
    for call in (shard.get, shard.sample_bytes, lambda i: shard.get_many([0, 1, 2, 3, i])):
        with pytest.raises(IndexError, match="has 5 samples"):
            call(sample_id)


@pytest.mark.parametrize("columns", [COLUMNS, FIXED])
def test_values_outlive_the_shard(tmp_path: Path, columns: dict[str, str]) -> None:
    shard = open_shard(write(tmp_path, columns), str(tmp_path))
    one, many = shard.get(1), shard.get_many([0, 1, 2, 3, 4])
    shard.close()
    shard.close()
    os.unlink(tmp_path / "shard.00000.mds")
    for tokens in (one["tokens"], many[1]["tokens"]):
        assert tokens.tolist() == [1, 2, 3]
        assert not tokens.flags.writeable
    for call in (lambda: shard.get(0), lambda: shard.sample_bytes(0), lambda: shard.get_many([0])):
        with pytest.raises(ValueError, match="is closed"):
            call()


def test_mapped_shard_survives_its_removal(tmp_path: Path) -> None:
    shard = open_shard(write(tmp_path, COLUMNS), str(tmp_path))
    os.unlink(tmp_path / "shard.00000.mds")
    assert shard.get(4)["text"] == "xxxx"


def test_threads(tmp_path: Path) -> None:
    shard = open_shard(write(tmp_path, COLUMNS, 200), str(tmp_path))
    wrong: list[int] = []

    def read() -> None:
        wrong.extend(i for i in range(200) if shard.get(i)["id"] != i)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not wrong


@pytest.mark.parametrize("format", ["json", "csv", "tsv"])
@pytest.mark.parametrize("count", [0, 1, 20])
def test_lines(tmp_path: Path, format: str, count: int) -> None:
    columns = {"id": "int", "text": "str", "score": "float"}
    write_dataset(tmp_path, format, columns, samples(count), newline="\r\n")
    assert read_dataset(tmp_path, tmp_path) == [
        {name: sample[name] for name in sorted(columns)} for sample in samples(count)
    ]


# Damage


def expect(info: ShardInfo, directory: Path, reason: str, which: int = -1) -> None:
    with pytest.raises(ShardFormatError, match=reason) as caught:
        open_shard(info, str(directory))
    assert info.raw[which].basename in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    info = write(tmp_path, COLUMNS)
    os.unlink(tmp_path / "shard.00000.mds")
    with pytest.raises(FileNotFoundError):
        open_shard(info, str(tmp_path))


@pytest.mark.parametrize("change", [-1, 1])
def test_other_size_than_in_the_index(tmp_path: Path, change: int) -> None:
    info = write(tmp_path, COLUMNS)
    data = contents(tmp_path, info)
    (tmp_path / "shard.00000.mds").write_bytes(data[:-1] if change < 0 else data + b"x")
    expect(info, tmp_path, "the index says")


@pytest.mark.parametrize("size", [0, 3, 4, 20])
def test_truncated_to_less_than_its_table(tmp_path: Path, size: int) -> None:
    info = write(tmp_path, COLUMNS)
    info = rewrite(tmp_path, info, bytes(contents(tmp_path, info)[:size]))
    expect(info, tmp_path, "too few for the offsets")


def test_other_count(tmp_path: Path) -> None:
    info = write(tmp_path, COLUMNS)
    expect(replace(info, samples=4), tmp_path, "holds 5 samples; the index says 4")


@pytest.mark.parametrize(
    ("position", "value", "reason"),
    [
        (0, 8, "overlaps"),
        (2, 0, "sample 1 has -"),
        (2, 1 << 31, "sample 1 has 2"),
        (3, 0xFFFFFFFF, "sample 2 has"),
        (5, 0, "samples end at 0"),
        (5, 0xFFFFFFFF, "samples end at 4294967295"),
    ],
)
@pytest.mark.parametrize("columns", [COLUMNS, FIXED])
def test_bad_offsets(tmp_path: Path, columns: dict[str, str], position: int, value: int, reason: str) -> None:
    info = write(tmp_path, columns)
    data = contents(tmp_path, info)
    struct.pack_into("<I", data, 4 + 4 * position, value)
    expect(rewrite(tmp_path, info, bytes(data)), tmp_path, reason)


def test_rows_of_another_size(tmp_path: Path) -> None:
    info = write(tmp_path, FIXED)
    data = contents(tmp_path, info)
    (offset,) = struct.unpack_from("<I", data, 12)
    struct.pack_into("<I", data, 12, offset + 1)
    expect(rewrite(tmp_path, info, bytes(data)), tmp_path, "sample 1 has 19 bytes, expected 18")


@pytest.mark.parametrize("size", [0, 1, 3, 5, 0xFFFFFFFF])
@pytest.mark.parametrize("columns", [COLUMNS, {"text": "str"}])
def test_sizes_of_a_sample_that_lie(tmp_path: Path, columns: dict[str, str], size: int) -> None:
    info = write(tmp_path, columns)
    data = contents(tmp_path, info)
    (begin,) = struct.unpack_from("<I", data, 4 + 4 * 2)
    struct.pack_into("<I", data, begin, size)
    shard = open_shard(rewrite(tmp_path, info, bytes(data)), str(tmp_path))
    with pytest.raises(ShardFormatError, match=r"shard\.00000\.mds, sample 2: "):
        shard.get(2)
    check_equal(shard.get(1), samples(2)[1], columns)


def test_value_that_cannot_be_decoded(tmp_path: Path) -> None:
    info = write(tmp_path, COLUMNS)
    data = contents(tmp_path, info)
    data[-7:-6] = b"\xff"  # the last letter of the last text
    shard = open_shard(rewrite(tmp_path, info, bytes(data)), str(tmp_path))
    with pytest.raises(ShardFormatError, match=r"00000\.mds, sample 4, column '\w+': UnicodeDecodeError"):
        shard.get(4)


@pytest.mark.parametrize("position", range(7))
def test_bad_offsets_of_lines(tmp_path: Path, position: int) -> None:
    info = write(tmp_path, {"id": "int", "text": "str"}, format="csv")
    data = contents(tmp_path, info, 0)
    struct.pack_into("<I", data, 4 * position, 0x7FFFFFFF)
    expect(rewrite(tmp_path, info, bytes(data), 0), tmp_path, "csv.meta", 0)


@pytest.mark.parametrize(
    ("format", "line"),
    [
        ("json", b"[1, 2]\n"),
        ("json", b"not json"),
        ("json", b"[" * 100_000),
        ("json", b"\xff\xff"),
        ("csv", b"1\n"),
        ("csv", b"x,y\n"),
        ("csv", b"1,\xff\n"),
    ],
)
def test_bad_lines(tmp_path: Path, format: str, line: bytes) -> None:
    info = write(tmp_path, {"id": "int", "text": "str"}, 1, format)
    header = b"id,text\n" if format == "csv" else b""
    meta = struct.pack("<3I", 1, len(header), len(header) + len(line)) + b"{}"
    info = rewrite(tmp_path, rewrite(tmp_path, info, header + line), meta, 0)
    with pytest.raises(ShardFormatError, match=f"shard.00000.{format}, sample 0"):
        open_shard(info, str(tmp_path)).get(0)


def test_links(tmp_path: Path) -> None:
    """Whoever made the directory made its links: a file may be one, as the directory itself; names lead nowhere else."""
    home, inside = tmp_path / "home", tmp_path / "home" / "data"
    info = write(inside, COLUMNS)
    (inside / "shard.00000.mds").rename(home / "blob")
    (inside / "shard.00000.mds").symlink_to("../blob")
    assert open_shard(info, str(inside)).get(1)["id"] == 1
    (tmp_path / "link").symlink_to("home/data")
    assert open_shard(info, str(tmp_path / "link")).get(1)["id"] == 1
    (home / "elsewhere").mkdir()
    (home / "blob").rename(home / "elsewhere" / "shard.00000.mds")
    (inside / "part").symlink_to("../elsewhere")
    raw = replace(info.raw[0], basename="part/shard.00000.mds")
    expect(replace(info, raw=(raw,)), inside, "leads out of")


def test_no_regular_file(tmp_path: Path) -> None:
    info = write(tmp_path, COLUMNS)
    os.unlink(tmp_path / "shard.00000.mds")
    os.mkfifo(tmp_path / "shard.00000.mds")
    expect(info, tmp_path, "not a regular file")
    os.unlink(tmp_path / "shard.00000.mds")
    os.mkdir(tmp_path / "shard.00000.mds")
    expect(info, tmp_path, "not a regular file")


@given(st.data())
@share(
    0.8,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_damage_is_reported(tmp_path: Path, data: st.DataObject) -> None:
    format = data.draw(st.sampled_from(["mds", "json", "csv"]))
    columns = COLUMNS if format == "mds" else {"id": "int", "text": "str"}
    directory = tmp_path / format
    info = write(directory, columns, 4, format)
    which = data.draw(st.integers(0, len(info.raw) - 1))
    damaged = contents(directory, info, which)
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(damaged) - 1))
        damaged[position] = data.draw(st.integers(0, 255))
    info = rewrite(directory, info, bytes(damaged), which)
    try:
        shard = open_shard(info, str(directory))
        for i in range(len(shard)):
            shard.get(i)
        shard.get_many(range(len(shard)))
    except ShardFormatError as error:
        assert "shard.00000" in str(error)  # noqa: PT017


class Doubled(Encoding):
    size = 1

    def encode(self, obj: int) -> bytes:
        return bytes((obj * 2,))

    def decode(self, data: bytes) -> int:
        return data[0] // 2


def test_custom_encoding(tmp_path: Path) -> None:
    encodings["doubled"] = Doubled
    try:
        info = write(tmp_path, {"id": "doubled"}, 9)
        shard = open_shard(info, str(tmp_path))
        assert [shard.get(i) for i in range(9)] == shard.get_many(range(9))
        assert shard.get(8) == {"id": 8}
    finally:
        del encodings["doubled"]
    with pytest.raises(UnknownNameError, match="'doubled'"):
        open_shard(info, str(tmp_path))


def test_subclass_that_overrides_decode_alone(tmp_path: Path) -> None:
    class Scaled(encodings["float32"]):
        def decode(self, data: bytes) -> float:
            return float(super().decode(data)) * 10

    encodings["scaled"] = Scaled
    try:
        shard: Shard = open_shard(write(tmp_path, {"score": "scaled"}, 9), str(tmp_path))
        assert [sample["score"] for sample in shard.get_many(range(9))] == [5.0 * i for i in range(9)]
    finally:
        del encodings["scaled"]
