"""A loader's report as a file, which another program reads while training runs."""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from heapq import nsmallest
from pathlib import Path
from stat import S_ISREG
from time import monotonic
from typing import Any, NamedTuple

from streaming.core.arguments import as_path
from streaming.core.errors import ConfigError
from streaming.loader.watching.report import Report

__all__ = ["ReportFile", "Written", "are_behind", "read_files", "read_reports"]

logger = logging.getLogger(__name__)

#: How often the file is written anew.
EVERY_S = 5.0
_FORMAT = 1
#: What is read of a folder that anybody may have written to: so many files, each of so many bytes.
_MOST_FILES, _MOST_BYTES = 1 << 14, 1 << 20


class ReportFile:
    """Where one rank's report is written: ``rank-00000.json`` in a folder that all ranks may share.

    Args:
        folder: The folder, made if it is not there.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        if not as_path("report_to", folder):
            raise ConfigError("report_to must be a folder, got ''.")
        self._folder = Path(folder).absolute()  # wherever the process goes later
        self._due = 0.0

    @property
    def is_due(self) -> bool:
        """Whether it is time to write."""
        return monotonic() >= self._due

    def write(self, report: Report, is_running: bool) -> None:
        """Put a report in the place of the one before, at once.

        Args:
            report: The report.
            is_running: Whether more will come.

        Raises:
            ConfigError: The folder cannot be written to, the first time. Later a warning is logged: training goes on.
        """
        is_first, self._due = not self._due, monotonic() + EVERY_S
        known = {
            "format": _FORMAT,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "every": EVERY_S,
            "is_running": is_running,
            "line": str(report),
            "report": report.to_dict(),
        }
        path = self._folder / f"rank-{report.rank:05}.json"
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(known))
            part.replace(path)
        except OSError as error:
            with suppress(OSError):
                part.unlink()
            text = f"report_to={str(self._folder)!r}: the report cannot be written there: {error}."
            if is_first:
                raise ConfigError(text) from error
            logger.warning(text)


def read_reports(folder: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Return what the ranks of a job have written of themselves last, by rank.

    Args:
        folder: What their loaders were given as ``report_to``.

    Returns:
        An object for each rank, as the page on metrics has it, and ``is_behind``: whether the rank waits for its batches
        while most of the ranks do not, or makes them half as slow again. Empty if there is nothing.

    Example:
        >>> loader = StreamingDataLoader(StreamingDataset(local='data', batch_size=16), report_to='reports')
        >>> batches = list(loader)
        >>> [rank['report']['samples'] for rank in read_reports('reports')]
        [64]
    """
    found, wrong = read_files(folder)
    for text in wrong:
        logger.warning(text)
    behind = are_behind([rank.report.share for rank in found])
    return [{**rank.known, "is_behind": is_behind} for rank, is_behind in zip(found, behind, strict=True)]


class Written(NamedTuple):
    """A report as a file has it.

    Attributes:
        name: The file's.
        known: What it holds.
        report: The report in it.
    """

    name: str
    known: dict[str, Any]
    report: Report


def read_files(folder: str | os.PathLike[str]) -> tuple[list[Written], list[str]]:
    """Return the reports of a folder, by name of their files, and what is wrong with others.

    Args:
        folder: The folder. Nothing in it is trusted.

    Returns:
        The reports, and a sentence for each file that has none.

    Example:
        >>> loader = StreamingDataLoader(StreamingDataset(local='data', batch_size=16), report_to='reports')
        >>> batches = list(loader)
        >>> reports, wrong = read_files('reports')
        >>> reports[0].name, wrong
        ('rank-00000.json', [])
    """
    found: list[Written] = []
    wrong: list[str] = []
    for path in nsmallest(_MOST_FILES, Path(folder).glob("rank-*.json")):
        try:
            found.append(_read(path))
        except FileNotFoundError:  # removed meanwhile
            pass
        except (OSError, ValueError, RecursionError) as error:
            wrong.append(f"{path} is no report of a loader, and is left out: {error}")
    return found, wrong


def _read(path: Path) -> Written:
    # A file that waits for a writer, or never ends, is not opened to be read.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        if not S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is not a regular file.")
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise ValueError(f"it has more than {_MOST_BYTES:,} bytes.")
    known: Any = json.loads(data)
    if not isinstance(known, dict) or known.get("format") != _FORMAT:
        raise ValueError(f"its format is not {_FORMAT}.")
    return Written(path.name, known, Report.from_dict(known.get("report")))


def are_behind(shares: Sequence[float]) -> list[bool]:
    """Return which ranks wait half as much again as most, and 5% of their time more.

    Args:
        shares: The part of its time that each rank waits.

    Example:
        >>> are_behind([0.02, 0.4, 0.02])
        [False, True, False]
    """
    usual = sorted(shares)[(len(shares) - 1) // 2] if shares else 0.0
    return [share > max(1.5 * usual, usual + 0.05) for share in shares]
