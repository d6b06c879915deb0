"""The first samples of an iteration, read out of shards that are still on their way.

A large shard takes a while to come; some of its samples can be asked for by themselves. That is done for the first batch
only, of uncompressed shards of one file whose hashes nobody asked to verify or recorded: every other byte that is served
comes from a complete, verified shard.
"""

from __future__ import annotations

import logging
import weakref
from concurrent.futures import FIRST_COMPLETED, FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from streaming.cache.files.excerpt import Excerpt
from streaming.cache.files.witness import Witness
from streaming.core.arrays import distinct
from streaming.core.errors import StreamingError
from streaming.core.process.ledger import LEDGERS, STORE
from streaming.format.formats import get_decoder
from streaming.format.index import ShardInfo
from streaming.storage import versions
from streaming.storage.store import Store

if TYPE_CHECKING:
    from streaming.cache.cache import ShardCache

__all__ = ["FirstSamples"]

logger = logging.getLogger(__name__)

Ints = NDArray[np.int64]

_REQUESTS = 32
#: A shard that is smaller comes as fast as a few of its samples.
_MIN_BYTES = 16 << 20
#: So much more than the samples a shard must hold, for them to be sooner.
_MIN_GAIN = 16


@dataclass(frozen=True)
class _Source:
    """Where samples of one shard are asked for."""

    store: Store
    info: ShardInfo
    witness: Witness

    def places(self, indexes: Ints) -> dict[int, tuple[int, int]]:
        """Return where each of some samples begins and ends, by its index."""
        begins, ends = Excerpt(self.info, indexes).places(lambda a, b: [(0, self.read(0, int(b[-1])))])
        return dict(zip(indexes.tolist(), zip(begins.tolist(), ends.tolist(), strict=True), strict=True))

    def read(self, begin: int, end: int) -> bytes:
        name = self.info.raw[0].basename
        data, found = versions.read(self.store, name, begin, end, version=self.witness.version_of(name))
        self.witness.see(found)  # all of them, and the shard itself, are of the version that was seen first
        return data


class FirstSamples:
    """Samples that are asked for by themselves while their shards are fetched.

    Args:
        cache: The shards.
        shards: ``int64[n]``, shard of each of the first samples, in the order in which they are read.
        indexes: ``int64[n]``, index of each in its shard.
    """

    def __init__(self, cache: ShardCache, shards: Ints, indexes: Ints) -> None:
        self._cache = cache
        self._pool: ThreadPoolExecutor | None = None
        self._places: dict[int, Future[dict[int, tuple[int, int]]]] = {}
        self._samples: dict[tuple[int, int], Future[bytes]] = {}
        sources = {
            shard: source
            for shard in distinct(shards[shards >= 0])[0].tolist()
            if (source := self._source(shard, int((shards == shard).sum()))) is not None
        }
        if not sources:
            return
        self._pool = ThreadPoolExecutor(_REQUESTS, "streaming-first")
        self._stop = weakref.finalize(self, self._pool.shutdown, wait=False, cancel_futures=True)
        for shard, source in sources.items():
            wanted = distinct(indexes[shards == shard])[0]
            self._places[shard] = self._pool.submit(source.places, wanted)
        for shard, index in zip(shards.tolist(), indexes.tolist(), strict=True):
            if shard in sources and (shard, index) not in self._samples:
                self._samples[shard, index] = self._pool.submit(self._read, shard, sources[shard], index)

    def __bool__(self) -> bool:
        return self._pool is not None

    def wait(self, timeout_s: float) -> None:
        """Wait until all have come, or one failed."""
        before = LEDGERS.own.enter(STORE)
        wait(self._samples.values(), timeout_s, FIRST_EXCEPTION)
        LEDGERS.own.enter(before)

    def get(self, shard_id: int, index: int) -> dict[str, Any]:
        """Return a sample, from its shard or by itself, whichever is there first.

        Raises:
            StreamingError: The shard could not be fetched or read.
        """
        alone = self._samples.pop((shard_id, index), None)
        if alone is not None and not self._cache.is_present(shard_id):
            either: list[Future[Any]] = [alone, self._cache.prefetch(shard_id, 0.0)]
            before = LEDGERS.own.enter(STORE)
            wait(either, return_when=FIRST_COMPLETED)
            LEDGERS.own.enter(before)
            if alone.done() and not alone.cancelled() and alone.exception() is None:
                info, columns = self._info(shard_id), self._cache.locate(shard_id)[0].columns
                try:
                    return get_decoder(info.schema, columns).decode(alone.result())
                except Exception as error:  # the whole shard will tell what is wrong, if something is
                    logger.debug("sample %d of shard %d alone: %s", index, shard_id, error)
        return self._cache.get(shard_id).get(index)

    def close(self) -> None:
        """Ask for no more."""
        self._samples.clear()
        if self._pool is not None:
            self._stop()
            self._pool = None

    def _source(self, shard_id: int, wanted: int) -> _Source | None:
        directory, local = self._cache.locate(shard_id)
        store = directory.store
        if (
            not directory.is_stored(local)
            or store is None
            or not getattr(store, "takes_ranges", False)
            or directory.config.validate_hash
        ):
            return None
        info = self._info(shard_id)
        raw = info.raw[0]
        if len(info.raw) != 1 or any(info.zip) or raw.hashes or raw.bytes < _MIN_BYTES:
            return None
        if wanted * _MIN_GAIN * raw.bytes > raw.bytes * info.samples or wanted > 4 * _REQUESTS:
            return None
        try:
            return None if self._cache.is_present(shard_id) else _Source(store, info, directory.witness)
        except StreamingError:
            return None

    def _info(self, shard_id: int) -> ShardInfo:
        directory, local = self._cache.locate(shard_id)
        return directory.index.shard(local)

    def _read(self, shard_id: int, source: _Source, index: int) -> bytes:
        if self._cache.is_present(shard_id):
            return b""
        data = source.read(*self._places[shard_id].result()[index])
        self._cache.counters.add(bytes_fetched=len(data))
        return data
