"""A run folder with an untrained backbone, and labelled faces: what exporting needs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import safetensors.torch
import torch

from evenface.data.manifest import Manifest
from evenface.data.store import ImageStoreWriter
from evenface.files import write_json, write_text
from evenface.models import create_backbone

DIMENSIONS = 16
GROUPS = ("north", "south")


def write_run(folder: Path, backbone: str = "mini_s", seed: int = 0) -> Path:
    """A finished run as far as its files tell."""
    torch.manual_seed(seed)
    network = create_backbone(backbone, embedding_size=DIMENSIONS)
    folder.mkdir(parents=True)
    safetensors.torch.save_file(network.state_dict(), folder / "weights.safetensors")
    described = {
        "finished": True,
        "name": folder.name,
        "fingerprint": "f" * 64,
        "backbone": backbone,
        "embedding_size": DIMENSIONS,
        "head": "cosface",
        "num_identities": 40,
        "images": 400,
        "data_fingerprint": "d" * 64,
        "data": {
            "images": 400,
            "identities": 40,
            "groups": {"north": {"images": 250, "identities": 30}},
            "origins": {"synthetic": 400},
            "datasets": {"squares": 400},
            "licences": {"CC0-1.0": 400},
        },
        "teacher_fingerprint": "t" * 64,
    }
    write_json(folder / "run.json", described)
    write_text(folder / "recipe.yaml", "name: untrained\n")
    return folder


def write_faces(folder: Path, *, people: int = 24, each: int = 4, seed: int = 0) -> Path:
    """Patterns of coarse squares with noise, of two groups in turn; twice as many of the first."""
    random = np.random.default_rng(seed)
    coarse = random.integers(40, 216, (people, 7, 7, 3))
    patterns = coarse.repeat(16, axis=1).repeat(16, axis=2).repeat(each, axis=0)
    noise = random.integers(-40, 40, (people * each, 112, 112, 3))
    with ImageStoreWriter(folder) as writer:
        writer.append((patterns + noise).astype(np.uint8))
    person = np.repeat(np.arange(people), each)
    Manifest.from_columns(
        folder,
        index=np.arange(people * each),
        identity=[f"person-{seed}-{i}" for i in person],
        origin="synthetic",
        dataset="squares",
        licence="CC0-1.0",
        attributes={"region": [GROUPS[int(i % 3 == 2)] for i in person]},
    ).write(folder / "manifest.parquet")
    return folder
