"""Small helpers that user code imports."""

from __future__ import annotations

import functools
import inspect
import os
import random
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from streaming.core.errors import ConfigError, WorkerError
from streaming.core.units import bytes_to_int, number_abbrev_to_int
from streaming.writing.merge import merge_index, merge_list, merge_root

__all__ = [
    "bytes_to_int",
    "clean_stale_shared_memory",
    "get_import_exception_message",
    "get_list_arg",
    "merge_index",
    "number_abbrev_to_int",
    "retry",
    "wait_for_file_to_exist",
]

TCallable = TypeVar("TCallable", bound=Callable[..., Any])


def _merge_index_from_list(  # pyright: ignore[reportUnusedFunction] - clients import it
    index_file_urls: Sequence[Any], out: Any, keep_local: bool = True, download_timeout: int = 60
) -> None:
    """Merge the datasets of a list; see :func:`merge_index`."""
    merge_list(list(index_file_urls), out, keep_local, download_timeout)


def _merge_index_from_root(  # pyright: ignore[reportUnusedFunction] - clients import it
    out: Any, keep_local: bool = True, download_timeout: int = 60
) -> None:
    """Merge the datasets below a root; see :func:`merge_index`."""
    merge_root(out, keep_local, download_timeout)


def get_list_arg(text: str) -> list[str]:
    """Split a command-line argument at its commas; no text is no items.

    Args:
        text: Items with commas between them.

    Example:
        >>> get_list_arg('a,b')
        ['a', 'b']
    """
    return text.split(",") if text else []


def wait_for_file_to_exist(filename: str, poll_interval: float, timeout: float, err_msg: str) -> None:
    """Wait until a file is there.

    Args:
        filename: Its path.
        poll_interval: Pause in seconds between two looks.
        timeout: Longest wait in seconds.
        err_msg: Beginning of the error's text.

    Raises:
        WorkerError: (a ``RuntimeError``) It did not appear in time.

    Example:
        >>> wait_for_file_to_exist('data/index.json', poll_interval=0.1, timeout=1, err_msg='No index:')
    """
    start = time.monotonic()
    while not os.path.exists(filename):
        waited = time.monotonic() - start
        if waited >= timeout:
            raise WorkerError(f"{err_msg} {filename} did not appear within {timeout:.3f} s (waited {waited:.3f} s).")
        time.sleep(poll_interval)


def clean_stale_shared_memory() -> None:
    """Do nothing: this library leaves nothing in shared memory, however a process ends.

    Segments that the original library may have left are not touched, since a job that still runs may use them.

    Example:
        >>> clean_stale_shared_memory()
    """


def get_import_exception_message(package_name: str, extra_deps: str = "") -> str:
    """Return how to install an optional part.

    Args:
        package_name: Name of the extra.
        extra_deps: Accepted for compatibility.

    Example:
        >>> get_import_exception_message('vision')
        "streaming was installed ... pip install 'streaming-dataset[vision]'"
    """
    del extra_deps
    return (
        f"streaming was installed without support for {package_name}. Install it with: "
        f"pip install 'streaming-dataset[{package_name}]'"
    )


def retry(
    exc_class: Any = Exception,
    clean_up_fn: Callable[[], None] | None = None,
    num_attempts: int = 3,
    initial_backoff: float = 1.0,
    max_jitter: float = 0.5,
) -> Any:
    """Decorate a function to be called again when it fails.

    Used bare (``@retry``) or with arguments (``@retry(OSError, num_attempts=5)``).

    Args:
        exc_class: Exception class, or a tuple or list of them, on which to try again.
        clean_up_fn: Called after every failure, the last one too.
        num_attempts: Calls in all, at least 1.
        initial_backoff: Wait in seconds after the first failure; doubles with each.
        max_jitter: Random part in seconds added to each wait, at most.

    Returns:
        The decorated function, or the decorator.

    Raises:
        ConfigError: (a ``ValueError``) ``num_attempts`` is less than 1.

    Example:
        >>> attempts = []
        >>> @retry(OSError, num_attempts=3, initial_backoff=0, max_jitter=0)
        ... def read():
        ...     attempts.append(1)
        ...     if len(attempts) < 3:
        ...         raise OSError('not yet')
        ...     return 'data'
        >>> read()
        'data'
    """
    if num_attempts < 1:
        raise ConfigError(f"num_attempts counts the first call too, so it must be at least 1; got {num_attempts}.")
    if callable(exc_class) and not inspect.isclass(exc_class):
        return retry()(exc_class)
    caught: Any = tuple(exc_class) if isinstance(exc_class, list) else exc_class

    def decorate(function: TCallable) -> TCallable:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            for attempt in range(num_attempts):
                try:
                    return function(*args, **kwargs)
                except caught:
                    if clean_up_fn is not None:
                        clean_up_fn()
                    if attempt == num_attempts - 1:
                        raise
                    time.sleep(initial_backoff * 2**attempt + random.random() * max_jitter)
            raise WorkerError("unreachable")

        return call  # pyright: ignore[reportReturnType]

    return decorate
