"""Where a writer may write, what it may replace there, and that an index is published only for what is there."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import streaming
from streaming import LocalDataset, MDSWriter
from streaming.base.storage import CloudUploader
from streaming.core.errors import AccessDeniedError, ConfigError, UploadError
from streaming.storage.providers.local import LocalStore
from streaming.storage.registry import stores
from streaming.storage.store import ObjectInfo
from streaming.writing.bulk.journal import JOURNAL_NAME
from streaming.writing.publish import stored

Write = Callable[..., None]


def by_writer(out: Any, count: int = 100, **kwargs: Any) -> None:
    with MDSWriter(columns={"x": "int"}, out=out, size_limit=500, **kwargs) as writer:
        for i in range(count):
            writer.write({"x": i})


def by_write(out: Any, count: int = 100, **kwargs: Any) -> None:
    rows = [{"x": i} for i in range(count)]
    streaming.write(rows, out, {"x": "int"}, workers=0, size_limit=500, progress_bar=False, **kwargs)


both = pytest.mark.parametrize("write", [by_writer, by_write])


def check(place: Any, count: int = 100) -> None:
    data = LocalDataset(str(place))
    assert [data[i]["x"] for i in range(data.size)] == list(range(count))


@both
@pytest.mark.parametrize("keep_local", [False, True])
@pytest.mark.parametrize("spelling", ["{0}", "file://{0}", "local://{0}", "{1}", "file://{1}", "{0}/../data", "{2}"])
def test_a_pair_of_one_place_is_refused(
    tmp_path: Path, write: Write, keep_local: bool, spelling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    place, link = tmp_path / "data", tmp_path / "link"
    if "{0}" not in spelling:
        place.mkdir()
        link.symlink_to(place)
    with pytest.raises(ConfigError, match="are one directory"):
        write((str(place), spelling.format(place, link, "data")), keep_local=keep_local)
    with pytest.raises(ConfigError, match="are one directory"):
        CloudUploader.get((str(place), str(place)), keep_local=keep_local, exist_ok=True)
    assert not place.exists() or not os.listdir(place)


@both
@pytest.mark.parametrize("keep_local", [False, True])
def test_a_pair_of_one_inside_the_other(tmp_path: Path, write: Write, keep_local: bool) -> None:
    data, inside = tmp_path / "data", tmp_path / "data" / "inside"
    with pytest.raises(ConfigError, match="is below the first"):
        write((str(data), str(inside)), keep_local=keep_local)
    assert not data.exists()
    write((str(inside), str(data)), keep_local=keep_local)
    check(data)
    if keep_local:
        check(inside)


@both
@pytest.mark.parametrize(
    ("out", "text"),
    [
        ("s3:/bucket/data", r"Did you mean 's3://bucket/data'\?"),
        ("gs:bucket/data", r"Did you mean 'gs://bucket/data'\?"),
        ("file:/tmp/data", r"Did you mean 'file:///tmp/data'\?"),
        ("hf:/datasets/me/data", r"Did you mean 'hf://datasets/me/data'\?"),
        (("local", "s3:/bucket/data"), r"Did you mean 's3://bucket/data'\?"),
        (None, r"must be a path, a URL, or a pair.*None"),
        ("", r"must be a path, a URL, or a pair"),
        (7, r"must be a path, a URL, or a pair.*7"),
        ({"a": 1, "b": 2}, r"must be a path, a URL, or a pair"),
        (("local", None), r"must be a path, a URL, or a pair"),
        ((b"local", "remote"), r"must be a path, a URL, or a pair"),
        (("local", "remote", "more"), r"must be a path, a URL, or a pair"),
    ],
)
def test_what_is_no_place(tmp_path: Path, write: Write, out: Any, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=text):
        write(out)
    assert os.listdir(tmp_path) == []


def test_a_directory_with_a_colon_in_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    by_writer("./s3:/data")
    by_writer("run:7/data")
    check("./s3:/data")
    check("run:7/data")


def test_a_dataset_in_a_store_is_not_written_over(tmp_path: Path) -> None:
    remote = tmp_path / "remote"
    by_writer(f"file://{remote}")
    before = {name: (remote / name).read_bytes() for name in os.listdir(remote)}
    with pytest.raises(FileExistsError, match="There is a dataset at"):
        by_write(f"file://{remote}", 20)
    assert {name: (remote / name).read_bytes() for name in os.listdir(remote)} == before
    by_write(f"file://{remote}", 20, exist_ok=True)
    check(remote, 20)


@both
def test_exist_ok_takes_only_what_is_named_as_ours(tmp_path: Path, write: Write) -> None:
    by_writer(str(tmp_path / "out"))
    mine = ["shard.00000.notes.txt", "shard.00001.mds.bak", "shard.1.mds", "index.json.old", "shard.00003.mds.d"]
    for name in mine[:-1]:
        (tmp_path / "out" / name).write_text("mine")
    (tmp_path / "out" / mine[-1]).mkdir()
    (tmp_path / "elsewhere").write_text("mine")
    (tmp_path / "out" / "shard.00099.mds").symlink_to(tmp_path / "elsewhere")
    write(str(tmp_path / "out"), 20, exist_ok=True)
    check(tmp_path / "out", 20)
    assert set(mine) <= set(os.listdir(tmp_path / "out"))
    assert (tmp_path / "elsewhere").read_text() == "mine"


@both
def test_links_are_not_written_through(tmp_path: Path, write: Write) -> None:
    out = tmp_path / "out"
    by_writer(str(out), 3)
    outside = [tmp_path / name for name in ("one", "two", "three")]
    for file, name in zip(outside, ("shard.00001.mds.part", "index.json.part", "shard.00001.mds"), strict=True):
        file.write_text("mine")
        (out / name).symlink_to(file)
    write(str(out), 5, append=True)
    assert [file.read_text() for file in outside] == ["mine"] * 3
    data = LocalDataset(str(out))
    assert [data[i]["x"] for i in range(8)] == [0, 1, 2, 0, 1, 2, 3, 4]


@both
def test_a_working_directory_that_is_a_link(tmp_path: Path, write: Write) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / JOURNAL_NAME).write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".streaming-write").symlink_to(tmp_path / "mine")
    with pytest.raises(AccessDeniedError, match="is a link"):
        write(str(tmp_path / "out"))
    assert (tmp_path / "mine" / JOURNAL_NAME).read_text() == "mine"


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"recipe": 5}', '"text"', '{"recipe": {}, "token": "", "base": {}}\n[1]']
)
def test_a_garbled_journal(tmp_path: Path, content: str) -> None:
    work = tmp_path / ".streaming-write"
    work.mkdir()
    (work / JOURNAL_NAME).write_text(content + "\n")
    with pytest.raises(ConfigError, match="is not the journal of an unfinished write.*resume=False"):
        by_write(str(tmp_path))
    by_write(str(tmp_path), resume=False)
    check(tmp_path)


class Forgetful(LocalStore):
    """A store that says that it has taken a file, and has not, or not all of it."""

    def put(self, path: str, source: str | bytes) -> None:
        super().put(path, source)
        full = os.path.join(self.root, path)
        if path.startswith("shard.00002") and ".cut" in self.root:
            os.truncate(full, 30)
        elif path.startswith("shard.00002") and ".lost" in self.root:
            os.unlink(full)


class Slow(LocalStore):
    """A store whose listing does not have everything yet."""

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        yield from list(super().list(prefix))[::2]


@pytest.fixture
def forgetful() -> Iterator[None]:
    stores["forgetful"] = lambda url, _options: Forgetful(url.partition("://")[2])
    stores["slow"] = lambda url, _options: Slow(url.partition("://")[2])
    yield
    del stores["forgetful"], stores["slow"]


@both
@pytest.mark.usefixtures("forgetful")
@pytest.mark.parametrize("few", [0, 1000])  # whether the store is asked for a listing, or for each
@pytest.mark.parametrize(("fault", "text"), [("lost", "00002.mds .missing"), ("cut", "00002.mds .30 bytes, not")])
def test_no_index_of_what_the_store_has_not(
    tmp_path: Path, write: Write, few: int, fault: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "_FEW", few)
    remote = tmp_path / f"remote.{fault}"
    with pytest.raises(UploadError, match=f"1 of .* files of the dataset are not at.*{text}"):
        write(f"forgetful://{remote}")
    assert not (remote / "index.json").exists()


@pytest.mark.usefixtures("forgetful")
def test_a_listing_that_lags_behind(tmp_path: Path) -> None:
    by_writer(f"slow://{tmp_path}/remote", 2000)
    check(tmp_path / "remote", 2000)


@both
@pytest.mark.parametrize("compression", [None, "zstd"])
def test_a_shard_that_went_while_others_were_written(tmp_path: Path, write: Write, compression: str | None) -> None:
    """Locally, and in what is appended to."""
    out = tmp_path / "out"
    by_writer(str(out), compression=compression)
    lost = next(path for path in out.iterdir() if path.name.startswith("shard.00001"))
    kept = lost.read_bytes()
    index = (out / "index.json").read_bytes()
    lost.unlink()
    with pytest.raises(UploadError, match=r"shard\.00001.*missing"):
        write(str(out), append=True)
    assert (out / "index.json").read_bytes() == index
    lost.write_bytes(kept)
    shutil.rmtree(out / ".streaming-write", ignore_errors=True)
    write(str(out), append=True)
    assert LocalDataset(str(out)).size == 200
    with (
        pytest.raises(UploadError, match=r"shard\.00000\.mds .missing"),
        MDSWriter(columns={"x": "int"}, out=str(tmp_path / "other"), size_limit=500) as writer,
    ):
        for i in range(200):
            writer.write({"x": i})
        writer.flush_shard()
        writer._collect(wait=True)
        os.unlink(tmp_path / "other" / "shard.00000.mds")
    assert not (tmp_path / "other" / "index.json").exists()


def test_a_place_full_of_other_things(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listing is not read for ever."""
    monkeypatch.setattr(stored, "_FEW", 0)
    monkeypatch.setattr(stored, "_MOST_OTHERS", 10)
    (tmp_path / "remote" / "a").mkdir(parents=True)
    for i in range(200):
        (tmp_path / "remote" / "a" / str(i)).touch()
    by_writer(f"file://{tmp_path}/remote")
    check(tmp_path / "remote")
    assert json.loads((tmp_path / "remote" / "index.json").read_text())["version"] == 2
