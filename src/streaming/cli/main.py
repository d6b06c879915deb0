"""Parsing, dispatch, and errors as one line each."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module, metadata
from typing import Any

from streaming.core.errors import StreamingError

__all__ = ["main"]

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130

_URL = "a directory, or a URL such as s3://bucket/data; its index.json may be named too"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: Arguments; ``None``: those of this process.

    Returns:
        The exit code: 0, or 1 if a verification found damage, or 2 for an error.
    """
    args = _parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="streaming: %(message)s", stream=sys.stderr)
    try:
        code = import_module(f"streaming.cli.{args.module}").run(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has enough. Nothing more may be written to it, not even when we exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (StreamingError, OSError) as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        _fail("interrupted")
        return EXIT_INTERRUPTED
    return code


def _fail(text: str) -> int:
    print(f"streaming: error: {' '.join(text.split())}", file=sys.stderr)  # noqa: T201
    return EXIT_ERROR


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="streaming",
        description="Look at, check, merge and copy streaming datasets, on disk or in any store.",
        epilog="`streaming COMMAND --help` explains a command. Exit codes: 0 fine, 1 verify found damage, 2 error.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, module: str, summary: str, details: str = "") -> argparse.ArgumentParser:
        sub = commands.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}. {details}".strip(),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.set_defaults(module=module)
        sub.add_argument("--json", action="store_true", help="print JSON instead of text")
        sub.add_argument(
            "-o",
            "--storage-option",
            dest="storage_options",
            metavar="NAME=VALUE",
            action=_Options,
            default={},
            help="setting of the store, such as region=eu-west-1; may be repeated",
        )
        return sub

    info = command("info", "info", "show what a dataset consists of", "Reads its index alone.")
    info.add_argument("url", metavar="URL", help=_URL)

    head = command(
        "head", "head", "show the first samples of a dataset", "Images, arrays and long fields are summarised."
    )
    head.add_argument("url", metavar="URL", help=_URL)
    head.add_argument("-n", "--num-samples", type=_count, default=5, metavar="N", help="how many (default 5)")
    head.add_argument("--start", type=_count, default=0, metavar="I", help="the first sample to show (default 0)")
    head.add_argument(
        "--allow-unsafe-types", action="store_true", help="unpickle columns that need it: only for data you trust"
    )

    verify = command(
        "verify",
        "verify",
        "check every file of a dataset",
        "Sizes, every recorded hash, decompression, and the offsets of all samples. Exit code 1 if anything is wrong.",
    )
    verify.add_argument("url", metavar="URL", help=_URL)
    verify.add_argument("--decode", action="store_true", help="decode every sample, too")
    _add_jobs(verify)

    merge = command(
        "merge",
        "merge",
        "write one index for several datasets",
        "Shards stay where they are.\n\n"
        "  streaming merge ROOT                 every dataset in the directories below ROOT\n"
        "  streaming merge PART PART --out ROOT these, in this order; they should be below ROOT",
    )
    merge.add_argument("urls", metavar="URL", nargs="+", help=_URL)
    merge.add_argument("--out", metavar="ROOT", help="where the merged index goes")

    copy = command(
        "copy",
        "copy",
        "copy a dataset",
        "Files that are there already, with the right size, are left out, so an interrupted copy can be repeated. "
        "Hashes\nare checked on the way, and the index comes last.",
    )
    copy.add_argument("source", metavar="FROM", help=_URL)
    copy.add_argument("target", metavar="TO", help="a directory or URL")
    copy.add_argument("--force", action="store_true", help="copy every file, and replace another dataset at TO")
    _add_jobs(copy)

    ls = command("ls", "ls", "list files, and say which directories are datasets")
    ls.add_argument("url", metavar="URL", help="a directory or URL")
    ls.add_argument("-r", "--recursive", action="store_true", help="list every file below")
    return parser


def _add_jobs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-j", "--jobs", type=_positive, default=8, metavar="N", help="files at a time (default 8)")


class _Version(argparse.Action):
    """Prints the version, looked up only when it is asked for."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        sys.stdout.write(f"streaming {metadata.version('streaming-dataset')}\n")
        parser.exit()


class _Options(argparse.Action):
    """Collects NAME=VALUE; a value that is JSON, such as ``true``, is taken as that."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        name, equals, text = str(values).partition("=")
        if not (name and equals):
            parser.error(f"argument {option_string}: expected NAME=VALUE")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        setattr(namespace, self.dest, {**getattr(namespace, self.dest), name: value})


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a number from 0, got {text!r}")
    return int(text)


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a number from 1, got {text!r}")
    return int(text)
