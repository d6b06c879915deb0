"""Arguments of a dataset that are set on the object that was made, as user code written for the original does."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from streaming.core.errors import ConfigError
from streaming.core.world import in_worker
from streaming.dataset.config import OrderConfig

__all__ = ["ARGUMENTS", "with_setting"]

_FIXED = frozenset({"allow_unsafe_types", "cache_limit", "epoch_size", "replication"})
#: What is looked at when it is set.
ARGUMENTS = _FIXED | {field.name for field in fields(OrderConfig)} - {"mix"}


def with_setting(order: OrderConfig, name: str, value: Any, is_under_way: bool) -> OrderConfig:
    """Return what a dataset's order is after one of its arguments was set.

    Args:
        order: What it was.
        name: One of ``ARGUMENTS``.
        value: What it is set to.
        is_under_way: Whether an iteration has begun, or a checkpoint was loaded.

    Raises:
        ConfigError: Setting it would change nothing, or not for every worker, or the value is none for it.
        UnknownNameError: No such algorithm or method.
    """
    if name in _FIXED:
        raise ConfigError(f"{name} is settled when a dataset is made. Make it with {name}={value!r}.")
    if in_worker():
        raise ConfigError(
            f"{name}={value!r} was set in a worker of a DataLoader, whose order the others would not share. Set it on the "
            "dataset before its DataLoader is iterated."
        )
    if is_under_way:
        raise ConfigError(
            f"{name}={value!r} was set after an iteration of the dataset began, or a checkpoint was loaded: workers and "
            "checkpoints go by what was set before. Set it before, or make another dataset."
        )
    return replace(order, **{name: value})
