"""Rate of rendering faces, as a ratio to one worker in the same run.

    python benchmarks/render.py [--look camera] [--identities 8] [--images 8] [--repeats 3]
                               [--workers 2] [--json]

Whole calls of ``render_dataset`` are timed, the start of the processes included; the head model is
prepared beforehand. The numbers of workers take turns, ``--repeats`` times, and the median of each
counts, so that a busy machine hits all alike.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from evenface.parallel import usable_cores
from evenface.render import GROUPS, LOOKS, render_dataset
from evenface.render.bake import load_head


def rate(look: str, identities: int, images: int, workers: int) -> float:
    """Images a second of one call."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        render_dataset(
            Path(folder) / "faces",
            look=look,
            split="train",
            identities_per_group=identities,
            images_per_identity=images,
            seed=0,
            workers=workers,
        )
        return len(GROUPS) * identities * images / (time.perf_counter() - start)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Rate of rendering faces.")
    parser.add_argument("--look", choices=LOOKS, default="camera")
    parser.add_argument("--identities", type=int, default=8, help="people a group")
    parser.add_argument("--images", type=int, default=8, help="images a person")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, default=usable_cores())
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    load_head()
    rates: dict[int, list[float]] = {workers: [] for workers in sorted({1, arguments.workers})}
    for _ in range(arguments.repeats):
        for workers, found in rates.items():
            found.append(rate(arguments.look, arguments.identities, arguments.images, workers))
    medians = {workers: statistics.median(found) for workers, found in rates.items()}
    rows = {
        str(workers): {"images/s": median, "ratio": median / medians[1]}
        for workers, median in medians.items()
    }
    if arguments.json:
        result = {"look": arguments.look, "workers": rows}
        print(json.dumps(result, indent=2))
        return
    print(f"look {arguments.look}, up to {arguments.workers} workers")
    for count, row in rows.items():
        print(f"  {count:>3} workers {row['images/s']:8.1f} images/s  ×{row['ratio']:.2f}")


if __name__ == "__main__":
    main()
