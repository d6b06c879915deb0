"""Train a small transformer on the same documents, packed and unpacked, and compare what it learns.

The documents are short functions of Python's standard library, a byte a token. All runs see the same documents as often,
about as many tokens a step, and are judged by the loss of other documents, each alone.

    python examples/language_model/packed_and_unpacked.py
    python examples/language_model/packed_and_unpacked.py --seeds 2 --documents 300
"""

from __future__ import annotations

import argparse
import math
import re
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from model import Transformer, mask_of_documents, masked, of_variable_length, summed_loss
from torch import Tensor
from torch.utils.data import default_collate

from streaming import MDSWriter, Pack, StreamingDataLoader, StreamingDataset

CONTEXT, BINS = 256, 4  # tokens of a sample, samples of a step
PACK = Pack("input_ids", to=CONTEXT)
Batch = dict[str, Tensor]


# -- documents -----------------------------------------------------------------------------------


def functions(count: int) -> list[bytes]:
    """Return functions and classes of the standard library that fit into a sample, far ones next to each other."""
    found: list[bytes] = []
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).rglob("*.py")):
        if not {"site-packages", "test", "idlelib"} & set(path.parts):
            parts = re.split(rb"\n(?=def |class )", path.read_bytes())
            found += [part for part in parts[1:] if 20 < len(part) <= CONTEXT]
    order = np.random.default_rng(0).permutation(len(found))
    return [found[i] for i in order[:count]]


def write(documents: Sequence[bytes], out: str) -> None:
    """Write a document a sample."""
    with MDSWriter(columns={"input_ids": "ndarray:uint8"}, out=out, size_limit="64kb") as writer:
        for document in documents:
            writer.write({"input_ids": np.frombuffer(document, np.uint8)})


def padded(samples: Sequence[dict[str, Any]]) -> Batch:
    """Collate documents one a row: positions, labels and document numbers as :class:`streaming.Pack` has them."""
    longest = max(len(sample["input_ids"]) for sample in samples)
    rows: list[dict[str, Any]] = []
    for sample in samples:
        tokens, length = np.zeros(longest, np.int64), len(sample["input_ids"])
        tokens[:length] = sample["input_ids"]
        within = np.arange(longest) < length
        rows.append(
            {
                "input_ids": tokens,
                "position_ids": np.arange(longest),
                "doc_ids": np.where(within, 0, -1),
                "labels": np.where(within, tokens, -100),
            }
        )
    return default_collate(rows)


# -- ways to train -------------------------------------------------------------------------------


def forward(model: Transformer, batch: Batch) -> Tensor:
    """Each document for itself, by a mask of document numbers."""
    return model(batch["input_ids"], batch["position_ids"], masked(mask_of_documents(batch["doc_ids"])))


def forward_varlen(model: Transformer, batch: Batch) -> Tensor:
    """The same by ``cu_seqlens``, one document after the other, without a mask."""
    return model(batch["input_ids"], batch["position_ids"], of_variable_length(batch["cu_seqlens"]))


def forward_positions_alone(model: Transformer, batch: Batch) -> Tensor:
    """What goes wrong: positions begin anew with each document, but documents see those before them."""
    whole = mask_of_documents(torch.zeros_like(batch["input_ids"]))
    return model(batch["input_ids"], batch["position_ids"], masked(whole))


def forward_without_borders(model: Transformer, batch: Batch) -> Tensor:
    """What goes wrong: a bin is one text."""
    whole = mask_of_documents(torch.zeros_like(batch["input_ids"]))
    positions = torch.arange(CONTEXT).expand_as(batch["input_ids"])
    return model(batch["input_ids"], positions, masked(whole))


#: Whether documents are packed, and what becomes of a batch.
Way = tuple[bool, Callable[[Transformer, Batch], Tensor]]
WAYS: dict[str, Way] = {
    "unpacked": (False, forward),
    "packed, mask of doc_ids": (True, forward),
    "packed, cu_seqlens, no mask": (True, forward_varlen),
    "packed, but positions alone": (True, forward_positions_alone),
    "packed, but as one text": (True, forward_without_borders),
}


