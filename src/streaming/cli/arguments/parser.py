"""What the parsers of all commands have in common."""

from __future__ import annotations

import argparse
import json
import re
import sys
from difflib import get_close_matches
from importlib import metadata
from typing import Any, NoReturn

__all__ = ["URL", "Parser", "Version", "add_command", "add_jobs", "add_options", "add_unsafe", "count", "positive"]

URL = "a directory, or a URL such as s3://bucket/data; its index.json may be named too"


class Parser(argparse.ArgumentParser):
    """A parser that says which command or option may have been meant."""

    def parse_known_args(  # pyright: ignore[reportIncompatibleMethodOverride] - it has overloads
        self, args: Any = None, namespace: Any = None
    ) -> Any:
        """Parse; an option that there is not is an error here, where it is known which there are."""
        parsed, rest = super().parse_known_args(args, namespace)
        unknown = next((word for word in rest if word.startswith("-")), None)
        if unknown is not None:
            self.error(f"unrecognized arguments: {unknown}{self._meant_option(unknown.partition('=')[0])}")
        return parsed, rest

    def error(self, message: str) -> NoReturn:
        """Print an error and leave.

        Args:
            message: What is wrong.
        """
        wrong = re.search(r"invalid choice: '(\S+)' \(choose from (.*)\)", message)
        words = re.findall(r"\w+", wrong[2]) if wrong else []
        super().error(message + (_meant(wrong[1], dict(zip(words, words, strict=True))) if wrong else ""))

    def _meant_option(self, word: str) -> str:
        """Return which option a word may have been, by how it is spelled, or by what others call it."""
        known = {name.lstrip("-"): name for action in self._actions for name in action.option_strings}
        others = {other: known[name] for name, words in _OTHERS.items() if name in known for other in words.split()}
        return _meant(word.lstrip("-").replace("_", "-"), {**others, **known})


#: What options are called elsewhere: by the functions of the library, and by other programs.
_OTHERS = {
    "jobs": "workers num-workers num-proc processes procs threads parallel",
    "workers": "num-workers workers-per-rank",
    "ranks": "gpus devices ranks-per-node gpus-per-node nproc-per-node",
    "nodes": "num-nodes nnodes",
    "force": "exist-ok overwrite",
    "skip": "on-error",
    "at": "version revision",
    "config": "name",
    "out": "output",
    "num-samples": "limit lines",
}


def _meant(word: str, known: dict[str, str]) -> str:
    close = get_close_matches(word, known, 1)
    return f". Did you mean {known[close[0]]!r}?" if close else ""


def add_command(commands: Any, name: str, summary: str, details: str, examples: str) -> argparse.ArgumentParser:
    """Add a command; the module of its name in ``streaming.cli.commands`` has its ``run(args) -> int``.

    Args:
        commands: What it is added to.
        name: The word that is typed.
        summary: What it does, without a capital and a full stop.
        details: More, in lines of at most 90 characters.
        examples: Lines of them, indented by two spaces.

    Returns:
        Its parser, which has ``--json`` and ``-o``; give it the other arguments.
    """
    sub: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}. {details}".strip(),
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sub.set_defaults(module=name)
    sub.add_argument("--json", action="store_true", help="print JSON instead of text")
    add_options(sub, "-o", "--storage-option", "storage_options", "setting of the store, such as region=eu-west-1")
    return sub


def add_options(parser: argparse.ArgumentParser, name: str, other: str | None, dest: str, text: str) -> None:
    """Add an option that takes ``NAME=VALUE`` and may be repeated.

    Args:
        parser: What it is added to.
        name: The option.
        other: Another name of it.
        dest: Where the dict of values goes.
        text: Its help.
    """
    names = [name] if other is None else [name, other]
    parser.add_argument(
        *names, dest=dest, metavar="NAME=VALUE", action=_Options, default={}, help=f"{text}; may be repeated"
    )


def add_jobs(parser: argparse.ArgumentParser) -> None:
    """Add ``-j``, the files at a time."""
    parser.add_argument("-j", "--jobs", type=positive, default=8, metavar="N", help="files at a time (default 8)")


def add_unsafe(parser: argparse.ArgumentParser) -> None:
    """Add ``--allow-unsafe-types``."""
    parser.add_argument(
        "--allow-unsafe-types", action="store_true", help="unpickle columns that need it: only for data you trust"
    )


class Version(argparse.Action):
    """Prints the version, looked up only when it is asked for."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        """Print it and leave."""
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


def count(text: str) -> int:
    """Parse a number from 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a number from 0, got {text!r}")
    return int(text)


def positive(text: str) -> int:
    """Parse a number from 1."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a number from 1, got {text!r}")
    return int(text)
