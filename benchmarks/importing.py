"""Speed and memory of the import, as ratios to plain loops in the same run.

    python benchmarks/importing.py [--images 4000] [--repeats 3] [--grow 10000,200000] [--skip-grow]

1. Import of aligned 112×112 JPEGs from a folder and from RecordIO, and of 250×250 JPEGs with
   landmarks from a table, with all cores; against the loop one writes first: Pillow decodes, warps,
   and saves one image after the other (as PNG, since the store loses nothing; and as JPEG, which
   costs less and loses).
2. Random batches of 128 from the store, against decoding the JPEGs of the same items with Pillow.
3. Peak memory of an import of few and of many images, each in its own process. The disk needs
   about 45 kB an image.

All ways of one kind are timed in turn and the median counts, so that a busy machine hits all alike.
"""

from __future__ import annotations

import argparse
import io
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from evenface.console import err
from evenface.data.align import ARCFACE_TEMPLATE, similarity_transform
from evenface.data.export import Encoding, export
from evenface.data.importing import import_dataset
from evenface.data.manifest import Manifest
from evenface.data.store import ImageStore
from evenface.parallel import usable_cores
from evenface.seeds import generator

BATCH = 128
IMAGES_PER_IDENTITY = 20
LOOSE = 250
Way = Callable[[Path], object]

# VmHWM belongs to the process alone; ru_maxrss would count its parent from before the exec too.
MEASURE = r"""
import re, sys
from evenface.console import err
from evenface.data.importing import import_dataset
err().quiet = True
import_dataset(sys.argv[1], sys.argv[2], dataset="d", origin="synthetic", licence="none")
print(int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1]) // 1024)
"""


def jpegs(count: int, side: int) -> list[bytes]:
    """Pictures whose files are about as large as those of faces (5 and 16 kB), all different."""
    rng = generator("benchmark import", side)
    files = []
    for _ in range(count):
        coarse = rng.integers(0, 256, (14, 14, 3), dtype=np.uint8)
        smooth = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
        grain = rng.normal(0, 2.5, (side, side, 1))
        pixels = np.clip(smooth + grain, 0, 255).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
        files.append(buffer.getvalue())
    return files


def write_folder(root: Path, files: list[bytes]) -> list[Path]:
    """``<identity>/<image>``; returns the paths in order."""
    paths = []
    for number, data in enumerate(files):
        folder = root / f"{number // IMAGES_PER_IDENTITY:06}"
        folder.mkdir(parents=True, exist_ok=True)
        paths.append(folder / f"{number % IMAGES_PER_IDENTITY:03}.jpg")
        paths[-1].write_bytes(data)
    return paths


def loose_points() -> np.ndarray:
    """Landmarks of a face that fills two thirds of a loose crop, a little turned."""
    angle = np.deg2rad(8)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (ARCFACE_TEMPLATE - 56) @ turn.T * 1.5 + LOOSE / 2


def write_table(path: Path, images: list[Path]) -> None:
    """Paths, identities and landmarks."""
    points = " ".join(f"{value:.2f}" for value in loose_points().ravel())
    rows = [f"{image.relative_to(path.parent)},{image.parent.name},{points}" for image in images]
    path.write_text("\n".join(["path,identity,landmarks", *rows]))


def write_records(folder: Path, root: Path) -> Path:
    """The images of a folder as ``train.rec``."""
    imported(folder)(root / "for-rec")
    export(Manifest.read(root / "for-rec"), root / "rec", "recordio", encoding=Encoding("jpg", 90))
    return root / "rec"


def pillow_loop(images: list[Path], suffix: str, points: np.ndarray | None) -> Way:
    """Decode, warp (or resize), save."""
    inverse = None
    if points is not None:
        matrix = np.vstack([similarity_transform(points), (0, 0, 1)])
        inverse = tuple(np.linalg.inv(matrix)[:2].ravel().tolist())

    def work(out: Path) -> None:
        for number, path in enumerate(images):
            with Image.open(path) as opened:
                image = opened.convert("RGB")
            if inverse:
                image = image.transform(
                    (112, 112), Image.Transform.AFFINE, inverse, Image.Resampling.BILINEAR
                )
            elif image.size != (112, 112):
                image = image.resize((112, 112))
            image.save(out / f"{number}{suffix}")

    return work


def imported(source: Path, format: str = "") -> Way:
    """This package's import."""

    def work(out: Path) -> None:
        import_dataset(source, out, dataset="d", origin="synthetic", licence="none", format=format)

    return work


