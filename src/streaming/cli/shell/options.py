"""Places given on the command line, and settings of their stores: texts become values before a command sees them."""

from __future__ import annotations

from typing import Any

from streaming.core.errors import ConfigError
from streaming.inplace.settings import split_off_table
from streaming.storage.location import Location

__all__ = ["locate"]

#: Options that are about one of a command's places, and which.
_OWN = {"source": "from_options", "target": "to_options"}


def locate(args: Any) -> None:
    """Put the place that is meant, with the settings of its store, for each URL or path of a command.

    Args:
        args: The parsed arguments of any command.

    Raises:
        ConfigError: One is no URL and no path; or all that settings could be meant for are local directories.
    """
    given = vars(args)
    for name in ("url", "source"):
        if given.get("format", "") is None and isinstance(given.get(name), str):  # its format may stand before
            bare, args.format = split_off_table(given[name])
            setattr(args, name, bare)
    places = {
        name: [Location.parse(url, {**args.storage_options, **given.get(_OWN.get(name, ""), {})}) for url in urls]
        for name in ("url", "out", "side_columns", "source", "target", "urls")
        if (urls := _listed(given.get(name)))
    }
    for name, dest, named in (
        ("-o", "storage_options", [place for several in places.values() for place in several]),
        ("--from-option", "from_options", places.get("source", [])),
        ("--to-option", "to_options", places.get("target", [])),
    ):
        if given.get(dest) and all(place.is_local for place in named):
            raise ConfigError(
                f"{name} {', '.join(given[dest])}: {' and '.join(map(str, named))} "
                f"{'is' if len(named) == 1 else 'are'} local, and local directories have no settings."
            )
    for name, several in places.items():
        setattr(args, name, several if name == "urls" else several[0])


def _listed(given: str | list[str] | None) -> list[str]:
    return [given] if isinstance(given, str) else given or []
