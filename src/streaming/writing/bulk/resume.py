"""Continuing a bulk write that was interrupted."""

from __future__ import annotations

import os
import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, cast

from streaming.core.errors import ConfigError
from streaming.format.codecs.hashing import get_hash, new_hash
from streaming.format.index import dump_index
from streaming.format.unfinished import WORK_NAME
from streaming.writing.bulk.journal import Finished, Journal, Place, fingerprint
from streaming.writing.bulk.mapping import identity
from streaming.writing.bulk.recipe import Recipe
from streaming.writing.options import WriterOptions
from streaming.writing.publish.base import Base
from streaming.writing.publish.target import Target
from streaming.writing.rows.inputs import checked_row

__all__ = ["begin", "inputs_after", "rows_after"]

Row = Mapping[str, Any]


def begin(
    target: Target, recipe: Recipe, options: WriterOptions, *, has_fn: bool, resume: bool, staging: bool
) -> tuple[Journal, Base]:
    """Find what an interrupted call has finished, or begin anew.

    Args:
        target: Where the write goes; it holds what is there.
        recipe: How shards are made.
        options: What may be replaced, or is to be added to.
        has_fn: Whether a function makes the rows.
        resume: Continue an unfinished write.
        staging: Whether the local directory is not the user's, so that nothing in it is missed.

    Returns:
        The journal, begun, and the dataset that is added to.

    Raises:
        ConfigError: The unfinished write cannot be continued with these arguments.
        FileExistsError: There is a dataset, and it is neither to be replaced nor added to.
        StorageError: What is there cannot be read.
    """
    work = target.path(WORK_NAME)
    append, exist_ok = options.append, options.exist_ok
    wanted = {**recipe.as_json(), "append": append, "fn": has_fn or None}
    journal = Journal.load(work) if resume else None
    if journal is not None:
        differs = _difference(journal.header["recipe"], wanted)
        if differs and not exist_ok:
            raise ConfigError(
                f"{target!r} holds an unfinished write with other arguments ({differs}), so it cannot be continued. "
                "Call with the same arguments, or discard it: pass exist_ok=True, or to append resume=False."
            )
        if differs:
            journal = None
    if journal is not None and not append:
        base = Base()
    else:
        if not (append or exist_ok):
            target.check_remote()
        base = Base.open(target, recipe.encoder, append=append, exist_ok=exist_ok or staging)
    if journal is None:
        shutil.rmtree(work, ignore_errors=True)
        journal = Journal(work, {"recipe": wanted, "base": _identity(base), "token": base.token})
    else:
        base = _base_of(journal, base, target)
        journal.finished = journal.finished[: _num_intact(journal.finished, target)]
    journal.begin()
    return journal, base


def _difference(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}: {there.get(key)!r} there" for key in wanted if there.get(key) != wanted[key])


def _identity(base: Base) -> dict[str, Any]:
    entries = list(base.entries)
    return {"num_shards": len(entries), "hash": get_hash("xxh3_128", dump_index(entries))}


def _base_of(journal: Journal, found: Base, target: Target) -> Base:
    """Return the dataset that an interrupted call appended to. Its own index may already be there."""
    num_shards = journal.header["base"]["num_shards"]
    base = Base(found.index, found.entries[:num_shards], journal.header["token"])
    ours = [done.entry for done in journal.finished]
    if _identity(base) != journal.header["base"] or list(found.entries[num_shards:]) not in ([], ours):
        raise ConfigError(
            f"The dataset at {target!r} has changed since the unfinished append to it began. Pass resume=False to "
            "append all samples to it as it is now."
        )
    return base


def _num_intact(finished: Sequence[Finished], target: Target) -> int:
    """Count the finished shards, from the first, whose files are where they belong."""
    sizes = {} if target.store is None else {info.path: info.bytes for info in target.store.list()}
    for number, done in enumerate(finished):
        file = done.entry["zip_data"] or done.entry["raw_data"]
        name, size = file["basename"], file["bytes"]
        path = target.path(name)
        local_is_fine = not target.keep_local or (os.path.isfile(path) and os.path.getsize(path) == size)
        if not local_is_fine or (target.store is not None and sizes.get(name) != size):
            return number
    return len(finished)


