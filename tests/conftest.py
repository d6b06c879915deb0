"""What every test may use: small datasets, and a process of no job."""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import shutil
import signal
import tempfile
from collections.abc import Callable, Generator, Iterator
from multiprocessing import forkserver, set_forkserver_preload
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

import pytest

from leftovers import begin, end

from budget import register_profiles
from clouds import Clouds
from sample_data import write_dataset
from servers import S3Server, s3_server

# A shell that starts the tests in the background has them, and what they start, ignore Ctrl-C; some tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)

register_profiles()

pytest_plugins = ["apart", "copies"]

# As many tests run at a time as there are cores: threads of one would wait for those of the others, and burn a core.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Each thread would leave memory behind that others seldom use: hundreds of megabytes in the end, gone through by every fork.
if platform.libc_ver()[0] == "glibc":
    ctypes.CDLL(None).mallopt(-8, 1)  # M_ARENA_MAX


def _temporary_files_in_memory() -> Path | None:
    """Have temporary files there if there is plenty: to make and remove as many on a disk takes a tenth of all time."""
    memory = Path("/dev/shm")
    if "TMPDIR" in os.environ or not os.access(memory, os.W_OK) or shutil.disk_usage(memory).free < 4 << 30:
        return None
    made = begin(memory)
    tempfile.tempdir = os.environ["TMPDIR"] = str(made)
    return made


_IN_MEMORY = _temporary_files_in_memory()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(exitstatus: int) -> None:
    """Leave nothing in memory, but of tests that failed: what their directories hold may say why."""
    if _IN_MEMORY:
        failed = exitstatus == pytest.ExitCode.TESTS_FAILED
        Finalize(None, end, (_IN_MEMORY, failed), exitpriority=-200)  # after multiprocessing's own, at -100


# What its children need and takes them seconds to import.
PRELOADED = ["torch", "streaming.dataset.dataset", "streaming.loader.loader"]
set_forkserver_preload(PRELOADED)

RANK_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "SLURM_PROCID", "SLURM_NTASKS")


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests run as one process of no job, whatever started them."""
    for name in RANK_VARIABLES:
        monkeypatch.delenv(name, raising=False)


# Where the tests are that take longest: begun last, one of them would run alone.
SLOW = {"trainers", "examples", "typing", "converters", "test_site", "test_docs"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: SLOW.isdisjoint((item.path.parent.name, item.path.stem)))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is imported and collected stays, so that no garbage has to be looked for."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    """What is there before the first test stays: no collection of garbage has to look at it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def _memory_given_back() -> Iterator[None]:
    """What the tests of a module have freed goes back to the system: each child begins with a copy of what is held."""
    yield
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


@pytest.fixture
def _fresh_forkserver(request: pytest.FixtureRequest) -> Iterator[None]:
    """A fork server keeps the environment it began with; have one begin with this test's, and with no module imported."""
    if "forkserver" not in request.node.callspec.params.values():
        yield
        return
    _stop_forkserver()
    set_forkserver_preload([])
    yield
    _stop_forkserver()
    set_forkserver_preload(PRELOADED)


def _stop_forkserver() -> None:
    server = forkserver._forkserver
    if server._forkserver_pid is not None:
        # It would go by itself once every process that it made has gone.
        os.kill(server._forkserver_pid, signal.SIGTERM)
        server._stop()


@pytest.fixture
def make_dataset(tmp_path: Path) -> Callable[..., str]:
    """Write a dataset below a temporary directory and return its path."""

    def make(num_samples: int = 300, name: str = "remote", **kwargs: Any) -> str:
        path = str(tmp_path / name)
        write_dataset(path, num_samples, **kwargs)
        return path

    return make


@pytest.fixture(scope="session")
def _emulators() -> Iterator[Clouds]:
    with Clouds() as running:
        yield running


@pytest.fixture
def clouds(_emulators: Clouds) -> Iterator[Clouds]:
    """Emulators of clouds."""
    yield _emulators
    _emulators.forget()


@pytest.fixture(scope="session")
def s3_session(_emulators: Clouds) -> S3Server:
    return _emulators.server(s3_server)


@pytest.fixture
def s3(s3_session: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """A server of S3's protocol, and a process that knows no other."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "S3_")):
            monkeypatch.delenv(name)
    for name, value in s3_session.env.items():
        monkeypatch.setenv(name, value)
    return s3_session


@pytest.fixture
def bucket(s3: S3Server) -> str:
    """URL of an empty bucket."""
    return s3.create_bucket()
