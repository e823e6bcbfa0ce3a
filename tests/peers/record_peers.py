"""Figures of other packages, recorded for the tests: they need more than the tests may.

    pip install fairlearn==0.15.0 pyeer==0.5.6
    python tests/peers/record_peers.py      # writes tests/peers/peers.json

fairlearn's MetricFrame gives error rates of groups, their difference and ratio; PyEER gives equal
error rate, area and d′ of scores.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RECORD = Path(__file__).with_name("peers.json")
THRESHOLDS = (0.2, 0.35, 0.5)


def scores() -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.str_]]:
    """Scores, labels and groups that the figures are of."""
    rng = np.random.default_rng(2024)
    group = rng.choice(["a", "b", "c"], 3000)
    genuine = rng.random(3000) < 0.4
    shift = np.select([group == "a", group == "b"], [0.0, 0.05], 0.12)
    return rng.normal(0.5 * genuine + shift, 0.18).round(4), genuine, group


def record() -> dict[str, object]:
    """What the packages make of :func:`scores`."""
    from fairlearn.metrics import MetricFrame, false_negative_rate, false_positive_rate
    from pyeer.eer_info import get_eer_stats

    score, genuine, group = scores()
    metrics = {"fmr": false_positive_rate, "fnmr": false_negative_rate}
    frames = {}
    for threshold in THRESHOLDS:
        frame = MetricFrame(
            metrics=metrics,
            y_true=genuine.astype(int),
            y_pred=(score >= threshold).astype(int),
            sensitive_features=group,
        )
        frames[str(threshold)] = {
            name: {
                "by_group": frame.by_group[name].to_dict(),
                "difference": float(frame.difference()[name]),
                "smallest_over_largest": float(frame.ratio()[name]),
            }
            for name in metrics
        }
    stats = get_eer_stats(score[genuine].tolist(), score[~genuine].tolist())
    return {
        "versions": {name: version(name) for name in ("fairlearn", "pyeer")},
        "fairlearn": frames,
        "pyeer": {
            "eer": float(stats.eer),
            "eer_low": float(stats.eer_low),
            "eer_high": float(stats.eer_high),
            "auc": float(stats.auc),
            "decidability": float(stats.decidability),
        },
    }


if __name__ == "__main__":
    RECORD.write_text(json.dumps(record(), indent=1) + "\n")
