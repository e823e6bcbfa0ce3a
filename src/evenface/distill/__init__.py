"""Distillation losses by name (extra ``train``)."""

from evenface.distill.registry import create_distillation, list_distillations
from evenface.distill.template import TemplateDistillation, mse_lambda, weight_of_lambda

__all__ = [
    "TemplateDistillation",
    "create_distillation",
    "list_distillations",
    "mse_lambda",
    "weight_of_lambda",
]
