"""Parquet, trained from where it lies: every value, any world, and only the bytes that are wanted."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from datetime import date
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as encryption
import pytest

from streaming import MDSWriter, Stream, StreamingDataLoader, StreamingDataset, convert
from streaming.core.errors import ConfigError, EmptyDatasetError, ShardUnavailableError, SourceError
from streaming.inplace import cutting
from streaming.sources.kinds import parquet
from streaming.storage.registry import open_store

from servers import S3Server, web_server

Table = Any


def table_of(first: int, count: int) -> Table:
    """A table with a column of every simple type, with and without missing values."""
    ids = range(first, first + count)
    return pa.table(
        {
            "id": pa.array(ids),
            "small": pa.array([i % 100 for i in ids], pa.int8()),
            "unsigned": pa.array(ids, pa.uint32()),
            "ratio": pa.array([i / 7 for i in ids], pa.float32()),
            "half": np.array([i % 9 for i in ids], np.float16),
            "odd": pa.array([i % 2 == 1 for i in ids]),
            "text": pa.array([f"number {i} é" * (i % 5) for i in ids]),
            "large": pa.array([f"{i}" for i in ids], pa.large_string()),
            "blob": pa.array([bytes([i % 256]) * (i % 200) for i in ids]),
            "maybe": pa.array([None if i % 3 == 0 else i for i in ids], pa.int16()),
            "perhaps": pa.array([None if i % 4 == 0 else f"x{i}" for i in ids]),
            "unsure": pa.array([None if i % 5 == 0 else i % 2 == 0 for i in ids]),
            "label": pa.array([("cat", "dog", None)[i % 3] for i in ids]).dictionary_encode(),
            "price": pa.array([Decimal(i) / 100 for i in ids], pa.decimal128(12, 2)),
            "nested": pa.array([{"a": i, "b": [str(i), None]} for i in ids]),
        }
    )


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Three files of several row groups, as an engine leaves them."""
    place = tmp_path / "lake"
    place.mkdir()
    for number in range(3):
        pq.write_table(
            table_of(number * 100, 50 + 2 * (number == 2)), place / f"part-{number}.parquet", row_group_size=20
        )
    (place / "_SUCCESS").touch()
    return place


