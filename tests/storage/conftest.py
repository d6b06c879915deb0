from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from streaming.storage.helper import runtime

from conformance import begin_worker
from servers import S3Server, WebServer, web_server


@pytest.fixture
def web() -> Iterator[WebServer]:
    with web_server() as server:
        yield server


@pytest.fixture(scope="session")
def worker(s3_session: S3Server) -> Iterator[ProcessPoolExecutor]:
    """A process that has declared itself a worker, and so uses the network client itself."""
    with ProcessPoolExecutor(
        1, mp_context=get_context("spawn"), initializer=begin_worker, initargs=(s3_session.env,)
    ) as pool:
        yield pool


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test on processes in one of its own, where another library's client has started threads here for good."""
    if pyfuncitem.path.name != "test_processes.py" or not runtime.threads_running():
        return None
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", pyfuncitem.nodeid]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    root = pyfuncitem.config.rootpath
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False, cwd=root, env=environ)
    assert done.returncode == 0, done.stdout
    return True
