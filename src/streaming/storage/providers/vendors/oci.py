"""Oracle Cloud's object storage by its own interface and SDK, for the API keys of ``~/.oci/config``."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

from streaming.core.errors import AccessDeniedError, ConfigError, StalledError, StorageError, UnavailableError
from streaming.core.imports import optional_import
from streaming.storage.options import Sealed
from streaming.storage.providers.vendors.client import CHUNK, TIMEOUT_S, VendorStore, described, ranged
from streaming.storage.store import ObjectInfo
from streaming.storage.words import kind_of_status, words

__all__ = ["OciStore", "Oracle"]

_PAGE = 1000
_CONNECT_S = 10.0
# What the SDK wants a configuration to look like, though it is the signer that signs.
_FORM = {
    "user": "ocid1.user.oc1..x",
    "tenancy": "ocid1.tenancy.oc1..x",
    "fingerprint": ":".join(["00"] * 16),
    "key_file": "x",
}


@dataclass(frozen=True)
class Oracle:
    """Where objects are, and which profile signs for them.

    Attributes:
        bucket: The bucket.
        start: What every name begins with.
        namespace: Its namespace; ``None`` to ask for that of the profile's tenancy.
        file: The configuration file.
        profile: Its section.
        region: ``None`` for the profile's.
        endpoint: Of the service; ``None`` for the region's.
    """

    bucket: str
    start: str
    namespace: str | None
    file: str
    profile: str
    region: str | None
    endpoint: str | None


class OciStore(VendorStore):
    """Objects are those of a bucket.

    Args:
        url: The root.
        options: As for ``open_oci``.
        where: What URL, options and environment say.
    """

    reads_in_one = True

    def __init__(self, url: str, options: Mapping[str, Any] | Sealed, where: Oracle) -> None:
        super().__init__(url, options)
        self._where = where
        self._namespace = where.namespace

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.url, self._options, self._where), {"patience_s": self.patience_s}

    def check_writable(self) -> None:
        self._call("", self._probe, 2 * TIMEOUT_S)

    def _connect(self) -> Any:
        oci = optional_import("oci", "oci", f"The API key of {self._where.file}")
        storage = optional_import("oci.object_storage", "oci", "oci://")
        try:
            config = oci.config.from_file(self._where.file, self._where.profile)
            return storage.ObjectStorageClient(
                {**_FORM, "region": self._where.region or config["region"]},
                signer=_signer(oci, config),
                timeout=(_CONNECT_S, TIMEOUT_S),
                retry_strategy=oci.retry.NoneRetryStrategy(),
                circuit_breaker_strategy=oci.circuit_breaker.NoCircuitBreakerStrategy(),
                **({"service_endpoint": self._where.endpoint} if self._where.endpoint else {}),
            )
        except (oci.exceptions.ClientError, KeyError, OSError, TypeError, ValueError) as error:
            raise ConfigError(
                f"{self!r}: the profile {self._where.profile!r} of {self._where.file} is not one to sign with: "
                f"{type(error).__name__}: {words(str(error))}. It needs user, fingerprint, tenancy, region and key_file."
            ) from None

    def _key(self) -> Hashable:
        where = self._where
        return "oci", where.file, where.profile, where.region, where.endpoint

    def _place(self) -> str:
        return f"oci://{self._where.bucket}@{self._where.namespace or ''}"

    def _failure(self, error: Exception, where: str) -> StorageError:
        status = getattr(error, "status", None)
        name = type(error).__name__
        if isinstance(status, int):
            said = words(": ".join(str(getattr(error, part, "") or "") for part in ("code", "message")))
            kind = kind_of_status(status, "retry-after" in (getattr(error, "headers", None) or {}))
            advice = ""
            if kind is AccessDeniedError:
                advice = f" It was signed by the profile {self._where.profile!r} of {self._where.file}: check it."
            return kind(f"{where}: the server answered {status}{f' ({said})' if said.strip(': ') else ''}.{advice}")
        if "Timeout" in name:
            return StalledError(f"{where}: nothing came for {TIMEOUT_S:g} s. Check the region and the network.")
        kind = (
            UnavailableError if isinstance(error, OSError) or "Request" in name or "Connect" in name else StorageError
        )
        return kind(f"{where}: {name}: {words(str(error))}. Check the region, the network and HTTPS_PROXY.")

    def _object(self, client: Any, path: str) -> tuple[str, str, str]:
        if self._namespace is None:
            self._namespace = str(client.get_namespace().data)
        return self._namespace, self._where.bucket, self._full(path)

    def _full(self, path: str) -> str:
        return self._where.start + path

    def _head(self, client: Any, path: str) -> ObjectInfo:
        headers = client.head_object(*self._object(client, path)).headers
        return described(path, headers, headers.get("etag"))

    def _chunks(self, client: Any, path: str, start: int, end: int | None, told: list[ObjectInfo]) -> Iterator[bytes]:
        try:
            reply = client.get_object(*self._object(client, path), **ranged(start, end))
        except Exception as error:
            if getattr(error, "status", None) == 416:  # it ends before
                return
            raise
        told.append(described(path, reply.headers, reply.headers.get("etag")))
        yield from reply.data.raw.stream(CHUNK, decode_content=False)

    def _entries(self, client: Any, prefix: str) -> Iterator[ObjectInfo]:
        below = self._full(prefix + "/" if prefix else "")
        cut = len(self._where.start)
        namespace, bucket, _ = self._object(client, "")
        after: str | None = None
        while True:
            more = {"start": after} if after else {}
            page = client.list_objects(
                namespace, bucket, prefix=below, fields="name,size,etag,timeModified", limit=_PAGE, **more
            ).data
            for item in page.objects:
                modified = item.time_modified.timestamp() if item.time_modified else None
                yield ObjectInfo(item.name[cut:], int(item.size or 0), item.etag, modified)
            after = page.next_start_with
            if not after:
                return

    def _put(self, client: Any, path: str, source: IO[bytes]) -> None:
        empty = not source.seek(0, 2)  # which the SDK cannot send as a file
        source.seek(0)
        client.put_object(*self._object(client, path), b"" if empty else source)

    def _delete(self, client: Any, path: str) -> None:
        client.delete_object(*self._object(client, path))

    def _probe(self, client: Any) -> None:
        client.head_bucket(*self._object(client, "")[:2])


def _signer(oci: Any, config: Mapping[str, Any]) -> Any:
    """Return what signs: the token of a session if the profile has one, else the API key."""
    phrase = config.get("pass_phrase")
    if config.get("security_token_file"):
        with open(os.path.expanduser(config["security_token_file"]), encoding="utf-8") as file:
            token = file.read().strip()
        key = oci.signer.load_private_key_from_file(config["key_file"], phrase)
        return oci.auth.signers.SecurityTokenSigner(token, key)
    return oci.signer.Signer(
        config["tenancy"],
        config["user"],
        config["fingerprint"],
        config.get("key_file"),
        phrase,
        config.get("key_content"),
    )
