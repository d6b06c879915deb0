"""Which part of a split a sample belongs to: by a hash of its key, so that it never changes, whatever is appended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from streaming.core.arguments import as_number
from streaming.core.errors import ConfigError

__all__ = ["borders_of", "parts_of_ids", "parts_of_keys"]

_TOLERANCE = 1e-6


def borders_of(fractions: Mapping[str, float]) -> NDArray[np.float64]:
    """Return where the parts of a split end.

    Args:
        fractions: The share of each part by its name, summing to 1.

    Returns:
        ``float64[parts]``, ascending, the last one 1.

    Raises:
        ConfigError: They are not shares of 1.
    """
    shares = [as_number(f"the share of {name!r}", share, 0) for name, share in fractions.items()]
    if not shares or abs(sum(shares) - 1) > _TOLERANCE:
        raise ConfigError(f"The shares of a split must sum to 1; {dict(fractions)!r} sums to {sum(shares):g}.")
    borders = np.cumsum(shares)
    borders[-1] = 1.0
    return borders


def parts_of_ids(stream: int, count: int, borders: NDArray[np.float64], seed: int) -> NDArray[np.int64]:
    """Return ``int64[count]``: the part of each sample of a stream, by its place in it.

    The hash is that of SplitMix64 (Steele, Lea and Flood, Fast splittable pseudorandom number generators, OOPSLA 2014).

    Args:
        stream: Index of the stream in its dataset.
        count: Samples of the stream.
        borders: Of :func:`borders_of`.
        seed: Another one gives another split.
    """
    begin = xxhash.xxh3_64_intdigest(f"{seed}|{stream}".encode())
    with np.errstate(over="ignore"):
        x = np.uint64(begin) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x = x ^ (x >> np.uint64(31))
    return np.searchsorted(borders, (x >> np.uint64(11)) * 2.0**-53, side="right")


def parts_of_keys(keys: Sequence[Any], borders: NDArray[np.float64], seed: int) -> NDArray[np.int64]:
    """Return ``int64[len(keys)]``: the part of each key; equal keys are of one part.

    Args:
        keys: Text, bytes, whole numbers or truth values.
        borders: Of :func:`borders_of`.
        seed: Another one gives another split.

    Raises:
        ConfigError: A key is missing, or of a type whose equality is not plain.
    """
    seen: dict[Any, int] = {}
    for key in keys:
        data = _bytes_of(key)
        if key not in seen:
            fraction = xxhash.xxh3_64_intdigest(data, seed=seed & (2**64 - 1)) / 2.0**64
            seen[key] = min(int(np.searchsorted(borders, fraction, side="right")), len(borders) - 1)
    return np.fromiter((seen[key] for key in keys), np.int64, len(keys))


def _bytes_of(key: Any) -> bytes:
    if isinstance(key, str):
        return b"s" + key.encode("utf-8", "surrogatepass")
    if isinstance(key, bytes):
        return b"b" + key
    if isinstance(key, (bool, int, np.integer)):
        return b"i" + str(int(key)).encode()
    raise ConfigError(
        f"A split by a column needs text, bytes or whole numbers in every sample; got {key!r}. Fill missing keys, or turn "
        "them into text."
    )
