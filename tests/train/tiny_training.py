"""A tiny training set, a teacher that reads pixels, and a recipe that takes a second."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

from evenface.data.manifest import Manifest
from evenface.data.store import ImageStoreWriter
from evenface.train import TrainRecipe

PEOPLE, EACH = 6, 5


class PixelTeacher:
    """Embeds a face by eight pixels of its left half, so that its mirror image differs."""

    name = "pixels"
    embedding_size = 8
    fingerprint = "pixels-1"

    def embed(self, images: np.ndarray) -> np.ndarray:
        return images[:, 56, :8, 0].astype(np.float32) - 127.5


def write_dataset(folder: Path, people: int = PEOPLE, each: int = EACH) -> Path:
    """Each person is a pattern of coarse squares; each image adds noise to it."""
    random = np.random.default_rng(people)
    coarse = random.integers(40, 216, (people, 7, 7, 3))
    patterns = coarse.repeat(16, axis=1).repeat(16, axis=2).repeat(each, axis=0)
    noise = random.integers(-40, 40, (people * each, 112, 112, 3))
    with ImageStoreWriter(folder) as writer:
        writer.append((patterns + noise).astype(np.uint8))
    Manifest.from_columns(
        folder,
        index=np.arange(people * each),
        identity=[f"person-{i // each}" for i in range(people * each)],
        origin="synthetic",
        dataset="squares",
        licence="CC0-1.0",
    ).write(folder / "manifest.parquet")
    return folder


def tiny_recipe(data: Path, **changes: Any) -> TrainRecipe:
    """Ten steps of eight images on one thread, with some fields replaced."""
    fields = {
        "name": "tiny",
        "data": data,
        "backbone": {"name": "mini_s", "embedding_size": 8},
        "head": {"name": "cosface", "options": {"s": 16.0, "m": 0.1}},
        "optimizer": {"lr": 0.05, "lr_batch": None},
        "schedule": {"kind": "cosine", "steps": 10, "warmup_steps": 2},
        "batch_size": 8,
        "device": "cpu",
        "threads": 1,
        "log_every": 2,
        "checkpoint_every": 3,
    }
    return TrainRecipe.model_validate(fields | changes)


def weights(run: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(run / "weights.safetensors")


def log(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def steps_saved(run: Path) -> list[int]:
    return sorted(int(path.stem[5:]) for path in (run / "checkpoints").glob("step-*.safetensors"))


def content(run: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in run.rglob("*") if path.is_file()}


def assert_same_bits(first: Path, second: Path) -> None:
    ours, theirs = weights(first), weights(second)
    assert ours.keys() == theirs.keys()
    for key, value in ours.items():
        assert torch.equal(value, theirs[key]), key
    assert (first / "log.jsonl").read_bytes() == (second / "log.jsonl").read_bytes()
