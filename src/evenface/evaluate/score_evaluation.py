"""A table of scores in, per-group figures with intervals out: no model and no images needed."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evenface.errors import DataError
from evenface.evaluate.cross import CrossPair, CrossScores
from evenface.evaluate.details import ChosenOn
from evenface.evaluate.embeddings import cosines, unit_length
from evenface.evaluate.evaluation import (
    Across,
    check_bootstrap,
    evaluate_groups,
    identity_halves,
    shared_identities,
)
from evenface.evaluate.failed_pairs import OfferedPairs, with_failures
from evenface.evaluate.protocols import Protocol
from evenface.evaluate.results import Bootstrap, Evaluation, ProtocolSummary
from evenface.evaluate.score_table import ScoreTable
from evenface.evaluate.scoring import GroupData, GroupFacts, ScoredPairs
from evenface.seeds import generator

FOLDS = 10
"""Folds that pairs are dealt to where a table has none."""

_LARGEST = 1e100
"""Scores whose squares can still be summed."""

_INDEPENDENT = (
    "the table names no identities: pairs were resampled as if independent. Pairs that share "
    "people are not, so the intervals are too narrow"
)
_REVERSED = (
    "genuine pairs score lower than impostor pairs on average: if the scores are distances, say so "
    "(--distance; in Python kind='distance')"
)
_FIXED = "intervals hold the threshold fixed"


def evaluate_scores(
    table: ScoreTable,
    *,
    cosine: bool = False,
    replicates: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    model: str | None = None,
    name: str = "scores",
    simulated: bool = False,
    detail: bool = True,
) -> Evaluation:
    """Verification per group and fairness over groups, from scores alone.

    Pairs within a group give its figures; impostor pairs across groups give the cross-table only.
    Pairs without a score are failures to enrol or acquire: the error rates are of the others, and
    the generalised ones beside them of all.
    Where all pairs name their identities, these are resampled, else the pairs themselves, noted.
    Where all pairs have a fold, accuracies and thresholds are cross-validated over these, else
    over ten folds that pairs are dealt to at random, and thresholds of operating points are set on
    one half of the identities and measured on the other.

    Args:
        table: scores, higher for more alike, with labels.
        cosine: whether scores are cosines, so that the reference protocol's grid of squared
            distances applies; else accuracies are those with exact thresholds.
        replicates, seed, level, model, detail: as in :func:`evaluate_embeddings`.
        name: what the result calls the table.
        simulated: whether the images are synthetic.

    Raises:
        ValueError: an argument out of range, or arrays of different lengths.
        DataError: a score that is infinite, or outside [−1, 1] with ``cosine``; labels that
            contradict each other; groups without genuine or without impostor pairs.
    """
    check_bootstrap(replicates, level)
    pairs = _Table(table, seed)
    if cosine and np.nanmax(np.abs(pairs.score)) > 1 + 1e-6:
        row = int(np.nanargmax(np.abs(pairs.score)))
        raise DataError(f"pair {row}: score {pairs.score[row]:g} is no cosine, in [-1, 1]")
    groups = [pairs.group_data(g, cosine=cosine) for g in range(len(pairs.groups))]
    evaluation = evaluate_groups(
        groups,
        ProtocolSummary(
            name=name,
            fingerprint=pairs.fingerprint,
            manifest_fingerprint="",
            group_by=[],
            folds=int(pairs.fold.max()) + 1,
            seed=seed,
            origins={},
            simulated=simulated,
            notes=pairs.notes,
        ),
        chosen_on=pairs.chosen_on,
        across=Across(pairs.across, f"the pairs of the table; {_FIXED}"),
        bootstrap=Bootstrap(
            unit="identity" if pairs.named else "pair",
            replicates=replicates,
            seed=seed,
            level=level,
        ),
        model=model,
        detail=detail,
    )
    if not pairs.failed.any():
        return evaluation
    return with_failures(
        evaluation, {name: pairs.offered(g) for g, name in enumerate(pairs.groups)}
    )


def protocol_scores(embeddings: ArrayLike, protocol: Protocol) -> ScoreTable:
    """The fold pairs of a protocol with their cosines, as a table.

    For what works on scores, such as calibration; :func:`evaluate_scores` with ``cosine`` measures
    it as :func:`evaluate_embeddings` does the fold pairs. Arguments and errors as there.
    """
    pairs = protocol.fold_pairs
    unit = unit_length(np.asarray(embeddings), protocol.rows)
    return ScoreTable(
        score=cosines(unit, pairs.a, pairs.b).astype(np.float64),
        genuine=pairs.genuine,
        # A pair stands for one group, even where its impostor is of another.
        group1=pairs.group,
        group2=pairs.group,
        groups=protocol.groups,
        fold=pairs.fold,
        identity1=protocol.identity[pairs.a],
        identity2=protocol.identity[pairs.b],
        notes=protocol.notes,
    )


def _check_shapes(table: ScoreTable) -> None:
    names = ("score", "genuine", "group1", "group2", "fold", "identity1", "identity2")
    shapes = {name: np.shape(getattr(table, name)) for name in names}
    if len(set(shapes.values())) > 1 or len(shapes["score"]) != 1:
        raise ValueError(f"the arrays of a table must be (P,), got {shapes}")
    codes = np.concatenate([table.group1, table.group2])
    if len(codes) and not 0 <= codes.min() <= codes.max() < len(table.groups):
        raise ValueError(
            f"groups are numbered 0 … {len(table.groups) - 1}, got {codes.min()} … {codes.max()}"
        )


class _Table:
    """A checked table, with folds, parts and units for every pair."""

    def __init__(self, table: ScoreTable, seed: int) -> None:
        _check_shapes(table)
        self.score = np.asarray(table.score, dtype=np.float64)
        self.failed = np.isnan(self.score)
        self.genuine = np.asarray(table.genuine, dtype=bool)
        self._group = np.stack([table.group1, table.group2])
        self._identity = np.stack([table.identity1, table.identity2])
        given_fold = np.asarray(table.fold)
        self.notes = list(table.notes)
        self.groups = tuple(table.groups)
        named = (self._identity >= 0).all(axis=0)
        self.named = bool(named.all())
        self._check()
        if named.any() and not self.named:
            self.notes.append(f"{int((~named).sum()):,} pairs name no identities, so none are used")
        self.within = self._group[0] == self._group[1]
        self._drop_empty_groups()
        self._refuse_unusable_groups()
        means = [self.score[kind & ~self.failed].mean() for kind in (self.genuine, ~self.genuine)]
        if means[0] < means[1]:
            self.notes.append(_REVERSED)
        self.fingerprint = self._digest(given_fold)
        self._identity = np.unique(self._identity, return_inverse=True)[1].reshape(2, -1)
        if not self.named:
            self.notes.append(_INDEPENDENT)
        folded = bool((given_fold >= 0).all()) and len(np.unique(given_fold)) > 1
        if folded:
            self.fold = np.unique(given_fold, return_inverse=True)[1]
            if self.named and (shared := shared_identities(self.fold, *self._identity)):
                self.notes.append(shared)
        else:
            if (given_fold >= 0).any():
                self.notes.append(
                    "the table's folds are not used: all pairs need one, of two at least"
                )
            self.fold = self._deal(seed)
            self.notes.append(
                f"pairs were dealt to {int(self.fold.max()) + 1} folds at random: folds share "
                "people" + ("" if self.named else ", as far as can be known")
            )
        self.chosen_on: ChosenOn = "other folds"
        self.part = self.fold
        if self.named and not folded:
            self.chosen_on = "other half of the identities"
            self.part = np.full(len(self.score), -1)
            self.part[self.within] = identity_halves(
                self._group[0, self.within],
                *self._identity[:, self.within],
                groups=self.groups,
                seed=seed,
            )
        self._units()

    def group_data(self, g: int, *, cosine: bool) -> GroupData:
        """The pairs within a group that have a score."""
        chosen = self.within & (self._group[0] == g) & ~self.failed
        fold = np.unique(self.fold[chosen], return_inverse=True)[1]
        if fold.max() < 1:
            raise DataError(
                f"group {self.groups[g]!r} has pairs in one fold only: two are needed. "
                "Leave the folds out, and pairs are dealt to folds"
            )
        first, second = (unit[chosen] for unit in (self._first, self._second))
        scores, genuine = self.score[chosen], self.genuine[chosen]
        people = mated = None
        if self.named:
            people = len(np.unique(self._identity[:, chosen]))
            mated = len(np.unique(self._identity[0, chosen & self.genuine]))
        return GroupData(
            facts=GroupFacts(
                name=self.groups[g],
                images=None,
                identities=people,
                single_image_identities=None,
                mated_identities=mated,
            ),
            units=self._unit_counts[g],
            fold_pairs=ScoredPairs(
                2 * scores - 2 if cosine else scores, genuine, first, second, fold
            ),
            on_grid=cosine,
            score_pairs=ScoredPairs(scores, genuine, first, second, self.part[chosen]),
        )

    def offered(self, g: int) -> OfferedPairs:
        """All pairs within a group."""
        chosen = self.within & (self._group[0] == g)
        return OfferedPairs(
            scores=self.score[chosen],
            genuine=self.genuine[chosen],
            people=np.stack([self._first[chosen], self._second[chosen]]),
            part=self.part[chosen],
        )

    def across(self, lowest: float) -> dict[CrossPair, CrossScores]:
        """Impostor pairs of every two groups, within a group too."""
        low, high = self._group.min(axis=0), self._group.max(axis=0)
        # The unit of the group that comes first stands first.
        swap = self._group[0] > self._group[1]
        first = np.where(swap, self._second, self._first)
        second = np.where(swap, self._first, self._second)
        found = {}
        for g in range(len(self.groups)):
            for h in range(g, len(self.groups)):
                of = ~self.genuine & ~self.failed & (low == g) & (high == h)
                chosen = np.flatnonzero(of)
                chosen = chosen[np.argsort(-self.score[chosen], kind="stable")]
                found[CrossPair(g, h)] = CrossScores(
                    self.score[chosen],
                    first[chosen],
                    second[chosen] if self.named else None,
                )
        return found

    def _units(self) -> None:
        """Number what is resampled within each group: identities, or the pairs themselves."""
        self._first, self._second = np.empty((2, len(self.score)), dtype=np.int64)
        self._unit_counts = []
        low = self._group.min(axis=0)
        for g in range(len(self.groups)):
            if not self.named:
                own = low == g
                self._first[own] = self._second[own] = np.arange(int(own.sum()))
                self._unit_counts.append(int(own.sum()))
                continue
            people = np.unique(self._identity[self._group == g])
            for unit, group, identity in zip(
                (self._first, self._second), self._group, self._identity, strict=True
            ):
                unit[group == g] = np.searchsorted(people, identity[group == g])
            self._unit_counts.append(len(people))

    def _deal(self, seed: int) -> NDArray[np.int64]:
        """(P,) a fold for each pair, in turn over the shuffled pairs of each kind and group."""
        fold = np.empty(len(self.score), dtype=np.int64)
        scored = self.within & ~self.failed
        sizes = [
            int(np.count_nonzero(scored & (self._group[0] == g) & (self.genuine == kind)))
            for g in range(len(self.groups))
            for kind in (True, False)
        ]
        folds = min(FOLDS, *sizes)
        if folds < 2:
            raise DataError(
                "a group has fewer than two pairs of a kind: two genuine and two impostor pairs "
                "are needed for folds. Add pairs or merge groups"
            )
        rng = generator(seed, "score-folds")
        low, high = self._group.min(axis=0), self._group.max(axis=0)
        strata = (low * len(self.groups) + high) * 2 + self.genuine
        for stratum in np.unique(strata):
            chosen = rng.permutation(np.flatnonzero(strata == stratum))
            # Every fold gets pairs with a score, and models on the same pairs the same folds.
            chosen = chosen[np.argsort(self.failed[chosen], kind="stable")]
            fold[chosen] = np.arange(len(chosen)) % folds
        return fold

    def _check(self) -> None:
        if not len(self.score):
            raise DataError("the table of scores holds no pairs")
        if self.failed.all():
            raise DataError(f"no pair has a score ({len(self.score):,} failed comparisons)")
        bad = ~(np.abs(self.score) <= _LARGEST) & ~self.failed
        if bad.any():
            row = int(bad.argmax())
            raise DataError(
                f"pair {row}: the score is {self.score[row]}, which is not finite or too large "
                f"({int(bad.sum()):,} of {len(bad):,} pairs). NaN says that a comparison failed"
            )
        problems = {
            "is genuine, but its groups differ": self.genuine & (self._group[0] != self._group[1])
        }
        if self.named:
            same = self._identity[0] == self._identity[1]
            problems["is genuine, but its identities differ"] = self.genuine & ~same
            problems["is of one identity, but no genuine pair"] = ~self.genuine & same
        for what, wrong in problems.items():
            if wrong.any():
                raise DataError(
                    f"pair {int(wrong.argmax())} {what} ({int(wrong.sum()):,} such pairs)"
                )

    def _drop_empty_groups(self) -> None:
        present = np.unique(self._group)
        self.groups = tuple(self.groups[g] for g in present)
        self._group = np.searchsorted(present, self._group)

    def _refuse_unusable_groups(self) -> None:
        problems = []
        for g, group in enumerate(self.groups):
            of_group = self.within & (self._group[0] == g)
            kinds = self.genuine[of_group & ~self.failed]
            if kinds.all() or not kinds.any():
                lacking = "impostor" if kinds.any() else "genuine"
                scored = " that has a score" if self.failed[of_group].any() else ""
                problems.append(f"group {group!r} has no {lacking} pair within the group{scored}")
        if problems:
            raise DataError(
                "cannot verify: "
                + "; ".join(problems)
                + ". Add pairs, leave these groups out, or give all pairs one group."
            )

    def _digest(self, fold: NDArray[Any]) -> str:
        """SHA-256 over everything but the scores: equal for two models on the same pairs."""
        digest = hashlib.sha256(json.dumps(self.groups).encode())
        for values in (self.genuine, self._group, self._identity, fold):
            digest.update(np.ascontiguousarray(values, dtype="<i8").data)
        return digest.hexdigest()
