from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

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
