"""Keys of the counter-based generator: a number depends on what it is for, and on nothing drawn before it.

A key is a 64-bit hash of a list of whole numbers (seed, purpose, epoch ...). Numbers are hashed together, never
added, so that neighbouring seeds or epochs have unrelated keys.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

__all__ = ["GOLDEN", "Purpose", "derive", "mix64", "mix64_int"]

#: 2^64 divided by the golden ratio, the usual increment of counter-based generators.
GOLDEN = 0x9E3779B97F4A7C15

_WORD = (1 << 64) - 1
_M1 = 0xBF58476D1CE4E5B9
_M2 = 0x94D049BB133111EB


class Purpose(IntEnum):
    """What a key is for. The numbers are part of the frozen algorithm."""

    SHARD_ORDER = 1
    SHARD_SAMPLING = 2
    SAMPLE_SELECTION = 3
    RUN_ORDER = 4
    LANE_ORDER = 5
    SAMPLE_ORDER = 6
    STREAM_MIXING = 7
    DOCUMENT_ORDER = 8
    STEP_MIXING = 9
    STREAM_PASS = 10
    BALANCE = 11


def mix64_int(x: int) -> int:
    """Return the hash of one 64-bit number, as ``mix64`` does for arrays."""
    x &= _WORD
    x = ((x ^ (x >> 30)) * _M1) & _WORD
    x = ((x ^ (x >> 27)) * _M2) & _WORD
    return x ^ (x >> 31)


def mix64(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Hash each 64-bit number to another, one to one (the finalizer of SplitMix64, by Steele, Lea and Flood)."""
    x = x ^ (x >> np.uint64(30))
    x *= np.uint64(_M1)
    x ^= x >> np.uint64(27)
    x *= np.uint64(_M2)
    x ^= x >> np.uint64(31)
    return x


def derive(seed: int, purpose: Purpose, *numbers: int) -> int:
    """Return the key for a purpose.

    Args:
        seed: The order's seed, any size.
        purpose: What the key is for.
        numbers: What else it depends on (epoch, canonical node), each in ``[0, 2^64)``.
    """
    words = [seed & _WORD]
    while seed >> 64:
        seed >>= 64
        words.append(seed & _WORD)
    state = mix64_int(len(words))
    for number in (*words, purpose, len(numbers), *numbers):
        state = mix64_int((state ^ number) + GOLDEN)
    return state
