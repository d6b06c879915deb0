"""What views and conditions cost: CPU time of one process, each the best of some rounds.

python benchmarks/views.py [--rows 1000000] [--side-rows 10000000]
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from streaming import MDSWriter, StreamingDataset
from streaming.columns.opening import open_columns
from streaming.columns.parquet import write_columns

SHARDS, ROUNDS = 20, 3


def cpu_s(run: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Return the least CPU seconds that something takes, of all threads."""
    times: list[float] = []
    for _ in range(rounds):
        before = time.process_time()
        run()
        times.append(time.process_time() - before)
    return min(times)


def views(folder: str, rows: int) -> None:
    """Print what is in docs/views.md."""
    out = os.path.join(folder, "rows")
    with MDSWriter(
        columns={"x": "int32", "key": "int32"}, out=out, size_limit=12 * rows // SHARDS, side_columns="x,key"
    ) as writer:
        for i in range(rows):
            writer.write({"x": i * 7919 % 100, "key": i // 5})
    dataset = StreamingDataset(local=out, batch_size=64, shuffle=True)
    dataset.filter("x < 1")  # loads DuckDB
    print(f"{rows:,} rows in {len(dataset.shards)} shards\n\n| | CPU |\n|---|---|")
    for name, condition in (("half", "x < 50"), ("a hundredth", "x < 1")):
        print(f"| `filter` by SQL, {name} of the rows | {cpu_s(lambda c=condition: dataset.filter(c)):.2f} s |")
    shares = {"train": 0.9, "val": 0.1}
    print(f"| `split` into two, each row by itself | {cpu_s(lambda: dataset.split(shares)):.2f} s |")
    print(f"| `split`, by a key with {rows // 5:,} values | {cpu_s(lambda: dataset.split(shares, by='key')):.2f} s |")
    kept = {
        "half the rows at random": np.random.default_rng(0).random(rows) < 0.5,
        "a hundredth": np.random.default_rng(0).random(rows) < 0.01,
        "the first three tenths": np.arange(rows) < 0.3 * rows,
    }
    place = os.path.join(folder, "kept.view")
    for name, mask in kept.items():
        dataset.filter(mask).save(place)
        print(f"| size of a view's file: {name} | {os.path.getsize(place) / 1e3:.1f} kB |")
    print(f"| `view`, from a file | {cpu_s(lambda: dataset.view(place)):.2f} s |")
    served = {
        "the whole": dataset,
        "half of it": dataset.filter(kept["half the rows at random"]),
        "a hundredth": dataset.filter(kept["a hundredth"]),
        "`map`": dataset.map(lambda sample: sample),
        "`map(rng=True)`": dataset.map(lambda sample, rng: sample, rng=True),
    }
    for name, some in served.items():
        count = min(len(some), 200_000)

        def go_through(some: StreamingDataset = some, count: int = count) -> None:
            for _, _ in zip(range(count), some, strict=False):
                pass

        print(f"| iterating, by the sample: {name} | {1e6 * cpu_s(go_through, 2) / count:.1f} µs |", flush=True)


def conditions(folder: str, rows: int) -> None:
    """Print what is in docs/side_columns.md: a condition over one file, here and by DuckDB alone."""
    rng = np.random.default_rng(0)
    table = {
        "age": pa.array(rng.integers(0, 90, rows, np.int32), mask=rng.random(rows) < 0.01),
        "score": rng.random(rows),
        "length": rng.integers(0, 10_000, rows),
        "lang": pa.DictionaryArray.from_arrays(rng.integers(0, 5, rows, np.int32), ["de", "en", "fr", "es", "it"]),
    }
    path = os.path.join(folder, "columns.parquet")
    write_columns(path, table, bytes(16))
    columns = open_columns(path, folder, bytes(16), rows)
    print(f"\n{rows:,} rows of {len(table)} columns, {os.path.getsize(path) / 1e6:.0f} MB\n")
    print("| condition | here, CPU | DuckDB alone, CPU | ratio |\n|---|---|---|---|")
    for condition in (
        "age > 60",
        "score < 0.01",
        "lang = 'en' AND length > 5000 AND age < 30",
        "lang LIKE 'e%' OR score > 0.99",
    ):
        here = cpu_s(lambda c=condition: columns.where(c))
        there = cpu_s(lambda c=condition: _of_duckdb(path, c))
        print(f"| `{condition}` | {here:.2f} s | {there:.2f} s | {here / there:.2f} |", flush=True)


def _of_duckdb(path: str, condition: str) -> object:
    with duckdb.connect() as connection:
        query = f"SELECT file_row_number FROM read_parquet('{path}', file_row_number = true) WHERE {condition}"
        return connection.execute(query).fetchnumpy()


def main() -> None:
    """Print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--side-rows", type=int, default=10_000_000)
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        views(folder, args.rows)
        conditions(folder, args.side_rows)


if __name__ == "__main__":
    main()
