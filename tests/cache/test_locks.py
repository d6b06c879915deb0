"""A lock is waited for while its holder gets on, and for a limited time when it does not."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from streaming import StreamingDataset
from streaming.cache.fetching import config
from streaming.core.errors import LockedError, ShardUnavailableError
from streaming.core.process import holder, lock
from streaming.core.process.lock import locked_part, locked_path, locked_record

from sample_data import write_dataset

HOLD = """
import fcntl, os, sys, time
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
(fcntl.lockf if sys.argv[2] == "record" else fcntl.flock)(fd, fcntl.LOCK_EX)
print("held", flush=True)
for _ in range(int(sys.argv[3])):
    os.write(fd, b"x")
    time.sleep(0.02)
if not int(sys.argv[3]):
    sys.stdin.read()
"""


@contextmanager
def held(path: Path, kind: str = "file", writes: int = 0, stop: bool = False) -> Iterator[int]:
    """Have another process hold a lock, asleep, stopped, or writing to the file for a while."""
    command = [sys.executable, "-c", HOLD, str(path), kind, str(writes)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        if stop:
            process.send_signal(signal.SIGSTOP)
            os.waitpid(process.pid, os.WUNTRACED)
        try:
            yield process.pid
        finally:
            process.kill()


def take(path: Path, kind: str, timeout_s: float) -> Any:
    if kind == "part":
        return locked_part(str(path), timeout_s)
    if kind == "path":
        return locked_path(str(path), timeout_s)
    return locked_record(os.open(path, os.O_RDWR), str(path), timeout_s)


@pytest.mark.parametrize("kind", ["part", "path", "record"])
@pytest.mark.parametrize("stop", [False, True])
def test_a_holder_that_does_nothing(tmp_path: Path, kind: str, stop: bool) -> None:
    path = tmp_path / "file"
    path.touch()
    with held(path, kind, stop=stop) as pid:
        with pytest.raises(TimeoutError, match="makes no progress") as raised:
            with take(path, kind, 0.3):
                pass
    assert isinstance(raised.value, LockedError)
    if os.path.exists("/proc/locks"):
        assert f"process {pid} on {os.uname().nodename}" in str(raised.value)
        assert (f"kill -CONT {pid}" in str(raised.value)) == stop
    with take(path, kind, 30):
        pass


@pytest.mark.parametrize("system", ["hidden", "unknown"])
def test_a_holder_that_cannot_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str) -> None:
    (tmp_path / "locks").write_text("1: POSIX  ADVISORY  WRITE 1 fe:00:1 0 EOF\n")
    monkeypatch.setattr(holder, "_LOCKS", str(tmp_path / ("locks" if system == "hidden" else "nothing")))
    with held(tmp_path / "file"):
        with pytest.raises(LockedError, match="another machine" if system == "hidden" else "lsof"):
            with locked_path(str(tmp_path / "file"), 0.1):
                pass


def test_a_holder_that_gets_on_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_LOOK_S", 0.01)
    path = tmp_path / "file"
    with held(path, writes=100):
        with locked_part(str(path), 0.5):
            assert path.stat().st_size == 100


def test_says_that_it_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(lock, "_SAY_S", 0.1)
    with held(tmp_path / "file"):
        with pytest.raises(LockedError):
            with locked_part(str(tmp_path / "file"), 0.3):
                pass
    assert [record for record in caplog.messages if "waiting for the lock of" in record]
    assert len(caplog.messages) == 1


def test_ctrl_c_while_waiting(tmp_path: Path) -> None:
    with held(tmp_path / "file"):
        timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            with locked_part(str(tmp_path / "file"), 100):
                pass
        timer.join()


def test_an_index_that_cannot_be_kept_is_read(
    make_dataset: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "local").mkdir()
    monkeypatch.setattr(locked_part.__wrapped__, "__defaults__", (0.1,))
    with held(tmp_path / "local" / "index.json.part", stop=True):
        assert len(list(StreamingDataset(remote=make_dataset(100), local=str(tmp_path / "local"), batch_size=4))) == 100
    assert "index.json is not kept" in caplog.text


@pytest.mark.parametrize("name", ["shard.00000.mds.part", ".streaming-cache"])
def test_a_stopped_job_does_not_stop_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    remote, local = tmp_path / "remote", tmp_path / "local"
    write_dataset(str(remote), 100)
    arguments: dict[str, Any] = {"remote": str(remote), "local": str(local), "batch_size": 4, "cache_limit": "1mb"}
    if name == ".streaming-cache":
        assert len(list(StreamingDataset(**arguments))) == 100
        (local / "shard.00000.mds").unlink()
    if name.startswith("shard"):  # its part has the dataset in its name
        (directory,) = StreamingDataset(**arguments)._cache.directories
        name = os.path.basename(directory._keepers(0)[0].job.part(directory.index.shard(0).raw[0]))
    local.mkdir(exist_ok=True)
    for module, constant in ((lock, "MOMENT_S"), (config, "_BETWEEN_S")):
        monkeypatch.setattr(module, constant, 0.1)
    monkeypatch.setattr(locked_part.__wrapped__, "__defaults__", (0.1,))
    monkeypatch.setattr(locked_path.__wrapped__, "__defaults__", (0.1,))
    with held(local / name, stop=True):
        with pytest.raises((LockedError, ShardUnavailableError), match="is stopped|another process"):
            list(StreamingDataset(**arguments, download_timeout=0.01, download_retry=0))
    assert len(list(StreamingDataset(**arguments))) == 100


def work(path: str, count: Any, times: int) -> None:
    for _ in range(times):
        with locked_path(path):
            before = count.value
            time.sleep(0)
            count.value = before + 1


def test_keeps_each_other_out(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    context = multiprocessing.get_context("fork")
    count = context.Value("i", 0, lock=False)
    others = [context.Process(target=work, args=(str(path), count, 50)) for _ in range(3)]
    for process in others:
        process.start()
    work(str(path), count, 50)
    for process in others:
        process.join(60)
    assert count.value == 200
