import sys

import numpy as np
import pytest

from evenface.errors import DataError, MissingAssetError, MissingDependencyError, UsageError
from evenface.teachers import load_teacher


def test_onnx_file_is_loaded_with_its_options(recogniser, faces):
    teacher = load_teacher(recogniser.path, order="BGR", mean=None)
    assert (teacher.name, teacher.embedding_size) == ("toy", 6)
    assert "BGR" in teacher.details["preprocessing"]
    assert teacher.embed(faces).shape == (11, 6)


def test_path_may_be_text(recogniser):
    assert load_teacher(str(recogniser.path)).fingerprint == (
        load_teacher(recogniser.path).fingerprint
    )


def test_missing_sface_names_the_command(monkeypatch, tmp_path):
    monkeypatch.setenv("EVENFACE_CACHE_DIR", str(tmp_path))
    with pytest.raises(MissingAssetError, match="evenface assets get sface"):
        load_teacher("sface")


@pytest.mark.parametrize("spec", ["sfaces", "weights.bin", "nowhere/run"])
def test_unrecognised_teacher_lists_what_is_known(spec):
    with pytest.raises(
        UsageError, match=r"not recognised; give a name \(sface, small, small-int8, study\).*\.onnx"
    ):
        load_teacher(spec)


def test_folder_that_is_no_run_is_told(tmp_path):
    with pytest.raises(DataError, match=r"holds no run\.json"):
        load_teacher(tmp_path)


def test_option_of_another_kind_is_refused(recogniser):
    with pytest.raises(UsageError, match=r"option 'backbone' does not apply.*ONNX file.*order"):
        load_teacher(recogniser.path, backbone="iresnet18")


def test_missing_torch_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, "evenface.teachers.checkpoint", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(MissingDependencyError, match=r"evenface\[train\]"):
        load_teacher(tmp_path / "weights.pt", backbone="iresnet18")


def test_no_images_give_no_embeddings(recogniser):
    nothing = np.zeros((0, 112, 112, 3), np.uint8)
    assert load_teacher(recogniser.path).embed(nothing).shape == (0, 6)
