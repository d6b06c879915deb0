"""What is served is of the dataset, and of the version, that was opened."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from streaming import CSVWriter, JSONWriter, LocalDataset, MDSWriter, StreamingDataset
from streaming.cache import index_source
from streaming.cache.files.witness import version_number
from streaming.cache.index_source import PARSED_NAME
from streaming.core.errors import ShardFormatError, ShardUnavailableError, StreamingError

from sample_data import part_of, sample
from servers import S3Server, web_server

Make = Callable[..., str]
N = 60
COLUMNS = {"mds": {"v": "int", "i": "int"}, "json": {"v": "int", "i": "int"}, "csv": {"v": "int", "i": "int"}}
WRITERS: dict[str, Any] = {"mds": MDSWriter, "json": JSONWriter, "csv": CSVWriter}


def write(out: str, version: int, kind: str = "mds", **kwargs: Any) -> None:
    """Write samples that tell their version; of equal size in every version."""
    arguments: dict[str, Any] = {"size_limit": 400, **kwargs}
    with WRITERS[kind](out=out, columns=COLUMNS[kind], **arguments) as writer:
        for i in range(N):
            writer.write({"v": version, "i": 1000 + i})


def versions_of(dataset: Any) -> set[int]:
    found = dataset[:]
    assert [x["i"] for x in found] == [1000 + i for i in range(N)]
    return {x["v"] for x in found}


@pytest.fixture
def bucket(s3: S3Server) -> Callable[[], str]:
    """Makes buckets, each once."""
    return s3.create_bucket


@pytest.mark.parametrize("hashes", [[], ["xxh64"]])
@pytest.mark.parametrize("compression", [None, "zstd"])
@pytest.mark.parametrize("kind", ["mds", "json", "csv"])
def test_a_dataset_that_is_written_again(tmp_path: Path, kind: str, compression: str | None, hashes: list[str]) -> None:
    remote, local = str(tmp_path / "remote"), str(tmp_path / "local")
    for version in (1, 2, 3):
        shutil.rmtree(remote, ignore_errors=True)
        write(remote, version, kind, compression=compression, hashes=hashes)
        assert versions_of(StreamingDataset(remote=remote, local=local, keep_zip=version == 2)) == {version}
    assert not list(Path(local).glob("*set-aside*"))


@pytest.mark.parametrize("compression", [None, "zstd"])
@pytest.mark.parametrize("hashes", [[], ["xxh64"]])
def test_a_bucket_that_is_written_again_within_a_second(
    bucket: Callable[[], str], tmp_path: Path, hashes: list[str], compression: str | None
) -> None:
    """Its index may then be the same in all that a store tells of it, and what was kept is of another version."""
    remote, local = bucket(), str(tmp_path / "local")
    for version in range(1001, 1006):
        write(remote, version, "json", hashes=hashes, compression=compression, size_limit=300, exist_ok=True)
        assert versions_of(StreamingDataset(remote=remote, local=local, keep_zip=True)) == {version}


@pytest.mark.parametrize("hashes", [[], ["xxh64"]])
def test_two_at_a_time_in_one_directory(tmp_path: Path, hashes: list[str]) -> None:
    """Neither serves the other's, and each takes what it needs from where it is."""
    local = str(tmp_path / "local")
    for version in (1, 2):
        write(str(tmp_path / f"remote{version}"), version, hashes=hashes)
    for _ in range(2):
        one, two = (
            StreamingDataset(remote=str(tmp_path / f"remote{v}"), local=local, cache_limit=3300) for v in (1, 2)
        )
        for i in range(0, N, 4):
            assert (one[i]["v"], two[i]["v"]) == (1, 2)
            assert (one[N - 1 - i]["v"], two[N - 1 - i]["v"]) == (1, 2)
    assert not list(Path(local).glob("*set-aside*"))


