"""What importing the library does to Python's cyclic garbage collector."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout.strip()


def test_what_the_import_of_torch_makes_is_set_aside() -> None:
    """And cycles of the program are still collected."""
    code = """
        import gc, weakref
        from streaming import StreamingDataset
        import torch
        print(gc.isenabled(), gc.get_freeze_count() > 100_000)

        class Node:
            pass

        node = Node()
        node.me = node
        alive = weakref.ref(node)
        del node
        gc.collect()
        print(alive())
    """
    assert run(code) == "True True\nNone"


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("sys.modules['torch'] = sys", "True 0"),
        ("gc.disable()", "False 0"),
        ("kept = [[] for _ in range(100_000)]", "True 0"),
    ],
    ids=["torch was imported", "collector is off", "program has begun"],
)
def test_otherwise_nothing_is_set_aside(before: str, expected: str) -> None:
    # The import itself, which takes seconds, is the one of the test above.
    code = f"""
        import gc, sys
        from streaming.core.process.collector import collector_paused
        {before}
        with collector_paused():
            sys.modules["torch"] = sys
        print(gc.isenabled(), gc.get_freeze_count())
    """
    assert run(code) == expected


def test_names_that_need_no_torch_leave_the_collector_as_it_is() -> None:
    code = "import gc; from streaming import MDSWriter; print(gc.isenabled(), gc.get_freeze_count())"
    assert run(code) == "True 0"


def test_a_failed_import_leaves_the_collector_on() -> None:
    code = """
        import gc, sys
        sys.modules["torch.utils.data"] = None
        try:
            from streaming import StreamingDataset
        except ImportError:
            print(gc.isenabled())
    """
    assert run(code) == "True"
