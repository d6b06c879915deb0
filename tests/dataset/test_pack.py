"""Packed datasets: every token once an epoch, wherever lengths come from, and a model that cannot tell."""

from __future__ import annotations

import pickle
import shutil
from abc import ABC
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, default_collate

from streaming import (
    Bucket,
    LocalDataset,
    MDSWriter,
    Pack,
    Phase,
    Schedule,
    Stream,
    StreamingDataLoader,
    StreamingDataset,
    index_columns,
)
from streaming.core.errors import CheckpointError, ConfigError

N, TO = 300, 64
LENGTHS = np.clip(np.random.default_rng(3).lognormal(3, 1, N), 1, 300).astype(np.int64)
ALL: Any = ("position_ids", "cu_seqlens", "max_seqlen", "doc_ids", "labels", "attention_mask")
METHODS: Any = ["best_fit", "first_fit", "concat"]


def tokens_of(document: int) -> NDArray[np.int32]:
    return (document * 1000 + np.arange(LENGTHS[document])).astype(np.int32)


EVERY = np.concatenate([tokens_of(i) for i in range(N)]).tolist()


def write(out: Path, encoding: str = "ndarray:int32", more: dict[str, str] | None = None, **settings: Any) -> str:
    settings = {"size_limit": 8000, **settings}
    with MDSWriter(out=str(out), columns={"id": "int", "tokens": encoding, **(more or {})}, **settings) as writer:
        for i in range(N):
            tokens = tokens_of(i)
            sample = {"id": i, "tokens": tokens.tobytes() if encoding == "bytes" else tokens}
            writer.write({**sample, **dict.fromkeys(more or {}, "x" * (i % 5))})
    return str(out)


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write(tmp_path_factory.mktemp("texts"))


def served(batches: Any) -> list[int]:
    """Return all tokens that batches hold, sorted."""
    return sorted(t for batch in batches for t in batch["tokens"][batch["attention_mask"] == 1].tolist())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("long", ["split", "truncate", "drop"])
