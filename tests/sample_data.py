"""The small dataset that most tests read, and what can be made of it without writing it anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from streaming import MDSWriter

__all__ = ["COLUMNS", "KINDS", "ids_of", "open_kind", "part_of", "sample", "write_dataset", "write_kinds"]

#: A dataset as it was written; some of it; with a column of another dataset; after a function; and all three.
KINDS = ("stored", "view", "join", "map", "all")


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


def write_kinds(out: str, num_samples: int) -> str:
    """Write samples as ``write_dataset`` does, and beside them, in another order, twice the id of each."""
    write_dataset(out, num_samples, side_columns=["id"])
    columns = {"key": "int", "twice": "int"}
    with MDSWriter(
        out=f"{out}-twice", columns=columns, side_columns=["key"], size_limit=2000, hashes=["xxh64"]
    ) as writer:
        for i in reversed(range(num_samples)):
            writer.write({"key": i, "twice": 2 * i})
    return out


def open_kind(kind: str, remote: str, local: Any = None, **arguments: Any) -> Any:
    """Open what ``write_kinds`` wrote, as one of ``KINDS``: in place, or with a cache."""
    from streaming import Side, Stream, StreamingDataset  # tests of what needs no PyTorch run without

    places = [(remote, f"{local}/own"), (f"{remote}-twice", f"{local}/twice")]
    own, twice = ({"remote": a, "local": b} if local else {"local": a} for a, b in places)
    sides = [Side(**twice, on=("id", "key"), columns=["twice"])] if kind in ("join", "all") else []
    made: Any = StreamingDataset(streams=[Stream(**own, join=sides) if sides else Stream(**own)], **arguments)
    made = made.filter("id % 3 > 0") if kind in ("view", "all") else made
    return made.map(checked, rng=True) if kind in ("map", "all") else made


def ids_of(kind: str, num_samples: int) -> list[int]:
    """The ids of the samples of a kind."""
    return [i for i in range(num_samples) if kind not in ("view", "all") or i % 3]


def checked(sample: dict[str, Any], rng: Any) -> dict[str, Any]:
    """Return a sample that has what it should, and more."""
    assert sample.get("twice", 2 * sample["id"]) == 2 * sample["id"]
    return {**sample, "noise": int(rng.integers(100))}


def part_of(dataset: Any, shard: int = 0) -> Path:
    """Where a dataset's cache has the beginning of a shard until all of it is there."""
    directory, local = dataset._cache.locate(shard)
    job = directory._keepers(local)[-1].job
    return Path(job.part(job.wire))
