"""Recipes: what is refused and how, overrides, named recipes, fingerprints."""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml
from pydantic import ValidationError

from evenface.errors import UsageError
from evenface.recipes import parse_overrides
from evenface.train import list_recipes, load_recipe
from evenface.train.recipe import value_origins

GOLDEN_FINGERPRINT = "e0751602a5706019e5ace69ccbec299c5d90143338d05373011fbd4852eb1843"


def test_the_named_recipes_load():
    assert list_recipes() == [
        "student-cpu",
        "student-mini",
        "student-paper",
        "student-paper-corrected",
        "student-paper-faithful",
        "student-renders",
        "teacher-paper-corrected",
        "teacher-paper-faithful",
        "teacher-study",
    ]
    for name in list_recipes():
        assert load_recipe(name).name == name


def test_the_paper_recipe_says_what_the_paper_says():
    recipe = load_recipe("student-paper")
    assert recipe.backbone.name == "iresnet50"
    assert recipe.head.options == {"s": 64.0, "m": 0.5, "std": 0.05}
    assert recipe.optimizer.model_dump() == {
        "name": "sgd",
        "options": {},
        "lr": 0.1,
        "lr_batch": 512,
        "momentum": 0.9,
        "nesterov": False,
        "decay_norms": True,
        "weight_decay": 5e-4,
        "clip_norm": 5.0,
        "backbone_rate": 1.0,
        "head_rate": 1.0,
    }
    assert (recipe.schedule.epochs, recipe.schedule.milestones) == (26, (7, 13, 19, 24))
    assert recipe.batch_size == 128


def test_overrides_reach_nested_keys():
    overrides = parse_overrides(["head.options.m=0.4", "distill.cache=c", "optimizer.lr=1e-2"])
    recipe = load_recipe("student-cpu", overrides)
    assert recipe.head.options["m"] == 0.4
    assert recipe.head.options["s"] == 32.0
    assert recipe.optimizer.lr == 0.01
    assert recipe.distill is not None
    assert recipe.distill.weight == 39.0625


def test_overrides_are_left_as_they_were():
    overrides = {"augment": {"blur": {}}, "augment.crop": {}}
    assert set(load_recipe("student-mini", overrides).augment) == {"blur", "crop"}
    assert overrides == {"augment": {"blur": {}}, "augment.crop": {}}


def test_files_load_as_they_are_saved(tmp_path):
    recipe = load_recipe("student-cpu", {"data": "faces", "distill.cache": "cache"})
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    assert load_recipe(str(path)) == recipe


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"optimiser.lr": 1}, "optimiser: no such key; did you mean 'optimizer'?"),
        ({"optimizer.momentun": 1}, "optimizer.momentun: no such key; did you mean 'momentum'?"),
        (
            {"schedule.zzz": 1},
            "schedule.zzz: no such key; known here: epoch_steps, epochs, gamma, kind",
        ),
        ({"optimizer.lr": float("inf")}, "optimizer.lr: Input should be a finite number"),
        ({"optimizer.lr": -1}, r"optimizer.lr: Input should be greater than 0 \(got -1\)"),
        ({"batch_size": 1}, "batch_size: Input should be greater than or equal to 2"),
        ({"schedule.epochs": 3}, "schedule: give either epochs or steps, not both"),
        ({"schedule.milestones": [2]}, "schedule: milestones belong to kind 'step'"),
        (
            {"schedule.kind": "step", "schedule.milestones": [4, 2]},
            "schedule: milestones must increase",
        ),
        ({"precision": "fp8"}, "precision: Input should be 'fp32', 'bf16', 'fp16' or 'fp64'"),
        ({"distill.weight": 1}, "distill: give cache .* or teacher"),
        ({"distill.cache": 3}, "distill.cache: Input should be a folder, a list of folders, or"),
        (
            {"distill.cache": "c", "distill.name": "sp", "distill.losses": [{"name": "rkd"}]},
            "distill: give losses, or name, weight and options of the only one",
        ),
        (
            {"distill.cache": "c", "distill.losses": [{"name": "sp"}, {"name": "sp"}]},
            "distill: the same loss is named twice",
        ),
        ({"distill.cache": "c", "distill.groups.step": 0}, "distill.groups.step: Input should be"),
        ({"head": None}, "nothing to learn: neither a head with a weight nor distillation"),
        ({"head.weight": 0}, "nothing to learn"),
        ({"head.options.m": [1]}, "head.options.m: Input should be a number, a word, true or"),
        ({"head.options.m": float("nan")}, "head.options.m: Input should be a finite number"),
    ],
)
def test_what_does_not_fit_is_named(overrides, message):
    with pytest.raises(UsageError, match=message):
        load_recipe("student-cpu", overrides)


