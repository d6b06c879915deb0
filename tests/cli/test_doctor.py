"""``doctor``, ``bench``, completion, colours, and an index that is named."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from streaming import LocalDataset, StreamingDataset
from streaming.cli.main import main

from servers import web_server


def findings(capsys: Any, *args: str) -> tuple[int, dict[str, dict[str, str]]]:
    code = main(["doctor", "--json", *args])
    found = json.loads(capsys.readouterr().out)["findings"]
    return code, {finding["name"]: finding for finding in found}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and no variable that says where credentials are."""
    for name in os.environ:
        if name.startswith(("AWS_", "GOOGLE_", "AZURE_", "HF_", "OCI_", "DATABRICKS_")) or "proxy" in name.lower():
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_doctor_on_a_machine_that_is_well(home: Path, make_dataset: Callable[..., str], capsys: Any) -> None:
    code, found = findings(capsys, make_dataset())
    assert code == 0
    assert found["numpy"]["level"] == "ok"
    assert {"processors", "memory", "open files", "start method", "disk of caches"} <= found.keys()
    assert found[f"{home}/remote"]["value"].startswith("300 samples, 3 shards")
    assert found["first byte"]["level"] == "ok"
    assert found["Amazon S3"]["value"] == "none found"


def test_doctor_finds_credentials_and_tells_no_secret(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    secret = "s3cr3t"
    (home / ".aws").mkdir()
    (home / ".aws/credentials").write_text(f"[default]\naws_secret_access_key={secret}\n")
    monkeypatch.setenv("HF_TOKEN", secret)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(home / "none.json"))
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:{secret}@proxy:3128")
    monkeypatch.setenv("http_proxy", f"me:{secret}@proxy:3128")
    code = main(["doctor"])
    out = capsys.readouterr().out
    assert secret not in out
    assert code == 1
    _, found = findings(capsys)
    assert found["Amazon S3"]["value"] == "~/.aws/credentials"
    assert found["Hugging Face"]["value"] == "HF_TOKEN"
    assert found["Google Cloud"]["level"] == "problem"
    assert "No such file" in found["Google Cloud"]["value"]
    assert (found["HTTPS_PROXY"]["value"], found["http_proxy"]["value"]) == ("http://proxy:3128", "proxy:3128")


@pytest.mark.parametrize(
    ("name", "holds", "shown"),
    [
        ("mosaicml-streaming", "streaming/__init__.py", "mosaicml-streaming"),
        ("mosaicml-streaming", "README.md", None),  # a companion of that name, without a module
        ("Other_Thing", "streaming/__init__.py", "other-thing"),
        ("Other_Thing", "other.py", None),
    ],
)
def test_doctor_knows_packages_of_its_import_name(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, name: str, holds: str, shown: str | None
) -> None:
    folder = home / "site-packages"
    metadata = folder / f"{name.replace('-', '_')}-0.13.0.dist-info/METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.13.0\n")
    metadata.with_name("RECORD").write_text(f"{holds},,\n")
    (folder / holds).parent.mkdir(exist_ok=True)
    (folder / holds).touch()
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    code, found = findings(capsys)
    assert code == (1 if shown else 0)
    if shown:
        assert "also installs the import name" in found[shown]["value"]
        assert f"pip uninstall {shown}" in found[shown]["advice"]


