"""What a token costs through a loader, packed and not, in the same run: a plain DataLoader and a StreamingDataLoader.

    python benchmarks/packing/loading.py

A batch that is not packed has as many documents as a packed one holds on average: as they are stored, in a list, which
copies nothing; or padded to the longest, with labels and a mask, as a model takes them. Nanoseconds a token that is no
padding: of the processor (all processes) and of the clock, medians of interleaved rounds.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterable
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

from streaming import MDSWriter, Pack, StreamingDataLoader, StreamingDataset

TO, MEDIAN, BATCH = 4096, 600, 8


def write(folder: str, documents: int) -> int:
    """Write documents of log-normal length; return the number of tokens."""
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.lognormal(np.log(MEDIAN), 1, documents), 1, TO).astype(np.int64)
    with MDSWriter(columns={"tokens": "ndarray:uint16"}, out=folder) as out:
        for length in lengths.tolist():
            out.write({"tokens": rng.integers(0, 50_000, length, np.uint16)})
    return int(lengths.sum())


def padded(documents: list[Any]) -> dict[str, torch.Tensor]:
    """Return a batch as a model takes it."""
    tokens = [torch.from_numpy(document["tokens"].astype(np.int64)) for document in documents]
    ids = pad_sequence(tokens, batch_first=True)
    labels = pad_sequence(tokens, batch_first=True, padding_value=-100)
    mask = pad_sequence([torch.ones_like(one) for one in tokens], batch_first=True)
    return {"input_ids": ids, "labels": labels, "attention_mask": mask}


def cost(batches: Iterable[Any]) -> tuple[float, float]:
    """Return the processor's and the clock's seconds of an epoch."""
    begin, before = time.perf_counter(), os.times()
    for _ in batches:
        pass
    after = os.times()
    return sum(after[:4]) - sum(before[:4]), time.perf_counter() - begin


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tokens = write(folder, given.documents)
        print("| loader | workers | | CPU, ns a token | clock |")
        print("|---|---|---|---|---|")
        pack = Pack("tokens", to=TO)
        variants: dict[str, tuple[Pack | None, dict[str, Any]]] = {
            "as stored": (None, {"collate_fn": list}),
            "padded": (None, {"collate_fn": padded}),
            "packed": (pack, {}),
            "packed, tokens alone": (replace(pack, emit=()), {}),
        }
        for kind, workers in product((StreamingDataLoader, DataLoader), (0, 2)):
            found: dict[str, list[tuple[float, float]]] = {name: [] for name in variants}
            for _ in range(given.rounds):
                for name, (rule, more) in variants.items():
                    size = BATCH if rule else BATCH * TO * given.documents // tokens
                    data = StreamingDataset(local=folder, batch_size=size, shuffle=True, pack=rule)
                    found[name].append(cost(kind(data, batch_size=size, num_workers=workers, **more)))
            for name, times in found.items():
                cpu, clock = np.median(times, axis=0) / tokens * 1e9
                print(f"| {kind.__name__} | {workers} | {name} | {cpu:.1f} | {clock:.1f} |", flush=True)


if __name__ == "__main__":
    main()
