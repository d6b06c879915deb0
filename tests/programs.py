"""Programs that are run by processes that have imported PyTorch, which takes most of them longer than all else."""

from __future__ import annotations

import faulthandler
import os
import runpy
import signal
import socket
import sys
import tempfile
import warnings
from collections.abc import Mapping
from multiprocessing import get_context, set_start_method
from pathlib import Path

__all__ = ["run_code", "run_program", "run_ranks"]

_SAYING_S = 10

Ended = tuple[int | None, str, str]


def run_program(
    path: Path, *arguments: str, environment: Mapping[str, str] | None = None, timeout_s: float = 240
) -> Ended:
    """Run a Python file as a program in its directory; return its exit status, output and standard error, no warnings."""
    return _run_all(path, arguments, [os.environ if environment is None else environment], timeout_s)[0]


def run_code(code: str, *arguments: str, environment: Mapping[str, str] | None = None, timeout_s: float = 240) -> Ended:
    """Run a program that is given as text, likewise."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "program.py")
        path.write_text(code)
        return run_program(path, *arguments, environment=environment, timeout_s=timeout_s)


def run_ranks(path: Path, *arguments: str, nodes: int = 1, ranks_per_node: int, timeout_s: float = 240) -> list[Ended]:
    """Run a Python file as each rank of a job, with the variables that ``torchrun`` sets, likewise."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        job = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(probe.getsockname()[1])}
    job.update(WORLD_SIZE=str(nodes * ranks_per_node), LOCAL_WORLD_SIZE=str(ranks_per_node))
    environments: list[Mapping[str, str]] = []
    for rank in range(nodes * ranks_per_node):
        node, local_rank = divmod(rank, ranks_per_node)
        own = {"RANK": str(rank), "LOCAL_RANK": str(local_rank), "GROUP_RANK": str(node)}
        environments.append({**os.environ, **job, **own})
    return _run_all(path, arguments, environments, timeout_s)


def _run_all(
    path: Path, arguments: tuple[str, ...], environments: list[Mapping[str, str]], timeout_s: float
) -> list[Ended]:
    """Run a program once in each environment, all at the same time."""
    with tempfile.TemporaryDirectory() as folder:
        said = [[os.path.join(folder, f"{name}{i}") for name in ("out", "err")] for i in range(len(environments))]
        context = get_context("forkserver")
        processes = [
            context.Process(target=_run, args=(str(path), arguments, dict(environment), names))
            for environment, names in zip(environments, said, strict=True)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join(timeout_s)
        for process in processes:
            if process.is_alive() and process.pid:
                os.kill(process.pid, signal.SIGABRT)  # it says where it stands
                process.join(_SAYING_S)
            process.kill()
            process.join()
        texts = [[Path(name).read_text() for name in names] for names in said]
        return [(process.exitcode, out, err) for process, (out, err) in zip(processes, texts, strict=True)]


def _run(path: str, arguments: tuple[str, ...], environment: dict[str, str], said: list[str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    for descriptor, name in enumerate(said, 1):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT), descriptor)
    faulthandler.enable(2)
    tempfile.tempdir = None
    set_start_method(None, force=True)  # the usual one, not that of this process, whose children would import it all
    warnings.simplefilter("ignore")
    sys.argv = [path, *arguments]
    sys.path[0] = os.path.dirname(path)
    os.chdir(sys.path[0])
    runpy.run_path(path, run_name="__main__")
