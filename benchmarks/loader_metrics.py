"""What it costs that a loader keeps account of its waits: CPU time with and without, in pairs.

    python benchmarks/loader_metrics.py [PAIRS]

Without: the ledger and the record are replaced by objects that do nothing, which still are called.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "src"))

from streaming import MDSWriter, StreamingDataLoader, StreamingDataset  # noqa: E402
from streaming.core.process.ledger import LEDGERS  # noqa: E402

SAMPLES, TOKENS, BATCH = 8192, 2048, 32


class NoLedger:
    """Keeps none."""

    asks = is_close = is_closed = False

    def begin(self, is_first: bool = False) -> None:
        pass

    def enter(self, cause: int) -> int:
        return 0

    go_on = rest = lambda self: None

    def move(self, cause: int, ns: int) -> None:
        pass

    def take(self, samples: int, usual: int = 0) -> tuple[int, ...]:
        return ()


def epoch(make: Callable[[], StreamingDataLoader], is_kept: bool) -> float:
    """Return the CPU time of an epoch."""
    kept = LEDGERS.own
    loader = make()
    if not is_kept:
        LEDGERS.own = NoLedger()  # type: ignore[assignment]
        loader._record.add = lambda *_: None  # type: ignore[method-assign]
    try:
        before = time.process_time()
        for _ in loader:
            pass
        return time.process_time() - before
    finally:
        LEDGERS.own = kept


def main() -> None:
    """Print the cost of each path."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 150
    with tempfile.TemporaryDirectory() as folder:
        with MDSWriter(out=folder, columns={"tokens": f"ndarray:int32:{TOKENS}", "text": "str"}) as out:
            for i in range(SAMPLES):
                out.write({"tokens": np.full(TOKENS, i, np.int32), "text": str(i)})

        def data() -> StreamingDataset[Any]:
            return StreamingDataset(local=folder, batch_size=BATCH, shuffle=True)

        ways: dict[str, Callable[[], StreamingDataLoader]] = {
            "batches as by default": lambda: StreamingDataLoader(data(), batch_size=BATCH),
            "samples through a function": lambda: StreamingDataLoader(
                data().map(lambda sample: sample), batch_size=BATCH
            ),
        }
        for name, make in ways.items():
            epoch(make, True)
            costs, spent = [], []
            for number in range(pairs):
                found = {kept: epoch(make, kept) for kept in ((True, False) if number % 2 else (False, True))}
                costs.append((found[True] - found[False]) / (SAMPLES // BATCH))
                spent.append(found[False] / (SAMPLES // BATCH))
            print(
                f"{name}: {statistics.median(costs) * 1e6:+.1f} us of CPU time a batch (median of {pairs} pairs), beside "
                f"{statistics.median(spent) * 1e6:.0f}"
            )


if __name__ == "__main__":
    main()
