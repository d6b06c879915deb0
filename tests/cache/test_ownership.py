"""What this library did not write is never removed, overwritten, or written through."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from streaming import StreamingDataset
from streaming.cache.files import ownership
from streaming.cache.files.ownership import give_way
from streaming.dataset.stream import default_local

from programs import run_code
from sample_data import part_of, sample

Make = Callable[..., str]
N = 300
IS_ROOT = os.name == "posix" and os.geteuid() == 0
EXPECTED = [sample(i) for i in range(N)]


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir() if not path.name.startswith(".streaming")}


def read_twice(**kwargs: Any) -> StreamingDataset:
    dataset = StreamingDataset(batch_size=4, **kwargs)
    for _ in range(2):
        assert [x["id"] for x in dataset] == list(range(N))
    for shard in range(dataset.num_shards):
        dataset.evict_shard(shard)
    return dataset


@pytest.mark.parametrize("limit", [None, 40_000])
@pytest.mark.parametrize("hashes", [None, ["xxh64"]])
@pytest.mark.parametrize("compression", [None, "zstd"])
def test_what_the_user_has_copied_there_stays(
    make_dataset: Make, tmp_path: Path, compression: str | None, hashes: Any, limit: int | None
) -> None:
    """With hashes it is used; without, what is fetched turns out to be the same."""
    remote, local = make_dataset(N, compression=compression, hashes=hashes), tmp_path / "local"
    local.mkdir()
    mine = sorted(path for path in Path(remote).iterdir() if path.name != "index.json")[1:]
    for path in mine:
        shutil.copy(path, local)
    before = {path.name: path.stat() for path in local.iterdir()}
    dataset = read_twice(remote=remote, local=str(local), cache_limit=limit)
    assert dataset.stats()["files_fetched"] >= 1
    if hashes and not limit:
        assert dataset.stats()["files_fetched"] == 1
    for name, status in before.items():
        now = (local / name).stat()
        assert (now.st_ino, now.st_mtime_ns, now.st_size) == (status.st_ino, status.st_mtime_ns, status.st_size)
    assert not list(local.glob("*set-aside*"))
    left = {name for name in contents(local) if name not in before}
    assert left == {"index.json"}


def test_what_has_gone_meanwhile_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(b"new")
    assert not give_way(str(tmp_path / "part"), str(tmp_path / "shard"))
    (tmp_path / "shard").symlink_to(tmp_path / "nowhere")
    assert not give_way(str(tmp_path / "part"), str(tmp_path / "shard"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["part", "shard.set-aside-1"]


def test_evicted_again_and_again_while_it_is_read(make_dataset: Make, tmp_path: Path) -> None:
    remote, local = make_dataset(N), tmp_path / "local"
    evicting, reading = (StreamingDataset(remote=remote, local=str(local), cache_limit=10**9) for _ in range(2))
    is_over = threading.Event()

    def evict() -> None:
        while not is_over.wait(0.002):
            evicting.evict_shard(0)

    thread = threading.Thread(target=evict)
    thread.start()
    try:
        for _ in range(300):
            assert reading[0] == EXPECTED[0]
            reading.evict_shard(0)
    finally:
        is_over.set()
        thread.join()
    assert not list(local.glob("*set-aside*"))


@pytest.mark.parametrize("hashes", [None, ["xxh64"]])
@pytest.mark.parametrize("kind", ["file", "link", "dangling link"])
def test_what_is_there_under_a_shards_name(
    make_dataset: Make, tmp_path: Path, kind: str, hashes: Any, caplog: pytest.LogCaptureFixture
) -> None:
    remote, local = make_dataset(N, hashes=hashes), tmp_path / "local"
    local.mkdir()
    precious = b"the user's own"
    names = ["shard.00000.mds", "shard.00001.mds", "index.json"]
    for name in names:
        target = local / name if kind == "file" else tmp_path / f"precious-{name}"
        if kind != "dangling link":
            target.write_bytes(precious)
        if kind != "file":
            (local / name).symlink_to(target)
    with caplog.at_level(logging.WARNING):
        read_twice(remote=remote, local=str(local))
    warnings = [record.getMessage() for record in caplog.records if "set-aside" in record.getMessage()]
    assert len(warnings) == 1  # for the whole directory
    for name in names:
        aside = local / f"{name}.set-aside-1"
        if kind == "file":
            assert aside.read_bytes() == precious
        else:
            assert os.readlink(aside) == str(tmp_path / f"precious-{name}")
            assert (tmp_path / f"precious-{name}").exists() == (kind == "link")
            assert kind != "link" or (tmp_path / f"precious-{name}").read_bytes() == precious


@pytest.mark.parametrize("compression", [None, "zstd"])
def test_planted_links_are_not_written_through(make_dataset: Make, tmp_path: Path, compression: str | None) -> None:
    """The names of unfinished and of bookkeeping files can be guessed."""
    remote, local, victim = make_dataset(N, compression=compression), tmp_path / "local", tmp_path / "victim"
    _ = StreamingDataset(remote=remote, local=str(local))[0]
    dataset = StreamingDataset(remote=remote, local=str(local))
    last = dataset.num_shards - 1
    names = [part_of(dataset, last), local / f"shard.{last:05}.mds.{part_of(dataset, last).name.split('.')[-2]}.part"]
    names += [local / name for name in ("index.json.part", ".streaming-cache", ".streaming-cache.part")]
    victim.write_bytes(b"precious")
    (local / "index.json").unlink()
    for name in names:
        name.unlink(missing_ok=True)
        name.symlink_to(victim)
    assert StreamingDataset(remote=remote, local=str(local))[:] == EXPECTED
    assert dataset[:] == EXPECTED
    assert victim.read_bytes() == b"precious"
    assert not (local / ".streaming-cache").is_symlink()


@pytest.fixture
def same_place(request: pytest.FixtureRequest, tmp_path: Path, make_dataset: Make) -> Iterator[tuple[str, str, Path]]:
    """A dataset, and another name of its directory."""
    how, compression = request.param
    place = Path(make_dataset(N, "place", compression=compression))
    if how == "mount":
        other = tmp_path / "mounted"
        other.mkdir()
        command = ["mount", "--bind", str(place), str(other)]
        if (
            not IS_ROOT
            or shutil.which("mount") is None
            or subprocess.run(command, capture_output=True, check=False).returncode
        ):
            pytest.skip("a directory can only be mounted by root, and not everywhere")
        yield str(place), str(other), place
        subprocess.run(["umount", "-l", str(other)], check=False)
        return
    if how == "link":
        (tmp_path / "link").symlink_to(place)
    names = {
        "same": (str(place), str(place)),
        "url": (f"file://{place}", str(place)),
        "link": (str(place), str(tmp_path / "link")),
        "link to link": (f"file://{place}/../place", f"{place}/"),
    }
    yield (*names[how], place)


@pytest.mark.parametrize("limit", [None, 40_000])
@pytest.mark.parametrize(
    "same_place",
    [(how, zipped) for how in ("same", "url", "link", "link to link", "mount") for zipped in (None, "zstd")],
    indirect=True,
)
def test_local_is_the_remote_by_another_name(same_place: tuple[str, str, Path], limit: int | None) -> None:
    remote, local, place = same_place
    before = contents(place)
    dataset = read_twice(remote=remote, local=local, cache_limit=limit)
    assert {name: data for name, data in contents(place).items() if name in before} == before
    assert dataset.stats()["bytes_fetched"] == 0
    assert not (place / ".streaming-cache").exists()


def test_our_own_old_files_are_replaced_counted_and_evicted(make_dataset: Make, tmp_path: Path) -> None:
    local = str(tmp_path / "local")
    first, second = make_dataset(N, "one", size_limit=3000), make_dataset(N, "two", compression="zstd")
    _ = StreamingDataset(remote=first, local=local)[:]
    dataset = StreamingDataset(remote=second, local=local)
    taken = sum(path.stat().st_size for path in Path(local).glob("shard*") if int(path.name[6:11]) < dataset.num_shards)
    assert dataset.cache_usage == taken + os.path.getsize(f"{second}/index.json")
    dataset.evict_shard(0)
    assert not Path(local, "shard.00000.mds").exists()
    assert dataset[:] == EXPECTED
    again = StreamingDataset(remote=first, local=local)
    assert again[:] == EXPECTED
    assert not list(Path(local).glob("*set-aside*"))


def test_a_directory_that_many_datasets_have_used(make_dataset: Make, tmp_path: Path) -> None:
    """What was used long ago is forgotten, and what is there of it is then not touched."""
    local = tmp_path / "local"
    for number in range(20):
        remote = make_dataset(5, "remote", hashes=None) if not number else str(tmp_path / "remote")
        os.utime(tmp_path / "remote" / "index.json", (1e9, 1e9 + number))
        assert StreamingDataset(remote=remote, local=str(local))[0] == sample(0)
    assert len(list(local.glob(".streaming-cache*"))) == 17
    assert not list(local.glob("*set-aside*"))


def test_half_fetched_files_of_other_datasets_go(make_dataset: Make, tmp_path: Path) -> None:
    local, mine = tmp_path / "local", tmp_path / "local" / "thesis.part"
    first = StreamingDataset(remote=make_dataset(N, "one"), local=str(local))
    part_of(first, 2).write_bytes(b"begun")
    mine.write_bytes(b"the user's own")
    assert StreamingDataset(remote=make_dataset(N, "two", size_limit=3000), local=str(local))[:] == EXPECTED
    assert not part_of(first, 2).exists()
    assert mine.read_bytes() == b"the user's own"


class TestDefaultLocal:
    """Where datasets without ``local`` are cached: nobody else may have a say there."""

    @pytest.fixture(autouse=True)
    def _temporary(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "t").mkdir(mode=0o1777)
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "t"))

    def test_it_is_this_users_alone(self, make_dataset: Make, tmp_path: Path) -> None:
        remote = make_dataset(N)
        dataset = StreamingDataset(remote=remote)
        assert dataset[:] == EXPECTED
        (place,) = (tmp_path / "t").iterdir()
        assert place.name == f"streaming-{os.geteuid()}"
        assert place.stat().st_mode & 0o777 == 0o700
        assert Path(default_local(remote)).parent == place
        assert dataset.streams[0].local == default_local(remote)
        assert StreamingDataset(remote=remote)[:] == EXPECTED

    @pytest.mark.parametrize("how", ["link", "file", "mode", "owner"])
    def test_one_that_others_had_a_hand_in_is_not_trusted(self, make_dataset: Make, tmp_path: Path, how: str) -> None:
        remote = make_dataset(N)
        place = Path(default_local(remote)).parent
        if how == "link":
            (tmp_path / "planted").mkdir()
            place.symlink_to(tmp_path / "planted")
        elif how == "file":
            place.write_bytes(b"")
        else:
            place.mkdir(mode=0o700)
            if how == "mode":
                place.chmod(0o777)
            elif IS_ROOT:
                os.chown(place, 65534, -1)
            else:
                pytest.skip("only root can give a directory away")
        with pytest.raises(PermissionError, match=r"cannot be trusted.*give `local`, or set TMPDIR"):
            StreamingDataset(remote=remote)
        assert StreamingDataset(remote=remote, local=str(tmp_path / "local"))[:] == EXPECTED


def test_files_that_go_as_another_dataset_takes_over(
    make_dataset: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = tmp_path / "local"
    assert StreamingDataset(remote=make_dataset(N), local=str(local))[:] == EXPECTED

    def while_others_remove(status: os.stat_result) -> int:
        for path in local.glob("shard.*"):
            path.unlink()
        return ownership.our_stamps(str(local))[0]

    monkeypatch.setattr(ownership, "stamp_of", while_others_remove)
    StreamingDataset(remote=make_dataset(N - 1, "other"), local=str(local))
    monkeypatch.undo()
    assert StreamingDataset(remote=make_dataset(N - 1, "same"), local=str(local))[:] == EXPECTED[:-1]


PREFILLED = """
import os, sys
from streaming import StreamingDataset
from streaming.cache.files.ownership import give_way
remote, local, warm = sys.argv[1:]
assert len(StreamingDataset(local=warm)[:]) == 300  # imports what is imported late
os.setuid(65534)
assert [x["id"] for x in StreamingDataset(remote=remote, local=local)[:]] == list(range(300))
"""


@pytest.mark.skipif(not IS_ROOT, reason="becomes a user who may not write, which takes root")
@pytest.mark.parametrize("hashes", [None, ["xxh64"]])
def test_a_cache_that_was_filled_beforehand_and_cannot_be_written(
    make_dataset: Make, tmp_path: Path, hashes: Any
) -> None:
    remote, warm, local = make_dataset(N, hashes=hashes), make_dataset(N, "warm"), tmp_path / "local"
    assert StreamingDataset(remote=remote, local=str(local))[:] == EXPECTED
    for folder in [local, *local.parents, Path(remote)]:
        if folder == Path("/tmp"):
            break
        folder.chmod(folder.stat().st_mode | 0o055)
    status, _, said = run_code(PREFILLED, remote, str(local), warm)
    assert status == 0, said
