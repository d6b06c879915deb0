"""What type checkers make of a user's program: each line that is right passes, each that is wrong is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import streaming

PROGRAM = Path(__file__).with_name("program.py")
SOURCES = Path(streaming.__file__).parents[1]
# Of an installed package, mypy finds the types by itself, and refuses to be told where.
MYPYPATH = {} if SOURCES.name == "site-packages" else {"MYPYPATH": str(SOURCES)}
LINES = PROGRAM.read_text().splitlines()
# Of torch, what the program names, and not everything that those modules import.
MYPY = """
[mypy]
[mypy-torch.*,transformers.*]
follow_imports = skip
[mypy-torch,torch._C.*,torch._tensor,torch.types,torch.utils,torch.utils.data.*]
follow_imports = silent
"""
WRONG = {number for number, line in enumerate(LINES, 1) if line.endswith("# wrong")}


def by_mypy(where: Path) -> dict[int, str]:
    """Errors by line."""
    (where / "mypy.ini").write_text(MYPY)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--no-error-summary"),
            *("--config-file=mypy.ini", "--hide-error-context", "--no-pretty", f"--cache-dir={os.devnull}", str(PROGRAM)),
        ],
        capture_output=True, text=True, timeout=280, check=False, cwd=where, env={**os.environ, **MYPYPATH},
    )  # fmt: skip
    assert not done.stderr, done.stderr
    found = [line.split(":", 3) for line in done.stdout.splitlines()]
    assert all(Path(where, path).resolve() == PROGRAM for path, *_ in found), done.stdout
    return {int(line): text for _, line, kind, text in found if kind.strip() == "error"}


def by_pyright(where: Path) -> dict[int, str]:
    """Errors by line."""
    shutil.copy(PROGRAM, where)
    settings = {
        "include": [PROGRAM.name],
        "extraPaths": [str(SOURCES)],
        "typeCheckingMode": "strict",
        # Without a type parameter, an item is whatever the subclass says.
        "reportMissingTypeArgument": False,
        "reportUnknownMemberType": False,
        "reportUnusedExpression": False,
    }
    (where / "pyrightconfig.json").write_text(json.dumps(settings))
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(where)],
        capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] == 1, done.stdout
    found = [entry for entry in report["generalDiagnostics"] if entry["severity"] == "error"]
    return {entry["range"]["start"]["line"] + 1: entry["message"] for entry in found}


@pytest.mark.parametrize("check", [pytest.param(by_mypy, marks=pytest.mark.long), by_pyright])
def test_right_lines_pass_and_wrong_ones_are_refused(tmp_path: Path, check: object) -> None:
    found = check(tmp_path)  # pyright: ignore
    assert {number: f"{LINES[number - 1].strip()} -- {found[number]}" for number in found.keys() - WRONG} == {}
    assert [LINES[number - 1].strip() for number in sorted(WRONG - found.keys())] == []
