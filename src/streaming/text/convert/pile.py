"""The Pile, from its files of JSON lines, to MDS."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from typing import Any

import zstandard

from streaming.converters.programs import list_files, make_parser, run, write_split
from streaming.core.errors import ConfigError

__all__ = ["main"]

_ENDINGS = [".jsonl", ".jsonl.zst"]


def main(argv: Sequence[str] | None = None) -> None:
    """Write the splits ``train``, ``val`` and ``test``: columns ``text`` and ``pile_set_name``.

    Args:
        argv: Arguments; ``None``: those of this process.
    """
    parser = make_parser(
        "Convert the Pile to MDS.",
        1 << 27,
        "zstd:16",
        in_root="train/*.jsonl, val.jsonl and test.jsonl (or .jsonl.zst)",
    )
    args = parser.parse_args(argv)
    for split, paths in (
        ("train", list_files(os.path.join(args.in_root, "train"), _ENDINGS, "files")),
        ("val", _one(args.in_root, "val")),
        ("test", _one(args.in_root, "test")),
    ):
        write_split(args, split, {"text": "str", "pile_set_name": "str"}, _samples(paths))


def _one(in_root: str, split: str) -> list[str]:
    found = [path for path in list_files(in_root, _ENDINGS, "files") if os.path.basename(path).startswith(f"{split}.")]
    if not found:
        raise ConfigError(f"There is no {split}.jsonl in {in_root}. Check --in_root.")
    return found[:1]


def _samples(paths: list[str]) -> Iterator[dict[str, Any]]:
    for path in paths:
        opener: Any = zstandard.open if path.endswith(".zst") else open
        with opener(path, "rt", encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                try:
                    document = json.loads(line)
                    yield {"text": document["text"], "pile_set_name": document["meta"]["pile_set_name"]}
                except (ValueError, KeyError, TypeError) as error:
                    raise ConfigError(f"{path}, line {number}: no document of the Pile ({error!r}).") from error


if __name__ == "__main__":
    run(main)
