"""The Hugging Face Hub, by its own client: repositories and buckets."""

from __future__ import annotations

import os
import re
from collections.abc import Hashable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import IO, Any
from urllib.parse import quote, unquote

from streaming.core.errors import (
    AccessDeniedError,
    ConfigError,
    ObjectNotFoundError,
    StalledError,
    StorageError,
    UnavailableError,
)
from streaming.core.imports import optional_import
from streaming.storage.logins.family import canonical, checked_endpoint
from streaming.storage.options import Sealed
from streaming.storage.providers.vendors.client import CHUNK, TIMEOUT_S, VendorStore, described, environment, ranged
from streaming.storage.providers.vendors.hf_forks import SharedSession
from streaming.storage.store import ObjectInfo
from streaming.storage.url import redact
from streaming.storage.words import kind_of_status, words

__all__ = ["HfStore", "open_hf"]

_OPTIONS = {"endpoint", "revision", "token"}
_KINDS = ("datasets", "models", "spaces", "buckets")
_CONNECT_S = 10.0
# What comes after the @ has slashes of its own only if it begins like this.
_REVISION = re.compile(r"(refs/(?:convert|pr)/[^/]+|[^/]*)(?:/(.*))?")
_MISSING = ("RepositoryNotFoundError", "RevisionNotFoundError", "EntryNotFoundError", "BucketNotFoundError")

_session = SharedSession()
os.register_at_fork(before=_session.before_fork, after_in_child=_session.after_fork_in_child)


def open_hf(url: str, options: Mapping[str, Any]) -> HfStore:
    """Open ``hf://datasets/owner/name@revision/path``; also ``hf://models/...``, ``hf://spaces/...`` and
    ``hf://buckets/...``, and ``hf://owner/name/...`` for a model. Nothing is contacted yet.

    Args:
        url: The root; without a revision, that of the options, else ``main``.
        options: ``token`` (else what the hub's client finds: ``HF_TOKEN``, the file that ``hf auth login`` leaves),
            ``endpoint`` (else ``HF_ENDPOINT``), ``revision``, and ``max_concurrency``, the requests that a process has
            under way.

    Raises:
        ConfigError: The URL names no repository, or an option is unknown.
    """  # noqa: D205
    return HfStore(url, canonical(options, "hf", _OPTIONS, {}))


