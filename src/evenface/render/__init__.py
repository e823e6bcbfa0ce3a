"""Synthetic faces: people drawn from a parametric head model, photographed by ray casting.

Everything is simulated. The groups are the generator's own phenotype axes (MakeHuman's), and no
claim about the fairness of a recogniser towards real people follows from these images.
"""

from evenface.render.dataset import render_dataset
from evenface.render.names import GROUPS, LOOKS, RANGE_SIZE, SPLIT_RANGES

__all__ = ["GROUPS", "LOOKS", "RANGE_SIZE", "SPLIT_RANGES", "render_dataset"]
