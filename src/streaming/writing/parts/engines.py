"""What calls a function for many tasks on a cluster: Ray, Dask, Spark.

A task whose process or machine is lost is given to another by the engine itself. What a function raises would make it try
again in vain, so it raises nothing; see :class:`streaming.writing.parts.write.Engine`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from itertools import islice
from threading import Event, Thread
from typing import Any, TypeVar

from streaming.core.errors import UnknownNameError, WorkerError
from streaming.core.imports import optional_import

__all__ = ["ENGINES", "failed", "get_engine", "lost", "telling_of_no_workers"]

logger = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")

#: How often a task may lose its process before all is given up.
_LOSSES = 20
_LOST_WORKER = "distributed.deploy.lost-worker-timeout"
#: So long a cluster is without a worker before that is told, in seconds.
_PATIENCE_S = 60.0
#: So many tasks a core are handed to a cluster ahead.
_WAITING = 4


def get_engine(name: str) -> Callable[[Callable[[Any], Any], Sequence[Any], int | None], Iterator[Any]]:
    """Return an engine by its name.

    Raises:
        UnknownNameError: There is none of that name.
    """
    try:
        return ENGINES[name]
    except (KeyError, TypeError):
        known = ", ".join(map(repr, ("local", *ENGINES)))
        raise UnknownNameError(f"engine={name!r} is not known. Use one of {known}.") from None


def _ray(function: Callable[[T], R], tasks: Sequence[T], at_once: int | None) -> Iterator[R]:
    """Ray: on the cluster that this process is connected to, or that ``RAY_ADDRESS`` names, or one of this machine."""
    ray = optional_import("ray", "ray", "engine='ray'")
    if not ray.is_initialized():
        ray.init(include_dashboard=False, log_to_driver=False)
    sent = ray.put(function)
    remote = ray.remote(_call).options(max_retries=_LOSSES)
    coming = iter(tasks)
    room = at_once or _WAITING * max(1, int(ray.cluster_resources().get("CPU", 1)))
    running: list[Any] = [remote.remote(sent, task) for task in islice(coming, room)]
    with telling_of_no_workers("Ray", lambda: ray.cluster_resources().get("CPU", 0)):
        try:
            while running:
                (ready, *_), running = ray.wait(running)
                try:
                    result = ray.get(ready)
                except ray.exceptions.RayTaskError as error:
                    raise failed("Ray", error) from error
                except ray.exceptions.RayError as error:
                    raise lost("Ray", error) from error
                running += [remote.remote(sent, task) for task in islice(coming, 1)]
                yield result
        finally:
            for reference in running:
                ray.cancel(reference, force=True)


def _dask(function: Callable[[T], R], tasks: Sequence[T], at_once: int | None) -> Iterator[R]:
    """Dask: by the client that this process has, or one as its configuration says, or a cluster of this machine."""
    distributed = optional_import("distributed", "dask", "engine='dask'")
    try:
        client = distributed.get_client()
    except ValueError:
        config = optional_import("dask.config", "dask", "engine='dask'")
        # So long after a loss, a cluster of this machine removes for good a worker that is lost just then for another time.
        with config.set({_LOST_WORKER: "1h"}), distributed.Client(dashboard_address=None) as client:
            yield from _by_client(distributed, client, function, tasks, at_once)
    else:
        yield from _by_client(distributed, client, function, tasks, at_once)


def _by_client(
    distributed: Any, client: Any, function: Callable[[T], R], tasks: Sequence[T], at_once: int | None
) -> Iterator[R]:
    coming = iter(tasks)
    given: dict[str, T] = {}
    losses = 0

    def submit(task: T) -> Any:
        future = client.submit(function, task, pure=False)
        given[future.key] = task
        return future

    room = at_once or _WAITING * max(1, sum(client.nthreads().values()))
    ready = distributed.as_completed([submit(task) for task in islice(coming, room)])
    with telling_of_no_workers("Dask", client.nthreads):
        try:
            for future in ready:
                task, error = given.pop(future.key), future.exception()
                following = islice(coming, 1)
                if isinstance(error, (distributed.KilledWorker, CancelledError)):
                    losses += 1
                    if losses > _LOSSES:
                        raise lost("Dask", error) from error
                    following = iter((task,))
                elif error is not None:
                    raise failed("Dask", error) from error
                for task in following:
                    ready.add(submit(task))
                if error is None:
                    yield future.result()
        finally:
            client.cancel(list(ready.futures))


def _spark(function: Callable[[T], R], tasks: Sequence[T], at_once: int | None) -> Iterator[R]:
    """Spark: by the session that this process has, or a new one as its configuration says."""
    sql = optional_import("pyspark.sql", "spark", "engine='spark'")
    context = sql.SparkSession.builder.getOrCreate().sparkContext
    del at_once  # Spark's own matter: the cores of its executors
    try:
        yield from context.parallelize(tasks, len(tasks)).map(function).collect()
    except Exception as error:
        raise failed("Spark", error) from error


@contextmanager
def telling_of_no_workers(engine: str, workers: Callable[[], Any]) -> Iterator[None]:
    """Warn where a cluster has had no worker for a minute. Spark does so by itself.

    What the cluster was given waits until there is one, however long that is: who began it may be about to start some.

    Args:
        engine: Its name.
        workers: Returns something that is true if there are workers.
    """
    is_over = Event()

    def watch() -> None:
        checks = 0  # in a row that found none
        while not is_over.wait(_PATIENCE_S / 2):
            with suppress(Exception):  # of a cluster that ends
                checks = 0 if workers() else checks + 1
                if checks == 2:
                    logger.warning(
                        "%s has no worker, and has had none for %.0f s: nothing is done until there is one. Start some, or "
                        "stop this call; made again, it continues.",
                        engine,
                        _PATIENCE_S,
                    )

    thread = Thread(target=watch, name="streaming-workers", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join(1)


def _call(function: Callable[[T], R], task: T) -> R:
    return function(task)


def failed(engine: str, error: BaseException) -> WorkerError:
    """Return the error of a task that could not be run, in one sentence."""
    text = str(error).partition("\n SQLSTATE:")[0].partition("\n\tat ")[0]  # Spark's own code, and Java's stack
    what = text.strip().rpartition("\n")[2]
    hint = ""
    if "No module named 'streaming'" in what:
        spark = ", or set os.environ['PYSPARK_PYTHON'] = sys.executable before the session begins"
        hint = f" Its workers run a Python without this package: install it there{spark if engine == 'Spark' else ''}."
    return WorkerError(f"{engine} could not run a task: {what}.{hint} The same call again continues.")


def lost(engine: str, error: BaseException) -> WorkerError:
    """Return the error of a task that was tried often enough."""
    return WorkerError(
        f"{engine} has lost the process of a task again and again ({type(error).__name__}). It may have been short of "
        "memory: lower size_limit, or give tasks more. The same call again continues."
    )


ENGINES: dict[str, Callable[[Callable[[Any], Any], Sequence[Any], int | None], Iterator[Any]]] = {
    "ray": _ray,
    "dask": _dask,
    "spark": _spark,
}
