"""Processes: who may use the network client, what a fork leaves behind, and who cleans up."""

from __future__ import annotations

import multiprocessing as mp
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from streaming.core.errors import UnavailableError
from streaming.storage.helper import runtime
from streaming.storage.registry import open_store
from streaming.storage.store import Store

from clouds import FAMILIES, Clouds
from servers import S3Server, WebServer, partial_body
from store_children import WAIT_S, fork_twice, reads_the_same, run_children

SRC = str(Path(runtime.__file__).parents[3])


@pytest.fixture
def store(bucket: str) -> Store:
    store = open_store(f"{bucket}/data")
    store.put("x", b"content")
    return store


@pytest.mark.usefixtures("_fresh_forkserver")
@pytest.mark.parametrize(
    ("method", "as_worker"),
    [
        ("fork", True),
        ("fork", False),
        ("spawn", False),
        ("forkserver", True),
        pytest.param("spawn", True, marks=pytest.mark.long),
        pytest.param("forkserver", False, marks=pytest.mark.long),
    ],
)
def test_children_of_a_process_that_used_the_store(store: Store, method: str, as_worker: bool) -> None:
    for _ in range(2):
        run_children(method, store, as_worker, 2, expect_direct=as_worker)
        assert store.get("x") == b"content"


def test_forks_while_other_threads_use_the_store(store: Store) -> None:
    done = threading.Event()
    errors: list[Exception] = []

    def read() -> None:
        while not done.is_set():
            try:
                store.get("x")
            except Exception as error:
                errors.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            run_children("fork", store, True, 2, expect_direct=True)
    finally:
        done.set()
        for thread in threads:
            thread.join(WAIT_S)
    assert errors == []


def test_a_child_of_a_worker_goes_through_a_helper(store: Store) -> None:
    context = mp.get_context("spawn")
    results: Any = context.Queue()
    child = context.Process(target=fork_twice, args=(store, results))
    child.start()
    assert results.get(timeout=WAIT_S) == ("done", b"content", b"", True)
    child.join(WAIT_S)
    assert child.exitcode == 0


def test_the_client_started_by_others_is_noticed(s3: S3Server, bucket: str) -> None:
    out = run_program(
        """
        import obstore, os, sys
        from obstore.store import HTTPStore
        from streaming.storage.helper import runtime
        from streaming.storage.registry import open_store
        store = open_store(sys.argv[1])
        assert not runtime.threads_running()
        try:
            obstore.get(HTTPStore(os.environ["S3_ENDPOINT_URL"], client_options={"allow_http": True}), "none")
        except Exception:
            pass
        assert runtime.threads_running()
        store.put("x", b"1")
        pid = os.fork()
        runtime.declare_worker()
        assert runtime.may_run_here() == (pid != 0)
        if pid == 0:
            print(store.get("x"), flush=True)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        print("parent", flush=True)
        os._exit(0)
        """,
        bucket,
    )
    assert out == "b'1'\nparent\n"


@pytest.mark.skipif(
    sys.platform != "linux" or sys.version_info >= (3, 14), reason="where workers are not forked, they build their own"
)
def test_workers_use_the_client_that_was_built_before_they_were_forked(bucket: str) -> None:
    out = run_program(
        """
        import os, sys
        from streaming.storage.helper import runtime
        from streaming.storage.registry import open_store
        from streaming.storage.helper.spec import ClientSpec
        store = open_store(sys.argv[1])
        store.check_writable()
        store.put("x", b"1")
        assert not runtime.threads_running()
        (built,) = runtime._state.built.values()
        children = []
        for _ in range(4):
            children.append(os.fork())
            if not children[-1]:
                runtime.declare_worker()
                ClientSpec.build = None
                assert store.get("x") == b"1"
                (client,) = runtime._state.direct._clients.values()
                os._exit(client is not built)
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
        print(store.get("x"), flush=True)
        """,
        bucket,
    )
    assert out == "b'1'\n"


def test_few_threads_in_a_worker(s3: S3Server, bucket: str) -> None:
    out = run_program(
        """
        import sys, threading
        from concurrent.futures import ThreadPoolExecutor
        from glob import glob
        from streaming.storage.helper import runtime
        from streaming.storage.registry import open_store
        runtime.declare_worker()
        store = open_store(sys.argv[1])
        store.put("x", b"1")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda i: store.get("x"), range(64)))
        print(len(glob("/proc/self/task/*")), threading.active_count())
        """,
        bucket,
        TOKIO_WORKER_THREADS=None,
    )
    total, python = map(int, out.split())
    assert python == 1
    assert total <= 12


