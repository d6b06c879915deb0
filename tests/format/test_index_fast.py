"""The quick way to read an index gives what the careful way gives, or gives up."""

from __future__ import annotations

import json
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.core.errors import IndexFormatError
from streaming.format.index import Index
from streaming.format.index import parse as index_json
from streaming.format.index.fast import GiveUp, read_alike
from streaming.format.index.mapped import dump_parsed, map_parsed


def entry(i: int, kind: str, names: list[str], hashes: list[str]) -> dict[str, Any]:
    def file(name: str) -> dict[str, Any]:
        return {"basename": name, "bytes": 2000 + i, "hashes": dict.fromkeys(hashes, f"{i * 7919:x}")}

    packed = "zip" in kind
    common = {
        "compression": "zstd:7" if packed else None,
        "hashes": hashes,
        "samples": 3 + i % 5,
        "size_limit": 1 << 20,
    }
    ext = kind.split("-", maxsplit=1)[0]
    files = {"raw_data": file(f"shard.{i:05}.{ext}"), "zip_data": file(f"shard.{i:05}.{ext}.zstd") if packed else None}
    if ext == "mds":
        return {
            **common,
            **files,
            "column_encodings": ["int"] * len(names),
            "column_names": names,
            "column_sizes": [8] * len(names),
            "format": "mds",
            "version": 2,
        }
    files["raw_meta"] = file(f"shard.{i:05}.{ext}.meta")
    files["zip_meta"] = file(f"shard.{i:05}.{ext}.meta.zstd") if packed else None
    return {**common, **files, "columns": dict.fromkeys(names, "int"), "format": "json", "newline": "\n", "version": 2}


kinds = st.sampled_from(["mds", "mds-zip", "json", "json-zip"])
column_names = st.lists(
    st.sampled_from(["a", "samples", "bytes", "basename", "raw_data", "hashes", "\u00e4", 'q"']), unique=True
)
runs = st.lists(st.tuples(kinds, column_names, st.lists(st.sampled_from(["xxh64", "md5"]), unique=True)), max_size=4)


def same(a: Index, b: Index) -> bool:
    def columns(index: Index) -> list[Any]:
        tables = [index.raw_data, index.raw_meta, index.zip_data, index.zip_meta]
        names = [[table[i] for i in range(len(table))] for table in tables]
        return [index.samples.tolist(), index.schemas, index.schema_ids.tolist(), names]

    return columns(a) == columns(b)


def carefully(data: bytes) -> Any:
    with mock.patch.object(index_json, "read_alike", side_effect=GiveUp):
        try:
            return Index.parse(data, "x")
        except IndexFormatError as error:
            return str(error)


def as_usual(data: bytes) -> Any:
    try:
        return Index.parse(data, "x")
    except IndexFormatError as error:
        return str(error)


@given(runs=runs, counts=st.lists(st.integers(1, 6), min_size=4, max_size=4), data=st.data())
def test_equals_the_careful_way(runs: Any, counts: list[int], data: st.DataObject) -> None:
    entries = [
        entry(10 * number + i, kind, names, hashes)
        for number, (kind, names, hashes) in enumerate(runs)
        for i in range(counts[number])
    ]
    if entries and data.draw(st.booleans()):  # something that is not so
        broken = entries[data.draw(st.integers(0, len(entries) - 1))]
        change = data.draw(
            st.sampled_from(
                [
                    {"samples": -1},
                    {"samples": 2**40},
                    {"samples": 1.5},
                    {"samples": 1000},
                    {"version": 1},
                    {"raw_data": None},
                    {"raw_data": {"basename": "../x", "bytes": 4000, "hashes": {}}},
                    {"raw_data": {"basename": "sub/x.mds", "bytes": 4000, "hashes": {}}},
                    {"raw_data": {"basename": "..", "bytes": 4000, "hashes": {}}},
                    {"raw_data": {"basename": "x", "bytes": 2**50, "hashes": {}}},
                    {"raw_data": {"basename": "\u00e4", "bytes": 4000, "hashes": {"xxh64": "12"}}},
                    {"raw_data": {"basename": "x", "bytes": 4000, "hashes": {"xxh64": "zz zz"}}},
                    {"raw_meta": {"basename": "y", "bytes": 4000, "hashes": {}}},
                    {"zip_data": {"basename": "y", "bytes": 4000, "hashes": {}}},
                    {"format": "parquet"},
                ]
            )
        )
        broken.update(change)
    separators = data.draw(st.sampled_from([(", ", ": "), (",", ":"), (" ,  ", " : ")]))
    document = {"shards": entries, "version": 2}
    if data.draw(st.booleans()):
        document = dict(reversed(document.items()))
    indent = data.draw(st.sampled_from([None, 2]))
    text = json.dumps(document, separators=separators, indent=indent, sort_keys=data.draw(st.booleans()))
    raw = (text + data.draw(st.sampled_from(["", "\n", "x", "]"]))).encode()
    found, expected = as_usual(raw), carefully(raw)
    assert same(found, expected) if isinstance(expected, Index) else found == expected


def test_the_usual_index_is_read_quickly() -> None:
    entries = [entry(i, "mds-zip", ["a", "b"], ["xxh64", "md5"]) for i in range(100)]
    for text in (json.dumps({"version": 2, "shards": entries}), json.dumps({"shards": entries, "version": 2})):
        runs = list(read_alike(text.encode(), lambda _: None))
        assert [len(run.samples) for run in runs] == [100]


@pytest.mark.parametrize("kind", ["mds", "mds-zip", "json-zip"])
def test_a_parsed_index_is_mapped(tmp_path: Any, kind: str) -> None:
    entries = [entry(i, kind, ["a"], ["xxh64"]) for i in range(7)] + [entry(9, "json", ["b"], [])]
    index = Index.parse(json.dumps({"version": 2, "shards": entries}).encode(), "x")
    path = tmp_path / "parsed"
    path.write_bytes(b"".join(dump_parsed(index, "key")))
    mapped = map_parsed(str(path), "key")
    assert mapped is not None
    assert same(mapped, index)
    assert not mapped.samples.flags.writeable
    assert map_parsed(str(path), "other") is None
    for size in (0, 5, 40, 1000, path.stat().st_size - 1):
        (tmp_path / "cut").write_bytes(path.read_bytes()[:size])
        assert map_parsed(str(tmp_path / "cut"), "key") is None
    assert map_parsed(str(tmp_path / "missing"), "key") is None
    assert np.array_equal(mapped.raw_bytes, index.raw_bytes)
