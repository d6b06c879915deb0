"""What children of the tests do with a store; by itself, for they import it."""

from __future__ import annotations

import multiprocessing as mp
import os
from itertools import product
from typing import Any

from streaming.storage.helper import runtime
from streaming.storage.store import Store

WAIT_S = 40


def use(store: Store, name: str, as_worker: bool, results: Any) -> None:
    """In a child: read, write, and say how."""
    if as_worker:
        runtime.declare_worker()
    store.put(name, name.encode())
    results.put((name, store.get("x"), store.get(name), runtime.may_run_here()))


def fork_twice(store: Store, results: Any) -> None:
    """In a child: use the client directly, then have a child of one's own use the store."""
    runtime.declare_worker()
    store.get("x")
    run_children("fork", store, as_worker=True, count=1, expect_direct=False)
    results.put(("done", store.get("x"), b"", runtime.may_run_here()))


def run_children(method: str, store: Store, as_worker: bool, count: int, expect_direct: bool) -> None:
    context: Any = mp.get_context(method)
    results = context.Queue()
    names = [f"from-{os.getpid()}-{i}" for i in range(count)]
    children = [context.Process(target=use, args=(store, name, as_worker, results)) for name in names]
    for child in children:
        child.start()
    got = [results.get(timeout=WAIT_S) for _ in children]
    for child in children:
        child.join(WAIT_S)
        assert child.exitcode == 0
    assert sorted(got) == [(name, b"content", name.encode(), expect_direct) for name in sorted(names)]


def reads_the_same(*stores: Any) -> None:
    for store, start in product(stores, range(0, 100_000, 10_000)):
        if store.get_range("a", start, start + 256) != (bytes(range(256)) * 400)[start : start + 256]:
            os._exit(3)
