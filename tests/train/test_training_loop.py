"""Whole trainings: what they leave, that they repeat, resume and stop as they should."""

from __future__ import annotations

import errno
import json
import math
import os
import signal
import sys
import threading
import types
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import yaml
from tiny_training import (
    PixelTeacher,
    assert_same_bits,
    content,
    log,
    steps_saved,
    weights,
    write_dataset,
)

from evenface.data.manifest import Manifest
from evenface.errors import (
    DataError,
    MissingDependencyError,
    TrainingDivergedError,
    UsageError,
)
from evenface.files import sha256_file
from evenface.models import embed, load_run_backbone
from evenface.teachers.cache import cached_embeddings
from evenface.train import load_recipe
from evenface.train.batches import BatchSource
from evenface.train.job import Job
from evenface.train.learner import Learner
from evenface.train.loader import open_source
from evenface.train.loop import train


def fail():
    raise RuntimeError("pulled the plug")


# --- what a run leaves --------------------------------------------------------------------------


def test_a_run_leaves_its_record_log_and_weights(make_recipe, manifest, cache, tmp_path):
    recipe = make_recipe(distill={"cache": cache.folder})
    out = tmp_path / "run"
    result = train(recipe, out)
    assert result == json.loads((out / "run.json").read_text())
    expected = {
        "finished": True,
        "name": "tiny",
        "fingerprint": recipe.fingerprint(manifest.fingerprint, "pixels-1"),
        "backbone": "mini_s",
        "embedding_size": 8,
        "head": "cosface",
        "num_identities": 6,
        "images": 30,
        "data_fingerprint": manifest.fingerprint,
        "data": {
            "images": 30,
            "identities": 6,
            "groups": {},
            "origins": {"synthetic": 30},
            "datasets": {"squares": 30},
            "licences": {"CC0-1.0": 30},
        },
        "teacher_fingerprint": "pixels-1",
        "steps": 10,
        "batch_size": 8,
        "images_seen": 80,
        "device": "cpu",
        "threads": 1,
        "torch": torch.__version__,
    }
    assert expected.items() <= result.items()
    assert result["seconds"] > 0
    assert result["weights_sha256"] == sha256_file(out / "weights.safetensors")
    backbone = load_run_backbone(out)
    assert result["parameters"] == sum(p.numel() for p in backbone.parameters())

    records = log(out)
    assert [record["step"] for record in records] == [2, 4, 6, 8, 10]
    for record in records:
        parts = record["classification"] + record["distillation"]
        assert record["loss"] == pytest.approx(parts, abs=1e-5)
    assert result["final"].items() <= records[-1].items()

    resolved = yaml.safe_load((out / "recipe.yaml").read_text())
    assert load_recipe(str(out / "recipe.yaml")) == recipe
    assert resolved["distill"]["weight"] == 39.0625
    assert steps_saved(out) == [9, 10]
    files = [path for path in out.rglob("*") if path.is_file()]
    assert len({path.stat().st_mode for path in files}) == 1
    assert {path.name for path in out.iterdir()} == {
        "run.json", "log.jsonl", "recipe.yaml", "checkpoints", "weights.safetensors"
    }  # fmt: skip


@pytest.mark.parametrize("head", ["adaface", "arcface", "cosface", "elasticarcface"])
def test_people_are_told_apart_after_training(make_recipe, manifest, tmp_path, head):
    recipe = make_recipe(
        head={"name": head, "options": {"s": 16.0, "m": 0.1}},
        schedule={"kind": "cosine", "steps": 40, "warmup_steps": 4},
        log_every=1,
    )
    train(recipe, tmp_path / "run", quiet=True)
    records = log(tmp_path / "run")
    first, last = (np.mean([r["loss"] for r in part]) for part in (records[:5], records[-5:]))
    assert last < first / 2
    embeddings = embed(load_run_backbone(tmp_path / "run"), manifest.images())
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    cosines = embeddings @ embeddings.T
    np.fill_diagonal(cosines, -1)
    labels = manifest.labels()
    assert (labels[cosines.argmax(axis=1)] == labels).mean() > 0.9


