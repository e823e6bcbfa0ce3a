"""From given lists of pairs to a protocol: folds, people, checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evenface.errors import DataError
from evenface.evaluate.faces import Faces
from evenface.evaluate.pairs import Rows
from evenface.evaluate.protocols import GroupCounts, Pairs, Protocol
from evenface.seeds import generator

FOLDS = 10
"""Of the field's verification sets."""

_INFERRED = (
    "the set names no people: images joined by genuine pairs, or equal byte for byte, were taken "
    "for one person, all others for different people. People in several of these count several "
    "times, so that intervals may be somewhat too narrow"
)


@dataclass(frozen=True, eq=False)
class PairList:
    """The pairs of one group, in the order of their file; every array is (P,)."""

    group: str
    a: Rows
    """Rows of the images."""
    b: Rows
    genuine: NDArray[np.bool_]
    fold: Rows | None = None
    """From 0; None where the file tells none."""


@dataclass(frozen=True, eq=False)
class VerificationSet:
    """A protocol and the images that it is about."""

    protocol: Protocol
    faces: Faces
    order: Rows
    """(M,) row of each image in the order that the set lists its images, repeats included."""
    names: tuple[str, ...] | None = None
    """(N,) what the set calls each row's image; None where it has no names."""


def protocol_from_lists(
    lists: Sequence[PairList],
    *,
    rows: int,
    image_fingerprint: str,
    name: str,
    identity: Rows | None = None,
    fold_lists: Sequence[PairList] | None = None,
    folds: int = FOLDS,
    contiguous: bool = False,
    seed: int = 0,
    simulated: bool = False,
    notes: Sequence[str] = (),
) -> Protocol:
    """A protocol of given pairs, one list a group; nothing is drawn, nothing left out.

    The same pairs serve the 10-fold accuracy and all other measures, unless told otherwise.

    Args:
        lists: the groups.
        rows: N, the number of rows that lists point into.
        image_fingerprint: of the images behind these rows.
        name: what results call this protocol.
        identity: (N,) the person of each row; None to infer people from the genuine pairs.
        fold_lists: pairs of the same groups for the 10-fold accuracy, if not those of ``lists``.
        folds: number of folds for lists without.
        contiguous: cut lists without folds in file order, as scikit-learn's ``KFold`` does and the
            field's ``.bin`` files are meant; else only where each fold gets pairs of both kinds,
            and pairs are dealt at random where not.
        seed: of that dealing.
        simulated: whether the images are synthetic.
        notes: what a reader must know already.

    Raises:
        DataError: a group without genuine or without impostor pairs, or fewer than two of a kind.
    """
    _refuse_unusable(lists)
    remarks = list(notes)
    people = _joined(lists, rows) if identity is None else identity
    if identity is None:
        remarks.append(_INFERRED)
    fold_parts, counts = [], []
    for g, pairs in enumerate(fold_lists or lists):
        fold, remark = _folds(pairs, folds, contiguous, generator(seed, "deal", pairs.group))
        remarks += remark
        order = np.argsort(fold, kind="stable")
        fold_parts.append(_as_pairs(pairs, g, fold).select(order))
    score_parts = fold_parts
    if fold_lists is not None:
        score_parts = [_as_pairs(pairs, g, None) for g, pairs in enumerate(lists)]
    for pairs in lists:
        remarks += _contradictions(pairs, people)
        of_group = np.unique(np.concatenate([pairs.a, pairs.b]))
        sizes = np.unique(people[of_group], return_counts=True)[1]
        counts.append(GroupCounts(len(of_group), len(sizes), int((sizes == 1).sum())))
    remarks += _shared(score_parts, people)
    every = Pairs.concat(score_parts)
    used = np.unique(np.concatenate([every.a, every.b]))
    of_used = np.full(rows, -1, dtype=np.int64)
    of_used[used] = np.unique(people[used], return_inverse=True)[1]
    fold_pairs = Pairs.concat(fold_parts)
    return Protocol(
        name=name,
        groups=tuple(pairs.group for pairs in lists),
        group_by=("group",) if len(lists) > 1 else (),
        fold_pairs=fold_pairs,
        score_pairs=every,
        identity=of_used,
        counts=tuple(counts),
        origins={"synthetic" if simulated else "real": len(used)},
        manifest_fingerprint=image_fingerprint,
        folds=int(fold_pairs.fold.max()) + 1,
        seed=seed,
        notes=tuple(remarks),
        cross_table=identity is not None,
        pairs="published",
    )


