"""The index: what it holds, what it writes, and what it refuses."""

from __future__ import annotations

import copy
import json
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.core.errors import IndexFormatError, IndexNotJSONError
from streaming.format.index import FileInfo, Index, dump_index

from budget import share

SOURCE = "s3://bucket/data/index.json"


def file(basename: str, size: int = 1000, **hashes: str) -> dict[str, Any]:
    return {"basename": basename, "bytes": size, "hashes": hashes}


def mds(shard_id: int = 0, **changes: Any) -> dict[str, Any]:
    entry = {
        "column_encodings": ["int", "str"],
        "column_names": ["a", "b"],
        "column_sizes": [8, None],
        "compression": None,
        "format": "mds",
        "hashes": ["sha1"],
        "raw_data": file(f"shard.{shard_id:05}.mds", sha1="ab" * 20),
        "samples": 10 + shard_id,
        "size_limit": 1 << 26,
        "version": 2,
        "zip_data": None,
    }
    return {**entry, **changes}


def csv(**changes: Any) -> dict[str, Any]:
    entry = {
        "column_encodings": ["int", "str"],
        "column_names": ["a", "b"],
        "compression": "zstd",
        "format": "csv",
        "hashes": [],
        "newline": "\n",
        "raw_data": file("shard.00000.csv", 500),
        "raw_meta": file("shard.00000.csv.meta", 400),
        "samples": 7,
        "size_limit": None,
        "version": 2,
        "zip_data": file("shard.00000.csv.zstd", 50),
        "zip_meta": file("shard.00000.csv.meta.zstd", 40),
    }
    return {**entry, **changes}


def parse(*entries: Any, **top: Any) -> Index:
    return Index.parse(json.dumps({"shards": entries, "version": 2, **top}).encode(), SOURCE)


def test_what_it_holds() -> None:
    index = parse(mds(0), mds(1), csv(), mds(2))
    assert (index.num_shards, len(index), index.num_samples) == (4, 4, 10 + 11 + 7 + 12)
    assert index.samples.tolist() == [10, 11, 7, 12]
    assert index.schema_ids.tolist() == [0, 0, 1, 0]
    assert index.raw_bytes.tolist() == [1000, 1000, 900, 1000]
    assert index.zip_bytes.tolist() == [0, 0, 90, 0]
    shard = index.shard(1)
    assert shard.samples == 11
    assert shard.raw == (FileInfo("shard.00001.mds", 1000, {"sha1": "ab" * 20}),)
    assert shard.zip == (None,)
    assert shard.schema.column_sizes == (8, None)
    lines = index.shard(2)
    assert [raw.basename for raw in lines.raw] == ["shard.00000.csv.meta", "shard.00000.csv"]
    assert [zipped.bytes for zipped in lines.zip if zipped] == [40, 50]
    assert lines.schema.separator == ","
    for shard_id in (-1, 4):
        with pytest.raises(IndexError, match="4 shards"):
            index.shard(shard_id)


def test_arrays_are_plain() -> None:
    index = parse(mds(), csv())
    for array in (index.samples, index.raw_bytes, index.zip_bytes, index.zip_data.bytes):
        assert type(array) is np.ndarray
        assert array.dtype == np.int64
    assert index.schema_ids.dtype == np.int32
    assert index.raw_data.names.blob.dtype == np.uint8


def test_concatenate() -> None:
    one, two = parse(mds(0), csv()), parse(csv(), mds(1, compression="gz"))
    both = Index.concatenate([one, two, parse()])
    assert both.schema_ids.tolist() == [0, 1, 1, 2]
    shards = [index.shard(i) for index in (one, two) for i in range(2)]
    assert [both.shard(i) for i in range(4)] == shards
    assert Index.concatenate([]).num_samples == 0


def test_empty() -> None:
    index = parse()
    assert (index.num_shards, index.num_samples) == (0, 0)
    assert index.raw_bytes.tolist() == []
    assert dump_index([]) == b'{"shards": [], "version": 2}'


def test_dump() -> None:
    assert dump_index([{"b": "é", "a": None}]) == (b'{"shards": [{"a": null, "b": "\\u00e9"}], "version": 2}')


