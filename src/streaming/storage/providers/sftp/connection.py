"""A connection to an SFTP server: asyncssh's, whose loop runs in a thread of each process, used from others."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections import deque
from collections.abc import Awaitable, Iterable, Iterator
from concurrent import futures
from dataclasses import replace
from functools import partial
from typing import Any

from streaming.core.errors import AccessDeniedError, ConfigError, StorageError, UnavailableError
from streaming.core.imports import optional_import
from streaming.storage.providers.sftp.login import SftpLogin
from streaming.storage.providers.vendors.client import TIMEOUT_S

__all__ = ["SftpConnection", "connect"]

logger = logging.getLogger(__name__)

_CONNECT_S = 30.0
_KEEPALIVE_S = 30
_UNDER_WAY = 16
# With what asyncssh has by default, no more than half of it is on its way at a time.
_WINDOW_BYTES = 8 << 20
# Before the others: where the processor knows it, it takes half of their time.
_CIPHER = "^aes128-gcm@openssh.com"

_loops: dict[int, asyncio.AbstractEventLoop] = {}


def _loop() -> asyncio.AbstractEventLoop:
    """Return this process's loop, which a thread of it runs."""
    loop = _loops.get(os.getpid())
    if loop is None:
        made = asyncio.new_event_loop()
        loop = _loops.setdefault(os.getpid(), made)
        if loop is made:
            # What is asked for raises; of a connection that ends, asyncssh leaves some of what it had begun itself.
            loop.set_exception_handler(lambda _, context: logger.debug("%s", context["message"]))
            threading.Thread(target=loop.run_forever, daemon=True, name="streaming-sftp").start()
        else:
            made.close()
    return loop


async def _done(work: Awaitable[Any]) -> Any:
    return await work


class SftpConnection:
    """A connection to a server, used by one thread at a time.

    Attributes:
        sftp: asyncssh's client of SFTP.
        shown: The server's name, address, port (but for 22) and key, if that is not a known one.
        lost: Set when the connection has ended.
        timeout_s: Longest time without an answer.
    """

    def __init__(self) -> None:
        self.sftp: Any = None
        self.shown: Any = None
        self.lost = threading.Event()
        self._client: Any = None
        self.timeout_s = TIMEOUT_S

    def open(self, ssh: Any, login: SftpLogin) -> None:
        """Connect.

        Args:
            ssh: The module ``asyncssh``.
            login: Where, and how to get in.
        """
        connection = self

        class Client(ssh.SSHClient):  # type: ignore[misc]
            def connection_lost(self, exc: Exception | None) -> None:
                connection.lost.set()

            def validate_host_public_key(self, host: str, addr: str, port: int, key: Any) -> bool:
                connection.shown = host, addr, None if port == 22 else port, key
                return False

        limits = {"connect_timeout": _CONNECT_S, "login_timeout": _CONNECT_S, "keepalive_interval": _KEEPALIVE_S}
        options = {"client_factory": Client, "encryption_algs": _CIPHER, **limits, **login.options()}
        self._client = client = self.do(ssh.connect(login.host, **options))
        # For the client of SFTP, which does not say how much may be on its way.
        client.open_session = partial(client.open_session, window=_WINDOW_BYTES)
        self.sftp = self.do(client.start_sftp_client())

    def do(self, work: Awaitable[Any]) -> Any:
        """Return what asyncssh does.

        Raises:
            TimeoutError: It takes too long.
        """
        return next(self.each([work]))

    def each(self, works: Iterable[Awaitable[Any]]) -> Iterator[Any]:
        """Yield what asyncssh does, in order, while the next ones are under way; otherwise as :meth:`do`."""
        begun: deque[futures.Future[Any]] = deque()
        for work in works:
            begun.append(asyncio.run_coroutine_threadsafe(_done(work), _loop()))
            if len(begun) > _UNDER_WAY:
                yield self._result(begun.popleft())
        while begun:
            yield self._result(begun.popleft())

    def is_alive(self) -> bool:
        """Say whether the connection is open, as far as this side knows."""
        return not self.lost.is_set()

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            _loop().call_soon_threadsafe(self._client.abort)

    def _result(self, begun: futures.Future[Any]) -> Any:
        try:
            return begun.result(self.timeout_s)
        except (futures.TimeoutError, asyncio.TimeoutError):  # in Python 3.10, neither is the other
            raise TimeoutError from None


