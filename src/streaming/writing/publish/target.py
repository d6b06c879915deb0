"""Where a writer puts its files: a local directory, and the store they are uploaded to."""

from __future__ import annotations

import logging
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from io import FileIO

from streaming.core.errors import AccessDeniedError, ObjectNotFoundError, StorageError, UploadError
from streaming.format.codecs.compression import get_compression_extension, get_compressions
from streaming.format.formats import formats
from streaming.format.metadata import METADATA_NAME
from streaming.format.unfinished import WORK_NAME
from streaming.storage.location import working_directory
from streaming.storage.registry import open_store
from streaming.storage.retry import RetryPolicy, call_with_retries
from streaming.storage.target import naming
from streaming.writing.publish.claim import Claim
from streaming.writing.publish.entries import INDEX_NAME
from streaming.writing.publish.places import Place

__all__ = ["Target", "open_new"]

logger = logging.getLogger(__name__)

#: Names of files that are shown.
_MOST_NAMES = 3
_SHARD_FILE = re.compile(r"shard\.\d{5,}(\.[0-9a-f]{8})?\.(?P<format>\w+)(\.meta)?(\.(?P<zip>\w+))?(\.part)?")


class Target:
    """The place that a dataset is written to, opened and held.

    Args:
        place: A local directory, a store's, or both.
        keep_local: Keep the local copies of uploaded files.
        retries: Further attempts after a failed upload.
        yields: Whether a later writer of this process may take the directory over.
        format: Of the shards.

    Attributes:
        store: What files are uploaded to, ``None`` for a local directory alone.
        published: Where readers look: the store, or the local directory.
        local: The local directory: the place's, or a temporary one.

    Raises:
        FileExistsError: The local directory is none, or another writer holds it.
        StorageError: The store cannot be written to.
    """

    def __init__(
        self, place: Place, *, keep_local: bool, retries: int, yields: bool = True, format: str = "mds"
    ) -> None:
        self._format = format
        self._place = place
        self.published = open_store(place.where)
        self.store = None if place.remote is None else self.published
        if self.store is not None:
            self.store.check_writable()
        # A relative path means where this process is now, wherever it goes later.
        self.local: str = (
            tempfile.mkdtemp(prefix="streaming-write-")
            if place.local is None
            else os.path.join(working_directory(), place.local.path)
        )
        self._retries = retries
        self.keep_local: bool = keep_local or self.store is None
        self._written: set[str] = set()
        self._make_directory()
        self.claim: Claim = Claim(self.local, yields)
        if os.path.islink(self.path(WORK_NAME)):
            self.claim.release()
            raise AccessDeniedError(f"{self.path(WORK_NAME)} is a link, through which nothing is written. Remove it.")

    def _make_directory(self) -> None:
        if os.path.exists(self.local) and not os.path.isdir(self.local):
            raise FileExistsError(f"{self.local} is not a directory; write to another place.")
        try:
            os.makedirs(self.local, exist_ok=True)
        except OSError as error:
            raise AccessDeniedError(
                f"Cannot make the directory {self.local} to write to: {error.strerror}. Choose another `out`."
            ) from error

    def clear(self, exist_ok: bool) -> None:
        """Begin a new dataset: take what is there away, of which only a dataset's own files are ever removed.

        Args:
            exist_ok: Whether the local directory may hold something.

        Raises:
            FileExistsError: It does, and may not.
            StorageError: The index of the dataset in the store cannot be removed.
        """
        there = [name for name in os.listdir(self.local) if name != WORK_NAME]
        if there and not exist_ok:
            raise FileExistsError(
                f"Directory {self.local} is not empty. Choose another, or pass exist_ok=True to replace the dataset in "
                "it."
            )
        # The index goes first: from then on nobody takes what is left for a dataset.
        own = sorted(filter(self._is_own, there), key=_index_first)
        if own:
            shown = ", ".join(own[:_MOST_NAMES]) + (", ..." if len(own) > _MOST_NAMES else "")
            logger.warning("exist_ok: removing the dataset in %s, %d files: %s", self.local, len(own), shown)
        for name in own:
            os.unlink(os.path.join(self.local, name))
        shutil.rmtree(self.path(WORK_NAME), ignore_errors=True)
        if self.store is not None and self._has_remote_index():
            logger.warning("replacing the dataset at %r; append=True would add to it", self)
            self.store.delete(INDEX_NAME)

    def _is_own(self, name: str) -> bool:
        """Say whether a file in the local directory is named as those of a dataset are."""
        if os.path.isdir(self.path(name)) and not os.path.islink(self.path(name)):
            return False
        shard = _SHARD_FILE.fullmatch(name)
        if shard is None:
            return name.removesuffix(".part") in (INDEX_NAME, METADATA_NAME)
        known = shard["format"] in formats or shard["format"] == self._format
        return known and (shard["zip"] is None or shard["zip"] in _extensions())

    def check_remote(self) -> None:
        """Check that the store has no dataset yet.

        Raises:
            FileExistsError: It has.
        """
        if self._has_remote_index():
            raise FileExistsError(
                f"There is a dataset at {self!r}. Write to another place, or pass exist_ok=True to replace it or "
                "append=True to add to it."
            )

    def _has_remote_index(self) -> bool:
        if self.store is None:
            return False
        try:
            self.store.head(INDEX_NAME)
        except ObjectNotFoundError:
            return False
        return True

    def path(self, name: str) -> str:
        """Local path of a file of the dataset."""
        return os.path.join(self.local, name)

    def write(self, name: str, groups: Iterable[Sequence[bytes]]) -> None:
        """Write a local file under its final name in one step.

        Args:
            name: Of the file.
            groups: Its bytes, in groups of pieces, at most 1,024 each, that are written at once.

        Raises:
            FileExistsError: Another writer of this process has taken the directory over.
        """
        self.claim.check()
        self._written.add(name)
        part = self.path(name) + ".part"
        with naming(part), open_new(part) as file:
            for group in groups:
                written = os.writev(file.fileno(), group)
                if written < sum(map(len, group)):
                    rest = memoryview(b"".join(group))[written:]
                    while rest:
                        rest = rest[file.write(rest) :]
        os.replace(part, self.path(name))

    def adopt(self, name: str, path: str) -> None:
        """Take a finished file of the same file system as a file of the dataset, in one step, to survive a crash."""
        self._written.add(name)
        with open(path, "rb") as file:
            os.fsync(file.fileno())
        os.replace(path, self.path(name))

    def upload(self, name: str) -> None:
        """Upload a local file, if there is a store.

        Raises:
            UploadError: Every attempt failed; the text names the file and the store.
        """
        store = self.store
        if store is None:
            return
        policy = RetryPolicy(attempts=self._retries + 1)
        try:
            call_with_retries(lambda: store.put(name, self.path(name)), policy, time.sleep)
        except StorageError as error:
            raise UploadError(f"Could not upload {name} to {store!r}: {error}") from error
        if not self.keep_local:
            os.unlink(self.path(name))

    def close(self) -> None:
        """Let the directory go; remove what was written to it, unless that is to be kept."""
        if not self.keep_local:
            for name in self._written:
                for path in (self.path(name), self.path(name) + ".part"):
                    with suppress(FileNotFoundError):
                        os.unlink(path)
            with suppress(OSError):  # the directory holds something else
                os.rmdir(self.local)
        self.claim.release()

    def __repr__(self) -> str:
        return str(self._place.where)


def open_new(path: str) -> FileIO:
    """Open a file to be written from its begin. One that is there is removed, never written into: it may be a link."""
    with suppress(FileNotFoundError):
        os.unlink(path)
    return FileIO(path, "x")


def _extensions() -> set[str]:
    return {get_compression_extension(name) for name in get_compressions()}


def _index_first(name: str) -> tuple[bool, str]:
    return (name != "index.json", name)
