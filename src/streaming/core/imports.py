"""Import an optional package, or say how to install it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from threading import Thread
from typing import Any

from streaming.core.errors import MissingDependencyError

__all__ = ["importing", "optional_import"]


def optional_import(module: str, extra: str, purpose: str) -> Any:
    """Import ``module``.

    Args:
        module: Dotted name of the module.
        extra: The extra of this distribution that installs it.
        purpose: What needs it, for the error text.

    Returns:
        The module.

    Raises:
        MissingDependencyError: It is not installed; the text names the extra.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            f"{purpose} needs the package {module.partition('.')[0]!r} ({error}). "
            f"Install it with: pip install 'streaming-dataset[{extra}]'"
        ) from error


@contextmanager
def importing(module: str | None) -> Iterator[None]:
    """Import a module while something else is done, which waits for other machines.

    Args:
        module: Dotted name of the module; ``None`` for nothing. If it is not installed, who needs it says so.
    """
    if module is None or module in sys.modules:
        yield
        return

    def load() -> None:
        with suppress(ImportError):
            import_module(module)

    thread = Thread(target=load, name="streaming-import", daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join()  # no process is forked in the middle of it
