"""Archives, lines and the like, trained from where they lie: every value, any world, and what is wrong is named."""

from __future__ import annotations

import csv as stdlib_csv
import gzip
import io
import json
import random
import shutil
import struct
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest
import webdataset as wds
import zstandard
from PIL import Image

import streaming
from streaming import Stream, StreamingDataLoader, StreamingDataset
from streaming.cli.main import main
from streaming.core.errors import ConfigError, IndexFormatError, ShardFormatError, ShardUnavailableError, SourceError
from streaming.sources import streams
from streaming.sources.kinds import arrays, cells, lines, survey, tars
from streaming.storage.registry import open_store

from copies import Later
from servers import S3Server

datasets = Later("datasets")

Rows = list[dict[str, Any]]

#: Of tests that write a file again, and open it with the same cache.
rewrites = pytest.mark.filterwarnings("ignore:Files at .* are not those that were looked into before")


def json_rows(begin: int, end: int) -> Rows:
    return [
        {
            "id": i,
            "text": f"number {i} é\n" * (i % 4),
            "ratio": i / 2 if i % 2 else i // 2,
            "yes": i % 2 == 0,
            "maybe": None if i % 3 else i,
            "nested": {"a": [i, None, "x"]},
            "huge": 1 << (i % 70),
            "mixed": i if i % 2 else str(i),
        }
        for i in range(begin, end)
    ]


