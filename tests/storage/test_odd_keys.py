"""Keys with empty segments: read and written as they are, where a store keeps them apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from streaming import StreamingDataset
from streaming.core.errors import ConfigError, MissingDependencyError, ObjectNotFoundError
from streaming.storage.registry import open_store

import conformance
from hubs import Oracle, oracle_server
from sample_data import write_dataset
from servers import S3Server

BASES = ["data//train", "/lead", "trail/", "a///b c%", ""]


@pytest.fixture
def sdk(s3: S3Server) -> Any:
    import boto3

    return boto3.client("s3", endpoint_url=s3.endpoint, region_name="us-east-1")


@pytest.mark.parametrize("base", BASES)
def test_keys_are_what_the_url_says(bucket: str, sdk: Any, base: str) -> None:
    url = f"{bucket}/{base}/" if base.endswith("/") or not base else f"{bucket}/{base}"
    name = bucket.removeprefix("s3://")
    store = open_store(url)
    store.check_writable()
    store.put("x/y.bin", b"12345")
    assert [item["Key"] for item in sdk.list_objects_v2(Bucket=name)["Contents"]] == [f"{base}/x/y.bin"]
    sdk.put_object(Bucket=name, Key=f"{base}/z", Body=b"by another")
    assert (store.get("z"), store.head("z").bytes, store.get_range("x/y.bin", 1, 3)) == (b"by another", 10, b"23")
    assert [info.path for info in store.list()] == ["x/y.bin", "z"]
    assert [info.path for info in store.list("x")] == ["x/y.bin"]
    store.delete("z")
    with pytest.raises(ObjectNotFoundError):
        store.get("z")
    assert store.exists_root()


@pytest.mark.parametrize("name", conformance.NAMES)
def test_conformance(name: str, bucket: str, tmp_path: Path) -> None:
    conformance.run(name, f"{bucket}/some//prefix", str(tmp_path))


@pytest.mark.parametrize("name", ["what?", "ha#sh?x", "part%3F"])
def test_characters_that_queries_begin_with(bucket: str, sdk: Any, tmp_path: Path, name: str) -> None:
    write_dataset(f"{bucket}/{name}/train", 60)
    dataset = StreamingDataset(remote=f"{bucket}/{name}", split="train", local=str(tmp_path / "c"), batch_size=4)
    assert sorted(sample["id"] for sample in dataset) == list(range(60))
    pq.write_table(pa.table({"n": [1, 2, 3]}), tmp_path / "t")
    for key in (f"{name}.parquet", f"{name}/{name}.parquet"):
        sdk.upload_file(str(tmp_path / "t"), bucket.removeprefix("s3://"), key)
        for i, url in enumerate((key, f"{name}*/*.parquet") if "/" in key else (key,)):
            dataset = StreamingDataset(remote=f"{bucket}/{url}", local=str(tmp_path / f"{i}{key}"), batch_size=1)
            assert [sample["n"] for sample in dataset] == [1, 2, 3]


def test_an_epoch(bucket: str, tmp_path: Path) -> None:
    write_dataset(f"{bucket}/new//train", 60)
    dataset = StreamingDataset(remote=f"{bucket}/new//train", local=str(tmp_path / "c"), batch_size=4)
    assert sorted(sample["id"] for sample in dataset) == list(range(60))


def test_a_bucket_that_holds_such_keys_is_there(bucket: str, sdk: Any) -> None:
    sdk.put_object(Bucket=bucket.removeprefix("s3://"), Key="a//b", Body=b"")
    store = open_store(f"{bucket}/a")
    store.check_writable()
    assert store.exists_root()


def test_a_missing_bucket(s3: S3Server) -> None:
    store = open_store("s3://no-such-bucket//a")
    assert not store.exists_root()
    with pytest.raises(ObjectNotFoundError):
        list(store.list())


def test_listing_needs_the_sdk(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from streaming.storage.providers import odd_keys

    def missing(module: str, extra: str, purpose: str) -> Any:
        raise MissingDependencyError(f"{purpose} [{extra}]")

    monkeypatch.setattr(odd_keys, "optional_import", missing)
    listing = odd_keys.Listing("bucket", "//a", {})
    with pytest.raises(MissingDependencyError, match=r"empty segments \[aws\]"):
        next(iter(listing("")))


def test_oracles_own_interface(tmp_path: Path) -> None:
    with oracle_server() as server:
        options = {"config_file": Oracle.profile(server, tmp_path), "endpoint": server.url}
        for base in ("a//b", "/lead"):
            open_store(f"oci://bucket@space/{base}", options).put("x", b"1")
        assert set(server.files) == {"space/bucket/a//b/x", "space/bucket//lead/x"}
        assert [info.path for info in open_store("oci://bucket@space/a//b", options).list()] == ["x"]


def test_hmac_keys_of_google(s3: S3Server, bucket: str, sdk: Any) -> None:
    name = bucket.removeprefix("s3://")
    options = {"key": "testing", "secret": "testing-secret", "endpoint": s3.endpoint}
    open_store(f"gs://{name}/a//b", options).put("x", b"1")
    assert [item["Key"] for item in sdk.list_objects_v2(Bucket=name)["Contents"]] == ["a//b/x"]


@pytest.mark.parametrize(
    ("url", "options"),
    [("gs://bucket/a//b", {"token": "t"}), ("az://box/a//b", {"account_name": "acct", "account_key": "a2V5"})],
)
def test_where_the_client_cannot(url: str, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="empty segments"):
        open_store(url, options).get("x")