def test_doctor_asks_a_server_for_its_clock(
    home: Path, make_dataset: Callable[..., str], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    make_dataset()
    with web_server() as server:
        for path in (home / "remote").iterdir():
            server.objects[f"data/{path.name}"] = path.read_bytes()
        code, found = findings(capsys, f"{server.url}/data")
        assert code == 0
        assert "from that of" in found["clock"]["value"]
        assert found["clock"]["level"] == "ok"
        monkeypatch.setattr(
            "http.server.BaseHTTPRequestHandler.date_time_string",
            lambda *_: formatdate(time.time() - 3600, usegmt=True),
        )
        code, found = findings(capsys, f"{server.url}/data")
        assert (code, found["clock"]["level"]) == (1, "problem")
        monkeypatch.undo()
        code, found = findings(capsys, f"{server.url}/none")
        assert code == 1
        assert found[f"{server.url}/none"]["level"] == "problem"
    code, found = findings(capsys, f"{server.url}/data")
    assert (code, found["clock"]["level"]) == (1, "warning")


def test_bench(make_dataset: Callable[..., str], capsys: Any) -> None:
    path = make_dataset(300, compression="zstd")
    assert main(["bench", "--json", "--seconds", "5", "--workers", "0", path]) == 0
    facts = json.loads(capsys.readouterr().out)
    stored = sum(os.path.getsize(f"{path}/{name}") for name in os.listdir(path) if name.endswith("zstd"))
    assert facts["samples"] == 300
    assert facts["fetched_bytes"] == stored
    assert min(facts["first_byte_ms"], facts["first_batch_ms"], facts["samples_per_s"]) > 0
    before = set(os.listdir(path))
    assert main(["bench", "--seconds", "1", "--workers", "1", path]) == 0
    out = capsys.readouterr().out
    assert "1 workers, batches of 32, 300 in" in out
    assert set(os.listdir(path)) == before


def test_an_option_that_was_mistyped(capsys: Any) -> None:
    for args, meant in ((["head", "--jsn", "x"], "'--json'"), (["verify", "x", "--jos=3"], "'--jobs'")):
        with pytest.raises(SystemExit):
            main(args)
        assert f"Did you mean {meant}?" in capsys.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion(capsys: Any, shell: str) -> None:
    pytest.importorskip("shtab")
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "verify" in script
    if shell == "bash":
        after = 'COMP_WORDS=(streaming ve); COMP_CWORD=1; _shtab_streaming streaming ve; echo "${COMPREPLY[@]}"'
        done = subprocess.run(
            ["bash", "-c", f"{script}\n{after}"], capture_output=True, text=True, timeout=60, check=True
        )
        assert done.stdout == "verify\n"


def on_a_terminal(*args: str, **environ: str) -> str:
    """Run a command whose output is a terminal; return what that was sent."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "streaming", *args], stdout=theirs, stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", **environ},
    )  # fmt: skip
    os.close(theirs)
    sent = b""
    while True:
        try:
            data = os.read(ours, 1 << 16)
        except OSError:  # its other end is closed
            break
        if not data:
            break
        sent += data
    os.close(ours)
    child.wait(60)
    return sent.decode().replace("\r\n", "\n")


def test_colours_are_for_terminals(make_dataset: Callable[..., str], capsys: Any) -> None:
    pytest.importorskip("rich")
    path = make_dataset(3)
    main(["head", path])
    plain = capsys.readouterr().out
    assert "\x1b" not in plain
    assert "\x1b[36m" in on_a_terminal("head", path)
    lines = [line.rstrip() for line in on_a_terminal("head", path, NO_COLOR="1").splitlines()]
    assert "\x1b[3" not in "".join(lines)
    assert "\x1b" not in on_a_terminal("head", "--json", path)
    assert "\x1b[1;31merror" in on_a_terminal("head", f"{path}/none")


def test_an_index_may_be_named(make_dataset: Callable[..., str], tmp_path: Path, bucket: str) -> None:
    path = make_dataset()
    assert len(StreamingDataset(local=f"{path}/index.json", batch_size=1)) == 300
    assert len(LocalDataset(f"{path}/index.json")) == 300
    assert main(["copy", path, f"{bucket}/data"]) == 0
    for place in (path, f"{bucket}/data"):
        dataset = StreamingDataset(remote=f"{place}/index.json", local=str(tmp_path / "cache"), batch_size=1)
        assert len(dataset) == 300
        assert dataset.streams[0].remote == place


def test_doctor_finds_what_was_removed_with_another_package(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    folder = home / "site-packages"
    info = folder / "streaming_dataset-1.0.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: streaming-dataset\nVersion: 1.0.0\n")
    lines = ("../../../bin/simulator", "streaming/base/util.py", "streaming/__init__.py", f"{info.name}/METADATA")
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in lines))
    monkeypatch.syspath_prepend(folder)
    code, found = findings(capsys)
    assert code == 1
    assert found["streaming-dataset"]["level"] == "problem"
    assert found["streaming-dataset"]["value"].endswith("of which 3 files are missing, such as streaming/__init__.py")
