"""What the commands take that look at a dataset."""

from __future__ import annotations

from typing import Any

from streaming.cli.arguments.parser import URL, add_command, add_jobs, add_unsafe, count, positive

__all__ = ["add_cat", "add_head", "add_info", "add_ls", "add_stats", "add_verify"]


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
        "with --json, there is a line for each sample, with all of them: arrays as lists, bytes and\n"
        "images in base 64.",
        "  streaming head -n 2 /data/corpus\n  streaming head --start 100000 s3://bucket/corpus",
    )
    head.add_argument("url", metavar="URL", help=URL)
    head.add_argument("-n", "--num-samples", type=count, default=5, metavar="N", help="how many (default 5)")
    head.add_argument("--start", type=count, default=0, metavar="I", help="the first sample to show (default 0)")
    add_unsafe(head)


def add_cat(commands: Any) -> None:
    """Add ``cat``."""
    cat = add_command(
        commands,
        "cat",
        "write one field of one sample to standard output or a file",
        "Text and bytes are\nwritten as they are, an image as its file, an array as .npy, anything else as JSON.",
        "  streaming cat /data/photos 17 image --out 17.jpg\n  streaming cat s3://bucket/corpus 0 text | less",
    )
    cat.add_argument("url", metavar="URL", help=URL)
    cat.add_argument("index", metavar="INDEX", type=count, help="number of the sample, from 0")
    cat.add_argument("field", metavar="FIELD", help="name of the column")
    cat.add_argument("--out", metavar="FILE", help="the file to write; a path or a URL")
    add_unsafe(cat)


def add_stats(commands: Any) -> None:
    """Add ``stats``."""
    stats = add_command(
        commands,
        "stats",
        "show what the values of each column are like",
        "Nulls, the range and mean of\nnumbers and lengths, shapes, how often each class comes. Reads some shards, spread\n"
        "evenly, or all.",
        "  streaming stats /data/photos --all\n  streaming stats s3://bucket/corpus --columns tokens --json",
    )
    stats.add_argument("url", metavar="URL", help=URL)
    stats.add_argument("--columns", metavar="LIST", help="these columns alone, joined by commas")
    stats.add_argument("--shards", type=positive, default=8, metavar="N", help="how many shards to read (default 8)")
    stats.add_argument("--all", action="store_true", help="read all shards")
    add_unsafe(stats)
    add_jobs(stats)


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
