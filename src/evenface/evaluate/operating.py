"""Operating points: thresholds set on some people, error rates measured on others.

A system is deployed with one threshold, set beforehand. So the pairs are split into parts; each
part is measured at the threshold that the other parts chose, and the parts' errors are added up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evenface.evaluate.verification import Weights, accepted_at, cumulative, first_true

TARGETS = {
    "1e-1": 1e-1,
    "3e-2": 3e-2,
    "1e-2": 1e-2,
    "3e-3": 3e-3,
    "1e-3": 1e-3,
    "3e-4": 3e-4,
    "1e-4": 1e-4,
    "1e-5": 1e-5,
}
"""FMR at which thresholds are set, by the key in the names of their measures."""


@dataclass(frozen=True, eq=False)
class SplitScores:
    """Pairs of one group with the part of the split that each is in; arrays are (P,)."""

    scores: NDArray[np.floating]
    genuine: NDArray[np.bool_]
    part: NDArray[np.int64]
    """0 … K − 1, the same K in all groups; −1 for pairs that are left out. With K = 1 thresholds
    are chosen on the pairs that they are measured on."""


class HeldOutThresholds:
    """Error rates of all groups at thresholds that other parts of the pairs chose.

    Args:
        splits: the pairs of each group.
        targets: key → FMR of the operating points.
        worst_case: whether to search the threshold for the worst group too.
    """

    def __init__(
        self,
        splits: Sequence[SplitScores],
        targets: Mapping[str, float] = TARGETS,
        *,
        worst_case: bool = True,
    ) -> None:
        self.splits = list(splits)
        self.targets = dict(targets)
        used = [split.scores[split.part >= 0] for split in self.splits]
        distinct = np.unique(np.concatenate(used))[::-1].astype(np.float64)
        self.thresholds = np.concatenate([[np.inf], distinct])
        self.parts = 1 + max(int(split.part.max(initial=-1)) for split in self.splits)
        self._kinds = [
            (
                _ByPart(split, split.genuine, self.thresholds, self.parts),
                _ByPart(split, ~split.genuine, self.thresholds, self.parts),
            )
            for split in self.splits
        ]
        self.training_impostors = np.array(
            [impostor.training_sizes for _, impostor in self._kinds]
        ).reshape(len(self.splits), -1)
        """(G, K) impostor pairs that choose the threshold of each part."""
        self.worst_case = self._worst_case() if worst_case else None
        """(K,) index of the threshold that makes the worst group's error least on the other
        parts; None where a group lacks pairs of a kind, or where it was not searched."""

    def measure(self, weights: Sequence[Weights]) -> dict[str, NDArray[np.float64]]:
        """(R, G) by name: "fmr@1e-3", "fnmr@1e-3", "own.fmr@1e-3", "own.fnmr@1e-3", … and
        "worst_case.error" where it was searched.

        Args:
            weights: (R, P) of each group, in the order of its pairs. NaN where a group that the
                threshold depends on has no weight.
        """
        return self._Weighed(self, weights).measures()

    def chosen(self) -> dict[str, NDArray[np.float64]]:
        """(K,) one threshold for all groups by target's key, each pair counted once, and
        "own.<key>", (G, K). Infinite where impostors have the highest score."""
        ones = [np.ones((1, len(split.scores)), dtype=np.int64) for split in self.splits]
        weighed = self._Weighed(self, ones)
        result = {}
        for key, target in self.targets.items():
            everyone = range(len(self.splits))
            result[key] = self.thresholds[weighed.choose(target, everyone)[0]]
            own = [self.thresholds[weighed.choose(target, [g])[0]] for g in everyone]
            result[f"own.{key}"] = np.stack(own)
        return result

    def _worst_case(self) -> NDArray[np.int64] | None:
        every = np.arange(len(self.thresholds))
        chosen = []
        for part in range(self.parts):
            errors = []
            for split, (genuine, impostor) in zip(self.splits, self._kinds, strict=True):
                ones = np.ones((1, len(split.scores)), dtype=np.int64)
                rates = []
                for kind in (genuine, impostor):
                    accepted, total = kind.sums(ones).training(every[:, None], part)
                    if not total.all():
                        return None
                    rates.append((accepted / total)[0, :, 0])
                errors.append((1 - rates[0] + rates[1]) / 2)
            chosen.append(int(np.argmin(np.max(errors, axis=0))))
        return np.array(chosen, dtype=np.int64)

    class _Weighed:
        """The same under R weightings."""

        def __init__(self, of: HeldOutThresholds, weights: Sequence[Weights]) -> None:
            self._last = len(of.thresholds)
            self._targets = of.targets
            self._shape = len(weights[0]), of.parts
            self._worst_case = of.worst_case
            self._groups = [
                (genuine.sums(w), impostor.sums(w))
                for (genuine, impostor), w in zip(of._kinds, weights, strict=True)
            ]

        def choose(self, target: float, groups: Sequence[int]) -> NDArray[np.int64]:
            """(R, K) the loosest threshold at which the mean FMR of ``groups`` over the other
            parts keeps the target."""

            def exceeds(k: NDArray[np.int64]) -> NDArray[np.bool_]:
                return (self._training_fmr(k.reshape(self._shape), groups) > target).ravel()

            above = first_true(exceeds, self._shape[0] * self._shape[1], self._last)
            return above.reshape(self._shape) - 1

        def measures(self) -> dict[str, NDArray[np.float64]]:
            everyone = range(len(self._groups))
            found: dict[str, NDArray[np.float64]] = {}
            for key, target in self._targets.items():
                k = self.choose(target, everyone)
                undefined = np.isnan(self._training_fmr(k, everyone)).any(axis=1)
                rates = [self._rates(k, g) for g in everyone]
                for i, name in enumerate(("fmr", "fnmr")):
                    columns = [np.where(undefined, np.nan, of[i]) for of in rates]
                    found[f"{name}@{key}"] = np.stack(columns, axis=1)
                own = []
                for g in everyone:
                    k = self.choose(target, [g])
                    undefined = np.isnan(self._training_fmr(k, [g])).any(axis=1)
                    own.append([np.where(undefined, np.nan, of) for of in self._rates(k, g)])
                for i, name in enumerate(("fmr", "fnmr")):
                    found[f"own.{name}@{key}"] = np.stack([of[i] for of in own], axis=1)
            if self._worst_case is not None:
                k = np.broadcast_to(self._worst_case, self._shape)
                errors = [sum(self._rates(k, g)) / 2 for g in everyone]
                found["worst_case.error"] = np.stack(errors, axis=1)
            return found

        def _training_fmr(self, k: NDArray[np.int64], groups: Sequence[int]) -> NDArray[np.float64]:
            """(R, K) mean FMR of groups over the other parts at each part's threshold."""
            total = np.zeros(k.shape)
            for g in groups:
                accepted, weight = self._groups[g][1].training(k)
                with np.errstate(invalid="ignore"):
                    total += accepted / weight
            return total / len(groups)

        def _rates(
            self, k: NDArray[np.int64], g: int
        ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            """(R,) FMR and FNMR of a group, each part at its own threshold."""
            genuine, impostor = self._groups[g]
            with np.errstate(invalid="ignore"):
                return (
                    impostor.own(k).sum(axis=1) / impostor.total,
                    1 - genuine.own(k).sum(axis=1) / genuine.total,
                )


class _ByPart:
    """Pairs of one kind and group, ranked within each part and all together."""

    def __init__(
        self,
        split: SplitScores,
        kind: NDArray[np.bool_],
        thresholds: NDArray[np.float64],
        parts: int,
    ) -> None:
        chosen = np.flatnonzero(kind & (split.part >= 0))
        ranked = chosen[np.argsort(-split.scores[chosen], kind="stable")]
        self.order_all = ranked
        self.order_parts = ranked[np.argsort(split.part[ranked], kind="stable")]
        sizes = np.bincount(split.part[chosen], minlength=parts)
        self.start = np.concatenate([[0], np.cumsum(sizes)])
        self.at_all = accepted_at(split.scores[ranked][::-1], thresholds)
        self.at_parts = np.empty((parts, len(thresholds)), dtype=np.int32)
        for part in range(parts):
            own = self.order_parts[self.start[part] : self.start[part + 1]]
            at = accepted_at(split.scores[own][::-1], thresholds)
            self.at_parts[part] = self.start[part] + at
        self.parts = parts
        self.training_sizes = sizes if parts == 1 else sizes.sum() - sizes

    def sums(self, weights: Weights) -> _Sums:
        """Under weights (R, P) in the order of the pairs."""
        return _Sums(self, weights)


class _Sums:
    """Accepted weight of one kind and group at thresholds; indices k are (R, K) or (T, 1)."""

    def __init__(self, ranked: _ByPart, weights: Weights) -> None:
        self._ranked = ranked
        self._parts = cumulative(weights[:, ranked.order_parts])
        self._all = cumulative(weights[:, ranked.order_all]) if ranked.parts > 1 else self._parts
        self._start = self._parts[:, ranked.start]
        self.total = self._parts[:, -1].astype(np.float64)

    def own(self, k: NDArray[np.int64]) -> NDArray[np.float64]:
        """(R, K) accepted weight of each part at its threshold."""
        columns = self._ranked.at_parts[np.arange(self._ranked.parts), k]
        accepted = np.take_along_axis(self._parts, columns, axis=1)
        return (accepted - self._start[:, :-1]).astype(np.float64)

    def training(
        self, k: NDArray[np.int64], part: int | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Accepted weight of the other parts at a part's threshold, and all their weight.

        Args:
            k: (R, K); with ``part`` (T, 1), thresholds of that part alone, for R = 1.
            part: all parts where None.

        Returns:
            (R, K) each; with ``part`` (1, T, 1) and (1, 1, 1).
        """
        if part is not None:
            columns = self._ranked.at_parts[part][k[:, 0]]
            own = self._parts[0, columns] - self._start[0, part]
            size = self._start[0, part + 1] - self._start[0, part]
            if self._ranked.parts > 1:
                own = self._all[0, self._ranked.at_all[k[:, 0]]] - own
                size = self._parts[0, -1] - size
            return own[None, :, None].astype(np.float64), np.array([[[size]]], dtype=np.float64)
        own = self.own(k)
        sizes = np.diff(self._start, axis=1).astype(np.float64)
        if self._ranked.parts == 1:
            return own, sizes
        accepted = np.take_along_axis(self._all, self._ranked.at_all[k], axis=1)
        return accepted - own, self.total[:, None] - sizes
