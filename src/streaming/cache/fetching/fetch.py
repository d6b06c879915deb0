"""Fetch one file of a shard: download, hash, decompress and place it in one streaming pass."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from typing import IO, Any

from streaming.cache.bookkeeping.counters import Phases
from streaming.cache.fetching.config import THROTTLE_PATIENCE, FetchConfig
from streaming.cache.fetching.excerpts import lay_rows
from streaming.cache.fetching.parts import PART_BYTES, download_in_parts
from streaming.cache.files.keeper import FileJob, Keeper, Recipe, cheapest_hash
from streaming.core.errors import (
    AccessDeniedError,
    ChecksumError,
    LockedError,
    ObjectChangedError,
    ObjectNotFoundError,
    ShardFormatError,
    ShardUnavailableError,
    StorageError,
    ThrottledError,
)
from streaming.core.process.ending import finished_before_the_end
from streaming.core.process.lock import locked_part
from streaming.core.text import advice_on
from streaming.format.codecs.compression import stream_decompressor
from streaming.format.codecs.hashing import new_hash
from streaming.storage import versions
from streaming.storage.retry import RetryPolicy, backoff_s
from streaming.storage.store import Store

__all__ = ["FetchStats", "fetch_file"]

logger = logging.getLogger(__name__)

_CHUNK = 1 << 20
#: How often a directory may be removed while one file is fetched into it.
_REMOVALS = 4
#: Of those that a process makes, one waits for its store while the other is encoded; small ones do not wait.
_MADE_AT_ONCE, _SMALL_BYTES = 2, 4 << 20


@dataclass
class FetchStats:
    """What fetching one file took.

    Attributes:
        bytes_fetched: Bytes that came from the store, those of failed attempts too.
        files_fetched: Files made present.
        retries: Attempts after the first.
        throttled: How often the store asked to slow down.
        corrupt: Attempts whose bytes did not verify.
        phases: What it did when.
    """

    bytes_fetched: int = 0
    files_fetched: int = 0
    retries: int = 0
    throttled: int = 0
    corrupt: int = 0
    phases: Phases = field(default_factory=Phases)


def fetch_file(
    keeper: Keeper,
    store: Store | None,
    config: FetchConfig,
    sleep: Callable[[float], Any],
    stats: FetchStats,
    connections: Callable[[], int] | None = None,
    on_begin: Callable[[int | None], Any] | None = None,
) -> None:
    """Make one file present under its final name.

    One process at a time does this for a file; another that needs it waits here for the first and finds it done. An
    attempt continues at the bytes that are already there, whoever fetched them.

    Args:
        keeper: The file.
        store: Where the bytes are; ``None`` when only a local compressed file can serve.
        config: How to fetch.
        sleep: Waits between attempts, in seconds.
        stats: Counts what happened.
        connections: Returns how many requests at a time a large file may take, asked again as it comes; ``None``: one.
        on_begin: Called under the lock, before bytes are asked for; again, with the size of the file, where that is known
            only then.

    Raises:
        ShardUnavailableError: Every attempt failed, or the directory cannot be written; the cause is chained.
        ChecksumError: The store's bytes do not fit the index, even when fetched again.
    """
    failures = 0
    try:
        while True:
            try:
                _fetch_file(keeper, store, config, sleep, stats, connections, on_begin)
                return
            except FileNotFoundError as error:
                # Somebody removed the directory just now, which is made again.
                failures += 1
                if isinstance(error, StorageError) or failures == _REMOVALS:
                    raise
    except StorageError:
        raise
    except LockedError as error:
        raise ShardUnavailableError(f"Could not fetch {keeper.job.path(keeper.job.raw)}. {error}") from error
    except OSError as error:
        hint = advice_on(error) or f"Check free space and permissions of {keeper.job.directory}."
        if store is None:
            hint += " Compressed shards are decompressed beside themselves; to do so elsewhere, pass this directory as "
            hint += "remote, and as local one that can be written."
        raise ShardUnavailableError(f"Could not write {keeper.job.path(keeper.job.raw)}: {error}. {hint}") from error


def _fetch_file(
    keeper: Keeper,
    store: Store | None,
    config: FetchConfig,
    sleep: Callable[[float], Any],
    stats: FetchStats,
    connections: Callable[[], int] | None,
    on_begin: Callable[[int | None], Any] | None,
) -> None:
    job = keeper.job
    final = job.path(job.raw)
    os.makedirs(os.path.dirname(final), exist_ok=True)
    stats.phases.enter("other_process")
    with locked_part(job.part(job.wire), config.lock_timeout_s(job.raw.bytes)) as part:
        stats.phases.enter("download")
        if keeper.is_done():
            _truncate(part)  # of somebody who was killed once the file was in its place
            return
        if keeper.has_zip():
            _from_local_zip(keeper, config, keep=config.keep_zip or store is None)
            return
        if store is None:
            raise ShardUnavailableError(
                f"Shard file {final} is missing or damaged, and the dataset has no remote to fetch it from."
            )
        if on_begin is not None:
            on_begin(None)
        _attempts(keeper, store, config, part, sleep, stats, connections, on_begin)
        stats.files_fetched += 1


def _from_local_zip(keeper: Keeper, config: FetchConfig, keep: bool) -> None:
    job = keeper.job
    with _Sinks(keeper, config) as sinks:
        sinks.feed_file(job.path(job.wire))
        sinks.finish()
    if not keep:
        keeper.drop_zip()


def _attempts(
    keeper: Keeper,
    store: Store,
    config: FetchConfig,
    part: str,
    sleep: Callable[[float], Any],
    stats: FetchStats,
    connections: Callable[[], int] | None,
    on_size: Callable[[int], Any] | None,
) -> None:
    job = keeper.job
    policy = RetryPolicy(attempts=config.download_retry + 1, initial_backoff_s=0.5)
    failures = throttled = 0
    cause: Exception
    patience_s = THROTTLE_PATIENCE * config.download_timeout
    while True:
        try:
            # What failed is tried again in the simplest way.
            _attempt(keeper, store, config, part, stats, connections if failures + throttled == 0 else None, on_size)
            return
        except (ObjectNotFoundError, AccessDeniedError) as error:
            raise _unavailable(job, store, error, failures + 1) from error
        except ObjectChangedError as error:
            _truncate(part)
            failures += 1
            if not keeper.is_proved or failures >= max(2, policy.attempts):
                raise _unavailable(job, store, error, failures) from error
            wait, cause = 0.0, error
        except ThrottledError as error:
            # Being asked to slow down is not a failure of the data: it has a budget of its own.
            throttled += 1
            stats.throttled += 1
            wait = backoff_s(policy, throttled, throttled=True)
            patience_s -= wait
            if patience_s < 0:
                raise _unavailable(job, store, error, failures + throttled) from error
            cause = error
        except (ChecksumError, ShardFormatError) as error:
            stats.corrupt += 1
            failures += 1
            _truncate(part)
            if failures >= max(2, policy.attempts):
                raise
            wait, cause = 0.0, error
        except StorageError as error:
            failures += 1
            if failures >= policy.attempts:
                raise _unavailable(job, store, error, failures + throttled) from error
            wait, cause = backoff_s(policy, failures), error
        stats.retries += 1
        logger.warning("fetching %s failed (%s); trying again in %.1f s", job.stored.basename, cause, wait)
        if wait:
            stats.phases.enter("backoff")
            sleep(wait)
            stats.phases.enter("download")


def _unavailable(job: FileJob, store: Store, error: Exception, tries: int) -> ShardUnavailableError:
    return ShardUnavailableError(
        f"Could not fetch shard file {job.stored.basename} from {store!r} after {tries} "
        f"attempt{'s' * (tries != 1)}: {error}"
    )


def _attempt(
    keeper: Keeper,
    store: Store,
    config: FetchConfig,
    part: str,
    stats: FetchStats,
    connections: Callable[[], int] | None,
    on_size: Callable[[int], Any] | None,
) -> None:
    job, wire = keeper.job, keeper.job.wire

    def count(number: int) -> None:
        stats.bytes_fetched += number

    if job.recipe is not None:
        _make(keeper, job.recipe, store, count, part, on_size)
        return
    offset, version = _begin(keeper, store, part)
    if job.excerpt is not None:
        lay_rows(keeper, job.excerpt, store, part, version, count, on_size, connections)
        keeper.confirm()
        keeper.place(part, wire)
        return
    with _Sinks(keeper, config) as sinks:
        sinks.feed_file(part, offset)
        if offset < wire.bytes:

            def sink(chunk: Any) -> None:
                count(len(chunk))
                sinks.feed(chunk)

            on_info = None if keeper.is_proved else keeper.see
            is_large = wire.bytes - offset >= 2 * PART_BYTES and getattr(store, "takes_ranges", False)
            if is_large and connections is not None and connections() > 1:
                download_in_parts(
                    store, wire.basename, part, offset, wire.bytes, sink, connections, version=version, on_info=on_info
                )
            else:
                versions.download(
                    store,
                    wire.basename,
                    part,
                    offset=offset,
                    sink=sink,
                    version=version,
                    on_info=on_info,
                    stall_timeout=config.download_timeout,
                    total_timeout=None,
                )
        keeper.confirm()
        sinks.finish()
    if job.zip is None or config.keep_zip:
        keeper.place(part, wire)
    else:
        os.unlink(part)


class _Makers:
    """Whose turn it is to make files: that is work for a processor, which many at once would only have ready later."""

    turn = threading.BoundedSemaphore(_MADE_AT_ONCE)

    @classmethod
    def renew(cls) -> None:
        cls.turn = threading.BoundedSemaphore(_MADE_AT_ONCE)


os.register_at_fork(after_in_child=_Makers.renew)


def _make(
    keeper: Keeper,
    recipe: Recipe,
    store: Store,
    count: Callable[[int], Any],
    part: str,
    on_size: Callable[[int], Any] | None,
) -> None:
    is_small = keeper.job.raw.bytes < _SMALL_BYTES
    with nullcontext() if is_small else _Makers.turn, finished_before_the_end():
        with open(part, "wb") as file:
            recipe(store, count, file)
            file.flush()
            if on_size is not None:
                on_size(os.fstat(file.fileno()).st_size)
        keeper.place(part, keeper.job.wire)


def _begin(keeper: Keeper, store: Store, part: str) -> tuple[int, str | None]:
    """Return where to go on, and of which version that must be; an unfinished file of another one is emptied."""
    offset = os.path.getsize(part) if os.path.exists(part) else 0
    version = None
    if not keeper.is_proved:
        keeper.witness.before()
        version = keeper.witness.version_of(keeper.job.stored.basename)
        if offset:
            known = keeper.version_of_part(store)
            if known is None:
                offset = 0
            else:
                version = known
    if not offset or offset > keeper.job.stored.bytes:
        _truncate(part)
        offset = 0
    return offset, version


def _truncate(path: str) -> None:
    if os.path.exists(path):
        os.truncate(path, 0)


class _Sinks:
    """Where the bytes of one attempt go: size, hash, and the decompressed file."""

    def __init__(self, keeper: Keeper, config: FetchConfig) -> None:
        job = keeper.job
        wire = job.wire
        self._keeper = keeper
        self._job = job
        self._wire = wire
        self._algo = cheapest_hash(wire, config.validate_hash)
        self._hasher = new_hash(self._algo) if self._algo else None
        self._seen = 0
        self._raw_path: str | None = None
        self._raw_file: IO[bytes] | None = None
        self._decompressor: Any = None
        if job.zip is not None and job.compression is not None:
            self._raw_path = job.part(job.raw)
            self._decompressor = stream_decompressor(job.compression, job.raw.bytes)
            self._raw_file = _create(self._raw_path)

    def __enter__(self) -> _Sinks:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._raw_file is not None:
            self._raw_file.close()
            if self._raw_path is not None and os.path.exists(self._raw_path):
                os.unlink(self._raw_path)

    def feed_file(self, path: str, size: int | None = None) -> None:
        """Feed the first ``size`` bytes of a local file, or all of it."""
        if size == 0:
            return
        with open(path, "rb", buffering=0) as file:
            while chunk := file.read(_CHUNK):
                self.feed(chunk)

    def feed(self, chunk: Any) -> None:
        self._seen += len(chunk)
        if self._seen > self._wire.bytes:
            raise self._mismatch(f"more than the {self._wire.bytes} bytes that the index records")
        if self._hasher is not None:
            self._hasher.update(chunk)
        if self._raw_file is not None:
            _write_all(self._raw_file, self._decompressor.feed(bytes(chunk)))

    def finish(self) -> None:
        """Check everything, and give the decompressed file its final name.

        Raises:
            ChecksumError: Size or hash do not fit.
            ShardFormatError: The bytes do not decompress to what the index says.
        """
        if self._seen != self._wire.bytes:
            raise self._mismatch(f"{self._seen} bytes; the index records {self._wire.bytes}")
        if self._hasher is not None and self._algo is not None:
            found = self._hasher.hexdigest()
            if found != self._wire.hashes[self._algo]:
                raise self._mismatch(f"{self._algo} {found}; the index records {self._wire.hashes[self._algo]}")
        if self._raw_file is not None and self._raw_path is not None:
            _write_all(self._raw_file, self._decompressor.finish())
            written = self._raw_file.tell()
            if written != self._job.raw.bytes:
                raise self._mismatch(f"{written} bytes once decompressed; the index records {self._job.raw.bytes}")
            self._keeper.place(self._raw_path, self._job.raw)

    def _mismatch(self, what: str) -> ChecksumError:
        return ChecksumError(
            f"Checksum failure: {self._wire.basename} has {what}. The file in the store is damaged, or index.json is "
            "of another version of the dataset."
        )


def _create(path: str) -> IO[bytes]:
    """Create a file, in the place of what somebody who was killed, or a stranger, has left there."""
    with suppress(FileNotFoundError):
        os.unlink(path)
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666), "wb", buffering=0)


def _write_all(file: IO[bytes], data: Any) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
