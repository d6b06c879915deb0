"""Plans for the page, each worked out in a process that may take only so long, and kept for who asks again."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from argparse import Namespace
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from streaming.core.errors import ConfigError

__all__ = ["Planned", "Planner"]

_KEPT = 64
_START_S = 60.0


@dataclass(frozen=True)
class Planned:
    """A plan as the page shows it.

    Attributes:
        rows: Rows of a name and a text.
        pictures: SVG by name.
        error: Why there is none, else ``''``.
    """

    rows: tuple[tuple[str, str], ...] = ()
    pictures: tuple[tuple[str, str], ...] = ()
    error: str = ""


class Planner:
    """Makes plans, one after the other.

    Args:
        limit_s: Seconds that a plan may take; whoever takes longer is ended.
    """

    def __init__(self, limit_s: float = 20.0) -> None:
        self._limit_s = limit_s
        self._kept: OrderedDict[Any, Planned] = OrderedDict()
        self._lock = threading.Lock()
        self._process: Any = None
        self._pipe: Any = None

    def plan(self, key: Sequence[str], args: Namespace) -> Planned:
        """Return the plan of a question.

        Args:
            key: The question. A plan that was answered to it stays so; an error does not.
            args: The same as arguments of ``streaming plan``.

        Raises:
            ConfigError: Others are waiting for too many plans.
        """
        wanted = tuple(key)
        if not self._lock.acquire(timeout=2 * self._limit_s):
            raise ConfigError("Too many plans are being worked out. Ask again.")
        try:
            found = self._kept.pop(wanted, None) or self._ask(args)
            if not found.error:
                self._kept[wanted] = found
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
            return found
        finally:
            self._lock.release()

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
            self._process = None

    def _ask(self, args: Namespace) -> Planned:
        try:
            if self._process is None or not self._process.is_alive():
                self._start()
            self._pipe.send(args)
            if self._pipe.poll(self._limit_s):
                return self._pipe.recv()
        except (EOFError, OSError):
            self.close()
            return Planned(
                error="The plan took more memory than there is, or its process was ended. Ask again, or for less."
            )
        self.close()
        return Planned(
            error=f"The plan takes longer than {self._limit_s:g} seconds, which is the most for a page: "
            "`streaming plan` has no such limit."
        )

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()
        if not self._pipe.poll(_START_S):
            raise TimeoutError
        self._pipe.recv()  # it has started: that is not the plan's time


def _work(pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started this ends it
    from streaming.cli.reading.planned import plan_of
    from streaming.planning.pictures import charts

    pipe.send(None)
    with suppress(EOFError, OSError):
        while True:
            args = pipe.recv()
            try:
                _, plan = plan_of(args)
                rows = tuple((row[0], row[1]) for row in plan.rows())
                answer = Planned(rows, tuple((name, chart.svg()) for name, chart in charts(plan).items()))
            except Exception as error:  # whatever it is, the page says it
                answer = Planned(error=str(error) or repr(error))
            pipe.send(answer)
