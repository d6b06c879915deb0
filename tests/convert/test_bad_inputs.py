"""What users bring that is damaged, contradicts itself or is odd: named by file, row and column, left out, or right."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from PIL import Image

import streaming
from streaming import LocalDataset, StreamingDataset
from streaming.core.errors import (
    ConfigError,
    EmptyDatasetError,
    InputError,
    SourceError,
    StorageError,
    StreamingError,
    UploadError,
)


def convert(source: Any, out: Any, **options: Any) -> Any:
    arguments: Any = {"workers": 0, "progress_bar": False, **options}
    return streaming.convert(source, out, **arguments)


def rows(source: Any, out: Path, **options: Any) -> list[Any]:
    convert(source, out, **options)
    return list(LocalDataset(str(out))[:])


@pytest.fixture
def at(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    """Makes a file."""

    def make(name: str, data: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    return make


LINES = b"".join(b'{"n": %d}\n' % i for i in range(3000))


@pytest.mark.parametrize(
    ("suffix", "compress"),
    [
        ("gz", gzip.compress),
        ("zst", zstandard.ZstdCompressor().compress),
        ("bz2", bz2.compress),
        ("xz", lzma.compress),
    ],
)
def test_compressed_files_that_are_cut_off(
    at: Callable[..., Path], tmp_path: Path, suffix: str, compress: Callable[[bytes], bytes]
) -> None:
    whole = compress(LINES)
    assert len(rows(at(f"w.jsonl.{suffix}", whole + whole), tmp_path / "w")) == 6000  # of two members
    for cut in (1, len(whole) // 2):
        path = at(f"x{cut}.jsonl.{suffix}", whole[:-cut])
        with pytest.raises(SourceError, match=rf"x{cut}\.jsonl\.{suffix}, after line \d+: .* cut off or damaged"):
            convert(path, tmp_path / "out")
    table = at(f"y.csv.{suffix}", compress(b"a,b\n" + b"1,2\n" * 3000)[:-1])
    with pytest.raises(SourceError, match=rf"y\.csv\.{suffix}.*cut off or damaged"):
        convert(table, tmp_path / "out")
    array = at(f"z.json.{suffix}", compress(b'[{"a": 1}]')[:-1])
    with pytest.raises((SourceError, EmptyDatasetError), match=rf"z\.json\.{suffix}"):
        convert(array, tmp_path / "out")


def test_lines_before_the_damage_are_kept(at: Callable[..., Path], tmp_path: Path) -> None:
    frames = zstandard.ZstdCompressor().compress(LINES), zstandard.ZstdCompressor().compress(LINES)[:-1]
    report = convert(at("x.jsonl.zst", b"".join(frames)), tmp_path / "out", on_error="skip")
    assert report.samples >= 3000
    assert f"after line {report.samples}" in report.skipped[0].reason


def test_csv_rows_that_are_odd(at: Callable[..., Path], tmp_path: Path) -> None:
    path = at("x.csv", 'a,b\n1,x\n2\n3,y,z\n4,"w,w"\n')
    with pytest.raises(SourceError, match=r"x\.csv, row 1: 1 values for 2 columns: '2'"):
        convert(path, tmp_path / "out")
    report = convert(path, tmp_path / "o1", on_error="skip")
    assert [skipped.reason.partition(":")[0] for skipped in report.skipped] == ["x.csv, row 1", "x.csv, row 2"]
    assert list(LocalDataset(str(tmp_path / "o1"))[:]) == [{"a": 1, "b": "x"}, {"a": 4, "b": "w,w"}]
    path = at("twice.csv", "a,b\n1,x\na,b\n2,y\n")
    with pytest.raises(SourceError, match=r"twice\.csv, row 1: the names of the columns again"):
        convert(path, tmp_path / "out")
    assert [row["b"] for row in rows(path, tmp_path / "o2", on_error="skip")] == ["x", "y"]
    with pytest.raises(SourceError, match=r"same\.csv has two columns 'a'"):
        convert(at("same.csv", "a,a\n1,2\n"), tmp_path / "out")
    path = at("latin.csv", b"a,b\n1,\xe9\n")
    with pytest.raises(SourceError, match=r"latin\.csv, column 'b': not UTF-8.*iconv"):
        convert(path, tmp_path / "out")
    assert rows(path, tmp_path / "o3", columns={"a": "int", "b": "bytes"}) == [{"a": 1, "b": b"\xe9"}]


def test_csv_is_read_as_it_was_written(
    at: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = [{"a": 1, "b": "x y"}]
    for name, data in {
        "semicolon.csv": "a;b\n1;x y\n",
        "tabs.csv": "a\tb\n1\tx y\n",
        "bom.csv": "\ufeffa,b\r\n1,x y\r\n",
        "commas.tsv": "a,b\n1,x y\n",
    }.items():
        assert rows(at(name, data), tmp_path / f"o-{name}") == wanted
    # Types come from the first lines: what is chosen by `columns` goes before.
    monkeypatch.setattr("streaming.sources.kinds.separated._BLOCK_BYTES", 1 << 10)
    path = at("late.csv", "zip,n\n" + "10501,1\n" * 500 + "A-1,2\n")
    with pytest.raises(SourceError, match=r"late\.csv, after row \d+:.*columns="):
        convert(path, tmp_path / "out", columns=["zip"])
    found = convert(path, tmp_path / "late", columns={"zip": "str", "n": "int"})
    assert found.samples == 501
    assert LocalDataset(str(tmp_path / "late"))[0] == {"zip": "10501", "n": 1}


def test_csv_of_which_nothing_is_lost(at: Callable[..., Path], tmp_path: Path) -> None:
    open_quote = at("open.csv", 'a,b\n0,z\n1,"x\n2,y\n')
    with pytest.raises(SourceError, match=r"open\.csv, row 1: a quote is not closed"):
        convert(open_quote, tmp_path / "out")
    report = convert(open_quote, tmp_path / "o1", on_error="skip")
    assert report.samples == 1
    assert "row 1: a quote is not closed" in report.skipped[0].reason
    closed = ['1,"x"', '1,""""', '1,"x"""\n', '1,""', '1,5"x', '1,5"', "1,x"]
    for number, line in enumerate(closed):
        values = rows(at(f"closed{number}.csv", f"a,b\n{line}"), tmp_path / f"closed{number}")
        assert [row["b"] for row in values] == [["x", '"', 'x"', "", '5"x', '5"', "x"][number]]
    numbers = at("numbers.csv", "a,b,c\n99999999999999999999,0x10,1e3\n1,2,0.1234567890123456789\n")
    assert rows(numbers, tmp_path / "o2")[0] == {"a": "99999999999999999999", "b": "0x10", "c": 1000.0}
    with pytest.warns(UserWarning, match=r"first line is taken for the names .* \(1, 2\)"):
        convert(at("nameless.csv", "1,2\n3,4\n"), tmp_path / "o3")
    for name, data, said in (
        ("wide", "a,b\n1,2\n".encode("utf-16"), "is UTF-16.*iconv"),
        ("excel", b"\xef\xbb\xbfsep=;\na;b\n1;2\n", "begins with 'sep=;'"),
    ):
        path = at(f"{name}.csv", data)
        with pytest.raises(SourceError, match=rf"^{name}\.csv {said}"):
            convert(path, tmp_path / "out")
        with pytest.raises(SourceError, match=rf"^{path} {said}"):
            StreamingDataset(remote=str(path), local=str(tmp_path / f"local-{name}"), batch_size=1)


def test_json_that_is_odd(at: Callable[..., Path], tmp_path: Path) -> None:
    at("d/a.jsonl", '{"x": 1}\n{"x": 2}\n')
    at("d/b.jsonl", '{"x": 3}\n{"x": "a"}\n')
    with pytest.raises(ConfigError, match=r"'x' .*int, str \(1, 'a'\).* differs: b\.jsonl, row 1\."):
        convert(tmp_path / "d", tmp_path / "out")
    with pytest.raises(SourceError, match=r"p\.json, line 1: not JSON.*an object a line, or is one array"):
        convert(at("p.json", '{\n "x": 1\n}\n'), tmp_path / "out")
    with pytest.raises(ConfigError, match=r"rows of .*empty\.jsonl have no columns"):
        convert(at("empty.jsonl", "{}\n{}\n"), tmp_path / "out")
    assert rows(at("bom.json", '\ufeff[{"x": 1}]'), tmp_path / "bom") == [{"x": 1}]
    assert rows(at("bom.txt", "\ufeffa\n\ufeffb\n"), tmp_path / "text") == [{"text": "a"}, {"text": "\ufeffb"}]
    at("both/a.jsonl", '{"x": 1}\n')
    at("both/b.json", '[{"x": 2}]')
    with pytest.warns(UserWarning, match=r"b\.json is not read.*\*\*/\*\.json\*"):
        assert len(rows(tmp_path / "both", tmp_path / "one")) == 1
    assert rows(f"{tmp_path}/both/**/*.json*", tmp_path / "two") == [{"x": 1}, {"x": 2}]
    for name in ("[br].jsonl", "{a,b}.jsonl", "st*r?.jsonl", "new\nline.jsonl", "100% #1.jsonl"):
        assert rows(at(f"odd/{name}", '{"x": 1}\n'), tmp_path / f"o-{name}") == [{"x": 1}]


def test_keys_that_are_there_twice(at: Callable[..., Path], tmp_path: Path) -> None:
    said = "the key 'x' is there twice"
    path = at("a.jsonl", '{"x": 1}\n{"y": {"x": 2, "x": 3}}\n')
    with pytest.raises(SourceError, match=rf"a\.jsonl, line 2: {said}"):
        convert(path, tmp_path / "out")
    assert "line 2" in convert(path, tmp_path / "o1", on_error="skip").skipped[0].reason
    with pytest.raises(SourceError, match=said):
        StreamingDataset(remote=str(path), local=str(tmp_path / "local"), batch_size=1)
    with pytest.raises((SourceError, EmptyDatasetError), match=rf"b\.json: {said}"):
        convert(at("b.json", '[{"x": 1, "x": 1}]'), tmp_path / "out")


def test_files_that_cannot_be_read(at: Callable[..., Path], tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for i in range(3):
        at(f"photos/cat/{i}.png", b"")
        Image.new("RGB", (2, 2)).save(photos / "cat" / f"{i}.png")
    at("photos/cat/empty.png", b"")
    os.symlink(tmp_path / "gone", photos / "cat" / "link.png")
    with pytest.raises(SourceError, match=r"cat/empty\.png, column 'image': it is empty"):
        convert(photos, tmp_path / "out")
    report = convert(photos, tmp_path / "o1", on_error="skip")
    assert report.samples == 3
    assert [skipped.reason.partition(".png")[0] for skipped in report.skipped] == ["cat/empty", "cat/link"]
    at("lines/a.jsonl", '{"x": 1}\n')
    os.symlink(tmp_path / "gone", tmp_path / "lines" / "b.jsonl")
    with pytest.raises(StorageError, match=r"b\.jsonl"):
        convert(tmp_path / "lines", tmp_path / "out")
    report = convert(tmp_path / "lines", tmp_path / "o2", on_error="skip")
    assert report.samples == 1
    assert "b.jsonl" in report.skipped[0].reason
    with pytest.raises(SourceError, match=r"e\.parquet .*cut off: its 0 bytes"):
        convert(at("e.parquet", b""), tmp_path / "out")
    for name in ("e.txt", "e.jsonl", "e.csv", "e.json"):
        with pytest.raises(EmptyDatasetError, match="no rows"):
            convert(at(name, b""), tmp_path / "out")


def test_a_table_of_labels_that_does_not_fit(at: Callable[..., Path], tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (2, 2)).save(photos / f"{name}.png")
    at("photos/metadata.csv", "file_name,x\na.png,1\na.png,2\nb.png,3\n")
    with pytest.raises(SourceError, match=r"metadata\.csv, row 1: 'a\.png' is there twice"):
        convert(photos, tmp_path / "out")
    at("photos/metadata.csv", "file_name,x\na.png,1\nb.png\n")
    with pytest.raises(SourceError, match=r"metadata\.csv, row 1: 1 values for the 2 columns"):
        convert(photos, tmp_path / "out")
    at("photos/metadata.csv", "file_name,x\na.png,1\n")
    with pytest.raises(SourceError, match=r"b\.png: the table of labels has no row"):
        convert(photos, tmp_path / "out")
    at("photos/metadata.csv", "file_name,x\na.png,1\nb.png,2\nc.png,3\n")
    with pytest.warns(UserWarning, match=r"metadata\.csv names 1 files .*'c\.png'"):
        assert [row["x"] for row in rows(photos, tmp_path / "o1")] == [1, 2]


def test_tables_of_labels_of_which_nothing_is_lost(at: Callable[..., Path], tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.new("RGB", (2, 2)).save(photos / "a.png")
    table = at("photos/metadata.csv", "")
    for data, said in {
        "": "has no rows",
        "file_name,x\n": "has no rows",
        "file_name,x,x\na.png,1,2\n": "two columns 'x'",
        "file_name,path\na.png,1\n": "rename the column 'path'",
        'file_name,x\na.png,"1\n': r"metadata\.csv, after byte",
    }.items():
        table.write_text(data)
        with pytest.raises((SourceError, ConfigError), match=said):
            convert(photos, tmp_path / "out")
    table.write_text("file_name;x;zip\n./a.png;1_0;007\n")
    assert rows(photos, tmp_path / "o1", columns={"x": "str", "zip": "str"}) == [{"x": "1_0", "zip": "007"}]
    at("photos/metadata.jsonl", '{"file_name": "a.png", "is": true}\n')
    with pytest.raises(ConfigError, match=r"both metadata\.csv and metadata\.jsonl.*`labels`"):
        convert(photos, tmp_path / "out")
    assert rows(photos, tmp_path / "o2", labels="metadata.jsonl")[0]["is"] is True
    table.unlink()
    at("photos/metadata.jsonl", '{"file_name": "a.png"\n')
    with pytest.raises(SourceError, match=r"metadata\.jsonl, line 1: not JSON"):
        convert(photos, tmp_path / "out")
    at("photos/metadata.jsonl", "").unlink()
    (photos / "below").mkdir()
    at("photos/below/metadata.csv", "file_name,x\nb.png,1\n")
    with pytest.warns(UserWarning, match=r"below/metadata\.csv in .* is not read"):
        convert(photos, tmp_path / "o3")


def test_sounds_and_videos_that_are_cut_off(at: Callable[..., Path], tmp_path: Path) -> None:
    def vint(size: int) -> bytes:
        return (size | 1 << 28).to_bytes(4, "big")

    frame = b"\xff\xfb\x90\x44" + bytes(413)  # of MP3: 128 kilobits at 44,100 Hz
    note = b"Info\0\0\0\2" + (3 * len(frame)).to_bytes(4, "big")
    mp3 = b"ID3\4\0\0\0\0\1\2" + bytes(130) + frame[:36] + note + frame[48:] + frame + frame
    vbri = frame[:36] + b"VBRI" + bytes(6) + (2 * len(frame)).to_bytes(4, "big") + frame[50:] + frame
    body = bytes(range(200)) * 2  # the header of Ogg's page says so: 0xff + 0x91
    whole = {
        "a.wav": b"RIFF" + (len(body) + 4).to_bytes(4, "little") + b"WAVE" + body,
        "a.mp4": b"\0\0\0\x10ftypisom\0\0\0\0" + (len(body) + 8).to_bytes(4, "big") + b"mdat" + body,
        "a.mp3": mp3,
        "b.mp3": vbri,
        "a.ogg": b"OggS" + bytes(22) + b"\2\xff\x91" + body,
        "a.webm": b"\x1a\x45\xdf\xa3" + vint(3) + b"xyz" + b"\x18\x53\x80\x67" + vint(len(body)) + body,
    }
    for name, data in whole.items():
        kind = name.replace(".", "-")
        assert convert(at(f"w-{kind}/{name}", data).parent, tmp_path / f"o-{kind}").samples == 1
        for cut in (2, 300):
            folder = at(f"{kind}-{cut}/{name}", data[:-cut]).parent
            with pytest.raises(SourceError, match=rf"{name}, column .*cut off: .* that it says it has"):
                convert(folder, tmp_path / f"out-{kind}")
    piped = at("piped/a.wav", b"RIFF\xff\xff\xff\xffWAVE" + body)  # of a program that did not know
    assert convert(piped.parent, tmp_path / "piped-out").samples == 1
    taken_out = at("part/a.mp3", mp3[: -len(frame)] + b"TAG" + bytes(125))  # by who left the note
    assert convert(taken_out.parent, tmp_path / "part-out").samples == 1


def test_tables_that_are_odd(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]), path)
    with pytest.raises(SourceError, match=r"x\.parquet has two columns 'a'"):
        convert(path, tmp_path / "out")
    raw = [None, pa.py_buffer(np.array([0, 1, 3], np.int32)), pa.py_buffer(b"a\xff\xfe")]
    pq.write_table(pa.table({"a": pa.Array.from_buffers(pa.string(), 2, raw)}), path)
    with pytest.raises(SourceError, match=r"x\.parquet, rows from 0, column 'a': Invalid UTF8.* index 1"):
        convert(path, tmp_path / "o1")
    pq.write_table(pa.table({"a": pa.array([1], pa.timestamp("ns"))}), path)
    with pytest.raises(SourceError, match=r"x\.parquet.*column 'a': .*would lose data.*round"):
        convert(path, tmp_path / "o2")
    pq.write_table(pa.table({"a": range(5000)}), path)
    data = bytearray(path.read_bytes())
    data[40:4000] = bytes(3960)
    path.write_bytes(data)
    with pytest.raises(SourceError, match=r"^x\.parquet cannot be read as Parquet: "):
        convert(path, tmp_path / "out")
    tensors = pa.FixedShapeTensorArray.from_numpy_ndarray(np.arange(8, dtype=np.float32).reshape(2, 2, 2))
    pq.write_table(pa.table({"a": tensors}), path)
    assert convert(path, tmp_path / "t").columns == {"a": "ndarray:float32:2,2"}
    assert LocalDataset(str(tmp_path / "t"))[1]["a"].tolist() == [[4, 5], [6, 7]]


def test_tensors_that_ray_has_written_keep_their_shape(tmp_path: Path) -> None:
    noted = {b"ARROW:extension:name": b"ray.data.arrow_tensor_v2", b"ARROW:extension:metadata": b"[2, 3]"}
    values = [list(range(6)), list(range(6, 12))]
    field = pa.field("x", pa.large_list(pa.int64()), metadata=noted)
    pq.write_table(pa.table({"x": values}, schema=pa.schema([field])), tmp_path / "x.parquet")
    found = rows(tmp_path / "x.parquet", tmp_path / "out")
    np.testing.assert_array_equal(found[1]["x"], [[6, 7, 8], [9, 10, 11]])
    dataset = StreamingDataset(remote=str(tmp_path / "x.parquet"), local=str(tmp_path / "local"), batch_size=1)
    np.testing.assert_array_equal(dataset[1]["x"], [[6, 7, 8], [9, 10, 11]])


def test_what_directories_tell(tmp_path: Path) -> None:
    for year, month in ((2024, "01"), (2025, "02")):
        place = tmp_path / "lake" / f"year={year}" / f"month={month}"
        place.mkdir(parents=True)
        pq.write_table(pa.table({"a": [year]}), place / "x.parquet")
        pq.write_table(pa.table({"a": pa.array([], pa.int64())}), place / "y.parquet")
    wanted = [{"a": 2024, "month": "01", "year": 2024}, {"a": 2025, "month": "02", "year": 2025}]
    assert rows(tmp_path / "lake", tmp_path / "o1") == wanted
    assert rows(tmp_path / "lake", tmp_path / "o2", columns=["year"]) == [{"year": 2024}, {"year": 2025}]
    assert rows(tmp_path / "lake", tmp_path / "o3", fn=dict) == wanted
    assert convert(tmp_path / "lake", tmp_path / "o5").columns["a"] == "int"  # an empty file has no missing value
    pq.write_table(pa.table({"a": [1]}), tmp_path / "lake" / "z.parquet")
    with pytest.warns(UserWarning, match=r"Directories tell .*: no columns are made of them"):
        assert rows(tmp_path / "lake", tmp_path / "o4")[2] == {"a": 1}


def test_a_source_is_not_replaced_by_what_is_made_of_it(tmp_path: Path) -> None:
    streaming.write([{"a": i} for i in range(3)], tmp_path / "root" / "data", workers=0, progress_bar=False)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "root")
    for source, out in (
        (tmp_path / "root/data", tmp_path / "root/data"),
        (tmp_path / "root/data/index.json", link / "data"),
        (tmp_path / "root/data", tmp_path / "root"),
        (tmp_path / "root/data", (str(tmp_path / "new"), str(tmp_path / "root/data"))),
    ):
        with pytest.raises(ConfigError, match="would be removed before it is read"):
            convert(source, out, exist_ok=True)
    data = str(tmp_path / "root/data")
    datasets: list[Any] = [LocalDataset(data), LocalDataset(data).take(2), StreamingDataset(local=data, batch_size=1)]
    for dataset in datasets:
        with pytest.raises(ConfigError, match="would be removed before it is read"):
            streaming.write(dataset, data, exist_ok=True, workers=0)
    assert len(LocalDataset(data)) == 3


def test_a_source_that_changes_between_two_calls(at: Callable[..., Path], tmp_path: Path) -> None:
    def failing(row: Any) -> Any:
        return {"n": 1 // (row["n"] - 2900)}

    at("s/a.jsonl", LINES)
    path = at("s/b.jsonl", LINES)
    for _ in range(2):  # the same files are continued
        with pytest.raises(InputError, match="ZeroDivisionError"):
            convert(tmp_path / "s", tmp_path / "out", fn=failing, size_limit=1000)
    info = path.stat()
    path.write_bytes(LINES.replace(b"1234}", b"4321}"))
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns + 1_000_000))
    with pytest.raises(InputError):  # of the other nothing was written yet
        convert(tmp_path / "s", tmp_path / "out", fn=failing, size_limit=1000)
    at("s/a.jsonl", LINES.replace(b"1234}", b"4321}"))
    os.utime(tmp_path / "s" / "a.jsonl", ns=(info.st_atime_ns, info.st_mtime_ns + 1_000_000))
    with pytest.raises(ConfigError, match="inputs up to number 0 are others"):
        convert(tmp_path / "s", tmp_path / "out", fn=failing, size_limit=1000)


def test_a_disk_that_is_full(at: Callable[..., Path], tmp_path: Path) -> None:
    path = at("a.jsonl", LINES)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, limits[1]))
    try:
        with pytest.raises(
            UploadError, match=r"Could not write .*shard\.00000\.mds.*File too large.*ulimit -f.* continues"
        ):
            convert(path, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert convert(path, tmp_path / "out").samples == 3000


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ("x", "the tokenizer gave 'x'; expected numbers"),
        ([1.5], r"the tokenizer gave \[1\.5\]"),
        (np.array([-1]), r"the tokenizer gave array\(\[-1\]\)"),
        ([[1]], r"the tokenizer gave \[\[1\]\]"),
        ([], "no token: the text is 'b'"),
        (None, "the tokenizer gave None"),
    ],
)
def test_tokenizers_that_make_no_tokens(at: Callable[..., Path], tmp_path: Path, made: Any, said: str) -> None:
    path = at("t.jsonl", '{"text": "a"}\n{"text": "b"}\n')
    with pytest.raises(SourceError, match=rf"t\.jsonl, row 1: {said}"):
        convert(path, tmp_path / "out", tokenizer=lambda text: [1] if text == "a" else made)
    with pytest.raises(InputError, match=r"t\.jsonl, row 1: fn .* failed: ZeroDivisionError"):
        convert(path, tmp_path / "out", tokenizer=lambda text: [1] if text == "a" else [1 // 0])


def test_functions_that_make_nothing(at: Callable[..., Path], tmp_path: Path) -> None:
    def forgetful(row: Any) -> None:
        row["b"] = 2

    path = at("x.jsonl", json.dumps({"a": 1}) + "\n")
    with pytest.raises(EmptyDatasetError, match="fn returned no row"):
        convert(path, tmp_path / "out", fn=forgetful)
    with pytest.raises(ConfigError, match="fn made none"):
        streaming.write([1, 2], tmp_path / "out", fn=lambda i: None, workers=0)
    with pytest.raises(InputError, match=r"Input 0 \(1\).*ZeroDivisionError"):
        streaming.write([1, 2], tmp_path / "out", fn=lambda i: {"a": i / 0}, on_error="skip", workers=0)


def _of_polars() -> dict[str, tuple[Any, Any]]:
    import polars as pl

    return {
        "categorical": (pl.DataFrame({"x": ["a", "b", None]}, schema={"x": pl.Categorical}), ["a", "b", None]),
        "enumeration": (pl.DataFrame({"x": ["b"]}, schema={"x": pl.Enum(["a", "b"])}), ["b"]),
        "objects": (pl.DataFrame({"x": [object()]}, schema={"x": pl.Object}), "'x' holds Python's objects"),
        "lazy": (pl.LazyFrame({"x": [1]}), r"lazy\.collect\(\)"),
    }


def _of_arrow() -> dict[str, tuple[Any, Any]]:
    import pandas as pd

    raw = [None, pa.py_buffer(np.array([0, 1], np.int32)), pa.py_buffer(b"\xff")]
    return {
        "nanoseconds": (pa.table({"x": pa.array([5], pa.time64("ns"))}), "Column 'x': .*would lose data"),
        "no text": (pa.table({"x": pa.Array.from_buffers(pa.string(), 1, raw)}), "Column 'x': 'utf-8' codec"),
        "no columns": (pd.DataFrame(index=[1, 2]), "has no columns"),
        "no rows": (pa.table({"x": pa.array([], pa.int8())}), "without a row"),
    }


@pytest.mark.parametrize("made", [_of_polars, _of_arrow])
def test_tables_that_are_written(tmp_path: Path, made: Callable[[], dict[str, tuple[Any, Any]]]) -> None:
    for name, (given, wanted) in made().items():
        out = tmp_path / name
        if isinstance(wanted, str):
            with pytest.raises(StreamingError, match=wanted):
                streaming.write(given, out, workers=0, progress_bar=False)
            continue
        streaming.write(given, out, workers=0, progress_bar=False)
        assert [row["x"] for row in LocalDataset(str(out))] == wanted


def test_tensors_that_are_written(tmp_path: Path) -> None:
    import torch

    eighths = torch.tensor([1.0, 2.0]).to(torch.float8_e4m3fn)  # which does not survive being pickled
    streaming.write([{"x": eighths}], tmp_path / "a", workers=1, progress_bar=False)
    assert torch.equal(LocalDataset(str(tmp_path / "a"))[0]["x"].float(), eighths.float())
    tensors = np.arange(8).reshape(2, 2, 2)
    table = pa.table({"x": pa.FixedShapeTensorArray.from_numpy_ndarray(tensors)})
    streaming.write(table, tmp_path / "b", workers=0, progress_bar=False)
    assert np.array_equal([row["x"] for row in LocalDataset(str(tmp_path / "b"))], tensors)
    for tensor, words in ((torch.eye(2).to_sparse(), r"\.to_dense\(\)"), (torch.ones(2, device="meta"), "no values")):
        with pytest.raises(ConfigError, match=words):
            streaming.write([{"x": tensor}], tmp_path / "out", workers=0)