def test_every_token_once_in_every_epoch(texts: str, method: Any, long: Any) -> None:
    rule = Pack("tokens", to=TO, method=method, long=long, emit=ALL)
    data = StreamingDataset(local=texts, batch_size=2, shuffle=True, pack=rule)
    kept = {
        "split": EVERY,
        "truncate": [t for t in EVERY if t % 1000 < TO],
        "drop": [t for t in EVERY if LENGTHS[t // 1000] <= TO],
    }
    for _ in range(3):
        assert served(StreamingDataLoader(data, batch_size=2)) == sorted(kept[long])
    assert data.stats()["pack_fill"] == len(kept[long]) / (data.size * TO) > 0.9


def test_what_a_sample_holds(texts: str) -> None:
    packed = LocalDataset(texts).pack(Pack(("tokens", "tokens"), to=TO, emit=ALL, pad=7))
    for number in range(packed.size):
        bin_, held = packed[number], packed.documents(number)
        tokens, positions, ids = bin_["tokens"], bin_["position_ids"], bin_["doc_ids"]
        expected: list[int] = []
        for document, start, length in zip(*(part.tolist() for part in held), strict=True):
            expected += tokens_of(document)[start : start + length].tolist()
        used = len(expected)
        assert tokens.tolist() == expected + [7] * (TO - used)
        assert bin_["attention_mask"].tolist() == [1] * used + [0] * (TO - used)
        borders = np.cumsum([0, *held.lengths]).tolist()
        assert bin_["cu_seqlens"].tolist() == borders + ([TO] if used < TO else [])
        for piece, (begin, end) in enumerate(pairwise(borders)):
            assert positions[begin:end].tolist() == list(range(end - begin))
            assert set(ids[begin:end].tolist()) == {piece}
            assert bin_["labels"][begin] == -100
            assert bin_["labels"][begin + 1 : end].tolist() == tokens[begin + 1 : end].tolist()
        assert set(ids[used:].tolist()) <= {-1}
        assert set(bin_["labels"][used:].tolist()) <= {-100}
        assert bin_["max_seqlen"] == max([*held.lengths, TO - used])
        for document in held.ids.tolist():
            assert number in packed.find(document)


@pytest.mark.parametrize("start", [None, "fork", "forkserver", pytest.param("spawn", marks=pytest.mark.long)])
def test_batches_of_any_loader(texts: str, start: str | None) -> None:
    data = StreamingDataset(local=texts, batch_size=3, pack=Pack("tokens", to=TO, emit=ALL))
    more: dict[str, Any] = {} if start is None else {"num_workers": 1, "multiprocessing_context": start}
    ours = list(StreamingDataLoader(data, batch_size=3, **more))
    data.set_epoch(0)
    for batch, other in zip(ours, DataLoader(data, batch_size=3, **more), strict=True):
        rows = len(batch["tokens"])
        assert batch["tokens"].shape == batch["labels"].shape == (rows, TO)
        borders = batch["cu_seqlens"]
        assert borders.dtype == torch.int32
        assert (borders.diff() > 0).all()
        assert (int(borders[0]), int(borders[-1])) == (0, rows * TO)
        assert int(borders.diff().max()) == batch["max_seqlen"]
        assert batch.keys() == other.keys()
        assert all(torch.equal(batch[k], other[k]) for k in batch if k != "max_seqlen")
        for each in (batch, other) if start else ():
            assert type(each) is dict
            assert len({each[k].untyped_storage().data_ptr() for k in each if k != "max_seqlen"}) == 1


@pytest.mark.parametrize("change", [lambda batch: batch, lambda batch: {**batch}, lambda batch: list(batch.items())])
def test_batches_that_a_collate_fn_changes(texts: str, change: Callable[[Any], Any]) -> None:
    def collate(bins: list[Any]) -> Any:
        bins[0]["number"] = "first"
        batch = default_collate([bin_ | {"number": i} for i, bin_ in enumerate(bins)])
        both = default_collate(bins[:1] * 2)
        assert both.pop("number") == ["first", "first"]
        del both["doc_ids"]
        both["labels"] = both["labels"][:, 1:]
        both["number"] = batch["number"]
        return change(both)

    data = StreamingDataset(local=texts, batch_size=3, pack=Pack("tokens", to=TO, emit=ALL))
    expected = [dict(batch) for batch in DataLoader(data, batch_size=3, collate_fn=collate)]
    data.set_epoch(0)
    found = [dict(batch) for batch in DataLoader(data, batch_size=3, collate_fn=collate, num_workers=1)]
    for one, other in zip(expected, found, strict=True):
        assert list(one) == list(other)
        assert one["labels"].shape == (2, TO - 1)
        assert "doc_ids" not in one
        assert all(torch.equal(one[k], other[k]) for k in one if k != "max_seqlen")


# -- lengths -------------------------------------------------------------------------------------


def test_lengths_come_from_the_offsets_alone(texts: str, bucket: str, tmp_path: Path) -> None:
    expected = [LocalDataset(texts).pack(Pack("tokens", to=TO)).documents(i).ids.tolist() for i in range(9)]
    write(cast("Any", f"{bucket}/data"))
    arguments: dict[str, Any] = {"remote": f"{bucket}/data", "local": str(tmp_path), "shuffle_seed": 0}
    packed = StreamingDataset(**arguments, pack=Pack("tokens", to=TO))
    (plan,) = tmp_path.glob(".streaming-pack-*")
    made = plan.stat()
    assert not list(tmp_path.glob("*.mds"))
    assert [packed.documents(i).ids.tolist() for i in range(9)] == expected
    again = StreamingDataset(**arguments, pack=Pack("tokens", to=TO))
    assert (again.size, plan.stat()) == (packed.size, made)
    plan.write_bytes(plan.read_bytes()[:-9])
    assert StreamingDataset(**arguments, pack=Pack("tokens", to=TO)).size == packed.size
    assert plan.stat().st_size == made.st_size


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"compression": "zstd"}, {}),
        ({"more": {"url": "str"}}, {}),
        ({"encoding": "ndarray"}, {}),
        ({"encoding": "bytes"}, {"dtype": "int32"}),
        ({"encoding": "bytes", "more": {"url": "str"}}, {"dtype": "int32"}),
    ],
)
def test_however_they_are_stored(tmp_path: Path, settings: Any, rule: Any) -> None:
    path = write(tmp_path / "data", **settings)
    data = StreamingDataset(
        remote=path, local=str(tmp_path / "cache"), batch_size=2, pack=Pack("tokens", to=TO, emit=ALL, **rule)
    )
    assert served(StreamingDataLoader(data, batch_size=2)) == EVERY


