"""``streaming completion``: a script with which a shell completes commands and options."""

from __future__ import annotations

import sys
from argparse import Namespace

from streaming.cli.arguments.all import make_parser
from streaming.core.imports import optional_import

__all__ = ["run"]


def run(args: Namespace) -> int:
    """Print the script."""
    shtab = optional_import("shtab", "cli", "`streaming completion`")
    sys.stdout.write(shtab.complete(make_parser(), shell=args.shell) + "\n")
    return 0
