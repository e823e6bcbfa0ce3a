"""Verification per group, fairness over groups, and intervals for both. Needs no torch."""

from evenface.evaluate.arms import ArmEvaluation, evaluate_arm
from evenface.evaluate.bootstrap import PairedDifference, paired_difference, percentile_interval
from evenface.evaluate.embeddings import combine_views
from evenface.evaluate.evaluation import evaluate_embeddings
from evenface.evaluate.fairness import (
    fairness_discrepancy_rate,
    gap,
    garbe,
    probit_gap,
    rate_ratio,
    skewed_error_ratio,
    std_if_equal,
    std_population,
    std_sample,
    worst_group,
)
from evenface.evaluate.model import embed_views, evaluate_model
from evenface.evaluate.multiplicity import holm, intersection_union
from evenface.evaluate.protocols import Pairs, Protocol, protocol_from_manifest
from evenface.evaluate.results import Estimate, Evaluation, GroupResult
from evenface.evaluate.verification import (
    RocCurve,
    TarAtFar,
    auc,
    dprime,
    eer,
    fold_accuracy,
    roc_curve,
    tar_at_far,
)

__all__ = [
    "ArmEvaluation",
    "Estimate",
    "Evaluation",
    "GroupResult",
    "PairedDifference",
    "Pairs",
    "Protocol",
    "RocCurve",
    "TarAtFar",
    "auc",
    "combine_views",
    "dprime",
    "eer",
    "embed_views",
    "evaluate_arm",
    "evaluate_embeddings",
    "evaluate_model",
    "fairness_discrepancy_rate",
    "fold_accuracy",
    "gap",
    "garbe",
    "holm",
    "intersection_union",
    "paired_difference",
    "percentile_interval",
    "probit_gap",
    "protocol_from_manifest",
    "rate_ratio",
    "roc_curve",
    "skewed_error_ratio",
    "std_if_equal",
    "std_population",
    "std_sample",
    "tar_at_far",
    "worst_group",
]
