"""How often intervals hold the truth, with simulated people and pairs.

python benchmarks/coverage.py [--cells 60-weak …] [--repetitions 2000] [--replicates 400]
                              [--out coverage/]

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
- "seeds": each arm is the mean of three trainings, each with noise of its own.
- "equal": the groups do not differ, the models neither: how often differences are found.

Truth: that of a measure of a group, or of its difference, is its mean over the repetitions (the
expectation, to 1/√repetitions of a standard error); that of a spread or ratio over groups is the
spread or ratio of the groups' true values. Only where ten errors or more are expected, and the
truth is off the boundary, a share of 93.0 to 97.5 % is asked for.

Repetitions are written to --out, 25 at a time, and are not done again. At last a table is printed:
coverage in %, and the width of the interval over 3.92 standard deviations of the value.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from evenface.evaluate import Evaluation, evaluate_embeddings, evaluate_scores, fairness
from evenface.evaluate.arms import ArmEvaluation, evaluate_arm
from evenface.evaluate.protocols import Protocol, protocol_from_manifest
from evenface.evaluate.score_table import ScoreTable
from evenface.study.inference import Contrast, compare
from simulated_rows import LabelledRows

IMAGES, DIMENSIONS, FOLDS, SEEDS = 4, 24, 10, 3
SHARED = 0.8
"""Correlation of an image's noise between models."""
BATCH = 25


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
    detail: bool = False
    most: int = 2000