def rows_of(lake: Path) -> list[dict[str, Any]]:
    return [row for path in sorted(lake.glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def test_every_value_is_that_of_its_own_reader(lake: Path, tmp_path: Path) -> None:
    dataset = StreamingDataset(remote=f"{lake}/*.parquet", local=tmp_path / "cache", batch_size=1)
    assert dataset[:] == rows_of(lake)
    assert list(dataset) == rows_of(lake)
    assert (tmp_path / "cache").exists()
    assert not list(lake.glob(".*"))


def test_a_directory_and_some_of_the_columns(lake: Path, tmp_path: Path) -> None:
    local = tmp_path / "cache"
    dataset = StreamingDataset(remote=lake, format="parquet", columns=["text", "id"], local=local, batch_size=1)
    assert dataset[:] == [{"text": row["text"], "id": row["id"]} for row in rows_of(lake)]
    columns = ["id", "ratio", "odd", "text"]
    dataset = StreamingDataset(remote=lake, format="parquet", columns=columns, local=local, batch_size=4)
    batch = next(iter(StreamingDataLoader(dataset, batch_size=4)))
    assert batch["id"].tolist() == [0, 1, 2, 3]


def test_small_pieces_are_one_shard_and_large_ones_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streaming.inplace.cutting.SHARD_BYTES", 1 << 20)
    monkeypatch.setattr("streaming.inplace.cutting._WHOLE_BYTES", 2 << 20)
    lake = tmp_path / "lake"
    lake.mkdir()
    big = pa.table({"id": range(300), "blob": [os.urandom(1 << 14)] * 150 + [b""] * 150})
    pq.write_table(big, lake / "big.parquet", row_group_size=75, use_dictionary=False)
    for i in range(20):
        pq.write_table(pa.table({"id": [i], "blob": [b"x"]}), lake / f"small-{i:02}.parquet")
    dataset = StreamingDataset(remote=f"{lake}/*.parquet", local=tmp_path / "cache", batch_size=1)
    assert dataset.samples_per_shard.tolist() == [75, 75, 170]
    assert [row["id"] for row in dataset[:]] == [*range(300), *range(20)]


WORLDS = [(1, 0), (1, 2), (2, 0), (2, 1), (3, 0), (4, 0), (6, 0), (12, 0)]
MORE_WORLDS = [pytest.param(size, 2, marks=pytest.mark.long) for size in (2, 3, 4, 6, 12)]


@pytest.mark.parametrize(("world", "workers"), WORLDS + MORE_WORLDS)
def test_the_same_batches_in_any_world(lake: Path, tmp_path: Path, world: int, workers: int) -> None:
    def batches(size: int, workers: int) -> list[list[int]]:
        found: list[list[int]] = []
        for rank in range(size):
            arguments: Any = {"data_parallel_rank": rank, "data_parallel_size": size, "num_canonical_nodes": 1}
            arguments.update(remote=f"{lake}/*.parquet", local=tmp_path / "cache", columns=["id", "text"])
            dataset = StreamingDataset(**arguments, shuffle=True, batch_size=12 // size)
            loader = StreamingDataLoader(dataset, batch_size=12 // size, num_workers=workers)
            for step, batch in enumerate(loader):
                found += [[]] * (step + 1 - len(found))
                found[step] = found[step] + batch["id"].tolist()
        # Ranks fill up a last batch that is short.
        return [sorted(batch if step + 1 < len(found) else set(batch)) for step, batch in enumerate(found)]

    alone = batches(1, 0)
    assert batches(world, workers) == alone
    assert max(map(max, alone)) == 251


def test_resumed_in_mid_epoch_and_elsewhere(lake: Path, tmp_path: Path) -> None:
    arguments: Any = {"remote": f"{lake}/*.parquet", "local": tmp_path / "cache", "columns": ["id"], "shuffle": True}
    whole = [
        batch["id"].tolist() for batch in StreamingDataLoader(StreamingDataset(**arguments, batch_size=4), batch_size=4)
    ]
    loader = StreamingDataLoader(StreamingDataset(**arguments, batch_size=4), batch_size=4, num_workers=2)
    batches = iter(loader)
    seen = [next(batches)["id"].tolist() for _ in range(7)]
    state = loader.state_dict()
    assert state is not None
    rest: dict[int, list[int]] = {}
    for rank in range(2):
        dataset = StreamingDataset(**arguments, batch_size=2, data_parallel_rank=rank, data_parallel_size=2)
        loader = StreamingDataLoader(dataset, batch_size=2)
        loader.load_state_dict(state)
        for step, batch in enumerate(loader):
            rest[step] = rest.get(step, []) + batch["id"].tolist()
    assert seen == whole[:7]
    assert [sorted(batch) for batch in rest.values()] == [sorted(batch) for batch in whole[7:]]


def test_mixed_with_other_formats(lake: Path, tmp_path: Path, make_dataset: Callable[..., str]) -> None:
    remote = make_dataset(60)
    parquet = Stream(remote=f"{lake}/*.parquet", local=tmp_path / "p", columns=["id", "text"], proportion=2)
    shards = Stream(remote=remote, local=tmp_path / "m", proportion=1)
    dataset = StreamingDataset(streams=[parquet, shards], epoch_size=90, batch_size=3, shuffle=True)
    samples = list(dataset)
    assert (len(samples), sum("text" in sample for sample in samples)) == (90, 90)
    view = dataset.take(40).map(sorted)
    assert len(list(view)) == view.epoch_size


def test_only_what_is_wanted_is_fetched(s3: S3Server, tmp_path: Path) -> None:
    root = s3.create_bucket()
    rng = np.random.default_rng(0)
    table = pa.table({f"c{i}": rng.random(40_000) for i in range(10)})
    path = tmp_path / "t.parquet"
    pq.write_table(table, path, row_group_size=10_000, compression="zstd")
    store = open_store(root)
    for number in range(3):
        store.put(f"lake/t-{number}.parquet", str(path))
    dataset = StreamingDataset(remote=f"{root}/lake/*.parquet", columns=["c3"], local=tmp_path / "cache", batch_size=1)
    assert [sample["c3"] for sample in dataset[:40_000]] == table.column("c3").to_pylist()
    assert len(list(dataset)) == 120_000
    footer = pq.read_metadata(path)
    chunks = 3 * sum(footer.row_group(g).column(3).total_compressed_size for g in range(footer.num_row_groups))
    assert dataset.stats()["bytes_fetched"] <= 1.15 * chunks


def test_names_with_dots(s3: S3Server, tmp_path: Path) -> None:
    root = s3.create_bucket()
    wide = ["x" * 400 + str(i) for i in range(400)]  # more than comes with the footer
    inside = [{"c": i, "d": [i]} for i in range(400)]
    table = pa.table({"a.b": wide, "a": inside, "a.c.d": wide[::-1], "e.f": inside})
    pq.write_table(table, tmp_path / "x.parquet", use_dictionary=False, compression="none")
    open_store(root).put("x.parquet", str(tmp_path / "x.parquet"))
    rows = table.to_pylist()
    for number, names in enumerate((None, ["a"], ["a.b", "e.f"], ["a.c.d"])):
        cache = str(tmp_path / str(number))
        dataset = StreamingDataset(remote=f"{root}/x.parquet", local=cache, batch_size=4, columns=names)
        for i in (0, 7, 399):
            assert dataset[i] == {name: value for name, value in rows[i].items() if names is None or name in names}


def test_a_small_file_does_not_come_twice(s3: S3Server, lake: Path, tmp_path: Path) -> None:
    root = s3.create_bucket()
    for path in lake.glob("*.parquet"):
        open_store(root).put(f"lake/{path.name}", str(path))
    arguments: dict[str, Any] = {"local": tmp_path / "cache", "batch_size": 1, "columns": ["id", "text"]}
    dataset = StreamingDataset(remote=f"{root}/lake/*.parquet", **arguments)
    assert dataset[:] == [{name: row[name] for name in ("id", "text")} for row in rows_of(lake)]
    assert dataset.stats()["bytes_fetched"] == 0  # all of it came when it was looked into


@pytest.mark.parametrize("end", [1 << 9, 1 << 16])
def test_requests_for_files_that_are_far_away(
    lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: int
) -> None:
    monkeypatch.setattr(parquet, "_TAIL_BYTES", end)
    monkeypatch.setattr(parquet.Parquet, "end_bytes", end)
    with web_server() as web:
        for path in lake.glob("*.parquet"):
            web.objects[f"b/lake/{path.name}"] = path.read_bytes()
        options = {"endpoint": web.url, "access_key_id": "a", "secret_access_key": "b"}
        arguments: dict[str, Any] = {"local": tmp_path / "cache", "batch_size": 1, "storage_options": options}
        dataset = StreamingDataset(remote="s3://b/lake/part-{0..2}.parquet", **arguments)
        # One for its size, one for its end, and another for the rest of a footer that is longer.
        assert len(web.requests) == 3 * (2 if end > 1 << 10 else 3)
        assert dataset[:] == rows_of(lake)


def test_the_file_that_is_damaged_is_named(lake: Path, tmp_path: Path) -> None:
    with web_server() as web:
        for path in lake.glob("*.parquet"):
            web.objects[f"b/lake/{path.name}"] = path.read_bytes()
        web.objects["b/lake/part-1.parquet"] = web.objects["b/lake/part-1.parquet"][:-20]
        options = {"endpoint": web.url, "access_key_id": "a", "secret_access_key": "b"}
        arguments: dict[str, Any] = {"local": tmp_path / "cache", "batch_size": 1, "storage_options": options}
        with pytest.raises(SourceError, match=r"s3://b/lake/part-1.parquet is no Parquet file, or is cut off"):
            StreamingDataset(remote="s3://b/lake/part-{0..2}.parquet", **arguments)


@pytest.mark.apart
def test_evicted_and_made_again(lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "SHARD_BYTES", 1 << 22)
    for number in range(3, 9):
        big = table_of(number * 100, 40).set_column(8, "blob", pa.array([bytes(1 << 16)] * 40))
        pq.write_table(big, lake / f"part-{number}.parquet", use_dictionary=False)
    dataset = StreamingDataset(
        remote=f"{lake}/*.parquet", local=tmp_path / "cache", cache_limit="11mb", shuffle=True, batch_size=1
    )
    for _ in range(2):
        assert sorted(sample["id"] for sample in dataset) == sorted(row["id"] for row in rows_of(lake))
    assert dataset.stats()["evictions"] > 0


# -- what changes --------------------------------------------------------------------------------


def test_a_file_that_was_changed_is_looked_at_again(lake: Path, tmp_path: Path) -> None:
    arguments: Any = {"remote": f"{lake}/*.parquet", "local": tmp_path / "cache", "batch_size": 1}
    assert len(StreamingDataset(**arguments)[:]) == 152
    pq.write_table(table_of(500, 33), lake / "part-1.parquet")
    with pytest.warns(UserWarning, match=r"part-1\.parquet was written again \([\d,]+ bytes before, [\d,]+ now\)"):
        dataset = StreamingDataset(**arguments)
    assert [row["id"] for row in dataset[50:83]] == list(range(500, 533))
    assert len(StreamingDataset(**arguments)) == 135


@pytest.mark.parametrize("kind", ["another size", "the same size", "a copy", "mds"])
def test_a_checkpoint_of_files_that_were_replaced(
    lake: Path, tmp_path: Path, kind: str, make_dataset: Callable[..., str]
) -> None:
    remote = f"{lake}/*.parquet"
    if kind == "mds":
        remote = make_dataset(num_samples=40)
    dataset = StreamingDataset(remote=remote, local=tmp_path / "a", batch_size=2)
    assert len(list(islice(dataset, 8))) == 8
    state = dataset.state_dict(8)
    words = "names, sizes or hashes of the files differ"
    name = lake / "part-1.parquet"
    if kind == "another size":
        pq.write_table(table_of(500, 50), name, row_group_size=20)
    elif kind == "the same size":
        name.write_bytes(name.read_bytes())
        words = "written again, with the same names and sizes"
    elif kind == "a copy":
        remote = f"{shutil.copytree(lake, tmp_path / 'copy', copy_function=shutil.copyfile)}/*.parquet"
    else:
        with MDSWriter(columns={"text": "str"}, out=remote, exist_ok=True) as out:
            for i in range(40):
                out.write({"text": "something else" * i})
    dataset = StreamingDataset(remote=remote, local=tmp_path / "b", batch_size=2)
    with nullcontext() if kind == "a copy" else pytest.warns(UserWarning, match=words):
        dataset.load_state_dict(state)
    assert len(list(dataset)) == len(dataset) - 8
    dataset.load_state_dict({key: value for key, value in state.items() if key != "files"})  # of who knew nothing of it


def test_a_file_that_changes_in_mid_run_is_not_served(lake: Path, tmp_path: Path) -> None:
    dataset = StreamingDataset(remote=f"{lake}/*.parquet", local=tmp_path / "cache", batch_size=1, download_retry=0)
    pq.write_table(table_of(500, 50), lake / "part-1.parquet", row_group_size=20)
    with pytest.raises(ShardUnavailableError, match=r"part-1\.parquet"):
        dataset[60]


# -- what is wrong -------------------------------------------------------------------------------


def test_what_is_no_parquet_is_named(lake: Path, tmp_path: Path) -> None:
    whole = (lake / "part-1.parquet").read_bytes()
    arguments: Any = {"remote": f"{lake}/*.parquet", "local": tmp_path / "cache", "batch_size": 1}
    for broken, words in ((whole[:-100], "cut off"), (b"x" * 50, "no Parquet"), (whole[:-4] + b"PARE", "encrypted")):
        (lake / "part-1.parquet").write_bytes(broken)
        with pytest.raises(SourceError, match=rf"part-1\.parquet .*{words}"):
            StreamingDataset(**arguments)
    damaged = bytearray(whole)
    damaged[4:3000] = bytes(2996)
    (lake / "part-1.parquet").write_bytes(damaged)
    with pytest.raises(SourceError, match=r"part-1\.parquet"):
        StreamingDataset(**arguments)[:]


def test_a_column_that_is_encrypted(tmp_path: Path) -> None:
    """The footer is not, and Arrow would end the process when it looks at the column."""

    class Keys(encryption.KmsClient):
        def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> bytes:
            del master_key_identifier
            return key_bytes

        def unwrap_key(self, wrapped_key: bytes, master_key_identifier: str) -> bytes:
            del master_key_identifier
            return wrapped_key

    def client(config: Any) -> Any:
        del config
        return Keys()

    told = encryption.EncryptionConfiguration("footer", column_keys={"key": ["text"]}, plaintext_footer=True)
    factory = encryption.CryptoFactory(client)
    properties = factory.file_encryption_properties(encryption.KmsConnectionConfig(), told)
    table = table_of(0, 5).select(["id", "text"])
    with pq.ParquetWriter(tmp_path / "x.parquet", table.schema, encryption_properties=properties) as writer:
        writer.write_table(table)
    with pytest.raises(SourceError, match=r"x\.parquet is encrypted"):
        StreamingDataset(remote=tmp_path / "x.parquet", columns=["id"], local=tmp_path / "cache", batch_size=1)


def test_columns_of_one_name_and_files_that_are_empty(tmp_path: Path) -> None:
    arguments: Any = {"remote": f"{tmp_path}/*.parquet", "local": tmp_path / "cache", "batch_size": 1}
    twice = pa.Table.from_arrays([pa.array([1]), pa.array(["a"])], names=["c", "c"])
    pq.write_table(twice, tmp_path / "x.parquet")
    with pytest.raises(SourceError, match=r"x\.parquet has two columns 'c'"):
        StreamingDataset(**arguments)
    within = pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    pq.write_table(pa.table({"c": within}), tmp_path / "x.parquet")
    arguments["local"] = tmp_path / "within"
    with pytest.raises(ConfigError, match=r"Column 'c' is struct<a: int64, a: int64>, and no encoding holds it"):
        StreamingDataset(**arguments)
    pq.write_table(table_of(0, 3), tmp_path / "x.parquet")
    (tmp_path / "y.parquet").touch()
    arguments["local"] = tmp_path / "other"
    with pytest.raises(SourceError, match=r"y\.parquet is no Parquet file, or is cut off: its 0 bytes"):
        StreamingDataset(**arguments)


def test_a_page_whose_checksum_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(
        pa.table({"id": range(100)}), path, compression="none", use_dictionary=False, write_page_checksum=True
    )
    data = bytearray(path.read_bytes())
    data[data.index((77).to_bytes(8, "little"))] ^= 1
    path.write_bytes(data)
    with pytest.raises(SourceError, match=r"x\.parquet .*CRC"):
        StreamingDataset(remote=path, local=tmp_path / "cache", batch_size=1)[:]


def test_a_stream_of_arrow_that_has_no_end(tmp_path: Path) -> None:
    table, path = pa.table({"id": range(10)}), tmp_path / "x.arrow"
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table)
    path.write_bytes(path.read_bytes()[:-8])  # as of a writer that was killed
    with pytest.warns(UserWarning, match=r"x\.arrow has no mark at its end: it may be cut off"):
        assert len(StreamingDataset(remote=path, local=tmp_path / "cache", batch_size=1)) == 10
    path.write_bytes(b"FEA1" + bytes(99) + b"FEA1")
    with (
        pytest.warns(UserWarning, match="was written again|no mark"),
        pytest.raises(SourceError, match=r"x\.arrow .*It is of Feather's first version: write it again"),
    ):
        StreamingDataset(remote=path, local=tmp_path / "cache", batch_size=1)


def test_truth_values_of_a_byte(tmp_path: Path) -> None:
    values = pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, 0, None], pa.int8()))
    pq.write_table(pa.table({"yes": values}), tmp_path / "x.parquet")
    found = StreamingDataset(remote=tmp_path / "x.parquet", local=tmp_path / "cache", batch_size=1)[:]
    assert [row["yes"] for row in found] == [True, False, None]


