"""Settings of stores given on the command line."""

from __future__ import annotations

from typing import Any

from streaming.core.errors import ConfigError
from streaming.storage.url import is_local

__all__ = ["check_options"]


def check_options(args: Any) -> None:
    """Refuse settings that no store is there for.

    Args:
        args: The parsed arguments of any command.

    Raises:
        ConfigError: All that they could be meant for are local directories.
    """
    given = vars(args)
    places = [given.get(name) for name in ("url", "out", "source", "target")] + given.get("urls", [])
    for name, dest, urls in (
        ("-o", "storage_options", places),
        ("--from-option", "from_options", [given.get("source")]),
        ("--to-option", "to_options", [given.get("target")]),
    ):
        named = [url for url in urls if url]
        if given.get(dest) and all(map(is_local, named)):
            raise ConfigError(
                f"{name} {', '.join(given[dest])}: {' and '.join(named)} {'is' if len(named) == 1 else 'are'} local, "
                "and local directories have no settings."
            )
