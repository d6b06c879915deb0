"""Repositories of the Hugging Face Hub."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

from streaming.core.errors import AccessDeniedError, ConfigError, ObjectNotFoundError, StorageError, UnavailableError
from streaming.core.imports import optional_import
from streaming.storage.family import canonical, checked_endpoint
from streaming.storage.gate import gate_of
from streaming.storage.options import Sealed, seal
from streaming.storage.ranged import RangedStore
from streaming.storage.rest import Reply, read_range, request
from streaming.storage.store import ObjectInfo
from streaming.storage.url import check_path, redact

__all__ = ["HfStore", "open_hf"]

_OPTIONS = {"endpoint", "revision", "token"}
_KINDS = ("datasets", "models", "spaces")
_CONNECTIONS = 16
_NEXT = re.compile(r'<([^>]+)>;\s*rel="next"')


def open_hf(url: str, options: Mapping[str, Any]) -> HfStore:
    """Open ``hf://datasets/owner/name@revision/path`` (or ``hf://spaces/...``, ``hf://owner/name/...`` for a model).

    Nothing is contacted yet.

    Args:
        url: The root; without a revision, that of the options, else ``main``.
        options: ``token`` (else ``HF_TOKEN``, else the file that ``hf auth login`` leaves), ``endpoint`` (else
            ``HF_ENDPOINT``), ``revision``, and ``max_concurrency``, the requests that a process has under way.

    Raises:
        ConfigError: The URL names no repository, or an option is unknown.
    """
    return HfStore(url, canonical(options, "hf", _OPTIONS, {}))


class HfStore(RangedStore):
    """Objects are the files below a directory of a repository.

    Args:
        url: The root.
        options: As for :func:`open_hf`.
    """

    def __init__(self, url: str, options: Mapping[str, Any] | Sealed) -> None:
        super().__init__(url)
        self._options = seal(options)
        parts = [part for part in url.partition("://")[2].split("/") if part]
        self._kind = parts.pop(0) if parts and parts[0] in _KINDS else "models"
        if len(parts) < 2:
            raise ConfigError(f"{redact(url)!r} names no repository; expected hf://datasets/owner/name/path.")
        name, _, revision = parts[1].partition("@")
        self._repo = f"{parts[0]}/{name}"
        self._revision = revision
        self._directory = "/".join(parts[2:])

    @property
    def origin(self) -> str:
        """Where the files are: the URL, the hub, and the revision."""
        return f"{self!r} {redact(self._endpoint())} {self._revision_of()}"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.url, self._options)

    def get(self, path: str) -> bytes:
        """Return a whole file."""
        return self._ask("GET", self._resolve(path), path).body

    def get_range(self, path: str, start: int, end: int) -> bytes:
        """Return bytes ``[start, end)`` of a file, fewer where it ends before."""
        check_path(path)
        return read_range(lambda headers: self._ask("GET", self._resolve(path), path, headers), start, end)

    def head(self, path: str) -> ObjectInfo:
        """Return size and version of a file."""
        # A large file is elsewhere, and the redirection says more than the place it leads to.
        reply = self._ask("HEAD", self._resolve(path), path, {"Accept-Encoding": "identity"}, follow=False)
        if 300 <= reply.status < 400 and "x-linked-size" not in reply.headers:
            reply = self._ask("HEAD", self._resolve(path), path, {"Accept-Encoding": "identity"})
        size = reply.headers.get("x-linked-size") or reply.headers.get("content-length")
        if size is None:
            raise UnavailableError(f"{self!r}/{path}: the server does not say how large it is.")
        return ObjectInfo(path, int(size), reply.headers.get("x-linked-etag") or reply.headers.get("etag"))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield every file in and below a directory, in the order of their paths; none if there is none."""
        prefix = prefix.strip("/")
        if prefix:
            check_path(prefix)
        directory = "/".join(part for part in (self._directory, prefix) if part)
        url = f"{self._api()}/tree/{quote(self._revision_of(), safe='')}/{quote(directory)}".rstrip("/")
        url += "?recursive=true"
        found: list[ObjectInfo] = []
        start = len(self._directory) + 1 if self._directory else 0
        while url:
            try:
                reply = self._ask("GET", url, prefix)
            except ObjectNotFoundError:
                if self.exists_root():
                    return
                raise
            for item in json.loads(reply.body):
                if item["type"] == "file":
                    size = (item.get("lfs") or item)["size"]
                    found.append(ObjectInfo(item["path"][start:], size, item.get("oid")))
            following = _NEXT.search(reply.headers.get("link", ""))
            url = urljoin(url, following[1]) if following else ""
        yield from sorted(found, key=lambda info: info.path)

    def put(self, path: str, source: str | bytes) -> None:
        """Write a file, as a commit of its own."""
        check_path(path)
        with open(source, "rb") if isinstance(source, str) else BytesIO(source) as data, self._turn(path):
            try:
                self._hub().upload_file(path_or_fileobj=data, path_in_repo=self._full(path), **self._place(path))
            except Exception as error:
                raise self._translated(error, path) from None

    def delete(self, path: str) -> None:
        """Remove a file, as a commit of its own; a missing one is no failure."""
        check_path(path)
        with self._turn(path):
            try:
                self._hub().delete_file(self._full(path), **self._place(path))
            except Exception as error:
                failure = self._translated(error, path)
                if not isinstance(failure, ObjectNotFoundError):
                    raise failure from None

    def exists_root(self) -> bool:
        """Say whether the repository exists."""
        try:
            self._ask("GET", self._api(), "")
        except ObjectNotFoundError:
            return False
        return True

    def check_writable(self) -> None:
        """Check that the repository exists; who may write to it is only known when something is written."""
        self._ask("GET", self._api(), "")
        self._hub()

    def _hub(self) -> Any:
        module = optional_import("huggingface_hub", "hf", "Writing to the Hugging Face Hub")
        return module.HfApi(endpoint=self._endpoint(), token=self._token() or False)

    def _place(self, path: str) -> dict[str, Any]:
        return {
            "repo_id": self._repo,
            "repo_type": self._kind.removesuffix("s"),
            "revision": self._revision_of(),
            "commit_message": f"Update {self._full(path)}",
        }

    def _translated(self, error: Exception, path: str) -> StorageError:
        """Return our kind of one of the hub client's exceptions."""
        status = getattr(getattr(error, "response", None), "status_code", None)
        said = f"{self!r}/{path}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        if status in (401, 403):
            return AccessDeniedError(f"{said} Set HF_TOKEN to a token that may write to {self._repo}.")
        if status == 404 or type(error).__name__ in ("EntryNotFoundError", "RemoteEntryNotFoundError"):
            return ObjectNotFoundError(said)
        return UnavailableError(said)

    def _ask(
        self, method: str, url: str, path: str, headers: Mapping[str, str] | None = None, follow: bool = True
    ) -> Reply:
        token = self._token()
        sent = {**(headers or {}), **({"Authorization": f"Bearer {token}"} if token else {})}
        with self._turn(path):
            try:
                return request(method, url, sent, f"{self!r}/{path}", follow=follow)
            except AccessDeniedError as error:
                hint = (
                    f"If {self._repo} is gated, accept its terms on its page"
                    if token
                    else "Set HF_TOKEN, or log in with `hf auth login`; if the repository is gated, accept its terms first"
                )
                raise AccessDeniedError(f"{error} {hint}.") from None

    def _turn(self, path: str) -> AbstractContextManager[None]:
        most = int(self._options.reveal().get("max_concurrency", _CONNECTIONS))
        return gate_of(self._endpoint(), most).turn(f"{self!r}/{path}")

    def _resolve(self, path: str) -> str:
        check_path(path)
        kind = "" if self._kind == "models" else f"{self._kind}/"
        revision = quote(self._revision_of(), safe="")
        return f"{self._endpoint()}/{kind}{self._repo}/resolve/{revision}/{quote(self._full(path))}"

    def _api(self) -> str:
        return f"{self._endpoint()}/api/{self._kind}/{self._repo}"

    def _full(self, path: str) -> str:
        return "/".join(part for part in (self._directory, path) if part)

    def _revision_of(self) -> str:
        return self._revision or str(self._options.reveal().get("revision") or "main")

    def _endpoint(self) -> str:
        given = self._options.reveal().get("endpoint")
        if given is not None:
            return checked_endpoint("The storage option endpoint", given)
        return checked_endpoint("HF_ENDPOINT", os.environ.get("HF_ENDPOINT") or "https://huggingface.co")

    def _token(self) -> str | None:
        given = self._options.reveal().get("token") or os.environ.get("HF_TOKEN")
        if given:
            return str(given)
        home = os.environ.get("HF_HOME") or os.path.join(os.path.expanduser("~"), ".cache", "huggingface")
        path = Path(os.environ.get("HF_TOKEN_PATH") or os.path.join(home, "token"))
        try:
            return path.read_text().strip() or None
        except OSError:
            return None
