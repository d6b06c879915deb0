"""The one border at which the network client's exceptions become ours.

The client's texts quote request URLs (with user information and signatures) and the servers' replies, so they are never
passed on or chained: status, code and message are taken from them, and the rest is left behind.
"""

from __future__ import annotations

import re

from streaming.core.errors import (
    AccessDeniedError,
    ObjectChangedError,
    ObjectNotFoundError,
    StalledError,
    StorageError,
    ThrottledError,
    UnavailableError,
)
from streaming.storage.helper.spec import ClientSpec

__all__ = ["RangeError", "RangeIgnoredError", "WrongRegionError", "failure"]

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>([^<]{1,100})</Code>")
_MESSAGE = re.compile(r"<Message>([^<]{1,300})</Message>")
_EXPECTED = re.compile(r"expecting (?:'|&apos;|&#39;)([a-z0-9-]+)")
# What the client asks of services of the machine, and of those that give tokens.
_LOGIN = ("169.254.", "/latest/api/token", "/latest/meta-data/", "/computeMetadata/", "token request", "WebIdentity")

_SECRETS = (
    "access_key_id", "secret_access_key", "session_token", "account_key", "sas_key", "token", "client_secret",
    "service_account_key", "encryption_key",
)  # fmt: skip


class RangeError(StorageError):
    """The range asked for begins past the end of the object."""


class RangeIgnoredError(StorageError):
    """The server answered a request for a range with the whole object."""


class WrongRegionError(StorageError):
    """The bucket is in another region.

    Attributes:
        region: That region, if the server said.
    """

    region = ""


Kind = tuple[type[StorageError], str]
"""An exception, and the name of the hint that goes with it."""

_MISSING: Kind = (ObjectNotFoundError, "missing")
_BUCKET: Kind = (ObjectNotFoundError, "bucket")
_CHANGED: Kind = (ObjectChangedError, "")
_DENIED: Kind = (AccessDeniedError, "denied")
_THROTTLED: Kind = (ThrottledError, "throttled")
_UNAVAILABLE: Kind = (UnavailableError, "unavailable")
_REGION: Kind = (WrongRegionError, "region")
_OTHER: Kind = (StorageError, "")

_BY_CODE: dict[str, Kind] = {
    "NoSuchBucket": _BUCKET,
    "ContainerNotFound": _BUCKET,
    "ContainerBeingDeleted": _BUCKET,
    "BucketNotFound": _BUCKET,
    "PermanentRedirect": _REGION,
    "ExpiredToken": _DENIED,
    "InvalidToken": _DENIED,
    "TokenRefreshRequired": _DENIED,
    "AuthenticationFailed": _DENIED,
    "InvalidAuthenticationInfo": _DENIED,
    "InvalidAccessKeyId": _DENIED,
    "NoAuthenticationInformation": _DENIED,
    "PublicAccessNotPermitted": _DENIED,
    "UserProjectMissing": _DENIED,
    "ServerBusy": _THROTTLED,
    "SlowDown": _THROTTLED,
    "TooManyRequests": _THROTTLED,
    "RequestLimitExceeded": _THROTTLED,
    "InternalError": _UNAVAILABLE,
    "RequestTimeout": _UNAVAILABLE,
}
_BY_STATUS: dict[int, Kind] = {
    301: _REGION,
    307: _REGION,
    401: _DENIED,
    403: _DENIED,
    404: _MISSING,
    408: _UNAVAILABLE,
    410: _MISSING,
    412: _CHANGED,
    416: (RangeError, ""),
    429: _THROTTLED,
    503: _THROTTLED,
}
_BY_CLASS: dict[str, Kind] = {
    "FileNotFoundError": _MISSING,
    "PreconditionError": _CHANGED,
    "PermissionDeniedError": _DENIED,
    "UnauthenticatedError": _DENIED,
}
# Parts of what the client says when there was no reply, or none that it could use; the first that occurs decides.
_BY_TEXT: tuple[tuple[str, Kind], ...] = (
    ("configured region", _REGION),
    *((part, _DENIED) for part in _LOGIN),
    ("redential", _DENIED),
    ("Invalid Access Key", _DENIED),
    ("access token", _DENIED),
    ("OAuth", _DENIED),
    ("Wanted range starting at", (RangeError, "")),
    ("Range request not supported", (RangeIgnoredError, "")),
    ("non-partial response", (RangeIgnoredError, "")),
    ("HTTP error", _UNAVAILABLE),
    ("response body", _UNAVAILABLE),
)
_REASONS = (
    ("Connection refused", "the connection was refused"),
    ("failed to lookup", "its host name is not known"),
    ("dns error", "its host name is not known"),
    ("Connection reset", "the connection was reset"),
    ("connection closed", "the connection was closed"),
    ("UnexpectedEof", "the connection was closed"),
    ("BadScheme", "plain http is not allowed (option allow_http)"),
    ("certificate", "the server's certificate is not trusted (SSL_CERT_FILE names a bundle of your own)"),
    ("contained empty path segment", "it holds keys with empty segments ('//'), which the client does not list"),
)