def test_nothing_is_left_and_nothing_is_said_at_exit(bucket: str) -> None:
    for prepare in ["", "runtime.declare_worker()"]:
        out = run_program(
            f"""
            import sys
            from streaming.storage.helper import runtime
            from streaming.storage.registry import open_store
            {prepare}
            store = open_store(sys.argv[1])
            store.put("x", b"1" * 3_000_000)
            chunks = iter(runtime.executor().stream(store._found_spec, "read", "x", 0, 65536, None, stall_s=30))
            next(chunks), next(chunks)  # one request is under way when the process ends
            helper = runtime._state.helper
            print(helper._helper._process.pid if helper else 0)
            """,
            bucket,
        )
        assert int(out) == 0 or gone(int(out))


def test_downloads_that_the_exit_breaks_off_are_not_told_of(web: WebServer, tmp_path: Path) -> None:
    data, released = bytes(4 << 20), threading.Event()
    web.objects["x"] = data

    def stall(handler: Any, path: str) -> bool:
        partial_body(handler, data, 2 << 20)
        released.wait(50)
        return True

    web.fault = stall
    out = run_program(
        """
        import atexit, sys, threading, time
        atexit.register(time.sleep, 0.5)  # what others do then takes its time
        from streaming.storage.registry import open_store
        store, begun = open_store(sys.argv[1]), threading.Event()

        def download():
            try:
                store.download('x', sys.argv[2], sink=lambda chunk: begun.set())
            except Exception as error:
                print(error)

        threading.Thread(target=download, daemon=True).start()
        begun.wait()
        """,
        web.url,
        str(tmp_path / "x"),
    )
    released.set()
    assert out == ""


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc")
def test_a_killed_parent_leaves_no_helper(store: Store, bucket: str) -> None:
    program = """
        import os, sys, time
        from streaming.storage.helper import runtime
        from streaming.storage.registry import open_store
        store = open_store(sys.argv[1])
        store.get("data/x")
        # A child outlives its parent with copies of whatever Python did not close.
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        print(runtime._state.helper._helper._process.pid, flush=True)
        time.sleep(60)
        """
    with start_program(program, bucket) as process:
        try:
            assert process.stdout is not None
            helper = int(process.stdout.readline())
            assert not gone(helper)
            process.send_signal(signal.SIGKILL)
            process.wait(WAIT_S)
            wait_for(lambda: gone(helper), "the helper to end")
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def test_ctrl_c_is_prompt_and_says_nothing_else(s3: S3Server, web: WebServer) -> None:
    released = threading.Event()
    web.fault = lambda handler, path: released.wait(WAIT_S)
    program = """
        import sys
        from streaming.storage.registry import open_store
        store = open_store(sys.argv[1])
        print("ready", flush=True)
        try:
            store.get("x")
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        """
    with start_program(program, web.url) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            wait_for(lambda: bool(web.requests), "the request")
            os.killpg(process.pid, signal.SIGINT)
            out, error = process.communicate(timeout=WAIT_S)
        finally:
            released.set()
            process.kill()
    assert (out, error, process.returncode) == ("interrupted\n", "", 0)


def test_a_helper_that_dies_is_replaced(store: Store) -> None:
    for _ in range(3):
        before = helper_pid()
        os.kill(before, signal.SIGKILL)
        assert store.get("x") == b"content"
        assert helper_pid() != before
        assert gone(before)


def test_a_helper_that_dies_in_a_download(web: WebServer, tmp_path: Path) -> None:
    data = os.urandom(6 << 20)
    web.objects["x"] = data
    store, target = open_store(web.url), tmp_path / "t"

    def sink(chunk: bytes) -> None:
        process = runtime._state.helper._helper._process
        if process.poll() is None:
            process.kill()
            process.wait()

    with pytest.raises(UnavailableError, match=r"helper process is gone.*code -9"):
        store.download("x", str(target), sink=sink, stall_timeout=30)
    kept = target.stat().st_size
    assert target.read_bytes() == data[:kept]
    assert store.download("x", str(target), offset=kept, stall_timeout=30) == len(data)
    assert target.read_bytes() == data


