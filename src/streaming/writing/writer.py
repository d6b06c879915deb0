"""The base of all writers: encode samples, cut them into shards, and send shards and index to their target.

Encoding happens in the caller's thread. Everything per shard (building its bytes, compressing, hashing, writing,
uploading) happens in background threads, at most a few shards at once, so memory stays bounded. The index is written
and uploaded last, when every shard is confirmed; a writer that fails publishes none.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Any

from streaming.core.errors import ConfigError, StreamingError, UploadError, WorkerError
from streaming.core.names import HashName, Out
from streaming.core.unknown_arguments import named_arguments
from streaming.format.codecs.compressors import drop_compressors
from streaming.format.formats import column_names, make_shard_encoder
from streaming.writing.build import build_shard
from streaming.writing.options import WriterArguments, WriterOptions, checked_columns
from streaming.writing.ownership import Unfinished, watch_forks
from streaming.writing.publish.base import Base
from streaming.writing.publish.places import Place
from streaming.writing.publish.target import Target
from streaming.writing.rows.keys import KeyCheck
from streaming.writing.side.collect import SideWriter

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

__all__ = ["Writer"]

logger = logging.getLogger(__name__)

_NO_LIMIT = 1 << 62


class Writer:
    """Base of the writers of all formats.

    Use it as a context manager: leaving the block finishes the dataset; leaving it by an exception publishes no index,
    so that nobody takes a part for the whole.

    A sample is stored as it is when :meth:`write` is called. Several threads may write to one writer: every sample is
    stored, in the order in which they come. A process that was forked may not use the writer of its parent.

    Args:
        encoder_args: What the encoder of the format needs, such as ``columns``.
        out: Where to write: a local directory, a URL, or a pair ``(local, remote)``.
        options: As for :class:`streaming.MDSWriter`.

    Appending leaves the shards that are there as they are, numbers the new ones after them, and at the end replaces the
    index in one step. Whoever began to read before keeps the dataset as it was; whoever begins after has all of it.
    Columns must be those of the dataset; compression, hashes and size limit may be others.

    Raises:
        ConfigError: An argument is wrong, or what is to be appended to has other columns.
        FileExistsError: The local directory is not empty, or there is a dataset at the URL, and neither ``exist_ok`` nor
            ``append`` is set.
        StorageError: The target cannot be written to.
    """

    format: str = ""
    extra_bytes_per_shard = 0
    extra_bytes_per_sample = 0

    @named_arguments(WriterOptions)
    def __init__(
        self,
        *,
        encoder_args: Mapping[str, Any],
        out: Out,
        **options: Unpack[WriterArguments],
    ) -> None:
        given = WriterOptions(**options)
        place = Place.parse(out, given.storage_options)
        self.compression: str | None = given.compression
        self.hashes: list[HashName] = list(given.hashes or ())
        self.size_limit: int | None = given.most_bytes
        if "columns" in encoder_args:
            checked_columns(encoder_args["columns"])
        self._encoder = make_shard_encoder(
            self.format,
            compression=self.compression,
            hashes=self.hashes,
            size_limit=self.size_limit,
            **encoder_args,
        )
        self._target = Target(place, keep_local=given.keep_local, retries=given.retry, format=self.format)
        self._base = Base.open(self._target, self._encoder, append=given.append, exist_ok=given.exist_ok)
        self._side = SideWriter.open(given.expressions, self._encoder, self._target, self._base)
        self.local: str = self._target.local
        self.remote: str | None = place.remote.url if place.remote else None
        self.keep_local: bool = self._target.keep_local
        self.extra_bytes_per_shard: int = self._encoder.base_bytes
        self.extra_bytes_per_sample: int = self._encoder.extra_bytes_per_sample
        workers = given.max_workers or min(32, (os.cpu_count() or 1) + 4)
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="streaming-write")
        # A shard's bytes are in memory until its files are written, so few shards are built at once.
        self._building = threading.BoundedSemaphore((os.cpu_count() or 1) + 1)
        self._shards: deque[Future[dict[str, Any]]] = deque()
        self._entries: list[dict[str, Any]] = []
        self._failed: BaseException | None = None
        self._finished = False
        self._progress = _progress_bar(str(self._target)) if given.progress_bar else None
        # Threads that write at once add one after the other; what takes long, encoding, they do side by side.
        self._lock = threading.RLock()
        self._unfinished = Unfinished(self, repr(self._target))
        self.new_samples: list[bytes] = self._unfinished.new
        self._most_bytes = self.size_limit or _NO_LIMIT
        # Bytes that the present shard can still take.
        self._room = self._most_bytes - self.extra_bytes_per_shard
        # Whether there is something to look at before the next sample: a shard that is done, or that all is over.
        self._attention = False
        own = type(self).encode_sample is Writer.encode_sample
        self._encode = self._encoder.encode_sample if own else self._encode_by_subclass
        self._keys = KeyCheck(column_names(self._encoder), repr(self._target))
        self._keys.active = own  # a subclass may make its columns of other keys
        watch_forks(self)

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the dataset, or, after an exception, stop without publishing an index."""
        if kind is None:
            self.finish()
        else:
            self._abort(error)

    @property
    def shards(self) -> list[dict[str, Any]]:
        """Index entries of the shards that are complete so far, in order."""
        return self._entries

    @property
    def new_shard_size(self) -> int:
        """Bytes of the present shard, as held against the size limit."""
        return self._most_bytes - self._room

    def encode_sample(self, sample: Mapping[str, Any]) -> bytes:
        """Return the bytes of one sample.

        Raises:
            SampleError: It does not fit the columns.
        """
        return self._encoder.encode_sample(sample)

    def get_config(self) -> dict[str, Any]:
        """Return what every shard's index entry says alike."""
        return dict(self._encoder.index_fields())

    def write(self, sample: Mapping[str, Any]) -> None:
        """Add a sample.

        Args:
            sample: Value of every column, by name. Other keys are not stored; the first sample that has some is warned of.

        Raises:
            SampleError: The sample does not fit the columns; nothing was added.
            UploadError: An earlier shard could not be uploaded; the text names it.
            WorkerError: This process was forked from the one whose writer it is.
        """
        if self._attention:
            self._check_open()
        encoded = self._encode(sample)
        keys = self._keys
        if keys.active and len(sample) != keys.width:
            keys.look(self._unfinished.in_shards + len(self.new_samples), sample)
        size = len(encoded) + self.extra_bytes_per_sample
        with self._lock:
            if self._attention:
                self._check_open()
            if size > self._room and self.new_samples:
                self.flush_shard()
            self.new_samples.append(encoded)
            self._room -= size

    def flush_shard(self) -> None:
        """End the present shard, if it holds samples, and hand it to the background."""
        with self._lock:
            samples = self._take_samples()
            if not samples:
                return
            number = len(self._shards) + len(self._entries)
            self._building.acquire()
            try:
                future = self._executor.submit(self._make_shard, number, samples)
                self._shards.append(future)
                future.add_done_callback(self._look_here)
            except BaseException:
                self._building.release()
                raise
            self._collect(wait=False)

    def _take_samples(self) -> list[bytes]:
        """Return the samples of the present shard, and begin another."""
        samples = self.new_samples
        self.new_samples = self._unfinished.new = []
        self._unfinished.in_shards += len(samples)
        self._room = self._most_bytes - self.extra_bytes_per_shard
        return samples

    def finish(self) -> None:
        """Write what is left, wait until every shard is confirmed, and publish the index.

        Raises:
            UploadError: A shard could not be uploaded; no index is published.
        """
        with self._lock:
            if self._finished:
                return
            self._check_open()
            try:
                self.flush_shard()
                self._collect(wait=True)
                self._base.publish(self._target, self._entries, self._side and self._side.publish)
            except BaseException as error:
                self._abort(error)
                raise
            self._finished = self._attention = True
            self._close()
            self._target.close()

    def cancel_future_jobs(self) -> None:
        """Give up the shards that wait in the background."""
        with self._lock:
            for future in self._shards:
                if future.cancel():
                    self._building.release()

    def leave_to_parent(self) -> None:
        """Take note that this is a copy in a forked process: it cannot be used, and touches nothing."""
        self._lock = threading.RLock()
        self._failed = WorkerError(
            f"This writer to {self._target!r} belongs to the process that made it, of which this one is a fork; what is "
            "written here would not reach it. Let each process make a writer for a part of its own, and join the parts "
            "by merge_index."
        )
        self._attention = True
        self._unfinished.dismiss()

    def __reduce__(self) -> Any:
        """Refuse to be sent to another process."""
        raise ConfigError(
            f"A writer cannot be sent to another process ({self._target!r}). Let each process make a writer for a part of "
            "its own, and join the parts by merge_index."
        )

    def _encode_by_subclass(self, sample: Mapping[str, Any]) -> bytes:
        return bytes(self.encode_sample(sample))  # a copy, should it be a buffer that is filled again

    def _look_here(self, _: Any) -> None:
        self._attention = True

    def _check_open(self) -> None:
        with self._lock:
            self._attention = self._finished or self._failed is not None
            if self._finished:
                raise ConfigError("This writer has finished its dataset; make another one.")
            if isinstance(self._failed, WorkerError):
                raise self._failed
            self._collect(wait=False)
            if self._failed is not None:
                raise UploadError(
                    f"Writing to {self._target!r} has failed and cannot go on: {self._failed}"
                ) from self._failed

    def _collect(self, wait: bool) -> None:
        """Take over the shards that are done, in order."""
        while self._shards and (wait or self._shards[0].done()):
            future = self._shards[0]
            try:
                self._entries.append(future.result())
            except StreamingError as error:
                self._abort(error)
                raise
            except OSError as error:
                self._abort(error)
                raise UploadError(f"Could not write shard {len(self._entries)} of {self._target!r}: {error}") from error
            except BaseException as error:
                self._abort(error)
                raise
            self._shards.popleft()

    def _make_shard(self, number: int, samples: list[bytes]) -> dict[str, Any]:
        stem = self._base.stem(number)
        names: list[str] = []
        try:
            if self._side is not None:
                self._side.add(number, samples)
            entry, files = build_shard(self._encoder, stem, samples, self.compression, self.hashes)
            for name, data in files.items():
                self._target.write(name, data.drain_groups())
                names.append(name)
            del files
        finally:
            self._building.release()
        for name in names:
            size = os.path.getsize(self._target.path(name))
            self._target.upload(name)
            if self._progress is not None:
                self._progress.update(size)
        return entry

    def _abort(self, error: BaseException | None) -> None:
        with self._lock:
            if self._failed is not None:
                return
            self._failed = error or UploadError("the writer was given up")
            self._attention = True
            self._take_samples()
            self.cancel_future_jobs()
            self._close()
            self._target.close()

    def _close(self) -> None:
        self._unfinished.dismiss()
        self._executor.shutdown(wait=True)
        drop_compressors()
        if self._progress is not None:
            self._progress.close()


def _progress_bar(what: str) -> Any:
    """Return a progress bar of the bytes that are written."""
    from tqdm import tqdm

    return tqdm(desc=f"Writing {what}", unit="B", unit_scale=True)
