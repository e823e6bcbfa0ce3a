"""What trainings will take: device memory, disk and time, before they begin."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from evenface.train.recipe import HeadRecipe, TrainRecipe

_FLOAT = 4
"""Bytes of a saved weight or embedding."""
_VIEWS = 2
"""Of an image: as it is, and mirrored."""
_WARM_UP, _STEPS = 1, 5
_LONGEST = 20.0
"""Seconds; at least one step is timed."""


@dataclass(frozen=True)
class Weight:
    """What one training of a recipe weighs, in bytes.

    Attributes:
        memory: on its device, at its highest; work space of convolutions comes on top.
        disk: its weights and the checkpoints that are kept.
        parameters: of the backbone, a count.
    """

    memory: int
    disk: int
    parameters: int


def weigh(recipe: TrainRecipe, num_identities: int) -> Weight:
    """Estimate a training; see :func:`evenface.train.memory.estimate_memory`.

    Args:
        recipe: its embedding size must be settled.
        num_identities: number of classes.

    Raises:
        ImportError: torch is not installed.
        UsageError: the recipe's backbone does not exist.
    """
    from evenface.train.memory import estimate_memory

    memory = estimate_memory(recipe, num_identities, recipe.batch_size)
    width = 8 if recipe.precision == "fp64" else 4
    centres = num_identities * (recipe.backbone.embedding_size or 0)
    parameters = memory.weights // 2 // width - centres  # half of it is gradients
    checkpoint = memory.weights // 2 + memory.optimizer + memory.average
    disk = parameters * _FLOAT + recipe.keep_checkpoints * checkpoint
    return Weight(memory.total, disk, parameters)


def embedding_bytes(images: int, size: int) -> int:
    """Of a teacher's embeddings of so many images, both views."""
    return _VIEWS * images * size * _FLOAT


@dataclass(frozen=True)
class Pace:
    """How long a step of a recipe took.

    Attributes:
        recipe: of that training.
        seconds: of one step.
    """

    recipe: TrainRecipe
    seconds: float


def step_seconds(recipe: TrainRecipe, paces: Iterable[Pace]) -> float | None:
    """Seconds that a step of a recipe will take: the mean of those that were measured of its like.

    Alike are recipes of one backbone, batch and precision; of these, rather those that are both
    with or both without distillation. None where there is no such pace.
    """
    alike = [pace for pace in paces if kind_of(pace.recipe) == kind_of(recipe)]
    closest = [p for p in alike if (p.recipe.distill is None) == (recipe.distill is None)]
    found = closest or alike
    return fmean(pace.seconds for pace in found) if found else None


def kind_of(recipe: TrainRecipe) -> tuple[object, ...]:
    """What a step's time and memory depend on most, distillation aside."""
    return (
        recipe.backbone.name,
        recipe.backbone.embedding_size,
        recipe.batch_size,
        recipe.micro_batches,
        recipe.precision,
        recipe.recompute,
    )


def measure(
    recipe: TrainRecipe,
    num_identities: int,
    *,
    threads: int | None,
    most_images: int | None = None,
) -> Pace:
    """Take and time a few steps on images of noise, without distillation.

    Args:
        recipe: its embedding size must be settled.
        num_identities: number of classes.
        threads: of the CPU, as the study will use.
        most_images: of a step on a CPU; the time of a whole batch is in proportion.

    Raises:
        UsageError: its device is not there, or a part of it does not exist.
    """
    import time

    import numpy as np

    from evenface.train.batches import Batch
    from evenface.train.device import choose_device, torch_settings
    from evenface.train.learner import Learner

    head = recipe.head if recipe.head and recipe.head.weight else HeadRecipe(name="normface")
    plain = recipe.model_copy(update={"distill": None, "head": head})
    device = choose_device(recipe.device)
    rng = np.random.default_rng(0)
    images = recipe.batch_size
    if most_images is not None and device.type == "cpu" and images > most_images:
        images = most_images
        plain = plain.model_copy(update={"batch_size": images, "micro_batches": 1})
    rows = np.arange(images)
    batch = Batch(
        rng.integers(0, 256, (images, 112, 112, 3), dtype=np.uint8),
        rows % num_identities,
        None,
        rows,
        0,
        rows,
    )
    with torch_settings(device, threads):
        learner = Learner(plain, num_identities, device)
        seconds: list[float] = []
        for step in range(_WARM_UP + _STEPS):
            start = time.perf_counter()
            float(learner.step(batch, 1e-6, step)["loss"])  # waits for the device
            seconds.append(time.perf_counter() - start)
            if sum(seconds) > _LONGEST and step >= _WARM_UP:
                break
    return Pace(recipe, fmean(seconds[_WARM_UP:]) * recipe.batch_size / images)


def together(seconds: Sequence[float], workers: int) -> float:
    """Time on the clock of trainings that are dealt to workers, the longest first."""
    busy = [0.0] * workers
    for one in sorted(seconds, reverse=True):
        busy[busy.index(min(busy))] += one
    return max(busy)