class HfStore(VendorStore):
    """Objects are the files below a directory of a repository or a bucket.

    What a store reads is of one commit: that which the revision names when it is first asked. One that writes follows
    the revision.

    Args:
        url: The root.
        options: As for :func:`open_hf`.
    """

    reads_in_one = True

    def __init__(self, url: str, options: Mapping[str, Any] | Sealed) -> None:
        super().__init__(url, options)
        parts = [part for part in url.partition("://")[2].split("/") if part]
        if parts and f"{parts[0]}s" in _KINDS:
            raise ConfigError(
                f"{redact(url)!r}: the hub's kinds are plural, hf://{parts[0]}s/owner/name/path. (A model of the owner "
                f"{parts[0]!r} is hf://models/{parts[0]}/name.)"
            )
        self._names_kind = bool(parts) and parts[0] in _KINDS
        self._kind = parts.pop(0) if self._names_kind else "models"
        if len(parts) < 2:
            raise ConfigError(f"{redact(url)!r} names no repository; expected hf://datasets/owner/name/path.")
        name, mark, revision = "/".join(parts[1:]).partition("@") if "@" in parts[1] else (parts[1], "", "")
        found = _REVISION.fullmatch(revision) if mark else None
        self._repo = f"{parts[0]}/{name}"
        self._revision = unquote(found[1]) if found else ""
        self._directory = (found[2] or "") if found else "/".join(parts[2:])
        self._commit = ""
        self._has_written = False

    @property
    def origin(self) -> str:
        """Where the files are: the URL, the hub, and the revision."""
        return f"{self!r} {redact(self._endpoint())} {self._revision_of()}"

    def __reduce__(self) -> tuple[Any, ...]:
        # The commit goes along, so that workers read what their parent has opened.
        return type(self), (self.url, self._options), {"patience_s": self.patience_s, "_commit": self._commit}

    def check_writable(self) -> None:
        """Check that the repository exists; who may write to it is only known when something is written."""
        self._call("", self._probe, 2 * TIMEOUT_S)

    def _connect(self) -> Any:
        module = optional_import("huggingface_hub", "hf", "hf://")
        token = self._options.reveal().get("token")
        return module.HfApi(endpoint=self._endpoint(), token=token)

    def _key(self) -> Hashable:
        return "hf", self._endpoint(), self._options.reveal().get("token"), environment("HF_", "HUGGING_FACE_")

    def _place(self) -> str:
        return self._endpoint()

    def _head(self, client: Any, path: str) -> ObjectInfo:
        from huggingface_hub import get_hf_file_metadata

        found = get_hf_file_metadata(self._at(path), token=client.token, timeout=TIMEOUT_S)
        if found.size is None:
            raise UnavailableError(f"{self!r}/{path}: the server does not say how large it is.")
        self._commit = self._commit or found.commit_hash or ""
        return ObjectInfo(path, int(found.size), found.etag)

    def _chunks(self, client: Any, path: str, start: int, end: int | None, told: list[ObjectInfo]) -> Iterator[bytes]:
        from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

        headers = {**build_hf_headers(token=client.token), "Accept-Encoding": "identity", **ranged(start, end)}
        with _answer(self._at(path), headers) as reply:
            if reply.status_code == 416:  # it ends before
                return
            hf_raise_for_status(reply)
            # A large file is elsewhere, and only the hub knows the commit.
            first = (reply.history or [reply])[0]
            self._commit = self._commit or first.headers.get("X-Repo-Commit", "")
            etag = str(first.headers.get("X-Linked-Etag") or first.headers.get("ETag") or "")
            told.append(described(path, reply.headers, etag.removeprefix("W/").strip('"') or None))
            read = getattr(reply, "iter_bytes", None) or reply.iter_content
            yield from _within(read(CHUNK), start if reply.status_code == 200 else 0, start, end)

    def _entries(self, client: Any, prefix: str) -> Iterator[ObjectInfo]:
        directory = self._full(prefix)
        if self._kind == "buckets":
            found = client.list_bucket_tree(self._repo, prefix=directory or None, recursive=True)
        else:
            found = client.list_repo_tree(
                self._repo, directory or None, recursive=True, revision=self._revision_of(), repo_type=self._repo_type
            )
        start = self._directory + "/" if self._directory else ""
        below = directory + "/" if directory else ""
        for item in found:
            size = getattr(item, "size", None)
            if size is not None and item.path.startswith(below):
                # What the hub calls a version when the file itself is asked for; the hash listed of a bucket's is another.
                large = getattr(item, "lfs", None)
                version = large.sha256 if large else getattr(item, "blob_id", None)
                yield ObjectInfo(item.path[len(start) :], int(size), version)

    def _put(self, client: Any, path: str, source: IO[bytes]) -> None:
        if self._kind == "buckets":
            given = source.name if hasattr(source, "name") else source.read()
            client.batch_bucket_files(self._repo, add=[(given, self._full(path))])
            return
        self._has_written = True
        client.upload_file(path_or_fileobj=source, path_in_repo=self._full(path), **self._commit_of(path))

    def _delete(self, client: Any, path: str) -> None:
        if self._kind == "buckets":
            client.batch_bucket_files(self._repo, delete=[self._full(path)])
            return
        self._has_written = True
        client.delete_file(self._full(path), **self._commit_of(path))

    def _probe(self, client: Any) -> None:
        if self._kind == "buckets":
            client.bucket_info(self._repo)
        else:
            client.repo_info(self._repo, repo_type=self._repo_type, timeout=TIMEOUT_S)

    def _failure(self, error: Exception, where: str) -> StorageError:
        reply: Any = getattr(error, "response", None)
        name = type(error).__name__
        if reply is None:
            if any(kind.__name__ in _MISSING for kind in type(error).__mro__):
                return ObjectNotFoundError(f"{where} is not there. {self._advice()}")
            if "Timeout" in name:
                return StalledError(f"{where}: nothing came for {TIMEOUT_S:g} s. Check the network, and HF_ENDPOINT.")
            if name == "OfflineModeIsEnabled":
                return UnavailableError(f"{where}: HF_HUB_OFFLINE is set, so the hub is not asked. Unset it.")
            if self._kind == "buckets" and isinstance(error, AttributeError):
                return StorageError(f"{where}: this huggingface_hub knows no buckets. Install a newer one.")
            said = words(str(error), self._secrets())
            if not isinstance(error, OSError) and not type(error).__module__.startswith("httpx"):
                return StorageError(f"{where}: {name}: {said}.")
            return UnavailableError(f"{where}: {name}: {said}. Check the network, HTTPS_PROXY and HF_ENDPOINT.")
        status = int(reply.status_code)
        kind = kind_of_status(status, "retry-after" in reply.headers)
        said = words(str(reply.headers.get("X-Error-Message") or ""), self._secrets())
        text = f"{where}: {self._endpoint()} answered {status}{f' ({said})' if said else ''}."
        if kind is AccessDeniedError or name == "GatedRepoError":
            return AccessDeniedError(f"{text} {self._login_advice()}")
        return kind(f"{text} {self._advice()}" if kind is ObjectNotFoundError else text)

    def _advice(self) -> str:
        if self._names_kind:
            return "Check the path, and the token if the repository is private."
        return f"hf://owner/name is a model; a dataset is hf://datasets/{self._repo}."

    def _login_advice(self) -> str:
        if self._secrets():
            return (
                f"If {self._repo} is gated, accept its terms on its page; check that the token (HF_TOKEN) may do this."
            )
        return "Set HF_TOKEN, or log in with `hf auth login`; if the repository is gated, accept its terms first."

    def _secrets(self) -> list[str]:
        from huggingface_hub import get_token

        given = [self._options.reveal().get("token"), get_token()]
        return [str(token) for token in given if token]

    def _at(self, path: str) -> str:
        if self._kind == "buckets":
            return f"{self._endpoint()}/buckets/{self._repo}/resolve/{quote(self._full(path), safe='')}"
        from huggingface_hub import hf_hub_url

        return hf_hub_url(
            self._repo, self._full(path), repo_type=self._repo_type, revision=self._revision_of(),
            endpoint=self._endpoint(),
        )  # fmt: skip

    def _commit_of(self, path: str) -> dict[str, Any]:
        return {
            "repo_id": self._repo,
            "repo_type": self._repo_type,
            "revision": self._named_revision(),
            "commit_message": f"Update {self._full(path)}",
        }

    @property
    def _repo_type(self) -> str:
        return self._kind.removesuffix("s")

    def _full(self, path: str) -> str:
        return "/".join(part for part in (self._directory, path) if part)

    def _named_revision(self) -> str:
        return self._revision or str(self._options.reveal().get("revision") or "main")

    def _revision_of(self) -> str:
        return self._named_revision() if self._has_written else self._commit or self._named_revision()

    def _endpoint(self) -> str:
        given = self._options.reveal().get("endpoint")
        if given is not None:
            return checked_endpoint("The storage option endpoint", given)
        return checked_endpoint("HF_ENDPOINT", os.environ.get("HF_ENDPOINT") or "https://huggingface.co")


def _answer(url: str, headers: Mapping[str, str]) -> AbstractContextManager[Any]:
    """Ask by the hub client's own session, whichever of the two kinds its version has."""
    from huggingface_hub.utils import get_session

    session: Any = get_session()
    if callable(getattr(session, "stream", None)):
        return session.stream("GET", url, headers=headers, timeout=(_CONNECT_S, TIMEOUT_S, TIMEOUT_S, TIMEOUT_S))
    reply = session.get(url, headers=headers, stream=True, timeout=(_CONNECT_S, TIMEOUT_S))
    return reply if hasattr(reply, "__enter__") else nullcontext(reply)


def _within(chunks: Iterator[bytes], skip: int, start: int, end: int | None) -> Iterator[bytes]:
    """Leave out what was not asked for: a server may send all of a file."""
    left = None if end is None else end - start
    for chunk in chunks:
        part = chunk[skip:] if skip else chunk
        skip = max(0, skip - len(chunk))
        if left is not None:
            part = part[:left]
            left -= len(part)
        if part:
            yield part
