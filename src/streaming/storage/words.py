"""What servers and clients say, made fit to be shown.

An error text quotes a server where that helps, and a server may quote what it was sent: tokens, signatures, keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from streaming.core.errors import (
    AccessDeniedError,
    ObjectNotFoundError,
    StorageError,
    ThrottledError,
    UnavailableError,
)
from streaming.storage.url import redact_text

__all__ = ["kind_of_status", "words"]

_MOST = 300
_SECRETS = (
    re.compile(r"(?i)\b(bearer|basic|signature|negotiate|aws4-hmac-sha256)\b\s+\S+.*"),
    re.compile(r"(?i)\b([\w.-]*(?:signature|sig|token|secret|password|credential|authorization|apikey|api[-_]key))"
               r"([\"']?\s*[=:]\s*)(?:[\"'][^\"']*[\"']?|[^\s,;&\"'<>]+)"),
    # As long as a hash or a key, and nothing that a name is.
    re.compile(r"(?<![\w/])(?=[\w+=-]*\d)(?=[\w+=-]*[A-Za-z])[\w+/=-]{40,}"),
)  # fmt: skip


def words(text: str, secrets: Iterable[object] = ()) -> str:
    """Return the first line of a text without what was sent, at most 300 characters.

    Args:
        text: What a server or a client says.
        secrets: What was sent, as far as it is known. What looks like a token or a signature goes in any case.
    """
    line = redact_text(" ".join(text.strip().partition("\n")[0].split()))
    for secret in sorted({str(secret) for secret in secrets}, key=len, reverse=True):
        if len(secret) > 3:
            line = line.replace(secret, "***")
    line = _SECRETS[0].sub(r"\1 ***", line)
    line = _SECRETS[1].sub(r"\1\2***", line)
    return _SECRETS[2].sub("***", line)[:_MOST].rstrip(" .")


def kind_of_status(status: int, asks_to_wait: bool = False) -> type[StorageError]:
    """Return the exception for a status of HTTP from 400 on.

    Args:
        status: The status.
        asks_to_wait: Whether the server said when to come again.
    """
    if status in (401, 403):
        return AccessDeniedError
    if status in (404, 410):
        return ObjectNotFoundError
    if status == 429 or (status == 503 and asks_to_wait):
        return ThrottledError
    return UnavailableError if status >= 500 or status == 408 else StorageError
