"""The base of datasets for particular corpora, with the defaults that such datasets have always had."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypedDict, TypeVar

from streaming.core.names import HashName, PartitionAlgo, ShuffleAlgo, Where
from streaming.dataset.dataset import StreamingDataset

__all__ = ["ConvenienceArguments", "ConvenienceDataset", "ConvenienceOptions", "takes_arguments_of"]

T = TypeVar("T", bound=type[Any])


class ConvenienceOptions(TypedDict, total=False):
    """The arguments of :class:`ConvenienceDataset` but ``batch_size``, for classes that hand them on."""

    remote: Where | None
    local: Where | None
    split: Where | None
    download_retry: int
    download_timeout: float
    validate_hash: HashName | None
    keep_zip: bool
    epoch_size: int | str | None
    predownload: int | None
    cache_limit: int | str | None
    partition_algo: PartitionAlgo
    num_canonical_nodes: int | None
    shuffle: bool
    shuffle_algo: ShuffleAlgo
    shuffle_seed: int
    shuffle_block_size: int


class ConvenienceArguments(ConvenienceOptions, total=False):
    """The arguments of :class:`ConvenienceDataset`."""

    batch_size: int | None


class ConvenienceDataset(StreamingDataset):
    """A :class:`StreamingDataset` of one dataset.

    Takes those of its arguments that are listed here; they mean the same. Their defaults are older: ``partition_algo``,
    ``shuffle_algo`` and ``shuffle_block_size`` name a classic order. Pass ``shuffle_algo='lanes'`` for the usual one.
    """

    def __init__(
        self,
        *,
        remote: Where | None = None,
        local: Where | None = None,
        split: Where | None = None,
        download_retry: int = 2,
        download_timeout: float = 60,
        validate_hash: HashName | None = None,
        keep_zip: bool = False,
        epoch_size: int | str | None = None,
        predownload: int | None = None,
        cache_limit: int | str | None = None,
        partition_algo: PartitionAlgo = "orig",
        num_canonical_nodes: int | None = None,
        batch_size: int | None = None,
        shuffle: bool = False,
        shuffle_algo: ShuffleAlgo = "py1s",
        shuffle_seed: int = 9176,
        shuffle_block_size: int = 1 << 18,
    ) -> None:
        super().__init__(
            remote=remote,
            local=local,
            split=split,
            download_retry=download_retry,
            download_timeout=download_timeout,
            validate_hash=validate_hash,
            keep_zip=keep_zip,
            epoch_size=epoch_size,
            predownload=predownload,
            cache_limit=cache_limit,
            partition_algo=partition_algo,
            num_canonical_nodes=num_canonical_nodes,
            batch_size=batch_size,
            shuffle=shuffle,
            shuffle_algo=shuffle_algo,
            shuffle_seed=shuffle_seed,
            shuffle_block_size=shuffle_block_size,
        )


def takes_arguments_of(parent: type[Any], required: tuple[str, ...] = ()) -> Callable[[T], T]:
    """Decorate a class whose ``**kwargs`` are its parent's arguments: its signature then lists them all.

    Args:
        parent: The class that gets them.
        required: Names of those that have no default here.
    """

    def decorate(cls: T) -> T:
        own = [p for p in inspect.signature(cls).parameters.values() if p.kind is not p.VAR_KEYWORD]
        names = {p.name for p in own}
        given = [
            p.replace(default=p.empty) if p.name in required else p
            for p in inspect.signature(parent).parameters.values()
            if p.name not in names
        ]
        cls.__signature__ = inspect.Signature([*given, *own])
        return cls

    return decorate
