"""Where this node keeps what no directory was given for: below the temporary directory, for this user alone."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from hashlib import blake2s

from streaming.core.errors import AccessDeniedError

__all__ = ["default_local", "make_private"]


def default_local(remote: str) -> str:
    """Return the cache directory of a remote for which no local directory is given: this user's alone."""
    name = blake2s(remote.encode("utf-8"), digest_size=16).hexdigest()
    return os.path.join(tempfile.gettempdir(), f"streaming-{os.geteuid()}", name)


def make_private(directory: str) -> None:
    """Make a directory for this user alone, or check that it is one: others may write where it lies.

    Raises:
        AccessDeniedError: It is somebody else's, or others may write to it.
    """
    with suppress(FileExistsError):
        os.makedirs(directory, 0o700)
    status = os.lstat(directory)
    if not stat.S_ISDIR(status.st_mode):
        problem = "is no directory"
    elif status.st_uid != os.geteuid():
        problem = f"belongs to the user {status.st_uid}"
    elif status.st_mode & 0o022:
        problem = f"can be written to by others (mode {status.st_mode & 0o777:03o})"
    else:
        return
    raise AccessDeniedError(
        f"{directory} is where datasets without `local` are cached, and {problem}, so what is in it cannot be trusted. "
        "Remove it, give `local`, or set TMPDIR to a directory of yours."
    )
