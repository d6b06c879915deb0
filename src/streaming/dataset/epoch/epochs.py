"""Which epoch an iteration is, agreed by the workers of a ``DataLoader`` without waiting for each other.

The workers that one iteration of a ``DataLoader`` starts share its base seed, and with persistent workers each has been
asked for an iterator equally often. The first to arrive with a new (seed, round) claims the next epoch; the others
find the claim. The same seed may come again (a user may seed every epoch alike): a claim that already has this worker,
or whose workers are all gone, is another iteration's. A loader that numbers its iterations is believed instead: a worker
that starts late may find that the others have come and gone.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from typing import Any

from streaming.core.process.holder import is_running
from streaming.dataset.epoch.board import Board

__all__ = ["Epochs", "Start"]

_REMEMBERED = 16


@dataclass(frozen=True)
class Start:
    """Where an iteration begins.

    Attributes:
        epoch: Epoch, from 0.
        sample_in_epoch: Samples of it that are already consumed, over all ranks.
        settings: Settings that a loaded checkpoint brought, which hold for later epochs too.
        skips: Ranges of samples of the epoch that are not served.
        workers: Samples after those that each worker of this rank has drawn already, where a checkpoint says so.
        balance: For a worker: the balance that was set when the iteration began.
    """

    epoch: int
    sample_in_epoch: int
    settings: dict[str, Any]
    skips: list[list[int]]
    workers: tuple[int, ...] = ()
    balance: str | None = None


class Epochs:
    """The epoch counter of one dataset object, shared with its workers."""

    def __init__(self) -> None:
        self._board = Board(
            {
                "next": 0,
                "begun": 0,
                "resume": None,
                "settings": {},
                "claims": [],
                "skips": {},
                "said": [],
                "balance": None,
            }
        )
        self._rounds = 0
        self._round_pid = os.getpid()
        self._iteration = 0

    def number_iteration(self) -> None:
        """Give the workers that are started next a number of their own, to know each other by."""
        self._iteration += 1

    def begin(self) -> Start:
        """Return where the iteration that this process now begins starts.

        In the main process each call is a new epoch. In a worker, the epoch is that of the ``DataLoader`` iteration
        that asked for it.
        """
        info = _worker_info()
        if self._round_pid != os.getpid():
            self._round_pid = os.getpid()
            self._rounds = 0
        self._rounds += 1
        with self._board.change() as doc:
            if info is None:
                return _start(doc, _next(doc))
            key = self._key(info, self._rounds)
            claim: dict[str, Any] | None = _find_claim(doc["claims"], key, info.id)
            if claim is None:
                start = _start(doc, _next(doc))
                claim = {
                    "key": key,
                    "pids": {},
                    "start": [start.epoch, start.sample_in_epoch],
                    "balance": doc["balance"],
                }
                doc["claims"] = [*doc["claims"][1 - _REMEMBERED :], claim]
            pids: dict[str, int] = claim["pids"]
            pids[str(info.id)] = os.getpid()
            epoch, sample = claim["start"]
            return replace(_make_start(doc, epoch, sample), balance=claim["balance"])

    def set_balance(self, name: str | None) -> None:
        """Note how samples are dealt in the iterations that begin from now on."""
        with self._board.change() as doc:
            doc["balance"] = name

    def current(self) -> Start:
        """Return where the present or, before any, the coming iteration started."""
        doc = self._board.read()
        resume = doc["resume"]
        if resume is not None and resume[0] >= doc["next"] - 1:
            return _make_start(doc, resume[0], resume[1])
        return _make_start(doc, doc["next"] - 1, 0)

    @property
    def next_epoch(self) -> int:
        """The epoch that the next iteration will be."""
        return int(self._board.read()["next"])

    @next_epoch.setter
    def next_epoch(self, epoch: int) -> None:
        with self._board.change() as doc:
            doc["next"] = int(epoch)

    def set_epoch(self, epoch: int) -> None:
        """Make the next iteration ``epoch``, unless a checkpoint for that very epoch waits to be resumed."""
        with self._board.change() as doc:
            if doc["resume"] is not None and doc["resume"][0] == epoch:
                return
            doc["next"] = int(epoch)

    def set_skips(self, epoch: int, ranges: list[list[int]]) -> None:
        """Leave ranges of samples of an epoch out, instead of those that were."""
        with self._board.change() as doc:
            skips = {key: value for key, value in doc["skips"].items() if int(key) >= doc["next"] - 1}
            doc["skips"] = {**skips, str(epoch): ranges}

    def pending(self, epoch: int) -> Start:
        """Return where an iteration of ``epoch`` would start."""
        doc = self._board.read()
        resume = doc["resume"]
        sample = int(resume[1]) if resume is not None and resume[0] == epoch else 0
        return _make_start(doc, epoch, sample)

    @property
    def begun(self) -> int:
        """How many iterations have begun; that of several workers is one."""
        return int(self._board.read()["begun"])

    @property
    def changes(self) -> int:
        """A number that is another whenever anything here has changed; costs next to nothing."""
        return self._board.changes

    @property
    def is_fresh(self) -> bool:
        """Whether nothing has said yet with which epoch the first iteration begins."""
        doc = self._board.read()
        return not doc["begun"] and not doc["next"] and doc["resume"] is None

    @property
    def has_readers(self) -> bool:
        """Whether a ``DataLoader``'s workers are in the present epoch, as far as this process can know."""
        claims = self._board.read()["claims"]
        return bool(claims) and any(is_running(pid) for pid in claims[-1]["pids"].values())

    def set_settings(self, settings: dict[str, Any]) -> None:
        """Put settings in place of those that hold for this epoch and later ones."""
        with self._board.change() as doc:
            doc["settings"] = settings

    def is_first(self, what: str) -> bool:
        """Say whether this is asked for the first time, by any process that shares the dataset."""
        with self._board.change() as doc:
            is_first = what not in doc["said"]
            if is_first:
                doc["said"] = [*doc["said"], what]
        return is_first

    def _key(self, info: Any, round_: int) -> list[int]:
        return [info.seed - info.id, round_, info.num_workers, self._iteration]

    def resume(self, at: Start) -> None:
        """Have the next iteration start where a checkpoint says."""
        info = _worker_info()
        rounds = self._rounds if self._round_pid == os.getpid() else 0
        with self._board.change() as doc:
            if info is not None:
                # Each worker of an iteration may load the same checkpoint; one of them may already have begun.
                claim = _find_claim(doc["claims"], self._key(info, rounds + 1), info.id)
                if claim is not None and claim["start"] == [at.epoch, at.sample_in_epoch]:
                    return
            doc["skips"] = {str(at.epoch): at.skips} if at.skips else {}
            doc["resume"] = [at.epoch, at.sample_in_epoch, *at.workers]
            doc["settings"] = at.settings
            if at.epoch >= 0:
                doc["next"] = at.epoch


