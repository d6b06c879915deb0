"""Tables of Delta and Iceberg at a version, and directories that say what their rows have."""

from __future__ import annotations

import json
import struct
import uuid
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyroaring import BitMap64

import streaming
from streaming import StreamingDataset, convert
from streaming.cache.fetching.config import FetchConfig
from streaming.cli.main import main
from streaming.core.errors import ConfigError, EmptyDatasetError, SourceError
from streaming.inplace import cutting
from streaming.inplace.opening import open_source_files
from streaming.sources.kinds.parquet import Parquet
from streaming.storage.location import Location
from streaming.storage.registry import open_store

from copies import Later
from servers import S3Server

deltalake = Later("deltalake")
pl = Later("polars")


def rows_of(first: int, count: int) -> Any:
    ids = range(first, first + count)
    return pa.table(
        {"id": pa.array(ids), "text": [f"text {i}" for i in ids], "lang": [("de", "en")[i % 2] for i in ids]}
    )


@pytest.fixture
def delta(tmp_path: Path) -> Path:
    """A table of three versions: written, added to with another column, and some rows deleted."""
    place = tmp_path / "table"
    deltalake.write_deltalake(place, rows_of(0, 20), partition_by=["lang"])
    more = rows_of(20, 10).append_column("score", pa.array([i / 4 for i in range(10)]))
    deltalake.write_deltalake(place, more, mode="append", schema_mode="merge")
    deltalake.DeltaTable(place).delete("id < 4")
    return place


def _giving(value: Any) -> Callable[[Any], Any]:
    def give(self: Any) -> Any:
        del self
        return value

    return give


def converted(remote: Path | str, out: Path, version: int | None = None, **more: Any) -> list[dict[str, Any]]:
    """The rows of a table, once they are written as a dataset."""
    convert(remote, out, version=version, workers=0, exist_ok=True, **more)
    return by_id(StreamingDataset(local=out, batch_size=1)[:])


def by_id(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: row["id"])


def test_versions_of_a_delta_table(delta: Path, tmp_path: Path) -> None:
    local = tmp_path / "c"
    for version in (0, 1, 2, None):
        dataset = StreamingDataset(remote=delta, format="delta", version=version, local=local, batch_size=1)
        own = deltalake.DeltaTable(delta, version=version).to_pyarrow_table().to_pylist()
        assert by_id(dataset[:]) == converted(f"delta+{delta}", tmp_path / "out", version) == by_id(own)
    assert len(own) == 26
    from deltalake.schema import ArrayType, Field, PrimitiveType

    lists = ArrayType(PrimitiveType("integer"), contains_null=True)
    deltalake.DeltaTable(delta).alter.add_columns([Field("note", PrimitiveType("string")), Field("numbers", lists)])
    dataset = StreamingDataset(remote=delta, format="delta", local=local, batch_size=1)
    assert by_id(dataset[:]) == by_id(deltalake.DeltaTable(delta).to_pyarrow_table().to_pylist())
    assert dataset.filter("note is null").size == 26
    assert converted(delta, tmp_path / "out", format="delta") == by_id(dataset[:])
    for given, words in (({"labels": "x"}, "labels='x' is not for tables"), ({"version": 9}, "at version 9")):
        with pytest.raises(ConfigError, match=words):
            convert(f"delta+{delta}", tmp_path / "out", **given)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigError, match="version is that of a table"):
        converted(f"{delta}/lang=de/*.parquet", tmp_path / "out", 1)
    some = StreamingDataset(remote=f"delta+{delta}", columns=["lang", "id"], local=local, batch_size=1)
    assert list(some[0]) == ["lang", "id"]
    with pytest.raises(ConfigError, match="at version 9"):
        StreamingDataset(remote=delta, format="delta", version=9, local=local, batch_size=1)
    with pytest.raises(ConfigError, match="must be a number"):
        StreamingDataset(remote=delta, format="delta", version="new", local=local, batch_size=1)