def test_distillation_turns_the_student_towards_the_teacher(make_recipe, manifest, cache, tmp_path):
    schedule = {"kind": "cosine", "steps": 40, "warmup_steps": 4}
    train(make_recipe(schedule=schedule), tmp_path / "plain", quiet=True)
    train(
        make_recipe(schedule=schedule, distill={"cache": cache.folder}),
        tmp_path / "distilled",
        quiet=True,
    )
    cosine = {
        name: torch.cosine_similarity(
            torch.from_numpy(embed(load_run_backbone(tmp_path / name), manifest.images())),
            torch.from_numpy(np.array(cache.view("original"))),
        ).mean()
        for name in ("plain", "distilled")
    }
    assert cosine["distilled"] > 0.7
    assert cosine["distilled"] > cosine["plain"] + 0.3


def test_the_embedding_size_is_the_teachers_unless_given(make_recipe, cache, tmp_path):
    recipe = make_recipe(
        backbone={"name": "mini_s"},
        distill={"cache": cache.folder},
        schedule={"steps": 1},
    )
    assert train(recipe, tmp_path / "run")["embedding_size"] == 8
    resolved = yaml.safe_load((tmp_path / "run" / "recipe.yaml").read_text("utf-8"))
    assert resolved["backbone"]["embedding_size"] == 8
    alone = recipe.model_copy(update={"distill": None})
    assert train(alone, tmp_path / "alone")["embedding_size"] == 512


def test_a_manifest_can_be_given_instead_of_a_path(make_recipe, manifest, tmp_path):
    chosen = manifest.where(identity=["person-1", "person-3"])
    recipe = make_recipe(data=None, schedule={"steps": 1})
    result = train(recipe, tmp_path / "run", manifest=chosen)
    assert (result["images"], result["num_identities"]) == (10, 2)
    assert result["data_fingerprint"] == chosen.fingerprint


def test_progress_tells_rate_and_can_be_left_out(make_recipe, tmp_path, capsys):
    train(make_recipe(), tmp_path / "told")
    told = capsys.readouterr().err
    assert "train tiny: 80/80" in told
    assert "images/s" in told
    train(make_recipe(seed=1), tmp_path / "quiet", quiet=True)
    assert capsys.readouterr().err == ""


# --- the same again -----------------------------------------------------------------------------


def test_the_same_recipe_gives_the_same_bits(make_recipe, cache, tmp_path):
    recipe = make_recipe(distill={"cache": cache.folder}, head={"name": "elasticarcface"})
    torch.manual_seed(1)
    train(recipe, tmp_path / "first", quiet=True)
    torch.manual_seed(2)
    train(recipe, tmp_path / "second", quiet=True)
    assert_same_bits(tmp_path / "first", tmp_path / "second")
    train(recipe.model_copy(update={"seed": 1}), tmp_path / "other", quiet=True)
    key = "linear.weight"
    assert not torch.equal(weights(tmp_path / "first")[key], weights(tmp_path / "other")[key])


def test_torch_is_left_as_it_was(make_recipe, tmp_path):
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    threads = torch.get_num_threads()
    train(make_recipe(schedule={"steps": 1}, threads=threads + 1), tmp_path / "run", quiet=True)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers


def test_a_finished_run_is_not_repeated(make_recipe, tmp_path, break_at):
    first = train(make_recipe(), tmp_path / "run", quiet=True)
    before = (tmp_path / "run" / "weights.safetensors").stat().st_mtime_ns
    break_at(1, fail)
    assert train(make_recipe(threads=2), tmp_path / "run", quiet=True) == first
    assert (tmp_path / "run" / "weights.safetensors").stat().st_mtime_ns == before


# --- interruptions ------------------------------------------------------------------------------

# The heads with a state or with random draws of their own, and dropout, which draws as well.
STATEFUL = {
    "elasticarcface": {"head": {"name": "elasticarcface", "options": {"m": 0.2}}},
    "adaface": {"head": {"name": "adaface"}},
}