def test_a_helper_that_cannot_start(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime._state.helper.close()
    monkeypatch.setattr("streaming.storage.helper.client.spawn.get_executable", lambda: "/no/such/python")
    with pytest.raises(UnavailableError, match=r"/no/such/python.*set_executable"):
        store.get("x")
    monkeypatch.setattr("streaming.storage.helper.client.spawn.get_executable", lambda: "/bin/false")
    with pytest.raises(UnavailableError, match="ended with code 1"):
        store.get("x")
    monkeypatch.undo()


def test_importing_is_light() -> None:
    out = run_program(
        """
        import sys
        import streaming.storage.registry, streaming.storage.providers.remote
        import streaming.storage.providers.s3, streaming.storage.providers.http
        import streaming.storage.helper.client, streaming.storage.helper.main
        print([name for name in ("torch", "numpy", "obstore", "boto3", "PIL") if name in sys.modules])
        """
    )
    assert out == "[]\n"


def helper_pid() -> int:
    return runtime._state.helper._helper._process.pid


def gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has reaped yet has, too."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {WAIT_S} s for {what}")
        time.sleep(0.02)


def start_program(program: str, *args: str, **environ: str | None) -> subprocess.Popen[str]:
    env = {**os.environ, **environ, "PYTHONPATH": SRC}
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program), *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={name: value for name, value in env.items() if value is not None},
        start_new_session=True,
    )


def run_program(program: str, *args: str, **environ: str | None) -> str:
    """Run a program to its end and return what it printed; it must print no error."""
    with start_program(program, *args, **environ) as process:
        try:
            out, error = process.communicate(timeout=WAIT_S)
        finally:
            process.kill()
    assert (process.returncode, error) == (0, "")
    return out


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    before = runtime.threads_running()  # of another library's client: see conftest.py
    yield
    assert not runtime._state.is_worker
    assert runtime.threads_running() == before


VENDORS = ["hf", "volumes", "dbfs", "oci-native"]


@pytest.mark.parametrize("family", VENDORS)
def test_vendors_clients_in_forks_of_a_parent_that_reads(family: str, clouds: Clouds) -> None:
    """A child that is forked while threads of its parent are in the middle of requests reads by clients of its own."""
    place = clouds.place(family)
    store = open_store(place.url, place.options)
    store.put("a", bytes(range(256)) * 400)
    stopped = threading.Event()

    def read() -> None:
        while not stopped.is_set():
            assert len(store.get("a")) == 102_400

    threads = [threading.Thread(target=read, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        store.get("a")
        children = [mp.get_context("fork").Process(target=reads_the_same, args=(store,)) for _ in range(3)]
        for child in children:
            child.start()
        for child in children:
            child.join(100)
        assert [child.exitcode for child in children] == [0, 0, 0]
        assert len(store.get("a")) == 102_400
    finally:
        stopped.set()
        for thread in threads:
            thread.join(60)
        for child in children:
            child.kill()


@pytest.mark.parametrize("generations", [1, 2])
def test_a_child_does_not_wait_for_locks_of_the_hubs_client(generations: int, clouds: Clouds) -> None:
    """Those that other threads of its parent held at the fork are never let go in the child."""
    http: Any = pytest.importorskip("huggingface_hub.utils._http")
    if not hasattr(http, "_CLIENT_LOCK"):
        pytest.skip("this huggingface_hub has no session that threads share")
    place = clouds.place("hf")
    store = open_store(place.url, place.options)
    store.put("a", bytes(range(256)) * 400)
    child = mp.get_context("fork").Process(target=_reads_and_forks_amid_requests, args=(store, generations))
    child.start()
    child.join(WAIT_S)
    assert child.exitcode == 0


def _reads_and_forks_amid_requests(store: Any, generations: int) -> None:
    import huggingface_hub.utils._http as http

    reads_the_same(store)
    if not generations:
        return
    session: Any = http.get_session()
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with http._CLIENT_LOCK, session._transport._pool._optional_thread_lock:
            held.set()
            done.wait(WAIT_S)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(WAIT_S)
    child = mp.get_context("fork").Process(target=_reads_and_forks_amid_requests, args=(store, generations - 1))
    child.start()
    child.join(WAIT_S / 2)
    done.set()
    thread.join()
    assert http.get_session() is session
    reads_the_same(store)
    session.close()
    if child.exitcode != 0 or not session.is_closed:
        child.kill()
        os._exit(4)


@pytest.mark.parametrize("start", ["spawn", pytest.param("forkserver", marks=pytest.mark.long)])
def test_clients_in_processes_that_are_sent_a_store(start: str, clouds: Clouds) -> None:
    places = [clouds.place(family) for family in FAMILIES]
    stores = [open_store(place.url, place.options) for place in places]
    for store in stores:
        store.put("a", bytes(range(256)) * 400)
    child = mp.get_context(start).Process(target=reads_the_same, args=stores)
    child.start()
    child.join(100)
    assert child.exitcode == 0
