"""Tests that run in a process of their own: what they import and allocate goes with it, rather than with the last test.

A test marked ``apart`` has its fixtures set up as ever; its body runs in a child, forked then, and must not begin a server
that others use.
"""

from __future__ import annotations

import traceback
import warnings
from inspect import signature
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import pytest


def _run(item: pytest.Function, arguments: dict[str, Any], answers: Connection) -> None:
    try:
        item.obj(**arguments)
    except pytest.skip.Exception as reason:
        answers.send(("skipped", str(reason)))
    except BaseException:
        answers.send(("failed", traceback.format_exc()))
    else:
        answers.send(("passed", ""))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if pyfuncitem.get_closest_marker("apart") is None:
        return None
    context = get_context("fork")
    answers, theirs = context.Pipe(duplex=False)
    arguments = {name: pyfuncitem.funcargs[name] for name in signature(pyfuncitem.obj).parameters}
    child = context.Process(target=_run, args=(pyfuncitem, arguments, theirs))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads
        child.start()
    theirs.close()
    try:
        outcome, said = answers.recv()
        child.join(20)
    except EOFError:
        child.join()
        outcome, said = "failed", f"its process ended with {child.exitcode}"
    finally:
        answers.close()
        child.kill()
        child.join()
        child.close()
    if outcome == "skipped":
        pytest.skip(said)
    if outcome == "failed":
        pytest.fail(said, pytrace=False)
    return True
