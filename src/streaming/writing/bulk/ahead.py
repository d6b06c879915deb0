"""Inputs handed to worker processes ahead of their turn, and what these make of them, in order."""

from __future__ import annotations

import pickle
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from itertools import islice
from typing import TYPE_CHECKING, Any

from streaming.core.errors import ConfigError
from streaming.writing.bulk.mapping import Function, Part, identity, map_inputs
from streaming.writing.bulk.recipe import Recipe
from streaming.writing.bulk.workers import WorkerPool

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Ahead", "Chunk", "pickled"]

# Inputs travel together as long as they take about this long, or are this many, or this large.
_CHUNK_S = 0.1
_MOST_INPUTS = 1024
_CHUNK_BYTES = 1 << 20
_CHUNKS_PER_WORKER = 16


class Chunk:
    """Some inputs on their way.

    Args:
        first: Number of the first.
        items: They, pickled.
        identities: What each is told by.

    Attributes:
        parts: What was made of them, and not taken yet.
        is_done: Whether there will be no more.
        error: What went wrong.
        seconds: What they took, as far as is known.
    """

    def __init__(self, first: int, items: list[bytes], identities: list[str]) -> None:
        self.first = first
        self.items = items
        self.identities = identities
        self.parts: deque[Part] = deque()
        self.is_done = False
        self.error: BaseException | None = None
        self.seconds = 0.0


class Ahead:
    """Has workers make rows of inputs, with a bounded number of bytes ahead of what is taken.

    Args:
        pool: Processes that keep the function; without any, it is called here.
        function: It.
        recipe: How rows are encoded.
        inputs: The inputs, from the first that is wanted; pulled by the thread that takes what becomes of them.
        first: Number of the first of them.
        after: Which samples of the first to leave out, as for :func:`map_inputs`.
        skips: Leave out what fails.
        most_bytes: How much may be ready ahead of its turn.
    """

    def __init__(
        self,
        pool: WorkerPool,
        function: Function,
        recipe: Recipe,
        inputs: Iterator[Any],
        first: int,
        after: tuple[int, str] | None,
        skips: bool,
        most_bytes: int,
    ) -> None:
        self._pool = pool
        self._function = function
        self._recipe = recipe
        self._inputs: Iterator[Any] | None = inputs
        self._failure: Exception | None = None  # of the inputs
        self._next = first
        self._after = after
        self._skips = skips
        self._most_bytes = most_bytes
        self._most_chunks = _CHUNKS_PER_WORKER * max(1, pool.num_workers)
        self._chunks: deque[Chunk] = deque()
        self._size = 1
        self._bytes = 0
        self._is_closed = False
        self._changed = threading.Condition()

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go the threads that wait with what they have."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def parts(self) -> Iterator[tuple[Chunk, Part]]:
        """Yield what becomes of the inputs, in order.

        Raises:
            Exception: What the inputs, or the function, or encoding raised, after all that came before it.
        """
        while True:
            self._send()
            if not self._chunks:
                break
            chunk = self._chunks[0]
            for part in self._parts_of(chunk):
                chunk.seconds += part.seconds
                yield chunk, part
                self._send()
            self._adapt(chunk)
            with self._changed:
                self._chunks.popleft()
                self._changed.notify_all()
        if self._failure is not None:
            raise self._failure

    def _parts_of(self, chunk: Chunk) -> Iterator[Part]:
        if not self._pool.num_workers:
            yield from map_inputs(self._function, *self._arguments(chunk))
            return
        while True:
            with self._changed:
                self._changed.wait_for(lambda: chunk.parts or chunk.is_done)
                if not chunk.parts:
                    break
                part = chunk.parts.popleft()
                self._bytes -= part.bytes
                self._changed.notify_all()
            yield part
        if chunk.error is not None:
            raise chunk.error

    def _arguments(self, chunk: Chunk) -> tuple[Any, ...]:
        after, self._after = self._after, None
        return self._recipe, chunk.first, chunk.items, after, self._skips

    def _send(self) -> None:
        """Hand out inputs, as many as there may be on their way."""
        most = self._most_chunks if self._pool.num_workers else 1
        while len(self._chunks) < most and (chunk := self._pull()) is not None:
            with self._changed:
                self._chunks.append(chunk)
            if self._pool.num_workers:
                future = self._pool.submit_parts(map_inputs, self._sink(chunk), *self._arguments(chunk))
                future.add_done_callback(self._ending(chunk))

    def _pull(self) -> Chunk | None:
        if self._inputs is None:
            return None
        items: list[bytes] = []
        identities: list[str] = []
        num_bytes = 0
        try:
            for item in islice(self._inputs, self._size):
                items.append(pickled(self._next + len(items), item))
                identities.append(identity(item))
                num_bytes += len(items[-1])
                if num_bytes > _CHUNK_BYTES:
                    break
            is_last = not items
        except Exception as error:  # told when all before it has had its turn
            self._failure, is_last = error, True
        if is_last:
            self._inputs = None
        chunk = Chunk(self._next, items, identities)
        self._next += len(items)
        return chunk if items else None

    def _adapt(self, chunk: Chunk) -> None:
        """Choose how many inputs travel together; no byte of what is written depends on it."""
        wanted = int(_CHUNK_S * len(chunk.items) / max(chunk.seconds, 1e-6))
        self._size = max(1, min(wanted, 2 * self._size, _MOST_INPUTS))

    def _sink(self, chunk: Chunk) -> Callable[[Part], None]:
        def take(part: Part) -> None:
            def may() -> bool:
                has_turn = chunk is self._chunks[0] and not chunk.parts
                return self._is_closed or has_turn or self._bytes + part.bytes <= self._most_bytes

            with self._changed:
                self._changed.wait_for(may)
                chunk.parts.append(part)
                self._bytes += part.bytes
                self._changed.notify_all()

        return take

    def _ending(self, chunk: Chunk) -> Callable[[Future[None]], None]:
        def end(future: Future[None]) -> None:
            with self._changed:
                chunk.error = None if future.cancelled() else future.exception()
                chunk.is_done = True
                self._changed.notify_all()

        return end


def pickled(number: int, item: Any) -> bytes:
    """Return an input as it is now, to be sent to a worker.

    Raises:
        ConfigError: It cannot be pickled.
    """
    try:
        return pickle.dumps(item, protocol=5)
    except Exception as error:
        raise ConfigError(
            f"Input {number}, a {type(item).__name__}, cannot be sent to a worker process ({error}). Give what leads to "
            "it instead, such as a path or a number, and have fn open it."
        ) from error
