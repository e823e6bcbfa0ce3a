"""Trainings killed again and again at random, for minutes: ``make soak``.

``EVENFACE_SOAK_MINUTES`` says how long (10), ``EVENFACE_SOAK_SEED`` repeats what was drawn, though
not the moments: those are up to the machine.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from tiny_training import PixelTeacher, assert_same_bits, steps_saved, tiny_recipe, write_dataset

from evenface.data.manifest import Manifest
from evenface.teachers.cache import cached_embeddings
from evenface.train.recipe import TrainRecipe

MINUTES = float(os.environ.get("EVENFACE_SOAK_MINUTES", "10"))
SEED = int(os.environ.get("EVENFACE_SOAK_SEED", str(time.time_ns() % 10**6)))

CHOICES = {
    "head": [{"name": "adaface"}, {"name": "elasticarcface"}],
    "precision": ["fp32", "bf16", "fp16"],
    "ema": [None, {"decay": 0.99}],
    "micro_batches": [1, 2],
    "recompute": [False, True],
    "augment": [{}, {"crop": {}, "jpeg": {"probability": 0.3}, "randaugment": {}}],
    "recovery": [None, {}],
    "checkpoint_every": [1, 7],
    "loader": ["stream", "auto"],
    "loader_threads": [1, 3],
}


def run(path: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [
        sys.executable, "-m", "evenface.cli.main", "train", str(path), "--out", str(out)
    ]  # fmt: skip
    with open(path.parent / "stderr.txt", "ab") as said:
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said)


def drawn_recipe(draw: random.Random, data: Path, cache: Path) -> TrainRecipe:
    changes = {key: draw.choice(values) for key, values in CHOICES.items()}
    if changes["augment"]:
        changes["loader"] = "stream"
    backbone = {"name": "mini_s", "embedding_size": 8, "dropout": draw.choice([0.0, 0.2])}
    distill = draw.choice([None, {"cache": cache}])
    steps = {"kind": "cosine", "steps": 40}
    return tiny_recipe(data, backbone=backbone, distill=distill, schedule=steps, **changes)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_kills_at_random_moments_never_change_the_result(tmp_path, capsys):
    draw = random.Random(SEED)
    data = write_dataset(tmp_path / "faces")
    cache = cached_embeddings(PixelTeacher(), Manifest.read(data), tmp_path / "cache")
    end = time.monotonic() + 60 * MINUTES
    rounds, stops = 0, dict.fromkeys(("SIGKILL", "SIGTERM", "damage"), 0)
    while time.monotonic() < end or not rounds:
        recipe = drawn_recipe(draw, data, cache.folder)
        folder = tmp_path / f"round-{rounds}"
        folder.mkdir()
        (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
        assert run(folder / "recipe.yaml", folder / "whole").wait() == 0
        out = folder / "killed"
        while not (out / "run.json").exists():
            process = run(folder / "recipe.yaml", out)
            _wait_a_while(draw, process, out)
            number = draw.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM])
            if process.poll() is None:
                process.send_signal(number)
                stops[number.name] += 1
            code = process.wait()
            # By SIGTERM: before handlers were there, before a signal was heard, or at a step's end.
            assert code in (0, 75, 130, -signal.SIGKILL, -signal.SIGTERM), (
                code,
                recipe,
                (folder / "stderr.txt").read_text()[-2000:],
            )
            stops["damage"] += _damage(draw, out)
        try:
            assert_same_bits(folder / "whole", out)
        except AssertionError:
            raise AssertionError(f"seed {SEED}, round {rounds}: {recipe!r}") from None
        rounds += 1
        with capsys.disabled():
            print(f"\nsoak: seed {SEED}, {rounds} trainings, {stops}", end="", flush=True)
    assert sum(stops.values())


def _wait_a_while(draw: random.Random, process: subprocess.Popen[bytes], out: Path) -> None:
    """Now and then at any moment of the start, else some time after the next checkpoint."""
    if draw.random() < 0.2:
        time.sleep(draw.uniform(0, 3))
        return
    before = steps_saved(out)
    while process.poll() is None and steps_saved(out) == before:
        time.sleep(0.002)
    time.sleep(draw.uniform(0, 1))


def _damage(draw: random.Random, out: Path) -> bool:
    """Sometimes spoil the newest of two checkpoints, as a failing disk would."""
    paths = sorted((out / "checkpoints").glob("step-*"))
    if len(paths) < 2 or (out / "run.json").exists() or draw.random() > 0.3:
        return False
    data = bytearray(paths[-1].read_bytes())
    if draw.random() < 0.5:
        data = data[: draw.randrange(len(data))]
    else:
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    paths[-1].write_bytes(data)
    return True
