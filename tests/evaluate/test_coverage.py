"""How often intervals hold what they should, in simulations. Minutes long: ``pytest -m coverage``.

Groups differ in truth, away from the boundaries at which a bootstrap of spreads and ratios fails
(equal groups, rates of zero). A measure's expectation over the trials stands for the truth, so that
the test is of the intervals, not of the bias that a spread has in small samples.
"""

from __future__ import annotations

import numpy as np
import pytest

from evenface.evaluate import evaluate_embeddings, protocol_from_manifest
from labelled_rows import LabelledRows

TRIALS = 150
IDENTITIES, IMAGES = 60, 4
NOISE = {"a": 1.0, "b": 1.5, "c": 2.0}
"""Standard deviation of an image about its person, by group."""

# Measure, group (None: over groups), least share of 95 % intervals that hold the expectation. Three
# standard errors of a share of 0.95 among 150 trials are 0.053.
MEASURES = [
    ("accuracy", "b", 0.90),
    ("accuracy_exact", "b", 0.90),
    ("eer", "b", 0.89),
    ("dprime", "c", 0.89),
    ("fnmr@1e-1", "b", 0.88),
    ("fmr@1e-1", "c", 0.88),
    ("own.fnmr@3e-2", "c", 0.88),
    ("overall.accuracy", None, 0.90),
    ("overall.gap", None, 0.90),
    ("overall.dprime_gap", None, 0.88),
    ("overall.std_sample", None, 0.90),
    ("fdr@1e-1", None, 0.88),
    ("fnmr_gini@1e-1", None, 0.85),
    ("worst_case.worst_error", None, 0.85),
    ("calibration.brier", "b", 0.88),
]


@pytest.mark.coverage
@pytest.mark.timeout(1800)
def test_intervals_hold_the_expectation() -> None:
    rng = np.random.default_rng(3)
    groups = [name for name in NOISE for _ in range(IDENTITIES)]
    rows = LabelledRows(IMAGES, groups)
    scale = np.array([NOISE[group] for group in rows.groups(())])[:, None]
    protocol = protocol_from_manifest(rows, max_pairs=4000)  # type: ignore[arg-type]
    values: dict[tuple[str, str | None], list[float]] = {}
    bounds: dict[tuple[str, str | None], list[tuple[float, float]]] = {}
    for _ in range(TRIALS):
        centres = rng.normal(size=(len(groups), 24))[rows.labels()]
        embeddings = centres + scale * rng.normal(size=centres.shape)
        result = evaluate_embeddings(embeddings, protocol, replicates=200)
        for measure, group, _ in MEASURES:
            estimate = result.estimate(measure, group)
            assert estimate.value is not None
            assert estimate.low is not None
            assert estimate.high is not None
            values.setdefault((measure, group), []).append(estimate.value)
            bounds.setdefault((measure, group), []).append((estimate.low, estimate.high))
    held = {}
    for key, of_measure in bounds.items():
        truth = np.mean(values[key])
        held[key] = float(np.mean([low <= truth <= high for low, high in of_measure]))
        print(f"{key[0]:24} {key[1] or 'over groups':12} {held[key]:.3f}")
    assert {
        (measure, group): held[measure, group]
        for measure, group, least in MEASURES
        if held[measure, group] < least
    } == {}