def seconds(ways: dict[str, Way], repeats: int) -> dict[str, float]:
    """Median wall time of each way into an empty folder, measured in turn after one warm-up."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(repeats + 1):
        for name, work in ways.items():
            with tempfile.TemporaryDirectory() as folder:
                start = time.perf_counter()
                work(Path(folder))
                if turn:
                    taken[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in taken.items()}


def compare(title: str, ways: dict[str, Way], images: int, repeats: int) -> None:
    """Print rates, and how many times as fast as the loop each import is."""
    times = seconds(ways, repeats)
    loops = [name for name in ways if name.startswith("Pillow loop")]
    print(f"{title}, {images:,} images, {usable_cores()} cores")
    for name, taken in times.items():
        ratios = ", ".join(f"{times[loop] / taken:.1f} × {loop}" for loop in loops)
        print(f"  {name:<24} {images / taken:8,.0f} images/s   {ratios}")


def benchmark_import(root: Path, count: int, repeats: int) -> None:
    """Aligned JPEGs from a folder and from RecordIO; loose JPEGs with landmarks from a table."""
    folder = root / "aligned"
    images = write_folder(folder, jpegs(count, 112))
    ways: dict[str, Way] = {
        "Pillow loop to PNG": pillow_loop(images, ".png", None),
        "Pillow loop to JPEG": pillow_loop(images, ".jpg", None),
        "import of the folder": imported(folder),
        "import of the .rec": imported(write_records(folder, root)),
    }
    compare("aligned 112×112 JPEGs", ways, count, repeats)

    images = write_folder(root / "loose", jpegs(count // 2, LOOSE))
    table = root / "loose" / "faces.csv"
    write_table(table, images)
    ways = {
        "Pillow loop to PNG": pillow_loop(images, ".png", loose_points()),
        "Pillow loop to JPEG": pillow_loop(images, ".jpg", loose_points()),
        "import of the table": imported(table),
    }
    compare(f"{LOOSE}×{LOOSE} JPEGs with landmarks", ways, count // 2, repeats)


def benchmark_batches(root: Path, repeats: int) -> None:
    """Random batches; the files lie in the page cache for both."""
    folder = root / "aligned"
    paths = sorted(folder.glob("*/*.jpg"))
    with tempfile.TemporaryDirectory() as out:
        imported(folder)(Path(out))
        store = ImageStore.open(out)
        rng = generator("benchmark batches")
        draws = [rng.integers(0, len(paths), BATCH) for _ in range(20)]

        def decode(rows: np.ndarray) -> np.ndarray:
            items = []
            for row in rows.tolist():
                with Image.open(paths[row]) as image:
                    items.append(np.asarray(image.convert("RGB")))
            return np.stack(items)

        np.testing.assert_array_equal(store[draws[0]], decode(draws[0]))
        times: dict[str, list[float]] = {"store": [], "decode": []}
        for _ in range(repeats + 1):
            for name, read in (("store", store.__getitem__), ("decode", decode)):
                start = time.perf_counter()
                for rows in draws:
                    read(rows)
                times[name].append((time.perf_counter() - start) / len(draws))
    fast, slow = (statistics.median(times[name][1:]) for name in ("store", "decode"))
    print(
        f"random batches of {BATCH} from {len(paths):,} images: {1e3 * fast:.2f} ms from the store,"
        f" {1e3 * slow:.1f} ms by decoding each item with Pillow, equal pixels: "
        f"{slow / fast:.0f} times as fast"
    )


def benchmark_memory(root: Path, counts: list[int]) -> None:
    """Peak memory of whole processes."""
    (template,) = jpegs(1, 112)
    peaks = []
    for count in counts:
        with tempfile.TemporaryDirectory(dir=root) as place:
            source = Path(place) / "source"
            # A comment with the number makes every file another one.
            files = (
                template[:2] + b"\xff\xfe\x00\x0a" + f"{number:08}".encode() + template[2:]
                for number in range(count)
            )
            for number, data in enumerate(files):
                folder = source / f"{number // IMAGES_PER_IDENTITY:06}"
                folder.mkdir(parents=True, exist_ok=True)
                (folder / f"{number % IMAGES_PER_IDENTITY:03}.jpg").write_bytes(data)
            arguments = [sys.executable, "-c", MEASURE, str(source), str(Path(place) / "out")]
            done = subprocess.run(arguments, check=True, capture_output=True, text=True)
        peaks.append(int(done.stdout))
        print(f"peak memory of importing {count:,} images: {peaks[-1]:,} MiB")
    for before, after, many in zip(peaks, peaks[1:], counts[1:], strict=False):
        print(
            f"  {after / before:.2f} times as much, {after - before:,} MiB more, for {many:,} "
            f"images whose pixels take {many * 37_632 / 2**20:,.0f} MiB"
        )


def main() -> None:
    """Run all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--grow", default="10000,200000", help="numbers of images, by commas")
    parser.add_argument("--skip-grow", action="store_true", help="leave out the memory")
    arguments = parser.parse_args()
    err().quiet = True
    with tempfile.TemporaryDirectory() as folder:
        benchmark_import(Path(folder), arguments.images, arguments.repeats)
        benchmark_batches(Path(folder), arguments.repeats)
        if not arguments.skip_grow:
            benchmark_memory(Path(folder), [int(n) for n in arguments.grow.split(",")])


if __name__ == "__main__":
    main()
