"""Keyed permutations of ``[0, n)`` that give the image of any element alone, and their inverses.

A number ``x`` is split into two digits, ``x = left * b + right`` with ``a = ceil(sqrt(n))`` and
``b = ceil(n / a)``. In turn, a hash of one digit is added to the other modulo ``a`` or ``b``: a Feistel
network, which can be undone whatever the hash is. The network permutes ``[0, a * b)``; what lands at
``n`` or beyond is sent through it again until it lands inside (cycle walking: Black and Rogaway, *Ciphers
with Arbitrary Finite Domains*, CT-RSA 2002), which is rare because
``a * b`` exceeds ``n`` by less than ``2 * sqrt(n)``. Mixed radix has no trouble at powers of two, unlike
the usual form with halves of bits.

Ten rounds make all pairs of elements alike, as far as chi-square tests on a million keys can see, from ``n = 17`` on;
smaller domains go through a second network with another key.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streaming.order.lanes.keys import GOLDEN

__all__ = ["MAX_DOMAIN", "permute", "unpermute"]

#: Largest domain: both digits must fit 31 bits.
MAX_DOMAIN = 1 << 62

_WORD = (1 << 64) - 1
_ROUNDS = 10
_STEPS = [np.uint64(number * GOLDEN & _WORD) for number in range(_ROUNDS)]
_SECOND_NETWORK = np.uint64(0xA0761D6478BD642F)
_TINY = 16
_FEW = 12
_M1 = np.uint64(0xD6E8FEB86659FD93)
_M2 = np.uint64(0xFF51AFD7ED558CCD)
_HALF = np.uint64(32)
_ONE = np.uint64(1)

_Words = NDArray[np.uint64]
_Domain = _Words | np.uint64


def permute(x: NDArray[np.int64], n: NDArray[np.int64] | int, key: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return where the permutation of ``[0, n)`` named by ``key`` takes each ``x``.

    Args:
        x: ``int64[I]``, each in ``[0, n)``.
        n: Size of the domain, one for all or ``int64[I]``, at most ``MAX_DOMAIN``.
        key: ``uint64[I]``, uniformly distributed: keys that differ by little give related permutations.

    Returns:
        ``int64[I]``.
    """
    domain = _narrow(n)
    y = _walk(x.astype(np.uint64), domain, key, inverse=False)
    return _tiny_part(y, domain, key, inverse=False).view(np.int64)


