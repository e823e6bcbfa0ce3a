"""Rate of training, as ratios to a straightforward loop in the same run.

    python benchmarks/train.py [--backbones mobilefacenet_small,mobilefacenet,iresnet18]
                               [--batch 64] [--rounds 5] [--steps 4] [--threads 2] [--device auto]
                               [--precision auto] [--augment] [--teacher iresnet100]
                               [--no-memory] [--json]

The straightforward loop is what one writes first: each image opened, decoded and transformed by
itself, its teacher embedding loaded from a file of its own, single precision, weights and images
in torch's default layout, the loss read in every step. Ours is what ``evenface train`` runs, in the
faster of fp32 and bf16 where ``--precision`` leaves it open. Both train the same network, head and
distillation on the same faces, in turns of ``--steps`` steps, and the median of ``--rounds`` turns
counts, so that a busy machine hits all alike.

Told for each backbone: images a second and ratio; the time to get a batch (read, decode or gather,
augment, teacher target) and its share of our step, although in a training it overlaps with the
step; the step on data that never changes, in fp32 and bf16 and without distillation, which is where
gains and costs come from; peak memory, each way in a process of its own; on a GPU the share of its
peak rate that the arithmetic of the model alone would take (MFU). At last the size and time of a
teacher's embeddings of 1.25 million images, from a measured rate.

``--device cuda`` without a GPU says so and measures nothing.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageEnhance
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from evenface.data.embedding_cache import EmbeddingCache
from evenface.data.manifest import Manifest
from evenface.data.store import ImageStoreWriter
from evenface.machine import describe_machine
from evenface.models import create_backbone, create_head, embed
from evenface.models.inputs import to_input
from evenface.seeds import generator
from evenface.teachers.cache import cached_embeddings
from evenface.train import TrainRecipe
from evenface.train.device import choose_device, torch_settings
from evenface.train.job import Job
from evenface.train.learner import Learner
from evenface.train.loader import open_source
from evenface.train.monitor import memory_used

DIMENSIONS = 512
IDENTITIES, IMAGES_EACH = 100, 10
PAPER_IMAGES = 1_248_932
AUGMENT = {name: {"probability": 0.2} for name in ("crop", "rescale", "photometric")}
BACKBONES = {
    "cpu": "mobilefacenet_small,mobilefacenet,iresnet18",
    "cuda": "mobilefacenet,iresnet50",
}
PEAK_FLOPS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "V100": 125e12}
"""Dense half precision, by the makers' data sheets."""
OURS, PLAIN = "ours", "straightforward"
_KD = " + distillation"


class RandomTeacher:
    """Embeddings without a meaning, for their size."""

    name = "random"
    embedding_size = DIMENSIONS
    fingerprint = "random"

    def embed(self, images: np.ndarray) -> np.ndarray:
        """Noise, float32 (N, D)."""
        return generator("embeddings").normal(size=(len(images), DIMENSIONS)).astype(np.float32)


def training_set(folder: Path) -> None:
    """The same smooth random faces twice: JPEG files with embeddings in .npy files beside them,
    and an image store with an embedding cache."""
    count = IDENTITIES * IMAGES_EACH
    coarse = generator("benchmark train").integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    (folder / "files").mkdir()
    with ImageStoreWriter(folder / "faces") as writer:
        for number in range(count):
            path = folder / "files" / f"{number}.jpg"
            face = Image.fromarray(coarse[number]).resize((112, 112), Image.Resampling.BICUBIC)
            face.save(path, quality=95)
            writer.append(np.array(Image.open(path)))
    manifest = Manifest.from_columns(
        folder / "faces",
        index=np.arange(count),
        identity=[f"person-{number // IMAGES_EACH}" for number in range(count)],
        origin="synthetic",
        dataset="blobs",
        licence="CC0-1.0",
    )
    manifest.write(folder / "faces" / "manifest.parquet")
    cache = cached_embeddings(RandomTeacher(), manifest, folder / "cache")
    for view in ("original", "flip"):
        for number, embedding in enumerate(cache.view(view)):
            np.save(folder / "files" / f"{number}-{view}.npy", embedding)