# -- training ------------------------------------------------------------------------------------


def make_loader(local: str, packed: bool, seed: int, rows: int) -> StreamingDataLoader:
    """Build what serves bins, or as many documents a batch as make about as many tokens."""
    settings: dict[str, Any] = {"local": local, "shuffle": True, "shuffle_seed": seed}
    if packed:
        return StreamingDataLoader(StreamingDataset(**settings, batch_size=BINS, pack=PACK), batch_size=BINS)
    data = StreamingDataset(**settings, batch_size=rows)
    return StreamingDataLoader(data, batch_size=rows, collate_fn=padded)


def train(local: str, way: Way, seed: int, epochs: int, rows: int) -> Transformer:
    """Train a model one way."""
    packed, run = way
    torch.manual_seed(seed)
    model = Transformer(256, CONTEXT)
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    loader = make_loader(local, packed, seed, rows)
    steps = epochs * len(loader)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1, (step + 1) / 20) * 0.5 * (1 + math.cos(math.pi * step / steps))
    )
    for _ in range(epochs):
        for batch in loader:
            total, count = summed_loss(run(model, batch), batch["labels"])
            optimizer.zero_grad()
            (total / count).backward()  # every token counts the same, in whatever row
            optimizer.step()
            schedule.step()
    return model


@torch.no_grad()
def judge(model: Transformer, documents: Sequence[bytes]) -> float:
    """Return the loss a token of documents, each alone."""
    total, count = 0.0, 0
    for first in range(0, len(documents), 16):
        some = [{"input_ids": np.frombuffer(one, np.uint8)} for one in documents[first : first + 16]]
        batch = padded(some)
        loss, tokens = summed_loss(forward(model, batch), batch["labels"])
        total, count = total + float(loss), count + int(tokens)
    return total / count


def compare(out: str, names: Sequence[str], documents: int, seeds: int, epochs: int) -> dict[str, list[float]]:
    """Print a table, a line a way, and return the losses of each."""
    every = functions(documents)
    held_out, taught = every[: len(every) // 10], every[len(every) // 10 :]
    write(taught, out)
    bins = StreamingDataset(local=out, batch_size=BINS, pack=PACK).size
    rows = max(1, round(BINS * len(taught) / bins))
    print(f"{len(taught)} documents, {sum(map(len, taught)):,} tokens, in {bins} bins of {CONTEXT}; {epochs} epochs;")
    print(f"a step takes {BINS} bins or {rows} documents; loss of {len(held_out)} others, mean ± deviation of seeds\n")
    print("| | loss, nats a token | less unpacked, same seed | time |\n|---|---|---|---|")
    losses: dict[str, list[float]] = {}
    for name in names:
        begin = time.perf_counter()
        losses[name] = [judge(train(out, WAYS[name], seed, epochs, rows), held_out) for seed in range(seeds)]
        took = time.perf_counter() - begin
        apart = np.subtract(losses[name], losses["unpacked"])
        print(
            f"| {name} | {np.mean(losses[name]):.4f} ± {np.std(losses[name], ddof=1):.4f} "
            f"| {apart.mean():+.4f} ± {apart.std(ddof=1):.4f} | {took / seeds:.1f} s |",
            flush=True,
        )
    return losses


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--documents", type=int, default=1000, help="how many, a tenth of them held out")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--ways", type=int, default=len(WAYS), help="how many of the table's lines")
    args = parser.parse_args()
    if args.seeds < 2:
        sys.exit("A deviation takes two seeds or more: --seeds 2.")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as out:
        compare(f"{out}/documents", list(WAYS)[: args.ways], args.documents, args.seeds, args.epochs)


if __name__ == "__main__":
    main()
