"""Uploaders: one file at a time, from a local directory to a URL.

Each class serves the URLs of one scheme through :func:`streaming.storage.registry.open_store`. A class of one's own is found
by :meth:`CloudUploader.get` when it is an attribute of this module and :data:`UPLOADERS` has its name under its scheme.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections import UserDict
from collections.abc import Sequence
from enum import Enum
from typing import Any

from streaming.base.storage.download import BOTOCORE_CLIENT_ERROR_CODES, GCS_ERROR_NO_AUTHENTICATION
from streaming.core.errors import ConfigError, UnknownNameError
from streaming.storage.location import Location
from streaming.storage.registry import open_store, stores
from streaming.storage.retry import RetryPolicy, call_with_retries
from streaming.storage.store import Store
from streaming.storage.url import check_path, join, redact, scheme_of, split_query
from streaming.writing.publish.places import check_apart

__all__ = [
    "BOTOCORE_CLIENT_ERROR_CODES",
    "GCS_ERROR_NO_AUTHENTICATION",
    "UPLOADERS",
    "AlipanUploader",
    "AzureDataLakeUploader",
    "AzureUploader",
    "CloudUploader",
    "DBFSUploader",
    "DatabricksUnityCatalogUploader",
    "DatabricksUploader",
    "GCSAuthentication",
    "GCSUploader",
    "HFUploader",
    "LocalUploader",
    "OCIUploader",
    "S3Uploader",
]


class GCSAuthentication(Enum):
    """How a client of Google Cloud Storage proves who it is.

    Example:
        >>> GCSAuthentication.HMAC.value
        1
    """

    HMAC = 1
    SERVICE_ACCOUNT = 2


class CloudUploader:
    """Sends files from a local directory. Base of the uploaders, and the way to get one: :meth:`get`.

    Args:
        out: A local directory, a URL (files then pass through a temporary directory), or a pair of both.
        keep_local: Keep local files that are uploaded.
        progress_bar: Show a progress bar for each file.
        retry: Attempts in all for each file.
        exist_ok: Accept a local directory that is not empty.

    Attributes:
        local: The local directory.
        remote: The URL, or ``None``.

    Raises:
        ConfigError: ``out`` has another form, or is one directory twice.
        FileExistsError: The local directory is not empty, and ``exist_ok`` is not set.

    Example:
        >>> import os
        >>> uploader = CloudUploader.get(('data', 'backup'), keep_local=True, exist_ok=True)
        >>> uploader.upload_file('index.json')
        >>> os.listdir('backup')
        ['index.json']
    """

    def __init__(
        self,
        out: str | Sequence[str],
        keep_local: bool = False,
        progress_bar: bool = False,
        retry: int = 2,
        exist_ok: bool = False,
    ) -> None:
        local, self.remote = _split_out(out)
        self.keep_local = keep_local
        self.progress_bar = progress_bar
        self.retry = retry
        self.local: str = tempfile.mkdtemp(prefix="streaming-upload-") if local is None else local
        if os.path.isdir(self.local) and os.listdir(self.local) and not exist_ok:
            raise FileExistsError(
                f"Directory is not empty: {self.local}. Pass exist_ok=True to write to it all the same."
            )
        os.makedirs(self.local, exist_ok=True)

    @classmethod
    def get(
        cls,
        out: str | Sequence[str],
        keep_local: bool = False,
        progress_bar: bool = False,
        retry: int = 2,
        exist_ok: bool = False,
    ) -> CloudUploader:
        """Return the uploader for where ``out`` leads; arguments as the class's.

        Raises:
            ConfigError: ``out`` has another form.
            UnknownNameError: (a ``ValueError``) Nothing serves its scheme.
        """
        _, remote = _split_out(out)
        scheme = "dbfs:/Volumes" if (remote or "").startswith("dbfs:/Volumes") else scheme_of(remote or "")
        if scheme not in UPLOADERS:
            raise UnknownNameError(
                f"No uploader for {redact(remote or '')!r}. Known: {', '.join(sorted(filter(None, UPLOADERS)))}."
            )
        uploader = getattr(sys.modules[__name__], UPLOADERS[scheme])
        return uploader(out, keep_local, progress_bar, retry, exist_ok)

    def upload_file(self, filename: str) -> None:
        """Send a file.

        Args:
            filename: Its path below the local directory, and below the URL.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say how to upload a file.")

    def list_objects(self, prefix: str | None = None) -> list[str]:
        """Return the paths of what is there, in order.

        Args:
            prefix: What their paths begin with.
        """
        raise NotImplementedError(f"{type(self).__name__} cannot list what is there.")

    def clear_local(self, local: str) -> None:
        """Remove a local file, unless local files are kept."""
        if not self.keep_local and os.path.isfile(local):
            os.unlink(local)


def _split_out(out: str | Sequence[str]) -> tuple[str | None, str | None]:
    if isinstance(out, (str, os.PathLike)):
        path = os.fspath(out)
        return (None, path) if scheme_of(path) else (path, None)
    if len(out) != 2:
        raise ConfigError(f"out must be a path, a URL, or a pair (local, remote); got {out!r}.")
    local, remote = os.fspath(out[0]), os.fspath(out[1])
    if remote:
        check_apart(local, Location.parse(remote))
    return local, remote