@pytest.mark.parametrize("is_s3", [False, True])
def test_half_a_shard_of_another_version(bucket: Callable[[], str], tmp_path: Path, is_s3: bool) -> None:
    """It is not joined with the other half of what the store has now, and what is of it is continued."""
    remote, local = bucket() if is_s3 else str(tmp_path / "remote"), str(tmp_path / "local")
    write(remote, 1, hashes=[])
    dataset = StreamingDataset(remote=remote, local=local)
    directory = dataset._cache.directories[0]  # pyright: ignore[reportPrivateUsage]
    assert directory.table is not None
    assert directory.store is not None
    for shard, is_known in ((0, True), (1, False)):
        name = f"shard.{shard:05}.mds"
        data, info = directory.store.read(name)
        part_of(dataset, shard).write_bytes(data[:100] if is_known else bytes(100))
        directory.table.versions[0, shard] = version_number(info) + (not is_known)
    assert versions_of(dataset) == {1}
    assert dataset.stats()["bytes_fetched"] == sum(directory.index.raw_bytes.tolist()) - 100


@pytest.mark.parametrize("what", ["index", "shard", "both", "shards, then back in time"])
def test_what_was_changed_after_it_was_opened(tmp_path: Path, what: str) -> None:
    remote, other, local = tmp_path / "remote", tmp_path / "other", str(tmp_path / "local")
    write(str(remote), 1, hashes=[])
    write(str(other), 2, hashes=[])
    dataset = StreamingDataset(remote=str(remote), local=local)
    assert dataset[0]["v"] == 1
    time.sleep(0.05)  # the clock of a file system moves in steps
    if what == "index":
        os.utime(remote / "index.json")
    for path in other.iterdir() if what != "index" else ():
        if path.name != "index.json" or what != "shard":
            (remote / path.name).write_bytes(path.read_bytes())
            if "back" in what:
                os.utime(remote / path.name, (1e9, 1e9))
    with pytest.raises(ShardUnavailableError, match="was changed after it was opened"):
        _ = dataset[N - 1]
    assert dataset[0]["v"] == 1
    if what != "index":
        assert versions_of(StreamingDataset(remote=str(remote), local=local)) == ({2} if what != "shard" else {1, 2})


def test_a_local_dataset_that_was_changed_after_it_was_opened(tmp_path: Path) -> None:
    place, other = tmp_path / "data", tmp_path / "other"
    write(str(place), 1)
    write(str(other), 2)
    for dataset in (StreamingDataset(local=str(place)), LocalDataset(str(place))):
        assert dataset[0]["v"] == 1
        time.sleep(0.05)
        (place / "shard.00001.mds").write_bytes((other / "shard.00001.mds").read_bytes())
        with pytest.raises(StreamingError, match=r"changed after it was opened: .*shard\.00001\.mds"):
            dataset[:]


@pytest.mark.parametrize("hashes", [[], ["xxh64"]])
@pytest.mark.parametrize("how", ["moved", "linked", "touched"])
def test_a_local_shard_that_came_with_an_old_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, how: str, hashes: list[str]
) -> None:
    """As ``rsync -a`` and ``mv`` leave it: a hash tells whether it is another; without one, it is warned of."""
    place, other = tmp_path / "data", tmp_path / "other"
    write(str(other), 2, hashes=hashes)
    write(str(place), 1, hashes=hashes)
    dataset = StreamingDataset(local=str(place))
    assert dataset[0]["v"] == 1
    time.sleep(0.05)
    shard = "shard.00001.mds"
    if how == "touched":
        (place / shard).chmod(0o600)
    elif how == "moved":
        (other / shard).replace(place / shard)
    else:
        (place / shard).unlink()
        (place / shard).symlink_to(other / shard)
    if hashes and how != "touched":
        with pytest.raises(StreamingError, match=rf"{shard} was replaced after the dataset was opened"):
            dataset[:]
    else:
        assert versions_of(dataset) == ({1} if how == "touched" else {1, 2})
    assert ("no recorded hash" in caplog.text) == (not hashes)


