"""Where sources are: stores, patterns, the hub; and what is said where nothing tells what they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import streaming
from streaming import LocalDataset
from streaming.core.errors import ConfigError, EmptyDatasetError, ObjectNotFoundError
from streaming.sources import listing
from streaming.sources.registry import open_source
from streaming.storage.location import Location
from streaming.storage.registry import open_store

from hubs import hub_server
from servers import S3Server, WebServer, web_server


def table(first: int, count: int = 10) -> Any:
    return pa.table({"id": range(first, first + count), "text": [f"t{i}" for i in range(first, first + count)]})


def packed(first: int) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table(first), sink)
    return sink.getvalue().to_pybytes()


def ids(out: Path) -> list[int]:
    return [int(row["id"]) for row in LocalDataset(out)[:]]


def convert(source: Any, out: Path, **options: Any) -> Any:
    return streaming.convert(source, out, workers=0, progress_bar=False, **options)


def test_from_a_store_by_patterns(s3_session: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3_session.env.items():
        monkeypatch.setenv(name, value)
    bucket = s3_session.create_bucket()
    store = open_store(bucket)
    for i in range(3):
        store.put(f"lake/part-{i:03}.parquet", packed(10 * i))
        store.put(f"lines/{i}.jsonl", b"".join(json.dumps({"id": 10 * i + j}).encode() + b"\n" for j in range(10)))
    store.put("lake/_SUCCESS", b"")
    convert(f"{bucket}/lake", tmp_path / "all")
    assert ids(tmp_path / "all") == [*range(30)]
    convert(f"{bucket}/lake/part-{{000..001}}.parquet", tmp_path / "two")
    assert ids(tmp_path / "two") == [*range(20)]
    convert(f"{bucket}/lines/*.jsonl", tmp_path / "lines")
    assert ids(tmp_path / "lines") == [*range(30)]
    report = convert(f"{bucket}/lake/part-002.parquet", f"{bucket}/made")
    assert report.samples == 10
    convert(f"{bucket}/made", tmp_path / "back", compression="zstd", hashes=["xxh64"])
    assert ids(tmp_path / "back") == [*range(20, 30)]


def test_from_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    english = b"- config_name: en\n  data_files:\n  - split: train\n    path: en/*.parquet\n"
    card = b"---\nconfigs:\n" + english + b"- config_name: de\n  data_files: de/x.parquet\n---\n"
    with hub_server() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        for name in ("cards", "plain"):
            hub.repos.add(f"datasets/me/{name}")
        files = {
            "cards@main/README.md": card,
            "cards@main/en/0.parquet": packed(0),
            "cards@main/en/1.parquet": packed(10),
            "cards@main/de/x.parquet": packed(50),
            "plain@main/README.md": b"# Plain\n",
            "plain@main/data/train-00000-of-00001.parquet": packed(0),
            "plain@main/data/test-00000-of-00001.parquet": packed(20),
        }
        hub.files.update({f"datasets/me/{name}": data for name, data in files.items()})
        convert("hf://datasets/me/cards", tmp_path / "en", config="en")
        assert ids(tmp_path / "en") == [*range(20)]
        with pytest.raises(ConfigError, match="the configurations en, de"):
            convert("hf://datasets/me/cards", tmp_path / "none")
        with pytest.raises(ConfigError, match="the splits test, train"):
            convert("hf://datasets/me/plain", tmp_path / "none")
        convert("hf://datasets/me/plain", tmp_path / "test", split="test")
        assert ids(tmp_path / "test") == [*range(20, 30)]
        convert("hf://datasets/me/plain/data/train-*.parquet", tmp_path / "train")
        assert ids(tmp_path / "train") == [*range(10)]


def test_parts_are_in_order_and_can_be_sent(tmp_path: Path) -> None:
    import pickle

    pq.write_table(table(0, 100), tmp_path / "x.parquet", row_group_size=30)
    source = open_source(Location.parse(str(tmp_path / "x.parquet")))
    assert source.files.format == "parquet"
    assert [(part.first_row, part.rows) for part in source.parts] == [(0, 30), (30, 30), (60, 30), (90, 10)]
    sent = pickle.loads(pickle.dumps(source))
    rows = [row for part in sent.parts for row in sent.read(part, ["id"])]
    assert rows == [{"id": i} for i in range(100)]


def test_lines_are_split_between_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streaming.sources.contract._LEAST_BYTES", 64)
    rows = [{"id": i, "text": "x" * (i * 7 % 90)} for i in range(100)]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = open_source(Location.parse(str(tmp_path / "x.jsonl")))
    assert len(source.parts) > 40
    assert [row for part in source.parts for row in source.read(part)] == rows


def test_what_is_said_where_nothing_tells(tmp_path: Path) -> None:
    with pytest.raises(ObjectNotFoundError, match="There is nothing at"):
        convert(tmp_path / "absent", tmp_path / "out")
    (tmp_path / "mixed").mkdir()
    with pytest.raises(EmptyDatasetError, match="no files"):
        convert(tmp_path / "mixed", tmp_path / "out")
    (tmp_path / "mixed" / "a.bin").write_bytes(b"x")
    with pytest.raises(ConfigError, match=r"Nothing tells the format of .*Looked for: index\.json .*\.parquet"):
        convert(tmp_path / "mixed", tmp_path / "out")
    pq.write_table(table(0), tmp_path / "mixed" / "a.parquet")
    (tmp_path / "mixed" / "b.csv").write_text("id\n1\n")
    with pytest.raises(ConfigError, match="several formats"):
        convert(tmp_path / "mixed", tmp_path / "out")
    assert convert(tmp_path / "mixed", tmp_path / "out", format="csv").samples == 1
    with pytest.raises(ConfigError, match="Unknown source format 'parquett'"):
        convert(tmp_path / "mixed", tmp_path / "out", format="parquett")


def test_many_names_in_braces_are_found_by_one_listing(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    root = s3.create_bucket()
    store = open_store(root)
    for number in range(0, 40, 2):
        store.put(f"lake/{number:02}.txt", b"a\n" * (number + 1))
    monkeypatch.setattr(listing, "_AT_ONCE", 4)
    looked: list[str] = []
    head: Any = type(store).head

    def look(self: Any, path: str) -> Any:
        looked.append(path)
        return head(self, path)

    monkeypatch.setattr(type(store), "head", look)
    names = ",".join(f"{number:02}" for number in range(38, -1, -2))
    place = Location.parse(f"{root}/lake/{{{names}}}.txt")
    files = listing.list_files(place, None)[2]
    assert [(info.path, info.bytes) for info in files] == [(f"{n:02}.txt", 2 * n + 2) for n in range(38, -1, -2)]
    assert not looked
    monkeypatch.setattr(listing, "_MORE_NAMES", 0)
    assert listing.list_files(place, None)[2] == files
    assert len(looked) == 20
    with pytest.raises(ObjectNotFoundError):
        listing.list_files(Location.parse(f"{root}/lake/{{00..05}}.txt"), None)


def serve_names(web: WebServer, names: list[str], begins: bool) -> None:
    """Answer as S3 does when it is asked which keys there are; one that begins nowhere but at the first is an odd one."""

    def answer(handler: Any, path: str) -> bool:
        asked = {name: values[0] for name, values in parse_qs(handler.path.partition("?")[2]).items()}
        after = asked.get("continuation-token") or (asked.get("start-after", "") if begins else "")
        found = [name for name in names if name.startswith(asked.get("prefix", "")) and name > after]
        page, more = found[:1000], len(found) > 1000
        contents = "".join(
            f"<Contents><Key>{name}</Key><Size>1</Size><LastModified>2025-01-01T00:00:00Z</LastModified></Contents>"
            for name in page
        )
        token = f"<NextContinuationToken>{page[-1]}</NextContinuationToken>" if more else ""
        text = f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{contents}{token}</ListBucketResult>"
        handler.reply(200, text.encode())
        return True

    web.fault = answer


@pytest.mark.parametrize(("begins", "most"), [(True, 20), (False, 50)])
def test_what_a_pattern_cannot_name_is_not_listed(begins: bool, most: int) -> None:
    wanted = [f"lake/{part}/x{i}.jsonl" for part in ("a", "b-1", "c") for i in range(3)]
    deep = [f"lake/b-1/old/{i:05}.jsonl" for i in range(20_000)]
    other = [f"lake/b/{i:05}.txt" for i in range(1, 4)] + [f"lake/tmp/deep/{i:05}/x.jsonl" for i in range(20_000)]
    keys = {"access_key_id": "k", "secret_access_key": "s"}
    with web_server() as web:
        serve_names(web, sorted([*wanted, *deep, *other]), begins)
        place = Location.parse("s3://bucket/lake/*/x*.jsonl", {"endpoint": web.url, **keys})
        found = [info.path for info in listing.list_files(place, None)[2]]
        assert [f"lake/{path}" for path in found] == wanted
        assert len(web.requests) <= most
        named = Location.parse("s3://bucket/lake/[a-b]*/x?.jsonl", {"endpoint": web.url, **keys})
        assert [f"lake/{info.path}" for info in listing.list_files(named, None)[2]] == wanted[:6]
        every = Location.parse("s3://bucket/lake/**/x.jsonl", {"endpoint": web.url, **keys})
        assert len(listing.list_files(every, None)[2]) == 20_000
