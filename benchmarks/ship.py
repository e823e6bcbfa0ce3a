"""A shipped student against its teachers: latency, throughput, size, memory, time to start.

    python benchmarks/ship.py RUN [--calibrate DATASET] [--repeats 7] [--json]

RUN is a finished training. It is exported in fp32, fp16 and (with ``--calibrate``) int8 and
compared, in one run and on one thread, with SFace and with an untrained IResNet-100, whose speed
does not depend on its weights. Ways are timed in turn and the median of each counts. Memory is the
peak of a process that loads the model and embeds a batch of 32; start is the time from starting
``evenface verify`` on two aligned faces to its end, the second of two calls.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

from evenface.assets import asset_path
from evenface.data.manifest import Manifest
from evenface.export.onnx import to_onnx
from evenface.export.ship import export_onnx
from evenface.models import create_backbone
from evenface.seeds import generator
from evenface.teachers.relax import relax

BATCHES = (1, 32)
TEACHER = "SFace (teacher)"


def sessions(run: Path, calibrate: Manifest | None, folder: Path) -> dict[str, Path]:
    """Model → ONNX file; the baseline first."""
    sface = folder / "sface.onnx"
    sface.write_bytes(relax(asset_path("sface")))
    files = {TEACHER: sface}
    large = folder / "iresnet100.onnx"
    large.write_bytes(to_onnx(create_backbone("iresnet100")).SerializeToString())
    files["IResNet-100, untrained"] = large
    for precision in ("fp32", "fp16", "int8") if calibrate else ("fp32", "fp16"):
        report = export_onnx(run, folder, precision=precision, name="student", calibrate=calibrate)
        files[f"student {precision}"] = folder / report.file
    return files


def open_one_thread(path: Path) -> onnxruntime.InferenceSession:
    """A session on one core."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def faces_for(session: onnxruntime.InferenceSession, count: int) -> dict[str, np.ndarray]:
    """Random faces as the model takes them."""
    taken = session.get_inputs()[0]
    pixels = generator("ship benchmark").integers(0, 256, (count, 112, 112, 3), dtype=np.uint8)
    if taken.type == "tensor(uint8)":
        return {taken.name: pixels}
    return {taken.name: np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), dtype=np.float32)}


def measure(files: dict[str, Path], repeats: int) -> dict[str, dict[str, float]]:
    """Model → latency at batch 1 in ms, images a second at batch 32, megabytes, memory."""
    opened = {name: open_one_thread(path) for name, path in files.items()}
    seconds: dict[tuple[str, int], list[float]] = {}
    for turn in range(repeats + 1):
        for name, session in opened.items():
            for batch in BATCHES:
                inputs = faces_for(session, batch)
                start = time.perf_counter()
                session.run(None, inputs)
                if turn:  # the first call sets up
                    taken = time.perf_counter() - start
                    seconds.setdefault((name, batch), []).append(taken)
    return {
        name: {
            "latency_ms": 1000 * statistics.median(seconds[name, 1]),
            "images_per_second": 32 / statistics.median(seconds[name, 32]),
            "megabytes": path.stat().st_size / 1e6,
            "peak_mib": peak_memory(path),
        }
        for name, path in files.items()
    }


def peak_memory(path: Path) -> float:
    """MiB that a process grows by when it loads the model and embeds 32 faces."""
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from ship import faces_for, open_one_thread, peak_now
before = peak_now()
session = open_one_thread(Path({str(path)!r}))
session.run(None, faces_for(session, 32))
print(peak_now() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


def peak_now() -> float:
    """Peak memory of this process in MiB. (ru_maxrss would include that of its parent.)"""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return float(status.partition("VmHWM:")[2].split()[0]) / 1024


def seconds_to_start(model: Path, folder: Path) -> float:
    """From starting a process to the first decision, with a warm disk."""
    face = folder / "face.png"
    pixels = generator("ship benchmark").integers(0, 256, (112, 112, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(face)
    command = [sys.executable, "-m", "evenface.cli.main", "verify", str(face), str(face)]
    taken = 0.0
    for _ in range(2):
        start = time.perf_counter()
        subprocess.run([*command, "--model", str(model)], check=True, capture_output=True)
        taken = time.perf_counter() - start
    return taken


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="A shipped student against its teachers.")
    parser.add_argument("run", type=Path)
    parser.add_argument("--calibrate", type=Path)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    calibrate = Manifest.read(options.calibrate) if options.calibrate else None
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        files = sessions(options.run, calibrate, folder)
        found = measure(files, options.repeats)
        start = seconds_to_start(list(files.values())[-1], folder)
    if options.json:
        print(json.dumps({"models": found, "seconds_to_first_decision": start}, indent=2))
        return
    base = found[TEACHER]
    print(f"{'model':24} {'ms, batch 1':>18} {'images/s, batch 32':>22} {'MB':>7} {'MiB':>7}")
    for name, row in found.items():
        faster = base["latency_ms"] / row["latency_ms"]
        more = row["images_per_second"] / base["images_per_second"]
        print(
            f"{name:24} {row['latency_ms']:9.2f} ({faster:5.1f}×) {row['images_per_second']:12.0f} "
            f"({more:5.1f}×) {row['megabytes']:7.2f} {row['peak_mib']:7.0f}"
        )
    print(f"start to first decision: {start:.2f} s")


if __name__ == "__main__":
    main()
