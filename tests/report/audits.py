"""Evaluations of simulated scores, for tests of audits."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from evenface.evaluate import Evaluation, evaluate_scores
from evenface.evaluate.score_table import ScoreTable

HOSTILE = "</td><script>alert(1)</script> & _50%_ \\input{x} | $x$ `c` #1"
"""A name that means something to HTML, Markdown and LaTeX."""
FORMULA = "=cmd|'/c calc'!A0"
"""A name that a spreadsheet would run."""


@cache
def score_table(
    separation: float = 2.2,
    *,
    groups: tuple[str, ...] = ("african", "asian", "caucasian"),
    people: int = 24,
    named: bool = True,
    seed: int = 0,
) -> ScoreTable:
    """Normal scores of genuine and impostor pairs; later groups are a little better."""
    rng = np.random.default_rng(seed)
    genuine, group1, group2, first, second, score = ([] for _ in range(6))  # type: ignore[var-annotated]
    for g in range(len(groups)):
        for i in range(people):
            for kind, other, h in (
                *((True, i, g) for _ in range(4)),
                *((False, j, g) for j in range(i + 1, people)),
                *((False, j, g + 1) for j in range(0, people, 3) if g + 1 < len(groups)),
            ):
                genuine.append(kind)
                group1.append(g)
                group2.append(h)
                first.append(g * people + i)
                second.append(h * people + other)
                score.append(rng.normal((separation + 0.4 * g) * kind))
    unnamed = np.full(len(score), -1)
    return ScoreTable(
        score=np.asarray(score),
        genuine=np.asarray(genuine),
        group1=np.asarray(group1),
        group2=np.asarray(group2),
        groups=groups,
        fold=unnamed,
        identity1=np.asarray(first) if named else unnamed,
        identity2=np.asarray(second) if named else unnamed,
        notes=(),
    )


@cache
def evaluation(
    separation: float = 2.2,
    *,
    groups: Sequence[str] = ("african", "asian", "caucasian"),
    named: bool = True,
    replicates: int = 40,
    model: str = "first",
    name: str = "simulated scores",
    seed: int = 0,
) -> Evaluation:
    """The evaluation of :func:`score_table`."""
    table = score_table(separation, groups=tuple(groups), named=named, seed=seed)
    return evaluate_scores(table, replicates=replicates, model=model, name=name)