@pytest.mark.parametrize("head", STATEFUL)
@pytest.mark.parametrize("stop", [2, 4, 9])
def test_a_broken_run_resumes_to_the_same_bits(make_recipe, cache, tmp_path, break_at, head, stop):
    recipe = make_recipe(
        **STATEFUL[head],
        backbone={"name": "mini_s", "embedding_size": 8, "dropout": 0.3},
        distill={"cache": cache.folder},
    )
    train(recipe, tmp_path / "whole", quiet=True)
    mend = break_at(stop, fail)
    with pytest.raises(RuntimeError, match="pulled the plug"):
        train(recipe, tmp_path / "broken", quiet=True)
    assert not (tmp_path / "broken" / "run.json").exists()
    mend()
    train(recipe, tmp_path / "broken", quiet=True)
    assert_same_bits(tmp_path / "whole", tmp_path / "broken")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_step_and_saves(make_recipe, tmp_path, break_at, number):
    recipe = make_recipe()
    train(recipe, tmp_path / "whole", quiet=True)
    mend = break_at(5, lambda: os.kill(os.getpid(), number))
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "broken", quiet=True)
    mend()
    assert steps_saved(tmp_path / "broken") == [3, 5]
    train(recipe, tmp_path / "broken", quiet=True)
    assert_same_bits(tmp_path / "whole", tmp_path / "broken")


def test_a_second_signal_stops_at_once(make_recipe, tmp_path, break_at):
    def twice():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    break_at(5, twice)
    with pytest.raises(KeyboardInterrupt):
        train(make_recipe(), tmp_path / "run", quiet=True)
    assert steps_saved(tmp_path / "run") == [3]


def test_a_signal_that_the_surroundings_ignore_stays_ignored(make_recipe, tmp_path, break_at):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        break_at(5, lambda: os.kill(os.getpid(), signal.SIGINT))
        train(make_recipe(), tmp_path / "run", quiet=True)
    finally:
        signal.signal(signal.SIGINT, before)
    assert (tmp_path / "run" / "run.json").exists()


def test_training_works_outside_the_main_thread(make_recipe, tmp_path):
    results = []
    thread = threading.Thread(
        target=lambda: results.append(train(make_recipe(), tmp_path / "run", quiet=True))
    )
    thread.start()
    thread.join()
    assert results[0]["finished"]


