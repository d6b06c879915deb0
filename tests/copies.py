"""The tests of a worker of pytest-xdist run in copies of it: no process holds what all of them import and leave behind.

A copy is forked from the worker, which runs no test itself and so stays as small as it was when the tests were collected. A
copy that has grown beyond a limit is ended, fixtures and all, after the last test of a module, and beyond a higher one after
any test; the next test begins another.
"""

from __future__ import annotations

import atexit
import faulthandler
import os
import sys
import traceback
from importlib import import_module
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, NoReturn

import pytest

# Of resident memory: of a copy between modules, and within one, whose fixtures are set up again in another copy.
LIMIT_BYTES, MOST_BYTES = 440 << 20, 520 << 20


class Copies:
    """The copies of this worker, one at a time.

    Args:
        config: That of the worker.
        worker: The plugin of pytest-xdist that tells the controller what happens.
    """

    def __init__(self, config: pytest.Config, worker: Any) -> None:
        self._config, self._worker = config, worker
        self._pid = 0
        self._is_copy = False
        self._held_bytes = 0
        self._pipe: Connection | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        if self._is_copy:
            return None
        faulthandler.cancel_dump_traceback_later()  # the copy has its own, and a fork beside its thread would hang
        if self._pipe is None:
            self._fork(item.session)
        assert self._pipe is not None
        limit = MOST_BYTES if nextitem is None or nextitem.path == item.path else LIMIT_BYTES
        ends = nextitem is None or self._held_bytes > limit
        self._pipe.send((self._worker.item_index, None if ends else self._worker.nextitem_index))
        while (event := self._receive())[0] is not None:
            self._worker.sendevent(event[0], **event[1])
        _, self._held_bytes, counted = event
        for name, value in counted.items():
            setattr(item.session, name, value)
        if ends:
            self.pytest_sessionfinish()
        return True

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_timeout_set_timer(self) -> bool | None:
        return None if self._is_copy else True  # the copy has its own

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
            os.waitpid(self._pid, 0)

    def _receive(self) -> Any:
        assert self._pipe is not None
        try:
            while not self._pipe.poll(1):
                if os.waitpid(self._pid, os.WNOHANG)[0]:
                    raise EOFError  # what it has forked may still hold its end of the pipe
            return self._pipe.recv()
        except EOFError:
            os._exit(1)  # as a worker ends that a test has killed: the controller says which test that was

    def _fork(self, session: pytest.Session) -> None:
        self._config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]  # made anew by whoever asks first
        self._pipe, theirs = Pipe()
        self._held_bytes = 0
        self._pid = os.fork()
        if self._pid == 0:
            self._pipe.close()
            self._be_copy(session, theirs)
        theirs.close()

    def _be_copy(self, session: pytest.Session, pipe: Connection) -> NoReturn:
        self._is_copy = True
        self._worker.sendevent = lambda name, **said: pipe.send((name, said))
        try:
            while True:
                try:
                    self._worker.item_index, following = pipe.recv()
                except EOFError:
                    break
                self._config.hook.pytest_runtest_protocol(
                    item=session.items[self._worker.item_index],
                    nextitem=None if following is None else session.items[following],
                )
                counted = {name: getattr(session, name) for name in ("testsfailed", "shouldfail", "shouldstop")}
                pipe.send((None, _memory_bytes(), {name: value for name, value in counted.items() if value}))
            session._setupstate.teardown_exact(None)
            atexit._run_exitfuncs()
            os._exit(0)
        except (KeyboardInterrupt, ConnectionError):  # the worker, too, was interrupted or has gone
            os._exit(1)
        except BaseException:
            traceback.print_exc()
            os._exit(1)


class Later:
    """A package that takes much memory, as a test module names it: imported when first used, which is in a copy."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)  # asked for by pytest when it collects
        return getattr(import_module(self._name), name)


def _memory_bytes() -> int:
    """Return what this process holds of memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def pytest_sessionstart(session: pytest.Session) -> None:
    plugins = session.config.pluginmanager.get_plugins() if sys.platform == "linux" else ()
    for worker in [plugin for plugin in plugins if hasattr(plugin, "sendevent")]:
        session.config.pluginmanager.register(Copies(session.config, worker))