def test_lists_in_which_values_are_missing(tmp_path: Path) -> None:
    day = date(2026, 1, 2)
    columns = {
        "numbers": [[1, None], [], None, [2]],
        "days": [[day], None, [None, day], []],
        "blobs": [[b"x", None], [b""]] * 2,
    }
    table = pa.table({**columns, "pairs": pa.array([[1, None], None, [3, 4], [5, 6]], pa.list_(pa.int8(), 2))})
    pq.write_table(table, tmp_path / "x.parquet")
    feather.write_feather(table, tmp_path / "x.arrow")
    for name in ("x.parquet", "x.arrow"):
        rows = StreamingDataset(remote=tmp_path / name, local=tmp_path / "cache", batch_size=1)[:]
        found = [{n: v.tolist() if isinstance(v, np.ndarray) else v for n, v in row.items()} for row in rows]
        assert found == table.to_pylist()


def test_files_that_differ(lake: Path, tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1, 2], "new": ["a", "b"]}), lake / "part-9.parquet")
    arguments: Any = {"remote": f"{lake}/*.parquet", "local": tmp_path / "cache", "batch_size": 1}
    with pytest.raises(
        SourceError, match=r"part-9\.parquet has 'new', which .*part-0\.parquet has not.* schema='union'"
    ):
        StreamingDataset(**arguments)
    both = StreamingDataset(**arguments, schema="union", columns=["id", "new", "text"])
    assert both[-1] == {"id": 2, "new": "b", "text": None}
    assert both[0] == {"id": 0, "new": None, "text": ""}
    pq.write_table(pa.table({"id": ["text"]}), lake / "part-9.parquet")
    arguments["local"] = tmp_path / "other"
    with pytest.raises(SourceError, match=r"do not go together: column 'id' is int64 in part-0\.parquet, and .*part-9"):
        StreamingDataset(**arguments, schema="union")
    with pytest.raises(ConfigError, match="schema must be 'same' or 'union', got 'any'"):
        StreamingDataset(**arguments, schema="any")  # pyright: ignore[reportArgumentType]


