"""Some columns of a dataset: the same values as of all, nothing else decoded, unknown names refused at once."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming import (
    CSVWriter,
    JSONWriter,
    LocalDataset,
    MDSWriter,
    Stream,
    StreamingDataLoader,
    StreamingDataset,
    merge_index,
)
from streaming.core.errors import ConfigError, ShardFormatError, StreamingError, UnsafeTypeError
from streaming.format.formats import formats, get_decoder, make_shard_encoder
from streaming.format.index import Index
from streaming.format.samples.schema import Schema

COLUMNS = {"a": "int", "b": "str", "c": "float32", "d": "ndarray:uint16:3", "e": "bytes", "f": "uint8", "g": "str?"}
FIXED = {"a": "int", "b": "uint8", "c": "ndarray:float32:2", "d": "uint8", "e": "uint8", "f": "uint8", "g": "bool"}


def sample(i: int, columns: dict[str, str]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "int": i * 7,
        "str": f"text {i}" * (i % 3),
        "float32": np.float32(i / 4),
        "ndarray:uint16:3": np.arange(i, i + 3, dtype=np.uint16),
        "ndarray:float32:2": np.array([i, -i], np.float32),
        "bytes": bytes([i % 256]) * (i % 5),
        "uint8": np.uint8(i % 256),
        "str?": None if i % 2 else str(i),
        "bool": i % 3 == 0,
        "float": i / 8,
    }
    return {name: made[encoding] for name, encoding in columns.items()}


def write(out: Path, columns: dict[str, str], count: int = 100, kind: Any = MDSWriter, **options: Any) -> str:
    with kind(columns=columns, out=str(out), size_limit=1000, **options) as writer:
        for i in range(count):
            writer.write(sample(i, columns))
    return str(out)


def same(got: dict[str, Any], i: int, names: list[str], columns: dict[str, str]) -> None:
    wanted = sample(i, columns)
    assert list(got) == names
    for name in names:
        assert type(got[name]) is type(wanted[name])
        np.testing.assert_array_equal(got[name], wanted[name])


def mds_schema(columns: dict[str, str]) -> Schema:
    fields = make_shard_encoder("mds", columns=columns).index_fields()
    return Schema(
        "mds",
        tuple(fields["column_names"]),
        tuple(fields["column_encodings"]),
        tuple(fields["column_sizes"]),
        None,
        (),
        None,
        None,
        None,
    )


@pytest.mark.parametrize("columns", [COLUMNS, FIXED])
@given(names=st.lists(st.sampled_from("abcdefg"), min_size=1, unique=True), i=st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_any_columns_in_any_order(columns: dict[str, str], names: list[str], i: int) -> None:
    encoder = make_shard_encoder("mds", columns=columns)
    data = encoder.encode_sample(sample(i, columns))
    decoder = get_decoder(mds_schema(columns), tuple(names))
    same(decoder.decode(data), i, names, columns)
    if decoder.decode_rows is not None:
        rows = np.frombuffer(data, np.uint8)[None]
        (got,) = decoder.decode_rows(rows if decoder.taken is None else rows[:, decoder.taken])
        same(got, i, names, columns)
    for wrong in (data + b"x", data[:-1]):
        with pytest.raises((StreamingError, struct.error)):
            decoder.decode(wrong)


def test_no_columns_are_the_same_object_as_before() -> None:
    schema = mds_schema(COLUMNS)
    assert get_decoder(schema) is get_decoder(schema, None)
    assert get_decoder(schema, ("a",)) is get_decoder(schema, ("a",)) is not get_decoder(schema)


@pytest.mark.parametrize("columns", [COLUMNS, FIXED])
@pytest.mark.parametrize(
    ("names", "workers"), [(["d"], 1), (["f", "a"], 1), (["c", "b", "a"], 0), (list("gfedcba"), 0), (["e", "d"], 0)]
)
def test_every_way_to_read(tmp_path: Path, columns: dict[str, str], names: list[str], workers: int) -> None:
    local = write(tmp_path, columns)
    dataset: Any = StreamingDataset(local=local, columns=names, batch_size=16)
    for i in (0, 50, 99):
        same(dataset[i], i, names, columns)
        same(LocalDataset(local, columns=names)[i], i, names, columns)
        same(pickle.loads(pickle.dumps(dataset))[i], i, names, columns)
    for i, got in enumerate(dataset[list(range(100))]):
        same(got, i, names, columns)
    for i, got in enumerate(dataset):
        same(got, i, names, columns)
    if columns is COLUMNS and "g" in names:
        return  # PyTorch collates no None
    seen = 0
    plain: Any = StreamingDataset(local=local, batch_size=16)
    if columns is COLUMNS:
        plain = StreamingDataset(local=local, batch_size=16, columns=list("abcdef"))
    loader = StreamingDataLoader(dataset, batch_size=16, num_workers=workers)
    for batch, whole in zip(loader, StreamingDataLoader(plain, batch_size=16), strict=True):
        assert list(batch) == names
        for name in names:
            if isinstance(batch[name], torch.Tensor):
                assert batch[name].dtype == whole[name].dtype
                torch.testing.assert_close(batch[name], whole[name])
            else:
                assert batch[name] == whole[name]
        seen += len(batch[names[0]])
    assert seen == 100


@pytest.mark.parametrize("kind", [JSONWriter, CSVWriter])
def test_lines(tmp_path: Path, kind: Any) -> None:
    columns = {"a": "int", "b": "str", "c": "float"}
    local = write(tmp_path, columns, kind=kind)
    for i, got in enumerate(LocalDataset(local, columns=["c", "a"])[:]):
        same(got, i, ["c", "a"], columns)


def test_what_is_not_asked_for_is_not_decoded(tmp_path: Path) -> None:
    with CSVWriter(columns={"a": "str", "b": "str"}, out=str(tmp_path / "csv")) as writer:
        writer.write({"a": "no number", "b": "text"})
    index = tmp_path / "csv" / "index.json"
    index.write_text(index.read_text().replace('["str", "str"]', '["int", "str"]'))
    assert LocalDataset(str(tmp_path / "csv"), columns=["b"])[0] == {"b": "text"}
    with pytest.raises(ShardFormatError, match="no number"):
        LocalDataset(str(tmp_path / "csv"))[0]
    # An encoding that nobody registered here does not matter either.
    local = Path(write(tmp_path / "mds", {"a": "int", "b": "bytes"}, 3))
    index = local / "index.json"
    index.write_text(index.read_text().replace('"bytes"]', '"elsewhere"]'))
    assert LocalDataset(str(local), columns=["a"], allow_unsafe_types=True)[2] == {"a": 14}


def test_pickles_that_are_not_asked_for_are_safe(tmp_path: Path) -> None:
    with MDSWriter(columns={"a": "int", "p": "pkl"}, out=str(tmp_path)) as writer:
        writer.write({"a": 1, "p": {"x": 2}})
    local = str(tmp_path)
    assert LocalDataset(local, columns=["a"])[0] == {"a": 1}
    assert StreamingDataset(local=local, columns=["a"])[0] == {"a": 1}
    for columns in (None, ["p"], ["a", "p"]):
        with pytest.raises(UnsafeTypeError, match="p"):
            StreamingDataset(local=local, columns=columns)
    assert StreamingDataset(local=local, columns=["p"], allow_unsafe_types=True)[0] == {"p": {"x": 2}}


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ([], "is empty"),
        (["a", "b", "a"], "'a' more than once"),
        ("a", "a list of names"),
        ([1], "a list of names"),
        (["txet"], "no column 'txet'; there are 'a', 'b', 'text'. Did you mean 'text'?"),
        (["a", "zzz"], "no column 'zzz'"),
    ],
)
def test_wrong_columns_are_refused_at_once(tmp_path: Path, columns: Any, reason: str) -> None:
    with MDSWriter(columns={"a": "int", "b": "int", "text": "str"}, out=str(tmp_path)) as writer:
        writer.write({"a": 1, "b": 2, "text": "x"})
    for make in (
        lambda: StreamingDataset(local=str(tmp_path), columns=columns),
        lambda: StreamingDataset(streams=[Stream(local=str(tmp_path), columns=columns)]),
        lambda: LocalDataset(str(tmp_path), columns=columns),
    ):
        with pytest.raises(ConfigError, match=reason.replace("?", "\\?")):
            make()


def test_every_schema_must_have_them(tmp_path: Path) -> None:
    for name, columns in (("x", {"a": "int", "b": "int"}), ("y", {"a": "int", "b": "int"})):
        with MDSWriter(columns=columns, out=str(tmp_path / name)) as writer:
            writer.write({"a": 1, "b": 2})
    merge_index(str(tmp_path))
    index = tmp_path / "index.json"
    index.write_text(index.read_text().replace('["a", "b"]', '["a", "q"]', 1))
    assert len(Index.parse(index.read_bytes(), "").schemas) == 2
    assert StreamingDataset(local=str(tmp_path), columns=["a"]).size == 2
    with pytest.raises(ConfigError, match="Some shards .* have no column 'b'"):
        StreamingDataset(local=str(tmp_path), columns=["b"])


def test_streams_with_columns_of_their_own(tmp_path: Path) -> None:
    one, two = write(tmp_path / "1", COLUMNS, 10), write(tmp_path / "2", COLUMNS, 10)
    streams = [Stream(local=one, columns=["b"]), Stream(local=two)]
    dataset: Any = StreamingDataset(streams=streams, columns=["a", "f"], batch_size=4)
    same(dataset[3], 3, ["b"], COLUMNS)
    same(dataset[13], 3, ["a", "f"], COLUMNS)
    assert [list(got) for got in dataset[[0, 10, 1, 2, 3, 4]]] == [["b"], ["a", "f"], *[["b"]] * 4]
    assert streams[1].columns is None  # what was given stays as it is


def test_rows_of_one_size_from_far_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streaming.format.samples.rows._MOST_BYTES", 0)
    dataset: Any = LocalDataset(write(tmp_path, FIXED), columns=["d", "c"])
    for i, got in enumerate(dataset[:]):
        same(got, i, ["d", "c"], FIXED)


def test_a_great_many_columns(tmp_path: Path) -> None:
    columns = {f"c{i:04}": "str" if i % 2 else "int" for i in range(2100)}
    with MDSWriter(columns=columns, out=str(tmp_path)) as writer:
        writer.write({name: name if encoding == "str" else int(name[1:]) for name, encoding in columns.items()})
    assert LocalDataset(str(tmp_path), columns=["c2001", "c0004"])[0] == {"c2001": "c2001", "c0004": 4}


def test_formats_of_others(tmp_path: Path) -> None:
    local = write(tmp_path, {"a": "int", "b": "str"}, 3)
    kept = formats["mds"]
    formats["mds"] = type(kept)(kept.make_encoder, kept.compile_decoder)
    try:
        assert list(LocalDataset(local, columns=["b"])[0]) == ["b"]
    finally:
        formats["mds"] = kept


def test_a_bad_sample_is_replaced_by_one_of_the_same_columns(tmp_path: Path) -> None:
    local = Path(write(tmp_path, {"a": "int", "b": "str"}, 50))
    data = (local / "shard.00000.mds").read_bytes()
    at = data.index(b"text 4")
    (local / "shard.00000.mds").write_bytes(data[:at] + b"\xff" + data[at + 1 :])
    whole = StreamingDataset(local=str(local), columns=["b", "a"], batch_size=1, on_error="skip")
    assert [list(got) for got in whole] == [["b", "a"]] * 50
    assert whole.stats()["substituted_samples"] == 1
    spared = StreamingDataset(local=str(local), columns=["a"], batch_size=1, on_error="skip")
    assert [got["a"] for got in spared] == [i * 7 for i in range(50)]
