"""What the commands take that look at a dataset."""

from __future__ import annotations

from typing import Any

from streaming.cli.arguments.parser import URL, add_command, add_jobs, count

__all__ = ["add_head", "add_info", "add_ls", "add_verify"]


def add_info(commands: Any) -> None:
    """Add ``info``."""
    info = add_command(
        commands,
        "info",
        "show what a dataset consists of",
        "Reads its index alone.",
        "  streaming info /data/corpus\n  streaming info --json s3://bucket/corpus",
    )
    info.add_argument("url", metavar="URL", help=URL)


def add_head(commands: Any) -> None:
    """Add ``head``."""
    head = add_command(
        commands,
        "head",
        "show the first samples of a dataset",
        "Images, arrays and long fields are summarised;\n"
        "with --json, there is a line for each sample, with all numbers and text.",
        "  streaming head -n 2 /data/corpus\n  streaming head --start 100000 s3://bucket/corpus",
    )
    head.add_argument("url", metavar="URL", help=URL)
    head.add_argument("-n", "--num-samples", type=count, default=5, metavar="N", help="how many (default 5)")
    head.add_argument("--start", type=count, default=0, metavar="I", help="the first sample to show (default 0)")
    head.add_argument(
        "--allow-unsafe-types", action="store_true", help="unpickle columns that need it: only for data you trust"
    )


def add_verify(commands: Any) -> None:
    """Add ``verify``."""
    verify = add_command(
        commands,
        "verify",
        "check every file of a dataset",
        "Sizes, every recorded hash, decompression,\nand the offsets of all samples. Exit code 1 if anything is wrong.",
        "  streaming verify /data/corpus\n  streaming verify --decode -j 32 s3://bucket/corpus",
    )
    verify.add_argument("url", metavar="URL", help=URL)
    verify.add_argument("--decode", action="store_true", help="decode every sample, too")
    add_jobs(verify)


def add_ls(commands: Any) -> None:
    """Add ``ls``."""
    ls = add_command(
        commands,
        "ls",
        "list files, and say which directories are datasets",
        "",
        "  streaming ls s3://bucket\n  streaming ls -r /data",
    )
    ls.add_argument("url", metavar="URL", help="a directory or URL")
    ls.add_argument("-r", "--recursive", action="store_true", help="list every file below")
