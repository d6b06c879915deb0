"""Views in files: ``save``, and finding there the samples of one's own dataset again."""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from contextlib import suppress
from stat import S_ISREG
from typing import Any

from streaming.columns.opening import split_file
from streaming.columns.shards import with_retries
from streaming.core.errors import ConfigError, ObjectNotFoundError, StreamingError
from streaming.core.process.lock import no_wait
from streaming.dataset.sources import Source
from streaming.storage.location import Location
from streaming.storage.registry import open_store
from streaming.storage.store import Store
from streaming.units.selection import Selection
from streaming.units.view_file import ViewFile

__all__ = ["check_replaceable", "load_view", "read_view", "save_view", "view_instead"]


def save_view(sources: Sequence[Source], place: Location) -> None:
    """Write which samples of which datasets are served to a file.

    Args:
        sources: The streams, none of them in parts.
        place: The file, on disk or in a store.

    Raises:
        ConfigError: Samples are parts of rows; every row is served; or something that is no view is there.
    """
    if all(source.units is None for source in sources):
        raise ConfigError(
            "There is nothing to save: every sample is served. Choose some first, by filter() or select()."
        )
    selections = [_selection_of(source) for source in sources]
    digests = [source.directory.index.digest.hex() for source in sources]
    origins = [source.directory.origin for source in sources]
    chosen = ["; ".join(source.chosen) for source in sources]
    query = chosen[0] if len(set(chosen)) == 1 else " | ".join(chosen)
    data = ViewFile(query, tuple(digests), tuple(origins), tuple(selections)).dump()
    root, name = split_file(place)
    store = open_store(root)
    check_replaceable(store, name, place)
    store.put(name, data)


def check_replaceable(store: Store, name: str, place: Location) -> None:
    """Check that nothing but a view would be replaced.

    Args:
        store: Where a view is going to be written.
        name: Its name there.
        place: Both, for the error text.

    Raises:
        ConfigError: Something else would be.
    """
    try:
        data = with_retries(lambda: store.get(name))
    except ObjectNotFoundError:
        return
    try:
        ViewFile.parse(data, str(place))
    except ConfigError as error:
        raise ConfigError(f"{place} is there, and no view, so it is not replaced. Name another file.") from error


def _selection_of(source: Source) -> Selection:
    if source.units is None:
        return Selection.of_range(source.sizes, 0, int(source.sizes.sum()))
    if not isinstance(source.units, Selection):
        raise ConfigError("The samples of flat_map() are parts of rows, which no file holds. Save the view before it.")
    return source.units


def read_view(place: Location) -> ViewFile:
    """Read a view.

    Raises:
        ConfigError: There is none, or it is damaged.
    """
    try:
        return ViewFile.parse(_read(place), str(place))
    except (ObjectNotFoundError, FileNotFoundError, IsADirectoryError):
        raise ConfigError(
            f"There is no view at {place}. Save one with dataset.filter(...).save({str(place)!r})."
        ) from None


def view_instead(place: Location) -> str:
    """Return for people how a saved view is opened that lies where a dataset was looked for; ``''`` if none does."""
    if not (place.is_local and os.path.isfile(place.expanded().path)):
        return ""
    try:
        origin = read_view(place.expanded()).origins[0]
    except (StreamingError, OSError, IndexError):
        return ""
    how = f"view={place.path!r}, as by Stream(remote={origin!r}, ...)"
    return f"That is a saved view: open the dataset that it is of with {how}."


def load_view(source: Source, place: Location) -> tuple[Selection, str]:
    """Return which rows of a stream a view keeps, and by what they were chosen.

    Raises:
        ConfigError: The view is of other datasets, or of another version of this one.
    """
    view = read_view(place)
    digest = source.directory.index.digest.hex()
    if digest in view.datasets:
        return view.selections[view.datasets.index(digest)], view.query
    origin = source.directory.origin
    if origin in view.origins:
        of = view.datasets[view.origins.index(origin)]
        raise ConfigError(
            f"The view at {place} was saved from another version of {origin}: its index had digest {of[:16]}, it now has "
            f"{digest[:16]}. Choose the samples again ({view.query}) and save that."
        )
    raise ConfigError(f"The view at {place} is of {', '.join(view.origins)}, not of {origin} (digest {digest[:16]}).")


def _read(place: Location) -> Any:
    if place.is_local:
        with open(place.path, "rb", opener=no_wait) as file, suppress(ValueError):  # an empty file cannot be mapped
            if not S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ConfigError(f"{place} is not a regular file, and no view.")
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return b""
    root, name = split_file(place)
    return open_store(root).get(name)