def test_files_that_are_no_recipes_are_named(tmp_path):
    with pytest.raises(UsageError, match="no train recipe or file called 'none'; at hand: student"):
        load_recipe("none")
    path = tmp_path / "bad.yaml"
    path.write_text("a: [")
    with pytest.raises(UsageError, match=r"bad\.yaml: not valid YAML"):
        load_recipe(str(path))
    path.write_text("name: a\nhead:\n  name: arcface\n  name: cosface\n")
    with pytest.raises(
        UsageError, match=r"(?s)bad\.yaml: not valid YAML: .*'name' is repeated.*line 4"
    ):
        load_recipe(str(path))
    with pytest.raises(UsageError, match=r"--set head: the value is too deeply nested"):
        parse_overrides(["head=" + "[" * 5000])
    path.write_text("- a")
    with pytest.raises(UsageError, match=r"bad\.yaml: expected a mapping"):
        load_recipe(str(path))
    path.write_bytes(b"name: \xff")
    with pytest.raises(UsageError, match=r"bad\.yaml: not valid YAML: .*can't decode"):
        load_recipe(str(path))
    path.write_text("a: " + "[" * 5000)
    with pytest.raises(UsageError, match=r"bad\.yaml: not valid YAML: too deeply nested"):
        load_recipe(str(path))
    levels = "".join(f"k{n}: &k{n} [{', '.join([f'*k{n - 1}'] * 9)}]\n" for n in range(1, 8))
    path.write_text(f"k0: &k0 x\n{levels}name: *k7\n")
    with pytest.raises(UsageError, match=r"bad\.yaml: name: Input should be a valid st") as error:
        load_recipe(str(path))
    assert len(str(error.value)) < 10_000
    with pytest.raises(UsageError, match="--set takes key=value, got 'lr'"):
        parse_overrides(["lr"])


def test_recipes_cannot_be_changed(make_recipe):
    with pytest.raises(ValidationError, match="frozen"):
        make_recipe().seed = 3


def test_fingerprints_follow_what_the_result_depends_on(make_recipe):
    base = make_recipe(distill={"cache": "a"})
    print_ = base.fingerprint("data", "teacher")
    same = make_recipe(
        name="other", data="elsewhere", distill={"cache": "b"}, log_every=9, threads=2,
        channels_last=True, compile=True, recompute=True, loader="stream", loader_threads=3,
        tensorboard=True, keep_checkpoints=5, num_identities=6,
    )  # fmt: skip
    assert same.fingerprint("data", "teacher") == print_
    assert base.fingerprint("data", "another") != print_
    assert base.fingerprint("more", "teacher") != print_
    for change in (
        {"seed": 1},
        {"flip": False},
        {"precision": "bf16"},
        {"distill": None},
        {"distill": {"cache": "a", "weight": 1.0}},
        {"optimizer": {"lr": 0.06, "lr_batch": None}},
        {"augment": {"crop": {}}},
        {"micro_batches": 2},
        {"ema": {}},
        {"recovery": {}},
    ):
        changed = make_recipe(**({"distill": {"cache": "a"}} | change))
        assert changed.fingerprint("data", "teacher") != print_, change


