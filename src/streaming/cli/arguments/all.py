"""All commands, in the order in which help shows them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from streaming.cli.arguments.asking import add_bench, add_completion, add_doctor, add_serve
from streaming.cli.arguments.looking import add_cat, add_head, add_info, add_ls, add_stats, add_verify
from streaming.cli.arguments.making import add_convert, add_copy, add_export, add_index, add_merge, add_view
from streaming.cli.arguments.parser import Parser, Version
from streaming.cli.arguments.planning import add_check, add_plan

__all__ = ["make_parser", "parse_arguments"]

_ADDERS = (
    add_info,
    add_head,
    add_cat,
    add_stats,
    add_verify,
    add_convert,
    add_export,
    add_merge,
    add_copy,
    add_index,
    add_view,
    add_ls,
    add_plan,
    add_check,
    add_serve,
    add_bench,
    add_doctor,
    add_completion,
)


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line.

    Args:
        argv: Arguments; ``None``: those of this process.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    if words[:2] == ["view", "make"]:  # one command of two words
        words[:2] = [" ".join(words[:2])]
    return make_parser().parse_args(words)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = Parser(
        prog="streaming",
        description="Look at, check, merge and copy streaming datasets, on disk or in any store.",
        epilog="`streaming COMMAND --help` explains a command, with examples. Exit codes: 0 fine, 1 verify found damage, "
        "doctor a problem or check something that does not hold, 2 error, 130 interrupted.",
    )
    parser.add_argument("--version", action=Version, nargs=0, help="show the version")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in _ADDERS:
        add(commands)
    return parser
