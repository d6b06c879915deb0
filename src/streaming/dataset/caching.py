"""What a dataset's user asks of its cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streaming.core.arguments import as_integer

if TYPE_CHECKING:
    from streaming.cache.cache import ShardCache

__all__ = ["Cached"]


class Cached:
    """The part of a ``StreamingDataset`` that is about shards on this node's disk."""

    if TYPE_CHECKING:
        cache_limit: int | None
        _cache: ShardCache

    def stats(self) -> dict[str, int | float]:
        """Return what happened so far, summed over this process and the ``DataLoader`` workers it started.

        Returns:
            Numbers by name: ``samples`` whose serving began; ``bytes_fetched`` and ``files_fetched`` from the stores;
            ``retries``, ``throttled`` (the store asked to slow down) and ``corrupt`` (bytes that did not verify) attempts;
            ``evictions`` and ``bytes_evicted``; ``waits`` of the reader for a shard and their ``wait_seconds``, which are
            ``wait_seconds_queue`` (all download threads were busy), ``wait_seconds_other_process`` (it was fetching the
            same file), ``wait_seconds_download`` and ``wait_seconds_backoff`` (before another attempt);
            ``substituted_samples`` (see ``on_error``); ``cache_usage``, bytes on this node's disk now, and
            ``cache_limit``, 0 for none.

        Example:
            >>> dataset = StreamingDataset(remote='data', local='cache')
            >>> _ = dataset[0]
            >>> dataset.stats()['files_fetched']
            1
        """
        totals = self._cache.counters.totals()
        stats: dict[str, int | float] = {}
        for name, value in totals.items():
            if name.startswith("wait_ns"):
                stats[name.replace("wait_ns", "wait_seconds")] = value / 1e9
            else:
                stats[name] = value
        return {**stats, "cache_usage": self._cache.usage, "cache_limit": self.cache_limit or 0}

    @property
    def cache_usage(self) -> int:
        """Bytes on this node's disk that the dataset's cache holds."""
        return self._cache.usage

    def prepare_shard(self, shard_id: int, blocking: bool = True) -> None:
        """Make a shard present on this node.

        Args:
            shard_id: Index over the shards of all streams.
            blocking: Wait until it is.

        Raises:
            ShardUnavailableError: It could not be fetched.
        """
        shard_id = as_integer("shard_id", shard_id, 0)
        if blocking:
            self._cache.get(shard_id)
        else:
            self._cache.prefetch(shard_id, 0.0)

    def evict_shard(self, shard_id: int) -> None:
        """Remove a shard from the cache. What this cache did not fetch stays."""
        self._cache.evict(as_integer("shard_id", shard_id, 0))

    def evict_coldest_shard(self) -> None:
        """Remove the shard that was used longest ago.

        Raises:
            ConfigError: There is none to remove.
        """
        self._cache.evict_coldest()
