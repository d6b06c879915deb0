"""`streaming`, in whichever environment this runs: this library's or the original's. The calls are the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from samples import COLUMNS


def load() -> None:
    from streaming import MDSWriter, StreamingDataLoader, StreamingDataset  # noqa: F401


def dataset(folder: Path, **kwargs: Any) -> Any:
    """Open a dataset; one of compressed shards from a folder in which they are decompressed, as they are after an epoch."""
    from streaming import StreamingDataset

    opened = folder.with_name(f"{folder.name}-opened")
    places = {"remote": str(folder), "local": str(opened)} if opened.exists() else {"local": str(folder)}
    return StreamingDataset(**places, batch_size=256, num_canonical_nodes=1, **kwargs)


def prepare(kind: str, rows: Iterable[dict[str, Any]], folder: Path, shard_bytes: int, compression: str | None) -> None:
    write(kind, decoded(kind, rows), folder, shard_bytes, compression)
    if compression:
        from streaming import StreamingDataset

        opened = folder.with_name(f"{folder.name}-opened")
        data = StreamingDataset(remote=str(folder), local=str(opened), batch_size=256, num_canonical_nodes=1)
        first = 0
        for shard in json.loads((folder / "index.json").read_text())["shards"]:
            data[first]
            first += shard["samples"]


def decoded(kind: str, rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    if kind != "jpeg":
        yield from rows
        return
    from samples import decode_jpeg

    for row in rows:
        yield {"image": decode_jpeg(row["image"])}


def write(kind: str, rows: Iterable[dict[str, Any]], folder: Path, shard_bytes: int, compression: str | None) -> None:
    from streaming import MDSWriter

    with MDSWriter(
        out=str(folder), columns=COLUMNS[kind], size_limit=shard_bytes, compression=compression, progress_bar=False
    ) as out:
        for row in rows:
            out.write(row)


def sample_at(kind: str, folder: Path) -> tuple[Callable[[int], Any], int]:
    data = dataset(folder)
    return data.__getitem__, data.size


def many(kind: str, folder: Path) -> tuple[Callable[[list[int]], Any], int]:
    data = dataset(folder)
    return data.__getitem__, data.size


def epochs(kind: str, folder: Path) -> Callable[[], Iterator[Any]]:
    data = dataset(folder, shuffle=True)
    return lambda: iter(data)


def batches(kind: str, folder: Path, workers: int, size: int) -> Iterable[Any]:
    from streaming import StreamingDataLoader

    data = dataset(folder, shuffle=True)
    return StreamingDataLoader(data, batch_size=size, num_workers=workers, persistent_workers=workers > 0)


def open_index(folder: Path) -> Any:
    from streaming import StreamingDataset

    return StreamingDataset(local=str(folder), batch_size=256, num_canonical_nodes=1, shuffle=True)


def remote(kind: str, url: str, folder: Path, size: int, options: dict[str, Any]) -> Iterator[Any]:
    import os

    from streaming import StreamingDataLoader, StreamingDataset

    if not url.startswith("http:"):
        os.environ["S3_ENDPOINT_URL"] = options["endpoint"]
    limits = {key: options[key] for key in ("cache_limit", "shuffle_block_size") if key in options}
    data = StreamingDataset(remote=url, local=str(folder), batch_size=size, shuffle=True, **limits)
    yield from StreamingDataLoader(data, batch_size=size, num_workers=options["workers"])


def order(samples: int, begin: int) -> dict[str, float]:
    from importlib.util import find_spec

    import cost

    is_ours = find_spec("streaming.order") is not None
    found = cost.measure_ours("lanes", samples, begin) if is_ours else cost.measure_original(samples, begin)
    return {"wall": found["first_s"], "mb": found["mb"]}
