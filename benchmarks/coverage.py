"""How often intervals hold the truth, with simulated people and pairs.

python benchmarks/coverage.py [--cells 60-weak …] [--repetitions 2000] [--replicates 200]
                              [--out coverage/] [--minutes 60] [--table]

A repetition draws new people, embeds their images (a centre for each person plus noise for each
image, 24 dimensions) with two models, and evaluates both on one protocol. There are three groups,
whose images scatter differently, and whose people are unequally alike. The second model shares
people and most of the noise with the first and errs less. A cell is a number of people a group, and
how people differ:

- "weak": centres are drawn from one normal distribution. Errors are nearly specific to pairs.
- "hub": a common direction is added to the centres, of another strength for each person. Some
  people are like many others, and their pairs err together.
- "list": a published list of pairs, 300 of each kind in each of ten folds of a group; every person
  is in one genuine pair, and in one or two impostor pairs.
- "seeds": each arm is the mean of three trainings, each with noise of its own, and each a little
  better or worse than the others.
- "equal": the groups do not differ, the models neither.
- "null": the groups differ, the models do not, and each arm has three trainings. With "equal", it
  shows how often a study's rules find an effect where there is none.

Truth: that of a measure of a group, or of its difference, is its mean over the repetitions (the
expectation, to 1/√repetitions of a standard error); that of a spread or ratio over groups is the
spread or ratio of the groups' true values. Only where ten errors or more are expected, and the
truth is off the boundary, a share of 93.0 to 97.5 % is asked for.

Repetitions are written to --out, 20 of each cell in turn, and are not done again; --minutes stops
after so many, and --table prints what there is. The first table has coverage in %, groups and both
models together, and the width of the interval over 3.92 standard deviations of the value; the
second has false verdicts.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from evenface.evaluate import Evaluation, evaluate_embeddings, evaluate_scores, fairness
from evenface.evaluate.arms import ArmEvaluation, evaluate_arm
from evenface.evaluate.protocols import Protocol, protocol_from_manifest
from evenface.evaluate.score_table import ScoreTable
from evenface.files import atomic_path
from evenface.seeds import derive_seed
from evenface.study import claims, unevenness
from evenface.study.inference import Contrast, compare
from evenface.study.record import Claim
from simulated_rows import LabelledRows

IMAGES, DIMENSIONS, FOLDS, SEEDS = 4, 24, 10, 3
SHARED = 0.8
"""Correlation of an image's noise between models."""
BATCH = 20
ALPHA = 0.05


@dataclass(frozen=True)
class Cell:
    """One kind of people and pairs.

    Attributes:
        people: of a group.
        hub: standard deviation of the common direction's strength; a person's other directions
            have 1.
        noise: of an image, by group.
        alike: what all centres of a group have in common, by group.
        better: what multiplies the noise in the second model.
        listed: whether pairs are a published list.
        seeds: trainings of each arm.
        training: standard deviation of the logarithm of the noise between trainings.
        verdicts: whether a study's rules are asked.
        detail: whether measures beyond the core are taken.
        most: score pairs of a kind and group.
    """

    people: int
    hub: float = 0.0
    noise: tuple[float, ...] = (1.2, 1.5, 1.8)
    alike: tuple[float, ...] = (0.0, 2.0, 3.0)
    better: float = 0.85
    listed: bool = False
    seeds: int = 1
    training: float = 0.0
    verdicts: bool = False
    detail: bool = False
    most: int = 2000