def connect(login: SftpLogin) -> SftpConnection:
    """Connect to a server, and check that it is the one whose key is known.

    Raises:
        MissingDependencyError: asyncssh is not installed.
        AccessDeniedError: The server's key is not known, or another one than known, or it refuses the credentials.
        UnavailableError: It cannot be reached.
    """
    ssh = optional_import("asyncssh", "sftp", "sftp://")
    log = logging.getLogger("asyncssh")
    if log.level == logging.NOTSET:
        log.setLevel(logging.WARNING)  # it tells of every connection and every file
    connection = SftpConnection()
    try:
        connection.open(ssh, login)
    except (OSError, ValueError, ssh.Error) as error:
        connection.close()
        if isinstance(error, ssh.ConnectionLost) and login.key_file and login.password:
            # Some servers end the connection at the second attempt on it, so that the password needs one of its own.
            return connect(replace(login, key_file=None))
        raise _refusal(ssh, login, error, connection.shown) from None
    return connection


def _refusal(ssh: Any, login: SftpLogin, error: Exception, shown: Any) -> StorageError | ConfigError:
    """Say why there is no connection."""
    where, text = f"sftp://{login.host}:{login.port or 22}", str(error) or type(error).__name__
    known = login.known_hosts_file or "~/.ssh/known_hosts"
    if isinstance(error, ssh.HostKeyNotVerifiable) or (isinstance(error, ssh.KeyExchangeFailed) and "host key" in text):
        host, addr, port, key = shown or (login.host, "", login.port, None)
        kind = f"{key.get_algorithm()} {key.get_fingerprint()}" if key else text
        if key is None or ssh.match_known_hosts(login.known_hosts(), host, addr, port)[0]:
            return AccessDeniedError(
                f"{where} has another key ({kind}) than the one in {known}: the server has been set up anew, or this is "
                "another one in its place. Ask who runs it before you replace the entry."
            )
        return AccessDeniedError(
            f"{where}: the server's key is not in {known} (it shows {kind}). Ask who runs it whether that is right, then "
            f"run: ssh-keyscan {f'-p {port} ' if port else ''}{host} >> {known}"
        )
    unreadable = (ssh.KeyImportError, ssh.KeyEncryptionError)
    if isinstance(error, unreadable) and not login.key_passphrase and "assphrase" in text:
        return AccessDeniedError(
            f"{where}: the key {login.key_file} is encrypted. Give the storage option key_passphrase, or a key without."
        )
    if isinstance(error, (ssh.PermissionDenied, *unreadable)):
        user = f" as {login.username}" if login.username else ""
        return AccessDeniedError(
            f"{where}: no access{user} ({text}). Credentials came from {login.source}. Set COMPOSER_SFTP_KEY_FILE, or "
            "give the storage option key_file or password; check the user's name."
        )
    if isinstance(error, ValueError):
        return ConfigError(f"{where}: {text}. Correct {known} or ~/.ssh/config.")
    if isinstance(error, OSError) and error.filename is not None:
        missing = error.filename
        what, name = ("there is no private key", "key") if missing == login.key_file else ("Cannot read", "known_hosts")
        return AccessDeniedError(
            f"{where}: {what} {missing} ({error.strerror}). Correct COMPOSER_SFTP_{name.upper()}_FILE or the storage option "
            f"{name}_file."
        )
    said = getattr(error, "strerror", None) or text
    return UnavailableError(f"{where}: cannot connect ({said}). Check the host's name, its port and the network.")