def job_of(folder: Path, backbone: str, options: argparse.Namespace, **changes: Any) -> Job:
    """The paper's head and distillation on the faces of ``folder``."""
    fields: dict[str, Any] = {
        "name": backbone,
        "data": folder / "faces",
        "backbone": {"name": backbone, "embedding_size": DIMENSIONS},
        "head": {"name": "elasticarcface"},
        "distill": {"cache": folder / "cache"},
        "schedule": {"steps": 1},
        "batch_size": options.batch,
        "precision": options.precision,
        "augment": AUGMENT if options.augment else {},
    }
    return Job.open(TrainRecipe.model_validate(fields | changes))


def has_bf16(device: torch.device) -> bool:
    """Whether the processor computes in bf16, rather than emulating it."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    flags = Path("/proc/cpuinfo")
    return flags.is_file() and "avx512_bf16" in flags.read_text(encoding="utf-8", errors="replace")


class Ours:
    """``evenface train`` without its log and checkpoints."""

    def __init__(self, job: Job, device: torch.device) -> None:
        self.learner = Learner(job.recipe, job.num_identities, device)
        self.source = open_source(job, device)
        self._batches = self.source.prefetch(range(10**9))
        self._step = 0

    def steps(self, count: int) -> None:
        """Train."""
        for _ in range(count):
            self.learner.step(next(self._batches), 1e-3, seed=self._step)
            self._step += 1

    def fetch(self, number: int) -> Any:
        """One batch on the device."""
        return self.source.batch(number)


class Straightforward:
    """One image at a time, one file an embedding, nothing but torch's defaults."""

    def __init__(self, job: Job, folder: Path, device: torch.device, *, augment: bool) -> None:
        recipe = job.recipe
        self._files = folder / "files"
        self._labels = job.manifest.labels()
        self._batch = min(recipe.batch_size, len(job.manifest))
        self._device = device
        self._augment = augment
        self._random = random.Random(0)
        self._backbone = create_backbone(recipe.backbone.name, embedding_size=DIMENSIONS).to(device)
        self._head = create_head(
            "elasticarcface", embedding_size=DIMENSIONS, num_identities=job.num_identities
        ).to(device)
        parameters = [*self._backbone.parameters(), *self._head.parameters()]
        self._optimizer = torch.optim.SGD(parameters, lr=1e-3, momentum=0.9, weight_decay=5e-4)
        self._number = 0

    def steps(self, count: int) -> None:
        """Train."""
        for _ in range(count):
            images, labels, targets = self.fetch(self._number)
            self._number += 1
            embeddings = self._backbone(images)
            loss = F.cross_entropy(self._head(embeddings, labels), labels)
            difference = F.mse_loss(F.normalize(embeddings), F.normalize(targets))
            loss = loss + 10_000 * difference
            self._optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self._backbone.parameters(), 5)
            self._optimizer.step()
            loss.item()

    def fetch(self, number: int) -> Any:
        """One batch on the device."""
        items = [self._item(row % len(self._labels)) for row in self._rows(number)]
        images, labels, targets = zip(*items, strict=True)
        return (
            torch.stack(images).to(self._device),
            torch.tensor(labels).to(self._device),
            torch.stack(targets).to(self._device),
        )

    def _rows(self, number: int) -> range:
        return range(number * self._batch, (number + 1) * self._batch)

    def _item(self, row: int) -> tuple[torch.Tensor, int, torch.Tensor]:
        image = Image.open(self._files / f"{row}.jpg").convert("RGB")
        flip = self._random.random() < 0.5
        if flip:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if self._augment:
            image = self._augmented(image)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
        view = "flip" if flip else "original"
        target = torch.from_numpy(np.load(self._files / f"{row}-{view}.npy"))
        return ((pixels - 0.5) / 0.5).contiguous(), int(self._labels[row]), target

    def _augmented(self, image: Image.Image) -> Image.Image:
        draw = self._random.random
        if draw() < 0.2:
            side = int(112 * (0.45 + 0.55 * draw()))
            box = (0, 0, side, side)
            black = Image.new("RGB", (112, 112))
            black.paste(image.crop(box), box)
            image = black
        if draw() < 0.2:
            side = int(112 * (0.2 + 0.8 * draw()))
            small = image.resize((side, side), Image.Resampling.BICUBIC)
            image = small.resize((112, 112), Image.Resampling.BICUBIC)
        if draw() < 0.2:
            for change in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
                image = change(image).enhance(0.5 + draw())
        return image


