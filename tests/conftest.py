"""What every test may use: small datasets, and a process of no job."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest

from budget import register_profiles
from clouds import Clouds
from sample_data import write_dataset

# A shell that starts the tests in the background has them, and what they start, ignore Ctrl-C; some tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)

register_profiles()

RANK_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "SLURM_PROCID", "SLURM_NTASKS")


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests run as one process of no job, whatever started them."""
    for name in RANK_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def _fresh_forkserver() -> None:
    """A fork server keeps the environment it began with; have the next one begin with this test's."""
    server = forkserver._forkserver
    if server._forkserver_pid is not None:
        os.kill(
            server._forkserver_pid, signal.SIGTERM
        )  # it would go by itself once every process that it made has gone
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
def clouds() -> Iterator[Clouds]:
    """Emulators of clouds."""
    with Clouds() as running:
        yield running
