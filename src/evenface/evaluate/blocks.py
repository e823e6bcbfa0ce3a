"""Impostor scores without end: the highest of all pairs of two sets, block by block.

A false match rate of one in a million needs far more pairs than can be kept. But only the highest
scores matter to it: of a million times a million pairs, the top million. They are found exactly,
in the memory of one block of scores and of the scores kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evenface.errors import DataError
from evenface.evaluate.embeddings import unit_length

_BLOCK = 4096
# Candidates are gathered up to so many times the scores wanted before the lowest are dropped.
_SLACK = 2


@dataclass(frozen=True, eq=False)
class ImpostorTail:
    """The highest impostor scores, exactly.

    Attributes:
        pairs: all impostor pairs that were compared.
        scores: (K,) the K highest of their scores, descending; all of them where K = pairs.
    """

    pairs: int
    scores: NDArray[np.float32]

    @property
    def highest_fmr(self) -> float:
        """Highest FMR whose threshold the tail still holds."""
        return len(self.scores) / max(1, self.pairs)

    def fmr(self, threshold: float) -> float:
        """Share of impostor pairs at or above a threshold.

        Raises:
            ValueError: there are no pairs, or the threshold lies below the tail, which then knows
                a lower bound only.
        """
        if not self.pairs:
            raise ValueError("there are no impostor pairs")
        if threshold < self.scores[-1] and len(self.scores) < self.pairs:
            raise ValueError(
                f"threshold {threshold:g} lies below the {len(self.scores):,} scores kept "
                f"(lowest {self.scores[-1]:g}); keep more"
            )
        above = np.searchsorted(-self.scores, -np.float64(threshold), side="right")
        return int(above) / self.pairs

    def threshold(self, fmr: float) -> float:
        """The lowest score that, as threshold, keeps the FMR at or below ``fmr``.

        Raises:
            ValueError: fewer than one false match is expected, or more than the tail holds.
        """
        allowed = int(np.floor(fmr * self.pairs * (1 + 1e-12)))
        if allowed < 1:
            raise ValueError(
                f"{self.pairs:,} impostor pairs give {fmr * self.pairs:.2g} expected false matches "
                f"at FMR {fmr:g}: at least one is needed"
            )
        if allowed >= len(self.scores) and len(self.scores) < self.pairs:
            raise ValueError(
                f"FMR {fmr:g} allows {allowed:,} of {self.pairs:,} pairs, and only "
                f"{len(self.scores):,} scores were kept; keep more"
            )
        if allowed >= len(self.scores):
            return float(self.scores[-1])
        # Equal scores are accepted together: those that tie with the first too many are not.
        accepted = np.searchsorted(-self.scores, -self.scores[allowed], side="left")
        if accepted == 0:
            return float(np.inf)
        return float(self.scores[accepted - 1])


def impostor_tail(
    embeddings: NDArray[np.floating],
    identity: NDArray[np.int64],
    others: NDArray[np.floating] | None = None,
    other_identity: NDArray[np.int64] | None = None,
    *,
    keep: int,
    block: int = _BLOCK,
) -> ImpostorTail:
    """The ``keep`` highest cosines of pairs of different people.

    Memory is that of the embeddings, of ``block``² scores and of about three times ``keep``
    scores, whatever the number of pairs. The embeddings may be memory-mapped: they are normalised
    block by block.

    Args:
        embeddings: (N, D), need not be normalised.
        identity: (N,) who is on each.
        others: (M, D), compared with every row of ``embeddings``; None compares these among each
            other, each pair once.
        other_identity: (M,) in the numbers of ``identity``.
        keep: scores to keep. For a threshold at FMR f more than f · pairs are needed.
        block: rows compared at a time.

    Raises:
        ValueError: shapes that do not match, or ``keep`` or ``block`` below one.
        DataError: an embedding that is not finite or of zero norm.
    """
    if keep < 1 or block < 1:
        raise ValueError(f"keep and block must be positive, got {keep} and {block}")
    if (others is None) != (other_identity is None):
        raise ValueError("others and other_identity come together")
    within = others is None or other_identity is None
    columns, column_identity = (
        (embeddings, identity)
        if others is None or other_identity is None
        else (others, other_identity)
    )
    for values, people in ((embeddings, identity), (columns, column_identity)):
        if values.ndim != 2 or people.shape != values.shape[:1]:
            raise ValueError(
                f"embeddings must be (N, D) with (N,) identities, got {values.shape} and "
                f"{people.shape}"
            )
    if embeddings.shape[1] != columns.shape[1]:
        raise ValueError(
            f"embeddings of {embeddings.shape[1]} and {columns.shape[1]} dimensions do not compare"
        )
    tail = _Tail(keep)
    for start in range(0, len(embeddings), block):
        rows = slice(start, start + block)
        left = _single(embeddings, rows)
        # Within one set the blocks above the diagonal hold each pair once.
        for other_start in range(start if within else 0, len(columns), block):
            of_columns = slice(other_start, other_start + block)
            right = left if within and other_start == start else _single(columns, of_columns)
            scores = left @ right.T
            different = identity[rows, None] != column_identity[of_columns]
            if within and other_start == start:
                different &= np.triu(np.ones(scores.shape, dtype=bool), k=1)
            tail.add(scores, different)
    return tail.result()


class _Tail:
    """The highest scores so far, with a floor below which none is looked at any more."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._kept: list[NDArray[np.float32]] = []
        self._count = 0
        self._floor = -np.inf
        self._pairs = 0

    def add(self, scores: NDArray[np.float32], counted: NDArray[np.bool_]) -> None:
        """Consider those of a block that are ``counted``."""
        self._pairs += int(np.count_nonzero(counted))
        # Few are at or above the floor once it has risen, and comparing is cheap.
        candidates = scores[(scores >= self._floor) & counted]
        self._kept.append(candidates)
        self._count += len(candidates)
        if self._count > _SLACK * self._keep:
            self._shrink()

    def result(self) -> ImpostorTail:
        """The tail, sorted."""
        self._shrink()
        return ImpostorTail(self._pairs, np.sort(self._kept[0])[::-1])

    def _shrink(self) -> None:
        kept = np.concatenate([*self._kept, np.empty(0, dtype=np.float32)])
        if len(kept) > self._keep:
            kept = np.partition(kept, len(kept) - self._keep)[len(kept) - self._keep :]
            self._floor = float(kept[0])
        self._kept, self._count = [kept], len(kept)


def _single(embeddings: NDArray[np.floating], rows: slice) -> NDArray[np.float32]:
    try:
        return unit_length(embeddings[rows]).astype(np.float32)
    except DataError as error:
        raise DataError(f"in the block from row {rows.start:,} on: {error}") from None
