"""Any map-style object in memory as a source: its own samples, in our order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from streaming import Stream, StreamingDataLoader, StreamingDataset
from streaming.cache.fetching import objects
from streaming.core.errors import ConfigError, EmptyDatasetError

from copies import Later

datasets = Later("datasets")


class Squares:
    """Gives many at once only."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitems__(self, numbers: list[int]) -> list[dict[str, Any]]:
        return [{"id": i, "square": np.float32(i * i)} for i in numbers]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "_SHARD_SAMPLES", 16)


def test_samples_are_the_objects_own() -> None:
    samples = [{"a": object(), "i": i} for i in range(50)]
    dataset = StreamingDataset(source=samples, batch_size=1)
    assert list(dataset.samples_per_shard) == [16, 16, 16, 2]
    assert all(dataset[i] is samples[i] for i in range(50))
    assert [sample["i"] for sample in dataset] == list(range(50))
    assert StreamingDataset(source=Squares(20), batch_size=1)[7] == {"id": 7, "square": 49.0}
    assert StreamingDataset(source="abc", batch_size=1)[:] == ["a", "b", "c"]


def test_a_dataset_of_hugging_face_in_any_world_and_resumed() -> None:
    source = datasets.Dataset.from_dict({"id": list(range(96)), "text": [f"t{i}" for i in range(96)]})
    arguments: Any = {"source": source, "shuffle": True, "num_canonical_nodes": 1}

    def batches(size: int, workers: int, state: Any = None) -> list[list[int]]:
        found: list[list[int]] = []
        for rank in range(size):
            more: Any = {"data_parallel_rank": rank, "data_parallel_size": size}
            dataset = StreamingDataset(**arguments, **more, batch_size=4 // size)
            loader = StreamingDataLoader(dataset, batch_size=4 // size, num_workers=workers)
            if state is not None:
                loader.load_state_dict(state)
            for step, batch in enumerate(loader):
                found += [[]] * (step + 1 - len(found))
                found[step] = sorted(found[step] + batch["id"].tolist())
        return found

    alone = batches(1, 0)
    assert sorted(i for batch in alone for i in batch) == list(range(96))
    assert batches(1, 2) == batches(4, 0) == alone
    loader = StreamingDataLoader(StreamingDataset(**arguments, batch_size=4), batch_size=4)
    steps = iter(loader)
    seen = [sorted(next(steps)["id"].tolist()) for _ in range(5)]
    assert seen + batches(2, 0, loader.state_dict()) == alone


def test_mixed_and_viewed(make_dataset: Callable[..., str]) -> None:
    streams = {
        "ours": Stream(remote=make_dataset(60), proportion=1),
        "theirs": Stream(source=Squares(40), proportion=2),
    }
    mixed = StreamingDataset(streams=streams, epoch_size=90, batch_size=3, shuffle=True, cache_limit="10mb")
    assert sum("square" in sample for sample in mixed) == 60
    view = StreamingDataset(source=Squares(40), batch_size=4).take(10).map(lambda sample: sample["id"] + 1)
    assert list(view) == list(range(1, 11))


def test_samples_without_columns() -> None:
    loader = StreamingDataLoader(StreamingDataset(source=list(range(10)), batch_size=5), batch_size=5)
    assert [batch.tolist() for batch in loader] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]


def test_what_is_no_source() -> None:
    with pytest.raises(ConfigError, match="source must have __len__"):
        StreamingDataset(source=iter([1]), batch_size=1)
    for odd, words in (
        ("s3://lake/x", r"source='s3://lake/x' is a text, .* Give a path or URL as `remote`"),
        (datasets.DatasetDict(train=datasets.Dataset.from_dict({"id": [1]})), r"keys 'train', .* such as a split"),
        (pa.table({"id": [1]}), "a Table, which has no row under a number"),
        (pa.table({"id": [1]}).to_pandas(), "a DataFrame, which has no row under a number"),
    ):
        with pytest.raises(ConfigError, match=words):
            StreamingDataset(source=odd, batch_size=1)
    with pytest.raises(EmptyDatasetError, match="has no samples"):
        StreamingDataset(source=[], batch_size=1)
    with pytest.raises(ConfigError, match="either `source`"):
        Stream(source=[1], remote="x")
    with pytest.raises(ConfigError, match="both were given"):
        StreamingDataset(source=[1], remote="x", batch_size=1)
    with pytest.raises(ConfigError, match="Choose in it"):
        StreamingDataset(source=Squares(3), columns=["id"], batch_size=1)
    with pytest.raises(IndexError):
        StreamingDataset(source=Squares(3), batch_size=1)[3]
