"""The hub client's session across forks.

All of huggingface_hub shares one session, which the library closes in a forked child. Its close takes a lock that a
thread of the parent may have held at the fork, and then the child waits for ever before it has begun. What a child
inherits is therefore left alone: neither closed nor used.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

__all__ = ["SharedSession"]

_MODULE = "huggingface_hub.utils._http"
_CLIENT = "_GLOBAL_CLIENT"
_LOCK = "_CLIENT_LOCK"


class SharedSession:
    """The library's session as it was at the last fork, and those of parents, which nothing here may close."""

    def __init__(self) -> None:
        self.last: Any = None
        self.inherited: list[Any] = []

    def before_fork(self) -> None:
        """Have the session refuse to be closed by another process."""
        # The library's hook may come before that below, so that the session itself has to refuse.
        client = getattr(sys.modules.get(_MODULE), _CLIENT, None)
        if client is None or client is self.last:
            return
        close, owner = client.close, os.getpid()

        def close_if_own() -> None:
            if os.getpid() == owner:
                close()

        client.close = close_if_own
        self.last = client

    def after_fork_in_child(self) -> None:
        """Let the library make a session of this process's own, and wait for no thread of the parent."""
        module = sys.modules.get(_MODULE)
        # Kept, so that nothing closes what is the parent's.
        self.inherited += [self.last, getattr(module, _CLIENT, None)]
        self.last = None
        if hasattr(module, _CLIENT):
            setattr(module, _CLIENT, None)
        if hasattr(module, _LOCK):
            setattr(module, _LOCK, threading.Lock())
