"""Pruning: the same function where the pruned channels did nothing, and a run like any other."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from evenface.cli.main import main
from evenface.errors import DataError, UsageError
from evenface.export.prune import BEFORE_RECOVERY, Recovery, prune, prune_channels
from evenface.models import create_backbone, embed, load_run_backbone
from evenface.teachers import load_teacher
from evenface.train.loop import train
from evenface.train.recipe import load_recipe
from untrained_run import DIMENSIONS, write_run

FACES = np.random.default_rng(0).integers(0, 256, (4, 112, 112, 3), dtype=np.uint8)

Group = tuple[list[str], list[str]]
"""Modules whose outputs, and modules whose inputs, are one set of channels."""


def mini_groups() -> Iterator[Group]:
    yield (
        ["stem.0", "stem.1", "blocks.0.layers.3", "blocks.0.layers.4"],
        ["blocks.0.layers.0", "blocks.1.layers.0", "blocks.1.shortcut.0"],
    )
    for block in range(3):
        at = f"blocks.{block}"
        yield [f"{at}.layers.0", f"{at}.layers.1"], [f"{at}.layers.3"]
    ends = [f"blocks.1.{part}" for part in ("layers.3", "layers.4", "shortcut.0", "shortcut.1")]
    yield ends, ["blocks.2.layers.0", "blocks.2.shortcut.0"]
    ends = [name.replace("1", "2", 1) for name in ends]
    yield [*ends, "pool.0", "pool.1"], ["linear"]


def mobilefacenet_small_groups() -> Iterator[Group]:
    for block in range(6):
        at = f"blocks.{block}.layers"
        yield [f"{at}.0.0", f"{at}.0.1", f"{at}.1.0", f"{at}.1.1"], [f"{at}.2.0"]
    stages = [[0], [1, 2, 3], [4, 5]]
    for number, blocks in enumerate(stages):
        ends = [f"blocks.{b}.layers.2.{part}" for b in blocks for part in (0, 1)]
        inner = blocks[1:] if number else blocks
        following = [f"blocks.{b}.layers.0.0" for b in inner]
        following.append("expand.0" if number == 2 else f"blocks.{blocks[-1] + 1}.layers.0.0")
        yield [*([] if number else ["stem.0.0", "stem.0.1"]), *ends], following
    yield ["expand.0", "expand.1", "pool.0", "pool.1"], ["linear"]


def iresnet18_groups() -> Iterator[Group]:
    stem, readers = ["conv1", "bn1", "layer1.0.bn1"], ["layer1.0.conv1", "layer1.0.downsample.0"]
    yield stem, readers
    for stage in range(1, 5):
        at = f"layer{stage}"
        for block in range(2):
            yield [f"{at}.{block}.conv1", f"{at}.{block}.bn2"], [f"{at}.{block}.conv2"]
        ends = ["0.conv2", "0.bn3", "0.downsample.0", "0.downsample.1", "1.bn1", "1.conv2", "1.bn3"]
        after = "bn2" if stage == 4 else f"layer{stage + 1}.0.bn1"
        following = (
            ["fc"]
            if stage == 4
            else [f"layer{stage + 1}.0.conv1", f"layer{stage + 1}.0.downsample.0"]
        )
        yield [*(f"{at}.{end}" for end in ends), after], [f"{at}.1.conv1", *following]


@torch.no_grad()
def silence_half(network: torch.nn.Module, groups: Iterator[Group], seed: int) -> int:
    """Make half of the channels of every group zero, chosen at random; how many were made so."""
    random, silenced = np.random.default_rng(seed), 0
    for makers, readers in groups:
        count = network.get_submodule(makers[0]).weight.shape[0]
        off = torch.from_numpy(random.permutation(count)[: count // 2])
        for name in makers:
            module = network.get_submodule(name)
            module.weight[off] = 0
            if module.bias is not None:
                module.bias[off] = 0
        for name in readers:
            weight = network.get_submodule(name).weight
            places = weight.shape[1] // count  # a linear layer reads every place of a channel
            columns = (off[:, None] * places + torch.arange(places)).flatten()
            weight[:, columns] = 0
        silenced += len(off)
    return silenced


@pytest.mark.parametrize(
    ("backbone", "groups"),
    [
        ("mini_s", mini_groups),
        ("mobilefacenet_small", mobilefacenet_small_groups),
        ("iresnet18", iresnet18_groups),
    ],
)
def test_without_channels_that_are_zero_the_network_is_the_same(backbone, groups):
    torch.manual_seed(0)
    network = create_backbone(backbone, embedding_size=DIMENSIONS).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.2)
            torch.nn.init.normal_(module.running_mean, std=0.2)
    assert silence_half(network, groups(), seed=1)
    expected = embed(network, FACES)
    parameters = sum(p.numel() for p in network.parameters())
    prune_channels(network, 0.5, multiple=1)
    assert sum(p.numel() for p in network.parameters()) < 0.36 * parameters
    np.testing.assert_allclose(
        embed(network, FACES), expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max()
    )


def test_a_pruned_run_is_a_run_like_any_other(run_folder, audit, tmp_path):
    out = tmp_path / "pruned"
    report = prune(run_folder, out, keep=0.5, audit=audit, replicates=20)
    before, after = report.pruned.parameters
    backbone = load_run_backbone(out)
    assert sum(p.numel() for p in backbone.parameters()) == after < 0.4 * before
    assert report.pruned.macs[1] < 0.5 * report.pruned.macs[0]
    described = json.loads((out / "run.json").read_text())
    assert described["channels"]["blocks.0.layers.3"] == [8, 8]
    assert described["fingerprint"] != "f" * 64
    assert report.before_recovery is not None
    assert set(report.before_recovery.groups) == {"north", "south"}
    np.testing.assert_array_equal(load_teacher(out).embed(FACES), embed(backbone, FACES))

    twice = prune(out, tmp_path / "twice", keep=0.5)  # what is pruned can be pruned again
    assert twice.pruned.parameters[0] == after
    smaller = load_run_backbone(tmp_path / "twice")
    assert sum(p.numel() for p in smaller.parameters()) == twice.pruned.parameters[1] < after


def test_a_pruned_run_is_exported_and_its_card_says_so(run_folder, tmp_path):
    from evenface.export.card import model_card
    from evenface.export.ship import export_onnx

    prune(run_folder, tmp_path / "pruned", keep=0.5)
    report = export_onnx(tmp_path / "pruned", tmp_path / "out")
    assert report.parity.holds
    assert report.record.training["pruned"]["keep"] == 0.5
    assert "- pruned to 50 % of the channels" in model_card(report.record, recipe="")


def test_recovery_is_a_training_that_brings_the_embeddings_back(run_folder, calibration, tmp_path):
    def pruned(out):
        return prune(run_folder, out, keep=0.5, recovery=Recovery(calibration, steps=15))

    out = tmp_path / "recovered"
    assert pruned(out).recovered
    faces = calibration.images()
    dense = embed(load_run_backbone(run_folder), faces)

    def distance(folder):
        found = embed(load_run_backbone(folder), faces)
        norms = np.linalg.norm(found, axis=1) * np.linalg.norm(dense, axis=1)
        return np.mean(1 - np.sum(found * dense, axis=1) / norms)

    assert distance(out) < 0.8 * distance(out / BEFORE_RECOVERY)
    described = json.loads((out / "run.json").read_text())
    begun = json.loads((out / BEFORE_RECOVERY / "run.json").read_text())
    assert described["start"] == begun["fingerprint"]
    assert described["channels"] == begun["channels"]
    assert described["pruned"]["keep"] == 0.5
    weights = (out / "weights.safetensors").read_bytes()
    pruned(out)  # finished: nothing is done again
    assert (out / "weights.safetensors").read_bytes() == weights
    with pytest.raises(UsageError, match="another recipe"):
        prune(run_folder, out, keep=0.75, recovery=Recovery(calibration, steps=15))


def test_a_recipe_may_start_from_a_run(run_folder, calibration, tmp_path):
    prune(run_folder, tmp_path / "pruned", keep=0.5)
    recipe = load_recipe(
        "student-mini",
        {
            "backbone.start": str(tmp_path / "pruned"),
            "schedule.steps": 1,
            "schedule.warmup_steps": 0,
            "optimizer.lr": 1e-9,
            "batch_size": 8,
        },
    )
    result = train(recipe, tmp_path / "run", manifest=calibration, quiet=True)
    assert result["embedding_size"] == DIMENSIONS
    begun, trained = load_run_backbone(tmp_path / "pruned"), load_run_backbone(tmp_path / "run")
    for before, after in zip(begun.parameters(), trained.parameters(), strict=True):
        torch.testing.assert_close(after, before, atol=1e-6, rtol=1e-5)
    fresh = recipe.model_copy(
        update={"backbone": recipe.backbone.model_copy(update={"start": None})}
    )
    elsewhere = recipe.model_copy(
        update={"backbone": recipe.backbone.model_copy(update={"start": run_folder})}
    )
    prints = {r.fingerprint("data", None) for r in (recipe, fresh, elsewhere)}
    assert len(prints) == 3
    other = load_recipe(
        "student-mini", {"backbone.start": str(run_folder), "backbone.name": "mini_m"}
    )
    with pytest.raises(UsageError, match="is a mini_s of 16 dimensions"):
        train(other, tmp_path / "other", manifest=calibration, quiet=True)


@pytest.mark.parametrize(
    ("channels", "message"),
    [
        (["linear"], "record of channels is damaged"),
        ({"linear": [1]}, "record of channels is damaged"),
        ({"linear": [8, "x"]}, "record of channels is damaged"),
        ({"linear": [10**9, 16]}, "cannot be kept"),
        ({"linear": [32, 16]}, "do not fit together"),
    ],
)
def test_a_damaged_record_of_channels_is_told(tmp_path, channels, message):
    folder = write_run(tmp_path / "student")
    described = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**described, "channels": channels}))
    for load in (load_run_backbone, load_teacher):
        with pytest.raises(DataError, match=message):
            load(folder)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--keep", "1"], "between 0 and 1"),
        (["--keep", "0.5", "--multiple", "100"], "nothing is left to prune"),
        (["--keep", "0.5", "--steps", "3"], "--steps is of the recovery: add --data"),
        (["--keep", "0.5", "--data", "missing"], "missing"),
    ],
)
def test_what_cannot_be_pruned_is_said_in_a_line(run_folder, tmp_path, capsys, arguments, expected):
    with pytest.raises(SystemExit) as exit_:
        main(["prune", str(run_folder), "--out", str(tmp_path / "out"), *arguments])
    captured = capsys.readouterr()
    assert exit_.value.code != 0
    assert expected in captured.err
    assert "Traceback" not in captured.err


def test_other_runs_are_not_written_over(run_folder, calibration, tmp_path):
    with pytest.raises(UsageError, match="is to be pruned; choose another --out"):
        prune(run_folder, run_folder, keep=0.5)
    other = write_run(tmp_path / "other", seed=1)
    held = sorted(path.name for path in other.iterdir())
    for recovery in (None, Recovery(calibration, steps=1)):
        with pytest.raises(UsageError, match=r"(?i)choose another --out"):
            prune(run_folder, other, keep=0.5, recovery=recovery)
    assert sorted(path.name for path in other.iterdir()) == held


def test_the_command_tells_sizes_and_groups(run_folder, audit_folder, tmp_path, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(
            [
                *("prune", str(run_folder), "--keep", "0.5"),
                *("--out", str(tmp_path / "out"), "--audit", str(audit_folder)),
            ]
        )
    said = capsys.readouterr().out
    assert exit_.value.code == 0
    for expected in ("parameters", "SIMULATED", "north", "south", "dense", "pruned"):
        assert expected in said
