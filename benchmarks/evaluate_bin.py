"""Peak memory of evaluating a verification .bin, against holding its images as float32.

    python benchmarks/evaluate_bin.py [--images 12000] [--dimensions 512]

A set of made images is written once. Two processes of their own then read it:

1. ``evenface`` evaluates it: pairs, flip-sum embeddings of every image, all figures.
2. The baseline does what the reference code does before it embeds: it decodes all images and their
   mirror images into one float32 array.

Printed are both peaks of resident memory, with the interpreter and its libraries in them, and
their ratio. The model is a random projection of coarse pixels, so that its own memory is none.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = 112


def made_images(count: int) -> Iterator[bytes]:
    """JPEGs with some detail, all different."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        coarse = rng.integers(0, 256, (14, 14, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=90)
        yield buffer.getvalue()


def evaluate(path: Path, dimensions: int) -> None:
    """Evaluate a set with a random projection."""
    from evenface.evaluate.model import embed_views
    from evenface.evaluate.protocol_specs import tasks_of
    from evenface.evaluate.tasks import Settings
    from evenface.teachers import load_teacher

    projection = np.random.default_rng(0).normal(size=(147, dimensions)).astype(np.float32)

    def project(images: np.ndarray) -> np.ndarray:
        cells = images[:, 8::16, 8::16].reshape(len(images), -1).astype(np.float32)
        return np.asarray((cells / 127.5 - 1) @ projection)

    (task,) = tasks_of(str(path))
    embeddings = embed_views(load_teacher(project), task.faces, task.rows)
    task.measure(embeddings, Settings(replicates=0), "projection")


def hold(path: Path) -> None:
    """Hold all images and mirror images as float32 (2, N, 3, 112, 112)."""
    from evenface.data.decode import decode
    from evenface.data.formats.verification_bin import read_bin

    encoded = read_bin(path).images
    held = np.empty((2, len(encoded), 3, SIZE, SIZE), dtype=np.float32)
    for number, data in enumerate(encoded):
        image = decode(data).transpose(2, 0, 1)
        held[0, number], held[1, number] = image, image[:, :, ::-1]


def own_peak() -> float:
    """MiB of resident memory that this process needed at most (Linux)."""
    # Not getrusage: its figure takes in the parent's from before the exec.
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def peak(*arguments: str) -> float:
    """MiB that this script needed at most, run with these arguments in its own process."""
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def main() -> None:
    """Write the set, measure both, print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=int, default=12_000)
    parser.add_argument("--dimensions", type=int, default=512)
    parser.add_argument("--child", nargs=2, metavar=("WHAT", "PATH"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        what, path = options.child
        if what == "evaluate":
            evaluate(Path(path), options.dimensions)
        else:
            hold(Path(path))
        print(own_peak())
        return

    from evenface.data.formats.verification_bin import write_bin

    pairs = options.images // 2
    genuine = np.arange(pairs) * 20 // max(pairs, 1) % 2 == 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "made.bin"
        write_bin(path, made_images(2 * pairs), genuine)
        print(f"{2 * pairs:,} images, {path.stat().st_size / 2**20:,.0f} MiB encoded")
        size = ("--dimensions", str(options.dimensions))
        evaluated = peak("--child", "evaluate", str(path), *size)
        held = peak("--child", "hold", str(path))
    arithmetic = 2 * 2 * pairs * 3 * SIZE * SIZE * 4 / 2**20
    print(f"evaluating:                       {evaluated:8,.0f} MiB at most")
    print(
        f"float32 images and mirror images: {held:8,.0f} MiB at most ({arithmetic:,.0f} of array)"
    )
    print(f"ratio: {evaluated / held:.3f} (at most 0.25 is the aim)")


if __name__ == "__main__":
    main()
