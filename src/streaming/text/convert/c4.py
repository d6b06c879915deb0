"""C4, from the files of JSON lines that the Hugging Face Hub has, to MDS."""

from __future__ import annotations

from collections.abc import Sequence

from streaming.converters.programs import convert_split, make_parser, run

__all__ = ["main"]

_SPLITS = {"train": "train", "val": "validation"}
_COLUMNS = {"text": "str", "timestamp": "str", "url": "str"}


def main(argv: Sequence[str] | None = None) -> None:
    """Write the splits ``train`` and ``val``: columns ``text``, ``timestamp`` and ``url``.

    Args:
        argv: Arguments; ``None``: those of this process.
    """
    parser = make_parser("Convert C4 to MDS.", 1 << 27, "zstd:7")
    parser.add_argument(
        "--in_root",
        default="hf://datasets/allenai/c4/en",
        help="directory or URL of c4-train.*.json.gz and c4-validation.*.json.gz (default hf://datasets/allenai/c4/en)",
    )
    parser.add_argument("--batch_size", type=int, default=512, help="accepted; documents are read one by one")
    args = parser.parse_args(argv)
    for split, theirs in _SPLITS.items():
        convert_split(args, split, _COLUMNS, f"{args.in_root.rstrip('/')}/c4-{theirs}.*.json.gz", "jsonl")


if __name__ == "__main__":
    run(main)
