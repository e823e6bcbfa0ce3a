"""Backbones and margin heads by name (extra ``train``). Importing a module registers its items."""

from evenface.models.adaface import AdaFace
from evenface.models.arcface import ArcFace
from evenface.models.cosface import CosFace
from evenface.models.elasticarcface import ElasticArcFace
from evenface.models.embedding import embed, load_run_backbone
from evenface.models.iresnet import IResNet
from evenface.models.margin import MarginHead
from evenface.models.mini import MiniResNet
from evenface.models.mobilefacenet import MobileFaceNet
from evenface.models.registry import create_backbone, create_head, list_backbones, list_heads

__all__ = [
    "AdaFace",
    "ArcFace",
    "CosFace",
    "ElasticArcFace",
    "IResNet",
    "MarginHead",
    "MiniResNet",
    "MobileFaceNet",
    "create_backbone",
    "create_head",
    "embed",
    "list_backbones",
    "list_heads",
    "load_run_backbone",
]
