"""Where a file of side columns goes, and whether what is there may be replaced."""

from __future__ import annotations

from dataclasses import replace

from streaming.columns.parquet import COLUMNS_NAME, Footer, read_footer
from streaming.columns.shards import with_retries
from streaming.core.errors import ConfigError, ObjectNotFoundError
from streaming.storage.location import Location
from streaming.storage.store import Store

__all__ = ["check_replaceable", "place_of_file", "read_stored_footer"]


def place_of_file(out: Location) -> tuple[Location, str]:
    """Return the directory and the name of a file of side columns.

    Args:
        out: The directory, or the file itself if its name ends with ``.parquet``.
    """
    base = out.base.rstrip("/")
    name = base.rpartition("/")[2]
    if not name.endswith(".parquet"):
        return out, COLUMNS_NAME
    return replace(out, base=base).above(name), name


def read_stored_footer(store: Store, name: str) -> Footer | None:
    """Read what a file of side columns says of itself, where it is; ``None`` if there is none.

    Raises:
        ConfigError: It is no Parquet file.
        StorageError: It cannot be read.
    """
    try:
        size = with_retries(lambda: store.head(name)).bytes
    except ObjectNotFoundError:
        return None
    return read_footer(
        f"{store!r}/{name}", size, lambda begin, end: with_retries(lambda: store.get_range(name, begin, end))
    )


def check_replaceable(store: Store, name: str) -> None:
    """Check that nothing but side columns that we wrote would be replaced.

    Raises:
        FileExistsError: It would.
        StorageError: It cannot be told.
    """
    try:
        footer = read_stored_footer(store, name)
        foreign = footer is not None and footer.facts is None
    except ConfigError:
        foreign = True
    if foreign:
        raise FileExistsError(
            f"{name} at {store!r} was not written by this package, so it is not replaced. Move it away, or write the side "
            "columns to another place."
        )
