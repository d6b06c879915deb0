"""Getting into an SFTP server: who asks, and with what."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from streaming.core.errors import ConfigError
from streaming.storage.url import redact

__all__ = ["SftpLogin", "find_login"]

_KNOWN_HOSTS = ("~/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts")


@dataclass(frozen=True)
class SftpLogin:
    """Where a server is and how to get in.

    Attributes:
        host: Its name.
        port: Its port; ``None``: what ``~/.ssh/config`` says, else 22.
        username: Who asks; ``None``: what ``~/.ssh/config`` says, else as the user is called here.
        password: Or ``None``.
        key_file: The private key, or ``None`` for the agent's and those of ``~/.ssh``.
        key_passphrase: Of that key.
        known_hosts_file: Public keys of servers, or ``None`` for ``~/.ssh/known_hosts`` and the system's.
    """

    host: str
    port: int | None
    username: str | None
    password: str | None = field(repr=False)
    key_file: str | None
    key_passphrase: str | None = field(repr=False)
    known_hosts_file: str | None

    @property
    def source(self) -> str:
        """Where the credentials came from, for error texts."""
        if self.key_file:
            return f"the key {self.key_file}" + (" and a password" if self.password else "")
        return "a password" if self.password else "the SSH agent and the keys in ~/.ssh"

    def known_hosts(self) -> list[str] | bytes:
        """Return the files of servers' keys, or that there are none."""
        if self.known_hosts_file:
            return [self.known_hosts_file]
        return [path for path in map(os.path.expanduser, _KNOWN_HOSTS) if os.access(path, os.R_OK)] or b""

    def options(self) -> dict[str, Any]:
        """Return what asyncssh is to be told; the rest it finds by itself."""
        given = {"port": self.port, "username": self.username, "passphrase": self.key_passphrase}
        found: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        if self.key_file or self.password:
            keys = [self.key_file] if self.key_file else None
            found.update(client_keys=keys, password=self.password, agent_path=None)
        return {**found, "known_hosts": self.known_hosts()}


def find_login(url: str, options: Mapping[str, Any], environ: Mapping[str, str]) -> SftpLogin:
    """Put together what URL, options and environment say; options go before the environment.

    Raises:
        ConfigError: The URL names no host, has a bad port, a query or a fragment, or contradicts an option.
    """
    expected = "expected sftp://user@host:22/path"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"{redact(url)!r} is not a URL ({error}); {expected}.") from None
    if not host:
        raise ConfigError(f"{redact(url)!r} names no host; {expected}.")
    if parts.query or parts.fragment:
        raise ConfigError(f"{redact(url)!r} has a query or a fragment, which SFTP does not know; {expected}.")
    key_file = options.get("key_file") or environ.get("COMPOSER_SFTP_KEY_FILE")
    known = options.get("known_hosts_file") or environ.get("COMPOSER_SFTP_KNOWN_HOSTS_FILE")
    return SftpLogin(
        host=host,
        port=port,
        username=_one_of("username", unquote(parts.username) if parts.username else None, options),
        password=_one_of("password", unquote(parts.password) if parts.password else None, options),
        key_file=os.path.expanduser(key_file) if key_file else None,
        key_passphrase=options.get("key_passphrase"),
        known_hosts_file=os.path.expanduser(known) if known else None,
    )


def _one_of(name: str, in_url: str | None, options: Mapping[str, Any]) -> str | None:
    given = options.get(name)
    if in_url is not None and given is not None and in_url != given:
        raise ConfigError(f"The URL and the storage option {name!r} give different ones. Give one of them.")
    return in_url if given is None else str(given)
