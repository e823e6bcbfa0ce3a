"""README's step-by-step walk: every command as typed, on rendered faces."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pages import ROOT, blocks
from PIL import Image

from evenface.data.manifest import Manifest
from evenface.files import read_json
from evenface.parallel import SINGLE_THREADED
from evenface.render import render_dataset
from toy_onnx import write_recogniser

FIRST, LAST = "$ evenface data import", "evenface verify"
RENDERS = {
    "real": {"look": "camera", "split": "train", "identities_per_group": 4},
    "synthetic": {
        "look": "plain",
        "split": "train",
        "identities_per_group": 4,
        "first_identity": 100,
    },
    "test": {"look": "camera", "split": "test", "identities_per_group": 10},
}
"""Folder of faces/ → what is rendered into it: three groups, four images a person."""


def walk() -> list[str]:
    """The commands of README's block from the first import to the verification."""
    found = [
        block.text.splitlines()
        for block in blocks("console")
        if block.page == "README.md" and block.text.startswith(FIRST) and LAST in block.text
    ]
    assert len(found) == 1, "README has no block from `evenface data import` to `evenface verify`"
    assert all(line.startswith("$ evenface ") for line in found[0])
    return [line.removeprefix("$ ") for line in found[0]]


def lay_out(folder: Path) -> None:
    """faces/<set>/<group>/<identity>/<image>.png, teacher.onnx (128 numbers), a.jpg and b.jpg."""
    for name, options in RENDERS.items():
        rendered = render_dataset(
            folder / "rendered" / name, images_per_identity=4, seed=0, **options
        )
        manifest = Manifest.read(rendered)
        images = manifest.images(range(len(manifest)))
        people = zip(manifest.groups(), manifest.column("identity"), strict=True)
        for row, (group, identity) in enumerate(people):
            path = folder / "faces" / name / group / identity / f"{row}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(images[row]).save(path)
    shutil.rmtree(folder / "rendered")
    same_person = min((folder / "faces" / "test").glob("*/*"))
    for name, path in zip(("a", "b"), sorted(same_person.iterdir()), strict=False):
        Image.open(path).save(folder / f"{name}.jpg", quality=95)
    write_recogniser(folder / "teacher.onnx", dimensions=128)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_command_runs_as_typed(tmp_path: Path) -> None:
    commands = walk()  # before anything is rendered
    lay_out(tmp_path)
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), **SINGLE_THREADED}
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-m", *shlex.split(command)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        assert "internal error" not in done.stderr, command
        assert "Traceback" not in done.stderr, command
        assert done.stdout.strip() or done.stderr.strip(), command
    run = read_json(tmp_path / "runs/student/run.json")
    assert run["finished"]
    assert run["embedding_size"] == 128  # the teacher's
    assert "cosine" in done.stdout  # of `verify`, the last
