"""Parsing, dispatch, and errors as one line each."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from streaming.cli.arguments.all import parse_arguments
from streaming.core.errors import StreamingError
from streaming.core.text import printable

__all__ = ["main"]

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: Arguments; ``None``: those of this process.

    Returns:
        The exit code: 0, or 1 if a verification found damage, or 2 for an error.
    """
    args = parse_arguments(argv)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("streaming: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    words: dict[str, str] = {}
    try:
        command = import_module(f"streaming.cli.commands.{args.module}")
        words = getattr(command, "WORDS", words)
        import_module("streaming.cli.shell.options").locate(args)
        code = command.run(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has enough. Nothing more may be written to it, not even when we exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (StreamingError, OSError) as error:
        text = str(error)
        for word, option in words.items():
            text = text.replace(word, option)
        return _fail(text)
    except KeyboardInterrupt:
        _fail("interrupted")
        return EXIT_INTERRUPTED
    return code


class _Formatter(logging.Formatter):
    """Says what libraries say, without control characters."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record), lines=True)


def _fail(text: str) -> int:
    import_module("streaming.cli.shell.output").print_error(text)
    return EXIT_ERROR
