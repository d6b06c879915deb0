"""Hugging Face datasets: Arrow files, mapped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any


def load() -> None:
    import datasets  # noqa: F401
    import torch  # noqa: F401


def prepare(kind: str, rows: Iterable[dict[str, Any]], folder: Path, shard_bytes: int, compression: str | None) -> None:
    import datasets
    import pyarrow as pa

    parts, part = [], []
    for row in rows:
        part.append({key: getattr(value, "tolist", lambda v=value: v)() for key, value in row.items()})
        if len(part) == 1000:
            parts.append(table(kind, part))
            part = []
    if part:
        parts.append(table(kind, part))
    datasets.Dataset(pa.concat_tables(parts)).save_to_disk(str(folder), max_shard_size=shard_bytes)


def table(kind: str, rows: list[dict[str, Any]]) -> Any:
    import pyarrow as pa

    if kind == "tokens":
        flat = pa.array([token for row in rows for token in row["tokens"]], pa.uint16())
        return pa.table({"tokens": pa.FixedSizeListArray.from_arrays(flat, 2048)})
    return pa.Table.from_pylist(rows)


def dataset(kind: str, folder: Path) -> Any:
    import datasets

    data = datasets.load_from_disk(str(folder))
    return data.with_format("numpy") if kind == "tokens" else data


def sample_at(kind: str, folder: Path) -> tuple[Callable[[int], Any], int]:
    data = dataset(kind, folder)
    if kind == "jpeg":
        from samples import decode_jpeg

        return lambda i: {"image": decode_jpeg(data[i]["image"])}, len(data)
    return data.__getitem__, len(data)


def many(kind: str, folder: Path) -> tuple[Callable[[list[int]], Any], int]:
    data = dataset(kind, folder)
    return data.__getitem__, len(data)


def epochs(kind: str, folder: Path) -> Callable[[], Iterator[Any]]:
    data = dataset(kind, folder)
    if kind == "jpeg":
        from samples import decode_jpeg

        return lambda: ({"image": decode_jpeg(row["image"])} for row in data.shuffle(seed=1))
    return lambda: iter(data.shuffle(seed=1))


def batches(kind: str, folder: Path, workers: int, size: int) -> Iterable[Any]:
    from torch.utils.data import DataLoader

    data = dataset(kind, folder)
    return DataLoader(
        data, batch_size=size, shuffle=True, drop_last=True, num_workers=workers, persistent_workers=workers > 0
    )
