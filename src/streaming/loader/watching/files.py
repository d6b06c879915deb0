"""A loader's report as a file, which another program reads while training runs."""

from __future__ import annotations

import json
import logging
import os
import socket
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

from streaming.core.errors import ConfigError
from streaming.loader.watching.report import Report

__all__ = ["ReportFile", "read_reports"]

logger = logging.getLogger(__name__)

#: How often the file is written anew.
EVERY_S = 5.0
_FORMAT = 1


class ReportFile:
    """Where one rank's report is written: ``rank-00000.json`` in a folder that all ranks may share.

    Args:
        folder: The folder, made if it is not there.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)
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
    found: list[dict[str, Any]] = []
    for path in sorted(Path(folder).glob("rank-*.json")):
        with suppress(OSError, ValueError):
            known: Any = json.loads(path.read_text())
            if isinstance(known, dict) and known.get("format") == _FORMAT:
                found.append(known)
    shares = sorted(rank["report"]["share"] for rank in found)
    usual = shares[(len(shares) - 1) // 2] if shares else 0.0
    return [{**rank, "is_behind": rank["report"]["share"] > max(1.5 * usual, usual + 0.05)} for rank in found]
