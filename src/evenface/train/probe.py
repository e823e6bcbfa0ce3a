"""How fast a training will be: a few of its steps, timed."""

from __future__ import annotations

import time
from dataclasses import dataclass

from evenface.seeds import derive_seed
from evenface.train.device import choose_device, torch_settings
from evenface.train.job import Job
from evenface.train.learner import Learner
from evenface.train.loader import open_source
from evenface.train.monitor import memory_used

_WARM_UP, _STEPS = 3, 10
_LONGEST = 30.0
"""Seconds; at least one step is timed."""


@dataclass(frozen=True)
class Probe:
    """What was measured.

    Attributes:
        device: where.
        rate: images a second, reading and augmenting included.
        memory: peak bytes, on the GPU or of this process.
    """

    device: str
    rate: float
    memory: int


def probe(job: Job) -> Probe:
    """Take and time the first steps of a job; nothing is written.

    Raises:
        UsageError: as :func:`evenface.train.loop.train`.
    """
    device = choose_device(job.recipe.device)
    with torch_settings(device, job.recipe.threads):
        learner = Learner(job.recipe, job.num_identities, device, job.supply)
        source = open_source(job, device)
        began = time.monotonic()
        timed = 0.0
        done = 0
        for step, batch in enumerate(source.prefetch(range(_WARM_UP + _STEPS))):
            start = time.perf_counter()
            if step == _WARM_UP:
                timed = start
            values = learner.step(batch, 1e-6, derive_seed(job.recipe.seed, "step", step))
            float(values["loss"])  # waits for the device
            if step >= _WARM_UP:
                done += 1
                if time.monotonic() - began > _LONGEST:
                    break
        rate = done * source.batch_size / (time.perf_counter() - timed)
    return Probe(str(device), rate, memory_used(device))
