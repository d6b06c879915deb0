"""Google credentials that only Google's own library understands."""

from __future__ import annotations

import json
import threading
from datetime import timezone
from typing import Any

from streaming.core.imports import optional_import

__all__ = ["GoogleAuth"]

_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"


class GoogleAuth:
    """Gets tokens by Google's library, whenever a client asks.

    Args:
        path: Of a file of credentials.

    Raises:
        MissingDependencyError: The library is not installed.
    """

    def __init__(self, path: str) -> None:
        _google("google.auth")
        self._request = _google("google.auth.transport.requests").Request()
        self._credentials = _load_credentials(path)
        self._lock = threading.Lock()

    def __call__(self) -> dict[str, Any]:
        """Return a token and when it expires, as ``obstore`` has it."""
        with self._lock:
            try:
                self._credentials.refresh(self._request)
            except Exception as error:
                # Its text may quote the reply.
                raise RuntimeError(
                    f"Google's library could not renew the credentials ({type(error).__name__})"
                ) from None
            expiry = self._credentials.expiry
            return {
                "token": self._credentials.token,
                "expires_at": expiry.replace(tzinfo=timezone.utc) if expiry else None,
            }


def _load_credentials(path: str) -> Any:
    with open(path, encoding="utf-8") as file:
        fields: dict[str, Any] = json.load(file)
    if fields.get("type") != "external_account":
        return _google("google.auth").load_credentials_from_file(path, scopes=[_SCOPE])[0]
    # Not by the function above: it asks the network which project this is, which nobody needs to know.
    if fields.get("subject_token_type") == "urn:ietf:params:aws:token-type:aws4_request":
        module = "google.auth.aws"
    elif "executable" in fields.get("credential_source", {}):
        module = "google.auth.pluggable"
    else:
        module = "google.auth.identity_pool"
    return _google(module).Credentials.from_info(fields, scopes=[_SCOPE])


def _google(module: str) -> Any:
    return optional_import(module, "gcp", "Google credentials of this kind")
