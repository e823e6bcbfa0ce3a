"""Backbones and margin heads by name (extra ``train``). Importing a module registers its items."""

from evenface.models.adaface import AdaFace
from evenface.models.arcface import ArcFace
from evenface.models.combined import Combined
from evenface.models.cosface import CosFace
from evenface.models.curricularface import CurricularFace
from evenface.models.draws import RowDraws
from evenface.models.edgeface import EdgeFace
from evenface.models.elasticarcface import ElasticArcFace, ElasticArcFacePlus
from evenface.models.elasticcosface import ElasticCosFace, ElasticCosFacePlus
from evenface.models.embedding import embed, load_run_backbone
from evenface.models.ir import IRNet
from evenface.models.iresnet import IResNet
from evenface.models.magface import MagFace
from evenface.models.margin import MarginHead
from evenface.models.mini import MiniResNet
from evenface.models.mobilefacenet import MobileFaceNet
from evenface.models.normface import NormFace
from evenface.models.registry import (
    create_backbone,
    create_head,
    is_backbone,
    list_backbones,
    list_heads,
)
from evenface.models.vit import VisionTransformer

__all__ = [
    "AdaFace",
    "ArcFace",
    "Combined",
    "CosFace",
    "CurricularFace",
    "EdgeFace",
    "ElasticArcFace",
    "ElasticArcFacePlus",
    "ElasticCosFace",
    "ElasticCosFacePlus",
    "IRNet",
    "IResNet",
    "MagFace",
    "MarginHead",
    "MiniResNet",
    "MobileFaceNet",
    "NormFace",
    "RowDraws",
    "VisionTransformer",
    "create_backbone",
    "create_head",
    "embed",
    "is_backbone",
    "list_backbones",
    "list_heads",
    "load_run_backbone",
]
