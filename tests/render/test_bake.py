"""The baked head model against anny's own forward pass."""

from __future__ import annotations

import numpy as np
import pytest

from evenface.errors import DataError
from evenface.render.bake import Head, load_head, open_anny, phenotype
from evenface.render.names import GROUPS

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def anny_model():
    return open_anny()


@pytest.mark.parametrize("number", range(3))
@pytest.mark.filterwarnings("ignore")
def test_bake_equals_anny(anny_model, number):
    head = load_head()
    rng = np.random.default_rng(number)
    mix = rng.dirichlet(np.ones(len(GROUPS))) if number else np.eye(len(GROUPS))[0]
    person = {name: float(rng.random()) for name in ("gender", "age", "weight")}
    axes = np.clip(rng.normal(0, 0.3, len(head.axis_names)), -1, 1).astype(np.float32)
    actions = {name: float(rng.random()) for name in rng.choice(head.action_names, 5)}
    with torch.inference_mode():
        expected = anny_model(
            phenotype_kwargs=phenotype(mix, **person),
            local_changes_kwargs=dict(zip(head.axis_names, axes.tolist(), strict=True)),
            facial_actions=actions,
        )["rest_vertices"][0].numpy()
    got = head.act(head.shape(mix, **person, axes=axes), actions)
    assert np.abs(got - expected).max() < 2e-6  # metres


def test_axes_leave_the_pose_alone():
    names = load_head().axis_names
    assert len(names) > 100
    assert not [name for name in names if name.startswith(("head-angle", "head-trans"))]


def test_landmarks_of_the_template_are_symmetric():
    head = load_head()
    right_eye, left_eye, nose, right_mouth, left_mouth = head.points(head.template)
    mirror = np.array([-1, 1, 1])
    np.testing.assert_allclose(right_eye * mirror, left_eye, atol=1e-5)
    np.testing.assert_allclose(right_mouth * mirror, left_mouth, atol=1e-4)
    assert abs(nose[0]) < 1e-4
    assert right_eye[0] < 0 < left_eye[0]
    assert right_eye[2] > nose[2] > right_mouth[2]


def test_saving_and_loading_gives_the_same_head(tmp_path):
    head = load_head()
    head.save(tmp_path / "head.npz")
    again = Head.load(tmp_path / "head.npz")
    assert again.axis_names == head.axis_names
    np.testing.assert_array_equal(again.grid, head.grid)
    np.testing.assert_array_equal(again.landmarks, head.landmarks)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut"])
def test_damaged_head_is_named(tmp_path, content):
    path = tmp_path / "head.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"head\.npz: damaged"):
        Head.load(path)
