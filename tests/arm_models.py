"""Evaluations of models with accuracies and replicates to order, without faces."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evenface.evaluate import Evaluation, evaluate_embeddings, fairness, protocol_from_manifest
from evenface.evaluate.arms import ArmEvaluation, evaluate_arm
from evenface.evaluate.summary import over_groups
from labelled_rows import LabelledRows

FOLD_PAIRS = 10_000


@cache
def _template(groups: tuple[str, ...], replicates: int, identities: int) -> Evaluation:
    people = [group for group in groups for _ in range(identities)]
    rows = LabelledRows(4, people)
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(len(people), 16))[rows.labels()]
    embeddings = centres + 0.8 * rng.normal(size=centres.shape)
    protocol = protocol_from_manifest(rows, folds=2)  # type: ignore[arg-type]
    return evaluate_embeddings(embeddings, protocol, replicates=replicates)


def model(accuracies: Sequence[float], samples: ArrayLike, *, identities: int = 24) -> Evaluation:
    """A model with these accuracies of groups a, b, …, and replicates (R, G) of them.

    EER and FNMR are 1 − accuracy, d′ is that of equal normal distributions, FMR is 1 %.
    """
    replicated = np.asarray(samples, dtype=np.float64)
    names = tuple("abcdefgh"[: len(accuracies)])
    template = _template(names, len(replicated), identities)
    observed = _measures(np.array([accuracies], dtype=np.float64))
    over = over_groups(observed, [FOLD_PAIRS] * len(names))
    by_group = _measures(replicated)
    replicates = {**by_group, **over_groups(by_group, [FOLD_PAIRS] * len(names))}
    groups = {}
    for g, (name, result) in enumerate(template.groups.items()):
        changed: dict[str, Any] = {
            measure: getattr(result, measure).model_copy(
                update={"value": float(observed[measure][0, g]), "note": None}
            )
            for measure in ("accuracy", "eer", "auc", "dprime")
        }
        changed |= {"fold_pairs": FOLD_PAIRS, "measures": {}}
        groups[name] = result.model_copy(update=changed)
    overall, one = template.overall, template.global_threshold
    for error in ("fmr", "fnmr"):
        rates = {
            name: of.model_copy(update={"value": float(observed[error][0, g]), "note": None})
            for g, (name, of) in enumerate(getattr(one, error).items())
        }
        one = one.model_copy(update={error: rates})
    kept = {name: of for name, of in overall.measures.items() if f"overall.{name}" in over}
    overall = overall.model_copy(update={"measures": kept})
    for key, value in over.items():
        scope, name = key.split(".")
        if scope == "mean":
            continue
        record = overall if scope == "overall" else one
        finite = float(value[0]) if np.isfinite(value[0]) else None
        low = None if finite is not None else 1.5
        estimate = template.estimate(key).model_copy(update={"value": finite, "low": low})
        if name in kept:
            kept[name] = estimate
            continue
        changed_record = record.model_copy(update={name: estimate})
        overall, one = (changed_record, one) if record is overall else (overall, changed_record)
    if len(names) > 1:
        null = fairness.std_if_equal(replicated)
        replicates["overall.std_expected"] = null
        expected = overall.std_expected.model_copy(update={"value": float(np.nanmean(null))})
        overall = overall.model_copy(update={"std_expected": expected})
    return template.model_copy(
        update={
            "groups": groups,
            "overall": overall,
            "global_threshold": one,
            "replicates": replicates,
            "pair_replicates": {},
            "shrinkage": {},
        }
    )


def arm(
    accuracies: Sequence[float],
    *,
    people: ArrayLike = 0.0,
    own: float = 0.0,
    seeds: int = 3,
    seed_noise: float = 0.0,
    replicates: int = 200,
    rng: int = 0,
    identities: int = 24,
) -> ArmEvaluation:
    """An arm with these mean accuracies.

    Args:
        accuracies: mean over seeds, of each group.
        people: (R, G) deviations of the replicates that all arms share.
        own: standard deviation of replicates that this arm does not share.
        seeds: number of training seeds.
        seed_noise: standard deviation of a seed's accuracies, all groups alike; centred.
        replicates: R.
        rng: decides the noise.
        identities: of each group.
    """
    generator = np.random.default_rng(rng)
    shape = (replicates, len(accuracies))
    shifts = generator.normal(0, seed_noise, seeds) if seed_noise else np.zeros(seeds)
    shifts -= shifts.mean()
    models = []
    for shift in shifts:
        values = np.asarray(accuracies) + shift
        samples = values + people + generator.normal(0, own, shape)
        models.append(model(values.tolist(), np.clip(samples, 0, 1), identities=identities))
    return evaluate_arm(models, range(seeds))


def _measures(accuracy: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    error = 1 - accuracy
    return {
        "accuracy": accuracy,
        "eer": error,
        "auc": accuracy,
        "dprime": 2 * fairness.probit(np.clip(accuracy, 1e-6, 1 - 1e-6)),
        "fmr": np.full_like(accuracy, 0.01),
        "fnmr": error,
        "tar@far=1e-2": accuracy,
        "tar@far=1e-3": accuracy,
    }