_EQUAL = (1.5,) * 3
CELLS = {
    "60-weak": Cell(60),
    "60-hub": Cell(60, hub=2.0),
    "120-weak": Cell(120),
    "120-hub": Cell(120, hub=2.0),
    "500-weak": Cell(500),
    "500-hub": Cell(500, hub=2.0),
    "list": Cell(3000, listed=True),
    "list-hub": Cell(3000, hub=2.0, listed=True),
    "60-equal": Cell(60, noise=_EQUAL, alike=(0.0,) * 3, better=1.0),
    "60-equal-hub": Cell(60, hub=2.0, noise=_EQUAL, alike=(0.0,) * 3, better=1.0),
    "60-seeds": Cell(60, seeds=SEEDS, training=0.03),
    "60-null": Cell(60, hub=1.0, better=1.0, seeds=SEEDS, training=0.03, verdicts=True),
    "60-weak-detail": Cell(60, detail=True),
    "120-hub-detail": Cell(120, hub=2.0, detail=True),
}

BY_GROUP = ("accuracy", "eer", "auc", "dprime", "tar@far=1e-2", "fmr", "fnmr")
IN_DETAIL = ("accuracy_exact", "fmr@3e-2", "fnmr@3e-2", "own.fnmr@3e-2", "calibration.brier")
MEANS = ("overall.accuracy", "mean.eer", "mean.dprime")
SPREADS = {
    "overall.std_sample": "accuracy",
    "overall.gap": "accuracy",
    "overall.ser": "accuracy",
    "overall.dprime_gap": "dprime",
    "overall.probit_gap": "accuracy",
    "global.fnmr_ratio": "fnmr",
    "global.fdr": "fmr",
    "global.garbe": "fmr",
}
"""Measure over groups → the measure that it is of."""
SPREADS_IN_DETAIL = {"fnmr_worst_to_mean@3e-2": "fnmr@3e-2", "fmr_worst_to_mean@3e-2": "fmr@3e-2"}


