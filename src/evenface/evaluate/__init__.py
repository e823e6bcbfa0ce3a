"""Verification per group, fairness over groups, and intervals for both. Needs no torch."""

from evenface.evaluate.arms import ArmEvaluation, evaluate_arm
from evenface.evaluate.bootstrap import PairedDifference, paired_difference, percentile_interval
from evenface.evaluate.comparison import Comparison, compare_evaluations
from evenface.evaluate.embedding_files import read_embeddings
from evenface.evaluate.embeddings import combine_views
from evenface.evaluate.evaluation import evaluate_embeddings
from evenface.evaluate.exact import exact_fold_accuracy
from evenface.evaluate.fairness import (
    fairness_discrepancy_rate,
    gap,
    garbe,
    inequity_rate,
    probit_gap,
    rate_ratio,
    skewed_error_ratio,
    std_corrected,
    std_if_equal,
    std_population,
    std_sample,
    werm,
    worst_group,
    worst_to_geometric_mean,
)
from evenface.evaluate.from_arrays import Evaluations, audit
from evenface.evaluate.identification import (
    IdentificationResult,
    evaluate_identification,
    identification_set,
)
from evenface.evaluate.model import embed_views, evaluate_model
from evenface.evaluate.multiplicity import holm, intersection_union
from evenface.evaluate.protocol_specs import ProtocolOptions, tasks_of
from evenface.evaluate.protocols import Pairs, Protocol, protocol_from_manifest
from evenface.evaluate.results import Evaluation, GroupResult
from evenface.evaluate.score_evaluation import evaluate_scores, protocol_scores
from evenface.evaluate.score_table import ScoreTable, read_scores
from evenface.evaluate.subjects import load_subject
from evenface.evaluate.suite import run_suite
from evenface.evaluate.tasks import Settings
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
from evenface.record import Estimate

__all__ = [
    "ArmEvaluation",
    "Comparison",
    "Estimate",
    "Evaluation",
    "Evaluations",
    "GroupResult",
    "IdentificationResult",
    "PairedDifference",
    "Pairs",
    "Protocol",
    "ProtocolOptions",
    "RocCurve",
    "ScoreTable",
    "Settings",
    "TarAtFar",
    "auc",
    "audit",
    "combine_views",
    "compare_evaluations",
    "dprime",
    "eer",
    "embed_views",
    "evaluate_arm",
    "evaluate_embeddings",
    "evaluate_identification",
    "evaluate_model",
    "evaluate_scores",
    "exact_fold_accuracy",
    "fairness_discrepancy_rate",
    "fold_accuracy",
    "gap",
    "garbe",
    "holm",
    "identification_set",
    "inequity_rate",
    "intersection_union",
    "load_subject",
    "paired_difference",
    "percentile_interval",
    "probit_gap",
    "protocol_from_manifest",
    "protocol_scores",
    "rate_ratio",
    "read_embeddings",
    "read_scores",
    "roc_curve",
    "run_suite",
    "skewed_error_ratio",
    "std_corrected",
    "std_if_equal",
    "std_population",
    "std_sample",
    "tar_at_far",
    "tasks_of",
    "werm",
    "worst_group",
    "worst_to_geometric_mean",
]
