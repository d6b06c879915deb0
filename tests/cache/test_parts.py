"""A file that comes over several connections, whose number changes as it comes."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streaming.cache.fetching.parts import PART_BYTES, download_in_parts
from streaming.core.errors import UnavailableError

pytestmark = pytest.mark.apart
NUM_PARTS = 12


class Slow:
    """A store whose answers come when they are let go, last first."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.asked: list[int] = []
        self.most = 0
        self._open = 0
        self._lock = threading.Condition()

    def get_range(self, path: str, begin: int, end: int) -> bytes:
        with self._lock:
            self.asked.append(begin)
            self._open += 1
            self.most = max(self.most, self._open)
            mine = self._open
            self._lock.notify_all()
            self._lock.wait_for(lambda: self._open > mine, 0.02)
            self._open -= 1
        return self.data[begin:end]


def data() -> bytes:
    return np.random.default_rng(0).bytes(NUM_PARTS * PART_BYTES - 12345)


def fetch(store: Any, target: Path, connections: Any, offset: int = 0) -> list[bytes]:
    found: list[bytes] = []
    download_in_parts(store, "x", str(target), offset, len(store.data), found.append, connections)
    return found


@pytest.mark.parametrize("shares", [[1], [3], [0], [8, 8, 8, 2, 1, 1, 5], [1, 2, 3, 4, 100]])
def test_the_number_of_connections_changes(tmp_path: Path, shares: list[int]) -> None:
    store, given = Slow(data()), iter(shares)
    last = [shares[0]]

    def connections() -> int:
        last[0] = next(given, last[0])
        return last[0]

    offset = 1_000_001
    (tmp_path / "x").write_bytes(store.data[:offset])
    found = fetch(store, tmp_path / "x", connections, offset)
    assert (tmp_path / "x").read_bytes() == store.data
    assert b"".join(found) == store.data[offset:]
    assert sorted(store.asked) == list(range(offset, len(store.data), PART_BYTES))
    assert store.most <= max(1, *shares)
    assert (store.most > 1) == (max(shares) > 1)


def test_what_came_before_a_failure_is_there(tmp_path: Path) -> None:
    class Failing(Slow):
        def get_range(self, path: str, begin: int, end: int) -> bytes:
            if begin == 5 * PART_BYTES:
                raise UnavailableError("gone")
            return super().get_range(path, begin, end)

    store = Failing(data())
    with pytest.raises(UnavailableError, match="gone"):
        fetch(store, tmp_path / "x", lambda: 3)
    assert (tmp_path / "x").read_bytes() == store.data[: 5 * PART_BYTES]