class Simulation:
    """One cell: draws people and evaluates both models on them."""

    def __init__(self, cell: Cell, replicates: int) -> None:
        self.cell, self.replicates = cell, replicates
        self._images = 2 if cell.listed else IMAGES
        self.groups = tuple("abcdefgh"[: len(cell.noise)])
        self._protocol: Protocol | None = None
        if not cell.listed:
            rows = LabelledRows(IMAGES, np.repeat(self.groups, cell.people))
            self._protocol = protocol_from_manifest(rows, max_pairs=cell.most)  # type: ignore[arg-type]

    def arms(self, seed: int) -> tuple[ArmEvaluation, ArmEvaluation]:
        """Both models, or arms of several trainings, on the people that the seed draws."""
        cell, rng = self.cell, np.random.default_rng(seed)
        people = len(cell.noise) * cell.people
        centres = rng.normal(size=(people, DIMENSIONS))
        centres[:, 0] += cell.hub * rng.normal(size=people)
        centres[:, 1] += np.repeat(cell.alike, cell.people)
        centre = np.repeat(centres, self._images, axis=0)
        scale = np.repeat(cell.noise, cell.people * self._images)[:, None]
        common = rng.normal(size=centre.shape)
        arms = []
        for factor in (1.0, cell.better):
            models = []
            for _ in range(cell.seeds):
                own = rng.normal(size=centre.shape)
                noise = SHARED * common + np.sqrt(1 - SHARED**2) * own
                of_training = factor * np.exp(cell.training * rng.normal())
                models.append(self._evaluate(centre + of_training * scale * noise, seed))
            arms.append(evaluate_arm(models, range(cell.seeds)))
        return arms[0], arms[1]

    def _evaluate(self, embeddings: NDArray[np.float64], seed: int) -> Evaluation:
        options = {"replicates": self.replicates, "seed": seed, "detail": self.cell.detail}
        if self._protocol is not None:
            return evaluate_embeddings(embeddings, self._protocol, **options)  # type: ignore[arg-type]
        return evaluate_scores(self._list(embeddings), cosine=True, **options)  # type: ignore[arg-type]

    def _list(self, embeddings: NDArray[np.float64]) -> ScoreTable:
        """Person i of a fold with themselves, and with the next person of the fold."""
        unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
        first, second = unit[0::2], unit[1::2]
        person = np.arange(len(first))
        fold = person % self.cell.people // (self.cell.people // FOLDS)
        last = np.append(fold[1:] != fold[:-1], True)
        other = np.where(last, person, person + 1)[~last]
        group = person // self.cell.people
        genuine = (first * second).sum(axis=1)
        impostor = (first[~last] * second[other]).sum(axis=1)

        def both(of_genuine: NDArray, of_impostor: NDArray) -> NDArray:
            return np.concatenate([of_genuine, of_impostor])

        groups = both(group, group[~last])
        return ScoreTable(
            score=both(genuine, impostor),
            genuine=both(np.ones(len(genuine), bool), np.zeros(len(impostor), bool)),
            group1=groups,
            group2=groups,
            groups=self.groups,
            fold=both(fold, fold[~last]),
            identity1=both(person, person[~last]),
            identity2=both(person, other),
        )

    def repetition(self, seed: int) -> dict[str, tuple[float, float, float]]:
        """Value, low and high, NaN where undefined, by "<of> <measure> <group or −>".

        ``of`` is 1 and 2 for the models (arms), Δ for second minus first, and for verdicts
        "verdict", whose value is 1 for "supported" and −1 for "not supported".
        """
        arms = self.arms(seed)
        cell, found = self.cell, {}
        single = [arm.models[0] if cell.seeds == 1 else arm for arm in arms]
        detail = cell.detail and cell.seeds == 1
        names: list[tuple[str, str | None]] = [
            (measure, group)
            for measure in BY_GROUP + (IN_DETAIL if detail else ())
            for group in self.groups
        ]
        names += [(measure, None) for measure in (*MEANS, *SPREADS)]
        names += [(measure, None) for measure in (SPREADS_IN_DETAIL if detail else ())]
        for measure, group in names:
            key = f"{measure} {group or '−'}"
            for which, of in zip("12", single, strict=True):
                estimate = of.estimate(measure, group)
                found[f"{which} {key}"] = _numbers(estimate.value, estimate.low, estimate.high)
            if cell.seeds > 1:
                contrast: Contrast = compare(*arms, measure, group)
                found[f"Δ {key}"] = _numbers(contrast.value, *contrast.bounds)
            else:
                difference = single[0].compare(single[1], measure, group=group)
                found[f"Δ {key}"] = _numbers(difference.value, difference.low, difference.high)
        for which, arm in zip("12", arms, strict=True):
            found[f"p {which} −"] = _numbers(arm.overall.std_excess_p, None, None)
        if cell.verdicts:
            found |= {
                f"verdict {claim.id.partition(':')[0]} −": (_SIGN[claim.verdict], np.nan, np.nan)
                for claim in self._claims(*arms)
            }
        return found

    def _claims(self, first: ArmEvaluation, second: ArmEvaluation) -> Iterator[Claim]:
        """What a study's rules say of the second arm against the first, margins being 0."""
        names = {"training_set": "set", "benchmark": "simulated", "teacher": "t"}
        yield claims.kd_raises_accuracy(first, second, **names)
        for ending in unevenness.KINDS:
            yield from unevenness.kd_lowers_unevenness(first, second, ending=ending, **names)
        yield unevenness.worst_group_better_off(first, second, **names)
        yield unevenness.no_group_worse_off(first, second, margin=0.0, **names)
        yield claims.mix_matches_real(first, second, benchmark="simulated", teacher="t", margin=0.0)


_SIGN = {"supported": 1.0, "not supported": -1.0, "undecided": 0.0, "undefined": 0.0}


def _numbers(*values: float | None) -> tuple[float, float, float]:
    value, low, high = (np.nan if v is None else v for v in values)
    return value, low, high


@dataclass(frozen=True)
class Row:
    """One kind of interval in one cell."""

    measure: str
    coverage: float
    width: float
    """Median width over 3.92 standard deviations of the value."""
    judged: bool
    """Whether ten errors or more are expected and the truth is off the boundary."""


