"""Files of side columns: where they lie, fetched once, and only with the dataset that they are of."""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from streaming.columns.opening import open_columns
from streaming.columns.parquet import ROWS_PER_GROUP, Facts, write_columns, write_tables
from streaming.core.errors import ConfigError, ObjectNotFoundError, StorageError
from streaming.storage.registry import open_store

from servers import S3Server

DIGEST, OTHER = bytes(range(16)), bytes(16)


def test_facts_are_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "columns.parquet"
    write_columns(path, {"n": [1, 2]}, DIGEST, {"n": "len(tokens)"})
    facts = Facts.parse(pq.read_metadata(path).metadata)
    assert facts is not None
    assert (facts.index, facts.samples, dict(facts.columns)) == (DIGEST.hex(), 2, {"n": "len(tokens)"})
    assert facts.version


def test_another_version_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "columns.parquet"
    write_columns(path, {"n": [1, 2], "age": [1, 2]}, OTHER, {"n": "len(tokens)", "age": "age"})
    with pytest.raises(ConfigError) as caught:
        open_columns(path, "", DIGEST, 3)
    for told in (str(path), OTHER.hex()[:12], DIGEST.hex()[:12], "2 samples", "--columns 'n=len(tokens),age'"):
        assert told in str(caught.value)


def test_a_file_of_somebody_else_is_taken_if_its_rows_fit(tmp_path: Path) -> None:
    path = tmp_path / "mine.parquet"
    pq.write_table(pa.table({"age": [1, 2, 3]}), path)
    assert open_columns(path, "", DIGEST, 3).where("age > 1").tolist() == [False, True, True]
    with pytest.raises(ConfigError, match="3 rows, and the dataset has 4 samples"):
        open_columns(path, "", DIGEST, 4)


def test_a_damaged_footer_is_told(tmp_path: Path) -> None:
    path = tmp_path / "columns.parquet"
    write_columns(path, {"age": [1, 2, 3]}, DIGEST)
    whole = path.read_bytes()
    size = int.from_bytes(whole[-8:-4], "little")
    for at in range(0, size, max(1, size // 12)):
        for value in (b"\xff", b"\0\0\0\0"):
            place = len(whole) - 8 - size + at
            path.write_bytes(whole[:place] + value + whole[place + len(value) :])
            with suppress(ConfigError):  # or, where it tells nothing that is needed, read
                open_columns(path, "", DIGEST, 3).where("age > 1")


@pytest.mark.parametrize("data", [b"", b"PAR1", b"no parquet at all", b"x" * 100 + b"\xff\xff\xff\x7fPAR1"])
def test_what_is_no_parquet_is_told(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "columns.parquet"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match="is no Parquet file"):
        open_columns(path, "", DIGEST, 3)
    with pytest.raises(ObjectNotFoundError, match="streaming index"):
        open_columns(tmp_path / "none.parquet", "", DIGEST, 3)


def test_a_large_footer_is_read(tmp_path: Path) -> None:
    path = tmp_path / "wide.parquet"
    write_columns(path, {f"column_{i}": [i] for i in range(2000)}, DIGEST)
    assert len(open_columns(path, "", DIGEST, 1).names) == 2000


@pytest.mark.apart
def test_tables_of_any_size_become_even_row_groups(tmp_path: Path) -> None:
    path = str(tmp_path / "columns.parquet")
    sizes = [1, 0, ROWS_PER_GROUP - 1, 5, 2 * ROWS_PER_GROUP, 7]
    ends = np.cumsum(sizes)
    tables = [pa.table({"i": np.arange(end - size, end)}) for size, end in zip(sizes, ends, strict=True)]
    write_tables(path, tables[0].schema, tables, Facts("", int(ends[-1]), {}))
    metadata = pq.read_metadata(path)
    groups = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    assert groups == [ROWS_PER_GROUP] * 3 + [12]
    assert pq.read_table(path)["i"].to_numpy().tolist() == list(range(ends[-1]))
    with pytest.raises(ConfigError, match="rows of side columns"):
        write_tables(str(tmp_path / "short.parquet"), tables[0].schema, tables, Facts("", 1, {}))
    assert os.listdir(tmp_path) == ["columns.parquet"]


def remote_file(bucket: str, tmp_path: Path, values: list[int]) -> str:
    path = tmp_path / "made.parquet"
    write_columns(path, {"age": values}, DIGEST)
    open_store(bucket).put("data/columns.parquet", str(path))
    return f"{bucket}/data/columns.parquet"


def test_a_remote_file_is_fetched_once_and_again_when_it_is_another(s3: S3Server, bucket: str, tmp_path: Path) -> None:
    url, cache = remote_file(bucket, tmp_path, [1, 2]), str(tmp_path / "cache")
    first = open_columns(url, cache, DIGEST, 2)
    fetched = os.stat(first.path)
    assert open_columns(url, cache, DIGEST, 2) == first
    assert os.stat(first.path).st_ino == fetched.st_ino
    assert first.where("age = 2").tolist() == [False, True]
    remote_file(bucket, tmp_path, [2, 1])
    assert open_columns(url, cache, DIGEST, 2).where("age = 2").tolist() == [True, False]
    assert first.where("age = 2").tolist() == [False, True]  # whoever holds the old one keeps it
    assert all(name.startswith(".streaming-columns-") and name.endswith(".parquet") for name in os.listdir(cache))


def test_what_was_fetched_is_used_while_the_store_is_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, cache = f"fsspec+file://{tmp_path}/there/columns.parquet", str(tmp_path / "cache")
    write_columns(tmp_path / "made.parquet", {"age": [1, 2]}, DIGEST)
    (tmp_path / "there").mkdir()
    shutil.copy(tmp_path / "made.parquet", tmp_path / "there" / "columns.parquet")
    first = open_columns(url, cache, DIGEST, 2)
    store = type(open_store(f"fsspec+file://{tmp_path}/there"))

    def head(*_: Any) -> None:
        raise StorageError("out of reach")

    monkeypatch.setattr(store, "head", head)
    with caplog.at_level(logging.WARNING):
        assert open_columns(url, cache, DIGEST, 2, retries=0) == first
    assert "fetched before" in caplog.text
    with pytest.raises(StorageError):
        open_columns(url, str(tmp_path / "elsewhere"), DIGEST, 2, retries=0)


def _open(url: str, cache: str, queue: Any) -> None:
    columns = open_columns(url, cache, DIGEST, 100_000)
    queue.put((columns.path, os.stat(columns.path).st_ino, int(columns.where("age < 10").sum())))


def test_many_processes_fetch_it_once(s3: S3Server, bucket: str, tmp_path: Path) -> None:
    url, cache = remote_file(bucket, tmp_path, list(range(100_000))), str(tmp_path / "cache")
    context = multiprocessing.get_context("spawn")  # a fork server that is there already knows nothing of this store
    queue = context.Queue()
    processes = [context.Process(target=_open, args=(url, cache, queue)) for _ in range(4)]
    for process in processes:
        process.start()
    found = {queue.get(timeout=120) for _ in processes}
    for process in processes:
        process.join(60)
    assert len(found) == 1
    assert next(iter(found))[2] == 10
    assert len(os.listdir(cache)) == 1
