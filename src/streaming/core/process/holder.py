"""Who holds a lock on a file, as far as the system tells, and whether a process is there."""

from __future__ import annotations

import os
from dataclasses import dataclass

__all__ = ["Holder", "find_holder", "is_running"]

_LOCKS = "/proc/locks"


@dataclass(frozen=True)
class Holder:
    """Who holds a lock.

    Attributes:
        pid: Process id on this machine; 0 if it is not known.
        text: Who that is, and what can be done, for an error text.
    """

    pid: int
    text: str


def is_running(pid: int) -> bool:
    """Say whether a process is there, whoever runs it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def find_holder(fd: int, path: str) -> Holder:
    """Find who holds a lock on a file.

    Args:
        fd: A descriptor of the file.
        path: Its path, for the text.
    """
    node = os.uname().nodename
    pid = _pid(fd)
    if pid is None:
        return Holder(0, f"another process holds it (`lsof {path}` shows which); end it")
    if not pid:
        return Holder(
            0,
            f"it is held by a process that {node} does not see, on another machine or in another container that shares the "
            "directory; end it, or use a directory of this machine's own",
        )
    command, state = _read(pid, "cmdline").replace("\0", " ").strip(), _state(pid)
    who = f"process {pid} on {node} ({ascii(command)[1:-1][:120] or 'of another user'}) holds it"
    if state in {"T", "t"}:
        return Holder(pid, f"{who} and is stopped; let it go on with `kill -CONT {pid}`, or end it")
    return Holder(pid, f"{who}; wait for it, or end it")


def _pid(fd: int) -> int | None:
    """Return the holder's process, 0 if it is out of sight, ``None`` where the system does not tell."""
    inode = str(os.fstat(fd).st_ino)
    try:
        with open(_LOCKS) as file:
            lines = [line.split() for line in file]
    except OSError:
        return None
    for fields in lines:
        # "1: FLOCK  ADVISORY  WRITE 9891 fe:00:2154926 0 EOF"; the device is not always that of stat().
        if len(fields) >= 6 and fields[1] != "->" and fields[5].rpartition(":")[2] == inode:
            return max(0, int(fields[4]))
    return 0


def _state(pid: int) -> str:
    return _read(pid, "stat").rpartition(")")[2].strip()[:1]


def _read(pid: int, name: str) -> str:
    try:
        with open(f"/proc/{pid}/{name}", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
