"""Rate of embedding with an ONNX teacher, as ratios to a naive loop in the same run.

    python benchmarks/embed.py [--model FILE.onnx] [--images 128] [--repeats 5] [--json]

The baseline is what one writes first: one onnxruntime session with its default threads, one
image a call. The other ways are those that OnnxTeacher chooses between. All ways are timed in
turn, ``--repeats`` times, and the median of each counts, so that a busy machine hits all alike.
Without ``--model`` the SFace asset is used (``evenface assets get sface``).
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime

from evenface.assets import asset_path
from evenface.parallel import usable_cores
from evenface.seeds import generator
from evenface.teachers.base import Engine
from evenface.teachers.onnx import OnnxTeacher
from evenface.teachers.relax import relax

BASELINE = "naive: one session, one image a call"
ENGINES: tuple[Engine, ...] = ("openvino", "openvino-bf16")
Embed = Callable[[np.ndarray], np.ndarray]


def plain_session(model: str | bytes, teacher: OnnxTeacher, batch: int) -> Embed:
    """One session with the runtime's default threads, ``batch`` images a call."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def embed(images: np.ndarray) -> np.ndarray:
        blocks = (images[start : start + batch] for start in range(0, len(images), batch))
        inputs = map(teacher.preprocessing, blocks)
        return np.concatenate([session.run(None, {name: block})[0] for block in inputs])

    return embed


def ways(path: Path) -> dict[str, Embed]:
    """Every way of embedding that is compared, by name."""
    teacher = OnnxTeacher(path)
    cores = usable_cores()
    compared = {BASELINE: plain_session(str(path), teacher, 1)}
    threads = OnnxTeacher(path, relax_batch=False)
    compared[f"{cores} threads, file as it is"] = threads.embed
    relaxed = relax(path)
    for batch in (1, 4, 32):
        embed = plain_session(relaxed, teacher, batch)
        compared[f"one session, batch lifted, {batch} images a call"] = embed
    chosen = teacher.details
    compared[f"OnnxTeacher: {chosen['threads × batch']} images, batch lifted"] = teacher.embed
    for engine in ENGINES:
        compared[engine] = OnnxTeacher(path, engine=engine).embed
    return compared


def measure(compared: dict[str, Embed], images: np.ndarray, repeats: int) -> dict[str, float]:
    """Median images a second of each way, measured in turn after one warm-up."""
    seconds: dict[str, list[float]] = {name: [] for name in compared}
    reference = compared[BASELINE](images[:8])
    for name, embed in compared.items():
        if not name.endswith("bf16"):  # OnnxTeacher has checked it
            np.testing.assert_allclose(embed(images[:8]), reference, rtol=1e-2, atol=1e-3)
    for _ in range(repeats):
        for name, embed in compared.items():
            start = time.perf_counter()
            embed(images)
            seconds[name].append(time.perf_counter() - start)
    return {name: len(images) / statistics.median(taken) for name, taken in seconds.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Rate of embedding with an ONNX teacher.")
    parser.add_argument("--model", type=Path, help="ONNX file (default: the SFace asset)")
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    path = arguments.model or asset_path("sface")
    shape = (arguments.images, 112, 112, 3)
    images = generator("benchmark embed").integers(0, 256, size=shape, dtype=np.uint8)
    rates = measure(ways(path), images, arguments.repeats)
    rows = {name: {"images/s": r, "ratio": r / rates[BASELINE]} for name, r in rates.items()}
    if arguments.json:
        result = {"model": path.name, "cores": usable_cores(), "ways": rows}
        print(json.dumps(result, indent=2, ensure_ascii=False))
        return
    print(f"{path.name}, {usable_cores()} cores, {arguments.images} images")
    for name, row in rows.items():
        print(f"  {name:<60} {row['images/s']:8.1f} images/s  ×{row['ratio']:.2f}")


if __name__ == "__main__":
    main()