def write_lines(path: Path, rows: Rows) -> None:
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    opened = {".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}.get(path.suffix, bytes)
    path.write_bytes(opened(data))


def pictures(place: Path, count: int, maxcount: int = 20, **more: Callable[[int], Any]) -> Path:
    """Archives as WebDataset's own writer has them."""
    place.mkdir()
    with wds.ShardWriter(str(place / "s-%04d.tar"), maxcount=maxcount, verbose=0) as out:  # pyright: ignore
        for i in range(count):
            image = Image.new("RGB", (4 + i % 3, 5), (i % 256, 7, 9))
            jpeg = io.BytesIO()
            image.save(jpeg, "jpeg")
            row: dict[str, Any] = {
                "__key__": f"{i:06}",
                "jpg": jpeg.getvalue(),
                "cls": i % 10,
                "json": {"i": i},
                "txt": f"é{i}",
            }
            row["seg.npy"] = np.full((2, i % 3 + 1), i, np.int32)
            out.write({**row, **{name: make(i) for name, make in more.items()}})
    return place


def tar_of(path: Path, members: Sequence[tuple[str, bytes]], format: int = tarfile.GNU_FORMAT, mode: str = "w") -> None:
    with tarfile.open(path, mode, format=format) as archive:  # pyright: ignore
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def opened(place: Path | str, tmp_path: Path, **more: Any) -> StreamingDataset:
    arguments: Any = {"remote": str(place), "local": tmp_path / "cache", "batch_size": 1, **more}
    return StreamingDataset(**arguments)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are cut into pieces of a few rows."""
    monkeypatch.setattr(lines, "_PIECE_BYTES", 700)
    monkeypatch.setattr(survey, "_PIECE_BYTES", 9000)
    monkeypatch.setattr("streaming.inplace.cutting.SHARD_BYTES", 16_000)


# -- JSON lines ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_every_object(tmp_path: Path, suffix: str) -> None:
    for n in range(2):
        write_lines(tmp_path / f"x-{n}.jsonl{suffix}", json_rows(n * 100, n * 100 + 100))
    dataset = opened(f"{tmp_path}/*.jsonl{suffix}", tmp_path)
    assert dataset[:] == json_rows(0, 200)
    assert len(dataset.samples_per_shard) > 2 or suffix
    assert opened(f"{tmp_path}/*.jsonl{suffix}", tmp_path, columns=["text", "id"])[7] == {
        name: json_rows(7, 8)[0][name] for name in ("text", "id")
    }


def seek_table(frames: Sequence[bytes], sizes: Sequence[int]) -> bytes:
    """The end of a file of zstd in its seekable format: a frame that decoders pass over."""
    table = b"".join(struct.pack("<II", len(frame), size) for frame, size in zip(frames, sizes, strict=True))
    table += struct.pack("<IBI", len(frames), 0, 0x8F92EAB1)
    return struct.pack("<II", 0x184D2A5E, len(table)) + table


@pytest.mark.parametrize("name", ["x.jsonl.zst", "x.txt.zst"])
@pytest.mark.parametrize("step", [31, 700, 1 << 20])
def test_frames_of_zstd(
    tmp_path: Path, s3: S3Server, small: None, name: str, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames end anywhere, also within lines, before empty ones, and where none begins at all."""
    monkeypatch.setattr(streams, "_BEYOND", 100)
    rows: Rows = [{"text": f"é{i}" * (i % 40) + "x" * (5000 * (i == 50))} for i in range(500)]
    data = "".join(f"{json.dumps(row)}\n" + "\n" * (i % 3) for i, row in enumerate(rows)).encode()
    if "txt" in name:
        rows = [{"text": line} for line in data.decode().removesuffix("\n").split("\n")]
    parts = [data[at : at + step] for at in range(0, len(data), step)]
    frames = [zstandard.ZstdCompressor(write_checksum=True).compress(part) for part in parts]
    path = tmp_path / name
    path.write_bytes(b"".join(frames) + seek_table(frames, list(map(len, parts))))
    remote = s3.create_bucket()
    open_store(remote).put(name, str(path))
    dataset = opened(f"{remote}/*{path.suffixes[0]}.zst", tmp_path)
    assert len(dataset.samples_per_shard) == 1 if step > 1000 else len(dataset.samples_per_shard) > 5
    assert dataset[len(rows) - 1] == rows[-1]
    if step < 1000:
        assert dataset.stats()["bytes_fetched"] < path.stat().st_size / 2
    assert dataset[:] == rows
    streaming.convert(path, tmp_path / "out", workers=0)
    assert StreamingDataset(local=tmp_path / "out", batch_size=1)[:] == rows
    path.write_bytes(b"".join(frames)[:-3])
    with pytest.raises(SourceError, match=rf"{name}, after line \d+: .*ends early"):
        opened(path, tmp_path)


def test_as_datasets_writes_them(tmp_path: Path) -> None:
    rows = [{"id": i, "text": f"t{i}", "parts": [i, i]} for i in range(30)]
    datasets.Dataset.from_list(rows).to_json(tmp_path / "x.jsonl", num_proc=1)
    assert opened(tmp_path / "x.jsonl", tmp_path)[:] == rows
    (tmp_path / "y.json").write_text(json.dumps(rows, indent=1))
    assert opened(f"{tmp_path}/*.json", tmp_path)[:] == rows


def test_no_last_newline_and_empty_lines(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(b'\r\n{"a": 1}\r\n\n  \n{"a": 2.5}')
    assert opened(tmp_path / "x.jsonl", tmp_path)[:] == [{"a": 1}, {"a": 2.5}]


def test_lines_of_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n\nthree é\nfour")
    for place in (f"{tmp_path}/*.txt", tmp_path / "a.txt"):
        assert opened(place, tmp_path)[:] == [{"text": line} for line in ("one", "", "three é", "four")]


def test_a_line_that_is_none_is_named(tmp_path: Path) -> None:
    write_lines(tmp_path / "x.jsonl", json_rows(0, 20))
    with (tmp_path / "x.jsonl").open("ab") as file:
        file.write(b'{"id": 3\n')
    with pytest.raises(SourceError, match=r"x\.jsonl, line 21: not JSON"):
        opened(tmp_path / "x.jsonl", tmp_path)
    (tmp_path / "z.jsonl").write_bytes(b'{"a": ' + b"[" * 100_000 + b"\n")
    with pytest.raises(SourceError, match=r"z\.jsonl, line 1: not JSON: .*recursion"):
        opened(tmp_path / "z.jsonl", tmp_path)
    text = b'{"a": 1}\n' * 1000
    frames = [zstandard.ZstdCompressor().compress(text[:4500]), zstandard.ZstdCompressor().compress(text[4500:])]
    cut = {"gz": gzip.compress(text)[:-20], "zst": frames[0] + frames[1][:-5]}
    for suffix, data in cut.items():
        (tmp_path / f"y.jsonl.{suffix}").write_bytes(data)
        with pytest.raises(SourceError, match=rf"y\.jsonl\.{suffix}, after line \d+"):
            opened(tmp_path / f"y.jsonl.{suffix}", tmp_path)
    (tmp_path / "y.jsonl.zst").write_bytes(b"".join(frames))
    assert len(opened(tmp_path / "y.jsonl.zst", tmp_path)) == 1000


@rewrites
def test_files_whose_columns_differ(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"a": 1, "b": null}\n{"a": 2}\n')
    (tmp_path / "b.jsonl").write_text('{"a": 1.5, "b": "x"}\n')
    assert opened(f"{tmp_path}/*.jsonl", tmp_path)[:] == [
        {"a": 1, "b": None},
        {"a": 2, "b": None},
        {"a": 1.5, "b": "x"},
    ]
    (tmp_path / "c.jsonl").write_text('{"a": "text", "c": true}\n')
    with pytest.raises(
        SourceError, match=r"a\.jsonl has 'b', which c\.jsonl has not; c\.jsonl has 'c', .*schema='union'"
    ):
        opened(f"{tmp_path}/*.jsonl", tmp_path)
    assert opened(f"{tmp_path}/*.jsonl", tmp_path, schema="union")[2:] == [
        {"a": 1.5, "b": "x", "c": None},
        {"a": "text", "b": None, "c": True},
    ]
    (tmp_path / "c.jsonl").write_text('{"a": "text", "b": "y"}\n')
    with pytest.raises(SourceError, match=r"column 'a' is int in a\.jsonl, and str in c\.jsonl"):
        opened(f"{tmp_path}/*.jsonl", tmp_path)


# -- archives --------------------------------------------------------------------------------------


def peer_rows(place: Path) -> Rows:
    """What WebDataset's own reader has in archives."""
    decoder: Any = wds.autodecode.Decoder([wds.autodecode.imagehandler("pil")])  # pyright: ignore
    found: Rows = []
    for path in sorted(place.glob("*.tar")):
        with path.open("rb") as stream:
            members = wds.tariterators.tar_file_expander(iter([{"url": str(path), "stream": stream}]))  # pyright: ignore
            found += map(decoder, wds.tariterators.group_by_keys(members))  # pyright: ignore
    return found


@pytest.mark.usefixtures("small")
def test_every_member_is_that_of_its_own_reader(tmp_path: Path) -> None:
    place = pictures(tmp_path / "tars", 50)
    theirs = peer_rows(place)
    dataset = opened(f"{place}/s-{{0000..0002}}.tar", tmp_path)
    assert len(dataset.samples_per_shard) > 3
    for ours, row in zip(dataset[:], theirs, strict=True):
        assert (ours["__key__"], ours["cls"], ours["json"], ours["txt"]) == (
            row["__key__"], row["cls"], row["json"], row["txt"],
        )  # fmt: skip
        assert np.array_equal(ours["seg.npy"], row["seg.npy"])
        assert ours["seg.npy"].dtype == np.int32
        assert np.array_equal(np.asarray(ours["jpg"]), np.asarray(row["jpg"]))
    assert opened(place, tmp_path, format="webdataset", columns=["cls"])[:3] == [{"cls": i} for i in range(3)]


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_long_names_of_every_kind(tmp_path: Path, format: int) -> None:
    names = ["a/" + "n" * 90, "b/" + "é" * 40, "c/" * 60 + "m" * (20 if format == tarfile.USTAR_FORMAT else 200)]
    tar_of(tmp_path / "x.tar", [(f"{name}.{end}", name.encode()) for name in names for end in ("txt", "bin")], format)
    assert opened(tmp_path / "x.tar", tmp_path)[:] == [
        {"__key__": name, "txt": name, "bin": name.encode()} for name in names
    ]


def test_members_that_are_missing_and_archives_that_are_compressed(tmp_path: Path) -> None:
    members = [("a.txt", b"A"), ("a.cls", b"1"), ("b.txt", b"B"), ("c.txt", b""), ("c.cls", b"3"), ("README", b"-")]
    expected = [("a", "A", 1), ("b", "B", None), ("c", "", 3)]
    for name, mode in (("x.tar", "w"), ("x.tar.gz", "w:gz"), ("x.tgz", "w:gz"), ("x.tar.xz", "w:xz")):
        tar_of(tmp_path / name, members, mode=mode)
        words = rf"{name}: members that other rows have are missing in 1 of 3 rows, such as 'b', which has no 'cls'"
        with pytest.warns(UserWarning, match=words):
            found = opened(tmp_path / name, tmp_path)[:]
        assert [(row["__key__"], row["txt"], row["cls"]) for row in found] == expected


@pytest.mark.usefixtures("small")
@pytest.mark.filterwarnings("ignore:.*members that other rows have are missing")
@pytest.mark.parametrize("prefix", ["", "some.dir/"])
def test_archives_give_the_same_by_columns_and_by_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    """Columns that rows lack, texts in other encodings, members of no row, compressed or not."""
    members: list[tuple[str, bytes]] = []
    rng = random.Random(1)
    for i in range(300):
        text = rng.choice(['{"a": [1, "é"]}', "null", '"\\ud800"'])
        values = {
            "TXT": ("é" * rng.randrange(5)).encode(),
            "json": text.encode(rng.choice(["utf-8", "utf-8-sig", "utf-16"]) if not i % 5 else "utf-8"),
            "cls": b"%d" % rng.randrange(-9, 1 << 40),
            "seg.bin": rng.randbytes(rng.choice([0, 3, 3000])),
        }
        found = [column for column in values if column == "TXT" or rng.random() < 0.8]
        members += [(f"{prefix}{i:04}.{column}", values[column]) for column in found]
        members += [("README", b"-"), ("__index.json", b"no row")] if i % 50 == 0 else []
    for name, mode in (("x.tar", "w"), ("y.tar.gz", "w:gz")):
        tar_of(tmp_path / name, members, mode=mode)
    by_columns = opened(tmp_path / "x.tar", tmp_path)[:]
    assert opened(tmp_path / "y.tar.gz", tmp_path)[:] == by_columns
    monkeypatch.setattr(tars.Tars, "encoded", lambda *_: None)
    assert opened(tmp_path / "x.tar", tmp_path, local=tmp_path / "rows")[:] == by_columns
    assert [row["__key__"] for row in by_columns] == [f"{prefix}{i:04}" for i in range(300)]


def test_indexes_beside_them_are_used(tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    place = pictures(tmp_path / "tars", 60, maxcount=30)
    expected = [row["txt"] for row in peer_rows(place)]
    groups: list[dict[str, Any]] = []
    for path in sorted(place.glob("*.tar")):
        with tarfile.open(path) as archive:
            members = list(archive)
        text, places = "v1.2 30\n", list[int]()
        for i in range(0, len(members), 5):
            some = members[i : i + 5]
            words = [f"{m.name.split('.', 1)[1]} {m.offset_data} {m.size} {m.name}" for m in some]
            text += " ".join(words) + "\n"
            places.append(some[0].offset)
        end = members[-1].offset_data + -(-members[-1].size // 512) * 512
        groups.append({"path": path, "text": text, "places": np.array([*places, end], "<u8").tobytes()})
    looked: dict[str, int] = {}
    walk = tars.members

    def members_of(*arguments: Any) -> Any:
        for some in walk(*arguments):
            looked[kind] = looked.get(kind, 0) + len(some.names)
            yield some

    monkeypatch.setattr(tars, "members", members_of)
    for kind in ("none", "text", "places"):
        root = s3.create_bucket()
        for group in groups:
            open_store(root).put(group["path"].name, str(group["path"]))
            if kind == "text":
                open_store(root).put(group["path"].with_suffix(".idx").name, group["text"].encode())
            if kind == "places":
                open_store(root).put(f"{group['path'].name}.idx", group["places"])
        dataset = opened(f"{root}/*.tar", tmp_path, local=tmp_path / kind)
        seen = looked.get(kind, 0)
        assert [row["txt"] for row in dataset[:]] == expected
        assert seen == {"none": 300, "text": 0, "places": 160}[kind]
    open_store(root).put("s-0000.tar.idx", groups[0]["places"][:80])
    with pytest.raises(SourceError, match=r"s-0000\.tar\.idx is not the index of s-0000\.tar"):
        opened(f"{root}/*.tar", tmp_path, local=tmp_path / "other")


def wids_index(place: Path, name: str, entries: Sequence[tuple[str, int]], **more: Any) -> Path:
    """Write an index as WebDataset's ``widsindex`` does."""
    shards = [{"url": url, "nsamples": count} for url, count in entries]
    path = place / name
    path.write_text(json.dumps({"__kind__": "wids-shard-index-v1", "wids_version": 1, "shardlist": shards, **more}))
    return path


@pytest.mark.parametrize("name", ["index.json", "shards.json"])
def test_archives_that_an_index_of_wids_lists(tmp_path: Path, s3: S3Server, name: str) -> None:
    place = pictures(tmp_path / "tars", 25, 10)
    pictures(tmp_path / "others", 3)
    entries = [("s-0002.tar", 5), ("s-0000.tar", 10)]  # not all, in another order
    index = wids_index(place, name, entries)
    own = [f"{i:06}" for i in (*range(20, 25), *range(10))]
    assert [row["__key__"] for row in opened(index, tmp_path)[:]] == own
    assert [row["__key__"] for row in opened(index, tmp_path, format="webdataset")[:]] == own
    streaming.convert(index, tmp_path / "out", workers=0)
    assert [row["__key__"] for row in StreamingDataset(local=tmp_path / "out", batch_size=1)[:]] == own
    root = s3.create_bucket()
    store = open_store(root)
    for path in (*place.glob("*.tar"), *(tmp_path / "others").glob("*.tar")):
        store.put(f"{path.parent.name}/{path.name}", str(path))
    size = (place / "s-0002.tar").stat().st_size
    other = {"shardlist": [{"url": f"{root}/others/s-0000.tar", "nsamples": 3}]}
    named = {"source_url": "more.json"}
    store.put("lists/more.json", str(wids_index(tmp_path, "more.json", [("../tars/s-0001.tar", 10)])))
    store.put(f"lists/{name}", str(wids_index(tmp_path, name, entries, base=f"{root}/tars", datasets=[other, named])))
    keys = [row["__key__"] for row in opened(f"{root}/lists/{name}", tmp_path, local=tmp_path / "d")[:]]
    assert keys == [*own, *(f"{i:06}" for i in range(3)), *(f"{i:06}" for i in range(10, 20))]
    assert main(["index", f"{root}/lists/{name}", "--out", str(tmp_path / "found")]) == 0
    arguments: Any = {"local": tmp_path / "e"}
    wids_index(place, name, [("s-0000.tar", 11), ("s-0001.tar", 10)])
    with pytest.warns(
        UserWarning, match=r"s-0000\.tar has 10 samples, and the index that lists it says 11; 1 of 2 archives"
    ):
        opened(index, tmp_path, **arguments)
    for shards, words in (
        ([{"url": "s-0002.tar", "filesize": size - 1}], rf"s-0002\.tar has {size:,} bytes, and the index .* says"),
        ([{"url": "s-0002.tar"}, {"url": "s-0002.tar"}], r"lists .*s-0002\.tar twice"),
        ([{"url": "s-0002.tar"}, {"url": f"{root}/tars/s-0001.tar"}], "not below one directory of one store"),
        ([{"url": "pipe:cat s-0002.tar"}], "is a command, and none is run"),
        ([{"nsamples": 3}], "an entry without a url"),
        ([], "lists no archives"),
    ):
        wids_index(place, name, [], shardlist=shards)
        with pytest.raises((ConfigError, SourceError), match=words):
            opened(index, tmp_path, **arguments)
    wids_index(place, name, entries, wids_version=2)
    with pytest.raises(SourceError, match="has wids_version 2; only 1 can be read"):
        opened(index, tmp_path, **arguments)


@rewrites
def test_what_is_wrong_with_an_archive_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    tar_of(path, [("a.txt", b"1"), ("a.txt", b"2")])
    with pytest.raises(SourceError, match=r"x\.tar, a\.txt: 'a' has two members 'txt'"):
        opened(path, tmp_path)
    tar_of(path, [("a.txt", b"1"), ("b.txt", b"1"), ("a.cls", b"2")])
    with pytest.raises(SourceError, match=r"x\.tar: the members of 'a' lie apart: txt here, cls there"):
        opened(path, tmp_path)
    tar_of(path, [("a.txt", b"1"), ("b.bin", bytes(5000))])
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(SourceError, match=r"x\.tar .*after a\.txt: b\.bin is cut off"):
        opened(path, tmp_path)
    path.write_bytes(b"no archive at all, but bytes of text" * 50)
    with pytest.raises(SourceError, match=r"x\.tar cannot be read as a tar"):
        opened(path, tmp_path)
    values = {"cls": [b"two", b"1" * 30], "json": [b"{", b"[" * 100_000], "npy": [b"", b"PK"], "txt": [b"\xff"]}
    for column, wrong in ((column, wrong) for column, several in values.items() for wrong in several):
        tar_of(path, [(f"a.{column}", wrong)])
        with pytest.raises(SourceError, match=rf"x\.tar.* column '{column}'"):
            opened(path, tmp_path)[:]


@pytest.mark.parametrize("kind", ["tars", "parquet", "folder"])
def test_an_image_that_cannot_be_decoded_is_named_by_its_file(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "lake"
    place.mkdir()
    good = io.BytesIO()
    Image.new("RGB", (4, 4)).save(good, "png")
    images = [good.getvalue() if i != 7 else good.getvalue()[:40] for i in range(10)]
    remote, more, where = str(place), {"format": "folder"}, rf"{place}/7\.png, column 'image'"
    if kind == "tars":
        for number in range(2):
            members = [(f"{i:04}.png", images[i]) for i in range(5 * number, 5 * number + 5)]
            tar_of(place / f"{number}.tar", members)
        remote, more, where = f"{place}/*.tar", {}, rf"{place}/1\.tar, row 2 \('0007'\), column 'png'"
    elif kind == "parquet":
        table = pa.table({"n": range(10), "image": [{"bytes": data, "path": None} for data in images]})
        features = json.dumps({"info": {"features": {"n": {"_type": "Value"}, "image": {"_type": "Image"}}}})
        pq.write_table(table.replace_schema_metadata({"huggingface": features}), place / "0.parquet", row_group_size=3)
        remote, more, where = f"{place}/*.parquet", {}, rf"{place}/0\.parquet, row 7, column 'image'"
    else:
        for i, data in enumerate(images):
            (place / f"{i}.png").write_bytes(data)
    dataset = opened(remote, tmp_path, **more)
    assert len(dataset[:7]) == 7
    with pytest.raises(ShardFormatError, match=rf"^{where}: \w*Error"):
        dataset[7]


@rewrites
@pytest.mark.parametrize("name", ["x.tar", "x.tar.gz"])
def test_archives_of_which_other_readers_leave_some_out(tmp_path: Path, name: str) -> None:
    """Links, files with holes, archives behind archives, and a compressed one that is damaged behind its last member."""
    path, mode = tmp_path / name, "w:gz" if name.endswith("gz") else "w"
    for kind in (tarfile.LNKTYPE, tarfile.SYMTYPE):
        with tarfile.open(path, mode) as archive:  # pyright: ignore
            link = tarfile.TarInfo("b.txt")
            link.type, link.linkname = kind, "a.txt"
            archive.addfile(link)
        with pytest.raises(SourceError, match=r"b\.txt is a link to a\.txt, .*--hard-dereference"):
            opened(path, tmp_path)
    with tarfile.open(path, mode, format=tarfile.PAX_FORMAT, pax_headers={}) as archive:  # pyright: ignore
        holes = tarfile.TarInfo("a.bin")
        holes.pax_headers = {"GNU.sparse.major": "1"}
        archive.addfile(holes)
    with pytest.raises(SourceError, match="a sparse file, which is not supported"):
        opened(path, tmp_path)
    tar_of(path, [("a.TXT", b"1")], mode=mode)
    assert opened(path, tmp_path)[:] == [{"__key__": "a", "txt": "1"}]  # as WebDataset calls it
    whole = path.read_bytes()
    path.write_bytes(whole + whole)
    with pytest.raises(SourceError, match="something follows its end.*tar --concatenate"):
        opened(path, tmp_path)
    if mode == "w":
        path.write_bytes(whole[:1024])
        with pytest.warns(UserWarning, match=r"x\.tar has no mark at its end: it may be cut off"):
            assert len(opened(path, tmp_path)) == 1
        path.write_bytes(gzip.compress(whole))
        with pytest.raises(SourceError, match=r"have its name end in \.tar\.gz"):
            opened(path, tmp_path)
    else:
        for broken in (whole[:-9], whole[:-6] + b"xxxxxx"):
            path.write_bytes(broken)
            with pytest.raises(SourceError, match=r"x\.tar\.gz cannot be read as a tar, after a\.TXT"):
                opened(path, tmp_path)


@rewrites
def test_an_archive_that_changes_in_mid_run_is_not_served(tmp_path: Path) -> None:
    place = pictures(tmp_path / "tars", 40)
    dataset = opened(f"{place}/*.tar", tmp_path, download_retry=0)
    shutil.copy(place / "s-0000.tar", place / "s-0001.tar")
    with pytest.raises(ShardUnavailableError, match=r"s-0001\.tar"):
        dataset[39]
    assert [row["__key__"] for row in opened(f"{place}/*.tar", tmp_path)[:]] == [f"{i:06}" for i in range(20)] * 2


# -- any world, any store --------------------------------------------------------------------------


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("kind", ["tar", "jsonl"])
def test_the_same_batches_in_any_world_and_resumed(s3: S3Server, tmp_path: Path, kind: str) -> None:
    root = s3.create_bucket()
    place = pictures(tmp_path / "files", 60)
    for n in range(3):
        write_lines(
            place / f"s-{n}.jsonl",
            [{"cls": row["id"] % 10, "txt": f"é{row['id']}"} for row in json_rows(n * 20, n * 20 + 20)],
        )
    for path in place.iterdir():
        open_store(root).put(path.name, str(path))
    arguments: Any = {
        "remote": f"{root}/*.{kind}",
        "columns": ["txt", "cls"],
        "shuffle": True,
        "num_canonical_nodes": 1,
    }

    def batches(size: int, workers: int, state: Any = None) -> list[list[str]]:
        found: list[list[str]] = []
        for rank in range(size):
            more: Any = {"data_parallel_rank": rank, "data_parallel_size": size, "local": tmp_path / f"c{workers}"}
            dataset = StreamingDataset(**arguments, **more, batch_size=12 // size)
            loader = StreamingDataLoader(dataset, batch_size=12 // size, num_workers=workers)
            if state is not None:
                loader.load_state_dict(state)
            for step, batch in enumerate(loader):
                found += [[]] * (step + 1 - len(found))
                found[step] = sorted(found[step] + batch["txt"])
        return found

    alone = batches(1, 0)
    assert sorted(text for batch in alone for text in batch) == sorted(f"é{i}" for i in range(60))
    for size, workers in ((1, 2), (2, 0), (2, 1), (3, 0), (4, 0), (6, 0), (12, 0)):
        assert batches(size, workers) == alone
    dataset = StreamingDataset(**arguments, local=tmp_path / "c0", batch_size=12)
    loader = StreamingDataLoader(dataset, batch_size=12)
    steps = iter(loader)
    seen = [sorted(next(steps)["txt"]) for _ in range(2)]
    assert seen + batches(2, 0, loader.state_dict()) == alone


@pytest.mark.usefixtures("small")
def test_evicted_and_made_again_and_mixed(tmp_path: Path, make_dataset: Callable[..., str]) -> None:
    place = pictures(tmp_path / "files", 80, bin=lambda i: bytes(20_000))
    dataset = opened(f"{place}/*.tar", tmp_path, cache_limit="300kb", shuffle=True)
    for _ in range(2):
        assert sorted(row["txt"] for row in dataset) == sorted(f"é{i}" for i in range(80))
    assert dataset.stats()["evictions"] > 0
    tars = Stream(remote=f"{place}/*.tar", local=tmp_path / "t", columns=["txt"], proportion=2)
    shards = Stream(remote=make_dataset(60), local=tmp_path / "m", proportion=1)
    mixed = list(StreamingDataset(streams=[tars, shards], epoch_size=90, batch_size=3, shuffle=True))
    assert sum("txt" in row for row in mixed) == 60


def test_a_format_nobody_knows(tmp_path: Path) -> None:
    write_lines(tmp_path / "x.dat", json_rows(0, 5))
    assert opened(tmp_path / "x.dat", tmp_path, format="jsonl")[:] == json_rows(0, 5)
    with pytest.raises(ConfigError, match="Unknown source format 'tars'"):
        opened(tmp_path / "x.dat", tmp_path, format="tars")


# -- separated values, arrays, folders ---------------------------------------------------------------


@pytest.mark.usefixtures("small")
def test_separated_values_as_arrow_reads_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "_PIECE_BYTES", 600)
    monkeypatch.setattr("streaming.inplace.cutting.SHARD_BYTES", 3000)
    rows: Rows = [
        {
            "id": i,
            "text": f'a "b", {i}\né\r\n' * (i % 3),
            "ratio": i / 3,
            "maybe": None if i % 5 == 0 else i,
            "code": f"{i}x" if i == 199 else f"{i}",
        }
        for i in range(200)
    ]
    table = pa.Table.from_pylist(rows)
    csv.write_csv(table, tmp_path / "a.csv")
    with gzip.open(tmp_path / "b.csv.gz", "wb") as file:
        csv.write_csv(table, file)
    with (tmp_path / "c.tsv").open("w", newline="") as out:
        writer = stdlib_csv.writer(out, delimiter="\t")
        writer.writerows([list(rows[0]), *([row[name] for name in row] for row in rows)])
    for name in ("a.csv", "b.csv.gz", "c.tsv"):
        dataset = opened(tmp_path / name, tmp_path)
        assert dataset[:] == rows, name
        assert len(dataset.samples_per_shard) > 1 or name == "b.csv.gz"
    (tmp_path / "d.csv").write_text("id,text,ratio,maybe,code\n1,a,2,3,4\n1,a,2,3\n")
    with pytest.raises(SourceError, match=r"d\.csv, row 1: 4 values for the 5 columns"):
        opened(tmp_path / "d.csv", tmp_path)
    (tmp_path / "d.csv").write_text("id,text,ratio,maybe,code\n1,a,2,,4\n")
    with pytest.raises(SourceError, match=r"column 'code' is str in a\.csv, and int in d\.csv"):
        opened(f"{tmp_path}/*.csv", tmp_path)
    assert opened(f"{tmp_path}/*.csv", tmp_path, schema="union")[-1] == {
        "id": 1, "text": "a", "ratio": 2.0, "maybe": None, "code": "4",
    }  # fmt: skip


@rewrites
def test_numbers_of_many_digits_keep_them_all(tmp_path: Path) -> None:
    """Arrow's own reader makes floats of what 64 bits do not hold."""
    whole, huge = ["1234567890123456789", "-9223372036854775808"], ["12345678901234567890123", "1"]
    round_ = ["100000000000000000000", "1.5"]
    lines = ["whole,huge,mixed,round", *map(",".join, zip(whole, huge, [whole[0], "1.5"], round_, strict=True))]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    assert opened(tmp_path / "a.csv", tmp_path)[:] == [
        {"whole": int(whole[i]), "huge": huge[i], "mixed": [whole[0], "1.5"][i], "round": float(round_[i])}
        for i in range(2)
    ]
    (tmp_path / "a.csv").write_text("a\n1.5\nnan\nNA\n")  # what is no number is not missing
    streaming.convert(tmp_path / "a.csv", tmp_path / "nan", workers=0, progress_bar=False)
    for found in (opened(tmp_path / "a.csv", tmp_path)[:], streaming.LocalDataset(tmp_path / "nan")[:]):
        assert [None if row["a"] is None else str(row["a"]) for row in found] == ["1.5", "nan", None]
    (tmp_path / "a.csv").write_text("place,ratio,plain\n01234,00.5,0\n90210,1.5,-0.5\n")  # codes, whose zeros count
    expected = [{"place": "01234", "ratio": "00.5", "plain": 0.0}, {"place": "90210", "ratio": "1.5", "plain": -0.5}]
    assert opened(tmp_path / "a.csv", tmp_path)[:] == expected
    streaming.convert(tmp_path / "a.csv", tmp_path / "out", workers=0, progress_bar=False)
    assert streaming.LocalDataset(tmp_path / "out")[:] == expected
    lines = [{"a": (1 << 53) + 1}, {"a": 1.5}]
    write_lines(tmp_path / "a.jsonl", lines)
    assert opened(tmp_path / "a.jsonl", tmp_path)[:] == lines
    (tmp_path / "a.csv").write_text("a,a\n1,2\n")
    with pytest.raises(SourceError, match=r"a\.csv has two columns 'a'"):
        opened(tmp_path / "a.csv", tmp_path)


def test_arrays_of_numpy(tmp_path: Path) -> None:
    every = np.arange(60 * 6, dtype=np.float32).reshape(60, 2, 3)
    np.save(tmp_path / "a.npy", every[:40])
    np.save(tmp_path / "b.npy", every[40:])
    found = [row["x"] for row in opened(f"{tmp_path}/*.npy", tmp_path)[:]]
    assert np.array_equal(found, every)
    np.save(tmp_path / "c.npy", np.arange(5))
    with pytest.raises(SourceError, match=r"c\.npy has int64 of the shape \(5,\)"):
        opened(tmp_path / "c.npy", tmp_path)
    (tmp_path / "c.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-1])
    with pytest.raises(SourceError, match=r"c\.npy is cut off"):
        opened(tmp_path / "c.npy", tmp_path)


def test_headers_of_numpy_that_python_fails_to_parse() -> None:
    """As it does by itself, where several threads parse: too seldom to be waited for here."""
    failures = [SystemError("AST constructor recursion depth mismatch (before=51, after=48)")] * 3

    def read() -> int:
        if failures:
            raise failures.pop()
        return 7

    assert arrays.steadily(read) == 7


@rewrites
def test_an_archive_of_numpy_that_is_cut_off(tmp_path: Path) -> None:
    (tmp_path / "short.npz").write_bytes(b"PK")
    with pytest.raises(SourceError, match=r"short\.npz cannot be read as NumPy's: its 2 bytes "):
        opened(tmp_path / "short.npz", tmp_path)
    for odd in (
        np.array(["2026-01-01"], "M8[ns]"),
        np.ones(2, complex),
        np.zeros(2, "i4,f8"),
        np.ones(2, np.longdouble),
    ):
        np.savez(tmp_path / "odd.npz", a=odd)
        with pytest.raises(SourceError, match=r"odd\.npz: a is of .* save it as one of these"):
            opened(tmp_path / "odd.npz", tmp_path)
    with zipfile.ZipFile(tmp_path / "odd.npz", "w") as archive:
        archive.writestr("README", b"-")
    with pytest.raises(SourceError, match=r"odd\.npz: README is no array"):
        opened(tmp_path / "odd.npz", tmp_path)
    np.savez(tmp_path / "x.npz", a=[b"ab", b"c"])
    assert [row["a"] for row in opened(tmp_path / "x.npz", tmp_path)[:]] == [b"ab", b"c"]
    np.savez(tmp_path / "x.npz", a=np.arange(9))
    (tmp_path / "x.npz").write_bytes((tmp_path / "x.npz").read_bytes()[:100])
    with pytest.raises(SourceError, match=r"x\.npz cannot be read as NumPy's"):
        opened(tmp_path / "x.npz", tmp_path)


@rewrites
@pytest.mark.parametrize("empty", [False, True])
def test_tokens_of_megatron(tmp_path: Path, empty: bool) -> None:
    """Laid out as Megatron-LM's indexed dataset has it; some documents are of several sequences."""
    rng = np.random.default_rng(0)
    sequences = [rng.integers(0, 60000, int(n), np.uint16) for n in rng.integers(1, 50, 90)]
    bounds = np.array([0, 1, 3, *range(4, 91)] + [90] * empty, "<i8")
    lengths = np.array([len(tokens) for tokens in sequences], "<i4")
    places = np.cumsum([0, *lengths[:-1] * 2]).astype("<i8")
    header = b"MMIDIDX\0\0" + struct.pack("<QBQQ", 1, 8, len(sequences), len(bounds))
    (tmp_path / "c_text_document.idx").write_bytes(header + lengths.tobytes() + places.tobytes() + bounds.tobytes())
    (tmp_path / "c_text_document.bin").write_bytes(b"".join(tokens.tobytes() for tokens in sequences))
    expected = [np.concatenate([np.empty(0, np.uint16), *sequences[a:b]]) for a, b in pairwise(bounds.tolist())]
    for place in (tmp_path / "c_text_document", tmp_path, tmp_path / "*.bin"):
        found = opened(place, tmp_path / "caches", format="megatron")[:]
        assert all(np.array_equal(row["tokens"], tokens) for row, tokens in zip(found, expected, strict=True))
    data, index = ((tmp_path / f"c_text_document.{end}").read_bytes() for end in ("bin", "idx"))
    (tmp_path / "c_text_document.bin").write_bytes(data + b"xx")
    with pytest.warns(UserWarning, match=rf"has {len(data) + 2:,} bytes, and .* take {len(data):,} of them"):
        assert len(opened(tmp_path, tmp_path / "caches", format="megatron")) == len(expected)
    for begin, words in ((34, "is damaged"), (len(index) - 8, "is damaged"), (len(index), "documents with images")):
        odd = index[:begin] + (b"\xff" * 4 + index[begin + 4 :] if begin < len(index) else bytes(len(sequences)))
        (tmp_path / "c_text_document.idx").write_bytes(odd)
        with pytest.raises(SourceError, match=rf"c_text_document\.idx .*{words}"):
            opened(tmp_path, tmp_path / f"odd{begin}", format="megatron")
    (tmp_path / "c_text_document.idx").write_bytes(index)
    (tmp_path / "c_text_document.bin").write_bytes(b"x")
    with pytest.raises(SourceError, match=r"c_text_document\.bin is cut off"):
        opened(tmp_path, tmp_path / "caches", format="megatron")


def test_folders_of_images(tmp_path: Path, s3: S3Server) -> None:
    place = tmp_path / "images"
    root = s3.create_bucket()
    for i in range(30):
        path = place / ("cat", "dog")[i % 2] / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (3, 3), i).save(path)
        open_store(root).put(f"images/{path.parent.name}/{path.name}", str(path))
    for remote in (str(place), f"{root}/images", f"{root}/images/*/*.png"):
        dataset = opened(remote, tmp_path, format="folder", local=tmp_path / remote[-3:])
        found = sorted(
            (row["path"].rpartition("/")[2], row["label"], row["image"].getpixel((0, 0))) for row in dataset[:]
        )
        assert found == [(f"{i:02}.png", i % 2, i) for i in range(30)]
        assert list(dataset.samples_per_shard) == [30]
    (place / "metadata.csv").write_text(
        "".join(f"cat/{i:02}.png,{i}\n" for i in range(-2, 30, 2)).replace("cat/-2", "file_name")
    )
    with pytest.raises(SourceError, match=r"dog/01\.png: the table of labels has no row for it"):
        opened(place, tmp_path, format="folder")[:]
    shutil.rmtree(place / "dog")
    assert [row["-2"] for row in opened(place, tmp_path, format="folder")[:]] == list(range(0, 30, 2))


def test_tokens_of_litdata(tmp_path: Path) -> None:
    """Written by litdata for its ``TokensLoader``: a row is a document."""
    place = Path(__file__).parents[1] / "goldens" / "sources" / "litdata-tokens"
    documents = [list(range(i * 10, i * 11 + 5)) for i in range(6)]
    found = opened(place, tmp_path, format="litdata")[:]
    assert [row["tokens"].tolist() for row in found] == documents
    assert found[0]["tokens"].dtype == np.int32
    pack = streaming.Pack(tokens="tokens", to=3, method="concat")
    blocks = [row["tokens"].tolist() for row in opened(place, tmp_path, format="litdata", pack=pack)]
    assert sorted(chain(*blocks)) == sorted(chain(*documents))


@pytest.mark.parametrize("name", ["litdata-plain", "litdata-framed"])
def test_chunks_of_litdata(tmp_path: Path, name: str) -> None:
    """Written by litdata; its index lies among the chunks, and is no file of rows."""
    place = Path(__file__).parents[1] / "goldens" / "sources" / name
    found = opened(place, tmp_path, format="litdata")[:]
    assert [(row["i"], float(row["f"]), row["text"], row["raw"]) for row in found] == [
        (i, i / 2, f"text {i} é", bytes([i]) * 3) for i in range(10)
    ]
    assert all(
        row["grid"].shape == (2, i + 1) and row["vector"].tolist() == [*range(i + 1)] for i, row in enumerate(found)
    )
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "chunk-0-0.bin").write_bytes(b"x")
    with pytest.raises(SourceError, match=r"no index\.json of litdata"):
        opened(tmp_path / "none", tmp_path, format="litdata")
    with pytest.raises(IndexFormatError, match=r"chunks of litdata's: to train from them, give format='litdata'\."):
        opened(place, tmp_path)
    for index in ('{"chunks": [{}], "config": {"data_format": ["str"]}}', '{"chunks": [], "config": 3}', "[{", "[]"):
        (tmp_path / "none" / "index.json").write_text(index)
        with pytest.raises(SourceError, match=r"index\.json of .* is no index that litdata has written"):
            opened(tmp_path / "none", tmp_path, format="litdata")


def test_conditions_keys_and_parts_of_rows(tmp_path: Path) -> None:
    lines = [{"id": i, "lang": ("de", "en")[i % 2], "tags": ["a"] * (i % 3)} for i in range(40)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    stream = Stream(remote=tmp_path / "*.jsonl", local=tmp_path / "c", where="lang = 'de'")
    dataset = StreamingDataset(streams=[stream], batch_size=1)
    assert [row["id"] for row in dataset[:]] == list(range(0, 40, 2))
    assert [row["id"] for row in dataset.filter("json_array_length(tags) = 2 and id > 9")[:]] == [14, 20, 26, 32, 38]
    one, other = dataset.split([0.5, 0.5], by="id")
    assert len(one) + len(other) == 20
