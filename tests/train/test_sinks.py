"""Sinks get what the log has, and nothing leaves the machine unasked."""

from __future__ import annotations

import os
import sys
import types

import pytest
from tiny_training import log

from evenface.errors import MissingDependencyError, UsageError
from evenface.train.loop import train
from evenface.train.sinks import SINKS, SinkRun, open_sinks
from evenface.train.watching import Verified


class Recorder:
    """A sink that remembers."""

    def __init__(self):
        self.written = []
        self.closed = 0

    def write(self, step, values):
        self.written.append((step, dict(values)))

    def close(self):
        self.closed += 1


@pytest.fixture
def recorder(monkeypatch):
    sink = Recorder()
    monkeypatch.setitem(SINKS._items, "recorder", lambda run: sink)
    return sink


class Wandb(types.ModuleType):
    """Stands in for the package: what is asked of it, in order."""

    def __init__(self):
        super().__init__("wandb")
        self.calls = []
        self.Settings = lambda **given: given

    def init(self, **given):
        self.calls.append(("init", given, os.environ.get("WANDB_ERROR_REPORTING")))
        return self

    def log(self, values, step):
        self.calls.append(("log", values, step))

    def finish(self):
        self.calls.append(("finish",))


@pytest.fixture
def wandb(monkeypatch):
    for name in ("WANDB_MODE", "WANDB_PROJECT", "WANDB_ERROR_REPORTING"):
        monkeypatch.setenv(name, "")  # restored afterwards
        monkeypatch.delenv(name)
    module = Wandb()
    monkeypatch.setitem(sys.modules, "wandb", module)
    return module


def test_a_sink_gets_every_line_of_the_log_and_is_closed(make_recipe, tmp_path, recorder):
    train(make_recipe(log_to=["recorder"]), tmp_path / "run", quiet=True)
    records = {record["step"]: record for record in log(tmp_path / "run")}
    assert [step for step, _ in recorder.written] == list(records)
    for step, values in recorder.written:
        for name in ("loss", "lr", "classification", "gradient_norm"):
            assert values[f"train/{name}"] == records[step][name]
    assert recorder.closed == 1


def test_sinks_are_closed_when_a_training_breaks(make_recipe, tmp_path, recorder, break_at):
    def fail():
        raise RuntimeError("pulled the plug")

    break_at(3, fail)
    with pytest.raises(RuntimeError, match="pulled"):
        train(make_recipe(log_to=["recorder"]), tmp_path / "run", quiet=True)
    assert recorder.closed == 1


def test_verification_has_a_name_for_each_group_and_measure():
    found = Verified("lfw", {"a": 0.9, "b": 0.8}, {"a": 0.1, "b": 0.2})
    assert found.values() == {
        "verification/lfw/a/accuracy": 0.9,
        "verification/lfw/b/accuracy": 0.8,
        "verification/lfw/a/eer": 0.1,
        "verification/lfw/b/eer": 0.2,
    }


def test_a_name_that_is_none_is_refused_before_anything_is_written(make_recipe, tmp_path):
    with pytest.raises(UsageError, match="no sink 'mlflow'; known: tensorboard, wandb"):
        train(make_recipe(log_to=["mlflow"]), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_older_recipes_that_ask_for_tensorboard_are_read(make_recipe):
    assert make_recipe(tensorboard=True).log_to == ("tensorboard",)
    assert make_recipe(tensorboard=True, log_to=["wandb"]).log_to == ("wandb", "tensorboard")
    assert make_recipe(tensorboard=False).log_to == ()
    with pytest.raises(ValueError, match="tensorboard"):
        make_recipe(tensorboard="yes please")


def test_wandb_is_offline_unless_asked(make_recipe, tmp_path, wandb):
    out = tmp_path / "run"
    train(make_recipe(log_to=["wandb"]), out, quiet=True)
    (kind, given, reporting), *logged, last = wandb.calls
    assert kind == "init"
    assert given["mode"] == "offline"
    assert reporting == "false"
    assert given["save_code"] is False
    assert given["settings"] == {"console": "off", "disable_git": True}
    assert (given["dir"], given["name"]) == (str(out), "tiny")
    assert given["config"]["schedule"]["steps"] == 10
    assert [(values["train/loss"], step) for _, values, step in logged] == [
        (record["loss"], record["step"]) for record in log(out)
    ]
    assert last == ("finish",)


def test_wandb_is_online_where_the_user_asks(make_recipe, tmp_path, wandb, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_PROJECT", "fairness")
    train(make_recipe(log_to=["wandb"]), tmp_path / "run", quiet=True)
    given = wandb.calls[0][1]
    assert (given["mode"], given["resume"], given["project"]) == ("online", "allow", "fairness")
    assert wandb.calls[0][2] is None


def test_one_folder_is_one_run_of_wandb(make_recipe, tmp_path, wandb):
    recipe = make_recipe(log_to=["wandb"])
    ids = []
    for out in ("a", "a", "b"):
        SINKS["wandb"](SinkRun(tmp_path / out, recipe, 0))
        ids.append(wandb.calls[-1][1]["id"])
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_missing_package_is_named_with_its_extra(make_recipe, tmp_path, monkeypatch, name):
    module = {"tensorboard": "torch.utils.tensorboard"}.get(name, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match=rf"pip install .evenface\[{name}\]"):
        train(make_recipe(log_to=[name]), tmp_path / "run", quiet=True)


def test_sinks_that_were_opened_are_closed_where_the_next_is_missing(
    make_recipe, tmp_path, monkeypatch, recorder
):
    from contextlib import ExitStack

    monkeypatch.setitem(sys.modules, "wandb", None)
    run = SinkRun(tmp_path, make_recipe(), 0)
    with pytest.raises(MissingDependencyError), ExitStack() as stack:
        open_sinks(["recorder", "wandb"], run, stack)
    assert recorder.closed == 1
