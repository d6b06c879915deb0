"""Samples that do not make a batch: which column, why, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from streaming import LocalDataset, MDSWriter, StreamingDataLoader, StreamingDataset

N = 8

COLUMNS: dict[str, tuple[str, Callable[[int], Any], str, type[Exception]]] = {
    "images": ("png", lambda i: Image.new("RGB", (3, 3 + i)), "'x' holds images", TypeError),
    "ragged arrays": ("ndarray:int32", lambda i: np.zeros(i + 1, np.int32), "of different shapes", RuntimeError),
    "ragged lists": ("json", lambda i: [0] * (i + 1), "lists of different lengths", RuntimeError),
    "nulls": ("json", lambda i: None if i % 2 else 1, "'x' is None in 2 of 4 samples", TypeError),
    "unequal keys": ("json", lambda i: {"a" if i % 2 else "b": 1}, "'x' holds dicts: column 'b' is missing", KeyError),
    "mixed": ("json", lambda i: "a" if i % 2 else {"b": 1}, "'x' holds dict, str", TypeError),
}


class Bare(StreamingDataset):
    """Samples that are no dicts."""

    def __getitem__(self, at: Any) -> Any:
        return super().__getitem__(at)["x"]


class Uneven(StreamingDataset):
    """Samples with other columns."""

    def get_item(self, sample_id: int, retry: int = 7) -> Any:
        sample = super().get_item(sample_id)
        return {**sample, "more": 1} if sample_id % 2 else sample


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("workers", [0, 1])
def test_a_column_that_does_not_collate(tmp_path: Path, name: str, workers: int) -> None:
    encoding, value, text, kind = COLUMNS[name]
    if workers and name not in ("images", "ragged arrays"):
        return
    with MDSWriter(out=str(tmp_path / "a"), columns={"id": "int", "x": encoding}) as out:
        for i in range(N):
            out.write({"id": i, "x": value(i)})
    data = StreamingDataset(local=str(tmp_path / "a"), batch_size=4)
    with pytest.raises(kind, match=text) as error:
        list(StreamingDataLoader(data, batch_size=4, num_workers=workers))
    assert "collate_fn" in str(error.value)
    if not workers:
        assert error.value.__cause__ is not None or "missing" in str(error.value)
    whole = StreamingDataLoader(data, batch_size=4, num_workers=workers, collate_fn=list)
    assert sum(len(batch) for batch in whole) == N


def test_samples_of_ones_own(tmp_path: Path) -> None:
    with MDSWriter(out=str(tmp_path), columns={"x": "ndarray:int32"}) as out:
        for i in range(N):
            out.write({"x": np.zeros(i + 1, np.int32)})
    local = str(tmp_path)
    for data, text in [
        (Bare(local=local, batch_size=4), "The samples holds? arrays of different shapes"),
        (LocalDataset(local), "'x' holds arrays of different shapes"),
    ]:
        with pytest.raises(RuntimeError, match=text):
            list(StreamingDataLoader(data, batch_size=4))


def test_samples_of_other_columns(tmp_path: Path) -> None:
    """``default_collate`` alone leaves out what the first sample has not."""
    with MDSWriter(out=str(tmp_path), columns={"x": "int"}) as out:
        for i in range(N):
            out.write({"x": i})
    with pytest.raises(KeyError, match="'more' is missing in 2 of 4 samples"):
        list(StreamingDataLoader(Uneven(local=str(tmp_path), batch_size=4), batch_size=4))


def test_an_error_of_a_function_of_ones_own(tmp_path: Path) -> None:
    with MDSWriter(out=str(tmp_path), columns={"x": "int"}) as out:
        out.write({"x": 1})
    data = StreamingDataset(local=str(tmp_path), batch_size=1)
    with pytest.raises(ZeroDivisionError):
        list(StreamingDataLoader(data, batch_size=1, collate_fn=lambda samples: 1 / 0))
