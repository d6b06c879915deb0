"""Side columns where they lie, or fetched once into a directory of this machine, and checked against their dataset."""

from __future__ import annotations

import glob
import logging
import os
import time
from hashlib import blake2s

from streaming.columns.parquet import Footer, read_footer
from streaming.columns.side import SideColumns
from streaming.core.errors import ConfigError, ObjectNotFoundError, StorageError, UnavailableError
from streaming.core.process.lock import locked_part
from streaming.storage import versions
from streaming.storage.location import Location
from streaming.storage.options import StorageOptions
from streaming.storage.registry import open_store
from streaming.storage.retry import RetryPolicy, call_with_retries
from streaming.storage.store import ObjectInfo, Store

__all__ = ["check_fit", "open_columns", "split_file"]

logger = logging.getLogger(__name__)

_DIGEST_CHARS = 12


def open_columns(
    location: str | os.PathLike[str] | Location,
    local_directory: str,
    index_digest: bytes,
    num_samples: int,
    *,
    retries: int = 2,
    storage_options: StorageOptions | None = None,
) -> SideColumns:
    """Open the side columns of a dataset.

    A local file is read where it is. Another one is fetched once, by whichever process asks first, and again when the store
    has another version of it; while the store is away, what was fetched from there before is used, with a warning.

    Args:
        location: URL or path of the Parquet file.
        local_directory: Where a file that is fetched goes; made if need be.
        index_digest: Of the dataset's ``index.json`` (``Index.digest``).
        num_samples: Of the dataset.
        retries: Further attempts after a failed one.
        storage_options: Settings of the store, as for :class:`streaming.Stream`.

    Returns:
        The columns.

    Raises:
        ConfigError: It is no Parquet file, is of another version of the dataset, or has another number of rows.
        ObjectNotFoundError: (a ``FileNotFoundError``) There is no such file.
        StorageError: It cannot be fetched.
        MissingDependencyError: pyarrow is not installed.
    """
    place = location if isinstance(location, Location) else Location.parse(os.fspath(location), storage_options)
    if place.is_local:
        path = place.expanded().path
        name = path
        if not os.path.isfile(path):
            raise ObjectNotFoundError(
                f"There are no side columns at {path}: no such file. `streaming index` makes them."
            )
    else:
        path, name = _fetched(place, local_directory, RetryPolicy(attempts=retries + 1)), str(place)
    with open(path, "rb") as file:

        def read(begin: int, end: int) -> bytes:
            file.seek(begin)
            return file.read(end - begin)

        footer = read_footer(name, os.fstat(file.fileno()).st_size, read)
    check_fit(footer, index_digest, num_samples, name)
    return SideColumns(path, footer.names, footer.num_rows)


def check_fit(footer: Footer, index_digest: bytes, num_samples: int, name: str) -> None:
    """Check that side columns are of a dataset, of the very version of it.

    Args:
        footer: Of their file.
        index_digest: Of the dataset.
        num_samples: Of the dataset.
        name: Where the file is.

    Raises:
        ConfigError: They are not.
    """
    facts = footer.facts
    if facts is not None and facts.index != index_digest.hex():
        given = ",".join(
            source if source == column else f"{column}={source}" for column, source in facts.columns.items()
        )
        raise ConfigError(
            f"The side columns at {name} are of another version of the dataset, whose index.json has the digest "
            f"{facts.index[:_DIGEST_CHARS]} and {facts.samples:,} samples; here it is {index_digest.hex()[:_DIGEST_CHARS]} "
            f"with {num_samples:,}. Make them anew: streaming index URL --columns '{given}' --out PLACE (or --beside)."
        )
    if footer.num_rows != num_samples:
        raise ConfigError(
            f"The side columns at {name} have {footer.num_rows:,} rows, and the dataset has {num_samples:,} samples. There "
            "must be a row a sample, in the order of the samples."
        )


def split_file(place: Location) -> tuple[Location, str]:
    """Return the directory of a file, and its name there."""
    name = place.base.rstrip("/").rpartition("/")[2]
    return place.above(name), name


def _fetched(place: Location, directory: str, policy: RetryPolicy) -> str:
    """Return the path of the local copy of a file, made if need be."""
    root, name = split_file(place)
    store = open_store(root)
    stem = os.path.join(directory, f".streaming-columns-{_short(str(place))}")
    try:
        info = call_with_retries(lambda: store.head(name), policy, time.sleep)
    except ObjectNotFoundError as error:
        raise ObjectNotFoundError(
            f"There are no side columns at {place}: {error} `streaming index` makes them."
        ) from error
    except StorageError as error:
        known = max(glob.glob(f"{glob.escape(stem)}-*.parquet"), key=os.path.getmtime, default=None)
        if known is None:
            raise
        logger.warning("using %s, fetched before, since %s cannot be read: %s", known, place, error)
        return known
    path = f"{stem}-{_short(f'{info.etag} {info.bytes} {info.modified}')}.parquet"
    if not os.path.exists(path):
        os.makedirs(directory, exist_ok=True)
        _fetch(store, name, info, path, policy)
    return path


def _fetch(store: Store, name: str, info: ObjectInfo, path: str, policy: RetryPolicy) -> None:
    with locked_part(f"{path}.part") as part:
        if os.path.exists(path):  # by whoever held the lock before
            return

        def download() -> None:
            versions.download(store, name, part, offset=_size_of(part), version=info.etag)
            size = os.path.getsize(part)
            if size != info.bytes:
                os.unlink(part)
                raise UnavailableError(f"{store!r}/{name} came with {size:,} bytes, not {info.bytes:,}.")

        call_with_retries(download, policy, time.sleep)
        os.replace(part, path)


def _size_of(path: str) -> int:
    try:
        return os.path.getsize(path)
    except FileNotFoundError:
        return 0


def _short(text: str) -> str:
    return blake2s(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
