"""A bulk write of ``python bulk_program.py OUT NUM_SAMPLES WORKERS``, to be killed by tests."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import streaming
from streaming.writing.bulk import pipeline

COLUMNS = {"id": "int", "text": "str"}
ARGUMENTS: dict[str, Any] = {"compression": "zstd", "hashes": ["sha1", "xxh64"], "size_limit": 3000}


def rows(num_samples: int, rest_s: float = 0) -> Iterator[dict[str, Any]]:
    for i in range(num_samples):
        if rest_s and i % 10 == 0:
            time.sleep(rest_s)
        yield {"id": i, "text": f"sample {i} " + "x" * (i * i % 97)}


if __name__ == "__main__":
    local, remote, num_samples, workers = sys.argv[1:]
    out: Any = (local, remote) if remote else local
    pipeline._MAX_BATCH = 10
    streaming.write(rows(int(num_samples), 0.002), out, COLUMNS, workers=int(workers), **ARGUMENTS)
