"""Who is answered: who knows the token, asks this very host, comes from no other site, and wants to read."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Guard"]

_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """Lets requests through to an application, or refuses them.

    Args:
        application: What answers.
        hosts: Names by which this server may be asked for, with port where that is not the usual one. A page of another
            site whose name was made to lead here is refused so.
        token: What a request must know: ``?token=...`` once, which becomes a cookie; ``None``: nothing.
    """

    def __init__(self, application: ASGIApp, hosts: Sequence[str], token: str | None) -> None:
        self._application = application
        self._hosts = {host.lower() for host in hosts}
        self._token = token
        self._cookie = (
            f"streaming-token-{hosts[0].rpartition(':')[2]}"  # browsers give a host's cookies to all its ports
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self._application)(scope, receive, guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "").lower()
        if host not in self._hosts:
            return PlainTextResponse("This server does not go by that name.", 421)
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("Nothing can be changed here.", 405, {"allow": "GET, HEAD"})
        site, origin = headers.get("sec-fetch-site", "none"), headers.get("origin")
        if site not in ("none", "same-origin") or (origin is not None and origin.partition("://")[2].lower() != host):
            return PlainTextResponse("Pages of other sites may not ask here.", 403)
        return self._stranger(scope, headers) if self._token is not None else None

    def _stranger(self, scope: Scope, headers: Headers) -> Response | None:
        token = self._token or ""
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = dict(query).get("token")
        if given is not None and _same(given, token):
            rest = urlencode([(name, value) for name, value in query if name != "token"])
            answer = RedirectResponse(scope["path"] + (f"?{rest}" if rest else ""), 303)
            answer.set_cookie(self._cookie, token, httponly=True, samesite="strict")
            return answer
        if _same(cookie_parser(headers.get("cookie", "")).get(self._cookie, ""), token):
            return None
        return PlainTextResponse("Open the address that `streaming serve` printed: it has the token.", 403)


def _same(one: str, other: str) -> bool:
    return secrets.compare_digest(one.encode(), other.encode())
