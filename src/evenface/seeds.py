"""Stable seeds: the same parts give the same seed on every machine and in every process."""

from __future__ import annotations

import hashlib

import numpy as np

_MASK = np.uint64(0xFFFFFFFFFFFFFFFF)


def derive_seed(*parts: int | str) -> int:
    """A 63-bit seed from any parts, e.g. ``derive_seed(seed, "identity", 17)``.

    Uses BLAKE2b, never Python's salted ``hash``. Parts are length-prefixed, so that
    ("a", "bc") and ("ab", "c") differ.
    """
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        encoded = f"{type(part).__name__}:{part}".encode()
        digest.update(len(encoded).to_bytes(4, "little"))
        digest.update(encoded)
    return int.from_bytes(digest.digest(), "little") >> 1


def generator(*parts: int | str) -> np.random.Generator:
    """A NumPy generator (PCG64) seeded by :func:`derive_seed`."""
    return np.random.Generator(np.random.PCG64(derive_seed(*parts)))


def hash_bits(seed: int, *columns: np.ndarray | int) -> np.ndarray:
    """Counter-based random bits, one uint64 per row of ``columns`` (broadcast together).

    A pure function of its arguments (SplitMix64 finaliser over a running state), so a decision
    such as "flip row 12 in epoch 3" does not depend on the order in which rows are drawn.
    """
    with np.errstate(over="ignore"):
        state = np.asarray(seed & int(_MASK), dtype=np.uint64)
        for column in columns:
            state = _mix(state ^ _mix(np.asarray(column).astype(np.uint64)))
        return _mix(state)


def _mix(x: np.ndarray) -> np.ndarray:
    x = (x + np.uint64(0x9E3779B97F4A7C15)).astype(np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
