"""URLs of stores: join, split, and show without secrets."""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit, urlunsplit

__all__ = ["is_local", "join", "redact", "scheme_of"]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def scheme_of(url: str) -> str:
    """Return the scheme of a URL in lower case, ``''`` for a plain path."""
    match = _SCHEME.match(url)
    if match:
        return match.group(1).lower()
    return "dbfs" if url.startswith("dbfs:/") else ""


def is_local(url: str) -> bool:
    """Say whether a URL is a path of a mounted file system."""
    return scheme_of(url) in ("", "file")


def join(root: str, *parts: str) -> str:
    """Append path components to a URL or path; empty ones are left out.

    A query (a shared access signature, say) stays at the end.
    """
    parts = tuple(part.strip("/") for part in parts if part.strip("/"))
    if not parts:
        return root
    if not scheme_of(root):
        return os.path.join(root, *parts)
    base, mark, query = root.partition("?")
    return "/".join([base.rstrip("/"), *parts]) + mark + query


def redact(url: str) -> str:
    """Return a URL fit to be shown: without user information, query and fragment."""
    if not _SCHEME.match(url):
        return url
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
