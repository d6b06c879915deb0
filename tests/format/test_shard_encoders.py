"""The writing side of the formats: layouts, options and limits."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.core.errors import (
    ColumnTypeError,
    ConfigError,
    MissingColumnError,
    SeparatorInValueError,
    ShardTooLargeError,
    UnknownNameError,
)
from streaming.format.formats import formats, get_decoder, make_shard_encoder
from streaming.format.kinds import layout
from streaming.format.samples.schema import Schema

from budget import share


def schema_of(fields: dict[str, Any]) -> Schema:
    columns = fields.get("columns") or dict(zip(fields["column_names"], fields["column_encodings"], strict=True))
    return Schema(
        fields["format"],
        tuple(columns),
        tuple(columns.values()),
        tuple(fields.get("column_sizes", [None] * len(columns))),
        None,
        (),
        fields.get("newline"),
        {"csv": ",", "tsv": "\t"}.get(fields["format"], fields.get("separator")),
        None,
    )


def test_json_layout() -> None:
    encoder = make_shard_encoder("json", columns={"b": "str", "a": "int"})
    lines = [encoder.encode_sample(s) for s in ({"a": 7, "b": "hé"}, {"a": -1, "b": "", "c": 1})]
    files = encoder.encode_shard(lines)
    assert files["data"] == b'{"a": 7, "b": "h\\u00e9"}\n{"a": -1, "b": ""}\n'
    assert files["meta"] == bytes.fromhex("0200000000000000190000002c000000") + (
        b'{"columns": {"a": "int", "b": "str"}, "compression": null, "format": "json", "hashes": '
        b'[], "newline": "\\n", "size_limit": 67108864, "version": 2}'
    )


def test_csv_layout() -> None:
    encoder = make_shard_encoder("csv", columns={"b": "str", "a": "int", "f": "float"})
    rows = ({"a": 7, "b": "hi", "f": 1.5}, {"a": -1, "b": "", "f": 1e20})
    files = encoder.encode_shard([encoder.encode_sample(row) for row in rows])
    assert files["data"] == b"a,b,f\n7,hi,1.5\n-1,,1e+20\n"
    assert struct.unpack_from("<4I", files["meta"]) == (2, 6, 15, 25)


@pytest.mark.parametrize("format", ["mds", "json", "csv"])
def test_accounting(format: str) -> None:
    encoder = make_shard_encoder(format, columns={"a": "int", "b": "str"})
    samples = [encoder.encode_sample({"a": i, "b": "x" * i}) for i in range(9)]
    files = encoder.encode_shard(samples)
    assert tuple(files) == encoder.roles
    running = encoder.base_bytes + sum(len(s) + encoder.extra_bytes_per_sample for s in samples)
    header = len(b"a,b\n") if format == "csv" else 0  # never was counted
    assert running + header == len(files["data"])


text = st.text(st.characters(exclude_characters=",\n", exclude_categories=["Cs"]))
rows = st.fixed_dictionaries({"a": st.integers(), "b": text, "c": st.floats(allow_nan=False), "d": st.booleans()})


@pytest.mark.parametrize("format", ["json", "csv"])
@given(row=rows)
@share(0.6)
def test_lines_round_trip(format: str, row: dict[str, Any]) -> None:
    encoder = make_shard_encoder(format, columns={"a": "int", "b": "str", "c": "float", "d": "int"})
    decode = get_decoder(schema_of(encoder.index_fields())).decode
    assert decode(encoder.encode_sample(row)) == row


@given(st.dictionaries(st.text(), st.binary(), max_size=5), st.integers(-(1 << 63), (1 << 63) - 1))
@share(0.6)
def test_mds_round_trip(values: dict[str, bytes], number: int) -> None:
    columns = {**dict.fromkeys(values, "bytes"), "number": "int"}
    encoder = make_shard_encoder("mds", columns=columns)
    sample = {**values, "number": number}
    decoded = get_decoder(schema_of(encoder.index_fields())).decode(encoder.encode_sample(sample))
    assert decoded == sample
    assert list(decoded) == sorted(columns)


@pytest.mark.parametrize(
    ("format", "columns", "kind"),
    [
        ("mds", {"a": "nope"}, TypeError),
        ("mds", {"a": None}, TypeError),
        ("mds", {"a": "int:3"}, TypeError),
        ("json", {"a": "bytes"}, AssertionError),
        ("csv", {"a": "uint8"}, AssertionError),
        ("csv", {"a,b": "int"}, AssertionError),
        ("csv", {"a\nb": "int"}, AssertionError),
        ("mds", {1: "int"}, ConfigError),
    ],
)
def test_bad_columns(format: str, columns: dict[Any, Any], kind: type[Exception]) -> None:
    with pytest.raises(kind) as caught:
        make_shard_encoder(format, columns=columns)
    assert isinstance(caught.value, ConfigError)


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "rar"},
        {"hashes": ["crc"]},
        {"hashes": ["xxh64", "sha1"]},
        {"hashes": ["sha1", "sha1"]},
        {"size_limit": -1},
        {"size_limit": 1 << 32},
        {"size_limit": "4gb"},
        {"size_limit": "big"},
    ],
)
def test_bad_options(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        make_shard_encoder("mds", columns={}, **options)


@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("xsv", {}),
        ("xsv", {"separator": ""}),
        ("csv", {"separator": "|"}),
        ("csv", {"newline": ""}),
        ("json", {"newline": None}),
    ],
)
def test_bad_line_options(format: str, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        make_shard_encoder(format, columns={"a": "int"}, **options)


def test_unknown_format() -> None:
    with pytest.raises(UnknownNameError, match="Known: csv, json, mds, tsv, xsv"):
        make_shard_encoder("parquet", columns={})
    assert set(formats) == {"csv", "json", "mds", "tsv", "xsv"}


@pytest.mark.parametrize("limit", [0, None])
def test_no_limit(limit: int | None) -> None:
    fields = make_shard_encoder("mds", columns={}, size_limit=limit, compression="").index_fields()
    assert fields["size_limit"] is None
    assert fields["compression"] is None


@pytest.mark.parametrize("format", ["json", "csv"])
def test_bad_values_of_lines(format: str) -> None:
    encoder = make_shard_encoder(format, columns={"a": "int", "b": "str", "c": "float"})
    good = {"a": 1, "b": "x", "c": 1.5}
    with pytest.raises(MissingColumnError, match="'b'"):
        encoder.encode_sample({"a": 1, "c": 1.5})
    for bad in ({"a": "1"}, {"a": 1.5}, {"a": np.int64(1)}, {"b": 1}, {"b": None}, {"c": 1}):
        with pytest.raises(ColumnTypeError, match=f"Column '{next(iter(bad))}'"):
            encoder.encode_sample({**good, **bad})
    assert encoder.encode_sample({**good, "c": math.nan})


@pytest.mark.parametrize("value", ["a,b", "a\nb", ","])
def test_separator_in_value(value: str) -> None:
    encoder = make_shard_encoder("csv", columns={"a": "str"})
    with pytest.raises(SeparatorInValueError, match="no quoting") as caught:
        encoder.encode_sample({"a": value})
    assert isinstance(caught.value, AssertionError)


class Huge(bytes):
    """Bytes that claim to be long, to reach limits without the memory."""

    def __len__(self) -> int:
        return 1 << 31


@pytest.mark.parametrize("format", ["mds", "json"])
def test_no_shard_past_32_bits(format: str) -> None:
    encoder = make_shard_encoder(format, columns={"a": "str"}, size_limit=None)
    with pytest.raises(ShardTooLargeError, match="Set a size_limit"):
        encoder.encode_shard([Huge(), Huge()])


def test_offsets() -> None:
    assert layout.encode_offsets([b"ab", b"", b"c"], 10) == struct.pack("<5I", 3, 10, 12, 12, 13)
    assert layout.encode_offsets([], 8) == struct.pack("<2I", 0, 8)


def test_unsafe_columns() -> None:
    fields = make_shard_encoder("mds", columns={"a": "pkl", "b": "str"}).index_fields()
    assert schema_of(fields).unsafe_columns == ("a",)
