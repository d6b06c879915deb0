"""English Wikipedia as text, from the 500 parts and the evaluation file that MLPerf's BERT trains on, to MDS."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from streaming.converters.programs import convert_split, make_parser, run
from streaming.core.errors import ConfigError

__all__ = ["main"]

_PART = re.compile(r"part-(\d+)-of-(\d+)")
_FILES = {"train": "part-*-of-*", "val": "eval.txt"}


def main(argv: Sequence[str] | None = None) -> None:
    """Write the splits ``train`` and ``val``: a column ``text``, a sample for each line that is not empty.

    Args:
        argv: Arguments; ``None``: those of this process.
    """
    parser = make_parser(
        "Convert the text of English Wikipedia to MDS.",
        1 << 25,
        "zstd:7",
        in_root="part-00000-of-00500 ... and eval.txt",
    )
    args = parser.parse_args(argv)
    _check_parts(args.in_root)
    for split, files in _FILES.items():
        convert_split(args, split, {"text": "str"}, os.path.join(args.in_root, files), "text", _line)


def _check_parts(in_root: str) -> None:
    names = sorted(name for name in os.listdir(in_root) if _PART.fullmatch(name))
    expected = int(names[0].rpartition("-")[2]) if names else 500
    if len(names) != expected:
        raise ConfigError(
            f"{in_root} has {len(names)} files part-NNNNN-of-NNNNN, expected {expected}. Check --in_root."
        )


def _line(row: Mapping[str, str]) -> dict[str, str] | None:
    text = row["text"].strip()
    return {"text": text} if text else None


if __name__ == "__main__":
    run(main)
