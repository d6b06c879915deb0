"""URLs of stores: join, split, and show without secrets."""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit

from streaming.core.errors import ConfigError

__all__ = ["check_path", "is_local", "join", "redact", "redact_text", "scheme_of", "split_bucket"]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
# What is before the @ of these names a bucket or container, and is no secret.
_NAMED = {"abfs", "abfss", "az", "azure", "azure-dl", "oci"}
_URL_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>]+")


def scheme_of(url: str) -> str:
    """Return the scheme of a URL in lower case, ``''`` for a plain path."""
    match = _SCHEME.match(url)
    if match:
        return match.group(1).lower()
    return "dbfs" if url.startswith("dbfs:/") else ""


def is_local(url: str) -> bool:
    """Say whether a URL is a path of a mounted file system."""
    return scheme_of(url) in ("", "file")


def join(root: str, *parts: str | None) -> str:
    """Append path components to a URL or path; empty ones are left out.

    A query (a shared access signature, say) stays at the end.

    Example:
        >>> join("s3://bucket/data", "train", "index.json")
        's3://bucket/data/train/index.json'
    """
    names = [part.strip("/") for part in parts if part and part.strip("/")]
    if not names:
        return root
    if not scheme_of(root):
        return os.path.join(root, *names)
    base, mark, query = root.partition("?")
    return "/".join([base.rstrip("/"), *names]) + mark + query


def split_bucket(url: str) -> tuple[str, str]:
    """Split ``scheme://bucket/some/prefix/`` into ``('bucket', 'some/prefix')``.

    Raises:
        ConfigError: There is no bucket.
    """
    rest = url.partition("://")[2]
    bucket, _, prefix = rest.partition("/")
    if not bucket:
        raise ConfigError(f"{redact(url)!r} names no bucket; expected {scheme_of(url)}://bucket/path.")
    return bucket, prefix.strip("/")


def check_path(path: str) -> str:
    """Return the path of an object if it stays below the root it is relative to.

    Raises:
        ConfigError: It is empty or absolute, or has an empty, ``.`` or ``..`` component.
    """
    if "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
        raise ConfigError(
            f"{path!r} is not a path below a store's root; expected names joined by single '/', without '.' or '..'."
        )
    return path


def redact(url: str) -> str:
    """Return a URL fit to be shown: without user information, query and fragment."""
    if not _SCHEME.match(url):
        return url
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.partition("://")[0] + "://***"
    user, _, host = parts.netloc.rpartition("@")
    if parts.scheme.lower() in _NAMED and ":" not in user:
        host = parts.netloc
    return f"{parts.scheme}://{host}{parts.path}"


def redact_text(text: str) -> str:
    """Redact every URL in a text."""
    return _URL_IN_TEXT.sub(lambda match: redact(match.group()), text)
