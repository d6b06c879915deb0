"""Programs that are run by processes that have imported PyTorch, which takes most of them longer than all else."""

from __future__ import annotations

import os
import runpy
import sys
import tempfile
import warnings
from collections.abc import Mapping
from multiprocessing import get_context
from pathlib import Path

__all__ = ["run_program"]


def run_program(
    path: Path, *arguments: str, environment: Mapping[str, str] | None = None, timeout_s: float = 240
) -> tuple[int | None, str, str]:
    """Run a Python file as a program, without its warnings; return its exit status, output and standard error."""
    with tempfile.TemporaryDirectory() as folder:
        said = [os.path.join(folder, name) for name in ("stdout", "stderr")]
        given = (str(path), arguments, dict(os.environ if environment is None else environment), said)
        process = get_context("forkserver").Process(target=_run, args=given)
        process.start()
        process.join(timeout_s)
        process.kill()
        process.join()
        out, err = (Path(name).read_text() for name in said)
        return process.exitcode, out, err


def _run(path: str, arguments: tuple[str, ...], environment: dict[str, str], said: list[str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    for descriptor, name in enumerate(said, 1):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT), descriptor)
    tempfile.tempdir = None
    warnings.simplefilter("ignore")
    sys.argv = [path, *arguments]
    sys.path[0] = os.path.dirname(path)
    runpy.run_path(path, run_name="__main__")
