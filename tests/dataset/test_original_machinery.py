"""What user code has of a dataset beyond samples, as code written against the original uses it."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import DataLoader, get_worker_info

from streaming import LocalDataset, Stream, StreamingDataset
from streaming.base.batching import batching_methods

Make = Callable[..., str]


def test_tables_are_made_once(make_dataset: Make) -> None:
    parts = [make_dataset(30, name) for name in ("a", "b")]
    data = StreamingDataset(streams=[Stream(local=part) for part in parts], batch_size=4)
    assert data.shards is data.shards
    assert data.spanner is data.spanner
    assert data.shards[0] is data.shards[0]
    assert isinstance(data.shards, Sequence)
    assert len(data.shards) == data.num_shards == len(list(data.shards))
    assert data.shards[-1] is data.shards[data.num_shards - 1]
    assert data.shards[::-1] == list(data.shards)[::-1]
    with pytest.raises(IndexError):
        data.shards[data.num_shards]
    for index in (0, 29, 30, 59):
        shard, place = data.spanner[index]
        assert data.shards[shard].dirname == parts[index // 30]
        assert data.shards[shard][place] == data[index]
    assert [reader.samples for reader in data.shards] == data.samples_per_shard.tolist()


def test_tables_stay_behind_when_a_dataset_travels(make_dataset: Make) -> None:
    data = LocalDataset(make_dataset(30))
    assert data.shards is data.shards
    before = len(pickle.dumps(data))
    assert data.shards[0][0] == data[0]
    assert len(pickle.dumps(data)) <= before
    again = pickle.loads(pickle.dumps(data))
    assert again.shards[0][0] == data[0]


def test_a_reader_of_very_many(make_dataset: Make, tmp_path: Path) -> None:
    """Asking for one does not make the others."""
    source = Path(make_dataset(20))
    index = json.loads((source / "index.json").read_text())
    index["shards"] = index["shards"][:1] * 20_000
    (source / "index.json").write_text(json.dumps(index))
    data = LocalDataset(str(source))
    assert data.shards[19_999][0] == data[0]
    assert len(data.shards._made) == 1  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("_get_work", "epoch_work"),
        ("_resume_incr_epoch", "load_state_dict"),
        ("_unique_rank_world", "World.detect"),
        ("_each_sample_id", r"super\(\).__iter__"),
    ],
)
def test_the_originals_machinery_is_named(make_dataset: Make, name: str, instead: str) -> None:
    data = StreamingDataset(local=make_dataset(20), batch_size=4)
    assert not hasattr(data, name)
    with pytest.raises(AttributeError, match=f"{name}.*belongs to how mosaicml-streaming iterates.*{instead}"):
        getattr(data, name)
    with pytest.raises(AttributeError, match="has no attribute 'other'$"):
        data.other


def test_an_iterator_of_the_originals(make_dataset: Make) -> None:
    """Its class is told when it is defined, and its user when it is iterated."""
    with pytest.warns(
        UserWarning, match=r"Theirs.__iter__ uses _unique_rank_world, _resume_incr_epoch, _get_work"
    ) as seen:

        class Theirs(StreamingDataset):
            def __iter__(self) -> Any:
                self.worker_world = self._unique_rank_world.detect_workers()
                epoch, sample = self._resume_incr_epoch()
                for index in self._get_work(epoch, sample):
                    yield self[index]

    assert len(seen) == 1
    with pytest.raises(AttributeError, match="Instead: "):
        next(iter(Theirs(local=make_dataset(20), batch_size=4)))
    with pytest.warns(UserWarning, match="overrides _get_work"):

        class Overrides(StreamingDataset):
            def _get_work(self, epoch: int, sample: int) -> Any:
                return []

            def __iter__(self) -> Any:
                return iter(self._get_work(0, 0))

    assert list(Overrides(local=make_dataset(20, "b"), batch_size=4)) == []


class Rejecting(StreamingDataset):
    """What such an iterator comes to here: ids come with the samples, and a sample may be left out."""

    def __getitem__(self, at: int) -> Any:
        return {**super().__getitem__(at), "at": at, "directory": self.shards[self.spanner[at][0]].dirname}

    def __iter__(self) -> Any:
        for sample in super().__iter__():
            if sample["at"] % 2:
                yield sample


def test_what_to_write_instead(make_dataset: Make) -> None:
    remote = make_dataset(20)
    data = Rejecting(local=remote, batch_size=4, shuffle=True)
    found = list(DataLoader(data, batch_size=None, num_workers=1))
    assert sorted(sample["at"] for sample in found) == list(range(1, 20, 2))
    assert {sample["directory"] for sample in found} == {remote}
    assert all(sample["id"] == sample["at"] for sample in found)


def test_names_of_the_original_stay_importable() -> None:
    with pytest.raises(ImportError, match=re.escape("_Iterator")):
        from streaming.base.dataset import _Iterator  # noqa: F401


def test_arguments_set_on_a_dataset(make_dataset: Make) -> None:
    """They are what the constructor would have been given, for the iterations that come."""
    remote = make_dataset(40)
    changed: dict[str, Any] = {"batch_size": 8, "shuffle": True, "shuffle_algo": "py1s", "num_canonical_nodes": 2}
    changed |= {
        "shuffle_seed": 3,
        "shuffle_block_size": 10,
        "sampling_method": "fixed",
        "batching_method": "stratified",
    }
    expected = StreamingDataset(local=remote, **changed)
    data = StreamingDataset(local=remote)
    for name, value in changed.items():
        setattr(data, name, value)
        assert getattr(data, name) == value
    assert data.state_dict(0) == expected.state_dict(0)
    batches = [batch["id"].tolist() for batch in DataLoader(data, batch_size=8, num_workers=1)]
    assert batches == [batch["id"].tolist() for batch in DataLoader(expected, batch_size=8, num_workers=1)]
    data.batch_size = 8  # as it is
    with pytest.raises(ValueError, match=r"batch_size=4 was set after an iteration .* began"):
        data.batch_size = 4


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("batch_size", "8", "batch_size must be an integer"),
        ("shuffle_algo", "other", "Unknown shuffle algorithm"),
        ("epoch_size", 10, "epoch_size is settled when a dataset is made. Make it with epoch_size=10"),
        ("cache_limit", 1 << 30, "cache_limit is settled"),
    ],
)
def test_arguments_that_cannot_be_set(make_dataset: Make, name: str, value: Any, text: str) -> None:
    data = StreamingDataset(local=make_dataset(20), batch_size=4)
    before = getattr(data, name)
    with pytest.raises(ValueError, match=text):
        setattr(data, name, value)
    assert getattr(data, name) == before


def _set_a_seed(_: int) -> None:
    info = get_worker_info()
    assert info is not None
    info.dataset.shuffle_seed = 1


def test_arguments_set_too_late(make_dataset: Make) -> None:
    """After a checkpoint, whose settings hold; and in a worker, whom the others would not follow."""
    data = StreamingDataset(local=make_dataset(20), batch_size=4)
    with pytest.raises(ValueError, match="shuffle_seed=1 was set in a worker"):
        list(DataLoader(data, batch_size=4, num_workers=1, worker_init_fn=_set_a_seed))
    data.load_state_dict(data.state_dict(4))
    with pytest.raises(ValueError, match="or a checkpoint was loaded"):
        data.shuffle_seed = 1


def test_what_datasets_would_not_notice(make_dataset: Make) -> None:
    data = StreamingDataset(local=make_dataset(20), batch_size=4)
    with pytest.raises(TypeError, match=r"shards\[0\] was set, .*override `get_item`"):
        data.shards[0] = data.shards[0]  # type: ignore[index]
    with pytest.raises(ValueError, match=r"proportion was set on a stream of a dataset, .*a schedule"):
        data.streams[0].proportion = 0.5
    data.streams[0].name = "an attribute of one's own"  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match=r"batching_methods\['random'\] was set.*streaming.order.registry"):
        batching_methods["random"] = batching_methods["stratified"]


def test_a_stream_whose_class_has_values(make_dataset: Make) -> None:
    """They are not looked at, as little as the original looks at the places among them."""
    with pytest.warns(UserWarning, match=r"The body of Ranked sets remote, proportion, which the arguments of Stream"):

        class Ranked(Stream):
            remote = "s3://bucket/ranked"  # type: ignore[assignment]
            proportion = 2.0

    stream = Ranked(local=make_dataset(20))
    assert (stream.remote, stream.proportion) == (None, None)
    assert StreamingDataset(streams=[stream], batch_size=4)[3]["id"] == 3