def test_a_full_disk_keeps_the_last_checkpoint(make_recipe, tmp_path, monkeypatch):
    recipe = make_recipe()
    train(recipe, tmp_path / "whole", quiet=True)
    write = Path.write_bytes
    saved = []

    def full(path, data):
        if "step-" in path.name and saved:
            write(path, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        saved.append(path)
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        train(recipe, tmp_path / "full", quiet=True)
    monkeypatch.setattr(Path, "write_bytes", write)
    assert steps_saved(tmp_path / "full") == [3]
    train(recipe, tmp_path / "full", quiet=True)
    assert_same_bits(tmp_path / "whole", tmp_path / "full")


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize("finished", [True, False])
def test_another_recipe_in_the_same_folder_is_refused(make_recipe, tmp_path, break_at, finished):
    out = tmp_path / "run"
    if finished:
        train(make_recipe(), out, quiet=True)
    else:
        mend = break_at(5, fail)
        with pytest.raises(RuntimeError):
            train(make_recipe(), out, quiet=True)
        mend()
    before = content(out)
    with pytest.raises(UsageError, match=r"belongs to a run of another recipe.*another --out"):
        train(make_recipe(seed=9), out, quiet=True)
    assert content(out) == before


def test_divergence_tells_where_and_keeps_the_last_good_checkpoint(
    make_recipe, manifest, tmp_path, monkeypatch
):
    step = Learner.step
    count = 0

    def poisoned(self, batch, rate, seed):
        nonlocal count
        count += 1
        values = step(self, batch, rate, seed)
        return values | {"loss": values["loss"] * math.nan} if count == 8 else values

    monkeypatch.setattr(Learner, "step", poisoned)
    with pytest.raises(TrainingDivergedError) as caught:
        train(make_recipe(), tmp_path / "run", quiet=True)
    message = str(caught.value)
    for part in ("at step 8", "learning rate 0.0", "loss nan", "last finite loss was", "optimizer"):
        assert part in message
    assert steps_saved(tmp_path / "run") == [3, 6]
    assert not (tmp_path / "run" / "run.json").exists()
    record = json.loads((tmp_path / "run" / "diverged.json").read_text())
    assert record["step"] == 8
    source = BatchSource(manifest, None, batch_size=8, seed=0, flip=True)
    assert record["rows"] == {"8": source.rows(7).tolist()}


def test_a_rate_that_is_far_too_high_is_told(make_recipe, tmp_path):
    recipe = make_recipe(
        optimizer={"lr": 1e30, "lr_batch": None, "clip_norm": 1e30}, checkpoint_every=1
    )
    with pytest.raises(TrainingDivergedError, match=r"diverged at step \d+ .*Lower optimizer\.lr"):
        train(recipe, tmp_path / "run", quiet=True)
    for path in (tmp_path / "run").rglob("step-*"):
        values = safetensors.torch.load_file(path).values()
        assert all(torch.isfinite(value).all() for value in values)


def test_a_teacher_of_another_size_is_refused(make_recipe, cache, tmp_path):
    recipe = make_recipe(
        backbone={"name": "mini_s", "embedding_size": 16},
        distill={"cache": cache.folder},
    )
    refused = r"embedding_size is 16, but the teacher 'pixels' has 8 .*backbone.embedding_size=null"
    with pytest.raises(UsageError, match=refused):
        train(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_embeddings_of_other_images_are_refused(make_recipe, cache, tmp_path):
    other = write_dataset(tmp_path / "other", people=4)
    recipe = make_recipe(data=other, distill={"cache": cache.folder})
    with pytest.raises(DataError, match="made from other images"):
        train(recipe, tmp_path / "run")


def test_unfinished_embeddings_are_refused(make_recipe, manifest, tmp_path):
    folder = tmp_path / "half"
    cached_embeddings(PixelTeacher(), manifest, folder, views=["original"])
    with pytest.raises(DataError, match="view 'flip' is not finished"):
        train(make_recipe(distill={"cache": folder}), tmp_path / "run")
    assert train(make_recipe(distill={"cache": folder}, flip=False), tmp_path / "run")["finished"]


def test_training_sets_that_cannot_be_learned_are_refused(make_recipe, tmp_path):
    alone = write_dataset(tmp_path / "alone", people=1)
    with pytest.raises(DataError, match=r"two identities, the training set has 1 in 5 images"):
        train(make_recipe(data=alone), tmp_path / "run")
    with pytest.raises(UsageError, match=r"num_identities is 7, the training set has 6"):
        train(make_recipe(num_identities=7), tmp_path / "run")
    with pytest.raises(UsageError, match=r"30 images are less than a batch .* 4 micro-batches"):
        train(make_recipe(batch_size=40, micro_batches=4), tmp_path / "run")
    with pytest.raises(UsageError, match=r"names no training set: add --set data=FOLDER"):
        train(make_recipe(data=None), tmp_path / "run")
    with pytest.raises(DataError, match="nowhere"):
        train(make_recipe(data=tmp_path / "nowhere"), tmp_path / "run")


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("cuda:99", "device 'cuda:99' was asked for"),
        ("gpu", "unknown device 'gpu'; give auto"),
        ("meta", "unknown device 'meta'"),
    ],
)
def test_devices_that_are_not_there_are_refused(make_recipe, tmp_path, device, message):
    with pytest.raises(UsageError, match=message):
        train(make_recipe(device=device), tmp_path / "run")


def test_damaged_remains_are_named(make_recipe, tmp_path, break_at):
    out = tmp_path / "run"
    mend = break_at(5, fail)
    with pytest.raises(RuntimeError):
        train(make_recipe(), out, quiet=True)
    mend()
    (out / "log.jsonl").write_text("")
    with pytest.raises(DataError, match=r"log\.jsonl: has 0 bytes, but"):
        train(make_recipe(), out, quiet=True)
    (checkpoint,) = (out / "checkpoints").iterdir()
    checkpoint.write_bytes(checkpoint.read_bytes()[:5000])
    with pytest.raises(DataError, match=r"checkpoints: every checkpoint is damaged.*Delete"):
        train(make_recipe(), out, quiet=True)
    checkpoint.unlink()
    assert train(make_recipe(), out, quiet=True)["finished"]
    (out / "run.json").write_text("{")
    with pytest.raises(DataError, match=r"run\.json: not valid JSON"):
        train(make_recipe(), out, quiet=True)


