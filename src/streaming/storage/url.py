"""URLs of stores: join, split, and show without secrets."""

from __future__ import annotations

import os
import re
import secrets
from urllib.parse import unquote, urlsplit

from streaming.core.errors import ConfigError

__all__ = [
    "check_path",
    "scheme_of_root",
    "file_path",
    "is_part",
    "join",
    "join_names",
    "odd_base",
    "part_of",
    "redact",
    "redact_text",
    "scheme_of",
    "split_bucket",
    "split_query",
]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
# What is before the @ of these names a bucket or container, and is no secret.
_NAMED = {"abfs", "abfss", "az", "azure", "azure-dl", "oci"}
# What begins like one of these is meant to be a URL, however it goes on.
_SCHEMES = "abfss?|az|azure|azure-dl|dbfs|file|gcs|gs|hf|https?|oci|s3|s3a|sftp"
_MEANT = re.compile(rf"({_SCHEMES})(?::(?!//)|//)/*(.*)", re.IGNORECASE | re.DOTALL)
# In these, a ? or # is a character of a name like any other.
_PLAIN = {"dbfs", "file", "gcs", "gs", "hf", "oci", "s3", "s3a"}
_PLACE = re.compile(r"^[^:]+://[^/?#]*")
_PART = ".part"
_DBFS = re.compile(r"dbfs:/", re.IGNORECASE)
_URL_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>]+")


def scheme_of(url: str) -> str:
    """Return the scheme of a URL in lower case, ``''`` for a plain path.

    Raises:
        ConfigError: It is neither, but meant to be a URL (``s3:/bucket``, ``s3//bucket``, a space before it): such a
            thing is never the name of a local directory.
    """
    match = _SCHEME.match(url)
    if match:
        return match.group(1).lower()
    if _DBFS.match(url):
        return "dbfs"
    stripped = url.lstrip()
    if stripped != url and (_SCHEME.match(stripped) or _MEANT.match(stripped)):
        raise _spaced(stripped)
    meant = _MEANT.match(url)
    if meant:
        scheme, rest = meant.group(1).lower(), meant.group(2)
        good = f"{scheme}:/{rest}" if scheme == "dbfs" else f"{scheme}://{'/' * (scheme == 'file')}{rest}"
        shown = url[: len(url) - len(rest)] + redact(good).rpartition(":/")[2].lstrip("/")
        raise ConfigError(
            f"{shown!r} is not a URL. Did you mean {redact(good)!r}? (A local directory of that name is "
            f"{'./' + shown!r}.)"
        )
    return ""


def scheme_of_root(url: str) -> str:
    """Return the scheme of a place's URL; white space behind one is nothing that anybody means.

    Raises:
        ConfigError: There is some; or as for :func:`scheme_of`.
    """
    scheme = scheme_of(url)
    if scheme and url != url.rstrip():
        raise _spaced(url.rstrip())
    return scheme


def _spaced(url: str) -> ConfigError:
    return ConfigError(f"{redact(url)!r} has white space before or behind it. Remove it.")


def join(root: str, *parts: str | None) -> str:
    """Append path components to a URL or path; empty ones are left out, and the root's own stay.

    A query (a shared access signature, say) stays at the end.

    Example:
        >>> join("s3://bucket/data", "train", "index.json")
        's3://bucket/data/train/index.json'
    """
    if not scheme_of(root):
        return join_names(root, *parts, is_path=True)
    base, query = split_query(root)
    return join_names(base, *parts, is_path=False) + query


def split_query(url: str) -> tuple[str, str]:
    """Split a URL or path before its query; a path, and a URL of a scheme that has no queries, has none.

    Example:
        >>> split_query("https://host/data?sig=1")
        ('https://host/data', '?sig=1')
        >>> split_query("s3://bucket/what?")
        ('s3://bucket/what?', '')
    """
    scheme = scheme_of(url)
    base, mark, query = url.partition("?") if scheme and scheme not in _PLAIN else (url, "", "")
    return base, mark + query


def join_names(base: str, *parts: str | None, is_path: bool) -> str:
    """Append path components to a path, or to a URL without a query; as :func:`join`."""
    names = [part.strip("/") for part in parts if part and part.strip("/")]
    if not names:
        return base
    return os.path.join(base, *names) if is_path else "/".join([base.removesuffix("/"), *names])


def file_path(url: str) -> str:
    """Return the path that a ``file://`` URL, or a path in which ``~`` is to be expanded, means.

    Raises:
        ConfigError: The URL names another host.
    """
    if scheme_of(url) != "file":
        return os.path.expanduser(url)
    host, slash, path = url.partition("://")[2].partition("/")
    if host not in ("", "localhost"):
        raise ConfigError(f"{redact(url)!r} names the host {host!r}; write file:///path.")
    return unquote(slash + path)


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


def odd_base(url: str) -> str | None:
    """Return what comes between the bucket of a URL and the names below it, if it has empty segments.

    Object stores keep ``a//b`` and ``a/b`` apart. One slash at the end of a URL is no segment.

    Example:
        >>> odd_base("s3://bucket/data//train/")
        '/data//train'
        >>> odd_base("s3://bucket/data/train/")
    """
    _, slash, path = split_query(url)[0].partition("://")[2].partition("/")
    base = (slash + path).removesuffix("/")
    return base if "//" in base or base.endswith("/") else None


def check_path(path: str) -> str:
    """Return the path of an object if it stays below the root it is relative to.

    Args:
        path: Path below the root of a store or dataset, with ``/`` between components.

    Raises:
        ConfigError: It is empty or absolute, or has an empty, ``.`` or ``..`` component.

    Example:
        >>> check_path('train/shard.00000.mds')
        'train/shard.00000.mds'
        >>> check_path('../shard.00000.mds')
        Traceback (most recent call last):
            ...
        streaming.core.errors.ConfigError: ...
    """
    if "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
        raise ConfigError(
            f"{path!r} is not a path below a store's root; expected names joined by single '/', without '.' or '..'."
        )
    return path


def part_of(path: str) -> str:
    """Return another name beside a file's, which it has while it is written."""
    directory, slash, name = path.rpartition("/")
    return f"{directory}{slash}.{name}.{secrets.token_hex(4)}{_PART}"


def is_part(name: str) -> bool:
    """Say whether a file of this name is not yet written."""
    return name.startswith(".") and name.endswith(_PART)


def redact(url: str) -> str:
    """Return a URL fit to be shown: without user information, query and fragment.

    Where the scheme has no queries, what looks like one all the same is left out.
    """
    if not _SCHEME.match(url):
        return url
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.partition("://")[0] + "://***"
    user, _, host = parts.netloc.rpartition("@")
    if parts.scheme.lower() in _NAMED and ":" not in user:
        host = parts.netloc
    path = parts.path
    if parts.scheme in _PLAIN:
        path = _PLACE.sub("", url)
        path = path.partition("?")[0] if "=" in path.partition("?")[2] else path
    return f"{parts.scheme}://{host}{path}"


def redact_text(text: str) -> str:
    """Redact every URL in a text."""
    return _URL_IN_TEXT.sub(lambda match: redact(match.group()), text)