def unpermute(y: NDArray[np.int64], n: NDArray[np.int64] | int, key: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return what ``permute`` takes to each ``y``; arguments as there."""
    domain = _narrow(n)
    x = _tiny_part(y.astype(np.uint64), domain, key, inverse=True)
    return _walk(x, domain, key, inverse=True).view(np.int64)


def _narrow(n: NDArray[np.int64] | int) -> _Domain:
    """Return the domain as one number where all are equal: dividing by one number is much faster."""
    if isinstance(n, int):
        return np.uint64(n)
    if len(n) and int(n.min()) == int(n.max()):
        return np.uint64(n[0])
    return n.astype(np.uint64)


def _tiny_part(x: _Words, n: _Domain, key: _Words, inverse: bool) -> _Words:
    if not isinstance(n, np.ndarray):
        return _walk(x, n, key ^ _SECOND_NETWORK, inverse) if n <= _TINY else x
    tiny = np.flatnonzero(n <= _TINY)
    if len(tiny):
        x[tiny] = _walk(x[tiny], n[tiny], key[tiny] ^ _SECOND_NETWORK, inverse)
    return x


def _walk(x: _Words, n: _Domain, key: _Words, inverse: bool) -> _Words:
    a, b = _digits(n)
    network = _backward if inverse else _forward
    out = network(x, a, b, key)
    outside = np.flatnonzero(out >= n)
    # The walk returns to its start, which is inside, so it ends.
    while len(outside) > _FEW:
        image = network(out[outside], _at(a, outside), _at(b, outside), key[outside])
        still = image >= _at(n, outside)
        out[outside] = image
        outside = outside[still]
    for i in outside.tolist():
        sides = int(_at(n, i)), int(_at(a, i)), int(_at(b, i))
        out[i] = _walk_one(int(out[i]), *sides, int(key[i]), inverse)
    return out


def _walk_one(x: int, n: int, a: int, b: int, key: int, inverse: bool) -> int:
    """Send ``x`` through the network until it is inside: for a few numbers this is faster than with arrays."""
    numbers = range(_ROUNDS - 1, -1, -1) if inverse else range(_ROUNDS)
    while x >= n:
        left, right = divmod(x, b)
        for number in numbers:
            step = key + number * GOLDEN & _WORD
            if number % 2:
                shift = _hash(left ^ step, b)
                right = (right - shift if inverse else right + shift) % b
            else:
                shift = _hash(right ^ step, a)
                left = (left - shift if inverse else left + shift) % a
        x = left * b + right
    return x


def _hash(digit: int, size: int) -> int:
    digit = digit * int(_M1) & _WORD
    digit ^= digit >> 32
    digit = digit * int(_M2) & _WORD
    return (digit >> 32) * size >> 32


def _at(values: _Domain, index: NDArray[np.intp] | int) -> _Domain:
    return values[index] if isinstance(values, np.ndarray) else values


def _digits(n: _Domain) -> tuple[_Domain, _Domain]:
    # IEEE square roots are correctly rounded, so this is the same on every machine.
    if not isinstance(n, np.ndarray):
        side = max(int(np.ceil(np.sqrt(np.float64(n)))), 1)
        return np.uint64(side), np.uint64((int(n) + side - 1) // side)
    a = np.maximum(np.ceil(np.sqrt(n.astype(np.float64))).astype(np.uint64), _ONE)
    return a, (n + (a - _ONE)) // a


def _forward(x: _Words, a: _Domain, b: _Domain, key: _Words) -> _Words:
    left, right = _split(x, b)
    shift = np.empty_like(x)
    scratch = np.empty_like(x)
    for number, step in enumerate(_STEPS):
        moved, other, size = (right, left, b) if number % 2 else (left, right, a)
        _round(other, key, step, size, scratch, shift)
        moved += shift
        _reduce(moved, size, shift)
    left *= b
    left += right
    return left


def _backward(y: _Words, a: _Domain, b: _Domain, key: _Words) -> _Words:
    left, right = _split(y, b)
    shift = np.empty_like(y)
    scratch = np.empty_like(y)
    for number in reversed(range(_ROUNDS)):
        moved, other, size = (right, left, b) if number % 2 else (left, right, a)
        _round(other, key, _STEPS[number], size, scratch, shift)
        moved += size
        moved -= shift
        _reduce(moved, size, shift)
    left *= b
    left += right
    return left


def _split(x: _Words, b: _Domain) -> tuple[_Words, _Words]:
    left = x // b
    return left, x - left * b


def _round(digit: _Words, key: _Words, step: np.uint64, size: _Domain, scratch: _Words, out: _Words) -> None:
    """Write a hash of ``digit`` in ``[0, size)`` to ``out``."""
    np.add(key, step, out=scratch)
    np.bitwise_xor(digit, scratch, out=out)
    np.multiply(out, _M1, out=out)
    np.right_shift(out, _HALF, out=scratch)
    np.bitwise_xor(out, scratch, out=out)
    np.multiply(out, _M2, out=out)
    np.right_shift(out, _HALF, out=out)
    np.multiply(out, size, out=out)
    np.right_shift(out, _HALF, out=out)


def _reduce(digit: _Words, size: _Domain, scratch: _Words) -> None:
    """Reduce ``digit``, below ``2 * size``, modulo ``size``: below size, the difference wraps to a huge number."""
    np.subtract(digit, size, out=scratch)
    np.minimum(digit, scratch, out=digit)