@given(st.sampled_from([None, 0, 1, 4]), st.booleans())
@share(0.2)
def test_any_spelling_of_json(indent: int | None, version_first: bool) -> None:
    top = {"version": 2, "shards": [mds(0), mds(1)], "zzz": [{}]}
    if not version_first:
        top = dict(reversed(top.items()))
    text = json.dumps(top, indent=indent)
    assert Index.parse(text.encode(), SOURCE).num_samples == 21
    assert Index.parse(b"\xef\xbb\xbf \n" + text.encode() + b"\r\n\t ", SOURCE).num_shards == 2


def test_unknown_keys_are_ignored() -> None:
    index = parse(mds(new={"key": [1]}), csv(separator=",", other=1), extra={"a": 1})
    assert index.num_shards == 2


def test_tolerated() -> None:
    index = parse(
        mds(size_limit="64mb", compression="", zip_data=None),
        mds(compression="zstd", zip_data=None),
        mds(column_encodings=["int", "not registered here"]),
        mds(raw_data=file("3/part 1/shard.00000.mds")),
    )
    assert index.shard(0).schema.size_limit == 1 << 26
    assert index.shard(0).schema.compression is None
    assert index.shard(3).raw[0].basename == "3/part 1/shard.00000.mds"
    missing = mds()
    del missing["version"], missing["hashes"], missing["raw_data"]["hashes"], missing["zip_data"]
    assert parse(missing).shard(0).raw[0].hashes == {}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html><body>403 Forbidden</body></html>",
        b"{",
        b'{"shards": [',
        b'{"shards": [], "version": 2',
        b'{"shards": [], "version": 2}}',
        b'{"shards": [], "version": 2} x',
        b'{"shards": [,], "version": 2}',
        b'{"shards" [], "version": 2}',
        b'{shards: [], "version": 2}',
        b'{"shards": [], "version": 2,}',
        b'{"shards": [], "shards": [], "version": 2}',
        b"[]",
        b"null",
        b"\xff\xfe\x00",
        b"\x28\xb5\x2f\xfd compressed",
    ],
)
def test_not_json(data: bytes) -> None:
    with pytest.raises(IndexNotJSONError, match=SOURCE) as caught:
        Index.parse(data, SOURCE)
    assert isinstance(caught.value, json.JSONDecodeError)


@pytest.mark.parametrize("between", ["", " ", ";", ",,", "]"])
def test_entries_not_parted_by_commas(between: str) -> None:
    entry = json.dumps(mds())
    data = f'{{"version": 2, "shards": [{entry}{between}{entry}]}}'.encode()
    with pytest.raises(IndexNotJSONError, match="Unexpected|Expecting"):
        Index.parse(data, SOURCE)
    with pytest.raises(IndexNotJSONError, match="ends early"):
        Index.parse(f'{{"shards": [{entry}'.encode(), SOURCE)


@pytest.mark.parametrize("version", [1, 3, "2", None, 2.0, True, [2]])
def test_other_versions(version: Any) -> None:
    with pytest.raises(IndexFormatError, match=f"{SOURCE} has version"):
        parse(mds(), version=version)


@pytest.mark.parametrize(
    "data",
    [b"{}", b'{"version": 2}', b'{"version": 2, "shards": {}}', b'{"version": 2, "shards": 0}'],
)
def test_not_an_index(data: bytes) -> None:
    with pytest.raises(IndexFormatError, match=SOURCE):
        Index.parse(data, SOURCE)


@pytest.mark.parametrize(
    "name",
    [
        *("/etc/passwd", "../shard.mds", "a/../../b", "a/..", "..", ".", "./a", "a//b", "a/", "/"),
        *("a\\b", "..\\a", "a\0b", "", "\ud800", "a/" + 256 * "b", 128 * "é", None, 3, ["a"]),
    ],
)
@pytest.mark.parametrize("key", ["raw_data", "raw_meta", "zip_data", "zip_meta"])
def test_paths_that_escape(name: Any, key: str) -> None:
    entry = csv()
    entry[key]["basename"] = name
    with pytest.raises(IndexFormatError, match=f"{SOURCE}, shard 1"):
        parse(mds(), entry)


def without(entry: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name != key}