def test_a_run_that_only_lacks_its_record_is_completed(make_recipe, tmp_path, break_at):
    out = tmp_path / "run"
    first = train(make_recipe(), out, quiet=True)
    (out / "run.json").unlink()
    break_at(1, fail)
    again = train(make_recipe(), out, quiet=True)
    assert again["final"] == first["final"]
    assert again["steps"] == 10


def test_sets_are_read_in_batches(make_recipe, tmp_path, monkeypatch):
    largest = 0
    images = Manifest.images

    def watched(self, rows=None):
        nonlocal largest
        largest = max(largest, len(self) if rows is None else len(rows))
        return images(self, rows)

    monkeypatch.setattr(Manifest, "images", watched)
    train(make_recipe(), tmp_path / "run", quiet=True)
    assert largest == 8


# --- other ways to the same result --------------------------------------------------------------


@pytest.mark.parametrize("change", [{"loader": "resident"}, {"loader_threads": 3}], ids=str)
def test_where_images_lie_and_who_reads_them_changes_nothing(make_recipe, cache, tmp_path, change):
    recipe = make_recipe(
        augment={"crop": {}, "photometric": {"probability": 0.4}}, distill={"cache": cache.folder}
    )
    train(recipe, tmp_path / "stream", quiet=True)
    train(recipe.model_copy(update=change), tmp_path / "other", quiet=True)
    assert_same_bits(tmp_path / "stream", tmp_path / "other")


def test_augmentations_are_of_a_row_whatever_the_parts_of_a_batch(make_recipe, manifest):
    recipe = make_recipe(augment={"crop": {}, "jpeg": {}, "randaugment": {}})
    job, cpu = Job.open(recipe), torch.device("cpu")
    whole = open_source(job, cpu).batch(4)
    parts = [open_source(job, cpu, part=(index, 2)).batch(4) for index in range(2)]
    assert torch.equal(torch.cat([part.images for part in parts]), whole.images)
    assert torch.equal(torch.cat([part.labels for part in parts]), whole.labels)
    assert np.concatenate([part.rows for part in parts]).tolist() == whole.rows.tolist()


def test_an_order_of_ones_own_replaces_the_shuffle(make_recipe, manifest):
    source = open_source(
        Job.open(make_recipe()), torch.device("cpu"), order=lambda epoch: np.full(20, epoch)
    )
    assert (source.batch_size, source.batches_per_epoch) == (8, 2)
    assert source.batch(3).rows.tolist() == [1] * 8


def test_tensorboard_gets_what_the_log_gets(make_recipe, tmp_path, monkeypatch):
    written = []

    class Writer:
        def __init__(self, folder, purge_step):
            written.append((folder, purge_step))

        def add_scalar(self, name, value, step):
            written.append((name, value, step))

        def close(self):
            written.append("closed")

    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    out = tmp_path / "run"
    train(make_recipe(tensorboard=True), out, quiet=True)
    assert written[0] == (str(out / "tensorboard"), 1)
    assert written[-1] == "closed"
    scalars = {(name, step): value for name, value, step in written[1:-1]}
    for record in log(out):
        assert scalars["train/loss", record["step"]] == record["loss"]
        assert scalars["train/lr", record["step"]] == record["lr"]
        assert scalars["train/images per second", record["step"]] > 0


def test_a_missing_tensorboard_is_told(make_recipe, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingDependencyError, match=r"pip install .evenface\[tensorboard\]"):
        train(make_recipe(tensorboard=True), tmp_path / "run", quiet=True)


def test_the_bar_shows_losses_rate_and_memory(make_recipe, tmp_path, capsys):
    train(make_recipe(), tmp_path / "run")
    last = capsys.readouterr().err.splitlines()[-1]
    for part in ("80/80", "lr 0", "loss", "classification", "memory", "GiB"):
        assert part in last
