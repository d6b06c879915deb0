"""C4, as the Hugging Face Hub has it, to MDS."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from streaming.converters.programs import make_parser, run, write_split
from streaming.core.imports import optional_import

__all__ = ["main"]

_SPLITS = {"train": "train", "val": "validation"}


def main(argv: Sequence[str] | None = None) -> None:
    """Write the splits ``train`` and ``val``: columns ``text``, ``timestamp`` and ``url``.

    Args:
        argv: Arguments; ``None``: those of this process.
    """
    parser = make_parser("Convert C4 to MDS.", 1 << 27, "zstd:7")
    parser.add_argument("--dataset", default="allenai/c4", help="on the hub, or a directory (default allenai/c4)")
    parser.add_argument("--subset", default="en", help="of the data set; '': its only one (default en)")
    parser.add_argument("--batch_size", type=int, default=512, help="accepted; documents are read one by one")
    args = parser.parse_args(argv)
    module = optional_import("datasets", "text", "Converting C4")
    for split, theirs in _SPLITS.items():
        documents = module.load_dataset(args.dataset, args.subset or None, split=theirs, streaming=True)
        write_split(args, split, {"text": "str", "timestamp": "str", "url": "str"}, _samples(documents))


def _samples(documents: Any) -> Iterator[dict[str, Any]]:
    for document in documents:
        time = document["timestamp"]
        text = time if isinstance(time, str) else time.strftime("%Y-%m-%dT%H:%M:%SZ")
        yield {"text": document["text"], "timestamp": text, "url": document["url"]}


if __name__ == "__main__":
    run(main)