def median_seconds(
    calls: dict[str, Callable[[], object]], rounds: int, device: torch.device
) -> dict[str, float]:
    """Median time of each call; they take turns, after one of each that does not count."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(1 + rounds):
        for name, call in calls.items():
            wait_for(device)
            start = time.perf_counter()
            call()
            wait_for(device)
            if number:
                taken[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in taken.items()}


def wait_for(device: torch.device) -> None:
    """Return when the device has nothing to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measure(
    folder: Path, backbone: str, options: argparse.Namespace, device: torch.device
) -> dict[str, Any]:
    """All figures of one backbone."""
    constant = constant_data(folder, backbone, options, device)
    if options.precision == "auto":
        faster = min((name for name in constant if name.endswith(_KD)), key=lambda n: constant[n])
        options = argparse.Namespace(**vars(options) | {"precision": faster.removesuffix(_KD)})
    job = job_of(folder, backbone, options)
    batch, steps = min(options.batch, len(job.manifest)), options.steps
    ours = Ours(job, device)
    plain = Straightforward(job, folder, device, augment=options.augment)
    whole = median_seconds(
        {PLAIN: lambda: plain.steps(steps), OURS: lambda: ours.steps(steps)},
        options.rounds,
        device,
    )
    numbers: Iterator[int] = iter(range(10**9))
    fetching = median_seconds(
        {PLAIN: lambda: plain.fetch(next(numbers)), OURS: lambda: ours.fetch(next(numbers))},
        3 * options.rounds,
        device,
    )
    rates = {name: steps * batch / seconds for name, seconds in whole.items()}
    step = whole[OURS] / steps
    row = {
        "precision": job.recipe.precision,
        "images/s": rates,
        "ratio": rates[OURS] / rates[PLAIN],
        "ms to get a batch": {name: 1e3 * seconds for name, seconds in fetching.items()},
        "data ratio": fetching[PLAIN] / fetching[OURS],
        "data share of our step": fetching[OURS] / step,
        "ms a step on constant data": {name: 1e3 * s for name, s in constant.items()},
        "cost of loading": step / constant[job.recipe.precision + _KD] - 1,
    }
    if device.type == "cuda":
        row["MFU"] = utilisation(backbone, rates[OURS], device)
    if not options.no_memory:
        row["peak memory MiB"] = {
            way: memory_of(way, folder, backbone, options) for way in (PLAIN, OURS)
        }
    return row


def constant_data(
    folder: Path, backbone: str, options: argparse.Namespace, device: torch.device
) -> dict[str, float]:
    """Seconds of a step on one batch that is on the device already."""
    calls: dict[str, Callable[[], object]] = {}
    for precision in ("fp32", "bf16") if has_bf16(device) else ("fp32",):
        for what, change in (("", {"distill": None}), (_KD, {})):
            job = job_of(folder, backbone, options, precision=precision, **change)
            learner = Learner(job.recipe, job.num_identities, device)
            fixed = open_source(job, device).batch(0)
            calls[precision + what] = partial(learner.step, fixed, 1e-3, seed=0)
    return median_seconds(calls, 2 * options.rounds, device)


def utilisation(backbone: str, rate: float, device: torch.device) -> float | None:
    """Share of the GPU's peak in half precision: forward and twice that backward, nothing else."""
    name = torch.cuda.get_device_name(device)
    peak = next((peak for key, peak in PEAK_FLOPS.items() if key in name), None)
    with torch.device("meta"):
        network = create_backbone(backbone, embedding_size=DIMENSIONS).eval()
        counter = FlopCounterMode(display=False)
        with counter:
            network(torch.empty(1, 3, 112, 112))
    return 3 * counter.get_total_flops() * rate / peak if peak else None


