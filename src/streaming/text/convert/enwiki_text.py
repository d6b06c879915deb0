"""English Wikipedia as text, from the 500 parts and the evaluation file that MLPerf's BERT trains on, to MDS."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence

from streaming.converters.programs import make_parser, run, write_split
from streaming.core.errors import ConfigError

__all__ = ["main"]

_PART = re.compile(r"part-(\d+)-of-(\d+)")


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
    for split, paths in (("train", _parts(args.in_root)), ("val", [os.path.join(args.in_root, "eval.txt")])):
        write_split(args, split, {"text": "str"}, _samples(paths))


def _parts(in_root: str) -> list[str]:
    names = sorted(name for name in os.listdir(in_root) if _PART.fullmatch(name))
    expected = int(names[0].rpartition("-")[2]) if names else 500
    if len(names) != expected:
        raise ConfigError(
            f"{in_root} has {len(names)} files part-NNNNN-of-NNNNN, expected {expected}. Check --in_root."
        )
    return [os.path.join(in_root, name) for name in names]


def _samples(paths: list[str]) -> Iterator[dict[str, str]]:
    for path in paths:
        with open(path, encoding="utf-8") as file:
            for line in file:
                if text := line.strip():
                    yield {"text": text}


if __name__ == "__main__":
    run(main)
