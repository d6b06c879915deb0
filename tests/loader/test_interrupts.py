"""Ctrl-C at any moment ends a program: while it starts workers, waits, fetches, reads, and lets go of what it has.

``STREAMING_TEST_INTERRUPTS`` says how often to try each case (a few times by default; 200 for a thorough run).
"""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from streaming import StreamingDataLoader, StreamingDataset
from streaming.core.process.interrupts import deferred_interrupts, redeliver_interrupt

from budget import repetitions
from programs import run_code
from sample_data import write_dataset
from servers import web_server

TRIALS = repetitions("STREAMING_TEST_INTERRUPTS", 5, 50)

PROGRAM = """
import gc, os, random, shutil, signal, sys, threading, time
from streaming import StreamingDataLoader, StreamingDataset

remote, base, workers, persistent, whole, trials = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
signal.signal(signal.SIGINT, signal.default_int_handler)
rng = random.Random(workers)
span = 0.3 + 0.4 * workers

def read(local, came):
    dataset = StreamingDataset(remote=remote, local=local, batch_size=4, shuffle=True, cache_limit="200kb")
    loader = StreamingDataLoader(dataset, batch_size=4, num_workers=workers, persistent_workers=bool(persistent))
    for epoch in range(100_000):
        for step, batch in enumerate(loader):
            # Many batches, and the workers of another epoch, after the signal: it is not going to come any more.
            if came.is_set() and time.monotonic() - sent[0] > 20:
                return
            if not whole and step == 5:
                break

lost, sent = 0, [0.0]
for trial in range(trials):
    came, local = threading.Event(), f"{base}/{trial}"
    gc.collect()  # of what an earlier one left: Python loses an interrupt that comes while it calls back of weak references
    def send():
        sent[0] = time.monotonic()
        came.set()
        os.kill(os.getpid(), signal.SIGINT)
    timer = threading.Timer(rng.random() * span, send)
    timer.start()
    try:
        read(local, came)
        lost += 1
    except KeyboardInterrupt:
        pass
    timer.join()
    shutil.rmtree(local, ignore_errors=True)
print("lost", lost)
"""


@pytest.mark.timeout(280 + 20 * TRIALS)
@pytest.mark.parametrize(("workers", "persistent", "whole"), [(0, 0, 1), (1, 0, 1), (1, 0, 0), (1, 1, 0)])
def test_none_is_lost(tmp_path: Path, workers: int, persistent: int, whole: int) -> None:
    write_dataset(str(tmp_path / "remote"), 400, size_limit=4000)
    arguments = [str(tmp_path / "remote"), str(tmp_path / "local"), *map(str, (workers, persistent, whole, TRIALS))]
    status, out, said = run_code(PROGRAM, *arguments, timeout_s=200 + 20 * TRIALS)
    assert (status, out) == (0, "lost 0\n"), said
    assert "Exception ignored" not in said


AT_ONCE = """
import os, sys, time
from torch.autograd.profiler import record_function
from streaming import StreamingDataLoader, StreamingDataset

def begin(worker):
    if worker == 1:
        try:
            open(sys.argv[2], "w").close()
            time.sleep(100)
        except KeyboardInterrupt:
            os._exit(1)  # as of one that had not got to PyTorch's loop

usual = record_function.__exit__
def slowly(*args):  # as on a busy machine
    if args[1] is KeyboardInterrupt:
        time.sleep(30)
    return usual(*args)
record_function.__exit__ = slowly

dataset = StreamingDataset(local=sys.argv[1], batch_size=4)
for batch in StreamingDataLoader(dataset, batch_size=4, num_workers=2, worker_init_fn=begin):
    pass
"""


def test_of_workers_that_have_only_begun(tmp_path: Path) -> None:
    """What PyTorch says of a worker that failed does not take the place of Ctrl-C, which all processes get."""
    write_dataset(str(tmp_path / "data"), 100)
    begun = tmp_path / "begun"
    command = [sys.executable, "-c", AT_ONCE, str(tmp_path / "data"), str(begun)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            for _ in range(1000):
                if begun.exists() or process.poll() is not None:
                    break
                time.sleep(0.1)
            time.sleep(0.5)  # the first batch came, and the second is waited for
            os.killpg(process.pid, signal.SIGINT)
            _, said = process.communicate(timeout=100)
        finally:
            process.kill()
    assert process.returncode == -signal.SIGINT, said
    assert said.rstrip().endswith("KeyboardInterrupt")


def test_while_a_server_says_nothing(tmp_path: Path) -> None:
    """The program waits for a byte for as long as an hour."""
    write_dataset(str(tmp_path / "remote"), 100)
    waiting, end = threading.Event(), threading.Event()

    def silent(handler: object, path: str) -> bool:
        if "shard" in path:
            waiting.set()
            end.wait(100)
        return False

    program = (
        "import sys; from streaming import StreamingDataset\n"
        "for _ in StreamingDataset(remote=sys.argv[1], local=sys.argv[2], batch_size=4, download_timeout=3600): pass"
    )
    with web_server() as server:
        server.objects.update({f"data/{path.name}": path.read_bytes() for path in (tmp_path / "remote").iterdir()})
        server.fault = silent
        command = [sys.executable, "-c", program, f"{server.url}/data", str(tmp_path / "local")]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            try:
                assert waiting.wait(100)
                process.send_signal(signal.SIGINT)
                _, said = process.communicate(timeout=60)
            finally:
                end.set()
                process.kill()
    assert process.returncode == -signal.SIGINT
    assert said.rstrip().endswith("KeyboardInterrupt")


def test_deferred_to_the_end_of_the_block() -> None:
    steps: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        with deferred_interrupts():
            signal.raise_signal(signal.SIGINT)
            steps.append("within")
    assert steps == ["within"]
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_not_deferred_in_a_forked_child() -> None:
    with deferred_interrupts():
        pid = os.fork()
        if not pid:
            try:
                signal.raise_signal(signal.SIGINT)
                os._exit(1)
            except KeyboardInterrupt:
                os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0


@pytest.mark.parametrize("handler", [signal.SIG_IGN, signal.SIG_DFL])
def test_programs_that_do_not_want_it(handler: signal.Handlers) -> None:
    usual = signal.signal(signal.SIGINT, handler)
    try:
        with deferred_interrupts():
            assert signal.getsignal(signal.SIGINT) == handler
    finally:
        signal.signal(signal.SIGINT, usual)


def test_comes_again_where_it_was_caught() -> None:
    class Last:
        def __del__(self) -> None:
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                redeliver_interrupt()

    with pytest.raises(KeyboardInterrupt):
        last = Last()
        del last
        threading.Event().wait(60)


def test_what_a_fork_has_inherited_is_left_to_its_parent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """An interrupt leaves an iterator in a cycle, which a worker of the next iteration may find in its garbage."""
    write_dataset(str(tmp_path), 16, size_limit=1000)
    loader = StreamingDataLoader(StreamingDataset(local=str(tmp_path), batch_size=4), num_workers=1)
    gc.disable()
    try:
        left: Any = loader._get_iterator()
        next(left)
        left.itself = left
        del left
        pid = os.fork()
        if not pid:
            gc.collect()
            os._exit(0)
        os.waitpid(pid, 0)
        assert "Exception ignored" not in capfd.readouterr().err
    finally:
        gc.enable()
    gc.collect()
    assert sum(len(batch["id"]) for batch in loader) == 16