def summarise(cell: Cell, results: dict[str, NDArray[np.float64]]) -> list[Row]:
    """Coverage of every kind of interval, groups and models together, from (T, 3) by name."""
    truth = _truths(cell, results)
    rows: dict[str, list[Row]] = {}
    for name, of in results.items():
        which, measure, _ = name.split(" ")
        if which not in ("1", "2", "Δ"):
            continue
        low = np.where(np.isnan(of[:, 1]), -np.inf, of[:, 1])
        high = np.where(np.isnan(of[:, 2]), np.inf, of[:, 2])
        held = (low <= truth[name] + 1e-12) & (truth[name] - 1e-12 <= high)
        defined = np.isfinite(of[:, 0])
        deviation = np.std(of[defined, 0])
        width = np.median((high - low)[defined]) / (3.92 * deviation) if deviation else np.nan
        kind = f"Δ {measure}" if which == "Δ" else measure
        row = Row(kind, float(held.mean()), float(width), _judged(name, truth, cell))
        rows.setdefault(kind, []).append(row)
    return [
        Row(
            kind,
            float(np.mean([r.coverage for r in of])),
            float(np.mean([r.width for r in of])),
            all(r.judged for r in of),
        )
        for kind, of in rows.items()
    ]


def _truths(cell: Cell, results: dict[str, NDArray[np.float64]]) -> dict[str, float]:
    groups = "abcdefgh"[: len(cell.noise)]
    truth = {name: float(np.nanmean(of[:, 0])) for name, of in results.items() if name[0] in "12Δ"}
    for measure, of_group in (SPREADS | SPREADS_IN_DETAIL).items():
        if f"1 {measure} −" not in results:
            continue
        for which in "12":
            values, misses = (
                np.array([truth[f"{which} {of} {g}"] for g in groups]) for of in (of_group, "fnmr")
            )
            truth[f"{which} {measure} −"] = _spread(measure, values, misses)
        truth[f"Δ {measure} −"] = truth[f"2 {measure} −"] - truth[f"1 {measure} −"]
    return truth


def _spread(measure: str, values: NDArray[np.float64], misses: NDArray[np.float64]) -> float:
    function = measure.rpartition(".")[2].partition("@")[0]
    if function in ("fdr", "garbe"):
        both = {"fdr": fairness.fairness_discrepancy_rate, "garbe": fairness.garbe}
        return float(both[function](values, misses))
    if function == "probit_gap":
        return float(fairness.gap(fairness.probit(values)))
    one = {
        "std_sample": fairness.std_sample,
        "gap": fairness.gap,
        "ser": fairness.skewed_error_ratio,
        "dprime_gap": fairness.gap,
        "fnmr_ratio": fairness.rate_ratio,
        "fnmr_worst_to_mean": fairness.worst_to_geometric_mean,
        "fmr_worst_to_mean": fairness.worst_to_geometric_mean,
    }
    return float(one[function](values))


