"""The store that the documentation shows how to write, taken from there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from streaming.core.errors import ConfigError, ObjectChangedError, StalledError, UnavailableError
from streaming.storage import versions
from streaming.storage.ranged import RangedStore
from streaming.storage.registry import open_store, stores
from streaming.storage.store import ObjectInfo

import conformance
from programs import run_program

DOCS = Path(__file__).parents[2] / "docs" / "storage.md"

PROGRAM = """
import json, sys
import own_store
from streaming import MDSWriter, StreamingDataLoader, StreamingDataset

if __name__ == "__main__":
    url, local, start = sys.argv[1:]
    with MDSWriter(columns={"id": "int"}, out=url, size_limit=1000) as writer:
        for i in range(300):
            writer.write({"id": i})
    dataset = StreamingDataset(remote=url, local=local, batch_size=4, shuffle=True)
    loader = StreamingDataLoader(dataset, batch_size=4, num_workers=1, multiprocessing_context=start, timeout=200)
    print(json.dumps(sorted(i for batch in loader for i in batch["id"].tolist())))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the documentation's module."""
    if not DOCS.exists():
        pytest.skip("the documentation is not here")
    (code,) = re.findall(r"```python\n# own_store\.py\n(.*?)```", DOCS.read_text(), re.S)
    path = tmp_path_factory.mktemp("own")
    (path / "own_store.py").write_text(code)
    (path / "program.py").write_text(PROGRAM)
    return path


@pytest.fixture
def registered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(folder))
    before = stores.snapshot()
    sys.modules.pop("own_store", None)
    import_module("own_store")
    yield
    stores.restore(before)


@pytest.mark.parametrize("name", conformance.NAMES)
def test_it_keeps_every_promise(name: str, registered: None, tmp_path: Path) -> None:
    conformance.run(name, f"sqlite://{tmp_path}/data.db", str(tmp_path), {"table": "mine"})


def test_unknown_option(registered: None, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Known: table"):
        open_store(f"sqlite://{tmp_path}/data.db", {"colour": "red"})


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_find_it(folder: Path, tmp_path: Path, start: str) -> None:
    arguments = [f"sqlite://{tmp_path}/data.db", str(tmp_path / "cache"), start]
    status, out, said = run_program(folder / "program.py", *arguments, timeout_s=100)
    assert status == 0, said
    assert json.loads(out) == list(range(300))


def test_an_installed_package_registers_it_everywhere(folder: Path, tmp_path: Path, make_dataset: object) -> None:
    entry = folder / "own_store-1.0.dist-info"
    entry.mkdir(exist_ok=True)
    (entry / "METADATA").write_text("Metadata-Version: 2.1\nName: own-store\nVersion: 1.0\n")
    (entry / "entry_points.txt").write_text("[streaming.stores]\nsqlite = own_store:open_sqlite\n")
    assert callable(make_dataset)
    source, target = make_dataset(300), f"sqlite://{tmp_path}/data.db"
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    for args in (["copy", source, target], ["verify", "--decode", target]):
        done = subprocess.run(
            [sys.executable, "-m", "streaming.cli", *args],
            capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert "3 shards are fine, 300 samples" in done.stdout


class Short(RangedStore):
    """Promises more than it has, or is silent."""

    def __init__(self, url: str, wait_s: float = 0.0) -> None:
        super().__init__(url)
        self.wait_s = wait_s

    def get_range(self, path: str, start: int, end: int) -> bytes:
        import time

        time.sleep(self.wait_s)
        return b"12345"[start:end]

    def head(self, path: str) -> ObjectInfo:
        return ObjectInfo(path, 10)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        yield from ()

    def put(self, path: str, source: str | bytes) -> None:
        raise NotImplementedError

    def delete(self, path: str) -> None:
        raise NotImplementedError


def test_what_the_base_makes_of_failures(tmp_path: Path) -> None:
    target = str(tmp_path / "t")
    with pytest.raises(UnavailableError, match=r"short://host/x/a: bytes \[0, 10\) are 5"):
        Short("short://user:pw@host/x").download("a", target)
    with pytest.raises(StalledError, match="short://host/x/a: nothing came for 0.2 s"):
        Short("short://user:pw@host/x", 5.0).download("a", target, stall_timeout=0.2)


class Plain:
    """A store of an earlier day: nothing of versions, but the nine methods."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        if name in ("takes_versions", "takes_ranges", "reads_in_one", "heads_are_cheap", "read", "origin"):
            raise AttributeError(name)
        return getattr(self.inner, name)

    def download(
        self,
        path: str,
        target: str,
        *,
        offset: int = 0,
        sink: Any = None,
        stall_timeout: float,
        total_timeout: Any = None,
    ) -> int:
        return self.inner.download(path, target, offset=offset, sink=sink)


def test_a_store_that_takes_no_versions(tmp_path: Path) -> None:
    """They are looked at before and after."""
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "a").write_bytes(b"12345")
    store: Any = Plain(open_store(str(tmp_path / "s")))
    data, info = versions.read(store, "a")
    assert data == b"12345"
    seen: list[ObjectInfo] = []
    target = str(tmp_path / "t")
    limits = {"stall_timeout": 5.0}
    assert versions.download(store, "a", target, on_info=seen.append, **limits) == 5
    assert seen == [info]

    def replace(chunk: Any) -> None:
        (tmp_path / "s" / "new").write_bytes(b"67890")
        os.replace(tmp_path / "s" / "new", tmp_path / "s" / "a")

    with pytest.raises(ObjectChangedError):
        versions.download(store, "a", target, on_info=seen.append, sink=replace, **limits)
    with pytest.raises(ObjectChangedError):
        versions.read(store, "a", 1, 2, version=info.etag)
    assert versions.read(store, "a", 1, 3)[0] == b"78"
