"""The one border at which the network client's exceptions become ours.

The client's texts quote request URLs (with user information and signatures) and server replies, so they are never passed
on nor chained: status, code and message are taken from them, and everything else is left behind.
"""

from __future__ import annotations

import re

from streaming.core.errors import (
    AccessDeniedError,
    ObjectNotFoundError,
    StorageError,
    ThrottledError,
    UnavailableError,
)
from streaming.storage.spec import ClientSpec
from streaming.storage.url import join, redact, redact_text

__all__ = ["RangeError", "RangeIgnoredError", "WrongRegionError", "failure"]

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>([^<]{1,100})</Code>")
_MESSAGE = re.compile(r"<Message>([^<]{1,300})</Message>")
_REFUSED = "Connection refused"
_DNS = "dns error"
_DENIED_CODES = {"AuthorizationHeaderMalformed", "ExpiredToken", "InvalidToken", "InvalidAccessKeyId", "TokenRefreshRequired"}
_THROTTLE_CODES = {"SlowDown", "TooManyRequests", "RequestLimitExceeded", "ThrottlingException", "ServiceUnavailable"}
_NO_CREDENTIALS = re.compile(
    r"credential|169\.254\.169\.254|unauthori[sz]ed|token|metadata|assume", re.IGNORECASE
)


class RangeError(StorageError):
    """The range asked for begins past the end of the object."""


class RangeIgnoredError(StorageError):
    """The server answered a request for a range with the whole object."""


class WrongRegionError(StorageError):
    """The bucket is in another region."""


def failure(error: BaseException, spec: ClientSpec, path: str) -> StorageError:
    """Translate an exception of the client.

    Args:
        error: What the client raised.
        spec: The client that raised it.
        path: The object that was asked for, ``''`` for the root.

    Returns:
        The exception to raise, ``from None``.
    """
    if isinstance(error, StorageError):
        return error
    text = str(error)
    status, code = _found(_STATUS, text), _found(_CODE, text)
    kind, hint = _kind(error, text, int(status or 0), code or "")
    reason = _reason(text, status, code)
    advice = spec.hints.get(hint, "")
    where = redact(join(spec.url, path))
    return kind(f"{where}: {reason}{' ' + advice if advice else ''}")


def _found(pattern: re.Pattern[str], text: str) -> str | None:
    match = pattern.search(text)
    return match.group(1) if match else None


def _kind(
    error: BaseException, text: str, status: int, code: str
) -> tuple[type[StorageError], str]:
    name = type(error).__name__
    if code == "PermanentRedirect" or "configured region" in text or "region" in text and code == "AuthorizationHeaderMalformed":
        return WrongRegionError, "region"
    if code in _THROTTLE_CODES or status in (429, 503):
        return ThrottledError, "throttled"
    if code == "NoSuchBucket":
        return ObjectNotFoundError, "bucket"
    if name in ("PermissionDeniedError", "UnauthenticatedError") or status in (401, 403):
        return AccessDeniedError, "denied"
    if code in _DENIED_CODES:
        return AccessDeniedError, "denied"
    if isinstance(error, FileNotFoundError) or status == 404:
        return ObjectNotFoundError, "missing"
    if status == 416:
        return RangeError, ""
    if name == "NotSupportedError":
        return RangeIgnoredError, ""
    return _kind_without_reply(text, status)


def _kind_without_reply(text: str, status: int) -> tuple[type[StorageError], str]:
    head = text.partition("Debug source")[0]
    if "BadScheme" in text:
        return StorageError, "scheme"
    if "Error performing" not in head and _NO_CREDENTIALS.search(head):
        return AccessDeniedError, "denied"
    if status >= 500 or "HTTP error" in head or "error decoding response body" in head:
        return UnavailableError, "unavailable"
    if "range" in head.lower() and "Server returned" not in head:
        return RangeIgnoredError, ""
    return StorageError, ""


def _reason(text: str, status: str | None, code: str | None) -> str:
    if status:
        message = _found(_MESSAGE, text)
        said = f" {code}" if code else ""
        return f"the server answered {status}{said}" + (f" ({redact_text(message)})" if message else "") + "."
    if _REFUSED in text:
        return "the connection was refused."
    if _DNS in text or "failed to lookup" in text:
        return "its host name could not be resolved."
    if "BadScheme" in text:
        return "plain http is not allowed."
    head = redact_text(text.partition("\n")[0]).strip()
    # Everything but the last part names what was asked for, which the message has said already.
    return (head.rpartition(" - ")[2] or type(text).__name__) + "."
