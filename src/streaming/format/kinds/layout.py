"""What the writing sides of all formats share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from itertools import accumulate
from typing import Any

import numpy as np

from streaming.core.errors import ColumnTypeError, MissingColumnError, ShardTooLargeError
from streaming.format.samples.options import MAX_SHARD_BYTES

__all__ = ["encode_offsets", "null_value", "value_of"]


def value_of(sample: Mapping[str, Any], name: str) -> Any:
    """Return a sample's value of a column.

    Raises:
        MissingColumnError: It has none.
        ColumnTypeError: It is no sample.
    """
    try:
        return sample[name]
    except KeyError:
        raise _missing_column(name, sample) from None
    except (TypeError, IndexError):
        raise ColumnTypeError(
            f"A sample must be a mapping of column names to values, got {type(sample).__name__}: {sample!r:.60}"
        ) from None


def _missing_column(name: str, sample: Mapping[str, Any]) -> MissingColumnError:
    keys = [str(key) for key in sample]
    folded = {key.casefold().strip(): key for key in keys}
    close = get_close_matches(name.casefold().strip(), folded, 1)
    hint = f" Did you mean {folded[close[0]]!r}?" if close else ""
    return MissingColumnError(
        f"The sample has no column {name!r}; it has {', '.join(map(repr, keys)) or 'none'}.{hint}"
    )


def null_value(name: str, encoding: str) -> ColumnTypeError:
    """Return the error of a sample that has ``None`` in a column that takes none."""
    return ColumnTypeError(
        f"Column {name!r} ({encoding}): the value is None. Declare the column as {encoding + '?'!r} in `columns`: it then "
        "takes None as well as values."
    )


def encode_offsets(samples: Sequence[bytes], first: int) -> bytes:
    """Return the table that begins a shard (or its meta file): a count, and ``n + 1`` offsets.

    Args:
        samples: The samples.
        first: Offset of the first of them.

    Raises:
        ShardTooLargeError: The last would end past what 32 bits can address.
    """
    offsets = list(accumulate(map(len, samples), initial=first))
    if offsets[-1] > MAX_SHARD_BYTES:
        raise ShardTooLargeError(
            f"A shard of {len(samples)} samples takes {offsets[-1]} bytes; its format can address "
            f"{MAX_SHARD_BYTES}. Set a size_limit below that."
        )
    return np.array([len(samples), *offsets], "<u4").tobytes()
