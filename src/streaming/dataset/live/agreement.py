"""Whether all ranks of a job have set the same weights."""

from __future__ import annotations

import itertools
import os
import sys
from datetime import timedelta
from typing import Any

from streaming.core.errors import ConfigError

__all__ = ["Agreement"]

#: How long a checkpoint waits for ranks that have yet to set the weights that this one has set.
_PATIENCE = timedelta(seconds=60)
#: Ranks whose weights an error shows.
_SHOWN = 5
_numbers = itertools.count()


class Agreement:
    """Sees to it that all ranks of a job set the same weights.

    Each rank notes a digest of its table in the store of ``torch.distributed``, and reads those of the others: no rank waits
    in a collective for another that never calls it. Where ``torch.distributed`` is not initialised, ranks cannot hear of
    each other; the digest is in the checkpoint all the same.
    """

    def __init__(self) -> None:
        self._name = ""
        self._count = 0
        self._checked = 0
        self._digest = ""
        self._words = ""
        self._pid = os.getpid()

    def publish(self, digest: str, words: str) -> None:
        """Tell the others what this rank has set: the digest of its table, and the change in words."""
        self._name = self._name or f"streaming/mix/{next(_numbers)}"
        self._count += 1
        self._digest = digest
        self._words = words
        found = _store()
        if found is not None:
            store, rank, _ = found
            store.set(self._key(rank), f"{digest}|{words}")

    def check(self) -> None:
        """Check that every rank has set the same.

        Raises:
            ConfigError: Another rank has set other weights, at another step, or none; the text says which.
        """
        found = _store()
        if found is None or self._checked == self._count or self._pid != os.getpid():
            return
        store, own, size = found
        missing: list[int] = []
        others: dict[int, str] = {}
        for rank in range(size):
            try:
                store.wait([self._key(rank)], timedelta(seconds=1) if missing else _PATIENCE)
            except RuntimeError:  # its timeout
                missing.append(rank)
                continue
            digest, _, words = store.get(self._key(rank)).decode().partition("|")
            if digest != self._digest:
                others[rank] = words
        if missing or others:
            raise ConfigError(
                f"The ranks' weights differ. By change {self._count} of them, rank {own} has the schedule {self._digest}"
                + (f"; other weights, or from another batch on, have the ranks {list(others)}" if others else "")
                + (f"; the ranks {missing} have not called set_weights" if missing else "")
                + "".join(
                    f". Rank {rank} set {words}" for rank, words in [(own, self._words), *others.items()][:_SHOWN]
                )
                + ". Call it on every rank, at the same step, with the same weights."
            )
        self._checked: int = self._count

    def _key(self, rank: int) -> str:
        return f"{self._name}/{self._count}/{rank}"


def _store() -> tuple[Any, int, int] | None:
    """Return the store by which the job's processes found each other, this one's rank, and their number."""
    dist: Any = sys.modules.get("torch.distributed")
    if dist is None or not dist.is_available() or not dist.is_initialized() or dist.get_world_size() == 1:
        return None
    return dist.distributed_c10d._get_default_store(), int(dist.get_rank()), int(dist.get_world_size())
