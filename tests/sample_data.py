"""The small dataset that most tests read."""

from __future__ import annotations

from typing import Any

from streaming import MDSWriter

__all__ = ["COLUMNS", "sample", "write_dataset"]


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
