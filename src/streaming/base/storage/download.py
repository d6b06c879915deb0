"""Downloaders: one file at a time, from a URL to a local path.

Each class serves the URLs of one scheme through :func:`streaming.storage.registry.open_store`. A class of one's own, put
into :data:`DOWNLOADER_MAPPINGS` under its scheme, serves datasets too.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import UserDict
from typing import Any

from streaming.base.constant import DEFAULT_TIMEOUT
from streaming.core.errors import ConfigError, UnknownNameError
from streaming.core.process.lock import locked_part
from streaming.storage.registry import open_store, stores
from streaming.storage.url import redact, scheme_of, split_query

__all__ = [
    "BOTOCORE_CLIENT_ERROR_CODES",
    "DOWNLOADER_MAPPINGS",
    "GCS_ERROR_NO_AUTHENTICATION",
    "AlipanDownloader",
    "AzureDataLakeDownloader",
    "AzureDownloader",
    "CloudDownloader",
    "DBFSDownloader",
    "DatabricksUnityCatalogDownloader",
    "GCSDownloader",
    "HFDownloader",
    "LocalDownloader",
    "OCIDownloader",
    "S3Downloader",
    "SFTPDownloader",
]

BOTOCORE_CLIENT_ERROR_CODES = {"403", "404", "NoSuchKey"}
GCS_ERROR_NO_AUTHENTICATION = (
    "No credentials for Google Cloud Storage: set GCS_KEY and GCS_SECRET, or GOOGLE_APPLICATION_CREDENTIALS."
)


class CloudDownloader(ABC):
    """Fetches files. To serve a scheme, implement :meth:`_client_identifier` and :meth:`_download_file_impl`.

    Example:
        >>> CloudDownloader.direct_download('data/index.json', 'copy/index.json')
        >>> type(CloudDownloader.get('s3://bucket/data')).__name__
        'S3Downloader'
    """

    @classmethod
    def get(cls, remote_dir: str | None = None) -> CloudDownloader:
        """Return a downloader for a URL or path; ``None`` means mounted file systems.

        Raises:
            UnknownNameError: (a ``ValueError``) Nothing serves its scheme.
        """
        scheme = _identifier(remote_dir or "")
        if scheme not in DOWNLOADER_MAPPINGS:
            known = ", ".join(sorted(filter(None, DOWNLOADER_MAPPINGS)))
            raise UnknownNameError(f"No downloader for {redact(remote_dir or '')!r}. Known: {known}.")
        return DOWNLOADER_MAPPINGS[scheme]()

    @classmethod
    def direct_download(cls, remote: str | None, local: str, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Fetch a file by its URL or path; see :meth:`download`."""
        downloader = cls.get(remote)
        downloader.download(remote, local, timeout)
        downloader.clean_up()

    def download(self, remote: str | None, local: str, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Fetch a file, unless it is there.

        Args:
            remote: Its URL or path.
            local: Where to put it. It appears there complete or not at all.
            timeout: Longest time in seconds without a byte.

        Raises:
            ConfigError: ``remote`` is missing, or of another scheme.
            StorageError: It could not be fetched; a missing one is a ``FileNotFoundError``.
        """
        if os.path.exists(local):
            return
        if not remote:
            raise ConfigError(f"{local} is not there, and no remote is given to fetch it from.")
        self._validate_remote_path(remote)
        os.makedirs(os.path.dirname(os.path.abspath(local)), exist_ok=True)
        self._download_file_impl(remote, local, timeout)

    def clean_up(self) -> None:  # noqa: B027 - most hold nothing
        """Let go of what the downloader holds."""

    def _validate_remote_path(self, remote: str) -> None:
        expected = self._client_identifier()
        if _identifier(remote) != expected:
            raise ConfigError(f"{type(self).__name__} fetches {expected or 'local'} paths, got {redact(remote)!r}.")

    @staticmethod
    @abstractmethod
    def _client_identifier() -> str:
        """Return the scheme that it serves."""

    @abstractmethod
    def _download_file_impl(self, remote: str, local: str, timeout: float) -> None:
        """Fetch a file."""


def _identifier(remote: str) -> str:
    if remote.startswith("dbfs:/Volumes"):
        return "dbfs-uc"
    return scheme_of(remote)


class _StoreDownloader(CloudDownloader):
    def _download_file_impl(self, remote: str, local: str, timeout: float) -> None:
        root, name = split_file(remote)
        store = open_store(root)
        with locked_part(f"{local}.part", 2 * timeout) as part:
            if not os.path.exists(local):
                store.download(name, part, stall_timeout=timeout)
                os.replace(part, local)


def split_file(url: str) -> tuple[str, str]:
    """Split the URL or path of a file into its directory's and its name."""
    base, query = split_query(url)
    root, _, name = base.rpartition("/")
    if not name:
        raise ConfigError(f"{redact(url)!r} names no file.")
    return (root or ("/" if base.startswith("/") else ".")) + query, name


class LocalDownloader(_StoreDownloader):
    """Files of mounted file systems."""

    @staticmethod
    def _client_identifier() -> str:
        return ""


class S3Downloader(_StoreDownloader):
    """Amazon S3 and stores with its interface."""

    @staticmethod
    def _client_identifier() -> str:
        return "s3"


class SFTPDownloader(_StoreDownloader):
    """Servers by SFTP."""

    @staticmethod
    def _client_identifier() -> str:
        return "sftp"


class GCSDownloader(_StoreDownloader):
    """Google Cloud Storage."""

    @staticmethod
    def _client_identifier() -> str:
        return "gs"


class OCIDownloader(_StoreDownloader):
    """Oracle Cloud Infrastructure."""

    @staticmethod
    def _client_identifier() -> str:
        return "oci"


class HFDownloader(_StoreDownloader):
    """Datasets on the Hugging Face hub."""

    @staticmethod
    def _client_identifier() -> str:
        return "hf"


class AzureDownloader(_StoreDownloader):
    """Azure Blob Storage."""

    @staticmethod
    def _client_identifier() -> str:
        return "azure"


class AzureDataLakeDownloader(_StoreDownloader):
    """Azure Data Lake."""

    @staticmethod
    def _client_identifier() -> str:
        return "azure-dl"


class DatabricksUnityCatalogDownloader(_StoreDownloader):
    """Volumes of a Databricks Unity Catalog."""

    @staticmethod
    def _client_identifier() -> str:
        return "dbfs-uc"


class DBFSDownloader(_StoreDownloader):
    """The Databricks file system."""

    @staticmethod
    def _client_identifier() -> str:
        return "dbfs"


class AlipanDownloader(_StoreDownloader):
    """Alipan."""

    @staticmethod
    def _client_identifier() -> str:
        return "alipan"


class _Mappings(UserDict[str, Any]):
    """Classes by scheme. One that is put here serves ``open_store`` too, unless it is over that itself."""

    def __setitem__(self, scheme: str, downloader: Any) -> None:
        super().__setitem__(scheme, downloader)
        if not issubclass(downloader, _StoreDownloader):
            stores[scheme or "file"] = "streaming.base.storage.ported:open_ported"


#: Downloader classes by scheme, to be added to.
DOWNLOADER_MAPPINGS = _Mappings(
    {
        kind._client_identifier(): kind  # pyright: ignore[reportPrivateUsage]
        for kind in (
            S3Downloader,
            SFTPDownloader,
            GCSDownloader,
            OCIDownloader,
            HFDownloader,
            AzureDownloader,
            AzureDataLakeDownloader,
            DatabricksUnityCatalogDownloader,
            DBFSDownloader,
            AlipanDownloader,
            LocalDownloader,
        )
    }
)
