"""How the tests of a worker are run: by copies of it, which end when they have grown."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CONFTEST = """
import os, pytest, copies

pytest_plugins = ["copies"]
copies.LIMIT_BYTES, copies.MOST_BYTES = {limits}

def note(*words):
    with open("notes", "a") as file:
        print(*words, os.getpid(), os.getppid(), file=file)

@pytest.fixture(scope="session")
def server():
    note("begun")
    yield
    note("ended")

@pytest.fixture
def refuses(server):
    yield
    raise OSError("does not end")

@pytest.fixture(autouse=True)
def _noted(request):
    note(request.node.name)
"""
TESTS = {
    "test_a.py": """
import time, warnings, pytest

def test_first(server): pass
def test_fails(tmp_path): print("what it printed"); assert tmp_path.parent is None
def test_skipped(): pytest.skip("has a reason")
def test_ends_badly(refuses): pass
@pytest.mark.timeout(1)
def test_hangs(): time.sleep(60)
def test_warns(): warnings.warn("of something")
""",
    "test_b.py": "def test_last(server): pass",
}


def run(place: Path, limits: tuple[int, int], tests: dict[str, str], *options: str) -> str:
    for name, text in {"conftest.py": CONFTEST.format(limits=limits), **tests}.items():
        (place / name).write_text(text)
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    environ = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, "-m", "pytest", "-n", "1", "-ra", "-c", os.devnull, f"--rootdir={place}", *options]
    return subprocess.run(
        command, cwd=place, env=environ, capture_output=True, text=True, timeout=200, check=False
    ).stdout


def test_a_copy_that_has_grown_is_replaced(tmp_path: Path) -> None:
    """After a module, with what its session began; and all that its tests had to say arrives."""
    said = run(tmp_path, (0, 1 << 60), TESTS)
    notes = [line.split() for line in (tmp_path / "notes").read_text().splitlines()]
    words, copies, workers = zip(*notes, strict=True)
    first = (
        "begun",
        "test_first",
        "test_fails",
        "test_skipped",
        "test_ends_badly",
        "test_hangs",
        "test_warns",
        "ended",
    )
    assert words == (*first, "begun", "test_last", "ended")
    assert len(set(workers)) == 1
    assert [len(set(part)) for part in (copies[:8], copies[8:], copies)] == [1, 1, 2]
    assert "= 2 failed, 4 passed, 1 skipped, " in said
    assert " 1 error in " in said
    for words in ("what it printed", "has a reason", "does not end", "Failed: Timeout ", "UserWarning: of something"):
        assert words in said


def test_a_copy_that_has_grown_much_is_replaced_within_a_module(tmp_path: Path) -> None:
    tests = {"test_a.py": "".join(f"def test_{name}(server): pass\n" for name in "abcd")}
    said = run(tmp_path, (0, 0), tests)
    notes = [line.split() for line in (tmp_path / "notes").read_text().splitlines()]
    assert [words for words, *_ in notes if words.startswith("test")] == ["test_a", "test_b", "test_c", "test_d"]
    assert [words for words, *_ in notes].count("ended") == len({copy for _, copy, _ in notes}) > 1
    assert "= 4 passed" in said


def test_a_copy_that_has_not_grown_runs_all(tmp_path: Path) -> None:
    run(
        tmp_path,
        (1 << 60, 1 << 60),
        TESTS,
        "-x",
        "--deselect=test_a.py::test_fails",
        "--deselect=test_a.py::test_ends_badly",
    )
    notes = [line.split() for line in (tmp_path / "notes").read_text().splitlines()]
    assert [words for words, *_ in notes][:5] == ["begun", "test_first", "test_skipped", "test_hangs", "ended"]
    assert len({tuple(processes) for _, *processes in notes}) == 1


def test_a_test_that_ends_its_process_is_named(tmp_path: Path) -> None:
    said = run(
        tmp_path, (1 << 60, 1 << 60), {"test_c.py": "import os\ndef test_dies(): os.kill(os.getpid(), 9)\n", **TESTS}
    )
    assert "crashed while running 'test_c.py::test_dies'" in said
    assert "3 failed, 4 passed" in said