def rows_after(iterable: Iterable[Row], finished: Sequence[Finished], recipe: Recipe) -> Iterator[Row]:
    """Return the rows after those of the finished shards, having compared the first and the last of each.

    Args:
        iterable: All rows. A sequence is asked for those it takes alone.
        finished: The shards.
        recipe: How they are encoded.

    Raises:
        ConfigError: The rows are others than those of the shards.
    """
    encode = recipe.encoder.encode_sample
    rows = iter(()) if isinstance(iterable, Sequence) else iter(iterable)
    position = 0
    for number, done in enumerate(finished):
        samples: int = done.entry["samples"]
        if isinstance(iterable, Sequence):
            ends = (iterable[i] for i in (position, position + samples - 1) if i < len(iterable))
        else:
            ends = _ends(islice(rows, samples))
        # Each is encoded as it comes: the next may be the same object, filled anew.
        prints = [fingerprint(encode(checked_row(row))) for row in ends]
        if prints != [done.first, done.last]:
            raise ConfigError(
                f"The unfinished write cannot be continued: samples {position} to {position + samples - 1} are not "
                f"those that shard {number} of it holds. Give the same samples in the same order, or discard it: pass "
                "exist_ok=True and resume=False."
            )
        position += samples
    if isinstance(iterable, Sequence):
        return (checked_row(iterable[i]) for i in range(position, len(iterable)))
    return map(checked_row, rows)


def _ends(rows: Iterator[Row]) -> Iterator[Row]:
    """Yield the first and the last of rows; the only one twice."""
    for row in islice(rows, 1):
        yield row
        yield from deque(rows, maxlen=1) or (row,)


def inputs_after(iterable: Iterable[Any], place: Place | None) -> tuple[Iterator[Any], InputsSeen]:
    """Return the inputs from the one on that the last finished sample comes from, all if there is none.

    Args:
        iterable: All inputs. Of a sequence that is neither a list nor a tuple, only those from there on are asked for.
        place: Where that sample comes from.

    Returns:
        The inputs, and what is known of those up to the first of them.

    Raises:
        ConfigError: The inputs up to that one are others now.
    """
    seen = InputsSeen(iterable)
    if place is None:
        return iter(iterable), seen
    number = place.input
    if seen.hashes:
        inputs = iter(iterable)
        for item in islice(inputs, number):
            seen.add(identity(item))
        found = list(islice(inputs, 1))
        inputs = chain(found, inputs)
    else:
        sequence = cast("Sequence[Any]", iterable)
        seen.count = number
        found = [sequence[i] for i in range(number, min(number + 1, len(sequence)))]
        inputs = (sequence[i] for i in range(number, len(sequence)))
    for item in found:
        seen.add(identity(item))
    if not found or seen.fingerprint != place.inputs:
        raise ConfigError(
            f"The unfinished write cannot be continued: the inputs up to number {number} are others than those that it "
            "began with. Give the same inputs in the same order, or discard it: pass exist_ok=True and resume=False."
        )
    return inputs, seen


class InputsSeen:
    """The inputs from the first up to some one, by a fingerprint.

    Args:
        inputs: All inputs. Of a sequence that may have to make its items only the kind counts.

    Attributes:
        hashes: Whether each counts.
        count: How many were seen.
    """

    def __init__(self, inputs: Iterable[Any]) -> None:
        self.hashes = isinstance(inputs, (list, tuple)) or not isinstance(inputs, Sequence)
        self.count = 0
        kind = repr((inputs.start, inputs.step)) if isinstance(inputs, range) else ""
        self._hash = new_hash("xxh3_128")
        self._hash.update(kind.encode())

    def add(self, text: str) -> None:
        """Take note of the next input, by what it is told by."""
        self.count += 1
        if self.hashes:
            self._hash.update(f"{len(text)}:{text}".encode())

    @property
    def fingerprint(self) -> str:
        """Of all inputs seen."""
        return self._hash.hexdigest()