@pytest.mark.parametrize("hashes", [[], ["xxh64"]])
def test_an_object_that_is_replaced_while_it_is_read(tmp_path: Path, hashes: list[str]) -> None:
    """The connection breaks, and what is continued is another object."""
    source = tmp_path / "source"
    write(str(source), 1, hashes=hashes, size_limit=1 << 20)
    with web_server() as web:
        tags = {"shard.00000.mds": '"one"'}
        web.objects = {path.name: path.read_bytes() for path in source.iterdir()}
        new = web.objects["shard.00000.mds"].replace((1001).to_bytes(8, "little"), (9001).to_bytes(8, "little"))

        def fault(handler: Any, path: str) -> bool:
            data, tag = web.objects.get(path), tags.get(path, '"x"')
            if data is None or handler.command != "GET":
                return False
            if handler.headers.get("If-Match", tag) != tag:
                handler.reply(412)
            elif path.endswith(".mds") and tag == '"one"':
                web.objects[path], tags[path] = new, '"two"'
                handler.send_response(200)
                for name, text in (("ETag", tag), ("Content-Length", str(len(data)))):
                    handler.send_header(name, text)
                handler.send_header("Last-Modified", "Wed, 01 Jan 2025 00:00:00 GMT")
                handler.end_headers()
                handler.wfile.write(data[: len(data) // 2])
                handler.close_connection = True
            else:
                start = int((handler.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
                extra = {"Content_Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
                handler.reply(206 if start else 200, data[start:], ETag=tag, **extra)
            return True

        web.fault = fault
        dataset = StreamingDataset(
            remote=web.url, local=str(tmp_path / "local"), storage_options={"retry_config": {"max_retries": 0}}
        )
        with pytest.raises((ShardUnavailableError, ValueError), match=r"Checksum" if hashes else "replaced|changed"):
            _ = dataset[0]
    assert not (tmp_path / "local" / "shard.00000.mds").exists()


def test_only_that_very_remote_may_be_away(make_dataset: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remote, local = make_dataset(50), str(tmp_path / "local")
    assert len(StreamingDataset(remote=remote, local=local)[:]) == 50
    for other in (str(tmp_path / "rmeote"), "http://127.0.0.1:9/remote", str(tmp_path)):
        with pytest.raises((OSError, RuntimeError), match="not known to be from there"):
            StreamingDataset(remote=other, local=local, download_retry=0)
    os.rename(remote, tmp_path / "moved")
    (tmp_path / "moved" / "x").mkdir()
    monkeypatch.chdir(tmp_path / "moved" / "x")
    for name in (remote, f"file://{remote}", "../../remote"):  # names of one place
        assert StreamingDataset(remote=name, local=local)[:] == [sample(i) for i in range(50)]
    Path(local, "index.json").write_bytes(Path(local, "index.json").read_bytes() + b" ")
    with pytest.raises(RuntimeError, match="not known to be from there"):
        StreamingDataset(remote=remote, local=local)


@pytest.mark.parametrize("hashes", [[], ["xxh64"]])
def test_a_remote_that_was_away_is_looked_at_before_it_is_read(tmp_path: Path, hashes: list[str]) -> None:
    remote, local = tmp_path / "remote", str(tmp_path / "local")
    write(str(remote), 1, hashes=hashes)
    _ = StreamingDataset(remote=str(remote), local=local)[0]
    os.rename(remote, tmp_path / "away")
    dataset = StreamingDataset(remote=str(remote), local=local)
    assert dataset[0]["v"] == 1
    with pytest.raises(ShardUnavailableError):
        _ = dataset[N - 1]
    write(str(remote), 2, hashes=hashes)
    for path in remote.iterdir():
        os.utime(path, (1e9, 1e9))
    with pytest.raises((ShardUnavailableError, ValueError), match="Checksum" if hashes else "changed after"):
        _ = dataset[N - 1]
    assert versions_of(StreamingDataset(remote=str(remote), local=local)) == {2}


def test_relative_paths_mean_where_they_were_given(
    make_dataset: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_dataset(50, "here/remote")
    make_dataset(50, "there/remote", size_limit=900)
    expected = [sample(i) for i in range(50)]
    (tmp_path / "here" / "x").symlink_to(tmp_path / "here" / "remote")
    monkeypatch.chdir(tmp_path / "here")
    datasets = [
        StreamingDataset(remote="remote", local="cache", split=None),
        StreamingDataset(local="remote"),
        StreamingDataset(remote="x", local="remote"),
        LocalDataset("remote"),
    ]
    stream = datasets[0].streams[0]  # pyright: ignore[reportAttributeAccessIssue]
    assert (stream.remote, stream.local) == ("remote", "cache")
    monkeypatch.chdir(tmp_path / "there")
    for dataset in datasets:
        assert dataset[:] == expected
    assert not (tmp_path / "there" / "cache").exists()
    assert (tmp_path / "here" / "cache" / "shard.00000.mds").exists()


@pytest.fixture
def small_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_source, "_WORTH_KEEPING", 1)


def _flips(data: bytes) -> Iterator[bytes]:
    for at in range(0, len(data), max(1, len(data) // 25)):
        yield data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]


def _other_contents(data: bytes) -> Iterator[bytes]:
    yield from _flips(data)
    yield from (data[: len(data) // 2], data + b"\0", bytes(len(data)), data[:64] + bytes(len(data) - 64), b"")


def test_a_parsed_index_that_is_not_whole_is_passed_over(make_dataset: Make, small_counts: None) -> None:
    local = make_dataset(50, size_limit=1000)
    expected = [sample(i) for i in range(50)]
    assert StreamingDataset(local=local)[:] == expected
    path = Path(local) / PARSED_NAME
    good = path.read_bytes()
    for bad in _other_contents(good):
        path.write_bytes(bad)
        assert StreamingDataset(local=local)[:] == expected
        assert path.read_bytes() == good


@pytest.mark.parametrize("how", ["link", "pipe", "owner"])
def test_a_parsed_index_of_somebody_else_is_passed_over(
    make_dataset: Make, tmp_path: Path, small_counts: None, how: str
) -> None:
    """It lies under a name that is known beforehand, in a directory where others may write."""
    remote, local = make_dataset(50, size_limit=1000), tmp_path / "cache"
    assert len(StreamingDataset(remote=remote, local=str(local))) == 50
    path = local / PARSED_NAME
    forged = path.read_bytes()
    if how == "owner":
        if os.geteuid():
            pytest.skip("only root can give a file away")
        os.chown(path, 65534, -1)
    else:
        (tmp_path / "forged").write_bytes(forged)
        path.unlink()
        path.symlink_to(tmp_path / "forged") if how == "link" else os.mkfifo(path)
    assert len(StreamingDataset(remote=remote, local=str(local))) == 50
    assert path.is_file()
    assert not path.is_symlink()
    assert path.stat().st_uid == os.geteuid()
    assert how != "link" or (tmp_path / "forged").read_bytes() == forged


def test_many_load_an_index_at_the_same_moment(make_dataset: Make, tmp_path: Path, small_counts: None) -> None:
    remote, local = make_dataset(50, size_limit=1000), str(tmp_path / "cache")
    found: list[Any] = []
    barrier = threading.Barrier(6)

    def load() -> None:
        barrier.wait()
        for _ in range(4):
            found.append(len(StreamingDataset(remote=remote, local=local)))

    threads = [threading.Thread(target=load) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [50] * 24


@pytest.mark.parametrize("what", ["pipe", "directory", "socket"])
@pytest.mark.parametrize("hashes", [None, ["xxh64"]])
@pytest.mark.parametrize("is_remote", [False, True])
def test_what_is_no_file_is_refused_at_once(
    make_dataset: Make, tmp_path: Path, what: str, hashes: Any, is_remote: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = make_dataset(50, hashes=hashes)
    local = tmp_path / "cache" if is_remote else Path(remote)
    local.mkdir(exist_ok=True)
    path = local / "shard.00000.mds"
    path.unlink(missing_ok=True)
    monkeypatch.chdir(local)  # the name of a socket must be short
    if what == "pipe":
        os.mkfifo(path)
    elif what == "directory":
        path.mkdir()
    else:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    dataset = StreamingDataset(remote=remote if is_remote else None, local=str(local), download_retry=0)
    with pytest.raises(ShardFormatError, match=r"shard\.00000\.mds is not a regular file"):
        _ = dataset[0]


def test_a_pipe_in_the_place_of_the_table_is_not_waited_for(make_dataset: Make, tmp_path: Path) -> None:
    remote, local = make_dataset(50), tmp_path / "cache"
    local.mkdir()
    os.mkfifo(local / ".streaming-cache")
    assert len(list(StreamingDataset(remote=remote, local=str(local), batch_size=4))) == 50
    shutil.rmtree(local)
    (local / "index.json").mkdir(parents=True)
    with pytest.raises(StreamingError, match=r"index\.json is a directory"):
        StreamingDataset(remote=remote, local=str(local), batch_size=4)
