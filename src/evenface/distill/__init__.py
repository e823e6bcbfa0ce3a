"""Distillation losses by name (extra ``train``). Importing a module registers its loss."""

from evenface.distill.adadistill import AdaDistillation
from evenface.distill.base import Distillation, SampleDistillation
from evenface.distill.cckd import CorrelationDistillation
from evenface.distill.darkrank import DarkRankDistillation
from evenface.distill.ekd import EvaluationDistillation
from evenface.distill.fitnet import FeatureDistillation
from evenface.distill.logit import LogitDistillation
from evenface.distill.margindistillation import MarginDistillation
from evenface.distill.pkt import ProbabilisticDistillation
from evenface.distill.proxylesskd import ProxylessDistillation
from evenface.distill.registry import create_distillation, list_distillations
from evenface.distill.rkd import RelationalDistillation
from evenface.distill.sp import SimilarityDistillation
from evenface.distill.template import TemplateDistillation, mse_lambda, weight_of_lambda

__all__ = [
    "AdaDistillation",
    "CorrelationDistillation",
    "DarkRankDistillation",
    "Distillation",
    "EvaluationDistillation",
    "FeatureDistillation",
    "LogitDistillation",
    "MarginDistillation",
    "ProbabilisticDistillation",
    "ProxylessDistillation",
    "RelationalDistillation",
    "SampleDistillation",
    "SimilarityDistillation",
    "TemplateDistillation",
    "create_distillation",
    "list_distillations",
    "mse_lambda",
    "weight_of_lambda",
]
