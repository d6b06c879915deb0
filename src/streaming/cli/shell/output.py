"""Printing: text in columns, JSON, and a progress bar for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from streaming.core.text import printable

__all__ = ["print_json", "print_line", "print_note", "print_table", "progress_bar"]


def print_line(text: str = "") -> None:
    """Print a line to standard output, whatever is in it."""
    sys.stdout.write(printable(text) + "\n")


def print_note(text: str) -> None:
    """Print a line for people to standard error."""
    sys.stderr.write(f"streaming: {printable(text)}\n")


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    for line in json.dumps(value, indent=2, ensure_ascii=False).split("\n"):
        print_line(line)


def print_table(rows: Sequence[Sequence[str]], indent: int = 0, right: Sequence[int] = ()) -> None:
    """Print rows with aligned columns.

    Args:
        rows: Cells; all rows have as many.
        indent: Spaces before each line.
        right: Columns to align to the right.
    """
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print_line(" " * indent + "  ".join(cells).rstrip())


def progress_bar(what: str, total: int, unit: str, initial: int = 0) -> Any:
    """Return a progress bar on standard error; a silent one where that is no terminal.

    Args:
        what: Before the bar.
        total: Where it ends.
        unit: What is counted.
        initial: Where it begins.
    """
    from tqdm import tqdm

    return tqdm(desc=what, total=total, initial=initial, unit=unit, unit_scale=True, disable=None, leave=False)
