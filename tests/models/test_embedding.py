"""Embedding with a backbone, and loading what a run has left."""

from __future__ import annotations

import json

import numpy as np
import pytest
import safetensors.torch
import torch

from evenface.errors import DataError
from evenface.files import sha256_file
from evenface.models import create_backbone, embed, load_run_backbone
from evenface.teachers import load_teacher


@pytest.fixture
def backbone():
    torch.manual_seed(0)
    return create_backbone("mobilefacenet_small", embedding_size=8)


@pytest.fixture
def faces():
    return np.random.default_rng(0).integers(0, 256, (7, 112, 112, 3), dtype=np.uint8)


def test_pixels_are_scaled_to_one_and_channels_come_first(backbone, faces):
    values = torch.from_numpy(((faces / 255 - 0.5) / 0.5).transpose(0, 3, 1, 2)).float()
    backbone.eval()
    with torch.inference_mode():
        expected = backbone(values).numpy()
    embeddings = embed(backbone, faces, batch_size=3)
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(embeddings, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_the_backbone_is_left_as_it_was(backbone, faces, training):
    backbone.train(training)
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    embed(backbone, faces)
    assert backbone.training is training
    for key, value in backbone.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_no_images_give_no_embeddings(backbone):
    assert embed(backbone, np.zeros((0, 112, 112, 3), np.uint8)).shape == (0, 8)


def test_mirrored_and_read_only_images_are_taken(backbone, faces):
    mirrored = faces[:, :, ::-1]
    mirrored.flags.writeable = False
    np.testing.assert_array_equal(embed(backbone, mirrored), embed(backbone, mirrored.copy()))


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        (np.zeros((2, 112, 112, 3)), {}, r"images must be uint8 .* got float64"),
        (np.zeros((112, 112, 3), np.uint8), {}, r"got uint8 \(112, 112, 3\)"),
        (np.zeros((1, 112, 112, 3), np.uint8), {"batch_size": 0}, "batch_size"),
    ],
)
def test_other_images_are_refused(backbone, images, options, message):
    with pytest.raises(ValueError, match=message):
        embed(backbone, images, **options)


@pytest.fixture
def run(tmp_path, backbone):
    safetensors.torch.save_file(backbone.state_dict(), tmp_path / "weights.safetensors")
    record = {"backbone": "mobilefacenet_small", "embedding_size": 8}
    (tmp_path / "run.json").write_text(json.dumps(record))
    return tmp_path


def test_a_run_gives_its_backbone(run, backbone, faces):
    loaded = load_run_backbone(run)
    assert not loaded.training
    np.testing.assert_array_equal(embed(loaded, faces), embed(backbone, faces))


def test_runs_that_do_not_fit_are_refused(run):
    record = run / "run.json"
    record.write_text('{"backbone": "mobilefacenet_small", "embedding_size": 16}')
    with pytest.raises(DataError, match=r"weights\.safetensors: .* of another shape"):
        load_run_backbone(run)
    record.write_text('{"backbone": "vit", "embedding_size": 16}')
    with pytest.raises(DataError, match=r"run\.json: unknown backbone 'vit'"):
        load_run_backbone(run)
    record.write_text('{"steps": 3}')
    with pytest.raises(DataError, match=r"run\.json: no backbone and embedding_size"):
        load_run_backbone(run)
    record.unlink()
    with pytest.raises(DataError, match="no such file"):
        load_run_backbone(run)


def test_weights_that_the_record_does_not_know_are_refused(run):
    weights, record = run / "weights.safetensors", run / "run.json"
    known = json.loads(record.read_text()) | {"weights_sha256": sha256_file(weights)}
    record.write_text(json.dumps(known))
    load_run_backbone(run)
    load_teacher(run)
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 0x40
    weights.write_bytes(content)
    for load in (load_run_backbone, load_teacher, lambda run: load_teacher(run / weights.name)):
        with pytest.raises(
            DataError, match=r"weights\.safetensors: not the weights that run\.json"
        ):
            load(run)


def test_damaged_and_missing_weights_are_named(run):
    weights = run / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"weights\.safetensors: not a readable state dict"):
        load_run_backbone(run)
    weights.unlink()
    with pytest.raises(DataError, match=r"weights\.safetensors: no such file"):
        load_run_backbone(run)
