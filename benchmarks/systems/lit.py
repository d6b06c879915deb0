"""litdata."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any


def load() -> None:
    import litdata  # noqa: F401


def prepare(kind: str, rows: Iterable[dict[str, Any]], folder: Path, shard_bytes: int, compression: str | None) -> None:
    """Write without compression: it would decompress every chunk again in every epoch."""
    from litdata.streaming.writer import BinaryWriter

    folder.mkdir(parents=True)
    size = {"chunk_size": 16} if kind == "tiny" else {"chunk_bytes": shard_bytes}
    writer = BinaryWriter(str(folder), **size)
    for number, row in enumerate(rows):
        writer[number] = row
    writer.done()
    writer.merge()


def dataset(folder: Path, **kwargs: Any) -> Any:
    from litdata import StreamingDataset

    return StreamingDataset(str(folder), **kwargs)


def decoded(kind: str, samples: Iterator[Any]) -> Iterator[Any]:
    if kind != "jpeg":
        return samples
    from samples import decode_jpeg

    return ({"image": decode_jpeg(sample["image"])} for sample in samples)


def sample_at(kind: str, folder: Path) -> tuple[Callable[[int], Any], int]:
    data = dataset(folder)
    if kind == "jpeg":
        from samples import decode_jpeg

        return lambda i: {"image": decode_jpeg(data[i]["image"])}, len(data)
    return data.__getitem__, len(data)


def epochs(kind: str, folder: Path) -> Callable[[], Iterator[Any]]:
    data = dataset(folder, shuffle=True)
    return lambda: decoded(kind, iter(data))


def batches(kind: str, folder: Path, workers: int, size: int) -> Iterable[Any]:
    from litdata import StreamingDataLoader

    data = dataset(folder, shuffle=True)
    return StreamingDataLoader(
        data,
        batch_size=size,
        num_workers=workers,
        persistent_workers=workers > 0,
        **({"collate_fn": collate_bytes} if kind == "images" else {}),
    )


def collate_bytes(samples: list[dict[str, Any]]) -> dict[str, Any]:
    """Make bytes of views of a mapped file, which no worker can send."""
    from torch.utils.data import default_collate

    return default_collate([{**sample, "image": bytes(sample["image"])} for sample in samples])


def remote(kind: str, url: str, folder: Path, size: int, options: dict[str, Any]) -> Iterator[Any]:
    from litdata import StreamingDataLoader, StreamingDataset

    with contextlib.suppress(ImportError, AttributeError):
        # None of its options lets its client speak to a server without TLS.
        from litdata.streaming import downloader

        downloader._OBSTORE_CLIENT_OPTIONS["allow_http"] = True
    data = StreamingDataset(
        url,
        cache_dir=str(folder),
        shuffle=True,
        storage_options={"endpoint_url": options["endpoint"]},
        **({"max_cache_size": options["cache_limit"]} if "cache_limit" in options else {}),
    )
    yield from StreamingDataLoader(data, batch_size=size, num_workers=options["workers"])
