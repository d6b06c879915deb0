"""Columns with missing values, and columns of truths: on disk, read one by one, many at once, and in batches."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from streaming import CSVWriter, JSONWriter, LocalDataset, MDSWriter, StreamingDataLoader, StreamingDataset
from streaming.core.errors import ColumnTypeError, ConfigError, IndexFormatError, UnsafeTypeError
from streaming.format.encodings import (
    encodings,
    get_encoding,
    get_mds_encoded_size,
    is_mds_encoding,
    is_mds_encoding_safe,
    mds_decode,
    mds_encode,
)
from streaming.format.encodings.base import Encoding
from streaming.format.index import Index

NUMBERS = ("int64", "float32")
VALUES: dict[str, Any] = {
    "str": "",
    "bytes": b"\0",
    "int": -1,
    "uint8": np.uint8(0),
    "float64": np.float64("-inf"),
    "bool": False,
    "ndarray": np.zeros((2, 3), np.int16),
    "ndarray:float32:2": np.ones(2, np.float32),
    "ndarray:bool": np.array([True, False]),
    "json": {"a": [None, 1]},
    "str_int": 1 << 70,
}


@pytest.mark.parametrize("name", VALUES)
def test_round_trip(name: str) -> None:
    value = VALUES[name]
    assert mds_encode(f"{name}?", None) == b"\0"
    assert mds_decode(f"{name}?", b"\0") is None
    data = mds_encode(f"{name}?", value)
    assert data == b"\1" + mds_encode(name, value)
    found = mds_decode(f"{name}?", data)
    assert type(found) is type(mds_decode(name, data[1:]))
    np.testing.assert_equal(found, value)
    assert get_mds_encoded_size(f"{name}?") is None


@pytest.mark.parametrize("name", ["int64", "float32", "str", "bytes", "date", "list:int8"])
def test_lists_in_which_values_are_missing(name: str) -> None:
    value = {"str": "é", "bytes": b"", "date": date(2026, 1, 2), "list:int8": [1, 2]}.get(name, 7)
    for values in ([None, value, None], [None], [value] * 3, [], None):
        found = mds_decode(f"list:{name}?", mds_encode(f"list:{name}?", values))
        is_array = values is not None and None not in values and name in NUMBERS
        np.testing.assert_equal(found, np.array(values) if is_array else values)
        assert isinstance(found, np.ndarray) == is_array
    with pytest.raises(TypeError):
        mds_encode(f"list:{name}", [value, None])


def test_names() -> None:
    assert not any(map(is_mds_encoding, ("?", "int??", "nope?", "int?:3", "ndarray:int33?")))
    assert not is_mds_encoding_safe("pkl?")
    assert is_mds_encoding_safe("json?")
    with pytest.raises(ConfigError, match=r"more than one question mark; use 'int\?'"):
        get_encoding("int??")


@given(st.binary(max_size=12))
def test_garbage_is_refused_or_read(data: bytes) -> None:
    for name in ("str?", "bytes?", "json?"):
        try:
            value = mds_decode(name, data)
        except ValueError:
            continue
        assert (value is None) == (data in (b"\0", b"\1null"))


def test_a_value_that_does_not_fit() -> None:
    with pytest.raises(KeyError, match="expected a value of 8 bytes or None, got 3"):
        mds_encode("int?", b"abc")
    with pytest.raises(TypeError, match="expected int"):
        mds_encode("int?", "a")


def test_encodings_of_the_users_own() -> None:
    class Reversed(Encoding):
        safe = False

        def encode(self, obj: str) -> bytes:
            return obj.encode()[::-1]

        def decode(self, data: bytes) -> str:
            return data[::-1].decode()

    encodings["reversed"] = Reversed
    try:
        assert mds_decode("reversed?", mds_encode("reversed?", "abc")) == "abc"
        assert mds_decode("reversed?", mds_encode("reversed?", None)) is None
        assert not is_mds_encoding_safe("reversed?")
    finally:
        del encodings["reversed"]


COLUMNS = {"id": "int", "age": "int32?", "name": "str?", "ok": "bool", "sure": "bool?", "x": "ndarray:uint8:3?"}


def rows(count: int) -> list[dict[str, Any]]:
    return [
        {
            "id": i,
            "age": None if i % 3 == 0 else np.int32(i),
            "name": None if i % 5 == 0 else "n" * (i % 5),
            "ok": i % 2 == 0,
            "sure": None if i % 7 else bool(i % 2),
            "x": None if i % 4 else np.full(3, i, np.uint8),
        }
        for i in range(count)
    ]


def test_written_and_read(tmp_path: Path) -> None:
    with MDSWriter(columns=COLUMNS, out=str(tmp_path), hashes=["xxh64"], size_limit=700) as out:
        for row in rows(100):
            out.write(row)
    dataset = LocalDataset(str(tmp_path))
    assert len(dataset.shards) > 2
    np.testing.assert_equal([dataset[i] for i in range(100)], rows(100))
    np.testing.assert_equal(dataset[:], rows(100))
    assert type(dataset[0]["ok"]) is bool
    assert type(dataset[0]["sure"]) is bool
    loader = StreamingDataLoader(StreamingDataset(local=str(tmp_path), batch_size=10), batch_size=10, collate_fn=list)
    np.testing.assert_equal([row for batch in loader for row in batch], rows(100))


@pytest.mark.parametrize(
    "columns",
    [
        {"a": "bool"},
        dict.fromkeys("abcde", "bool"),
        {"a": "bool", "b": "int", "c": "float32"},
        {"a": "bool", "s": "str"},
    ],
    ids=len,
)
@pytest.mark.parametrize("workers", [0, 1])
def test_truths_in_batches(tmp_path: Path, columns: dict[str, str], workers: int) -> None:
    make = {"bool": lambda i: i % 3 == 0, "int": lambda i: i, "float32": np.float32, "str": str}
    given = [{name: make[kind](i) for name, kind in columns.items()} for i in range(12)]
    with MDSWriter(columns=columns, out=str(tmp_path)) as out:
        for row in given:
            out.write(row)
    assert LocalDataset(str(tmp_path))[:] == given
    assert type(LocalDataset(str(tmp_path))[0]["a"]) is bool
    loader = StreamingDataLoader(StreamingDataset(local=str(tmp_path), batch_size=4), batch_size=4, num_workers=workers)
    batches = list(loader)
    for name, kind in columns.items():
        if kind == "bool":
            assert {batch[name].dtype for batch in batches} == {torch.bool}
            assert torch.cat([batch[name] for batch in batches]).tolist() == [row[name] for row in given]


def test_any_byte_but_zero_is_true(tmp_path: Path) -> None:
    with MDSWriter(columns={"a": "bool", "b": "bool"}, out=str(tmp_path)) as out:
        for _ in range(4):
            out.write({"a": b"\x02", "b": b"\xff"})  # bytes are taken to be encoded already
    (batch,) = StreamingDataLoader(StreamingDataset(local=str(tmp_path), batch_size=4), batch_size=4)
    assert batch["a"].view(torch.uint8).tolist() == batch["b"].view(torch.uint8).tolist() == [1] * 4


@pytest.mark.parametrize("encoding", ["int", "str", "float64", "float32", "ndarray", "bool", "uint8"])
def test_a_missing_value_in_a_column_that_takes_none(tmp_path: Path, encoding: str) -> None:
    with MDSWriter(columns={"age": encoding}, out=str(tmp_path)) as out:
        with pytest.raises(ColumnTypeError, match=rf"Column 'age' \({encoding}\): .*'{encoding}\?' in `columns`"):
            out.write({"age": None})


def test_an_index_that_lies_about_sizes() -> None:
    entry: dict[str, Any] = {
        "column_encodings": ["int32?"], "column_names": ["a"], "column_sizes": [4], "compression": None, "format": "mds",
        "hashes": [], "raw_data": {"basename": "a.mds", "bytes": 100, "hashes": {}}, "samples": 1, "size_limit": None,
        "version": 2, "zip_data": None,
    }  # fmt: skip
    import json

    with pytest.raises(IndexFormatError, match=r"int32\?.*size 4, expected None"):
        Index.parse(json.dumps({"version": 2, "shards": [entry]}).encode(), "test")


def test_pickles_that_may_be_missing_are_not_read_by_default(tmp_path: Path) -> None:
    with MDSWriter(columns={"a": "pkl?"}, out=str(tmp_path)) as out:
        out.write({"a": None})
        out.write({"a": {1, 2}})
    with pytest.raises(UnsafeTypeError):
        LocalDataset(str(tmp_path))
    assert LocalDataset(str(tmp_path), allow_unsafe_types=True)[:] == [{"a": None}, {"a": {1, 2}}]


def test_json_lines(tmp_path: Path) -> None:
    given = [{"a": None, "b": "x"}, {"a": 1, "b": None}]
    with JSONWriter(columns={"a": "int?", "b": "str?"}, out=str(tmp_path)) as out:
        for row in given:
            out.write(row)
    assert LocalDataset(str(tmp_path))[:] == given
    with JSONWriter(columns={"a": "int"}, out=str(tmp_path / "b")) as out:
        with pytest.raises(TypeError, match=r"'int\?' in `columns`"):
            out.write({"a": None})
        with pytest.raises(TypeError, match="expected int"):
            out.write({"a": "x"})


def test_separated_values_have_no_nulls(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"int\?"):
        CSVWriter(columns={"a": "int?"}, out=str(tmp_path / "a"))
    with CSVWriter(columns={"a": "int"}, out=str(tmp_path / "b")) as out:
        with pytest.raises(TypeError, match=r"csv cannot tell.*MDSWriter or JSONWriter"):
            out.write({"a": None})


def test_tensors_are_stored_as_arrays(tmp_path: Path) -> None:
    columns = {"t": "ndarray:float32", "u": "ndarray", "v": "ndarray:int64:2", "n": "int16"}
    row = {
        "t": torch.ones(2, 2, requires_grad=True),
        "u": torch.nn.Parameter(torch.zeros(1)),
        "v": torch.arange(4)[::2],
        "n": torch.tensor(3),
    }
    with MDSWriter(columns=columns, out=str(tmp_path)) as out:
        out.write(row)
        with pytest.raises(TypeError, match=r"bfloat16.*\.float\(\)"):
            out.write({**row, "t": torch.ones(2, dtype=torch.bfloat16)})
    found = LocalDataset(str(tmp_path))[0]
    for name, value in row.items():
        np.testing.assert_array_equal(found[name], value.detach().numpy())
