"""What each command takes, and its help."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import metadata
from typing import Any, NoReturn

__all__ = ["parse_arguments"]

_URL = "a directory, or a URL such as s3://bucket/data; its index.json may be named too"


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line.

    Args:
        argv: Arguments; ``None``: those of this process.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    if words[:2] == ["view", "make"]:  # one command of two words
        words[:2] = [" ".join(words[:2])]
    return _make_parser().parse_args(words)


def _make_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="streaming",
        description="Look at, check, merge and copy streaming datasets, on disk or in any store.",
        epilog="`streaming COMMAND --help` explains a command, with examples. Exit codes: 0 fine, 1 verify found damage, "
        "2 error, 130 interrupted.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_info(commands)
    _add_head(commands)
    _add_verify(commands)
    _add_merge(commands)
    _add_copy(commands)
    _add_index(commands)
    _add_view(commands)
    _add_ls(commands)
    return parser


class _Parser(argparse.ArgumentParser):
    """A parser that says which command may have been meant."""

    def error(self, message: str) -> NoReturn:
        wrong = re.search(r"invalid choice: '(\S+)' \(choose from (.*)\)", message)
        close = get_close_matches(wrong[1], re.findall(r"\w+", wrong[2]), 1) if wrong else []
        super().error(f"{message}. Did you mean {close[0]!r}?" if close else message)


def _add(commands: Any, name: str, summary: str, details: str, examples: str) -> argparse.ArgumentParser:
    sub: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}. {details}".strip(),
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sub.set_defaults(module=name)
    sub.add_argument("--json", action="store_true", help="print JSON instead of text")
    _add_options(sub, "-o", "--storage-option", "storage_options", "setting of the store, such as region=eu-west-1")
    return sub


def _add_info(commands: Any) -> None:
    info = _add(
        commands,
        "info",
        "show what a dataset consists of",
        "Reads its index alone.",
        "  streaming info /data/corpus\n  streaming info --json s3://bucket/corpus",
    )
    info.add_argument("url", metavar="URL", help=_URL)


def _add_head(commands: Any) -> None:
    head = _add(
        commands,
        "head",
        "show the first samples of a dataset",
        "Images, arrays and long fields are summarised;\n"
        "with --json, there is a line for each sample, with all numbers and text.",
        "  streaming head -n 2 /data/corpus\n  streaming head --start 100000 s3://bucket/corpus",
    )
    head.add_argument("url", metavar="URL", help=_URL)
    head.add_argument("-n", "--num-samples", type=_count, default=5, metavar="N", help="how many (default 5)")
    head.add_argument("--start", type=_count, default=0, metavar="I", help="the first sample to show (default 0)")
    head.add_argument(
        "--allow-unsafe-types", action="store_true", help="unpickle columns that need it: only for data you trust"
    )


def _add_verify(commands: Any) -> None:
    verify = _add(
        commands,
        "verify",
        "check every file of a dataset",
        "Sizes, every recorded hash, decompression,\nand the offsets of all samples. Exit code 1 if anything is wrong.",
        "  streaming verify /data/corpus\n  streaming verify --decode -j 32 s3://bucket/corpus",
    )
    verify.add_argument("url", metavar="URL", help=_URL)
    verify.add_argument("--decode", action="store_true", help="decode every sample, too")
    _add_jobs(verify)


def _add_merge(commands: Any) -> None:
    merge = _add(
        commands,
        "merge",
        "write one index for several datasets",
        "Shards stay where they are.\n\n"
        "  ROOT                  every dataset in the directories below it\n"
        "  PART ... --out ROOT   these, in this order; they should be below ROOT",
        "  streaming merge /data/corpus\n"
        "  streaming merge s3://bucket/all/2023 s3://bucket/all/2024 --out s3://bucket/all",
    )
    merge.add_argument("urls", metavar="URL", nargs="+", help=_URL)
    merge.add_argument("--out", metavar="ROOT", help="where the merged index goes")


def _add_copy(commands: Any) -> None:
    copy = _add(
        commands,
        "copy",
        "copy a dataset",
        "Hashes are checked on the way, and the index comes last, so that\n"
        "nobody reads half a dataset. A copy that was stopped continues when the command is\n"
        "repeated: files that are complete at TO are left out.",
        "  streaming copy /data/corpus s3://bucket/corpus\n"
        "  streaming copy sftp://me@host/corpus gs://bucket/corpus --from-option key_file=key",
    )
    copy.add_argument("source", metavar="FROM", help=_URL)
    copy.add_argument("target", metavar="TO", help="a directory or URL")
    copy.add_argument(
        "--force",
        action="store_true",
        help="copy every file, and replace another dataset, or other files, at TO",
    )
    _add_options(copy, "--from-option", None, "from_options", "setting of the store of FROM alone")
    _add_options(copy, "--to-option", None, "to_options", "setting of the store of TO alone")
    _add_jobs(copy)


def _add_index(commands: Any) -> None:
    index = _add(
        commands,
        "index",
        "write columns of a dataset to a Parquet file, for SQL",
        "A row a sample,\nin their order. Every shard is read once. A run that was stopped continues when\n"
        "the command is repeated.",
        "  streaming index /data/corpus --columns 'source,n_tokens=len(tokens)' --beside\n"
        "  streaming index s3://bucket/corpus --columns age,sex --out s3://bucket/index",
    )
    index.add_argument("url", metavar="URL", help=_URL)
    index.add_argument(
        "--columns",
        required=True,
        metavar="LIST",
        help="columns or len(column), joined by commas; NAME= before one names it",
    )
    index.add_argument(
        "--out", metavar="PLACE", help="a directory or URL for columns.parquet, or a name ending in .parquet"
    )
    index.add_argument("--beside", action="store_true", help="write columns.parquet beside the dataset's index.json")
    index.add_argument("-j", "--jobs", type=_positive, metavar="N", help="processes (default: one for each core)")


def _add_view(commands: Any) -> None:
    view = _add(
        commands,
        "view",
        "show what a saved view keeps, or which there are",
        "A directory's views are\nthe files below it that end with .view. No dataset is asked.",
        "  streaming view s3://bucket/views/old.view\n  streaming view /data/views",
    )
    view.set_defaults(module="views.show")
    view.add_argument("url", metavar="URL", help="the file of a view, or a directory; a path or a URL")
    make = _add(
        commands,
        "view make",
        "save which samples of a dataset a condition is true for",
        "Reads the index and\nthe side columns, which `streaming index` makes; nothing is written but OUT.",
        "  streaming view make /data/notes --where 'age > 60' --out old.view\n"
        "  streaming view make s3://bucket/notes --where \"sex = 'F'\" --out s3://mine/women.view\\\n"
        "      --side-columns s3://mine/columns.parquet",
    )
    make.set_defaults(module="views.make")
    make.add_argument("url", metavar="URL", help=_URL)
    make.add_argument("--where", required=True, metavar="SQL", help="what follows WHERE, over the side columns")
    make.add_argument(
        "--out", required=True, metavar="OUT", help="the file to write, such as NAME.view; a path or a URL"
    )
    make.add_argument(
        "--side-columns", metavar="PLACE", help="the file of them (default: columns.parquet beside the index)"
    )


def _add_ls(commands: Any) -> None:
    ls = _add(
        commands,
        "ls",
        "list files, and say which directories are datasets",
        "",
        "  streaming ls s3://bucket\n  streaming ls -r /data",
    )
    ls.add_argument("url", metavar="URL", help="a directory or URL")
    ls.add_argument("-r", "--recursive", action="store_true", help="list every file below")


def _add_options(parser: argparse.ArgumentParser, name: str, other: str | None, dest: str, text: str) -> None:
    names = [name] if other is None else [name, other]
    parser.add_argument(
        *names, dest=dest, metavar="NAME=VALUE", action=_Options, default={}, help=f"{text}; may be repeated"
    )


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
