"""How often intervals hold the truth in simulated evaluations of people and pairs.

The simulation, its cells and what counts as truth are those of ``benchmarks/coverage.py``, which
runs them at length; ``pytest -m coverage`` takes minutes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from scripts import load_script

benchmark = load_script(Path(__file__).parents[2] / "benchmarks" / "coverage.py")


def run(cell: str, repetitions: int) -> dict[str, np.ndarray]:
    """Results with 200 replicates."""
    simulated = benchmark.Run(200)
    for first in range(0, repetitions, benchmark.BATCH):
        simulated.do(cell, first)
    return simulated.results(cell)


@pytest.mark.slow
def test_intervals_are_neither_too_narrow_nor_too_wide() -> None:
    """The weakest effects of people, where product weights alone make the interval of an accuracy
    1.4 times as wide as it should be."""
    results = run("60-weak", 20)
    rows = {row.measure: row for row in benchmark.summarise(benchmark.CELLS["60-weak"], results)}
    for measure in ("accuracy", "eer", "fnmr", "Δ accuracy", "Δ eer"):
        # Three groups: 60 intervals, of which 3.5 standard errors of a share of 0.95 are 0.098.
        assert rows[measure].coverage >= 0.85, rows[measure]
        assert 0.7 < rows[measure].width < 1.3, rows[measure]


@pytest.mark.coverage
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("cell", ["60-weak", "60-hub", "120-hub", "list", "60-seeds"])
def test_every_kind_of_interval_holds_the_truth(cell: str) -> None:
    repetitions = 200
    rows = benchmark.summarise(benchmark.CELLS[cell], run(cell, repetitions))
    print(f"\n{cell}")
    for row in rows:
        print(f"{row.measure:32} {row.coverage:.3f} {row.width:.2f}")
    # Three standard errors of a share of 0.93 among 200.
    slack = 3 * np.sqrt(0.93 * 0.07 / repetitions)
    assert [row for row in rows if row.judged and row.coverage < 0.93 - slack] == []


@pytest.mark.coverage
@pytest.mark.timeout(3600)
def test_equal_groups_are_called_uneven_at_the_nominal_rate() -> None:
    repetitions = 300
    results = run("60-equal", repetitions)
    share = np.mean(results["p 1 −"][:, 0] < 0.05)
    print(f"std_excess_p below 0.05: {share:.3f}")
    assert 0.015 <= share <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / repetitions)


@pytest.mark.coverage
@pytest.mark.timeout(3600)
def test_rules_find_no_effect_between_models_that_do_not_differ() -> None:
    """With pairs; the rules at the edge of what they ask are in tests/study."""
    repetitions = 100
    for name, found in run("60-null", repetitions).items():
        if name.startswith("verdict "):
            wrong = int(np.count_nonzero(found[:, 0] == 1))
            print(name, wrong)
            assert wrong <= stats.binom.ppf(0.999, repetitions, 0.05), name
