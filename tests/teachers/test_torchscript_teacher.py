"""TorchScript files as teachers, against the module that was saved."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from evenface.errors import DataError, UsageError  # noqa: E402
from evenface.teachers import load_teacher  # noqa: E402


class Pool(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.avg_pool2d(images, 28).flatten(1)


class Fixed(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.reshape(1, 3, -1).mean(2)


class Pair(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return images.mean((2, 3)), images


class Image(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images


def save(module: torch.nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(module).save(str(path))
    return path


@pytest.mark.parametrize("name", ["model.pt", "model.pth", "model.ts", "model.torchscript"])
def test_embeds_as_the_module(tmp_path: Path, faces: np.ndarray, name: str) -> None:
    teacher = load_teacher(save(Pool(), tmp_path / name))
    expected = (faces.astype(np.float32) - 127.5) / 127.5
    cells = expected.reshape(len(faces), 4, 28, 4, 28, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(
        teacher.embed(faces), cells.transpose(0, 3, 1, 2).reshape(len(faces), -1), atol=1e-5
    )
    assert teacher.embedding_size == 48
    assert "RGB" in teacher.details["preprocessing"]


class Vector(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3), keepdim=True) * images.shape[3]


def test_another_size_is_declared_and_two_dimensions_of_size_one_are_dropped(
    tmp_path: Path, faces: np.ndarray
) -> None:
    path = save(Vector(), tmp_path / "m.ts")
    (tmp_path / "m.ts.json").write_text('{"size": [112, 96], "fit": "crop"}')
    expected = ((faces[:, :, 8:104] / 127.5) - 1).mean(axis=(1, 2)) * 96
    np.testing.assert_allclose(load_teacher(path).embed(faces), expected, atol=1e-3)
    with pytest.raises(UsageError, match=r"other\.ts: faces are 112×112, the input is 160×160"):
        load_teacher(save(Vector(), tmp_path / "other.ts"), size=(160, 160))


def test_preprocessing_is_declared_by_option_or_sidecar(tmp_path: Path, faces: np.ndarray) -> None:
    path = save(Pair(), tmp_path / "m.ts")
    by_option = load_teacher(path, mean=0.0, std=1.0, order="BGR")
    expected = faces.mean(axis=(1, 2))[:, ::-1]
    np.testing.assert_allclose(by_option.embed(faces), expected, rtol=1e-4)
    sidecar = tmp_path / "m.ts.json"
    sidecar.write_text(json.dumps({"mean": 0, "std": [1, 1, 1], "order": "BGR"}))
    by_sidecar = load_teacher(path)
    np.testing.assert_array_equal(by_sidecar.embed(faces), by_option.embed(faces))
    assert by_sidecar.fingerprint == by_option.fingerprint
    sidecar.write_text('{"gamma": 2}')
    with pytest.raises(DataError, match=r"m.ts.json: declares no preprocessing"):
        load_teacher(path)


def test_models_of_one_image(tmp_path: Path, faces: np.ndarray) -> None:
    teacher = load_teacher(save(Fixed(), tmp_path / "m.ts"))
    assert teacher.embed(faces).shape == (len(faces), 3)


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "m.ts"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match="cannot read this as TorchScript"):
        load_teacher(path)
    with pytest.raises(DataError, match="no such file"):
        load_teacher(tmp_path / "none.ts")
    with pytest.raises(DataError, match="output must have the shape"):
        load_teacher(save(Image(), path))
    with pytest.raises(UsageError, match="'backbone' does not apply"):
        load_teacher(path, backbone="r18")


def test_weights_are_not_taken_for_torchscript(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "w.pt")
    with pytest.raises(UsageError, match="name the backbone"):
        load_teacher(tmp_path / "w.pt")
