import json
import pickle

import numpy as np
import pytest
import safetensors.torch
import torch

from evenface.errors import DataError, UsageError
from evenface.models import create_backbone
from evenface.teachers import load_teacher

BACKBONE = "mobilefacenet_small"


@pytest.fixture
def model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = create_backbone(BACKBONE, embedding_size=32)
    return model.eval()


@pytest.fixture
def run_folder(tmp_path, model):
    folder = tmp_path / "student-7"
    folder.mkdir()
    safetensors.torch.save_file(model.state_dict(), folder / "weights.safetensors")
    record = {"backbone": BACKBONE, "embedding_size": 32, "finished": True}
    (folder / "run.json").write_text(json.dumps(record))
    return folder


def expected(model, images):
    values = (torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - 0.5) / 0.5
    with torch.inference_mode():
        return model(values).numpy()


def assert_same(embeddings, reference):
    np.testing.assert_allclose(embeddings, reference, rtol=1e-3, atol=1e-4)


def test_run_folder_is_a_teacher(run_folder, model, faces):
    teacher = load_teacher(run_folder)
    assert (teacher.name, teacher.embedding_size) == ("student-7", 32)
    assert teacher.details["backbone"] == BACKBONE
    embeddings = teacher.embed(faces)
    assert embeddings.dtype == np.float32
    assert_same(embeddings, expected(model, faces))


def test_weights_inside_a_run_need_no_backbone(run_folder):
    by_file = load_teacher(run_folder / "weights.safetensors")
    assert by_file.fingerprint == load_teacher(run_folder).fingerprint


@pytest.mark.parametrize("count", [0, 1, 33])
def test_any_number_of_images(run_folder, count):
    images = np.random.default_rng(1).integers(0, 256, (count, 112, 112, 3), dtype=np.uint8)
    teacher = load_teacher(run_folder)
    embeddings = teacher.embed(images)
    assert embeddings.shape == (count, 32)
    if count:
        assert_same(embeddings[-1:], teacher.embed(images[-1:]))


def test_mirrored_views_are_accepted(run_folder, faces):
    teacher = load_teacher(run_folder)
    mirrored = faces[:, :, ::-1]
    assert_same(teacher.embed(mirrored), teacher.embed(np.ascontiguousarray(mirrored)))


@pytest.mark.parametrize("wrapping", ["bare", "module", "state_dict", "no counters"])
def test_state_dicts_as_they_are_published(tmp_path, model, faces, wrapping):
    state = model.state_dict()
    if wrapping == "module":
        state = {f"module.{key}": value for key, value in state.items()}
    elif wrapping == "state_dict":
        state = {"epoch": 3, "state_dict": state}
    elif wrapping == "no counters":
        state = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    path = tmp_path / "backbone.pth"
    torch.save(state, path)
    teacher = load_teacher(path, backbone=BACKBONE, embedding_size=32)
    assert teacher.name == "backbone"
    assert_same(teacher.embed(faces), expected(model, faces))


def test_embedding_size_of_an_iresnet_is_read_from_its_weights(tmp_path, faces):
    path = tmp_path / "r18.pt"
    torch.save(create_backbone("iresnet18", embedding_size=64).state_dict(), path)
    teacher = load_teacher(path, backbone="iresnet18")
    assert teacher.embed(faces[:2]).shape == (2, 64)


def test_fingerprint_depends_on_the_weights(tmp_path, model):
    fingerprints = set()
    for number in range(2):
        path = tmp_path / f"{number}.pt"
        state = model.state_dict()
        first = next(iter(state))
        torch.save({**state, first: state[first] + number}, path)
        teacher = load_teacher(path, backbone=BACKBONE, embedding_size=32)
        fingerprints.add(teacher.fingerprint)
    assert len(fingerprints) == 2


def test_weights_of_another_backbone_are_told_key_by_key(tmp_path, model):
    state = model.state_dict()
    keys = sorted(key for key in state if not key.endswith("num_batches_tracked"))
    state["surplus"] = torch.zeros(3)
    del state[keys[0]]
    state[keys[1]] = torch.zeros(1, 2, 3)
    path = tmp_path / "other.pt"
    torch.save(state, path)
    with pytest.raises(DataError) as failure:
        load_teacher(path, backbone=BACKBONE, embedding_size=32)
    message = str(failure.value)
    assert f"1 missing ({keys[0]})" in message
    assert "1 unexpected (surplus)" in message
    assert f"1 of another shape ({keys[1]} (1, 2, 3) instead of" in message


def test_backbone_must_be_named_and_known(tmp_path, model):
    path = tmp_path / "bare.pt"
    torch.save(model.state_dict(), path)
    with pytest.raises(UsageError, match=r"name the backbone.*iresnet50"):
        load_teacher(path)
    with pytest.raises(UsageError, match=r"unknown backbone 'vgg'; known:.*iresnet50"):
        load_teacher(path, backbone="vgg")


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"not weights", "half"])
def test_unreadable_weights_are_told(tmp_path, model, suffix, content):
    path = tmp_path / f"broken{suffix}"
    if suffix == ".pt":
        torch.save(model.state_dict(), path)
    else:
        safetensors.torch.save_file(model.state_dict(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content == "half" else content)
    with pytest.raises(DataError, match=rf"broken\{suffix}: not a readable state dict"):
        load_teacher(path, backbone=BACKBONE)


class Payload:
    """Stands for code inside a pickle."""

    def __reduce__(self):
        return (print, ("this must not run",))


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_pickle_is_not_run(tmp_path, capsys, legacy):
    path = tmp_path / "evil.pt"
    if legacy:
        path.write_bytes(pickle.dumps(Payload(), protocol=2))
    else:
        torch.save(Payload(), path)
    with pytest.raises(DataError, match="Only plain weights are read"):
        load_teacher(path, backbone=BACKBONE)
    assert "must not run" not in capsys.readouterr().out


@pytest.mark.parametrize("content", [{}, [1.0], {"epoch": 3}])
def test_what_is_no_state_dict_is_told(tmp_path, content):
    path = tmp_path / "odd.pt"
    torch.save(content, path)
    with pytest.raises(DataError, match=r"odd\.pt: "):
        load_teacher(path, backbone=BACKBONE)


def test_missing_weights_are_named(tmp_path, run_folder):
    with pytest.raises(DataError, match=r"nowhere\.pt: no such file"):
        load_teacher(tmp_path / "nowhere.pt", backbone=BACKBONE)
    (run_folder / "weights.safetensors").unlink()
    with pytest.raises(DataError, match=r"weights\.safetensors: no such file"):
        load_teacher(run_folder)


@pytest.mark.parametrize("record", ["{}", "[]", '{"backbone": "x", "embedding_size": "many"}'])
def test_damaged_run_record_is_told(run_folder, record):
    (run_folder / "run.json").write_text(record)
    with pytest.raises(DataError, match=r"run\.json: no backbone and embedding_size"):
        load_teacher(run_folder)


def test_nan_weights_are_told(tmp_path, model):
    state = model.state_dict()
    first = next(key for key in state if key.endswith("weight"))
    path = tmp_path / "nan.pt"
    torch.save({**state, first: torch.full_like(state[first], float("nan"))}, path)
    with pytest.raises(DataError, match=r"nan\.pt: the embeddings of 2 of 2 images are NaN"):
        load_teacher(path, backbone=BACKBONE, embedding_size=32)
