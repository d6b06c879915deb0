"""A transformer learns the same from packed documents as from the same ones alone; masks are compared token by token."""

from __future__ import annotations

import copy
import sys
import warnings
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from streaming import MDSWriter, Pack, StreamingDataLoader, StreamingDataset

pytestmark = pytest.mark.apart
EXAMPLE = Path(__file__).parents[2] / "examples" / "language_model"
VOCABULARY, TO, BINS, EPOCHS = 31, 48, 3, 4


@pytest.fixture(scope="module")
def model() -> Iterator[Any]:
    """The module of the example."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLE))
        import model

        yield model
        del sys.modules["model"]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Others would wait for each other at every operation, which are small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    out, rng = str(tmp_path_factory.mktemp("documents")), np.random.default_rng(5)
    with MDSWriter(columns={"tokens": "ndarray:int32"}, out=out) as writer:
        for length in np.clip(rng.lognormal(2.5, 0.9, 90), 1, 120).astype(int):
            writer.write({"tokens": rng.integers(0, VOCABULARY, length, np.int32)})
    return out


def packed(data: str, method: Any = "best_fit") -> StreamingDataset:
    rule = Pack("tokens", to=TO, method=method, emit=("position_ids", "doc_ids", "labels", "cu_seqlens", "max_seqlen"))
    return StreamingDataset(local=data, shuffle=True, batch_size=BINS, pack=rule)


def batches(dataset: StreamingDataset) -> Iterator[dict[str, torch.Tensor]]:
    yield from StreamingDataLoader(dataset, batch_size=BINS)


def alone(dataset: StreamingDataset, source: StreamingDataset, batch: int) -> list[torch.Tensor]:
    """The pieces of documents in a global batch, each for itself."""
    pieces: list[torch.Tensor] = []
    bins = dataset.inspect_epoch(0).batch(batch)[0]
    for bin_id in bins[bins >= 0].tolist():
        held = dataset.documents(bin_id, epoch=0)
        for document, start, length in zip(*(part.tolist() for part in held), strict=True):
            pieces.append(torch.from_numpy(source[document]["tokens"][start : start + length].astype(np.int64)))
    return pieces


@pytest.mark.parametrize("method", ["best_fit", "concat"])
def test_every_step_of_training_is_that_of_the_documents_alone(model: Any, data: str, method: Any) -> None:
    torch.manual_seed(0)
    one = model.Transformer(VOCABULARY, 128, width=16, layers=2, heads=2).double()
    other = copy.deepcopy(one)
    optimizers = [torch.optim.AdamW(m.parameters(), 1e-2) for m in (one, other)]
    dataset, source = packed(data, method), StreamingDataset(local=data, batch_size=1)
    losses: list[tuple[float, float]] = []
    for number, batch in enumerate(batches(dataset)):
        attend = model.masked(model.mask_of_documents(batch["doc_ids"]))
        total, count = model.summed_loss(one(batch["tokens"], batch["position_ids"], attend), batch["labels"])
        together = total / count
        total, count = torch.zeros(()).double(), torch.zeros((), dtype=torch.int64)
        for tokens in alone(dataset, source, number):
            row, places = tokens[None], torch.arange(len(tokens))[None]
            sums = model.summed_loss(
                other(row, places, model.masked(torch.ones(1, len(tokens), len(tokens)).tril() > 0)), row
            )
            total, count = total + sums[0], count + sums[1]
        for loss, optimizer in zip((together, total / count), optimizers, strict=True):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses.append((together.item(), (total / count).item()))
    assert len(losses) > 8
    np.testing.assert_allclose(*np.transpose(losses), rtol=1e-9)
    assert losses[-1][0] < losses[0][0]


def rows_of_documents(samples: list[Any]) -> dict[str, torch.Tensor]:
    longest = max(len(sample["tokens"]) for sample in samples)
    rows = np.full((len(samples), longest), -1)
    for row, sample in zip(rows, samples, strict=True):
        row[: len(sample["tokens"])] = sample["tokens"]
    tokens = torch.from_numpy(rows)
    places = torch.arange(longest).expand_as(tokens)
    labels = torch.where(tokens < 0, -100, tokens)
    return {"tokens": tokens.clamp(0), "position_ids": places, "doc_ids": (tokens >= 0).long() - 1, "labels": labels}


def learnt(model: Any, out: Path, seed: int, pack: bool) -> float:
    """Train on shuffled batches of bins, or of documents; return the loss a token of other documents, each alone."""
    torch.manual_seed(seed)
    net = model.Transformer(VOCABULARY, 128, width=16, layers=1, heads=2)
    optimizer = torch.optim.AdamW(net.parameters(), 1e-2)
    rates = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0.01, total_iters=EPOCHS * 18)
    rows = BINS if pack else 10  # about as many tokens
    settings: dict[str, Any] = {"local": str(out / "taught"), "shuffle": True, "shuffle_seed": seed, "batch_size": rows}
    dataset = StreamingDataset(**settings, pack=Pack("tokens", to=TO) if pack else None)
    loader = StreamingDataLoader(dataset, batch_size=rows, collate_fn=None if pack else rows_of_documents)

    def loss_of(batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        attend = model.masked(model.mask_of_documents(batch["doc_ids"]))
        return model.summed_loss(net(batch["tokens"], batch["position_ids"], attend), batch["labels"])

    for _ in range(EPOCHS):
        for batch in loader:
            total, count = loss_of(batch)
            optimizer.zero_grad()
            (total / count).backward()
            optimizer.step()
            rates.step()
    with torch.no_grad():
        total, count = loss_of(rows_of_documents(StreamingDataset(local=str(out / "others"), batch_size=1)[:]))
    return float(total / count)


def test_orders_of_their_own_end_at_the_same_loss(model: Any, tmp_path: Path) -> None:
    """Of documents in which three of 31 tokens may follow each: a model that has learnt it is far below ln(31), 3.4."""
    rng = np.random.default_rng(0)
    follow = rng.integers(0, VOCABULARY, (VOCABULARY, 3), np.int32)
    for name, count in (("taught", 180), ("others", 60)):
        with MDSWriter(columns={"tokens": "ndarray:int32"}, out=str(tmp_path / name)) as writer:
            for length in np.clip(rng.lognormal(2.5, 0.5, count), 2, TO).astype(int):
                tokens = rng.integers(0, VOCABULARY, length, np.int32)
                for i in range(1, length):
                    tokens[i] = follow[tokens[i - 1], rng.integers(3)]
                writer.write({"tokens": tokens})
    unpacked, packed = ([learnt(model, tmp_path, seed, pack) for seed in range(3)] for pack in (False, True))
    noise = np.std([unpacked, packed], axis=1, ddof=1).max()
    assert abs(np.mean(packed) - np.mean(unpacked)) < 3 * noise, (unpacked, packed)
    assert max(*unpacked, *packed) < 2
    assert noise < 0.1


@pytest.mark.parametrize("method", ["best_fit", "first_fit", "concat"])
def test_masks_position_by_position(model: Any, data: str, method: Any) -> None:
    for batch in batches(packed(data, method)):
        ids, borders = batch["doc_ids"], batch["cu_seqlens"]
        shape = ids.shape
        flat = torch.zeros(shape.numel(), shape.numel(), dtype=torch.bool)
        for begin, end in pairwise(borders.tolist()):
            for place in range(begin, end):
                flat[place, begin : place + 1] = True
        rows = flat.view(shape[0], TO, shape[0], TO)
        assert not sum(rows[i, :, j].sum() for i in range(len(ids)) for j in range(len(ids)) if i != j)
        expected = torch.stack([rows[i, :, i] for i in range(shape[0])])
        assert torch.equal(model.mask_of_documents(ids), expected)
        assert torch.equal(model.mask_of_borders(borders, shape), expected)
        assert torch.equal(batch["position_ids"] + 1, expected.sum(2))  # as many are seen as came before, and itself
        assert int(borders.diff().max()) == batch["max_seqlen"]
        learnt = batch["labels"] >= 0
        assert torch.equal(learnt, (batch["position_ids"] > 0) & (ids >= 0))
        assert torch.equal(batch["labels"][learnt], batch["tokens"][learnt])


def test_attentions_agree(model: Any, data: str) -> None:
    """By a mask, by ``cu_seqlens`` as FlashAttention takes them, by FlexAttention, and by nested tensors."""
    batch = next(batches(packed(data)))
    ids, borders = batch["doc_ids"], batch["cu_seqlens"]
    torch.manual_seed(0)
    q, k, v = torch.randn(3, BINS, 2, TO, 16)
    expected = model.masked(model.mask_of_documents(ids))(q, k, v)
    torch.testing.assert_close(model.of_variable_length(borders)(q, k, v), expected)

    flex = pytest.importorskip("torch.nn.attention.flex_attention", reason="FlexAttention came with torch 2.5")

    def sees(row: Any, head: Any, at: Any, to: Any) -> Any:
        return (ids[row, at] == ids[row, to]) & (at >= to)

    assert torch.equal(flex.create_mask(sees, BINS, 1, TO, TO, device="cpu")[:, 0], model.mask_of_documents(ids))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is slow uncompiled
        mask = flex.create_block_mask(sees, BINS, None, TO, TO, device="cpu")
        torch.testing.assert_close(flex.flex_attention(q, k, v, block_mask=mask), expected)

        # On a CPU, attention of nested tensors knows no order of tokens: documents alone can be compared.
        flat = [
            torch.nested.nested_tensor_from_jagged(x.transpose(1, 2).flatten(0, 1), borders.long()) for x in (q, k, v)
        ]
        nested = F.scaled_dot_product_attention(*(x.transpose(1, 2) for x in flat)).transpose(1, 2).values()
    both_ways = (ids[:, :, None] == ids[:, None, :])[:, None]
    whole = F.scaled_dot_product_attention(q, k, v, attn_mask=both_ways)
    torch.testing.assert_close(nested.unflatten(0, (BINS, TO)).transpose(1, 2), whole)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_models_of_transformers_find_documents_by_positions(data: str, attention: str) -> None:
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.LlamaConfig(vocab_size=VOCABULARY, **sizes, attn_implementation=attention)
    torch.manual_seed(0)
    net = transformers.LlamaForCausalLM(config).double()
    dataset, source = packed(data), StreamingDataset(local=data, batch_size=1)
    batch = next(batches(dataset))
    pieces = [piece[None] for piece in alone(dataset, source, 0) if len(piece) > 1]

    def found(shape: tuple[int, int]) -> torch.Tensor:
        inputs = {"input_ids": batch["tokens"], "position_ids": batch["position_ids"], "labels": batch["labels"]}
        return net(**{name: value.view(shape) for name, value in inputs.items()}, use_cache=False).loss

    with torch.no_grad():
        total = sum(net(input_ids=piece, labels=piece).loss * (piece.shape[1] - 1) for piece in pieces)
        expected = total / sum(piece.shape[1] - 1 for piece in pieces)
        for shape in ((BINS, TO), (1, BINS * TO)):
            torch.testing.assert_close(found(shape), expected, rtol=1e-6, atol=0)  # a loss is float32 there


def test_tokens_are_weighed_and_not_bins(model: Any, data: str) -> None:
    """Sums of shares, divided by all tokens, are the loss of the whole batch; means of shares are not."""
    batch = next(batches(packed(data)))
    torch.manual_seed(0)
    net = model.Transformer(VOCABULARY, TO, width=16, layers=1, heads=2).double()
    logits = net(batch["tokens"], batch["position_ids"], model.masked(model.mask_of_documents(batch["doc_ids"])))
    total, count = model.summed_loss(logits, batch["labels"])
    shares = [model.summed_loss(logits[i : i + 1], batch["labels"][i : i + 1]) for i in range(BINS)]
    assert torch.isclose(sum(share for share, _ in shares) / sum(n for _, n in shares), total / count, rtol=1e-12)
    assert len({int(n) for _, n in shares}) > 1
    assert abs(sum(share / n for share, n in shares) / BINS - total / count) > 1e-6


def test_the_comparison_runs(model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLE))
    import packed_and_unpacked as comparison

    losses = comparison.compare(str(tmp_path / "out"), list(comparison.WAYS), documents=30, seeds=2, epochs=1)
    unpacked, masked, varlen, *_ = (np.mean(losses[name]) for name in comparison.WAYS)
    assert varlen == pytest.approx(masked, abs=1e-4)
    assert unpacked == pytest.approx(masked, abs=0.2)
