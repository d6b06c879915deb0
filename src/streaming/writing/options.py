"""The options that all writers take besides their named arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streaming.core.errors import ConfigError
from streaming.writing.checks import checked_retry, checked_workers

__all__ = ["checked_options", "make_progress"]

_DEFAULTS: dict[str, Any] = {
    "progress_bar": False,
    "max_workers": None,
    "retry": 2,
    "exist_ok": False,
    "append": False,
    "storage_options": None,
}


def checked_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the further options of a writer, with defaults for those that are not given.

    Raises:
        ConfigError: There is no such option, or it cannot have this value.
    """
    unknown = sorted(set(given) - set(_DEFAULTS))
    if unknown:
        raise ConfigError(
            f"Unknown argument{'s' * (len(unknown) > 1)} {', '.join(unknown)}. Besides the named ones, a writer takes "
            f"{', '.join(_DEFAULTS)}."
        )
    options = {**_DEFAULTS, **given}
    options["max_workers"] = checked_workers(options["max_workers"], "max_workers", 1)
    options["retry"] = checked_retry(options["retry"])
    if options["append"] and options["exist_ok"]:
        raise ConfigError("append=True adds to a dataset and exist_ok=True replaces it: pass one of them.")
    return options


def make_progress(wanted: bool, what: str) -> Any:
    """Return a progress bar of the bytes that are written, ``None`` if none is wanted."""
    if not wanted:
        return None
    from tqdm import tqdm

    return tqdm(desc=f"Writing {what}", unit="B", unit_scale=True)
