"""Where a web server sends those who ask for an object.

The client follows redirections, takes its headers along and tells the next host by a referrer where it was sent from,
query included, and has no switch for that. Where there is something to give away, this looks first, by the one client that
is always there and can be told to follow none.
"""

from __future__ import annotations

import base64
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from streaming.core.errors import StorageError, UnavailableError
from streaming.storage.network import share_ca_bundle
from streaming.storage.url import redact
from streaming.storage.words import words

__all__ = ["elsewhere"]

_MOST = 10


class _Stay(urllib.request.HTTPRedirectHandler):
    """Takes a redirection for an answer."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """Follow none."""
        return


def elsewhere(url: str, headers: Mapping[str, str], client_options: Mapping[str, Any], stall_s: float) -> str | None:
    """Return the URL at another host that a server sends one to for an object, ``None`` if it answers itself.

    Args:
        url: The object. A user and password and the query in it go to this host only, as do the headers.
        headers: To send.
        client_options: Of the client; those of proxies and certificates hold here, too.
        stall_s: Longest silence of a server, in seconds.

    Raises:
        UnavailableError: There was no answer.
        StorageError: It sends one in circles, or to what is no web server.
    """
    opener = _opener(client_options)
    at = url
    for _ in range(_MOST):
        target = _next(opener, at, headers, stall_s)
        if target is None:
            return None
        target = urljoin(at, target)
        if urlsplit(target).scheme not in ("http", "https"):
            raise StorageError(f"{redact(url)}: the server sends us to {redact(target)!r}, which is no web server.")
        if _origin(target) != _origin(url):
            return target
        at = target
    raise StorageError(f"{redact(url)}: redirected more than {_MOST} times.")


def _next(opener: urllib.request.OpenerDirector, url: str, headers: Mapping[str, str], stall_s: float) -> str | None:
    parts = urlsplit(url)
    user, mark, host = parts.netloc.rpartition("@")
    sent = {"Accept": "*/*", "Range": "bytes=0-0", **headers}
    if mark:
        sent.setdefault("Authorization", "Basic " + base64.b64encode(unquote(user).encode()).decode("ascii"))
    request = urllib.request.Request(urlunsplit((parts.scheme, host, parts.path or "/", parts.query, "")), headers=sent)
    try:
        with opener.open(request, timeout=stall_s):
            return None
    except urllib.error.HTTPError as error:
        with error:
            return error.headers.get("Location") if 300 <= error.code < 400 else None
    except (OSError, ValueError) as error:
        said = words(str(getattr(error, "reason", error)))
        raise UnavailableError(f"{redact(url)}: {said}. Check the host's name, its port and the network.") from None


def _opener(client_options: Mapping[str, Any]) -> urllib.request.OpenerDirector:
    share_ca_bundle()
    root = client_options.get("root_certificate")
    context = ssl.create_default_context()
    if root:
        context.load_verify_locations(cadata=root.decode() if isinstance(root, bytes) else root)
    if client_options.get("allow_invalid_certificates"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    handlers: list[urllib.request.BaseHandler] = [_Stay(), urllib.request.HTTPSHandler(context=context)]
    proxy = client_options.get("proxy_url")
    if proxy:
        handlers.append(urllib.request.ProxyHandler({"http": proxy, "https": proxy}))
    return urllib.request.build_opener(*handlers)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