def _judged(name: str, truth: dict[str, float], cell: Cell) -> bool:
    """Equal groups are the boundary of every spread and ratio."""
    which, measure, group = name.split(" ")
    if len(set(cell.noise)) == 1 and measure in SPREADS:
        return False
    if measure.startswith("fmr") and group != "−":
        pairs = min(cell.most, cell.people * (cell.people - 1) // 2 * IMAGES**2)
        models = "12" if which == "Δ" else which
        return all(truth[f"{m} {measure} {group}"] * pairs >= 10 for m in models)
    return True


class Run:
    """Repetitions of cells, kept in a folder.

    Args:
        replicates: of the bootstrap.
        folder: where; None for nowhere.
    """

    def __init__(self, replicates: int, folder: Path | None = None) -> None:
        self.replicates, self.folder = replicates, folder
        self._found: dict[str, dict[int, dict[str, NDArray]]] = {name: {} for name in CELLS}
        for path in sorted(folder.glob(f"*_{replicates}_*.npz")) if folder else ():
            name, _, first = path.stem.split("_")
            with np.load(path) as archive:
                self._found[name][int(first)] = dict(archive)

    def do(self, name: str, first: int) -> None:
        """The repetitions from ``first`` on, unless they were done before."""
        if first in self._found[name]:
            return
        simulation = Simulation(CELLS[name], self.replicates)
        # No two cells draw the same people, so that their figures err independently.
        seeds = [derive_seed("coverage", name, r) for r in range(first, first + BATCH)]
        batch = [simulation.repetition(seed) for seed in seeds]
        found = {key: np.array([of[key] for of in batch]) for key in batch[0]}
        self._found[name][first] = found
        if self.folder is not None:
            path = self.folder / f"{name}_{self.replicates}_{first:05}.npz"
            with atomic_path(path) as temporary, open(temporary, "wb") as handle:
                np.savez_compressed(handle, **cast("dict[str, Any]", found))

    def results(self, name: str) -> dict[str, NDArray]:
        """(T, 3) by name; empty where there are none."""
        parts = list(self._found[name].values())
        return {key: np.concatenate([of[key] for of in parts]) for key in parts[0]} if parts else {}

    def coverage(self) -> str:
        """Coverage in % and width of every kind of interval, by cell, as Markdown.

        What is not judged is in brackets. The last row is no coverage: how often equal or unequal
        groups are called uneven.
        """
        results = {name: found for name in CELLS if (found := self.results(name))}
        rows = [
            {row.measure: row for row in summarise(CELLS[name], of)} for name, of in results.items()
        ]
        measures = dict.fromkeys(measure for by_measure in rows for measure in by_measure)
        head = [f"{name} ({len(of['p 1 −']):,})" for name, of in results.items()]
        lines = [f"| | {' | '.join(head)} |", "|---" * (len(head) + 1) + "|"]
        for measure in measures:
            cells = []
            for by_measure in rows:
                row = by_measure.get(measure)
                text = "–" if row is None else f"{100 * row.coverage:.1f} · {row.width:.2f}"
                cells.append(text if row is None or row.judged else f"({text})")
            lines.append(f"| {measure} | {' | '.join(cells)} |")
        uneven = [
            np.mean([of[f"p {which} −"][:, 0] < ALPHA for which in "12"]) for of in results.values()
        ]
        lines.append(
            f"| `std_excess_p` < {ALPHA} | {' | '.join(f'{100 * u:.1f}' for u in uneven)} |"
        )
        return "\n".join(lines)

    def verdicts(self) -> str:
        """How often each rule decides in cells without effect, in %, as Markdown."""
        lines = ["| cell | rule | supported | not supported |", "|---|---|---|---|"]
        for name, cell in CELLS.items():
            results = self.results(name) if cell.verdicts else {}
            for key, of in results.items():
                if key.startswith("verdict "):
                    yes, no = (100 * np.mean(of[:, 0] == sign) for sign in (1, -1))
                    rule = key.split(" ")[1]
                    lines.append(f"| {name} ({len(of):,}) | {rule} | {yes:.1f} | {no:.1f} |")
        return "\n".join(lines)


def main() -> None:
    """Simulate, and print the tables."""
    parser = argparse.ArgumentParser(description="Coverage of intervals, simulated.")
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=list(CELLS))
    parser.add_argument("--repetitions", type=int, default=2000)
    parser.add_argument("--replicates", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("coverage"))
    parser.add_argument("--minutes", type=float, default=np.inf, help="stop after so many")
    parser.add_argument("--table", action="store_true", help="print what there is")
    arguments = parser.parse_args()
    run = Run(arguments.replicates, arguments.out)
    start = time.monotonic()
    for first in range(0, 0 if arguments.table else arguments.repetitions, BATCH):
        for name in arguments.cells:
            if time.monotonic() - start < 60 * arguments.minutes:
                run.do(name, first)
                print(f"{name}: {first + BATCH:,}", file=sys.stderr, flush=True)
    print(run.coverage(), run.verdicts(), sep="\n\n")


if __name__ == "__main__":
    main()