def _next(doc: dict[str, Any]) -> int:
    epoch = int(doc["next"])
    doc["next"] = epoch + 1
    doc["begun"] += 1
    return epoch


def _start(doc: dict[str, Any], epoch: int) -> Start:
    resume = doc["resume"]
    sample = 0
    if resume is not None:
        if resume[0] == epoch:
            sample = int(resume[1])
        elif resume[0] < epoch:
            doc["resume"] = None
    return _make_start(doc, epoch, sample)


def _make_start(doc: dict[str, Any], epoch: int, sample: int) -> Start:
    resume = doc["resume"]
    workers = tuple(resume[2:]) if resume is not None and resume[:2] == [epoch, sample] else ()
    return Start(epoch, sample, dict(doc["settings"]), doc["skips"].get(str(epoch), []), workers)


def _find_claim(claims: list[dict[str, Any]], key: list[int], worker: int) -> dict[str, Any] | None:
    for claim in reversed(claims):
        if claim["key"] == key:
            pids: dict[str, int] = claim["pids"]
            is_numbered = key[-1] > 0
            if str(worker) not in pids and (is_numbered or any(is_running(pid) for pid in pids.values())):
                return claim
            return None
    return None


def _worker_info() -> Any:
    data = sys.modules.get("torch.utils.data")
    return data.get_worker_info() if data is not None else None