BAD_ENTRIES = {
    "not an object": [],
    "null": None,
    "negative samples": mds(samples=-1),
    "huge samples": mds(samples=1 << 32),
    "more samples than bytes": mds(samples=250),
    "more samples than bytes of meta": csv(samples=100),
    "float samples": mds(samples=1.0),
    "bool samples": mds(samples=True),
    "text samples": mds(samples="3"),
    "no samples": without(mds(), "samples"),
    "negative bytes": mds(raw_data=file("a", -1)),
    "huge bytes": mds(raw_data=file("a", 1 << 60)),
    "float bytes": mds(raw_data=file("a", 1e3)),
    "no bytes": mds(raw_data={"basename": "a"}),
    "no basename": mds(raw_data={"bytes": 1000}),
    "file is a list": mds(raw_data=["a", 1000]),
    "no raw data": without(mds(), "raw_data"),
    "null raw data": mds(raw_data=None),
    "no raw meta": without(csv(), "raw_meta"),
    "zip without compression": mds(zip_data=file("z")),
    "same name twice": csv(zip_data=file("shard.00000.csv")),
    "hashes are a list": mds(raw_data={**file("a"), "hashes": ["sha1"]}),
    "hash is no text": mds(raw_data={**file("a"), "hashes": {"sha1": 3}}),
    "hash is not hexadecimal": mds(raw_data={**file("a"), "hashes": {"sha1": "a,b:c"}}),
    "unknown format": mds(format="parquet"),
    "no format": without(mds(), "format"),
    "format is a list": mds(format=["mds"]),
    "shard version": mds(version=3),
    "unknown compression": mds(compression="rar"),
    "compression is a list": mds(compression=["zstd"]),
    "duplicated column": mds(column_names=["a", "a"]),
    "too few encodings": mds(column_encodings=["int"]),
    "too few sizes": mds(column_sizes=[8]),
    "no columns": without(mds(), "column_names"),
    "names are no text": mds(column_names=[1, 2]),
    "names are a text": mds(column_names="ab"),
    "sizes disagree": mds(column_sizes=[4, None]),
    "size of a variable column": mds(column_sizes=[8, 3]),
    "no size of a fixed column": mds(column_sizes=[None, None]),
    "negative size": mds(column_sizes=[-8, None]),
    "bad encoding": mds(column_encodings=["int", "ndarray:int8:0"]),
    "json without columns": without(csv(format="json"), "columns"),
    "json columns are a list": csv(format="json", columns=["a"]),
    "no newline": without(csv(), "newline"),
    "xsv without separator": csv(format="xsv"),
    "xsv with empty separator": csv(format="xsv", separator=""),
    "bad size limit": mds(size_limit="big"),
    "infinite size limit": mds(size_limit="1e999gb"),
    "negative size limit": mds(size_limit=-1),
    "hashes are no list": mds(hashes="sha1"),
}


@pytest.mark.parametrize("what", BAD_ENTRIES)
def test_bad_entries(what: str) -> None:
    with pytest.raises(IndexFormatError, match=f"{SOURCE}, shard 2: "):
        parse(mds(0), mds(1), BAD_ENTRIES[what], mds(3))


def test_hostile_json() -> None:
    deep = b'{"version": 2, "shards": [' + b"[" * 100_000
    for data in (deep, b'{"a": ' + b"[" * 100_000, b'{"version": 2, "a": ' + b"9" * 5000 + b"}"):
        with pytest.raises(IndexFormatError, match=SOURCE):
            Index.parse(data, SOURCE)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


@given(st.sampled_from([mds(), csv()]), st.data())
@share(1.5)
def test_any_value_anywhere(entry: dict[str, Any], data: st.DataObject) -> None:
    entry = copy.deepcopy(entry)
    key = data.draw(st.sampled_from(sorted(entry)))
    if isinstance(entry[key], dict) and data.draw(st.booleans()):
        inner = data.draw(st.sampled_from(sorted(entry[key])))
        entry[key][inner] = data.draw(values)
    else:
        entry[key] = data.draw(values)
    try:
        assert parse(entry).num_shards == 1
    except IndexFormatError as error:
        assert SOURCE in str(error)  # noqa: PT017


def test_memory_per_shard_is_small() -> None:
    text = json.dumps({"shards": [mds(i % 100) for i in range(3000)], "version": 2}).encode()
    tracemalloc.start()
    try:
        index = Index.parse(text, SOURCE)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert index.num_shards == 3000
    assert held < 300 * 3000  # names and hashes are most of it; an entry as objects takes 3 KB
