# SPDX-License-Identifier: Apache-2.0
"""Pseudo-random permutations evaluated point by point, in O(1) memory.

A balanced Feistel network on pairs (left, right) with modular addition is a bijection of [0, a) x [0, b);
choosing a b >= n and walking along the cycle until the value is below n makes it one of [0, n). A shuffle of
10^8 positions therefore needs no table, and any position can be asked for on its own (exact resume).

On a handful of elements a Feistel network visibly prefers some permutations, so domains up to 32 rank the
hashes of their elements instead, which is uniform over all permutations.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
KeyArray = NDArray[np.uint64]

_ROUNDS = 8
_SMALL = 32
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mix64(z: KeyArray) -> KeyArray:
    """A 64-bit finaliser (Stafford's variant 13): bijective, output bits look independent."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def derive_key(*words: IntArray | int) -> KeyArray:
    """One 64-bit key per broadcast tuple of non-negative integers."""
    with np.errstate(over="ignore"):
        key: KeyArray = np.zeros(1, dtype=np.uint64)
        for word in words:
            key = _mix64(key + _GOLDEN + np.asarray(word).astype(np.uint64) * np.uint64(0xD1342543DE82EF95))
        return key


def permute(position: IntArray, size: IntArray | int, key: KeyArray) -> IntArray:
    """Where the keyed permutation of [0, size) sends each position.

    Args:
        position: (N,) int64, 0 <= position < size.
        size: scalar or (N,) domain sizes, at least 1.
        key: scalar-like or (N,) uint64 keys from `derive_key`; each (key, size) is one permutation.

    Returns:
        (N,) int64 in [0, size).
    """
    x, n, keys = position.astype(np.uint64), np.atleast_1d(size).astype(np.uint64), np.atleast_1d(key)
    small = n <= _SMALL
    if not small.any():
        # One size for all stays one number: NumPy divides by a constant ten times faster.
        return _walk(x, n, keys).astype(np.int64)
    x, n, keys, small = np.broadcast_arrays(x, n, keys, small)
    result: KeyArray = np.empty_like(x)
    result[small] = _rank(x[small], n[small], keys[small])
    large = ~small
    result[large] = _walk(x[large], n[large], keys[large])
    return result.astype(np.int64)


def _walk(x: KeyArray, size: KeyArray, key: KeyArray) -> KeyArray:
    """Feistel on the smallest rectangle that holds the domain, repeated until the value lies inside."""
    a = np.ceil(np.sqrt(size.astype(np.float64))).astype(np.uint64)
    b = (size + a - np.uint64(1)) // a
    result = _feistel(x, a, b, key)
    outside = np.flatnonzero(result >= size)
    if outside.size:
        size, a, b, key = (np.broadcast_to(each, x.shape) for each in (size, a, b, key))
    while outside.size:
        result[outside] = _feistel(result[outside], a[outside], b[outside], key[outside])
        outside = outside[result[outside] >= size[outside]]
    return result


def _rank(x: KeyArray, size: KeyArray, key: KeyArray) -> KeyArray:
    """The rank of each position's hash among the hashes of its domain; size at most _SMALL."""
    element = np.arange(_SMALL, dtype=np.uint64)
    with np.errstate(over="ignore"):
        hashes = _mix64(key[:, None] + (element + np.uint64(1)) * _GOLDEN)
        own = _mix64(key + (x + np.uint64(1)) * _GOLDEN)
    return ((hashes < own[:, None]) & (element < size[:, None])).sum(1).astype(np.uint64)


def _feistel(x: KeyArray, a: KeyArray, b: KeyArray, key: KeyArray) -> KeyArray:
    with np.errstate(over="ignore"):
        left = x // b
        right = x - left * b
        for step in range(_ROUNDS):
            salt = key + np.uint64(step + 1) * _GOLDEN
            if step % 2 == 0:
                left = _add(left, _mix64(right ^ salt) >> np.uint64(32), a)
            else:
                right = _add(right, _mix64(left ^ salt) >> np.uint64(32), b)
        return left * b + right


def _add(x: KeyArray, y: KeyArray, modulus: KeyArray) -> KeyArray:
    """(x + y) modulo `modulus`, x below it, without a division more than needed (they are what costs time)."""
    y = y % modulus if modulus.size > 1 else y - y // modulus * modulus
    total = x + y
    # Below the modulus the difference wraps around to a huge number.
    return np.minimum(total, total - modulus)
