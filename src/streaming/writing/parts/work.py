"""A part: what is done on a machine of a cluster, and what it leaves behind."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from streaming.core.errors import ConfigError
from streaming.format.codecs.hashing import get_hash
from streaming.format.unfinished import WORK_NAME
from streaming.storage.store import Store
from streaming.writing.bulk.journal import fingerprint
from streaming.writing.bulk.mapping import Function, Part, identity, map_inputs
from streaming.writing.bulk.recipe import Recipe
from streaming.writing.bulk.workers import portable
from streaming.writing.parts.shards import directory_of, put, write_shards

__all__ = ["Job", "Receipt", "Task", "attempt", "check_same", "name_of"]


class Task(NamedTuple):
    """The inputs of a part.

    Attributes:
        number: Of the part.
        first: Number of the first input.
        items: The inputs.
    """

    number: int
    first: int
    items: tuple[Any, ...]


@dataclass(frozen=True)
class Receipt:
    """A part that is where it belongs.

    Attributes:
        number: Of the part.
        entries: Its shards, as the index lists them.
        first: Fingerprint of its first sample, ``None`` if it has none.
        skipped: What was left out: number of the input, how it looks, and why.
        unknown: Keys of a row that are no columns.
    """

    number: int
    entries: list[dict[str, Any]]
    first: str | None
    skipped: list[tuple[int, str, str]]
    unknown: list[str]

    @property
    def samples(self) -> int:
        """Number of its samples."""
        return sum(entry["samples"] for entry in self.entries)

    def to_bytes(self) -> bytes:
        """Return it as JSON."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Receipt:
        """Return what :meth:`to_bytes` made text of.

        Raises:
            ValueError: It is something else.
        """
        fields: dict[str, Any] = json.loads(data)
        fields["skipped"] = [tuple(skip) for skip in fields["skipped"]]
        return cls(**fields)


@dataclass(frozen=True)
class Job:
    """What all parts of a dataset have in common. It can be pickled, if the function can.

    Attributes:
        name: What tells it from other jobs.
        store: The root of the dataset.
        recipe: How shards are made.
        function: Makes rows of an input.
        skips: Leave out what fails, and note it.
        retries: Further attempts after a failed upload.
    """

    name: str
    store: Store
    recipe: Recipe
    function: Function
    skips: bool
    retries: int

    def path(self, name: str = "") -> str:
        """Return where the job keeps what it notes, below the root."""
        return f"{WORK_NAME}/{self.name}/{name}".rstrip("/")

    def receipt_path(self, number: int) -> str:
        """Return where the receipt of a part is."""
        return self.path(f"{number:05}.json")

    def made(self, task: Task) -> Iterator[Part]:
        """Yield what the function makes of a task's inputs, encoded."""
        items = [pickle.dumps(item) for item in task.items]
        return map_inputs(self.function, self.recipe, task.first, items, None, self.skips)


def name_of(recipe: Recipe, tasks: list[Task]) -> str:
    """Return what tells a job from others: by how shards are made, and by the inputs of each part."""
    inputs = [[task.first, *map(identity, task.items)] for task in tasks]
    return get_hash("xxh3_128", json.dumps([recipe.as_json(), inputs]).encode())[:16]


def attempt(job: Job, task: Task) -> Receipt | Exception:
    """Write a part and its receipt. It may be repeated, even while another attempt is under way.

    Args:
        job: What it is a part of.
        task: Its inputs.

    Returns:
        The receipt; or what went wrong, as an exception that can be sent: engines would repeat what fails in vain, and
        wrap it.
    """
    try:
        return _done(job, task)
    except Exception as error:
        return portable(error)


def _done(job: Job, task: Task) -> Receipt:
    skipped: list[tuple[int, str, str]] = []
    unknown: list[str] = []
    first: list[str] = []

    def pieces() -> Iterator[tuple[bytes, list[int]]]:
        for part in job.made(task):
            skipped.extend((number, item, reason) for _, number, item, reason in part.skipped)
            if part.unknown is not None and not unknown:
                unknown.extend(part.unknown[1])
            piece = part.joined()
            if piece[1] and not first:
                first.append(fingerprint(piece[0][: piece[1][0]]))
            yield piece

    shards = write_shards(job.store, job.recipe, directory_of(task.number), pieces(), job.retries)
    receipt = Receipt(task.number, list(shards), next(iter(first), None), skipped, unknown)
    put(job.store, job.receipt_path(task.number), receipt.to_bytes(), job.retries)
    return receipt


def check_same(job: Job, task: Task, receipt: Receipt) -> None:
    """Check that the first sample of a part is the one that its receipt tells of.

    Raises:
        ConfigError: It is another now.
    """
    piece = next((piece for part in job.made(task) if (piece := part.joined())[1]), None)
    if (piece and fingerprint(piece[0][: piece[1][0]])) != receipt.first:
        raise ConfigError(
            f"The unfinished write cannot be continued: the first sample of its part {task.number} is another now than the "
            "one that it holds. Give the same inputs and a function that makes the same of them, or discard it: pass "
            "exist_ok=True and resume=False."
        )