def test_nothing_there(lake: Path, tmp_path: Path) -> None:
    arguments: Any = {"local": tmp_path / "cache", "batch_size": 1}
    with pytest.raises(EmptyDatasetError, match=r"no files at .*\*\.parq"):
        StreamingDataset(remote=f"{lake}/*.parq", **arguments)
    with pytest.raises(ConfigError, match="no column 'txet'"):
        StreamingDataset(remote=f"{lake}/*.parquet", columns=["txet"], **arguments)
    (lake / "notes.csv").write_text("x")
    with pytest.raises(ConfigError, match="several formats"):
        StreamingDataset(remote=f"{lake}/*.*", **arguments)
    with pytest.raises(ConfigError, match="Unknown source format 'parket'"):
        StreamingDataset(remote=lake, format="parket", **arguments)
    with pytest.raises(ConfigError, match="braces"):
        StreamingDataset(remote=f"{lake}/part-{{0..2.parquet", **arguments)


def test_no_index_but_files_of_others(
    lake: Path, tmp_path: Path, s3: S3Server, make_dataset: Callable[..., str]
) -> None:
    root = s3.create_bucket()
    for path in lake.iterdir():
        open_store(root).put(f"lake/{path.name}", str(path))
    make_dataset(10, "parts/train")
    (tmp_path / "none").mkdir()
    for name in ("x.bin", "x.jpg"):
        (tmp_path / name).write_bytes(b"x")
    for given, words in (
        (
            {"remote": lake},
            r"index\.json .*What lies there looks like parquet: to train from it, give format='parquet'\.$",
        ),
        ({"remote": f"{root}/lake"}, r"index\.json .*looks like parquet: to train from it, give format='parquet'\.$"),
        ({"local": lake}, r"give format='parquet'\. Give it as `remote`\.$"),
        ({"local": f"{lake}/*.parquet"}, "Files of other formats are given as `remote`"),
        ({"remote": tmp_path / "parts"}, r"Datasets lie below it: train\. Name one, as by split='train'\.$"),
        (
            {"remote": tmp_path / "x.bin"},
            r"a file whose name tells no format\. If it is one of these, .* parquet, text",
        ),
        ({"remote": tmp_path / "x.jpg"}, r"a file: give the folder that it is in, and format='folder'\.$"),
        ({"remote": tmp_path / "none"}, r"once its writer has finished\.$"),
    ):
        arguments: Any = {"local": tmp_path / "c", **given}
        with pytest.raises(EmptyDatasetError, match=words):
            StreamingDataset(**arguments, batch_size=1)