def failure(error: BaseException, spec: ClientSpec, path: str, stall_s: float) -> StorageError:
    """Translate an exception of the client.

    Args:
        error: What the client raised.
        spec: The client that raised it.
        path: The object that was asked for, ``''`` for the root.
        stall_s: How long the server was allowed to be silent, in seconds.

    Returns:
        The exception to raise, ``from None``.
    """
    from streaming.storage.url import join
    from streaming.storage.words import words

    if isinstance(error, StorageError):
        return error
    text = str(error)
    if "kind: Timeout" in text or "TimedOut" in text or "operation timed out" in text:
        return StalledError(
            f"{join(spec.url, path)}: nothing came for {stall_s:g} s. {spec.hints.get('unavailable', '')}"
        )
    status, code = _found(_STATUS, text), _found(_CODE, text)
    kind, hint = _kind(error, text, int(status or 0), code)
    reason = f"the server answered {status}" if status else _reason(error, text)
    if kind is ObjectChangedError:
        reason += ": it was replaced while it was read"
    # Of a denial the server's words are the least to be trusted: they are about what was sent.
    message = words(_found(_MESSAGE, text), _sent(spec)) if kind is not AccessDeniedError else ""
    said = ": ".join(part for part in (code, message) if part)
    parts = [f"{join(spec.url, path)}: {reason}{f' ({said})' if said else ''}.", spec.hints.get(hint, "")]
    made = kind(" ".join(part for part in parts if part))
    if isinstance(made, WrongRegionError):
        made.region = _found(_EXPECTED, text)
    return made


def _sent(spec: ClientSpec) -> list[str]:
    """Return the secrets that a client has."""
    return [str(spec.settings[name]) for name in _SECRETS if spec.settings.get(name)]


def _found(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return match.group(1) if match else ""


def _kind(error: BaseException, text: str, status: int, code: str) -> Kind:
    if code == "AuthorizationHeaderMalformed" and "expecting" in text:
        return _REGION
    if code in _BY_CODE:
        return _BY_CODE[code]
    if 400 <= status < 429 and any(part in text.partition("\n")[0] for part in _LOGIN):
        return _DENIED
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= 500:
        return _UNAVAILABLE
    if status:
        return _OTHER
    if type(error).__name__ in _BY_CLASS:
        return _BY_CLASS[type(error).__name__]
    return next((kind for part, kind in _BY_TEXT if part in text), _OTHER)


def _reason(error: BaseException, text: str) -> str:
    from streaming.storage.words import words

    for part, reason in _REASONS:
        if part in text:
            return reason
    # The last part of the first line is the cause; the parts before it say what was asked for.
    return words(text.partition("\n")[0].rpartition(" - ")[2]) or type(error).__name__
