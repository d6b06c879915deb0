"""Printing: text in columns, JSON, and a progress bar for people.

On a terminal it is in colour where rich is installed and ``NO_COLOR`` is not set; otherwise, and for programs, plain.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Any

from streaming.core.text import printable

__all__ = ["print_error", "print_json", "print_line", "print_note", "print_table", "print_title", "progress_bar"]


def print_line(text: str = "") -> None:
    """Print a line to standard output, whatever is in it."""
    sys.stdout.write(printable(text) + "\n")


def print_title(text: str) -> None:
    """Print a line that stands over others."""
    _print_styled(text, "bold", print_line)


def print_note(text: str) -> None:
    """Print a line for people to standard error."""
    sys.stderr.write(f"streaming: {printable(text)}\n")


def print_error(text: str) -> None:
    """Print an error to standard error, on one line."""
    text = printable(" ".join(text.split()))
    console = _console(sys.stderr)
    if console is None:
        sys.stderr.write(f"streaming: error: {text}\n")
    else:
        styled = import_module("rich.text").Text
        console.print(styled("streaming: ") + styled("error: ", style="bold red") + styled(text), soft_wrap=True)


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    for line in json.dumps(value, indent=2, ensure_ascii=False).split("\n"):
        print_line(line)


def print_table(
    rows: Sequence[Sequence[str]], indent: int = 0, right: Sequence[int] = (), styles: Sequence[str] = ()
) -> None:
    """Print rows with aligned columns.

    Args:
        rows: Cells; all rows have as many.
        indent: Spaces before each line.
        right: Columns to align to the right.
        styles: Of each row's first cell, on a terminal, as rich names them; by default one for all.
    """
    rows = [[printable(cell) for cell in row] for row in rows]
    console = _console(sys.stdout)
    if console is not None:
        console.print(_rich_table(rows, indent, right, styles))
        return
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


def _print_styled(text: str, style: str, otherwise: Any) -> None:
    console = _console(sys.stdout)
    if console is None:
        otherwise(text)
    else:
        console.print(import_module("rich.text").Text(printable(text), style=style), soft_wrap=True)


def _console(stream: Any) -> Any:
    """Return rich's console where a stream is a terminal and rich is there, else ``None``."""
    return _rich_console(stream) if stream.isatty() else None


@cache
def _rich_console(stream: Any) -> Any:
    try:
        console = import_module("rich.console").Console(file=stream, highlight=False)
    except ImportError:
        return None
    return console if console.is_terminal else None


def _rich_table(rows: list[list[str]], indent: int, right: Sequence[int], styles: Sequence[str]) -> Any:
    text, padding = import_module("rich.text").Text, import_module("rich.padding").Padding
    table = import_module("rich.table").Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for i in range(len(rows[0]) if rows else 0):
        table.add_column(justify="right" if i in right else "left", overflow="fold", no_wrap=i == 0)
    for number, row in enumerate(rows):
        style = styles[number] if styles else "cyan"
        table.add_row(*(text(cell, style=style if i == 0 else "") for i, cell in enumerate(row)))
    return padding(table, (0, 0, 0, indent))
