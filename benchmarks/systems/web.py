"""webdataset: tar files in sequence, shuffled within a buffer of 1,000 samples."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

SUFFIXES = {"tokens": "bin", "text": "txt", "images": "jpg", "jpeg": "jpg", "small": "json", "columns": "json"}


def load() -> None:
    import torch  # noqa: F401
    import webdataset  # noqa: F401


def prepare(kind: str, rows: Iterable[dict[str, Any]], folder: Path, shard_bytes: int, compression: str | None) -> None:
    import webdataset

    folder.mkdir(parents=True)
    files = webdataset.ShardWriter(str(folder / "shard-%06d.tar"), maxsize=shard_bytes, maxcount=1 << 30, verbose=0)
    if kind == "tiny":
        files.maxcount = 16
    with files as out:
        for number, row in enumerate(rows):
            out.write({"__key__": f"{number:08}", **stored(kind, row)})


def stored(kind: str, row: dict[str, Any]) -> dict[str, bytes]:
    if kind == "tokens":
        return {"bin": row["tokens"].tobytes()}
    if kind == "text":
        return {"txt": row["text"].encode()}
    if kind == "images":
        return {"jpg": row["image"], "cls": b"%d" % row["label"]}
    if kind == "jpeg":
        return {"jpg": row["image"]}
    return {
        "json": json.dumps({key: getattr(value, "item", lambda v=value: v)() for key, value in row.items()}).encode()
    }


def value(kind: str) -> Callable[[dict[str, Any]], Any]:
    """Return the function that makes a sample of the members of a tar file."""
    if kind == "tokens":
        import numpy as np

        return lambda sample: {"tokens": np.frombuffer(bytearray(sample["bin"]), np.uint16)}
    if kind == "text":
        return lambda sample: {"text": sample["txt"].decode()}
    if kind == "images":
        return lambda sample: {"image": sample["jpg"], "label": int(sample["cls"])}
    if kind == "jpeg":
        from samples import decode_jpeg

        return lambda sample: {"image": decode_jpeg(sample["jpg"])}
    return lambda sample: json.loads(sample["json"])


def dataset(kind: str, urls: list[str]) -> Any:
    import webdataset

    data = webdataset.WebDataset(urls, shardshuffle=100, seed=1, empty_check=False)
    return data.shuffle(1000).map(value(kind))


def files(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.glob("*.tar"))


def epochs(kind: str, folder: Path) -> Callable[[], Iterator[Any]]:
    data = dataset(kind, files(folder))
    return lambda: iter(data)


def collate(rows: list[Any]) -> Any:
    from torch.utils.data import default_collate

    return default_collate(rows)


def batches(kind: str, folder: Path, workers: int, size: int) -> Iterable[Any]:
    import webdataset

    data = dataset(kind, files(folder)).batched(size, collation_fn=collate, partial=False)
    return webdataset.WebLoader(data, batch_size=None, num_workers=workers, persistent_workers=workers > 0)


def remote(kind: str, url: str, folder: Path, size: int, options: dict[str, Any]) -> Iterator[Any]:
    import webdataset

    place = url.replace("s3:/", options["endpoint"])
    urls = [f"pipe:curl -s -f {place}/{name}" for name in options["files"]]
    data = dataset(kind, urls).batched(size, collation_fn=collate)
    yield from webdataset.WebLoader(data, batch_size=None, num_workers=options["workers"])
