"""What is wrapped around loaders and datasets, recognised where it would lose or repeat data silently.

Those who ask are told apart by the frames that they ask from: PyTorch tells a dataset nothing of its ``DataLoader``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from streaming.core.errors import ConfigError

__all__ = [
    "is_read_ahead",
    "no_batch",
    "refuse_double_sharding",
    "refuse_repeating_subset",
    "refuse_share_as_size",
    "what_is_uneven",
]

_MODULE = "accelerate.data_loader"
_FETCH = "torch.utils.data._utils.fetch"
_SAMPLERS = ("torch.utils.data.sampler", "torch.utils.data.distributed")
_DATASETS = "torch.utils.data.dataset"
_READS_AHEAD = "ray.train.torch.train_loop_utils"


def is_read_ahead() -> bool:
    """Say whether the caller's caller is Ray Train's wrapper, which takes a batch before the one it hands out is used.

    What training has consumed is then one batch less than what the loader has yielded.
    """
    frame = sys._getframe(1).f_back  # pyright: ignore[reportPrivateUsage]
    return frame is not None and frame.f_globals.get("__name__") == _READS_AHEAD


def refuse_double_sharding(num_ranks: int) -> None:
    """Refuse to be iterated by Accelerate's wrappers in a job of several ranks.

    They would keep one of every ``num_ranks`` batches of this rank's share, or read only the first rank's share, and so
    train on a part of the data without saying so.

    Raises:
        ConfigError: One of them is on the stack.
    """
    if num_ranks < 2 or _MODULE not in sys.modules:
        return
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame is not None:
        if frame.f_globals.get("__name__") == _MODULE:
            raise ConfigError(
                f"Accelerate would split this StreamingDataset over the {num_ranks} ranks a second time, and train on part "
                "of it. Use a StreamingDataLoader, which `accelerator.prepare` leaves as it is, or do not prepare "
                "the loader."
            )
        frame = frame.f_back


def refuse_share_as_size(num_ranks: int) -> None:
    """Refuse that the caller's caller takes this rank's share of the samples for how many there are to index.

    PyTorch's ``random_split``, ``StackDataset`` and samplers do: the samples beyond would never be seen.

    Raises:
        ConfigError: One of them asks, in a job of several ranks.
    """
    frame = sys._getframe(1).f_back  # pyright: ignore[reportPrivateUsage]
    if num_ranks < 2 or frame is None:
        return
    module, name = frame.f_globals.get("__name__"), frame.f_code.co_name
    if module in _SAMPLERS or (module == _DATASETS and name != "__len__"):
        raise ConfigError(
            f"{'A sampler' if module in _SAMPLERS else name} would use len(dataset) as the number of samples to index. "
            f"It is the share of one of {num_ranks} ranks: the others' samples would never be seen. Choose by "
            "dataset.split({'train': 0.9, 'val': 0.1}) or dataset.select(ids), whose parts each rank iterates; or index a "
            "LocalDataset, whose length is all of it."
        )


def refuse_repeating_subset(num_ranks: int) -> str | None:
    """Refuse that the caller's caller is a ``Subset`` which every rank reads alike.

    Returns:
        What to say where it may be one: the sampler is none of PyTorch's own, or is in another process. Else ``None``.

    Raises:
        ConfigError: It is, in a job of several ranks: its ``DataLoader`` has a sampler of PyTorch that does not split.
    """
    frame = sys._getframe(1).f_back  # pyright: ignore[reportPrivateUsage]
    if num_ranks < 2 or frame is None or frame.f_globals.get("__name__") != _DATASETS:
        return None
    batches: Any = None
    while frame is not None and batches is None:
        batches = getattr(frame.f_locals.get("self"), "_index_sampler", None)
        frame = frame.f_back
    sampler = getattr(batches, "sampler", None)
    if hasattr(sampler, "num_replicas"):
        return None
    text = (
        f"A Subset of a StreamingDataset is read by index on {num_ranks} ranks: without a sampler that splits it, such as "
        "torch.utils.data.DistributedSampler, each reads all of it. Choose by dataset.select(ids) or "
        "dataset.split({'train': 0.9, 'val': 0.1}) instead: their samples are dealt to the ranks."
    )
    if all(type(one).__module__ in _SAMPLERS for one in (batches, sampler)):
        raise ConfigError(text)
    return text


def what_is_uneven(
    dataset: Any, batch_size: int, samples: int, num_workers: int, is_own: bool
) -> tuple[str, str] | None:
    """Return what to say of the ``DataLoader`` that has just begun to take samples, if anything.

    Args:
        dataset: What it iterates.
        batch_size: The dataset's.
        samples: Samples that this worker will give, the first of its rank.
        num_workers: Workers of its rank.
        is_own: Whether the dataset's class has an ``__iter__`` of its own.

    Returns:
        A name for the matter, and a sentence.
    """
    found = _find(_is_fetch)
    fetcher: Any = None if found is None else found.f_locals.get("self")
    if found is None or fetcher is None or fetcher.dataset is not dataset:
        return None
    if not fetcher.auto_collation:
        if num_workers > 1 and batch_size > 1 and not is_own:
            return "batch_size", (
                f"The DataLoader has batch_size=None and {num_workers} workers, the dataset batch_size={batch_size}: they "
                "give single samples in turn, in an order made for batches, so that it depends on their number. Give the "
                "dataset batch_size=1."
            )
        return None
    size = len(found.f_locals["possibly_batched_index"])
    if size != batch_size:
        return "batch_size", (
            f"The DataLoader has batch_size={size}, the dataset batch_size={batch_size}: samples come in an order made for "
            f"batches of {batch_size}, so that what is in a batch depends on the number of workers, and checkpoints count "
            "other batches. Give both the same batch_size."
        )
    if fetcher.drop_last and samples < size and not is_own:
        return "no batch", no_batch(samples, size)
    return None


def no_batch(samples: int, least: int | None) -> str:
    """Return what to say of an epoch that gives no batches.

    Args:
        samples: Samples that this rank, or its first worker, has in it.
        least: Samples that a batch must have, ``None`` if any number will do.
    """
    if least is None:
        return f"This epoch has no batches: the dataset's own __iter__ gave none of the {samples} samples of this rank."
    return (
        f"This epoch has no batches: there are {samples} samples for this rank, and drop_last leaves out what a worker has "
        f"less than {least} of. Use a smaller batch_size, fewer ranks or workers, a larger epoch_size, or drop_last=False."
    )


def _is_fetch(frame: FrameType) -> bool:
    return frame.f_code.co_name == "fetch" and frame.f_globals.get("__name__") == _FETCH


def _find(is_it: Callable[[FrameType], bool]) -> FrameType | None:
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame is not None and not is_it(frame):
        frame = frame.f_back
    return frame
