"""Samples that take the place of those that cannot be read, when the user asked for that rather than for an exception.

The substitute depends on the seed, the epoch and the sample alone: every replica, and every resumed run, chooses the same
one. A bad shard is replaced by one other shard of its stream, so that it costs one more shard, not one for each sample.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import Any

from streaming.cache.cache import ShardCache
from streaming.core.errors import (
    AccessDeniedError,
    ChecksumError,
    ConfigError,
    MissingDependencyError,
    ObjectNotFoundError,
    ShardFormatError,
    ShardUnavailableError,
    StorageError,
    UnsafeTypeError,
)
from streaming.dataset.shards import ShardTable

__all__ = ["QUARANTINE", "Substitutes"]

logger = logging.getLogger(__name__)

QUARANTINE = ".streaming-quarantine.jsonl"

_SAME_SHARD = 8
_OTHER_SHARDS = 32


class Substitutes:
    """Reads the samples of one iteration, each bad one replaced.

    Args:
        read: Returns a sample by its id.
        cache: The shards.
        table: Where samples lie.
        seed: Seed of the order.
        epoch: The epoch.
    """

    def __init__(self, read: Callable[[int], Any], cache: ShardCache, table: ShardTable, seed: int, epoch: int) -> None:
        self._read = read
        self._cache = cache
        self._table = table
        self._key = f"{seed}|{epoch}"
        self._bad_shards: dict[int, Exception] = {}
        self._bad_samples: set[int] = set()

    def tolerate(self, shard: int, error: BaseException) -> bool:
        """Say whether a shard's failure is one of its data, to be answered by substitutes; if so, list the shard."""
        if not isinstance(error, Exception) or not _is_bad_shard(error):
            return False
        # Threads that fetch tell of it too; whichever is first lists it.
        if shard not in self._bad_shards and self._bad_shards.setdefault(shard, error) is error:
            self._report(shard, None, error)
        return True

    def attempt(self, shard: int, fetch: Callable[[], bool]) -> bool:
        """Return what a fetch returns, or raise how the shard has failed before."""
        if shard in self._bad_shards:
            raise self._bad_shards[shard]
        try:
            return fetch()
        except Exception as error:
            self.tolerate(shard, error)
            raise

    def read(self, sample_id: int) -> Any:
        """Return a sample, or the one that takes its place.

        Raises:
            Exception: What reading the sample raised, if no substitute could be read either, or if the failure is one of
                access, network or disk rather than of the data.
        """
        first: Exception | None = None
        for candidate in self._candidates(sample_id):
            bad = self._bad_shard(candidate)
            if bad is not None:
                first = first or bad
                continue
            try:
                sample = self._read(candidate)
            except Exception as error:
                if _is_not_the_data(error):
                    raise
                if candidate not in self._bad_samples:
                    self._bad_samples.add(candidate)
                    self._report(*self._table.locate(candidate), error)
                first = first or error
                continue
            if candidate != sample_id:
                self._cache.counters.add(substituted_samples=1)
            return sample
        if first is None:  # there is always the sample itself
            raise IndexError(f"There is no sample {sample_id}.")
        raise first

    def _bad_shard(self, sample_id: int) -> Exception | None:
        """Return what is wrong with a shard that a sample needs, if something is: each is asked for once."""
        for shard in self._table.needed(sample_id):
            if shard not in self._bad_shards:
                try:
                    self._cache.get(shard, self)
                except Exception as error:
                    if not self.tolerate(shard, error):
                        raise
            if shard in self._bad_shards:
                return self._bad_shards[shard]
        return None

    def _candidates(self, sample_id: int) -> Iterator[int]:
        """Yield the sample, then others of its shard, then others of its stream."""
        yield sample_id
        table = self._table
        shard, index = table.locate(sample_id)
        for attempt in range(_SAME_SHARD):
            yield int(table.sample_offset_per_shard[shard]) + self._draw(
                f"sample {sample_id}", attempt, int(table.samples_per_shard[shard])
            )
        stream = int(table.stream_per_shard[shard])
        first, count = int(table.shard_offset_per_stream[stream]), int(table.shards_per_stream[stream])
        for attempt in range(_OTHER_SHARDS):
            drawn = first + self._draw(f"shard {shard}", attempt, count)
            # Where that has no samples, the next one that has.
            begin, total = int(table.sample_offset_per_stream[stream]), int(table.samples_per_stream[stream])
            other, _ = table.locate(begin + (int(table.sample_offset_per_shard[drawn]) - begin) % total)
            if other != shard:
                size = int(table.samples_per_shard[other])
                yield int(table.sample_offset_per_shard[other]) + index % size

    def _draw(self, what: str, attempt: int, below: int) -> int:
        digest = blake2b(f"{self._key}|{what}|{attempt}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "little") % below

    def _report(self, shard: int, index: int | None, error: Exception) -> None:
        directory, local = self._cache.locate(shard)
        name = directory.index.shard(local).raw[0].basename
        what = f"shard {name}" if index is None else f"sample {index} of shard {name}"
        logger.warning("%s of %s cannot be read; other samples take its place: %s", what, directory.origin, error)
        entry = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "dataset": directory.origin,
            "shard": name,
            "sample": index,
            "error": f"{type(error).__name__}: {error}",
        }
        line = (json.dumps(entry) + "\n").encode()
        path = os.path.join(directory.directory, QUARANTINE)
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as failure:
            logger.warning("cannot list it in %s: %s", path, failure)
            return
        try:
            os.write(fd, line)  # one write, so that processes do not mix their lines
        finally:
            os.close(fd)


def _is_bad_shard(error: Exception) -> bool:
    """Whether a shard is missing or damaged where it is stored, which every replica finds alike."""
    if isinstance(error, ShardUnavailableError):
        return isinstance(error.__cause__, (ObjectNotFoundError, ShardFormatError, ChecksumError))
    return isinstance(error, (ShardFormatError, ChecksumError))


def _is_not_the_data(error: Exception) -> bool:
    return isinstance(
        error, (ConfigError, MissingDependencyError, UnsafeTypeError, AccessDeniedError, MemoryError)
    ) or (isinstance(error, (ShardUnavailableError, StorageError)) and not _is_bad_shard(error))