def test_braces_and_ranges(lake: Path, tmp_path: Path) -> None:
    arguments: Any = {"local": tmp_path / "cache", "batch_size": 1}
    assert len(StreamingDataset(remote=f"{lake}/part-{{0..1}}.parquet", **arguments)[:]) == 100
    assert [r["id"] for r in StreamingDataset(remote=f"{lake}/part-{{2,0}}.parquet", **arguments)[:2]] == [200, 201]
    assert len(StreamingDataset(remote=f"{lake}/part-[!1].parquet", **arguments)[:]) == 102
    assert len(StreamingDataset(remote=f"{lake}/**/part-?.parquet", **arguments)[:]) == 152
    with pytest.raises(FileNotFoundError):
        StreamingDataset(remote=f"{lake}/part-{{2..3}}.parquet", **arguments)
    (lake / ".copies").mkdir()
    for name in (".copies/part-0.parquet", "._part-0.parquet"):
        shutil.copy(lake / "part-0.parquet", lake / name)
    for pattern, count in (
        ("**/part-?.parquet", 152),
        ("**/*.parquet", 152),
        ("*.parquet", 152),
        ("**/part*", 152),
        (".c*/*.parquet", 50),
    ):
        assert len(StreamingDataset(remote=f"{lake}/{pattern}", **arguments)) == count


