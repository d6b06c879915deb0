"""Keyed permutations of ``[0, n)`` that give the image of any element alone, and their inverses.

A number ``x`` is split into two digits, ``x = left * b + right`` with ``a = ceil(sqrt(n))`` and ``b = ceil(n / a)``.
In turn, a hash of one digit is added to the other modulo ``a`` or ``b``: a Feistel network, which can be undone
whatever the hash is. The network permutes ``[0, a * b)``; what lands at ``n`` or beyond is sent through it again until it
lands inside (cycle walking), which is rare because ``a * b`` exceeds ``n`` by less than ``2 * sqrt(n)``. Mixed radix has
no trouble at powers of two, unlike the usual form with bit halves.

The number of rounds is part of the frozen algorithm: tiny domains need more, because their digits are.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.order.lanes.keys import GOLDEN

__all__ = ["permute", "unpermute"]

_ROUNDS = int(os.environ.get("ROUNDS", 6))
_STEPS = [np.uint64((round_ * GOLDEN) & ((1 << 64) - 1)) for round_ in range(_ROUNDS)]
_M1 = np.uint64(0xD6E8FEB86659FD93)
_M2 = np.uint64(0xFF51AFD7ED558CCD)
_HALF = np.uint64(32)
_ONE = np.uint64(1)


def permute(x, n, key):
    return _walk(x, n, key, False)


def unpermute(y, n, key):
    return _walk(y, n, key, True)


def _walk(x: NDArray[np.int64], n: Any, key: Any, inverse: bool):
    if not len(x):
        return x.copy()
    if isinstance(n, np.ndarray):
        low = n.min()
        n = low.astype(np.uint64) if low == n.max() else n.astype(np.uint64)
    else:
        n = np.uint64(n)
    a = np.ceil(np.sqrt(np.asarray(n, dtype=np.float64))).astype(np.uint64)
    b = (n + (a - _ONE)) // a
    if not isinstance(key, np.ndarray):
        key = np.full(len(x), key, np.uint64)
    run = _backward if inverse else _forward
    out = run(x.astype(np.uint64), a, b, key)
    todo = np.flatnonzero(out >= n)
    one = n.ndim == 0
    while len(todo):
        if one:
            part = run(out[todo], a, b, key[todo])
            inside = part < n
        else:
            part = run(out[todo], a[todo], b[todo], key[todo])
            inside = part < n[todo]
        out[todo] = part
        todo = todo[~inside]
    return out.view(np.int64)


def _hash(digit, key, size, scratch, out):
    np.bitwise_xor(digit, key, out=out)
    np.multiply(out, _M1, out=out)
    np.right_shift(out, _HALF, out=scratch)
    np.bitwise_xor(out, scratch, out=out)
    np.multiply(out, _M2, out=out)
    np.right_shift(out, _HALF, out=out)
    np.multiply(out, size, out=out)
    np.right_shift(out, _HALF, out=out)


def _forward(x, a, b, key):
    left = x // b
    right = x - left * b
    h = np.empty_like(x)
    scratch = np.empty_like(x)
    for i, step in enumerate(_STEPS):
        np.add(key, step, out=scratch)
        if i % 2 == 0:
            _hash(right, scratch, a, scratch, h)
            left += h
            np.subtract(left, a, out=h)
            np.minimum(left, h, out=left)
        else:
            _hash(left, scratch, b, scratch, h)
            right += h
            np.subtract(right, b, out=h)
            np.minimum(right, h, out=right)
    left *= b
    left += right
    return left


def _backward(x, a, b, key):
    left = x // b
    right = x - left * b
    h = np.empty_like(x)
    scratch = np.empty_like(x)
    for i in reversed(range(_ROUNDS)):
        np.add(key, _STEPS[i], out=scratch)
        if i % 2 == 0:
            _hash(right, scratch, a, scratch, h)
            left += a
            left -= h
            np.subtract(left, a, out=h)
            np.minimum(left, h, out=left)
        else:
            _hash(left, scratch, b, scratch, h)
            right += b
            right -= h
            np.subtract(right, b, out=h)
            np.minimum(right, h, out=right)
    left *= b
    left += right
    return left