def test_a_delta_table_in_a_store(delta: Path, s3: S3Server, tmp_path: Path) -> None:
    root = s3.create_bucket()
    store = open_store(root)
    for path in delta.rglob("*"):
        if path.is_file():
            store.put(f"lake/table/{path.relative_to(delta)}", str(path))
    dataset = StreamingDataset(remote=f"delta+{root}/lake/table", version=1, local=tmp_path / "c", batch_size=1)
    assert by_id(dataset[:]) == by_id(deltalake.DeltaTable(delta, version=1).to_pyarrow_table().to_pylist())
    assert main(["convert", f"delta+{root}/lake/table", f"{root}/out", "--at", "1", "-j", "1"]) == 0
    assert by_id(StreamingDataset(remote=f"{root}/out", local=tmp_path / "d", batch_size=1)[:]) == by_id(dataset[:])
    with pytest.raises(EmptyDatasetError, match="no _delta_log"):
        StreamingDataset(remote=f"delta+{root}/lake/none", local=tmp_path / "c", batch_size=1)


DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"


def z85(data: bytes) -> str:
    data += bytes(-len(data) % 4)
    words = [word for (word,) in struct.iter_unpack(">I", data)]
    return "".join(DIGITS[word // 85**power % 85] for word in words for power in (4, 3, 2, 1, 0))


def vector_of(place: Path, kind: str, rows: list[int]) -> dict[str, Any]:
    """Write which rows are deleted as the protocol of Delta Lake has it, and return what the log says of that."""
    data = struct.pack("<I", 1681511377) + BitMap64(rows).serialize()
    told: dict[str, Any] = {"storageType": kind, "sizeInBytes": len(data), "cardinality": len(rows)}
    if kind == "i":  # inline
        return {**told, "pathOrInlineDv": z85(data)}
    name, prefix, others = uuid.uuid4(), "ab" if kind == "u" else "", b"of another file"
    (place / prefix).mkdir(exist_ok=True)
    path = place / prefix / f"deletion_vector_{name}.bin"
    size, checksum = struct.pack(">I", len(data)), struct.pack(">I", zlib.crc32(data))
    path.write_bytes(b"\x01" + others + size + data + checksum)
    where = prefix + z85(name.bytes) if kind == "u" else f"file://{path}"
    return {**told, "pathOrInlineDv": where, "offset": 1 + len(others)}


def test_rows_that_a_vector_deletes(tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """No writer at hand leaves vectors, but several readers know them."""
    monkeypatch.setattr(cutting, "SHARD_BYTES", 1000)
    monkeypatch.setattr(cutting, "_WHOLE_BYTES", 1000)
    place = tmp_path / "table"
    (place / "_delta_log").mkdir(parents=True)
    features = ["deletionVectors"]
    schema = {"type": "struct", "fields": [{"name": "id", "type": "long", "nullable": True, "metadata": {}}]}
    lines: list[dict[str, Any]] = [
        {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": features, "writerFeatures": features}},
        {
            "metaData": {
                "id": "5d1f", "format": {"provider": "parquet", "options": {}}, "createdTime": 0,
                "schemaString": json.dumps(schema), "partitionColumns": [],
                "configuration": {"delta.enableDeletionVectors": "true"},
            }
        },
    ]  # fmt: skip
    deleted = {"u": [0, 1, 5, 300, 399], "i": [3, 4], "p": list(range(100, 350)), "n": []}
    for number, (kind, rows) in enumerate(deleted.items()):
        path = place / f"{kind}.parquet"
        pq.write_table(pa.table({"id": range(400 * number, 400 * number + 400)}), path, row_group_size=137)
        add: dict[str, Any] = {
            "path": path.name,
            "partitionValues": {},
            "size": path.stat().st_size,
            "modificationTime": 1,
        }
        add |= {"dataChange": True, "stats": json.dumps({"numRecords": 400, "tightBounds": False})}
        lines.append({"add": {**add, "deletionVector": vector_of(place, kind, rows)} if rows else add})
    (place / "_delta_log" / f"{0:020}.json").write_text("".join(json.dumps(line) + "\n" for line in lines))
    expected = [400 * n + i for n, rows in enumerate(deleted.values()) for i in range(400) if i not in rows]
    assert sorted(pl.scan_delta(str(place)).collect()["id"].to_list()) == expected
    query = deltalake.QueryBuilder().register("t", deltalake.DeltaTable(place)).execute("SELECT id FROM t")
    assert sorted(pa.table(query).column("id").to_pylist()) == expected
    arguments: Any = {"batch_size": 1, "local": tmp_path / "c"}
    dataset = StreamingDataset(remote=f"delta+{place}", **arguments)
    assert len(dataset.samples_per_shard) > 8
    assert [row["id"] for row in by_id(dataset[:])] == expected
    assert [row["id"] for row in converted(f"delta+{place}", tmp_path / "out")] == expected
    assert dataset.filter("id >= 800 AND id < 1200").size == 150
    opened = open_source_files(Location.parse(str(place)), str(tmp_path / "d"), FetchConfig(), format="delta")
    for shard in range(len(dataset.samples_per_shard)):
        for row in range(int(dataset.samples_per_shard[shard])):
            number, value = divmod(dataset[int(dataset.sample_offset_per_shard[shard]) + row]["id"], 400)
            kind = list(deleted)[number]
            assert opened.recipe.place(shard, row, lambda _: None) == f"{place}/{kind}.parquet, row {value}"
    root = s3.create_bucket()
    store = open_store(root)
    for path in place.rglob("*.*"):
        if path.is_file():
            store.put(f"table/{path.relative_to(place)}", str(path))
    arguments["local"] = tmp_path / "e"
    assert [row["id"] for row in by_id(StreamingDataset(remote=f"delta+{root}/table", **arguments)[:])] == expected
    (place / "ab").rename(place / "cd")
    with pytest.raises(ConfigError, match="is no table of Delta that can be read: .*deletion_vector"):
        StreamingDataset(remote=f"delta+{place}", **arguments)


def mapped(place: Path, nested: bool = False) -> None:
    """Write a table whose columns have other names in files, as Databricks does; no writer at hand makes one."""
    fields = [("id", "long", "col-1"), ("text", "string", "col-2"), ("lang", "string", "col-3")]
    columns: list[dict[str, Any]] = [
        {
            "name": name,
            "type": kind,
            "nullable": True,
            "metadata": {"delta.columnMapping.id": number, "delta.columnMapping.physicalName": own},
        }
        for number, (name, kind, own) in enumerate(fields, 1)
    ]
    if nested:
        told = {"delta.columnMapping.id": 4, "delta.columnMapping.physicalName": "col-4"}
        inner = {"name": "inner", "type": "string", "nullable": True, "metadata": told}
        columns[1]["type"] = {"type": "struct", "fields": [inner]}
    metadata = {
        "id": "5d1f", "format": {"provider": "parquet", "options": {}}, "createdTime": 0,
        "schemaString": json.dumps({"type": "struct", "fields": columns}), "partitionColumns": ["lang"],
        "configuration": {"delta.columnMapping.mode": "name", "delta.columnMapping.maxColumnId": "3"},
    }  # fmt: skip
    lines: list[dict[str, Any]] = [{"protocol": {"minReaderVersion": 2, "minWriterVersion": 5}}, {"metaData": metadata}]
    (place / "_delta_log").mkdir(parents=True)
    for number, lang in enumerate(("de", "en")):
        ids = range(10 * number, 10 * number + 10)
        pq.write_table(pa.table({"col-1": ids, "col-2": [f"text {i}" for i in ids]}), place / f"{lang}.parquet")
        size = (place / f"{lang}.parquet").stat().st_size
        add = {"path": f"{lang}.parquet", "partitionValues": {"col-3": lang}, "size": size, "modificationTime": 1}
        lines.append({"add": {**add, "dataChange": True}})
    log = "".join(json.dumps(line) + "\n" for line in lines)
    (place / "_delta_log" / f"{0:020}.json").write_text(log)


def test_names_that_a_delta_table_maps(tmp_path: Path) -> None:
    mapped(tmp_path / "table")
    dataset = StreamingDataset(remote=f"delta+{tmp_path}/table", local=tmp_path / "c", batch_size=1)
    expected = [{"id": i, "text": f"text {i}", "lang": ("de", "en")[i // 10]} for i in range(20)]
    assert by_id(dataset[:]) == expected == converted(f"delta+{tmp_path}/table", tmp_path / "out")
    assert by_id(dataset.filter("lang = 'en' and text > 'text 15'")[:]) == expected[16:]
    mapped(tmp_path / "nested", nested=True)
    with pytest.raises(ConfigError, match="'text' has columns within"):
        StreamingDataset(remote=f"delta+{tmp_path}/nested", local=tmp_path / "c", batch_size=1)


def test_snapshots_of_an_iceberg_table(tmp_path: Path) -> None:
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.table import StaticTable
    from pyiceberg.types import DoubleType, StringType

    warehouse = tmp_path / "house"
    warehouse.mkdir()
    catalog = SqlCatalog("c", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{warehouse}")
    catalog.create_namespace("web")
    table = catalog.create_table("web.pages", schema=rows_of(0, 1).schema)
    table.append(rows_of(0, 20))
    with table.update_schema() as change:
        change.add_column("score", DoubleType())
    table.append(rows_of(20, 2).append_column("score", pa.array([0.5, 0.25])))
    table.delete("id = 5")
    table.refresh()
    arguments: Any = {"remote": f"iceberg+{warehouse}/web/pages", "local": tmp_path / "c", "batch_size": 1}
    assert by_id(StreamingDataset(**arguments)[:]) == by_id(table.scan().to_arrow().to_pylist())
    first = table.metadata.snapshots[0].snapshot_id
    assert by_id(StreamingDataset(**arguments, version=first)[:]) == rows_of(0, 20).to_pylist()
    assert converted(arguments["remote"], tmp_path / "out", first) == rows_of(0, 20).to_pylist()
    with pytest.raises(ConfigError, match="has no snapshot 7; it has"):
        StreamingDataset(**arguments, version=7)
    with table.update_schema() as change:
        change.rename_column("text", "body")
    table.append(pa.table({"id": [22], "body": ["new"], "lang": ["de"], "score": [1.0]}))
    table.refresh()
    assert by_id(StreamingDataset(**arguments)[:]) == by_id(table.scan().to_arrow().to_pylist())
    assert converted(arguments["remote"], tmp_path / "out") == by_id(table.scan().to_arrow().to_pylist())
    with table.update_schema() as change:
        change.delete_column("lang")
        change.add_column("lang", DoubleType())  # another one
    table.refresh()
    table.append(pa.table({"id": [23], "body": ["newer"], "score": [1.0], "lang": [0.5]}))
    table.refresh()
    renewed = StreamingDataset(**arguments, columns=["lang", "body", "id"])
    assert by_id(renewed[:]) == by_id(table.scan(selected_fields=("lang", "body", "id")).to_arrow().to_pylist())
    with table.update_schema() as change:
        change.add_column("late", StringType())
        change.add_column("told", StringType())
    table.refresh()
    assert by_id(StreamingDataset(**arguments)[:]) == by_id(table.scan().to_arrow().to_pylist())
    metadata = json.loads(Path(table.metadata_location.removeprefix("file://")).read_text())
    for field in metadata["schemas"][-1]["fields"]:  # which no writer at hand writes
        if field["name"] == "told":
            field["initial-default"] = "a default"
    newer = warehouse / "web" / "pages" / "metadata" / "00099-x.metadata.json"
    newer.write_text(json.dumps(metadata | {"format-version": 3, "next-row-id": 0}))
    found = by_id(StreamingDataset(**arguments)[:])
    assert found == by_id(StaticTable.from_metadata(str(newer)).scan().to_arrow().to_pylist())
    assert {(row["late"], row["told"]) for row in found} == {(None, "a default")}


def test_columns_within_that_a_table_has_now(tmp_path: Path) -> None:
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.types import StringType

    (tmp_path / "house").mkdir()
    catalog = SqlCatalog("c", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{tmp_path}/house")
    catalog.create_namespace("web")
    rows = pa.table({"id": range(4), "who": [{"a": i, "b": [{"c": i}]} if i % 2 else None for i in range(4)]})
    table = catalog.create_table("web.pages", schema=rows.schema)
    table.append(rows)
    with table.update_schema() as change:
        change.add_column(("who", "name"), StringType())
        change.add_column(("who", "b", "d"), StringType())
        change.delete_column(("who", "b", "c"))
    table.refresh()
    remote = f"iceberg+{tmp_path}/house/web/pages"
    found = by_id(StreamingDataset(remote=remote, local=tmp_path / "c", batch_size=1)[:])
    assert found == by_id(table.scan().to_arrow().to_pylist()) == converted(remote, tmp_path / "out")
    assert found[1]["who"] == {"a": 1, "b": [{"d": None}], "name": None}


def delete_rows(table: Any, content: str, deleted: bytes, suffix: str = "parquet") -> None:
    """Have a file of a table say which rows are deleted; the writer at hand writes data anew instead."""
    from pyiceberg.manifest import (
        DataFile,
        DataFileContent,
        FileFormat,
        ManifestContent,
        ManifestEntry,
        ManifestEntryStatus,
        ManifestWriterV2,
        write_manifest_list,
    )
    from pyiceberg.typedef import Record

    class Writer(ManifestWriterV2):
        def content(self) -> ManifestContent:
            return ManifestContent.DELETES

        @property
        def _meta(self) -> dict[str, str]:
            return {**super()._meta, "content": "deletes"}

    place, last = table.metadata.location, table.current_snapshot()
    number, sequence = last.snapshot_id + 1, last.sequence_number + 1
    path = f"{place}/data/deletes-{content}.{suffix}"
    Path(path.removeprefix("file://")).write_bytes(deleted)
    file = DataFile.from_args(
        content=DataFileContent[content], file_path=path, file_format=FileFormat[suffix.upper()], partition=Record(),
        record_count=2, file_size_in_bytes=len(deleted), equality_ids=[1] if content == "EQUALITY_DELETES" else None,
    )  # fmt: skip
    file.spec_id = 0
    added = ManifestEntry.from_args(status=ManifestEntryStatus.ADDED, snapshot_id=number, data_file=file)
    output = table.io.new_output(f"{place}/metadata/{content}.avro")
    with Writer(table.spec(), table.schema(), output, number, "null") as writer:
        writer.add_entry(added)
    listed = f"{place}/metadata/list-{content}.avro"
    with write_manifest_list(2, table.io.new_output(listed), number, last.snapshot_id, sequence, "null") as manifests:
        manifests.add_manifests([*last.manifests(table.io), writer.to_manifest_file()])
    metadata = json.loads(Path(table.metadata_location.removeprefix("file://")).read_text())
    snapshot = {
        **metadata["snapshots"][-1],
        "snapshot-id": number,
        "sequence-number": sequence,
        "manifest-list": listed,
    }
    changed = {"snapshots": [*metadata["snapshots"], snapshot], "current-snapshot-id": number, "refs": {}}
    text = json.dumps({**metadata, **changed, "last-sequence-number": sequence})
    Path(f"{place}/metadata/00099-x.metadata.json".removeprefix("file://")).write_text(text)


def puffin(vectors: dict[str, list[int]]) -> bytes:
    """A file of vectors of deleted rows, as Iceberg's format 3 has them."""
    data, blobs = b"PFA1", list[dict[str, Any]]()
    for path, rows in vectors.items():
        vector = struct.pack("<I", 1681511377) + BitMap64(rows).serialize()
        blob = struct.pack(">I", len(vector)) + vector + struct.pack(">I", zlib.crc32(vector))
        told = {"referenced-data-file": path, "cardinality": str(len(rows))}
        place = {
            "offset": len(data),
            "length": len(blob),
            "fields": [2147483645],
            "snapshot-id": -1,
            "sequence-number": -1,
        }
        blobs.append({"type": "deletion-vector-v1", **place, "properties": told})
        data += blob
    footer = json.dumps({"blobs": blobs}).encode()
    return data + b"PFA1" + footer + struct.pack("<I", len(footer)) + bytes(4) + b"PFA1"


def test_rows_that_another_file_deletes(tmp_path: Path) -> None:
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.table import StaticTable

    catalog = SqlCatalog("c", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{tmp_path}")
    catalog.create_namespace("web")
    table = catalog.create_table("web.pages", schema=rows_of(0, 1).schema)
    table.append(rows_of(0, 20))
    table.append(rows_of(20, 10))
    tasks = sorted(table.scan().plan_files(), key=lambda task: -task.file.record_count)
    files = [task.file.file_path for task in tasks]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"file_path": [files[0], files[0], files[1]], "pos": [3, 7, 0]}), sink)
    arguments: Any = {"remote": f"iceberg+{tmp_path}/web/pages", "local": tmp_path / "c", "batch_size": 1}
    delete_rows(table, "POSITION_DELETES", sink.getvalue().to_pybytes())
    own = StaticTable.from_metadata(str(tmp_path / "web" / "pages" / "metadata" / "00099-x.metadata.json"))
    rows = by_id(own.scan().to_arrow().to_pylist())
    assert len(rows) == 27
    dataset = StreamingDataset(**arguments)
    assert by_id(dataset[:]) == rows == converted(arguments["remote"], tmp_path / "out")
    assert dataset.filter("lang = 'de'").size == sum(row["lang"] == "de" for row in rows)
    delete_rows(table, "EQUALITY_DELETES", b"")
    with pytest.raises(ConfigError, match="web/pages cannot be read: .*equality deletes.* Have its engine rewrite"):
        StreamingDataset(**arguments)
    vectors = {files[0]: [0, 2, 19], files[1]: [3]}
    delete_rows(table, "POSITION_DELETES", puffin(vectors), "puffin")
    own = StaticTable.from_metadata(str(tmp_path / "web" / "pages" / "metadata" / "00099-x.metadata.json"))
    rows = by_id(own.scan().to_arrow().to_pylist())
    assert [row["id"] for row in rows] == [i for i in range(30) if i not in (0, 2, 19, 23)]
    assert by_id(StreamingDataset(**arguments)[:]) == rows == converted(arguments["remote"], tmp_path / "out")
    delete_rows(table, "POSITION_DELETES", b"PFA1", "puffin")
    with pytest.raises(
        SourceError, match=r"deletes-POSITION_DELETES\.puffin cannot be read as vectors of deleted rows"
    ):
        StreamingDataset(**arguments)


def test_the_files_of_a_table_are_not_taken_for_its_rows(delta: Path, s3: S3Server, tmp_path: Path) -> None:
    arguments: Any = {"local": tmp_path / "c", "batch_size": 1}
    root = s3.create_bucket()
    for path in delta.rglob("*.*"):
        open_store(root).put(f"lake/table/{path.relative_to(delta)}", str(path))
    for place in (str(delta), f"{root}/lake/table"):
        with pytest.raises(
            ConfigError, match=r"table is a table of Delta Lake: .* rows that were deleted\. Open it by"
        ):
            StreamingDataset(remote=place, format="parquet", **arguments)
        with pytest.raises(ConfigError, match="is a table of Delta Lake"):
            streaming.convert(place, tmp_path / "out")
        with pytest.warns(UserWarning, match="is a table of Delta Lake"):
            assert len(StreamingDataset(remote=f"{place}/**/*.parquet", schema="union", **arguments)) > 26
    with pytest.raises(ConfigError, match="is a table of Delta Lake"):
        streaming.convert(delta, tmp_path / "out")
    rows = StreamingDataset(remote=f"delta+{delta}", **arguments)
    streaming.write(rows, tmp_path / "out")
    assert StreamingDataset(local=tmp_path / "out", batch_size=1)[:] == rows[:]


def test_a_clone_of_a_delta_table(tmp_path: Path) -> None:
    """No writer at hand makes one: its log names files of another table."""
    mapped(tmp_path / "table")
    log = tmp_path / "table" / "_delta_log" / f"{0:020}.json"
    log.write_text(log.read_text().replace('"path": "en.parquet"', '"path": "s3://other/table/en.parquet"'))
    with pytest.raises(SourceError, match=r"a file elsewhere \(s3://other/table/en\.parquet\), as clones have"):
        StreamingDataset(remote=f"delta+{tmp_path}/table", local=tmp_path / "c", batch_size=1)


def test_tables_are_looked_into_at_a_version(delta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = tmp_path / "found"
    assert main(["index", f"delta+{delta}", "--at", "1", "--out", str(found)]) == 0
    monkeypatch.delattr(Parquet, "scan")  # nobody looks again
    arguments: Any = {"remote": f"delta+{delta}", "version": 1, "index": found, "local": tmp_path / "c"}
    assert len(StreamingDataset(**arguments, batch_size=1)) == 30


def test_looked_into_once_for_every_machine(
    s3: S3Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = s3.create_bucket()
    pq.write_table(rows_of(0, 30), tmp_path / "t.parquet")
    store = open_store(root)
    for number in range(3):
        store.put(f"lake/{number}.parquet", str(tmp_path / "t.parquet"))
    assert main(["index", f"{root}/lake/*.parquet", "--out", f"{root}/found"]) == 0
    assert "3 files with 90 rows" in capsys.readouterr().out
    arguments: Any = {"remote": f"{root}/lake/*.parquet", "local": tmp_path / "c", "batch_size": 1}
    with pytest.raises(ConfigError, match="streaming index URL --out"):
        StreamingDataset(**arguments, index=f"{root}/nothing")
    with monkeypatch.context() as patched:
        patched.delattr(Parquet, "scan")  # nobody looks again
        dataset = StreamingDataset(**arguments, index=f"{root}/found")
    assert len(dataset[:]) == 90
    pq.write_table(rows_of(0, 20), tmp_path / "t.parquet")
    for name in ("0", "3"):
        store.put(f"lake/{name}.parquet", str(tmp_path / "t.parquet"))
    store.delete("lake/1.parquet")
    arguments["local"] = tmp_path / "d"
    with pytest.warns(UserWarning, match=r"0\.parquet was written again.*3\.parquet is new; 1\.parquet is gone.*--out"):
        assert len(StreamingDataset(**arguments, index=f"{root}/found")) == 70
    assert main(["index", str(tmp_path), "--out", str(tmp_path / "x")]) != 0


def test_what_there_is_no_choice_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make_dataset: Callable[..., str]
) -> None:
    files = tmp_path / "lake" / "train"
    files.mkdir(parents=True)
    pq.write_table(rows_of(0, 3), files / "t.parquet")
    out = ["--out", str(tmp_path / "found")]
    for place in (f"{files}/*.parquet", f"{files}/t.parquet"):
        for name, words in (("config", "no configurations"), ("split", "no splits")):
            assert main(["index", place, f"--{name}", "train", *out]) != 0
            assert f"{name}='train': {place} has {words} to choose from" in capsys.readouterr().err
            given: Any = {name: "train"}
            with pytest.raises(ConfigError, match=words):
                StreamingDataset(remote=place, local=tmp_path / "c", batch_size=1, **given)
    assert main(["index", f"delta+{tmp_path}/lake", "--config", "train", *out]) != 0
    assert main(["index", str(tmp_path / "lake"), "--format", "parquet", "--split", "train", *out]) == 0
    arguments: Any = {"remote": tmp_path / "lake", "format": "parquet", "split": "train", "index": tmp_path / "found"}
    assert len(StreamingDataset(**arguments, local=tmp_path / "c", batch_size=1)) == 3
    for name, value in (("config", "a"), ("version", 3), ("index", out[1])):
        with pytest.raises(ConfigError, match=f"{name}=.* is for files of others"):
            StreamingDataset(local=make_dataset(10, exist_ok=True), batch_size=1, **{name: value})  # pyright: ignore


@pytest.mark.parametrize("write", ["polars", "pyarrow"])
def test_directories_say_what_rows_have(tmp_path: Path, write: str) -> None:
    place = tmp_path / "lake"
    table = rows_of(0, 30).append_column("year", pa.array([2020 + i % 3 for i in range(30)]))
    if write == "polars":
        frame: Any = pl.from_arrow(table)
        frame.write_parquet(pl.PartitionBy(place, key=["lang", "year"]) if hasattr(pl, "PartitionBy") else place)
    else:
        import pyarrow.dataset as ds

        ds.write_dataset(
            table,
            place,
            format="parquet",
            partitioning=ds.partitioning(flavor="hive", schema=table.select(["lang", "year"]).schema),
        )
    found = StreamingDataset(remote=f"{place}/**/*.parquet", local=tmp_path / "c", batch_size=1)[:]
    assert by_id(found) == [{name: row[name] for name in found[0]} for row in table.to_pylist()]
    assert {"lang", "year"} <= set(found[0])
    only = StreamingDataset(remote=place, format="parquet", columns=["year"], local=tmp_path / "c", batch_size=1)
    assert sorted(row["year"] for row in only[:]) == sorted(row["year"] for row in found)


def test_directories_that_do_not_say_the_same(tmp_path: Path) -> None:
    for name in ("a=1/b=2/0.parquet", "a=1/1.parquet"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows_of(0, 2), tmp_path / name)
    with pytest.warns(
        UserWarning, match=r"tell a= of a=1/1\.parquet, and a=, b= of a=1/b=2/0\.parquet: no columns are made"
    ):
        dataset = StreamingDataset(remote=f"{tmp_path}/**/*.parquet", local=tmp_path / "c", batch_size=1)
    assert list(dataset[0]) == ["id", "text", "lang"]


def test_large_row_groups_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "SHARD_BYTES", 2000)
    monkeypatch.setattr(cutting, "_WHOLE_BYTES", 4000)
    table = pa.table({"id": range(1000), "numbers": [[i] * (i % 4) for i in range(1000)]})
    table = table.append_column("none", pa.nulls(1000)).append_column("s", pa.array([None, {"a": 1}] * 500))
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=700, use_dictionary=False)
    dataset = StreamingDataset(remote=tmp_path / "t.parquet", local=tmp_path / "c", batch_size=1)
    assert max(dataset.samples_per_shard) < 300
    rows = dataset[:]
    assert [(row["id"], row["numbers"].tolist(), row["none"], row["s"]) for row in rows] == [
        (i, [i] * (i % 4), None, {"a": 1} if i % 2 else None) for i in range(1000)
    ]
    assert dataset[777]["id"] == 777
    place = tmp_path / "other"
    deltalake.write_deltalake(place, table.select(["id"]))
    (file,) = deltalake.DeltaTable(place).file_uris()
    masks = pa.table({"filepath": [file], "selection_vector": [[i % 7 == 0 for i in range(1000)]]})
    monkeypatch.setattr(deltalake.DeltaTable, "deletion_vectors", _giving(masks))
    left = StreamingDataset(remote=place, format="delta", local=tmp_path / "d", batch_size=1)
    assert len(left.samples_per_shard) > 1
    assert [row["id"] for row in left[:]] == list(range(0, 1000, 7))
