"""Traces of losses in float64, recorded to see whether a refactoring changes what is computed.

PYTHONPATH=src python tests/train/loss_traces.py   records them anew, after a wanted change
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from teaching import OtherTeacher, embeddings_of, grouped_dataset
from tiny_training import PixelTeacher, tiny_recipe

from evenface.seeds import derive_seed
from evenface.train.device import torch_settings
from evenface.train.job import Job
from evenface.train.learner import Learner
from evenface.train.loader import open_source

RECORD = Path(__file__).with_suffix(".json")
STEPS = 6

CASES: dict[str, dict[str, Any]] = {
    "elasticarcface, template": {
        "head": {"name": "elasticarcface", "options": {"s": 16.0, "m": 0.3}},
        "distill": {"cache": "pixels"},
    },
    "adaface, rkd and ekd": {
        "head": {"name": "adaface", "options": {"s": 16.0}},
        "distill": {"cache": "pixels", "losses": [{"name": "rkd"}, {"name": "ekd"}]},
    },
    "curricularface, adadistill from two teachers": {
        "head": {"name": "curricularface", "options": {"s": 16.0}},
        "distill": {"cache": ["pixels", "others"], "name": "adadistill", "options": {"s": 16.0}},
        "sampler": {"name": "groups_identities"},
    },
    "groups, no head": {
        "head": None,
        "distill": {"cache": "pixels", "groups": {"step": 1.0, "weights": {"b": 2.0}}},
        "sampler": {"name": "identities"},
    },
    "magface with penalty, margindistillation": {
        "head": {"name": "magface", "options": {"s": 16.0, "l_a": 0.5, "u_a": 20.0}},
        "distill": {
            "cache": "pixels", "name": "margindistillation", "centres": "mean",
            "options": {"s": 16.0},
        },
    },
    "elasticcosface_plus": {"head": {"name": "elasticcosface_plus", "options": {"s": 16.0}}},
}  # fmt: skip


def traces(folder: Path) -> dict[str, list[dict[str, float]]]:
    """Case → the scalars of every step."""
    data = grouped_dataset(folder / "faces")
    for teacher in (PixelTeacher(), OtherTeacher()):
        embeddings_of(teacher, data, folder / teacher.name)
    return {name: _trace(data, folder, case) for name, case in CASES.items()}


def _trace(data: Path, folder: Path, case: dict[str, Any]) -> list[dict[str, float]]:
    if distill := case.get("distill"):
        cache = distill["cache"]
        named = folder / cache if isinstance(cache, str) else [folder / name for name in cache]
        case = case | {"distill": distill | {"cache": named}}
    recipe = tiny_recipe(
        data, backbone={"name": "mini_s", "embedding_size": 8}, precision="fp64", **case
    )
    job = Job.open(recipe)
    device = torch.device("cpu")
    with torch_settings(device, 1):
        learner = Learner(job.recipe, job.num_identities, device, job.supply)
        source = open_source(job, device)
        steps = []
        for step in range(STEPS):
            seed = derive_seed(recipe.seed, "step", step)
            parts = learner.step(source.batch(step), 0.02, seed)
            steps.append({name: round(float(value), 9) for name, value in parts.items()})
    return steps


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        found = traces(Path(temporary))
    RECORD.write_text(json.dumps(found, indent=1) + "\n")
