"""Getting into an SFTP server: who asks, with what, and whether the server is the one it should be."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote, urlsplit

from streaming.core.errors import AccessDeniedError, ConfigError, UnavailableError
from streaming.core.imports import optional_import
from streaming.storage.providers.sftp.read import WINDOW_BYTES
from streaming.storage.url import redact

__all__ = ["SftpConnection", "SftpLogin", "connect", "find_login"]

_CONNECT_S = 30.0
_REPLY_S = 60.0
_KEEPALIVE_S = 30
_LOG_CHANNEL = "streaming.storage.providers.sftp.client"
_SYSTEM_HOSTS = "/etc/ssh/ssh_known_hosts"


@dataclass(frozen=True)
class SftpLogin:
    """Where a server is and how to get in.

    Attributes:
        host: Its name.
        port: Its port.
        username: Who asks; ``None``: as the user is called here.
        password: Or ``None``.
        key_file: The private key, or ``None`` for the agent's and those in ``~/.ssh``.
        key_passphrase: Of that key.
        known_hosts_file: Public keys of servers, or ``None`` for ``~/.ssh/known_hosts`` and the system's.
    """

    host: str
    port: int
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
        port=port or 22,
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


class SftpConnection:
    """A connection to a server, used by one thread at a time.

    Args:
        client: paramiko's client.
        sftp_client: paramiko's class of clients of SFTP.
    """

    def __init__(self, client: Any, sftp_client: Any) -> None:
        self._client = client
        self._transport = client.get_transport()
        self._transport.set_keepalive(_KEEPALIVE_S)
        self.sftp: Any = sftp_client.from_transport(self._transport, window_size=WINDOW_BYTES)
        self.set_timeout(_REPLY_S)

    def set_timeout(self, seconds: float = _REPLY_S) -> None:
        """Set the longest time without a byte."""
        self.sftp.get_channel().settimeout(seconds)

    def is_alive(self) -> bool:
        """Say whether the connection is open, as far as this side knows."""
        return self._transport.is_active()

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def abandon(self) -> None:
        """Let go of the socket: the connection is another process's, and closing it in good order would end it there."""
        self._transport.sock.close()


def connect(login: SftpLogin) -> SftpConnection:
    """Connect to a server, and check that it is the one whose key is known.

    Raises:
        MissingDependencyError: paramiko is not installed.
        AccessDeniedError: The server's key is not known, or another one than known, or it refuses the credentials.
        UnavailableError: It cannot be reached.
    """
    paramiko = optional_import("paramiko", "sftp", "sftp://")
    log = logging.getLogger(_LOG_CHANNEL)
    if log.level == logging.NOTSET:
        log.setLevel(logging.CRITICAL)  # it tells of failures that are raised here, too
    try:
        return _connect(paramiko, login)
    except _HungUpError:
        # Some servers end the connection at the second attempt on it, so that the password needs one of its own.
        return _connect(paramiko, replace(login, key_file=None))


class _HungUpError(Exception):
    """The server refused the key and listens no more, before the password was tried."""


def _connect(paramiko: Any, login: SftpLogin) -> SftpConnection:
    where = f"sftp://{login.host}:{login.port}"
    client = paramiko.SSHClient()
    try:
        client.set_log_channel(_LOG_CHANNEL)
        _load_host_keys(client, login)
        client.set_missing_host_key_policy(_refuse_unknown(login, where))
        _log_in(paramiko, client, login, where)
        return SftpConnection(client, paramiko.SFTPClient)
    except (AccessDeniedError, _HungUpError):
        client.close()
        raise
    except (OSError, EOFError, paramiko.SSHException) as error:
        client.close()
        raise UnavailableError(
            f"{where}: cannot connect ({_text(error)}). Check the host's name, its port and the network."
        ) from error


def _text(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _log_in(paramiko: Any, client: Any, login: SftpLogin, where: str) -> None:
    if login.key_file and not os.path.isfile(login.key_file):
        raise AccessDeniedError(
            f"{where}: there is no private key {login.key_file}. Correct COMPOSER_SFTP_KEY_FILE or the storage option "
            "key_file."
        )
    has_own = bool(login.key_file or login.password)
    try:
        client.connect(
            login.host,
            login.port,
            login.username,
            login.password,
            key_filename=login.key_file,
            passphrase=login.key_passphrase,
            timeout=_CONNECT_S,
            banner_timeout=_CONNECT_S,
            auth_timeout=_CONNECT_S,
            allow_agent=not has_own,
            look_for_keys=not has_own,
        )
    except paramiko.BadHostKeyException as error:
        raise AccessDeniedError(
            f"{where} has another key ({error.key.get_name()}) than the one in {_known_hosts(login)}: the server has "
            "been set up anew, or this is another one in its place. Ask who runs it before you replace the entry."
        ) from None
    except paramiko.PasswordRequiredException:
        raise AccessDeniedError(
            f"{where}: the key {login.key_file} is encrypted. Give the storage option key_passphrase, or a key without."
        ) from None
    except paramiko.SSHException as error:
        transport = client.get_transport()
        is_refused = isinstance(error, paramiko.AuthenticationException)
        if is_refused and login.key_file and login.password and not (transport and transport.is_active()):
            raise _HungUpError from None
        # A key that cannot be read is told by the same class as a connection that breaks off.
        if not is_refused and not (transport and transport.is_active() and login.key_file):
            raise
        user = f" as {login.username}" if login.username else ""
        raise AccessDeniedError(
            f"{where}: no access{user} ({error}). Credentials came from {login.source}. Set COMPOSER_SFTP_KEY_FILE, or "
            "give the storage option key_file or password; check the user's name."
        ) from None


def _load_host_keys(client: Any, login: SftpLogin) -> None:
    if login.known_hosts_file is None:
        client.load_system_host_keys()
        with suppress(OSError):
            client.load_system_host_keys(_SYSTEM_HOSTS)
        return
    try:
        client.load_system_host_keys(login.known_hosts_file)
    except OSError as error:
        raise AccessDeniedError(
            f"Cannot read {login.known_hosts_file} ({error.strerror}). Correct COMPOSER_SFTP_KNOWN_HOSTS_FILE or the "
            "storage option known_hosts_file."
        ) from error


def _refuse_unknown(login: SftpLogin, where: str) -> Any:
    paramiko = optional_import("paramiko", "sftp", "sftp://")

    class Refuse(paramiko.MissingHostKeyPolicy):  # type: ignore[misc]
        def missing_host_key(self, client: Any, hostname: str, key: Any) -> None:
            port = "" if login.port == 22 else f"-p {login.port} "
            raise AccessDeniedError(
                f"{where}: the server's key is not in {_known_hosts(login)} (it shows {key.get_name()} "
                f"{key.fingerprint}). Ask who runs it whether that is right, then run: ssh-keyscan {port}{login.host} >> "
                f"{_known_hosts(login)}"
            )

    return Refuse()


def _known_hosts(login: SftpLogin) -> str:
    return login.known_hosts_file or "~/.ssh/known_hosts"