def memory_of(way: str, folder: Path, backbone: str, options: argparse.Namespace) -> float:
    """Peak of a process that takes some steps one way, MiB."""
    command = [
        sys.executable, __file__, "--child", way, "--folder", str(folder), "--backbones", backbone,
        "--batch", str(options.batch), "--device", options.device,
        "--precision", options.precision,
        *(["--augment"] if options.augment else []),
        *(["--threads", str(options.threads)] if options.threads else []),
    ]  # fmt: skip
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout)


def child(options: argparse.Namespace, device: torch.device) -> None:
    """What :func:`memory_of` starts."""
    folder = Path(options.folder)
    job = job_of(folder, options.backbones, options)
    way: Ours | Straightforward = (
        Ours(job, device)
        if options.child == OURS
        else Straightforward(job, folder, device, augment=options.augment)
    )
    way.steps(3)
    print(memory_used(device) / 2**20)


def teacher_cache(folder: Path, backbone: str, device: torch.device) -> dict[str, Any]:
    """Size and time of both views of the paper's training set, from a measured rate."""
    network = create_backbone(backbone, embedding_size=DIMENSIONS).to(device)
    manifest = Manifest.read(folder / "faces")
    _settle_statistics(network, manifest.images(np.arange(8)), device)

    class Teacher(RandomTeacher):
        def embed(self, images: np.ndarray) -> np.ndarray:
            return embed(network, images, batch_size=64)

    count = 32 if device.type == "cpu" else 1000
    rows = np.arange(count)
    Teacher().embed(manifest.images(rows[:8]))  # begins slowly

    class Rows:
        image_fingerprint = "some"

        def __len__(self) -> int:
            return count

        def images(self, chosen: np.ndarray) -> np.ndarray:
            return manifest.images(rows[chosen])

    start = time.perf_counter()
    made: EmbeddingCache = cached_embeddings(Teacher(), Rows(), folder / "timed")
    rate = 2 * count / (time.perf_counter() - start)
    itemsize = made.view("original").dtype.itemsize
    return {
        "backbone": backbone,
        "measured images/s": rate,
        "hours for both views": 2 * PAPER_IMAGES / rate / 3600,
        "GiB": 2 * PAPER_IMAGES * DIMENSIONS * itemsize / 2**30,
    }


def _settle_statistics(network: torch.nn.Module, images: np.ndarray, device: torch.device) -> None:
    """Batch-norm statistics of a few images: without, a deep untrained network overflows."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            module.momentum = 1.0
    network.train()
    with torch.no_grad():
        network(to_input(torch.from_numpy(images).to(device)))
    network.eval()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Rate of training.")
    parser.add_argument("--backbones", help="comma-separated; by default as the device allows")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16"], default="auto")
    parser.add_argument("--augment", action="store_true", help="AdaFace's, in both ways")
    parser.add_argument("--teacher", default="iresnet100")
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()

    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print("no GPU here: nothing was measured")
        return
    device = choose_device(options.device)
    with torch_settings(device, options.threads):
        if options.child:
            child(options, device)
            return
        names = options.backbones or BACKBONES[device.type]
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            training_set(folder)
            rows = {b: measure(folder, b, options, device) for b in names.split(",")}
            teacher = teacher_cache(folder, options.teacher, device)
        threads = torch.get_num_threads()

    machine = describe_machine(device.type)
    if device.type == "cuda":
        machine["gpu"] = torch.cuda.get_device_name(device)
    settings = {"batch": options.batch, "augment": options.augment, "threads": threads}
    if options.json:
        report = {"machine": machine, **settings, "backbones": rows, "teacher": teacher}
        print(json.dumps(report, indent=2))
        return
    hardware = machine.get("gpu") or f"{machine['processor']}, {machine['cores']} cores"
    print(f"{hardware}, torch {machine['torch']}; {settings}")
    for name, row in rows.items():
        print(f"{name} ({row['precision']})")
        for key, value in row.items():
            if key != "precision":
                print(f"  {key:<28} {_shown(value)}")
    print(f"teacher's embeddings of {PAPER_IMAGES:,} images x 2 views")
    for key, value in teacher.items():
        print(f"  {key:<28} {_shown(value)}")


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_shown(item)}" for key, item in value.items())
    if isinstance(value, float):
        return f"{value:,.3g}" if abs(value) < 100 else f"{value:,.0f}"
    return str(value)


if __name__ == "__main__":
    main()
