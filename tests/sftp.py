"""An SFTP server on loopback, a process of its own, that misbehaves on demand."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["SftpServer", "sftp_server"]

_PROGRAM = """
import asyncio, os, sys
import asyncssh

folder = sys.argv[1]

class Server(asyncssh.SSHServer):
    def password_auth_supported(self):
        return True

    def connection_requested(self, *where):
        return True  # for those who jump from here to another server

    def validate_password(self, username, password):
        return (username, password) == ("user", "hunter2SECRET")

class Files(asyncssh.SFTPServer):
    def __init__(self, chan):
        super().__init__(chan, chroot=os.path.join(folder, "root").encode())

    def open(self, path, pflags, attrs):
        if b"forbidden" in path:
            raise asyncssh.SFTPPermissionDenied("no")
        if path.endswith(b"/last"):
            asyncio.get_running_loop().call_later(0.3, self.connection.abort)
        return super().open(path, pflags, attrs)

    async def scandir(self, path):
        if b"forbidden" in path:
            raise asyncssh.SFTPPermissionDenied("no")
        async for entry in super().scandir(path):
            yield entry

    async def read(self, file, offset, size):
        name = os.path.basename(os.fsdecode(file.name))
        if name.startswith("stall") and offset >= 4 << 20:
            await asyncio.sleep(20)
        if name.startswith("drop") and offset >= 4 << 20 and not os.path.exists(os.path.join(folder, "calm")):
            self.connection.abort()
        return super().read(file, offset, size)

    def posix_rename(self, old, new):
        if b"old-server" in new:
            raise asyncssh.SFTPOpUnsupported("no")
        return super().posix_rename(old, new)

    def rename(self, old, new):
        if b"old-server" in new and os.path.exists(self.map_path(new)):
            raise asyncssh.SFTPFailure("it exists")
        return super().rename(old, new)

async def main():
    key = asyncssh.generate_private_key("ssh-ed25519")
    own = asyncssh.generate_private_key("ssh-ed25519")
    own.write_private_key(os.path.join(folder, "key"))
    own.write_private_key(os.path.join(folder, "key.locked"), passphrase="hunter2SECRET", rounds=1)
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(os.path.join(folder, "key.other"))
    own.write_public_key(os.path.join(folder, "authorized"))
    server = await asyncssh.create_server(
        Server, "127.0.0.1", 0, server_host_keys=[key], sftp_factory=Files,
        authorized_client_keys=os.path.join(folder, "authorized"), login_timeout=30,
    )
    port = server.sockets[0].getsockname()[1]
    for name, public in (("known_hosts", key), ("known_hosts.other", own)):
        with open(os.path.join(folder, name), "w") as file:
            file.write(f"[127.0.0.1]:{port} " + public.export_public_key().decode())
    print(port, flush=True)
    await asyncio.sleep(3600)

asyncio.run(main())
"""


@dataclass(frozen=True)
class SftpServer:
    """A server.

    Attributes:
        port: On loopback.
        folder: Holds its keys, and ``root``, which it serves.
    """

    port: int
    folder: str

    @property
    def root(self) -> str:
        """The directory that it serves as ``/``."""
        return os.path.join(self.folder, "root")

    def file(self, name: str) -> str:
        """Path of one of its keys or lists of known hosts."""
        return os.path.join(self.folder, name)

    def url(self, path: str, user: str = "user") -> str:
        """URL of a path."""
        return f"sftp://{user}@127.0.0.1:{self.port}/{path}"


@contextmanager
def sftp_server() -> Iterator[SftpServer]:
    """Run a server; what is served begins empty."""
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(os.path.join(folder, "root"))
        with subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", _PROGRAM, folder],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                assert process.stdout is not None
                yield SftpServer(int(process.stdout.readline()), folder)
            finally:
                process.kill()
