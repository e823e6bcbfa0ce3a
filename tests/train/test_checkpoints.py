"""Checkpoints: what goes in comes out, damage is found, the folder stays in order."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evenface.errors import DataError, UsageError
from evenface.train.checkpoint import Checkpoint, Checkpoints, Progress, Setback

LEARNER = {
    "backbone": {"a.weight": torch.arange(6.0).reshape(2, 3), "counter": torch.tensor(3)},
    "optimizer": {"state": {0: {"momentum_buffer": torch.ones(2)}, 1: {"none": None}}, "lr": [0.1]},
    "scaler": {},
}


def checkpoint(step, learner=None):
    progress = Progress(step, 1.5, 20, (Setback(2, 3),))
    return Checkpoint(progress, {"threads": 1}, learner or LEARNER)


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path, "print", keep=2)


def assert_equal(ours, theirs):
    if isinstance(theirs, torch.Tensor):
        assert ours.dtype == theirs.dtype
        assert torch.equal(ours, theirs)
    elif isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        for key, value in theirs.items():
            assert_equal(ours[key], value)
    elif isinstance(theirs, list):
        for one, other in zip(ours, theirs, strict=True):
            assert_equal(one, other)
    else:
        assert (type(ours), ours) == (type(theirs), theirs)


def test_none_is_none(checkpoints):
    assert checkpoints.newest() is None


def test_what_goes_in_comes_out(checkpoints):
    checkpoints.save(checkpoint(7))
    found = checkpoints.newest()
    assert (found.progress, found.environment) == (checkpoint(7).progress, {"threads": 1})
    assert_equal(found.learner, LEARNER)


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from([torch.zeros(0), torch.ones(2, 3).T, torch.tensor(True), torch.arange(4)])
)
KEYS = st.text(max_size=5) | st.integers(0, 9)
STATES = st.dictionaries(
    KEYS, st.recursive(LEAVES, lambda x: st.lists(x, max_size=3) | st.dictionaries(KEYS, x))
)


@given(STATES)
@settings(max_examples=40, deadline=None)
def test_any_state_comes_back(tmp_path_factory, state):
    checkpoints = Checkpoints(tmp_path_factory.mktemp("run"), "print", keep=1)
    checkpoints.save(checkpoint(1, {"state": state}))
    assert_equal(checkpoints.newest().learner, {"state": state})


def test_the_newest_are_kept(checkpoints):
    for step in (9, 10, 100):
        checkpoints.save(checkpoint(step))
    assert [path.name for path in checkpoints.paths()] == [
        "step-000000010.safetensors", "step-000000100.safetensors"
    ]  # fmt: skip
    assert checkpoints.newest().progress.step == 100


@pytest.mark.parametrize("place", [0, 5, 100, -1, -9])
def test_any_flipped_bit_is_found(checkpoints, capsys, place):
    checkpoints.save(checkpoint(1))
    checkpoints.save(checkpoint(2))
    path = checkpoints.paths()[-1]
    data = bytearray(path.read_bytes())
    data[place] ^= 4
    path.write_bytes(data)
    assert checkpoints.newest().progress.step == 1
    message = capsys.readouterr().err
    assert f"{path}: damaged checkpoint" in message
    assert "Going back to the one before" in message
    assert not path.exists()


def test_a_damaged_one_never_displaces_a_whole_one(checkpoints):
    for step in (1, 2):
        checkpoints.save(checkpoint(step))
    for step in (3, 4):
        newest = checkpoints.paths()[-1]
        newest.write_bytes(newest.read_bytes()[:-9])
        assert checkpoints.newest().progress.step in (1, 3)
        checkpoints.save(checkpoint(step))
    assert checkpoints.newest().progress.step == 4


@pytest.mark.parametrize("length", [0, 4, 300, -1])
def test_cut_files_are_passed_over(checkpoints, length):
    checkpoints.save(checkpoint(1))
    checkpoints.save(checkpoint(2))
    path = checkpoints.paths()[-1]
    path.write_bytes(path.read_bytes()[:length])
    assert checkpoints.newest().progress.step == 1
    checkpoints.paths()[0].write_bytes(b"")
    checkpoints.save(checkpoint(3))
    checkpoints.paths()[1].write_bytes(b"")
    with pytest.raises(DataError, match=r"every checkpoint is damaged. Delete .*checkpoints to"):
        checkpoints.newest()


def test_those_of_another_run_are_refused(checkpoints, tmp_path):
    checkpoints.save(checkpoint(1))
    with pytest.raises(UsageError, match=r"another recipe.*or delete .*"):
        Checkpoints(tmp_path, "other", keep=2).newest()


def test_remains_of_a_killed_writer_are_deleted(checkpoints):
    checkpoints.save(checkpoint(1))
    remains = checkpoints.folder / ".step-000000002.abcd.tmp.safetensors"
    remains.write_bytes(b"half")
    assert checkpoints.newest().progress.step == 1
    assert not remains.exists()
