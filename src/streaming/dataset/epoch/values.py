"""What the values of a checkpoint may be: each is checked by itself, by its name, before anything is computed from it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from streaming.core.errors import CheckpointError
from streaming.order.registry import shuffle_algos

__all__ = ["MOST_NODES", "check_values"]

#: Numbers that a checkpoint has, or may have: the least and the most that make sense, and whether they must be there.
_COUNTS: dict[str, tuple[int, int, bool]] = {
    "epoch": (-1, 1 << 48, True),
    "sample_in_epoch": (0, 1 << 60, True),
    "shuffle_seed": (0, 1 << 64, False),
    "initial_physical_nodes": (1, 1 << 24, False),
    "shuffle_block_size": (1, 1 << 60, False),
    "global_batch_size": (1, 1 << 48, False),
}
#: The dataset is cut into no more parts than it has samples, or than this where it has fewer.
MOST_NODES = 1 << 16
#: Keys whose values have parts, which are checked where they are used.
_NESTED = ("workers", "mix")
_MOST_RANGES = 1 << 20


def check_values(state: Any, most_nodes: int) -> dict[str, Any]:
    """Check every value of a checkpoint that decides where and how a run continues.

    Args:
        state: The checkpoint.
        most_nodes: Canonical nodes that make sense for this dataset, if they are many.

    Returns:
        The checkpoint, its numbers as Python's integers.

    Raises:
        CheckpointError: A value is not what ``state_dict()`` writes; the text names it.
    """
    if not isinstance(state, Mapping):
        raise CheckpointError(f"A checkpoint is a dict that state_dict() returned, got {_show(state)}.")
    checked = dict(cast("Mapping[str, Any]", state))
    counts = {**_COUNTS, "num_canonical_nodes": (1, max(MOST_NODES, most_nodes), False)}
    for key, (least, most, is_needed) in counts.items():
        if checked.get(key) is not None or is_needed:
            checked[key] = _count(key, checked.get(key), least, most)
    others: dict[str, tuple[Callable[[Any], Any], str]] = {
        "shuffle_algo": (_algorithm, f"one of {', '.join(sorted(shuffle_algos))}"),
        "skip": (_ranges, "pairs of first sample and one past the last"),
        "worker": (_worker, "a worker's index, the number of workers, and samples"),
    }
    for key, (read, expected) in others.items():
        if checked.get(key) is not None:
            try:
                checked[key] = read(checked[key])
            except (TypeError, ValueError, OverflowError) as error:
                raise _wrong(key, checked[key], expected) from error
    for key, value in checked.items():
        if (
            key not in others
            and key not in _NESTED
            and not isinstance(value, (str, int, float, np.generic, type(None)))
        ):
            raise _wrong(key, value, "a plain number or text")
    return checked


def _count(key: str, value: Any, least: int, most: int) -> int:
    try:
        found = _integer(value)
    except TypeError as error:
        raise _wrong(key, value, "a count") from error
    if not least <= found <= most:
        raise _wrong(key, value, f"a count from {least} to {most}")
    return found


def _integer(value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError("a truth value")
    return operator.index(value)


def _algorithm(value: Any) -> str:
    if not isinstance(value, str) or value not in shuffle_algos:
        raise ValueError(value)
    return value


def _ranges(value: Any) -> list[list[int]]:
    if not isinstance(value, Sequence) or len(cast("Sequence[Any]", value)) > _MOST_RANGES:
        raise ValueError("not a list")
    ranges = [[_integer(begin), _integer(end)] for begin, end in cast("Sequence[Any]", value)]
    if not all(0 <= begin < end <= 1 << 60 for begin, end in ranges):
        raise ValueError("out of range")
    return ranges


def _worker(value: Any) -> list[int]:
    index, count, samples = (_integer(one) for one in value)
    if not 0 <= index < count <= 1 << 24 or not 0 <= samples <= 1 << 60:
        raise ValueError("out of range")
    return [index, count, samples]


def _wrong(key: str, value: Any, expected: str) -> CheckpointError:
    return CheckpointError(
        f"The checkpoint has {key}={_show(value)}; {expected} was expected. It was not written by state_dict(), or it is "
        "damaged."
    )


def _show(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:80]}..."