class _StoreUploader(CloudUploader):
    def __init__(
        self,
        out: str | Sequence[str],
        keep_local: bool = False,
        progress_bar: bool = False,
        retry: int = 2,
        exist_ok: bool = False,
    ) -> None:
        super().__init__(out, keep_local, progress_bar, retry, exist_ok)
        self._store: Store | None = open_store(self.remote) if self.remote else None
        if self.remote:
            self.check_bucket_exists(self.remote)

    def check_bucket_exists(self, remote: str) -> None:
        """Check that files can be put at a URL.

        Raises:
            StorageError: They cannot; a missing bucket is a ``FileNotFoundError``.
        """
        open_store(remote).check_writable()

    def upload_file(self, filename: str) -> None:
        """Send a file.

        Args:
            filename: Its path below the local directory, and below the URL.

        Raises:
            StorageError: Every attempt failed.
        """
        store = self._store
        path = os.path.join(self.local, filename)
        if store is None:
            return
        size = os.path.getsize(path)
        policy = RetryPolicy(attempts=max(1, self.retry))
        call_with_retries(lambda: store.put(check_path(filename), path), policy, time.sleep)
        if self.progress_bar:
            from tqdm import tqdm

            with tqdm(desc=f"Uploading {filename}", unit="B", unit_scale=True, total=size) as bar:
                bar.update(size)
        self.clear_local(path)

    def list_objects(self, prefix: str | None = None) -> list[str]:
        """Return the paths below the bucket of what is at the URL, in order.

        Args:
            prefix: What their paths below the URL begin with.
        """
        prefix = (prefix or "").lstrip("/")
        store = self._store
        if store is None or not self.remote:
            return []
        inside = split_query(self.remote)[0].partition("://")[2].partition("/")[2]
        found = [info.path for info in store.list(prefix.rpartition("/")[0])]
        return [join(inside, path).lstrip("/") for path in found if path.startswith(prefix)]


class LocalUploader(_StoreUploader):
    """To mounted file systems."""

    def check_bucket_exists(self, remote: str) -> None:
        """Make the directory."""
        os.makedirs(remote, exist_ok=True)

    def list_objects(self, prefix: str | None = None) -> list[str]:
        """Return the paths of the files in the local directory, in order."""
        found: list[str] = []
        for folder, _, names in os.walk(os.path.join(self.local, prefix or "")):
            found += [os.path.join(folder, name) for name in names]
        return sorted(found)

    def upload_file(self, filename: str) -> None:
        """Copy a file.

        Args:
            filename: Its path below the local directory, and below the remote one.
        """
        if self.remote is not None:
            os.makedirs(os.path.dirname(os.path.join(self.remote, filename)), exist_ok=True)
        super().upload_file(filename)


class S3Uploader(_StoreUploader):
    """To Amazon S3 and stores with its interface."""


class GCSUploader(_StoreUploader):
    """To Google Cloud Storage."""


class OCIUploader(_StoreUploader):
    """To Oracle Cloud Infrastructure."""


class AzureUploader(_StoreUploader):
    """To Azure Blob Storage."""


class AzureDataLakeUploader(_StoreUploader):
    """To Azure Data Lake."""

    def check_container_exists(self, remote: str) -> None:
        """Check that files can be put at a URL; as :meth:`check_bucket_exists`."""
        self.check_bucket_exists(remote)


class HFUploader(_StoreUploader):
    """To a dataset on the Hugging Face hub."""

    def check_dataset_exists(self) -> None:
        """Check that files can be put where this uploader puts them; as :meth:`check_bucket_exists`."""
        self.check_bucket_exists(self.remote or "")


class DatabricksUploader(_StoreUploader):
    """To Databricks."""


class DatabricksUnityCatalogUploader(DatabricksUploader):
    """To a volume of a Databricks Unity Catalog."""


class DBFSUploader(DatabricksUploader):
    """To the Databricks file system."""

    def check_folder_exists(self) -> None:
        """Check that files can be put where this uploader puts them; as :meth:`check_bucket_exists`."""
        self.check_bucket_exists(self.remote or "")


class AlipanUploader(_StoreUploader):
    """To Alipan."""


class _Uploaders(UserDict[str, str]):
    """Names of classes by scheme. A scheme that is new serves ``open_store`` too."""

    def __setitem__(self, scheme: str, name: str) -> None:
        super().__setitem__(scheme, name)
        if scheme not in _OURS and scheme not in stores:
            stores[scheme] = "streaming.base.storage.ported:open_ported"


_OURS = {
    "s3": "S3Uploader",
    "gs": "GCSUploader",
    "oci": "OCIUploader",
    "hf": "HFUploader",
    "azure": "AzureUploader",
    "azure-dl": "AzureDataLakeUploader",
    "dbfs:/Volumes": "DatabricksUnityCatalogUploader",
    "dbfs": "DBFSUploader",
    "alipan": "AlipanUploader",
    "": "LocalUploader",
}
#: Names of uploader classes by scheme, to be added to.
UPLOADERS = _Uploaders(_OURS)


def send_file(url: str, name: str, source: str | bytes) -> None:
    """Send a file, or bytes, by the uploader of a scheme.

    Args:
        url: Directory to put it in.
        name: Its path there.
        source: Path of the file, or the bytes.
    """
    with tempfile.TemporaryDirectory(prefix="streaming-upload-") as folder:
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if isinstance(source, str):
            shutil.copyfile(source, path)
        else:
            with open(path, "wb") as file:
                file.write(source)
        uploader: Any = CloudUploader.get((folder, url), keep_local=True, retry=1, exist_ok=True)
        uploader.upload_file(name)
