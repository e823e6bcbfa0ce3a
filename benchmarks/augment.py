"""What each augmentation costs: microseconds of a core an image.

    python benchmarks/augment.py [--batch 64] [--rounds 10] [--only warp,noise]

CPU time of one thread, the least of ``--rounds`` batches, so that other work on the machine counts
little. Images are random; each augmentation has its default options and changes every image.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from evenface.machine import describe_machine
from evenface.seeds import generator
from evenface.train.augment import ORDER, create_augmenter


def microseconds(name: str, images: np.ndarray, rounds: int) -> float:
    """Of a core for an image.

    Args:
        name: of the augmentation.
        images: uint8 (B, 112, 112, 3).
        rounds: batches.
    """
    augmenter = create_augmenter({name: {}}, seed=0)
    rows = np.arange(len(images))
    least = float("inf")
    for epoch in range(rounds):
        batch = images.copy()
        began = time.thread_time()
        mixed = augmenter.mix(
            batch, epoch, rows, count=len(images), read=lambda rows, flipped: images[rows]
        )
        changed = augmenter.on_cpu(np.asarray(mixed), epoch, rows)
        augmenter.on_device(torch.from_numpy(changed), epoch, rows)
        least = min(least, time.thread_time() - began)
    return 1e6 * least / len(images)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--only", default=",".join(ORDER), help="names, separated by commas")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    shape = (arguments.batch, 112, 112, 3)
    images = generator("benchmark", "augment").integers(0, 256, shape, dtype=np.uint8)
    machine = describe_machine("cpu")
    print(f"{machine['processor']}, {machine['cores']} cores, torch {torch.__version__}")
    for name in arguments.only.split(","):
        print(f"{name:<12} {microseconds(name, images, arguments.rounds):8,.0f} µs")


if __name__ == "__main__":
    main()
