"""Small folders of rendered faces, as a user would bring them, and a small teacher."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from evenface.data.manifest import Manifest
from evenface.render import render_dataset
from toy_onnx import write_recogniser


def write_folder(dataset: Path, out: Path) -> Path:
    """The images of a dataset folder as ``<group>/<identity>/<number>.png``."""
    manifest = Manifest.read(dataset)
    names, groups = manifest.column("identity"), manifest.groups()
    for number, (name, group, image) in enumerate(
        zip(names, groups, manifest.images(), strict=True)
    ):
        path = out / group / name / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return out


@pytest.fixture(scope="session")
def face_folders(tmp_path_factory) -> dict[str, Path]:
    """Folders "real" (12 people) and "synthetic" (6 people) of two groups, four images each."""
    root = tmp_path_factory.mktemp("faces")
    common = {"images_per_identity": 4, "seed": 3, "groups": ("asian", "african")}
    real = render_dataset(
        root / "a", look="camera", split="train", identities_per_group=6, **common
    )
    synthetic = render_dataset(
        root / "b", look="plain", split="validation", identities_per_group=3, **common
    )
    return {
        "real": write_folder(real, root / "real"),
        "synthetic": write_folder(synthetic, root / "synthetic"),
    }


@pytest.fixture(scope="session")
def teacher_file(tmp_path_factory) -> Path:
    """An ONNX recogniser that takes any batch."""
    return write_recogniser(tmp_path_factory.mktemp("teacher") / "Toy Teacher.onnx").path
