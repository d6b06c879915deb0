"""The arguments of a loader, checked before PyTorch sees them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from inspect import signature
from typing import Any

from torch.utils.data import DataLoader

from streaming.core.arguments import as_flag, as_integer, as_number, optional_integer
from streaming.core.errors import ConfigError
from streaming.dataset.dataset import StreamingDataset
from streaming.dataset.epoch.interface import OrderedDataset

__all__ = ["OF_DATASET", "as_ordered", "begin_at", "check_arguments"]

_INSTEAD = {
    "shuffle": "pass shuffle=True to the StreamingDataset",
    "sampler": "it has an order of its own; pass shuffle=True to the StreamingDataset, or sample a LocalDataset",
    "batch_sampler": "its batches come in an order of their own; pass batch_size, or sample a LocalDataset",
}


def _as_callable(name: str, value: Any) -> Any:
    if not callable(value):
        raise ConfigError(f"{name} must be a function, got {value!r} ({type(value).__name__}).")
    return value


#: What PyTorch would find out in the middle of training, or take for true.
_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "num_workers": partial(as_integer, least=0),
    "prefetch_factor": partial(as_integer, least=1),
    "timeout": partial(as_number, least=0),
    "collate_fn": _as_callable,
    "worker_init_fn": _as_callable,
    "pin_memory": as_flag,
    "drop_last": as_flag,
    "persistent_workers": as_flag,
}


class _OfDataset(int):
    """A ``batch_size`` that was not given: the dataset's own, or PyTorch's 1."""


OF_DATASET = _OfDataset(1)


def as_ordered(dataset: Any) -> OrderedDataset | None:
    """Return a dataset that has an order of its own, and counts, as what a loader asks of it; ``None`` for any other."""
    return dataset if isinstance(dataset, StreamingDataset) else None


def begin_at(dataset: OrderedDataset, least: int, epoch: int) -> None:
    """Begin with the epoch at which a trainer begins: what its loader's sampler has as ``set_epoch``.

    Args:
        dataset: The dataset.
        least: Samples that a batch must have.
        epoch: The epoch, as the trainer counts.
    """
    dataset.begin_at(epoch)
    over = dataset.epoch_over(least)
    if over is not None and epoch == over + 1:
        dataset.warn_once(
            "epoch over",
            f"The checkpoint was made after the last batch of epoch {over}, of which nothing is left: the next epoch that "
            f"is iterated is empty, and the one after it is {epoch}. A trainer that counts epochs counts the empty one "
            "too: give it one more (max_epochs) to train as long as was planned.",
        )


def check_arguments(*args: Any, **kwargs: Any) -> dict[str, Any]:
    """Return a ``DataLoader``'s arguments by their names, NumPy's numbers and truth values as Python's.

    Raises:
        ConfigError: One is of a wrong type, or does not go with a :class:`StreamingDataset`.
        TypeError: There is no such argument.
    """
    given: dict[str, Any] = signature(DataLoader).bind(*args, **kwargs).arguments
    for name, check in _CHECKS.items():
        if given.get(name) is not None:
            given[name] = check(name, given[name])
    dataset = as_ordered(given["dataset"])
    size = given.get("batch_size", OF_DATASET)
    if size is OF_DATASET and dataset is not None:
        size = dataset.batch_size or 1
    given["batch_size"] = optional_integer("batch_size", size, 1)
    if dataset is not None:
        _check_ordered(dataset, given)
    return given


def _check_ordered(dataset: OrderedDataset, given: dict[str, Any]) -> None:
    for name, instead in _INSTEAD.items():
        value = given.get(name)
        if value is not None and value is not False:
            raise ConfigError(f"A StreamingDataset takes no {name} of the loader's: {instead}.")
    batch_size = given.get("batch_size")
    if dataset.batch_size is not None and batch_size is not None and dataset.batch_size != batch_size:
        raise ConfigError(
            f"The dataset has batch_size={dataset.batch_size}, its DataLoader batch_size={batch_size}. They must "
            "be equal: the order of samples, and what a checkpoint counts, depend on it."
        )
