"""What user code asks of a stream beyond its configuration: its weights, its index, its shards."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from streaming.cache.fetching.fetch import FetchStats
from streaming.core.errors import ConfigError
from streaming.core.world import World
from streaming.order.classic.weights import resolve_weights

if TYPE_CHECKING:
    from streaming.cache.fetching.directory import ShardDirectory
    from streaming.format.reader import Reader

__all__ = ["ARGUMENTS", "StreamDetails"]

# Methods that the original calls on its way to a shard, and this library does not.
_NOT_CALLED = (
    "get_shards",
    "prepare_shard",
    "set_up_local",
    "_download_file",
    "_prepare_shard_part",
    "_decompress_shard_part",
)


# What a class of streams may be told to have by its body, and the constructor's arguments say.
ARGUMENTS = (
    *("remote", "local", "split", "proportion", "repeat", "choose"),
    *("download_retry", "download_timeout", "validate_hash", "keep_zip"),
)


class StreamDetails:
    """Methods of a ``Stream`` that show how it is used."""

    if TYPE_CHECKING:
        local: str | None
        split: str
        proportion: float | None
        repeat: float | None
        choose: int | None
        keep_zip: bool | None

        @property
        def remote(self) -> str | None: ...  # noqa: D102

        @property
        def directory(self) -> str: ...  # noqa: D102

        def open(self, allow_unsafe_types: bool = False) -> tuple[ShardDirectory, int]: ...  # noqa: D102

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Tell the author of a stream what of it will not be looked at: a method, or a value in the class's body."""
        super().__init_subclass__(**kwargs)
        given = [name for name in ARGUMENTS if not hasattr(vars(cls).get(name, property()), "__get__")]
        if given:
            warnings.warn(
                f"The body of {cls.__name__} sets {', '.join(given)}, which the arguments of Stream take the place of. Give "
                "them to super().__init__().",
                stacklevel=2,
            )
        for name in given:
            delattr(cls, name)
        dead = [name for name in _NOT_CALLED if name in vars(cls)]
        if dead:
            warnings.warn(
                f"{cls.__name__} overrides {', '.join(dead)}, which datasets do not call. To read from elsewhere, override "
                "`open_store`, or register a store for the URL's scheme.",
                stacklevel=2,
            )

    @property
    def safe_keep_zip(self) -> bool:
        """Whether compressed files stay: asked for, or the only copy there is."""
        return bool(self.keep_zip) or self.remote in {None, self.local}

    @classmethod
    def validate_weights(cls, streams: Sequence[Any]) -> tuple[bool, bool]:
        """Check that the weights of streams go together.

        Args:
            streams: The streams.

        Returns:
            Whether they are weighted by ``proportion``, and whether none has a weight.

        Raises:
            ConfigError: Some have a ``proportion`` and some have not.
        """
        with_proportion = [stream.proportion is not None for stream in streams]
        if any(with_proportion) and not all(with_proportion):
            raise ConfigError(
                "Either all streams have a proportion or none has: relative and absolute weights do not mix. "
                f"Streams without: {[i for i, has in enumerate(with_proportion) if not has]}."
            )
        weighted = any(
            stream.proportion is not None or stream.repeat is not None or stream.choose is not None
            for stream in streams
        )
        return all(with_proportion), not weighted

    @classmethod
    def apply_weights(
        cls,
        streams: Sequence[Any],
        samples_per_stream: NDArray[np.int64],
        choose_per_epoch: int | None,
        seed: int,
    ) -> int:
        """Set each stream's ``proportion``, ``repeat`` and ``choose`` from the one that it has.

        Args:
            streams: The streams.
            samples_per_stream: ``int64[K]``, their sizes.
            choose_per_epoch: Samples that an epoch draws over all streams, ``None`` for what the weights say.
            seed: Seed of the order.

        Returns:
            Samples that an epoch draws over all streams.

        Raises:
            ConfigError: The weights contradict each other or ``choose_per_epoch``.
        """
        weights = resolve_weights(
            np.asarray(samples_per_stream, np.int64),
            proportions=[stream.proportion for stream in streams],
            repeats=[stream.repeat for stream in streams],
            chooses=[stream.choose for stream in streams],
            epoch_size=choose_per_epoch,
            seed=seed,
        )
        for i, stream in enumerate(streams):
            stream.proportion = float(weights.proportion[i])
            stream.repeat = float(weights.repeat[i])
            stream.choose = int(weights.choose[i])
        return int(weights.epoch_size)

    def get_index_size(self) -> int:
        """Return the size of the stream's local index in bytes; 0 before it was loaded."""
        path = os.path.join(self.directory, "index.json")
        return os.path.getsize(path) if os.path.exists(path) else 0

    def get_shards(self, world: World | None = None, allow_unsafe_types: bool = False) -> list[Reader]:
        """Load the index.

        Args:
            world: Accepted for compatibility.
            allow_unsafe_types: Accept columns whose decoding can run code.

        Returns:
            A reader of each shard.

        Raises:
            EmptyDatasetError: There is no index, or it lists no samples.
            UnsafeTypeError: A column's encoding is unsafe and that is not allowed.
            IndexFormatError: The index is not valid.
        """
        from streaming.format.readers import readers_of_index

        del world
        directory, _ = self.open(allow_unsafe_types)
        return readers_of_index(directory.index, self.local or "", self.split, allow_unsafe_types)

    def prepare_shard(self, shard: Reader) -> int:
        """Make a shard present.

        Args:
            shard: One of :meth:`get_shards`.

        Returns:
            Bytes that it takes on disk beyond what it took.

        Raises:
            ShardUnavailableError: It could not be fetched.
            ConfigError: It is not a shard of this stream.
        """
        directory, _ = self.open(allow_unsafe_types=True)
        wanted = shard.file_pairs[-1][0].basename
        for i in range(directory.index.num_shards):
            if directory.index.shard(i).raw[-1].basename == wanted:
                before = directory.bytes_on_disk(i)
                if not directory.is_present(i):
                    directory.fetch(i, time.sleep, FetchStats())
                return directory.bytes_on_disk(i) - before
        raise ConfigError(f"{wanted} is not a shard of {self!r}.")

    def set_up_local(self, shards: Sequence[Reader], cache_usage_per_shard: NDArray[np.int64]) -> None:
        """Tell how much of each shard is on disk. Nothing is removed.

        Args:
            shards: What :meth:`get_shards` returned.
            cache_usage_per_shard: ``int64[S]``, where to put the bytes.
        """
        listing = {os.path.join(root, name) for root, _, names in os.walk(self.directory) for name in names}
        for i, shard in enumerate(shards):
            cache_usage_per_shard[i] = shard.set_up_local(listing, self.safe_keep_zip)
