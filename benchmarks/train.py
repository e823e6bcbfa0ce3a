"""Rate of training, as ratios to MobileFaceNet in the same run.

    python benchmarks/train.py [--backbones mobilefacenet,mobilefacenet_small] [--batch 64]
                               [--steps 20] [--threads 2] [--device cpu] [--precision fp32] [--json]

Whole steps with distillation are timed: images and cached teacher embeddings read from disk,
forward, losses, backward, clipping, optimiser. The backbones take turns, step by step, and the
median of each counts, so that a busy machine hits all alike. How much of a step the data takes is
told beside it, although in a training the next batch is read while one is in use.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from evenface.data.manifest import Manifest
from evenface.data.store import ImageStoreWriter
from evenface.machine import describe_machine
from evenface.seeds import generator
from evenface.teachers.cache import EmbeddingCache, cached_embeddings
from evenface.train import TrainRecipe
from evenface.train.batches import BatchSource
from evenface.train.device import choose_device, torch_settings
from evenface.train.learner import Learner

BASELINE = "mobilefacenet"
DIMENSIONS = 128
IDENTITIES, IMAGES_EACH = 1000, 2
WARM_UP = 3


class RandomTeacher:
    """Embeddings without a meaning, for their size."""

    name = "random"
    embedding_size = DIMENSIONS
    fingerprint = "random"

    def embed(self, images: np.ndarray) -> np.ndarray:
        """Noise, float32 (N, D)."""
        return generator("embeddings").normal(size=(len(images), DIMENSIONS)).astype(np.float32)


def training_set(folder: Path) -> tuple[Manifest, EmbeddingCache]:
    """Images of noise with teacher embeddings of both views."""
    count = IDENTITIES * IMAGES_EACH
    random = generator("benchmark train")
    with ImageStoreWriter(folder / "faces") as writer:
        for _ in range(IDENTITIES):
            shape = (IMAGES_EACH, 112, 112, 3)
            writer.append(random.integers(0, 256, size=shape, dtype=np.uint8))
    manifest = Manifest.from_columns(
        folder / "faces",
        index=np.arange(count),
        identity=[f"person-{number // IMAGES_EACH}" for number in range(count)],
        origin="synthetic",
        dataset="noise",
        licence="CC0-1.0",
    )
    return manifest, cached_embeddings(RandomTeacher(), manifest, folder / "cache")


def make_learner(backbone: str, precision: str, device: torch.device) -> Learner:
    """A learner with the paper's head and distillation."""
    recipe = TrainRecipe.model_validate(
        {
            "name": backbone,
            "backbone": {"name": backbone, "embedding_size": DIMENSIONS},
            "head": {"name": "elasticarcface"},
            "distill": {"cache": "cache"},
            "schedule": {"steps": 1},
            "precision": precision,
        }
    )
    return Learner(recipe, IDENTITIES, device)


def measure(
    learners: dict[str, Learner], source: BatchSource, steps: int
) -> dict[str, dict[str, float]]:
    """Images a second, and the share of reading the batch, by name."""
    seconds: dict[str, list[float]] = {name: [] for name in learners}
    reading: list[float] = []
    for step in range(WARM_UP + steps):
        for name, learner in learners.items():
            start = time.perf_counter()
            batch = source.batch(step)
            read = time.perf_counter()
            values = learner.step(batch, rate=0.01, seed=step)
            float(values["loss"])  # waits for the device
            if step >= WARM_UP:
                seconds[name].append(time.perf_counter() - start)
                reading.append(read - start)
    typical = {name: statistics.median(taken) for name, taken in seconds.items()}
    return {
        name: {
            "images/s": source.batch_size / taken,
            "ratio": typical[BASELINE] / taken,
            "share of reading": statistics.median(reading) / taken,
        }
        for name, taken in typical.items()
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Rate of training.")
    parser.add_argument("--backbones", default=f"{BASELINE},mobilefacenet_small")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    names = dict.fromkeys([BASELINE, *arguments.backbones.split(",")])
    device = choose_device(arguments.device)
    with (
        tempfile.TemporaryDirectory() as folder,
        torch_settings(device, arguments.threads),
    ):
        manifest, cache = training_set(Path(folder))
        source = BatchSource(manifest, cache, batch_size=arguments.batch, seed=0, flip=True)
        learners = {name: make_learner(name, arguments.precision, device) for name in names}
        rows = measure(learners, source, arguments.steps)
        threads = torch.get_num_threads()

    machine = describe_machine(device.type)
    if device.type == "cuda":
        machine["gpu"] = torch.cuda.get_device_name(device)
    settings = {"batch": arguments.batch, "precision": arguments.precision, "threads": threads}
    if arguments.json:
        print(json.dumps({"machine": machine, **settings, "backbones": rows}, indent=2))
        return
    hardware = machine.get("gpu") or f"{machine['processor']}, {machine['cores']} cores"
    print(f"{hardware}, torch {machine['torch']}; {settings}")
    for name, row in rows.items():
        print(
            f"  {name:<22} {row['images/s']:8.1f} images/s  ×{row['ratio']:.2f}  "
            f"reading {row['share of reading']:.1%} of the step"
        )


if __name__ == "__main__":
    main()