def test_directories_that_no_name_is_in_are_not_gone_through(
    lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("deep/deeper/deepest", "_delta_log"):
        (lake / name).mkdir(parents=True)
    (lake / "_delta_log" / f"{0:020}.json").touch()
    shutil.copy(lake / "part-0.parquet", lake / "deep" / "x.parquet")
    entered: list[str] = []
    scandir = os.scandir

    def enter(path: Any) -> Any:
        entered.append(str(path))
        return scandir(path)

    monkeypatch.setattr("os.scandir", enter)
    with pytest.warns(UserWarning, match="is a table of Delta Lake"):
        dataset = StreamingDataset(remote=f"{lake}/*.parquet", local=tmp_path / "c", batch_size=1)
    assert len(dataset) == 152
    assert not [path for path in entered if "deep" in path]
    with pytest.warns(UserWarning, match="is a table of Delta Lake"):
        assert len(StreamingDataset(remote=f"{lake}/*/*.parquet", local=tmp_path / "d", batch_size=1)) == 50
    assert not [path for path in entered if "deepest" in path]


@pytest.mark.parametrize("name", ["x[1]", "{x}", "s*r", "q?", "a b%20#é"])
def test_names_that_look_like_patterns(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / name
    place.mkdir()
    for number, each in enumerate((name, "star", "x1")):  # which a pattern would find as well
        pq.write_table(pa.table({"id": [number]}), place / f"{each}.parquet")
    directory = tmp_path / f"{name}.parquet"
    directory.mkdir()
    pq.write_table(pa.table({"id": [7]}), directory / "part-0.parquet")
    monkeypatch.chdir(tmp_path)
    for number, (remote, ids) in enumerate(
        (
            (f"{place}/{name}.parquet", [0]),
            (f"{name}/{name}.parquet", [0]),
            (str(directory), [7]),
            (f"{place}/*.parquet", [0, 1, 2]),
            (f"{place}/{{star,x1}}.parquet", [1, 2]),
        )
    ):
        dataset = StreamingDataset(remote=remote, local=tmp_path / f"c{number}", batch_size=1)
        assert sorted(row["id"] for row in dataset[:]) == ids
        assert convert(remote, tmp_path / "out", workers=0, exist_ok=True).samples == len(ids)


def test_directories_are_what_they_are(lake: Path, tmp_path: Path, make_dataset: Callable[..., str]) -> None:
    odd = make_dataset(20, name="run[1]{a}")
    assert len(StreamingDataset(remote=odd, local=tmp_path / "o", batch_size=1)[:]) == 20
    spark = lake.rename(tmp_path / "table.parquet")
    found = StreamingDataset(remote=spark, local=tmp_path / "c", batch_size=1)[:]
    assert [row["id"] for row in found] == [row["id"] for row in rows_of(spark)]


def test_a_table_of_several_objects(s3: S3Server, tmp_path: Path) -> None:
    root = s3.create_bucket()
    pq.write_table(table_of(0, 10), tmp_path / "t.parquet")
    for name in ("part-0", "part-1"):
        open_store(root).put(f"table.parquet/{name}.parquet", str(tmp_path / "t.parquet"))
    open_store(root).put("table.parquet/_SUCCESS", b"")
    dataset = StreamingDataset(remote=f"{root}/table.parquet", local=tmp_path / "c", batch_size=1)
    assert [row["id"] for row in dataset[:]] == [*range(10), *range(10)]


def test_a_condition_over_the_columns_of_files(s3: S3Server, tmp_path: Path) -> None:
    """Of files in a store, the columns that it names come, once, whether samples have them or not."""
    root = s3.create_bucket()
    store = open_store(root)
    for part in range(3):
        ids = range(1000 * part, 1000 * (part + 1))
        table = pa.table(
            {"id": ids, "lang": [("de", "en", None)[i % 3] for i in ids], "blob": [os.urandom(500) for _ in ids]}
        )
        pq.write_table(table, tmp_path / "t.parquet", row_group_size=300)
        store.put(f"lake/{part}.parquet", str(tmp_path / "t.parquet"))
    arguments: Any = {"remote": f"{root}/lake/*.parquet", "local": tmp_path / "c", "batch_size": 1}
    dataset = StreamingDataset(**arguments, columns=["id"])
    chosen = dataset.filter("lang = 'de' and ID >= 1500")
    assert [row["id"] for row in chosen[:]] == [i for i in range(1500, 3000) if not i % 3]
    assert len(dataset.filter("sample_id < 7")) == 7
    with pytest.raises(ConfigError, match=r"lake/\*\.parquet has no column 'land'.*Did you mean 'lang'"):
        dataset.filter("land = 'de'")
    kept = sum(path.stat().st_size for path in (tmp_path / "c").rglob(".streaming-columns-*.parquet"))
    assert kept < 100_000
    with pytest.raises(ConfigError, match="no side columns"):
        StreamingDataset(
            streams=[Stream(remote=arguments["remote"], side_columns=f"{root}/none.parquet", where="id < 5")]
        )
    for path in ("0", "1", "2"):
        store.delete(f"lake/{path}.parquet")
    assert len(dataset.filter("lang = 'de' and id >= 1500")) == len(chosen)


_ENDS = """
import os, sys, threading, time
from pathlib import Path
from streaming.cache.fetching.config import FetchConfig
from streaming.cache.fetching.fetch import FetchStats
from streaming.inplace.opening import open_source_files
from streaming.storage.location import Location

place, cache = sys.argv[1:]
directory = open_source_files(Location.parse(place), cache, FetchConfig())
threading.Thread(target=directory.fetch, args=(0, time.sleep, FetchStats()), daemon=True).start()
while not any(os.path.exists(path) and os.path.getsize(path) for path in Path(cache).glob("*.mds*")):
    time.sleep(0.001)
"""


def test_a_process_that_ends_while_a_shard_is_made(tmp_path: Path) -> None:
    table = pa.table({"id": range(100_000), "text": [f"{i} of many" for i in range(100_000)]})
    pq.write_table(table, tmp_path / "x.parquet")
    command = [sys.executable, "-c", _ENDS, str(tmp_path / "x.parquet"), str(tmp_path / "cache")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert [path.suffix for path in (tmp_path / "cache").glob("*.mds*")] == [".mds"]
