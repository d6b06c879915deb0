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
from pathlib import Path

from streaming.core.errors import AccessDeniedError, ConfigError, ObjectNotFoundError, StorageError, UploadError
from streaming.storage.options import StorageOptions
from streaming.storage.registry import open_store, options_for
from streaming.storage.retry import RetryPolicy, call_with_retries
from streaming.storage.store import Store
from streaming.storage.url import check_root, redact, scheme_of
from streaming.writing.claim import Claim
from streaming.writing.entries import INDEX_NAME

__all__ = ["WORK_NAME", "Target", "split_out"]

logger = logging.getLogger(__name__)

#: Directory for what is in the making, in the local directory.
WORK_NAME = ".streaming-write"

_SHARD_FILE = re.compile(r"(shard\.\d{5,}\..+|index\.json)(\.part)?")


class Target:
    """The place that a dataset is written to.

    Args:
        out: A local directory, a URL, or a pair of both.
        keep_local: Keep the local copies of uploaded files.
        exist_ok: Replace a dataset that is already in the local directory. Only a dataset's own files are removed.
        retries: Further attempts after a failed upload.
        append: Leave what is there, for more to be added to it. ``exist_ok`` is of no use then.
        yields: Whether a later writer of this process may take the directory over.
        storage_options: Settings of the store; see :func:`streaming.storage.registry.open_store`.

    Raises:
        ConfigError: ``out`` has another form.
        FileExistsError: The local directory is not empty, and ``exist_ok`` is not set; or another writer holds it.
        StorageError: The store cannot be written to.
    """

    def __init__(
        self,
        out: str | Sequence[str],
        keep_local: bool,
        exist_ok: bool,
        retries: int,
        append: bool = False,
        yields: bool = True,
        storage_options: StorageOptions | None = None,
    ) -> None:
        local, self.remote = split_out(out)
        self.store: Store | None = None
        if self.remote is not None:
            self.store = open_store(self.remote, options_for(self.remote, storage_options))
            self.store.check_writable()
        self.local = tempfile.mkdtemp(prefix="streaming-write-") if local is None else local
        self._retries = retries
        self.keep_local = keep_local or self.store is None
        self._written: set[str] = set()
        self._make_directory()
        self.claim = Claim(self.local, yields)
        try:
            if not append:
                self.clear(exist_ok)
        except BaseException:
            self.claim.release()
            raise

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
        """Begin a new dataset.

        Args:
            exist_ok: Replace what is there.

        Raises:
            FileExistsError: The local directory is not empty, and ``exist_ok`` is not set.
        """
        there = [name for name in os.listdir(self.local) if name != WORK_NAME]
        if there and not exist_ok:
            raise FileExistsError(
                f"Directory {self.local} is not empty. Choose another, or pass exist_ok=True to replace the dataset in "
                "it."
            )
        # The index goes first: from then on nobody takes what is left for a dataset.
        for name in sorted((n for n in there if _SHARD_FILE.fullmatch(n)), key=_index_first):
            logger.warning("exist_ok: removing %s", os.path.join(self.local, name))
            os.unlink(os.path.join(self.local, name))
        shutil.rmtree(self.path(WORK_NAME), ignore_errors=True)

    def path(self, name: str) -> str:
        """Local path of a file of the dataset."""
        return os.path.join(self.local, name)

    def write(self, name: str, groups: Iterable[Sequence[bytes]]) -> None:
        """Write a local file under its final name in one step.

        Args:
            name: Of the file.
            groups: Its bytes, in groups of pieces, at most 1,024 each, that are written at once.
        """
        self._written.add(name)
        part = self.path(name) + ".part"
        with open(part, "wb", buffering=0) as file:
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

    def read_index(self) -> bytes | None:
        """Return the index of the dataset that is already there, the store's if there is a store."""
        try:
            return (self.store or open_store(self.local)).get(INDEX_NAME)
        except ObjectNotFoundError:
            return None

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
        return redact(self.remote) if self.remote else self.local


def _index_first(name: str) -> tuple[bool, str]:
    return (name != "index.json", name)


def split_out(out: str | Sequence[str]) -> tuple[str | None, str | None]:
    """Return the local path and the URL of ``out``, ``None`` for the one that is not given.

    Raises:
        ConfigError: It is no path, no URL, and no pair of both.
    """
    if isinstance(out, (str, Path)):
        text = os.fspath(out)
        if scheme_of(check_root(text)):
            return None, text
        return os.path.expanduser(text), None
    if len(out) != 2:
        raise ConfigError(f"out must be a path, a URL, or a pair (local, remote); got {out!r}.")
    local, remote = os.fspath(out[0]), os.fspath(out[1])
    if scheme_of(local):
        raise ConfigError(f"The first of out=(local, remote) must be a local path, got {redact(local)!r}.")
    return os.path.expanduser(local), remote