CELLS = {
    "60-weak": Cell(60),
    "60-hub": Cell(60, hub=2.0),
    "120-weak": Cell(120),
    "120-hub": Cell(120, hub=2.0),
    "500-weak": Cell(500),
    "500-hub": Cell(500, hub=2.0),
    "60-weak-detail": Cell(60, detail=True),
    "120-hub-detail": Cell(120, hub=2.0, detail=True),
    "list": Cell(3000, listed=True),
    "list-hub": Cell(3000, hub=2.0, listed=True),
    "60-seeds": Cell(60, seeds=SEEDS),
    "60-equal": Cell(60, noise=(1.5,) * 3, alike=(0.0,) * 3, better=1.0),
    "60-equal-hub": Cell(60, hub=2.0, noise=(1.5,) * 3, alike=(0.0,) * 3, better=1.0),
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
                models.append(self._evaluate(centre + factor * scale * noise, seed))
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
        """Name → value, low, high; NaN where undefined. Differences begin with "Δ "."""
        first, second = self.arms(seed)
        cell, found = self.cell, {}
        by_group = BY_GROUP + (IN_DETAIL if cell.detail and cell.seeds == 1 else ())
        spreads = SPREADS | (SPREADS_IN_DETAIL if cell.detail and cell.seeds == 1 else {})
        single = first.models[0] if cell.seeds == 1 else first
        other = second.models[0] if cell.seeds == 1 else second
        names: list[tuple[str, str | None]] = [(m, g) for m in by_group for g in self.groups]
        names += [(measure, None) for measure in (*MEANS, *spreads)]
        for measure, group in names:
            key = measure if group is None else f"{measure} {group}"
            of = single.estimate(measure, group)
            found[key] = _numbers(of.value, of.low, of.high)
            if cell.seeds > 1:
                difference: Contrast = compare(first, second, measure, group)
                found[f"Δ {key}"] = _numbers(difference.value, *difference.bounds)
            else:
                of_pair = single.compare(other, measure, group=group)
                found[f"Δ {key}"] = _numbers(of_pair.value, of_pair.low, of_pair.high)
        p_value = first.overall.std_excess_p
        found["std_excess_p"] = _numbers(p_value, None, None)
        return found


def _numbers(*values: float | None) -> tuple[float, float, float]:
    value, low, high = (np.nan if v is None else v for v in values)
    return value, low, high


@dataclass(frozen=True)
class Row:
    """One kind of interval in one cell."""

    measure: str
    truth: float
    coverage: float
    width: float
    """Mean width over 3.92 standard deviations of the value."""
    repetitions: int
    judged: bool
    """Whether ten errors or more are expected and the truth is off the boundary."""


def summarise(cell: Cell, results: dict[str, NDArray[np.float64]]) -> list[Row]:
    """Coverage of every kind of interval, groups together, from (T, 3) by name."""
    groups = "abcdefgh"[: len(cell.noise)]
    truth = {name: float(np.nanmean(of[:, 0])) for name, of in results.items()}
    for name, measure in (SPREADS | SPREADS_IN_DETAIL).items():
        if name not in results:
            continue
        for prefix in ("", "Δ "):
            first = _spread(name, truth, measure, groups)
            truth[name] = first
            if prefix:
                moved = {
                    key: truth[key] + truth[f"Δ {key}"]
                    for m in {measure, "fnmr" if measure == "fmr" else measure}
                    for key in (f"{m} {g}" for g in groups)
                }
                truth[f"Δ {name}"] = _spread(name, moved, measure, groups) - first
    rows: dict[str, list[Row]] = {}
    for name, of in results.items():
        if name == "std_excess_p":
            continue
        defined = np.isfinite(of[:, 0])
        low = np.where(np.isnan(of[:, 1]), -np.inf, of[:, 1])
        high = np.where(np.isnan(of[:, 2]), np.inf, of[:, 2])
        held = (low <= truth[name] + 1e-12) & (truth[name] - 1e-12 <= high)
        deviation = np.std(of[defined, 0])
        width = np.median((high - low)[defined]) / (3.92 * deviation) if deviation else np.nan
        row = Row(name, truth[name], held.mean(), float(width), len(of), _judged(name, truth, cell))
        head, _, last = name.rpartition(" ")
        rows.setdefault(head if last in groups and head not in ("", "Δ") else name, []).append(row)
    return [
        Row(
            name,
            float(np.mean([r.truth for r in of])),
            float(np.mean([r.coverage for r in of])),
            float(np.mean([r.width for r in of])),
            of[0].repetitions,
            all(r.judged for r in of),
        )
        for name, of in rows.items()
    ]


def _spread(name: str, truth: dict[str, float], measure: str, groups: str) -> float:
    values = np.array([truth[f"{measure} {g}"] for g in groups])
    function = name.rpartition(".")[2].partition("@")[0]
    if function in ("fdr", "garbe"):
        misses = np.array([truth[f"fnmr {g}"] for g in groups])
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
    if len(set(cell.noise)) == 1 and any(name.endswith(s) for s in SPREADS):
        return False
    measure, _, group = name.removeprefix("Δ ").partition(" ")
    if measure.startswith("fmr") and group:
        pairs = min(cell.most, cell.people * (cell.people - 1) // 2 * IMAGES**2)
        return truth[f"{measure} {group}"] * pairs >= 10
    return True


def run(name: str, repetitions: int, replicates: int, folder: Path | None) -> dict[str, NDArray]:
    """All results of a cell, (T, 3) by name, of which those already in the folder are read."""
    simulation = Simulation(CELLS[name], replicates)
    found: list[dict[str, NDArray]] = []
    start = time.monotonic()
    for first in range(0, repetitions, BATCH):
        path = None if folder is None else folder / f"{name}-{replicates}-{first:05}.npz"
        if path is not None and path.exists():
            with np.load(path) as archive:
                found.append(dict(archive))
            continue
        batch = [simulation.repetition(seed) for seed in range(first, first + BATCH)]
        found.append({key: np.array([of[key] for of in batch]) for key in batch[0]})
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(path, **cast("dict[str, Any]", found[-1]))
            spent = time.monotonic() - start
            print(f"{name}: {first + BATCH:,} of {repetitions:,}, {spent:.0f} s", flush=True)
    return {key: np.concatenate([of[key] for of in found]) for key in found[0]}


def table(results: dict[str, dict[str, NDArray]]) -> str:
    """Coverage in % and width of every kind of interval, by cell, as Markdown.

    What is not judged is in brackets. The last row is no coverage: how often equal or unequal
    groups are called uneven.
    """
    rows = {name: summarise(CELLS[name], of) for name, of in results.items()}
    repetitions = [len(next(iter(of.values()))) for of in results.values()]
    measures = dict.fromkeys(row.measure for of in rows.values() for row in of)
    head = [f"{name} ({n:,})" for name, n in zip(results, repetitions, strict=True)]
    lines = [f"| | {' | '.join(head)} |", "|---" * (len(head) + 1) + "|"]
    for measure in measures:
        cells = []
        for of in rows.values():
            row = next((row for row in of if row.measure == measure), None)
            text = "–" if row is None else f"{100 * row.coverage:.1f} · {row.width:.2f}"
            cells.append(text if row is None or row.judged else f"({text})")
        lines.append(f"| {measure} | {' | '.join(cells)} |")
    uneven = [np.mean(of["std_excess_p"][:, 0] < 0.05) for of in results.values()]
    lines.append(f"| `std_excess_p` < 0.05 | {' | '.join(f'{100 * u:.1f}' for u in uneven)} |")
    return "\n".join(lines)


def main() -> None:
    """Simulate, and print the tables."""
    parser = argparse.ArgumentParser(description="Coverage of intervals, simulated.")
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=list(CELLS))
    parser.add_argument("--repetitions", type=int, default=2000)
    parser.add_argument("--replicates", type=int, default=400)
    parser.add_argument("--out", type=Path, default=Path("coverage"))
    arguments = parser.parse_args()
    print(
        table(
            {
                name: run(name, arguments.repetitions, arguments.replicates, arguments.out)
                for name in arguments.cells
            }
        )
    )


if __name__ == "__main__":
    main()
