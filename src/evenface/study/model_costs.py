"""What students cost against how accurate they are: size, work, time and energy."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from evenface.study.grid import Grid
from evenface.study.inference import MEAN
from evenface.study.record import Pareto

WATTS_A_CORE = 10.0
"""Power that a CPU core is assumed to draw under load, W: an assumption, not a measurement. Server
processors are rated at 5 to 15 W a core (thermal design power by cores)."""
ACCURACY = "accuracy"


@dataclass(frozen=True)
class Cost:
    """What one model costs; None where unknown.

    Attributes:
        parameters: of the network.
        macs: multiply–adds for one image.
        seconds: of one training.
        energy_wh: of one training, Wh, an estimate: see :func:`energy_wh`.
    """

    parameters: float | None = None
    macs: float | None = None
    seconds: float | None = None
    energy_wh: float | None = None


def count_macs(backbone: str, embedding_size: int) -> int:
    """Multiply–adds of a registered backbone for one 112×112 image.

    Counted by torch on shapes alone, without memory for weights: convolutions and matrix products,
    at half their floating-point operations, as the literature counts. What has no multiply–adds of
    that kind (activations, normalisation, pooling) is left out, as is usual.

    Raises:
        ValueError: an unknown backbone.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from evenface.models import create_backbone

    with torch.device("meta"), torch.inference_mode():
        network = create_backbone(backbone, embedding_size=embedding_size).eval()
        counter = FlopCounterMode(display=False)
        with counter:
            network(torch.empty(1, 3, 112, 112))
    return counter.get_total_flops() // 2


def count_parameters(backbone: str, embedding_size: int) -> int:
    """Parameters of a registered backbone; ValueError for an unknown one."""
    import torch

    from evenface.models import create_backbone

    with torch.device("meta"):
        network = create_backbone(backbone, embedding_size=embedding_size)
    return sum(parameter.numel() for parameter in network.parameters())


def energy_wh(seconds: float | None, watts: float | None) -> float | None:
    """Energy of a training, Wh, as if it drew a constant power throughout.

    An estimate to compare models of one study by, not a measurement: with the power limit of a GPU
    it is an upper one for the GPU and leaves out the rest of the machine.

    Args:
        seconds: it took; None if unknown.
        watts: see :func:`power`.
    """
    return None if seconds is None or watts is None else seconds * watts / 3600


def power(device: str, threads: int | None, watts_a_core: float = WATTS_A_CORE) -> float | None:
    """Power that a training is taken to draw, W; None where nothing is known.

    Args:
        device: "cpu", or "cuda" with or without an index.
        threads: that a training on a CPU keeps busy.
        watts_a_core: assumed on a CPU.
    """
    kind, _, index = device.partition(":")
    if kind == "cpu":
        return None if threads is None else threads * watts_a_core
    return _gpu_power_limit(int(index or 0)) if kind == "cuda" else None


def pareto(grid: Grid, costs: Mapping[str, Cost]) -> list[Pareto]:
    """The front of accuracy and costs on one benchmark; none without costs.

    Models on the front of mean accuracy over groups and every cost that is known of all students:
    no other is at least as good in all of these and better in one. A teacher takes part where the
    same costs are known of it. By values, whatever the intervals.
    """
    arms = [arm for arm in grid.arms if arm.kind != "untrained" and arm.id in costs]
    of_students = [costs[arm.id] for arm in arms if arm.kind == "student"]
    known = [
        name
        for name in ("parameters", "macs", "seconds", "energy_wh")
        if of_students and all(getattr(cost, name) is not None for cost in of_students)
    ]
    points = {}
    for arm in arms:
        accuracy = grid.whole(arm).estimate(MEAN).value
        spent = [getattr(costs[arm.id], name) for name in known]
        if accuracy is not None and None not in spent:
            points[arm.id] = (-accuracy, *spent)
    if not known or not points:
        return []
    front = [i for i, of in points.items() if not any(_better(p, of) for p in points.values())]
    axes = (ACCURACY, *known)
    return [Pareto(benchmark=grid.benchmark, models=tuple(front), axes=axes)]


def _better(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Whether one is nowhere larger and somewhere smaller."""
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


def _gpu_power_limit(index: int) -> float | None:
    """As the driver's tool has it; None without the tool or an answer."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    command = [
        tool,
        f"--id={index}",
        "--query-gpu=power.limit",
        "--format=csv,noheader,nounits",
    ]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        return float(answer.stdout.strip())
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
