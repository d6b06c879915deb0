"""Fetching: verified, continued where it broke off, never served when wrong."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from streaming import LocalDataset, StreamingDataset

from sample_data import part_of, sample

Make = Callable[..., str]


def first_shard(root: str | Path) -> Path:
    return sorted(p for p in Path(root).iterdir() if p.name.startswith("shard.00000"))[0]


@pytest.mark.parametrize("compression", [None, "zstd", "gz", "br", "bz2", "snappy"])
@pytest.mark.parametrize("keep_zip", [False, True])
def test_what_is_left_in_the_cache(make_dataset: Make, tmp_path: Path, compression: str | None, keep_zip: bool) -> None:
    remote = make_dataset(50, compression=compression)
    cache = tmp_path / "cache"
    dataset = StreamingDataset(remote=remote, local=str(cache), keep_zip=keep_zip, validate_hash="xxh64")
    assert dataset[:] == [sample(i) for i in range(50)]
    found = {p.name for p in cache.iterdir() if p.name.startswith("shard.00000")}
    expected = {"shard.00000.mds"}
    if compression and keep_zip:
        expected.add(first_shard(remote).name)
    assert found == expected


@pytest.mark.parametrize("compression", [None, "zstd"])
@pytest.mark.parametrize("kept", [0, 1, 500])
def test_a_partial_download_is_continued(
    make_dataset: Make, tmp_path: Path, compression: str | None, kept: int
) -> None:
    remote = make_dataset(50, compression=compression)
    whole = first_shard(remote)
    cache = tmp_path / "cache"
    dataset = StreamingDataset(remote=remote, local=str(cache))
    part_of(dataset).write_bytes(whole.read_bytes()[:kept])
    assert dataset[0] == sample(0)
    assert dataset.stats()["bytes_fetched"] == whole.stat().st_size - kept
    assert not list(cache.glob("*.part"))


@pytest.mark.parametrize("compression", [None, "zstd"])
def test_what_a_shard_was_made_of_is_removed(make_dataset: Make, tmp_path: Path, compression: str | None) -> None:
    """A process may be killed when the shard is in its place and the compressed file not yet gone."""
    remote = make_dataset(50, compression=compression)
    whole, cache = first_shard(remote), tmp_path / "cache"
    StreamingDataset(remote=remote, local=str(tmp_path / "other"))[0]
    dataset = StreamingDataset(remote=remote, local=str(cache))
    shutil.copy(tmp_path / "other/shard.00000.mds", cache)
    shutil.copy(whole, part_of(dataset))
    assert dataset[0] == sample(0)
    assert dataset.stats()["files_fetched"] == 0
    assert not list(cache.glob("*.part"))


def test_a_partial_download_of_something_else_is_begun_again(make_dataset: Make, tmp_path: Path) -> None:
    remote = make_dataset(50)
    cache = tmp_path / "cache"
    dataset = StreamingDataset(remote=remote, local=str(cache))
    part_of(dataset).write_bytes(b"something else")
    assert dataset[0] == sample(0)


@pytest.mark.parametrize("compression", [None, "zstd"])
@pytest.mark.parametrize("damage", ["flip", "truncate", "extend", "empty"])
def test_a_damaged_remote_is_never_served(
    make_dataset: Make, tmp_path: Path, compression: str | None, damage: str
) -> None:
    remote = make_dataset(50, compression=compression)
    path = first_shard(remote)
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 1
    path.write_bytes(
        {"flip": bytes(data), "truncate": bytes(data[:-5]), "extend": bytes(data) + b"x", "empty": b""}[damage]
    )
    dataset = StreamingDataset(remote=remote, local=str(tmp_path / "cache"))
    for _ in range(2):
        with pytest.raises(ValueError, match=r"shard\.00000\.mds"):
            _ = dataset[0]
    assert not (tmp_path / "cache" / "shard.00000.mds").exists()


@pytest.mark.parametrize("damage", ["flip", "truncate"])
def test_a_damaged_cache_is_mended(make_dataset: Make, tmp_path: Path, damage: str) -> None:
    remote, cache = make_dataset(50), tmp_path / "cache"
    _ = StreamingDataset(remote=remote, local=str(cache))[:]
    path = first_shard(cache)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data) if damage == "flip" else bytes(data[:-3]))
    assert StreamingDataset(remote=remote, local=str(cache))[:] == [sample(i) for i in range(50)]


def test_no_hash_was_written(make_dataset: Make, tmp_path: Path) -> None:
    remote = make_dataset(50, hashes=None)
    assert StreamingDataset(remote=remote, local=str(tmp_path / "a"))[0] == sample(0)
    with pytest.raises(ValueError, match="validate_hash"):
        _ = StreamingDataset(remote=remote, local=str(tmp_path / "b"), validate_hash="sha1")[0]


def test_a_missing_shard_names_itself(make_dataset: Make, tmp_path: Path) -> None:
    remote = make_dataset(50)
    first_shard(remote).unlink()
    dataset = StreamingDataset(remote=remote, local=str(tmp_path / "cache"), batch_size=4)
    with pytest.raises(RuntimeError, match=r"shard\.00000\.mds"):
        _ = dataset[0]
    with pytest.raises(RuntimeError, match=r"shard\.00000\.mds"):
        list(dataset)


@pytest.mark.parametrize("basename", ["../x.mds", "/etc/passwd", "a/../../x.mds", "", "a\\..\\x"])
def test_an_index_cannot_name_files_outside(make_dataset: Make, tmp_path: Path, basename: str) -> None:
    remote = make_dataset(50)
    path = Path(remote) / "index.json"
    index = json.loads(path.read_text())
    index["shards"][0]["raw_data"]["basename"] = basename
    path.write_text(json.dumps(index))
    with pytest.raises(ValueError, match="index.json"):
        StreamingDataset(remote=remote, local=str(tmp_path / "cache"))


@pytest.mark.parametrize("is_link_to_link", [False, True])
def test_files_that_are_links_are_read(make_dataset: Make, tmp_path: Path, is_link_to_link: bool) -> None:
    """That is how DVC, git-annex and the caches of hubs keep what they have."""
    local, blobs = Path(make_dataset(50)), tmp_path / "blobs"
    blobs.mkdir()
    for path in local.iterdir():
        target = blobs / f"b-{path.name}"
        path.rename(target)
        if is_link_to_link:
            (blobs / f"l-{path.name}").symlink_to(target)
            target = blobs / f"l-{path.name}"
        path.symlink_to(os.path.relpath(target, local))
    expected = [sample(i) for i in range(50)]
    assert StreamingDataset(local=str(local))[:] == expected
    assert LocalDataset(str(local))[:] == expected
    assert StreamingDataset(remote=str(local), local=str(tmp_path / "cache"))[:] == expected


def test_a_directory_that_is_a_link_is_no_part_of_a_dataset(make_dataset: Make, tmp_path: Path) -> None:
    """An index can name what is below it, and so must not lead out."""
    local = Path(make_dataset(50))
    (tmp_path / "elsewhere").mkdir()
    first_shard(local).rename(tmp_path / "elsewhere" / "x.mds")
    (local / "sub").symlink_to(tmp_path / "elsewhere")
    index = json.loads((local / "index.json").read_text())
    index["shards"][0]["raw_data"]["basename"] = "sub/x.mds"
    (local / "index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match=r"sub/x\.mds leads out"):
        _ = StreamingDataset(local=str(local))[0]


def test_compressed_local_only(make_dataset: Make, tmp_path: Path) -> None:
    local = make_dataset(50, compression="zstd")
    before = {p.name for p in Path(local).iterdir()}
    assert StreamingDataset(local=local)[:] == [sample(i) for i in range(50)]
    assert before <= {p.name for p in Path(local).iterdir()}


def test_evict_and_fetch_again(make_dataset: Make, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    dataset = StreamingDataset(remote=make_dataset(300), local=str(cache))
    _ = dataset[:]
    full = dataset.cache_usage
    dataset.evict_shard(1)
    dataset.evict_coldest_shard()
    assert len(list(cache.glob("shard*"))) == dataset.num_shards - 2
    assert dataset.cache_usage < full
    assert dataset[:] == [sample(i) for i in range(300)]
    assert dataset.cache_usage == full
    dataset.prepare_shard(0)


def test_limit_is_kept(make_dataset: Make, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    dataset = StreamingDataset(remote=make_dataset(1000), local=str(cache), cache_limit="24kb", batch_size=4)
    for i, got in enumerate(dataset):
        assert got == sample(i)
        assert dataset.cache_usage <= 24 * 1024
    assert len(list(cache.glob("shard*"))) < dataset.num_shards