def test_by_side_column(tmp_path: Path) -> None:
    path = write(tmp_path / "data", more={"url": "str"})
    index_columns(path, "len(tokens),n=id", beside=True, workers=0, progress_bar=False)
    rule = Pack("tokens", to=TO, emit=ALL)
    assert served(StreamingDataLoader(StreamingDataset(local=path, batch_size=2, pack=rule), batch_size=2)) == EVERY
    wrong = LocalDataset(path).pack(Pack("tokens", to=TO, lengths="n"))
    with pytest.raises(ConfigError, match="where .* were planned"):
        wrong[:]


def test_a_side_column_that_is_made_anew(tmp_path: Path) -> None:
    path = write(tmp_path / "data")
    rule = Pack("tokens", to=TO, emit=ALL, lengths="n")
    index_columns(path, "n=id", beside=True, workers=0, progress_bar=False)
    with pytest.raises(ConfigError, match="make the side column anew"):
        LocalDataset(path).pack(rule)[:]
    index_columns(path, "n=len(tokens)", beside=True, workers=0, progress_bar=False)
    assert len(LocalDataset(path).pack(rule)[:]) > 1


@pytest.mark.parametrize("rule", ["tokens", Bucket("id", 4)])
def test_rules_are_checked_by_the_methods_too(texts: str, rule: Any) -> None:
    data = StreamingDataset(local=texts, batch_size=2)
    with pytest.raises(ConfigError, match=r"streaming.Pack|batch_size is 1"):
        data.pack(rule) if isinstance(rule, str) else data.bucket(rule)


def test_lengths_that_are_given(texts: str) -> None:
    data = LocalDataset(texts).map(lambda sample: {"both": np.repeat(sample["tokens"], 2)})
    packed = data.pack(Pack("both", to=TO), lengths=data.measure(lambda sample: sample["both"]))
    assert sum(int((one["doc_ids"] >= 0).sum()) for one in packed[:]) == 2 * LENGTHS.sum()
    assert packed.map(lambda one: one["both"].sum())[0] == packed[0]["both"].sum()


# -- together with the rest ----------------------------------------------------------------------


