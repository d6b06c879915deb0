"""Train a small model on data that is sorted by class, in several orders, and compare what it learns.

Every shard holds one class, so that an order which leaves neighbours together, or serves few shards at a time, shows in
the model. The ids of the real orders index data in memory; everything but the order is the same.

    python benchmarks/order/training.py
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass

import numpy as np
import torch
from orders import UNSHUFFLED, epoch_ids, make_spec
from torch import nn

CLASSES, FEATURES, HIDDEN = 32, 32, 64
SHARDS, SHARD_SIZE = 512, 128
BATCH, RATE, MOMENTUM = 64, 0.05, 0.9
#: An eighth of the samples, and the default, which is more than all of them.
BLOCK_SIZES = (SHARDS * SHARD_SIZE // 8, 4_000_000)
LOCAL, GLOBAL = ("lanes", "py1e"), ("naive", UNSHUFFLED)


@dataclass(frozen=True)
class Data:
    """Samples sorted by class, and others of the same kind to test on."""

    x: torch.Tensor
    y: torch.Tensor
    test_x: torch.Tensor
    test_y: torch.Tensor


def make_data() -> Data:
    """Draw classes that overlap, each of two clusters, so that a straight line does not part them."""
    rng = np.random.default_rng(0)
    centres = rng.normal(0, 0.8, (CLASSES, 2, FEATURES))

    def draw(per_class: int) -> tuple[torch.Tensor, torch.Tensor]:
        y = np.repeat(np.arange(CLASSES), per_class)
        x = centres[y, rng.integers(0, 2, len(y))] + rng.normal(0, 1.3, (len(y), FEATURES))
        return torch.tensor(x, dtype=torch.float32), torch.tensor(y)

    return Data(*draw(SHARDS * SHARD_SIZE // CLASSES), *draw(256))


def train(data: Data, algo: str, block_size: int, seed: int, epochs: int, decay: bool) -> tuple[float, float]:
    """Return loss and accuracy on the test samples after training."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(FEATURES, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES))
    optimizer = torch.optim.SGD(model.parameters(), RATE, MOMENTUM)
    spec = make_spec(algo, SHARDS, SHARD_SIZE, block_size, batch_size=BATCH, seed=seed)
    steps = epochs * (SHARDS * SHARD_SIZE // BATCH)
    step = 0
    for epoch in range(epochs):
        for batch in torch.from_numpy(epoch_ids(spec, epoch)).split(BATCH):
            if decay:
                optimizer.param_groups[0]["lr"] = RATE * 0.5 * (1 + math.cos(math.pi * step / steps))
            loss = nn.functional.cross_entropy(model(data.x[batch]), data.y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
    with torch.no_grad():
        logits = model(data.test_x)
        loss = nn.functional.cross_entropy(logits, data.test_y)
        return float(loss), float((logits.argmax(1) == data.test_y).double().mean())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--epochs", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(1)
    data = make_data()
    print(f"{SHARDS} shards of {SHARD_SIZE} samples, {CLASSES} classes in order, batches of {BATCH},")
    print(f"{args.epochs} epochs, {args.seeds} seeds (mean ± standard deviation)\n")
    print("| learning rate | order | block size | test loss | test accuracy |\n|---|---|---|---|---|")
    cases = [(algo, block_size) for algo in LOCAL for block_size in BLOCK_SIZES] + [(algo, 1) for algo in GLOBAL]
    for decay in (True, False):
        for algo, block_size in cases:
            results = [train(data, algo, block_size, seed, args.epochs, decay) for seed in range(args.seeds)]
            mean, spread = np.mean(results, 0), np.std(results, 0, ddof=1)
            print(
                f"| {'falls to 0' if decay else 'constant'} | {algo} | {f'{block_size:,}' if block_size > 1 else ''} "
                f"| {mean[0]:.3f} ± {spread[0]:.3f} | {100 * mean[1]:.1f} ± {100 * spread[1]:.1f} % |",
                flush=True,
            )


if __name__ == "__main__":
    main()
