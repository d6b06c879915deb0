"""Room for what is mapped: a full disk has to be an exception at the call that asks, not a signal at some later access."""

from __future__ import annotations

import errno
import os

__all__ = ["allocate"]

_UNSUPPORTED = {errno.EINVAL, errno.ENODEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}
_PIECE = 1 << 20


def allocate(fd: int, size: int) -> None:
    """Make a new file so long, with all its blocks, so that writing to a map of it cannot fail any more.

    Args:
        fd: Its descriptor, open for writing. What the file holds already stays.
        size: Bytes; a file that is longer stays as long.

    Raises:
        OSError: There is no room (``ENOSPC``, ``EDQUOT``).
    """
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(fd, 0, size)
            return
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
    at = os.fstat(fd).st_size  # no hole is before it: files begin empty, and are written from their beginning
    while at < size:
        at += os.pwrite(fd, bytes(min(_PIECE, size - at)), at)