class Reversed(StreamingDataset[Any]):
    """Documents from their end."""

    def __init__(self, sign: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sign = sign

    def __getitem__(self, at: Any) -> Any:
        sample = super().__getitem__(at)
        return {**sample, "tokens": self.sign * sample["tokens"][::-1]}


def test_documents_go_through_a_subclass(texts: str) -> None:
    data = Reversed(-1, local=texts, batch_size=2, pack=Pack("tokens", to=512))
    held = data.documents(0)
    first = -tokens_of(int(held.ids[0]))[::-1]
    assert data[0]["tokens"][: len(first)].tolist() == first.tolist()
    other = pickle.loads(pickle.dumps(data))
    assert isinstance(other, Reversed)
    assert other[0]["tokens"].tolist() == data[0]["tokens"].tolist()


class Slotted:
    __slots__ = ("more",)


class Abstract(ABC):
    pass


class Mixed(Slotted, StreamingDataset[Any]):
    pass


class MixedAbstract(Abstract, StreamingDataset[Any]):
    pass


@pytest.mark.parametrize("kind", [Mixed, MixedAbstract])
def test_of_a_class_with_a_mixin(texts: str, kind: Any) -> None:
    data = kind(local=texts, batch_size=2, pack=Pack("tokens", to=TO, emit=ALL))
    assert isinstance(data, kind)
    assert served(StreamingDataLoader(pickle.loads(pickle.dumps(data)), batch_size=2)) == EVERY
    assert len(data.map(len).take(3)[:]) == 3


def test_what_an_epoch_holds_in_bins_and_documents(texts: str, tiny: str) -> None:
    """Of a mixture that changes: what is in a batch, where a document is, and how often a stream was repeated."""
    data = StreamingDataset(
        streams={"texts": Stream(local=texts), "tiny": Stream(local=tiny)},
        batch_size=2,
        shuffle=True,
        mix=Schedule([Phase(0, {"texts": 3, "tiny": 1}), Phase(60, {"tiny": 1})]),
        epoch_size=400,
        pack=Pack("tokens", to=TO),
    )
    for epoch in range(2):
        inspector = data.inspect_epoch(epoch)
        batches = list(StreamingDataLoader(data, batch_size=2))
        assert len(batches) == inspector.num_batches == 200
        given = Counter[int]()
        for number, batch in enumerate(batches):
            ids = inspector.batch(number)[0].tolist()
            for row, bin_id in enumerate(ids):
                held = data.documents(bin_id, epoch)
                first = tokens_of(int(held.ids[0]) % N)[int(held.starts[0])]
                assert batch["tokens"][row, 0] == first
                given[bin_id] += 1
            if number in (0, 40, 150):
                assert all(number in {place.batch for place in inspector.find(bin_id)} for bin_id in ids)
        for document in (3, N + 5):
            places = [p for bin_id in data.find(document, epoch) for p in inspector.find(bin_id)]
            assert len(places) == sum(given[bin_id] for bin_id in data.find(document, epoch))
        per_stream = data.samples_per_stream
        before, after = inspector.streams(0), inspector.streams(200)
        border = int(per_stream[0])
        counts = [sum(n for i, n in given.items() if (i < border) == (stream == 0)) for stream in range(2)]
        assert [b.given - a.given for a, b in zip(before, after, strict=True)] == counts
        assert [b.repeats for b in after] == [b.given / n for b, n in zip(after, per_stream.tolist(), strict=True)]


def test_of_a_view_and_a_view_of_bins(texts: str, tmp_path: Path) -> None:
    path = write(tmp_path / "data", side_columns=["id"])
    rule = Pack("tokens", to=TO, emit=ALL)
    packed = StreamingDataset(local=path, batch_size=2).filter("id % 3 = 0").pack(rule)
    assert served(StreamingDataLoader(packed, batch_size=2)) == [t for t in EVERY if t // 1000 % 3 == 0]
    half = packed.shard(2, 0)
    assert [one["tokens"].tolist() for one in half[:]] == [one["tokens"].tolist() for one in packed[: half.size]]
    assert [half.documents(i).ids.tolist() for i in range(5)] == [packed.documents(i).ids.tolist() for i in range(5)]
    for wrong in (lambda: packed.filter("id > 3"), lambda: packed.split([0.5, 0.5]), packed.source_ids):
        with pytest.raises(ConfigError, match=r"pack then|dataset.documents"):
            wrong()
    with pytest.raises(ConfigError, match="bins already"):
        packed.pack(rule)


def test_streams_are_packed_each_for_itself(texts: str, tmp_path: Path) -> None:
    other = write(tmp_path / "data")
    streams = [Stream(local=texts, proportion=0.5), Stream(local=other, proportion=0.5)]
    data = StreamingDataset(streams=streams, batch_size=2, shuffle=True, pack=Pack("tokens", to=TO))
    (half,) = {round(float(n) / data.size, 2) for n in data.samples_per_stream}
    assert half == 0.5
    with pytest.raises(ConfigError, match="batch_size"):
        StreamingDataset(streams=streams, batch_size=2, bucket=Bucket("id", 4))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Far more shards than are packed together, a few documents each."""
    return write(tmp_path_factory.mktemp("tiny"), size_limit=300)


@pytest.mark.parametrize("method", METHODS)
def test_small_shards_are_packed_as_well_as_large_ones(tiny: str, texts: str, method: Any) -> None:
    rule = Pack("tokens", to=TO, method=method, emit=ALL)
    few, many = (StreamingDataset(local=path, batch_size=2, shuffle=True, pack=rule) for path in (texts, tiny))
    assert many.num_shards > 100
    assert many.stats()["pack_fill"] > few.stats()["pack_fill"] - 0.02
    for _ in range(2):
        assert served(StreamingDataLoader(many, batch_size=2)) == EVERY


@pytest.mark.parametrize("workers", [0, 2])
def test_small_shards_are_fetched_together(tiny: str, tmp_path: Path, workers: int) -> None:
    size = sum(shard.stat().st_size for shard in Path(tiny).iterdir())
    data = StreamingDataset(
        remote=tiny,
        local=str(tmp_path / "cache"),
        batch_size=2,
        shuffle=True,
        cache_limit=size * 3 // 4,
        pack=Pack("tokens", to=256, emit=ALL),
    )
    needs = data.inspect_epoch(0).shards_needed()
    assert sorted(needs.shards.tolist()) == list(range(data.num_shards))
    (held,) = (data.documents(int(bin_id)) for bin_id in data.inspect_epoch(0).batch(0)[0, :1])
    whole = StreamingDataset(local=tiny)
    reached = {int(np.searchsorted(np.cumsum(whole.samples_per_shard), i, "right")) for i in held.ids.tolist()}
    assert len(reached) > 1
    assert reached <= set(needs.shards[needs.first_batch == 0].tolist())
    context = "fork" if workers else None
    loader = StreamingDataLoader(data, batch_size=2, num_workers=workers, multiprocessing_context=context)
    for _ in range(2):
        assert served(loader) == EVERY
    assert data.cache_usage <= size * 3 // 4
    for document in (0, 77, N - 1):
        for bin_id in data.find(document):
            assert document in data.documents(bin_id).ids


def test_small_shards_are_packed_stream_by_stream(tiny: str, texts: str) -> None:
    streams = {"tiny": Stream(local=tiny), "texts": Stream(local=texts)}
    packed = StreamingDataset(streams=streams, batch_size=1).filter(range(100, 500)).pack(Pack("tokens", to=256))
    seen: list[int] = []
    for number in range(packed.size):
        ids = packed.documents(number).ids
        assert len(set((ids < N).tolist())) == 1
        seen += ids.tolist()
        packed[number]
    assert set(seen) == set(range(100, 500))


def test_a_small_shard_that_is_lost_takes_its_group_along(tiny: str, tmp_path: Path) -> None:
    remote = tmp_path / "remote"
    shutil.copytree(tiny, remote)
    (remote / "shard.00070.mds").write_bytes(b"")
    whole = StreamingDataset(remote=str(remote), local=str(tmp_path / "cache"), batch_size=1, on_error="skip")
    data = whole.pack(Pack("tokens", to=256), lengths=LENGTHS)
    assert len(list(data)) == data.size
    assert data.stats()["substituted_samples"] > 0


def test_company_changes_and_a_checkpoint_knows(texts: str) -> None:
    data = StreamingDataset(local=texts, batch_size=2, pack=Pack("tokens", to=256))
    epochs = [{frozenset(data.documents(i, epoch).ids.tolist()) for i in range(data.size)} for epoch in range(2)]
    assert epochs[0] != epochs[1]
    state = data.state_dict()
    for wrong in (Pack("tokens", to=128), Pack("tokens", to=256, method="concat")):
        with pytest.raises(CheckpointError, match="units"):
            StreamingDataset(local=texts, batch_size=2, pack=wrong).load_state_dict(state)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda p: Pack("token", to=TO), "has no column 'token'.*Did you mean 'tokens'"),
        (
            lambda p: Pack("tokens", to=TO, long="raise"),
            rf"Document {LENGTHS.argmax()} has {LENGTHS.max()} tokens, and Pack\(long='raise'\) takes at most to=64",
        ),
        (lambda p: Pack("tokens", to=TO, lengths="n"), "no side columns"),
        (lambda p: "tokens", "streaming.Pack"),
    ],
)
def test_what_cannot_be_packed(texts: str, make: Callable[[str], Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        StreamingDataset(local=texts, batch_size=2, pack=make(texts))


def test_text_is_no_tokens(tmp_path: Path) -> None:
    with MDSWriter(out=str(tmp_path), columns={"text": "str"}) as writer:
        writer.write({"text": "some words"})
    with pytest.raises(ConfigError, match="'text' holds text, and what is packed are tokens: .*tokenizer"):
        StreamingDataset(local=str(tmp_path), batch_size=1, pack=Pack("text", to=TO))[0]


# -- a model -------------------------------------------------------------------------------------


def test_a_model_cannot_tell(texts: str) -> None:
    """Losses of documents in bins, attention limited by the mask, are those of the documents alone."""
    torch.manual_seed(0)
    size, vocabulary = 16, 101
    embed, place = torch.nn.Embedding(vocabulary, size), torch.nn.Embedding(512, size)
    layer = torch.nn.TransformerEncoderLayer(size, 2, 32, dropout=0.0, batch_first=True).eval()
    head = torch.nn.Linear(size, vocabulary)

    def losses(tokens: Any, positions: Any, labels: Any, allowed: Any) -> torch.Tensor:
        hidden = layer(embed(tokens) + place(positions), src_mask=~allowed)
        return torch.nn.functional.cross_entropy(head(hidden)[:-1], labels[1:], reduction="none")

    packed = LocalDataset(texts).pack(Pack("tokens", to=320))
    alone = together = torch.zeros(())
    with torch.no_grad():
        for number in range(3):
            one = {name: torch.as_tensor(np.asarray(value)) for name, value in packed[number].items()}
            labels = torch.where(one["labels"] < 0, -100, one["labels"] % vocabulary)
            ids = one["doc_ids"]
            allowed = (ids[:, None] == ids[None]) & torch.ones(320, 320, dtype=torch.bool).tril()
            together = together + losses(one["tokens"] % vocabulary, one["position_ids"], labels, allowed).sum()
            for document in packed.documents(number).ids.tolist():
                tokens = torch.from_numpy(tokens_of(document).astype(np.int64) % vocabulary)
                every = torch.ones(len(tokens), len(tokens), dtype=torch.bool).tril()
                alone = alone + losses(tokens, torch.arange(len(tokens)), tokens, every).sum()
    assert torch.allclose(alone, together, rtol=1e-5)


# -- buckets -------------------------------------------------------------------------------------


@pytest.mark.parametrize("ranks", [1, 3])
def test_batches_of_like_length(tmp_path: Path, ranks: int) -> None:
    path = write(tmp_path / "data", side_columns=["len(tokens)", "id"])
    steps, seen, spread = set[int](), list[int](), []
    for rank in range(ranks):
        data = StreamingDataset(
            local=path,
            batch_size=1,
            shuffle=True,
            bucket=Bucket("len_tokens", budget=600, pad_to=8),
            data_parallel_rank=rank,
            data_parallel_size=ranks,
        )
        batches: list[Any] = list(DataLoader(data, batch_size=None, collate_fn=list))
        steps.add(len(batches))
        for batch in batches:
            longest = max(len(sample["tokens"]) for sample in batch)
            assert len(batch) * -(-longest // 8) * 8 <= 600
            spread.append(longest - min(len(sample["tokens"]) for sample in batch))
            seen += [sample["id"] for sample in batch]
    assert len(steps) == 1
    assert sorted(set(seen)) == list(range(N))
    assert ranks > 1 or len(seen) == N
    assert np.median(spread) < 40


def test_each_bin_has_chance_of_its_own(tmp_path: Path) -> None:
    with MDSWriter(columns={"tokens": "ndarray:int32"}, out=str(tmp_path), size_limit=180_000) as writer:
        for i in range(110):  # documents of several bins each: more bins than rows in every shard
            writer.write({"tokens": np.arange(600, dtype=np.int32) + i})
    data = StreamingDataset(local=str(tmp_path), batch_size=2, pack=Pack(tokens="tokens", to=TO, long="split"))
    assert len(data.samples_per_shard) == 2
    assert min(data.samples_per_shard) > 25
    drawn = data.map(lambda sample, rng: int(rng.integers(1 << 60)), rng=True)[:]
    assert len(set(drawn)) == len(drawn) == data.size
    half = data.shard(2, 1).map(lambda sample, rng: int(rng.integers(1 << 60)), rng=True)[:]
    assert abs(len(half) - data.size // 2) < 2
    assert set(half) < set(drawn)  # whichever bins there are beside it
