"""Who one is to Databricks: a token, or a service principal that is given one for an hour at a time."""

from __future__ import annotations

import base64
import configparser
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from streaming.core.errors import AccessDeniedError, ConfigError
from streaming.storage.family import checked_endpoint
from streaming.storage.rest import request

__all__ = ["Login", "find_login"]

# By process, host and principal: a token, and when it is to be renewed.
_tokens: dict[tuple[int, str, str], tuple[str, float]] = {}
_EARLY_S = 60.0


@dataclass(frozen=True)
class Login:
    """Where, and as whom.

    Attributes:
        host: ``https://...``.
        token: A personal access token, or the like.
        client_id: Of a service principal.
        client_secret: Of it.
    """

    host: str
    token: str | None = field(default=None, repr=False)
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)

    def bearer(self, renew: bool = False) -> str:
        """Return a token.

        Args:
            renew: Get a new one, since the last was refused.

        Raises:
            AccessDeniedError: There is none, or the service principal is refused.
        """
        if self.token is not None:
            return self.token
        if self.client_id is None or self.client_secret is None:
            raise AccessDeniedError(
                f"No credentials for {self.host}. Set DATABRICKS_TOKEN, or DATABRICKS_CLIENT_ID and "
                "DATABRICKS_CLIENT_SECRET, or give storage_options."
            )
        key = (os.getpid(), self.host, self.client_id)
        token, until = _tokens.get(key, ("", 0.0))
        if renew or time.monotonic() > until:
            pair = base64.b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()
            headers = {"Authorization": f"Basic {pair}", "Content-Type": "application/x-www-form-urlencoded"}
            body = urlencode({"grant_type": "client_credentials", "scope": "all-apis"}).encode()
            reply = json.loads(request("POST", f"{self.host}/oidc/v1/token", headers, self.host, body).body)
            token, until = reply["access_token"], time.monotonic() + float(reply.get("expires_in", 3600)) - _EARLY_S
            _tokens[key] = token, until
        return token


def find_login(options: Mapping[str, Any], environ: Mapping[str, str]) -> Login:
    """Find host and credentials: options, the environment, the profile's section of ``~/.databrickscfg``, in this order.

    Raises:
        ConfigError: There is no host, or the profile that is named does not exist.
    """
    named = options.get("profile") or environ.get("DATABRICKS_CONFIG_PROFILE")
    profile = _profile(named or "DEFAULT", environ, must_exist=bool(named))

    def find(name: str, variable: str) -> str | None:
        if options.get(name):
            return str(options[name])
        if named and profile.get(name):
            return profile[name]
        return environ.get(variable) or profile.get(name)

    host = find("host", "DATABRICKS_HOST")
    if host is None:
        raise ConfigError(
            "No Databricks workspace: set DATABRICKS_HOST, or give storage_options={'host': 'https://...'}."
        )
    if "://" not in host:
        host = f"https://{host}"
    host = checked_endpoint("The Databricks host", host)
    principal = (options.get("client_id") or environ.get("DATABRICKS_CLIENT_ID")) and not options.get("token")
    token = None if principal else find("token", "DATABRICKS_TOKEN")
    return Login(
        host, token, find("client_id", "DATABRICKS_CLIENT_ID"), find("client_secret", "DATABRICKS_CLIENT_SECRET")
    )


def _profile(name: str, environ: Mapping[str, str], must_exist: bool) -> dict[str, str]:
    path = os.path.expanduser(environ.get("DATABRICKS_CONFIG_FILE") or "~/.databrickscfg")
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(path)
    except (configparser.Error, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {type(error).__name__}.") from None
    if name == "DEFAULT" or parser.has_section(name):
        return dict(parser[name])
    if must_exist:
        raise ConfigError(f"{path} has no profile {name!r}; it has {', '.join(parser.sections()) or 'none'}.")
    return {}
