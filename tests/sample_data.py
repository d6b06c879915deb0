"""The small dataset that most tests read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from streaming import MDSWriter

__all__ = ["COLUMNS", "part_of", "sample", "write_dataset"]


def sample(i: int) -> dict[str, Any]:
    """The i-th sample of the test datasets."""
    return {"id": i, "text": f"sample {i} " + "x" * (i % 13)}


COLUMNS = {"id": "int", "text": "str"}


def write_dataset(out: Any, num_samples: int, **kwargs: Any) -> None:
    """Write samples 0 .. num_samples - 1, about a hundred to a shard."""
    arguments: dict[str, Any] = {"size_limit": 3500, "hashes": ["xxh64"], **kwargs}
    with MDSWriter(columns=COLUMNS, out=out, **arguments) as writer:
        for i in range(num_samples):
            writer.write(sample(i))


def part_of(dataset: Any, shard: int = 0) -> Path:
    """Where a dataset's cache has the beginning of a shard until all of it is there."""
    directory, local = dataset._cache.locate(shard)
    job = directory._keepers(local)[-1].job
    return Path(job.part(job.wire))
