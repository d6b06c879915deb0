"""What the programs share that convert public data sets: their flags, and a split that is written."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np

from streaming.converting.convert import convert
from streaming.core.errors import ConfigError, StreamingError
from streaming.core.imports import optional_import
from streaming.core.text import printable
from streaming.writing.bulk.write import write

__all__ = ["convert_split", "list_files", "make_parser", "read_image", "run", "shuffled", "split_names", "write_split"]

_SEED = 0


def make_parser(
    description: str,
    size_limit: int,
    compression: str,
    *,
    in_root: str | None = None,
    out_root: str | None = None,
    splits: str | None = None,
) -> argparse.ArgumentParser:
    """Return a parser of the flags that most programs take.

    Args:
        description: What the program does.
        size_limit: Bytes of a shard, by default.
        compression: Of shards, by default; ``''``: none.
        in_root: What is in the directory that is read; ``None``: none is.
        out_root: Where to write, by default.
        splits: Those written by default; ``None``: the program has no choice of them.
    """
    parser = argparse.ArgumentParser(description=description)
    if in_root is not None:
        parser.add_argument("--in_root", required=True, help=f"directory of {in_root}")
    parser.add_argument(
        "--out_root", required=out_root is None, default=out_root, help="where to write: a directory or a URL"
    )
    if splits is not None:
        parser.add_argument("--splits", default=splits, help=f"joined by commas (default {splits})")
    parser.add_argument(
        "--compression", default=compression, help=f"of shards; '': none (default {compression or 'none'})"
    )
    parser.add_argument("--hashes", default="sha1,xxh64", help="joined by commas (default sha1,xxh64)")
    parser.add_argument("--size_limit", type=int, default=size_limit, help=f"bytes of a shard (default {size_limit})")
    parser.add_argument("--progress_bar", type=int, default=1, help="show one: 1 or 0 (default 1)")
    parser.add_argument("--leave", type=int, default=0, help="accepted; bars never stay")
    parser.add_argument("--workers", type=int, help="processes that encode (default: one for each core)")
    return parser


def run(main: Callable[[], None]) -> None:
    """Run a program; an error is told in one line.

    Args:
        main: The program.
    """
    try:
        main()
    except FileExistsError as error:
        sys.exit(f"error: {printable(str(error).partition('. ')[0])}. Choose another --out_root, or empty it.")
    except (StreamingError, OSError) as error:
        sys.exit(f"error: {printable(' '.join(str(error).split()))}")


def split_names(text: str, known: Sequence[str]) -> list[str]:
    """Return the names of a list that is joined by commas.

    Raises:
        ConfigError: One is not known.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    wrong = [name for name in names if name not in known]
    if wrong or not names:
        raise ConfigError(f"--splits {text!r}: expected some of {', '.join(known)}, joined by commas.")
    return names


def write_split(
    args: argparse.Namespace,
    split: str | None,
    columns: Mapping[str, str],
    inputs: Sequence[Any],
    fn: Callable[[Any], Mapping[str, Any]],
) -> None:
    """Write samples to a split of the output, and print what was written; a call that was killed is continued.

    Args:
        args: Flags of :func:`make_parser`.
        split: Name of the split; ``None``: the output itself.
        columns: Encoding of each column.
        inputs: What samples are made of, the same at every call.
        fn: Makes a sample of each, in the processes that encode.
    """
    print(write(inputs, _out(args, split), dict(columns), fn=fn, **_options(args)))  # noqa: T201


def convert_split(
    args: argparse.Namespace,
    split: str,
    columns: Mapping[str, str],
    source: str,
    format: str,
    fn: Callable[[Any], Mapping[str, Any] | None] | None = None,
) -> None:
    """Write the rows of files to a split of the output, as :func:`write_split` does.

    Args:
        args: Flags of :func:`make_parser`.
        split: Name of the split.
        columns: Encoding of each column.
        source: The files, as for :func:`streaming.convert`.
        format: Of them.
        fn: Makes a sample of each row, or ``None`` to leave it out.
    """
    print(  # noqa: T201
        convert(source, _out(args, split), columns=dict(columns), format=format, fn=fn, **_options(args))
    )


def _out(args: argparse.Namespace, split: str | None) -> str:
    return f"{args.out_root.rstrip('/')}/{split}" if split else args.out_root


def _options(args: argparse.Namespace) -> dict[str, Any]:
    return {
        "workers": args.workers,
        "compression": args.compression or None,
        "hashes": [name for name in args.hashes.split(",") if name],
        "size_limit": args.size_limit,
        "progress_bar": bool(getattr(args, "progress_bar", True)),
    }


def shuffled(count: int) -> list[int]:
    """Return the numbers below ``count`` in an order that is random, and the same at every call."""
    return np.random.default_rng(_SEED).permutation(count).tolist()


def read_image(path: str, validates: bool = False) -> bytes:
    """Return the file of an image, which a column of images stores as it is.

    Args:
        path: Its path.
        validates: Decode it, too.

    Raises:
        ConfigError: It is no image that can be read.
    """
    module = optional_import("PIL.Image", "vision", "Converting images")
    try:
        with open(path, "rb") as file:
            data = file.read()
        if validates:
            module.open(BytesIO(data)).load()
    except OSError as error:
        raise ConfigError(f"{path} is no image that can be read: {error}") from error
    return data


def list_files(directory: str, endings: Sequence[str], what: str) -> list[str]:
    """Return the paths of the files of a directory whose names have an ending, sorted.

    Args:
        directory: The directory.
        endings: Of names, in lower case.
        what: What they are, for the error text.

    Raises:
        ConfigError: There is none.
    """
    names = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
    found = [os.path.join(directory, name) for name in names if name.lower().endswith(tuple(endings))]
    if not found:
        raise ConfigError(f"There are no {what} ({', '.join(endings)}) in {directory}. Check --in_root.")
    return found
