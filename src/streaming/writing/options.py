"""The options that all writers take besides their named arguments."""

from __future__ import annotations

from typing import Any

from streaming.core.errors import ConfigError
from streaming.writing.checks import checked_retry

__all__ = ["check_options", "make_progress"]


def check_options(max_workers: int | None, retry: int, exist_ok: bool, append: bool) -> None:
    """Check the options of a writer that are about how it works, not about what it writes.

    Raises:
        ConfigError: One cannot have this value, or two contradict each other.
    """
    if max_workers is not None and (not isinstance(max_workers, int) or max_workers < 1):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(f"max_workers must be a positive integer or None, got {max_workers!r}.")
    checked_retry(retry)
    if append and exist_ok:
        raise ConfigError("append=True adds to a dataset and exist_ok=True replaces it: pass one of them.")


def make_progress(wanted: bool, what: str) -> Any:
    """Return a progress bar of the bytes that are written, ``None`` if none is wanted."""
    if not wanted:
        return None
    from tqdm import tqdm

    return tqdm(desc=f"Writing {what}", unit="B", unit_scale=True)
