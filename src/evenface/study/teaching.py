"""A teacher is trained on all GPUs of the machine, or by several processes of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

import yaml

from evenface.console import note
from evenface.errors import EvenfaceError
from evenface.files import write_text
from evenface.parallel import usable_cores
from evenface.study.executors.local import visible_gpus
from evenface.train.recipe import TrainRecipe

LAUNCH_NAME = "launch.yaml"
"""In a teacher's run folder: the recipe that its processes read."""
_PATIENCE = 120.0
"""Seconds that processes have to save and end when the training is to stop."""


def train_teacher(folder: Path, recipe: TrainRecipe, processes: int | Literal["auto"]) -> None:
    """Train into a run folder, or go on from its last checkpoint with any number of processes.

    Args:
        folder: the run's.
        recipe: of the teacher.
        processes: on this machine, one a GPU where there are any; "auto": all GPUs, as far as they
            can share a batch equally, or one process on CPUs.

    Raises:
        EvenfaceError: the training failed; its messages are on standard error.
        KeyboardInterrupt: it was asked to stop, and has saved a checkpoint.
    """
    count = _fitting(recipe, len(visible_gpus())) if processes == "auto" else processes
    if count <= 1:
        from evenface.train.loop import train

        train(recipe, folder)
        return
    content = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)
    write_text(folder / LAUNCH_NAME, content)
    note(f"{recipe.name}: trained by {count} processes of this machine")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={count}", "-m", "evenface", "train"]
    command += [str(folder / LAUNCH_NAME), "--out", str(folder)]
    threads = str(max(1, usable_cores() // count))
    process = subprocess.Popen(command, env={"OMP_NUM_THREADS": threads} | os.environ)
    try:
        code = process.wait()
    except BaseException:
        process.terminate()  # torchrun hands it on, and each process saves at the same step
        process.wait(_PATIENCE)
        raise
    if code:
        raise EvenfaceError(
            f"{folder}: the training by {count} processes ended with exit code {code}; its "
            "messages are above. Rerun the same command to continue from the last checkpoint"
        )


def _fitting(recipe: TrainRecipe, most: int) -> int:
    """The largest number of processes, up to ``most``, that can share a batch equally."""
    fitting = (
        count
        for count in range(most, 1, -1)
        if recipe.batch_size % (count * recipe.micro_batches) == 0
        and recipe.batch_size >= 2 * count * recipe.micro_batches
    )
    return next(fitting, 1)
