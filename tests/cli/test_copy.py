"""Copying between stores: what a stop leaves, what a repetition does, and whose options are whose."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from streaming import LocalDataset
from streaming.cli.commands.copy import MARK_NAME
from streaming.cli.main import main

from clouds import Clouds, clear_credentials
from sample_data import sample
from servers import WebServer, web_server


@pytest.fixture
def web() -> Iterator[WebServer]:
    with web_server() as server:
        yield server


def start(temporary: Path, *args: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "streaming.cli", "copy", *args]
    environ = {**os.environ, "TMPDIR": str(temporary)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ)


def serve(web: WebServer, path: str) -> str:
    web.objects |= {f"data/{name}": Path(path, name).read_bytes() for name in os.listdir(path)}
    return f"{web.url}/data"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_copy_continues(how: int, web: WebServer, make_dataset: Callable[..., str], tmp_path: Path) -> None:
    url, target = serve(web, make_dataset(500)), tmp_path / "copy"
    reached, go_on = threading.Event(), threading.Event()

    def fault(handler: Any, path: str) -> bool:
        if path.endswith("00003.mds"):
            reached.set()
            go_on.wait(60)
        return False

    web.fault = fault
    with start(tmp_path, url, str(target), "-j", "1") as process:
        assert reached.wait(60)
        process.send_signal(how)
        _, err = process.communicate(timeout=60)
    go_on.set()
    web.fault = None
    assert sorted(os.listdir(target)) == [MARK_NAME, *(f"shard.0000{i}.mds" for i in range(3))]
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert "3 of 5 files are at" in err
        assert "Repeat the command to continue" in err
        assert "interrupted" in err.splitlines()[-1]
    with start(tmp_path, url, str(target), "--json") as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert json.loads(out)["copied_files"] == 2
    assert LocalDataset(str(target))[:] == [sample(i) for i in range(500)]
    assert MARK_NAME not in os.listdir(target)


def test_what_a_stopped_copy_of_another_dataset_left_is_replaced(
    make_dataset: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = make_dataset(300), tmp_path / "copy"
    target.mkdir()
    for i in range(3):
        size = os.path.getsize(f"{source}/shard.0000{i}.mds")
        (target / f"shard.0000{i}.mds").write_bytes(bytes(size))
    (target / MARK_NAME).write_text("of another one")
    assert main(["copy", source, str(target)]) == 0
    assert "copied 3 files" in capsys.readouterr().out
    assert LocalDataset(str(target))[:] == [sample(i) for i in range(300)]


def test_force_takes_the_old_index_away_first(
    make_dataset: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = make_dataset(300), make_dataset(200, name="old")
    os.unlink(f"{source}/shard.00001.mds")
    assert main(["copy", "--force", source, target]) == 2
    assert not os.path.exists(f"{target}/index.json")
    assert "files are at" in capsys.readouterr().err


def test_between_two_stores_with_options_of_each(
    clouds: Clouds,
    make_dataset: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    clear_credentials(monkeypatch, tmp_path)
    sftp, oracle = clouds.place("sftp"), clouds.place("oci")
    source = make_dataset(300, compression="zstd")
    to_sftp = [f"--to-option={name}={value}" for name, value in sftp.options.items()]
    from_sftp = [argument.replace("--to", "--from") for argument in to_sftp]
    to_oracle = [f"--to-option={name}={value}" for name, value in oracle.options.items()]
    assert main(["copy", source, sftp.url, *to_sftp]) == 0
    assert main(["copy", sftp.url, oracle.url, *from_sftp, *to_oracle]) == 0
    from_oracle = [f"-o{name}={value}" for name, value in oracle.options.items()]
    assert main(["copy", oracle.url, str(tmp_path / "copy"), *from_oracle]) == 0
    assert capsys.readouterr().err == ""
    assert LocalDataset(str(tmp_path / "copy"))[:] == [sample(i) for i in range(300)]
    assert main(["copy", sftp.url, oracle.url, *from_sftp, *to_oracle]) == 0
    assert "copied 0 files, 0 B; 3 were there already" in capsys.readouterr().out


def test_progress_begins_where_the_last_copy_ended(make_dataset: Callable[..., str], tmp_path: Path) -> None:
    source, target = make_dataset(300), str(tmp_path / "copy")
    main(["copy", source, target])
    os.unlink(f"{target}/shard.00001.mds")
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with subprocess.Popen(
        [sys.executable, "-m", "streaming.cli", "copy", source, target], stdout=subprocess.PIPE, stderr=child
    ) as process:
        process.communicate(timeout=60)
    os.close(child)
    shown = b""
    while True:
        try:
            data = os.read(parent, 4096)
        except OSError:
            break
        if not data:
            break
        shown += data
    os.close(parent)
    assert b"Copying" in shown
    assert b"Copying:  6" in shown.split(b"\r")[1]


def contents(place: Path) -> dict[str, bytes]:
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", ["file", "link", "dangling"])
def test_files_that_are_nobodys_are_not_replaced(
    make_dataset: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    source, target, mine = make_dataset(300), tmp_path / "copy", tmp_path / "mine"
    target.mkdir()
    name = target / "shard.00001.mds"
    if kind == "file":
        name.write_text("mine")
    else:
        name.symlink_to(mine)
        if kind == "link":
            mine.write_text("mine")
    before = contents(tmp_path)
    assert main(["copy", source, str(target)]) == 2
    assert "shard.00001.mds, and nothing says that they are its" in " ".join(capsys.readouterr().err.split())
    assert contents(tmp_path) == before
    assert main(["copy", source, str(target), "--force"]) == 0
    assert LocalDataset(str(target))[:] == [sample(i) for i in range(300)]
    assert kind == "file" or mine.exists() == (kind == "link")
    assert kind != "link" or mine.read_text() == "mine"


@pytest.mark.parametrize("flags", [[], ["--force"]])
def test_an_index_that_is_none_is_not_replaced(
    make_dataset: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str]
) -> None:
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "index.json").write_text('{"pages": []}')
    assert main(["copy", make_dataset(300), str(tmp_path / "copy"), *flags]) == 2
    assert "is no index of a dataset" in capsys.readouterr().err
    assert contents(tmp_path / "copy") == {"index.json": b'{"pages": []}'}


@pytest.mark.parametrize("flags", [[], ["--force"]])
@pytest.mark.parametrize("spelling", ["{0}", "{0}/", "file://{0}", "{1}", "{0}/../data"])
def test_a_copy_to_itself_is_refused(
    make_dataset: Callable[..., str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    spelling: str,
) -> None:
    source = make_dataset(300, name="data")
    (tmp_path / "link").symlink_to(source)
    before = contents(Path(source))
    assert main(["copy", source, spelling.format(source, tmp_path / "link"), *flags]) == 2
    assert "are one place" in capsys.readouterr().err
    assert contents(Path(source)) == before


def test_nothing_is_written_through_a_directory_that_is_a_link(
    make_dataset: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, target, mine = tmp_path / "root", tmp_path / "copy", tmp_path / "mine"
    root.mkdir()
    for part in "01":
        os.rename(make_dataset(200, name=part), root / part)
    assert main(["merge", str(root)]) == 0
    target.mkdir()
    mine.mkdir()
    (target / "1").symlink_to(mine)
    assert main(["copy", str(root), str(target)]) == 2
    assert "reached by a link" in capsys.readouterr().err
    assert contents(mine) == {}
    assert not (target / "index.json").exists()
    (target / "1").unlink()
    # The target itself may be reached by one: that is how it was named.
    (tmp_path / "named").symlink_to(target)
    assert main(["copy", str(root), str(tmp_path / "named")]) == 0
    assert len(LocalDataset(str(target))) == 400


def test_a_target_that_is_nearly_a_url(
    make_dataset: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = make_dataset(10)
    monkeypatch.chdir(tmp_path)
    before = sorted(os.listdir(tmp_path))
    assert main(["copy", source, "s3:/bucket/data"]) == 2
    assert "Did you mean 's3://bucket/data'" in " ".join(capsys.readouterr().err.split())
    assert sorted(os.listdir(tmp_path)) == before


def test_side_columns_come_along(
    web: WebServer, make_dataset: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pyarrow")
    remote, copy = make_dataset(20), str(tmp_path / "copy")
    assert main(["index", remote, "--columns", "id", "--beside"]) == 0
    made = Path(remote, "columns.parquet").read_bytes()
    assert main(["copy", serve(web, remote), copy]) == 0
    assert "; and the side columns" in capsys.readouterr().out
    assert Path(copy, "columns.parquet").read_bytes() == made
    assert len(LocalDataset(copy).filter("id >= 5")) == 15
    assert main(["index", copy, "--columns", "number=id", "--beside"]) == 0
    own = Path(copy, "columns.parquet").read_bytes()
    assert main(["copy", remote, copy]) == 0
    assert Path(copy, "columns.parquet").read_bytes() == own != made
    assert main(["copy", remote, copy, "--force"]) == 0
    assert Path(copy, "columns.parquet").read_bytes() == made