RECORDED = {
    "student-cpu": ("1f751d3ff8855c1c", "d62a5d80be19b740", "abafa88248f1d90f"),
    "student-mini": ("0ed00f7a050b93a2", "e0751602a5706019", "f1c0d6e61c13d53f"),
    "student-paper": ("c89496e8f70d30a0", "c5f51284a002453d", "177f652f6e3361bf"),
    "teacher-study": ("b55efd6c76a60fe2", "cc36dfb51c31a8c1", "203d42fd91d1ca54"),
}
"""Beginnings of fingerprints from before recipes knew several losses, groups and samplers: without
distillation, with it (its default weight is exactly 2 · 10,000 / 512 since), and with another
weight. The named recipes declared their size then."""
SIZES = {"student-paper": 512}


@pytest.mark.parametrize("name", RECORDED)
def test_fingerprints_of_older_recipes_stay(name):
    size = {"backbone.embedding_size": SIZES.get(name, 128)}
    plain = load_recipe(name, size).fingerprint("data", None)
    distilled = [
        load_recipe(name, size | {"distill.cache": "c"} | change).fingerprint("data", "teacher")
        for change in ({}, {"distill.weight": 10.0})
    ]
    assert tuple(print_[:16] for print_ in (plain, *distilled)) == RECORDED[name]


def test_fingerprints_follow_losses_groups_sampler_and_head(make_recipe):
    distill = {"cache": "a"}
    changes = (
        {},
        {"head": {"name": "cosface", "options": {"s": 16.0, "m": 0.1}, "weight": 0.5}},
        {"head": None},
        {"sampler": {"name": "groups"}},
        {"distill": distill | {"name": "rkd"}},
        {"distill": distill | {"name": "rkd", "options": {"angle": 1}}},
        {"distill": distill | {"losses": [{"name": "rkd"}]}},
        {"distill": distill | {"losses": [{"name": "rkd"}, {"name": "sp"}]}},
        {"distill": distill | {"projection": True}},
        {"distill": distill | {"centres": "mean"}},
        {"distill": distill | {"centres": "file.pt"}},
        {"distill": distill | {"groups": {"step": 0.1}}},
        {"distill": distill | {"groups": {"step": 0.2}}},
        {"distill": distill | {"groups": {"weights": {"a": 2.0}}}},
    )
    prints = [
        make_recipe(**({"distill": distill} | change)).fingerprint("data", "teacher")
        for change in changes
    ]
    assert len(set(prints)) == len(changes)
    elsewhere = make_recipe(distill={"cache": "b", "centres": "other.pt"})
    assert elsewhere.fingerprint("data", "teacher") == prints[10]


def test_options_that_yaml_reads_as_words_are_numbers():
    overrides = parse_overrides(["head.options.std=1e-2", "head.options.angle=acos"])
    assert load_recipe("student-cpu", overrides).head.options["std"] == 0.01
    assert load_recipe("student-cpu", overrides).head.options["angle"] == "acos"


def test_losses_load_as_they_are_saved(tmp_path):
    distill = {
        "cache": {"a": "x", "b": "y"},
        "losses": [{"name": "rkd", "options": {"angle": 0}}, {"name": "template"}],
        "groups": {"by": ["skin", "age"], "step": 0.1, "weights": {"a": 2}},
    }
    recipe = load_recipe("student-cpu", {"data": "faces", "head": None, "distill": distill})
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    assert load_recipe(str(path)) == recipe


def test_recipes_need_no_torch():
    code = "import sys, evenface.train, evenface.recipes; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_recorded_fingerprints_stay():
    """Recipes of finished studies must find their runs again."""
    recipe = load_recipe("student-mini", {"distill.cache": "c"}).with_embedding_size(128)
    assert recipe.fingerprint("data", "teacher") == GOLDEN_FINGERPRINT


def test_origins_name_file_and_command_line():
    overrides = {"head.options.m": 0.4, "distill": {"cache": "c"}, "optimizer.lr": 1}
    origins = value_origins("student-cpu", overrides)
    assert origins["head.options.m"] == origins["distill.cache"] == "--set"
    assert origins["optimizer.lr"] == "--set"
    assert origins["head.options.s"] == origins["backbone.name"] == "student-cpu"
    assert "seed" not in origins
