"""The exclusive right to write to a local directory: an advisory lock on the directory, freed when its holder dies."""

from __future__ import annotations

import errno
import fcntl
import os
import weakref

from streaming.core.errors import StreamingError

__all__ = ["Claim", "DirectoryInUseError"]

_BUSY = {errno.EACCES, errno.EAGAIN}
_claims: weakref.WeakValueDictionary[str, Claim] = weakref.WeakValueDictionary()


class DirectoryInUseError(StreamingError, FileExistsError):
    """Another writer holds the directory."""


class Claim:
    """Holds a directory until :meth:`release`, or until this process ends in any way.

    Where the file system has no such locks, nothing is held and nobody is kept out.

    Args:
        directory: An existing directory.
        yields: Whether a later claim of this process takes the directory over. A writer that was given up without
            being finished, in a notebook say, must not stand in the way of the next; a claim that is sure to be
            released need not yield.

    Raises:
        DirectoryInUseError: Somebody else holds it.
    """

    def __init__(self, directory: str, yields: bool = False) -> None:
        self._directory = os.path.realpath(directory)
        self._yields = yields
        self._is_lost = False
        earlier = _claims.get(self._directory)
        if yields and earlier is not None and earlier._yields:
            earlier._is_lost = earlier._finalizer.alive
            earlier.release()
        #: The descriptor that holds the lock. A child that outlives its parent must close its copy.
        self.fd: int = os.open(self._directory, os.O_RDONLY | os.O_CLOEXEC)
        self._finalizer = weakref.finalize(self, os.close, self.fd)
        self._pid = os.getpid()
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._finalizer()
            if error.errno in _BUSY:
                raise DirectoryInUseError(
                    f"Another writer is writing to {directory}. Wait until it has finished, or write to another "
                    "directory."
                ) from None
        _claims[self._directory] = self

    def check(self) -> None:
        """Make sure that no later claim of this process has taken the directory over.

        Raises:
            DirectoryInUseError: One has.
        """
        if self._is_lost:
            raise DirectoryInUseError(
                f"A later writer of this process has taken {self._directory} over, with whose files those of this one would "
                "mix. Let one writer finish before the next begins, or give each a directory of its own."
            )

    def release(self) -> None:
        """Let others have the directory. Releasing twice is fine."""
        if self._finalizer.alive:
            if os.getpid() == self._pid:
                # By name: children forked meanwhile hold copies of the descriptor, and with them the lock.
                fcntl.flock(self.fd, fcntl.LOCK_UN)
            self._finalizer()
