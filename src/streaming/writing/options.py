"""The options that all writers take besides their named arguments."""

from __future__ import annotations

from typing import Any

from streaming.core.errors import ConfigError
from streaming.writing.checks import checked_retry, checked_workers

__all__ = ["check_options", "make_progress"]


def check_options(max_workers: int | None, retry: int, exist_ok: bool, append: bool) -> tuple[int | None, int]:
    """Check the options of a writer that are about how it works, not about what it writes.

    Returns:
        ``max_workers`` and ``retry``.

    Raises:
        ConfigError: One cannot have this value, or two contradict each other.
    """
    max_workers = checked_workers(max_workers, "max_workers", 1)
    retry = checked_retry(retry)
    if append and exist_ok:
        raise ConfigError("append=True adds to a dataset and exist_ok=True replaces it: pass one of them.")
    return max_workers, retry


def make_progress(wanted: bool, what: str) -> Any:
    """Return a progress bar of the bytes that are written, ``None`` if none is wanted."""
    if not wanted:
        return None
    from tqdm import tqdm

    return tqdm(desc=f"Writing {what}", unit="B", unit_scale=True)
