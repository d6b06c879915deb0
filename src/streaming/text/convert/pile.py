"""The Pile, from its files of JSON lines, to MDS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from streaming.converters.programs import convert_split, make_parser, run

__all__ = ["main"]

_FILES = {"train": "train/*.jsonl*", "val": "val.jsonl*", "test": "test.jsonl*"}


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
    columns = {"text": "str", "pile_set_name": "str"}
    for split, files in _FILES.items():
        convert_split(args, split, columns, f"{args.in_root.rstrip('/')}/{files}", "jsonl", _document)


def _document(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"text": row["text"], "pile_set_name": row["meta"]["pile_set_name"]}


if __name__ == "__main__":
    run(main)
