"""Printing: text in columns, JSON, and a progress bar for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

__all__ = ["print_json", "print_line", "print_table", "progress_bar"]


def print_line(text: str = "") -> None:
    """Print a line to standard output."""
    sys.stdout.write(text + "\n")


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    print_line(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(rows: Sequence[Sequence[str]], indent: int = 0, right: Sequence[int] = ()) -> None:
    """Print rows with aligned columns.

    Args:
        rows: Cells; all rows have as many.
        indent: Spaces before each line.
        right: Columns to align to the right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print_line(" " * indent + "  ".join(cells).rstrip())


def progress_bar(what: str, total: int, unit: str) -> Any:
    """Return a progress bar on standard error; a silent one where that is no terminal."""
    from tqdm import tqdm

    return tqdm(desc=what, total=total, unit=unit, unit_scale=True, disable=None, leave=False)