def _as_pairs(pairs: PairList, group: int, fold: Rows | None) -> Pairs:
    size = len(pairs.genuine)
    return Pairs(
        pairs.a,
        pairs.b,
        pairs.genuine,
        np.full(size, group, dtype=np.int64),
        np.full(size, -1, dtype=np.int64) if fold is None else fold,
    )


def contiguous_folds(count: int, folds: int) -> Rows:
    """(count,) fold of each of so many pairs in file order, as scikit-learn's ``KFold``."""
    sizes = np.full(folds, count // folds)
    sizes[: count % folds] += 1
    return np.repeat(np.arange(folds, dtype=np.int64), sizes)


def _refuse_unusable(lists: Sequence[PairList]) -> None:
    problems = []
    for pairs in lists:
        genuine = int(pairs.genuine.sum())
        for kind, count in (("genuine", genuine), ("impostor", len(pairs.genuine) - genuine)):
            if count < 2:
                problems.append(
                    f"group {pairs.group!r} has {count or 'no'} {kind} pair{'' if count else 's'}"
                )
    if problems:
        raise DataError(
            f"cannot verify: {'; '.join(problems)}; two of each kind are needed. Add pairs, or "
            "leave these groups out"
        )


def _folds(
    pairs: PairList, folds: int, contiguous: bool, rng: np.random.Generator
) -> tuple[Rows, list[str]]:
    if pairs.fold is not None:
        found, fold = np.unique(pairs.fold, return_inverse=True)
        if len(found) > 1:  # LFW's lists for development have one
            return fold.astype(np.int64), []
    count = len(pairs.genuine)
    folds = min(folds, count)
    fold = contiguous_folds(count, folds)
    genuine = np.bincount(fold[pairs.genuine], minlength=folds)
    mixed = bool(((genuine > 0) & (genuine < np.bincount(fold))).all())
    if mixed:
        return fold, []
    if contiguous:
        return fold, [
            f"group {pairs.group!r}: folds in file order leave some without pairs of both kinds; "
            "the set seems not to be ordered for 10-fold accuracy"
        ]
    folds = min(folds, int(pairs.genuine.sum()), int((~pairs.genuine).sum()))
    for kind in (True, False):
        chosen = rng.permutation(np.flatnonzero(pairs.genuine == kind))
        fold[chosen] = np.arange(len(chosen)) % folds
    return fold, [f"group {pairs.group!r}: pairs were dealt to {folds} folds at random"]


def _joined(lists: Sequence[PairList], count: int) -> Rows:
    """(count,) people as connected components of the genuine pairs."""
    parent = np.arange(count)

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = int(parent[row])
        return row

    for pairs in lists:
        for a, b in zip(pairs.a[pairs.genuine], pairs.b[pairs.genuine], strict=True):
            parent[root(int(a))] = root(int(b))
    return np.array([root(row) for row in range(count)], dtype=np.int64)


def _contradictions(pairs: PairList, people: Rows) -> list[str]:
    same = people[pairs.a] == people[pairs.b]
    odd = int((same & ~pairs.genuine).sum())
    wrong = int((~same & pairs.genuine).sum())
    remarks = []
    if odd:
        remarks.append(
            f"group {pairs.group!r}: {odd:,} impostor pairs show one person according to names or "
            "to the genuine pairs: the labels contradict each other"
        )
    if wrong:
        remarks.append(
            f"group {pairs.group!r}: {wrong:,} genuine pairs show two people according to names: "
            "the labels contradict each other"
        )
    return remarks


def _shared(parts: Sequence[Pairs], people: Rows) -> list[str]:
    if len(parts) < 2:
        return []
    present = [np.unique(people[np.concatenate([part.a, part.b])]) for part in parts]
    found, times = np.unique(np.concatenate(present), return_counts=True)
    shared = int((times > 1).sum())
    if not shared:
        return []
    return [f"{shared:,} of {len(found):,} people are in more than one group"]
