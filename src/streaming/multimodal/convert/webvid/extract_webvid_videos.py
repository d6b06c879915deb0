"""The videos of an MDS dataset as files of their own, and a dataset that says where each is."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from typing import Any

from streaming.converters.programs import run
from streaming.dataset.local import LocalDataset
from streaming.multimodal.convert.webvid.crawl_webvid import COLUMNS
from streaming.writing.bulk.write import write

__all__ = ["main"]

_A_FOLDER = 1000


def main(argv: Sequence[str] | None = None) -> None:
    """Write a dataset with ``content_path``, such as ``000/017.mp4``, in the place of ``content``, and those files.

    Args:
        argv: Arguments; ``None``: those of this process.
    """
    parser = ArgumentParser(description="Take the videos out of an MDS dataset of WebVid.")
    parser.add_argument("--in", dest="dataset", required=True, help="directory of the dataset with videos")
    parser.add_argument("--out_mds", required=True, help="where the dataset without them goes: a directory or a URL")
    parser.add_argument("--out_mp4", required=True, help="directory of the videos")
    parser.add_argument("--compression", default="zstd:16", help="of shards; '': none (default zstd:16)")
    parser.add_argument("--hashes", default="sha1,xxh3_64", help="joined by commas (default sha1,xxh3_64)")
    parser.add_argument("--size_limit", type=int, default=1 << 25, help="bytes of a shard (default 33554432)")
    args = parser.parse_args(argv)
    columns = {name: encoding for name, encoding in COLUMNS.items() if name != "content"}
    report = write(
        _samples(args.dataset, args.out_mp4),
        args.out_mds,
        {**columns, "content_path": "str"},
        compression=args.compression or None,
        hashes=[name for name in args.hashes.split(",") if name],  # pyright: ignore[reportArgumentType]
        size_limit=args.size_limit,
    )
    print(report)  # noqa: T201


def _samples(path: str, out_mp4: str) -> Iterator[dict[str, Any]]:
    dataset: LocalDataset[Any] = LocalDataset(path)
    for number in range(len(dataset)):
        sample = dict(dataset[number])
        name = f"{number // _A_FOLDER:03}/{number % _A_FOLDER:03}.mp4"
        _keep(os.path.join(out_mp4, name), sample.pop("content"))
        yield {**sample, "content_path": name}


def _keep(path: str, content: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    part = f"{path}.part"
    with open(part, "wb") as file:
        file.write(content)
    os.replace(part, path)


if __name__ == "__main__":
    run(main)
