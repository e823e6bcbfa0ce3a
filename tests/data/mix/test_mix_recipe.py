"""Recipes by name and from files, their presets, scaling, and the command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evenface.cli.main import main
from evenface.data.manifest import Manifest
from evenface.data.mix import MixRecipe, list_mixes, load_mix
from evenface.errors import UsageError
from pattern_people import write_people

GROUPS = ("african", "asian", "caucasian", "indian")


def run(*arguments: object, code: int = 0) -> None:
    with pytest.raises(SystemExit) as done:
        main(["data", "mix", *map(str, arguments)])
    assert done.value.code == code


@pytest.mark.parametrize(
    ("name", "total", "fraction", "balance"),
    [
        ("balanced", 27_997, 1.0, "none"),
        ("synthetic", 27_099, 0.0, "none"),
        ("synthetic-mix", 22_094, 0.7, "none"),
        ("mix-equal-ids", 28_000, 0.7, "identities"),
        ("mix-equal-img", 23_094, 0.7, "images"),
    ],
)
def test_presets_have_the_published_counts(
    name: str, total: int, fraction: float, balance: str
) -> None:
    assert name in list_mixes()
    recipe = load_mix(name)
    assert (recipe.name, recipe.total) == (name, total)
    assert (recipe.real_fraction, recipe.balance) == (fraction, balance)
    assert (recipe.total_of or recipe.unit) == "identities"


def test_list_of_presets() -> None:
    assert len(list_mixes()) == 5


def test_scaled() -> None:
    recipe = load_mix("mix-equal-ids")
    assert recipe.scaled(0.01).total == 280
    assert load_mix("balanced").scaled(0.001).total == 28
    assert load_mix("balanced").scaled(0.0005).total == 14  # 13.9985
    assert recipe.scaled(1).total == 28_000
    with pytest.raises(UsageError, match="leaves nothing"):
        recipe.scaled(1e-9)
    for scale in (-1, 0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="above 0"):
            recipe.scaled(scale)
    with pytest.raises(UsageError, match="has none"):
        MixRecipe().scaled(0.5)


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "real: data/real\n"
        "synthetic:\n"
        "  - {path: data/a, weight: 2, name: a}\n"
        "  - {path: data/b, weight: 1}\n"
        "group_by: ethnicity\nexclude: data/test\nbalance: images\n"
    )
    recipe = load_mix(str(path), {"total": 900})
    assert [str(source.path) for source in recipe.synthetic] == ["data/a", "data/b"]
    assert recipe.real[0].path == Path("data/real")
    assert recipe.group_by == ("ethnicity",)
    assert recipe.exclude == (Path("data/test"),)
    assert (recipe.total, recipe.unit) == (900, "images")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("real_fractoin: 0.5", "did you mean 'real_fraction'"),
        ("real_fraction: 1.5", "real_fraction"),
        ("balance: people", "balance"),
        ("synthetic: [{path: a, weight: 1}, b]", "give a weight to every source"),
        ("synthetic: [{path: a, wieght: 1}]", "did you mean 'weight'"),
        ("max_images: 0", "max_images"),
        ("synthetic: [{path: a, weight: .inf}]", "weight"),
        ("real_fraction: .nan", "real_fraction"),
        ("- a", "expected a mapping"),
        ("a: [", "not valid YAML"),
    ],
)
def test_wrong_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        load_mix(str(path))


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("recipes")
    for name, origin, images in (
        ("real", "real", 2),
        ("dc", "synthetic", 1),
        ("idf", "synthetic", 3),
    ):
        people = [(f"{name}-{group}{i}", group, images) for group in GROUPS for i in range(8)]
        write_people(root / name, people, origin=origin)
    return {name: root / name for name in ("real", "dc", "idf")}


@pytest.mark.parametrize("name", ["balanced", "synthetic", "synthetic-mix", "mix-equal-ids"])
def test_presets_at_a_thousandth(
    name: str, sets: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = [*("--real", sets["real"]), *("--synthetic", sets["dc"], "--synthetic", sets["idf"])]
    run(name, tmp_path / "out", *sources, "--scale", 0.001, "--json")
    report = json.loads(capsys.readouterr().out)
    recipe = load_mix(name).scaled(0.001)
    assert report["identities"] == recipe.total
    real = report["sources"]["real"]["identities"]
    assert abs(real / report["identities"] - recipe.real_fraction) <= 0.05
    manifest = Manifest.read(tmp_path / "out")
    assert len(manifest.identities()) == recipe.total
    if name == "mix-equal-ids":
        assert {g["real"]["asked"] for g in report["groups"].values()} == {5}


def test_equal_images_at_a_thousandth(
    sets: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = [*("--real", sets["real"]), *("--synthetic", sets["dc"], "--synthetic", sets["idf"])]
    run("mix-equal-img", tmp_path / "out", *sources, "--scale", 0.001, "--json")
    report = json.loads(capsys.readouterr().out)
    assert report["identities"] <= 23
    images = {g["real"]["images"] + g["synthetic"]["images"] for g in report["groups"].values()}
    assert len(images) == 1
    # One more image a group would be too many identities.
    run(
        *("mix-equal-img", tmp_path / "more", *sources, "--json"),
        *("--set", "total_of=images", "--total", 4 * (images.pop() + 1)),
    )
    assert json.loads(capsys.readouterr().out)["identities"] > 23


def test_command(sets: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sources = ("--real", sets["real"], "--synthetic", sets["dc"], "--synthetic", sets["idf"])
    run("mix-equal-ids", tmp_path / "out", *sources, code=2)
    printed = capsys.readouterr().err
    assert "african: real 4,900 of 8, dc 1,050 of 8, idf 1,050 of 8" in printed
    assert "--nearest takes it" in printed
    run("mix-equal-ids", tmp_path / "out", *sources, "--nearest")
    printed = capsys.readouterr()
    assert "this is the nearest: total 48" in printed.err
    assert "8 asked" in printed.out
    path = tmp_path / "mine.yaml"
    path.write_text(f"real: {sets['real']}\nreal_fraction: 1\nmax_images: 1\ntotal: 8\n")
    run(path, tmp_path / "capped")
    first = (tmp_path / "capped" / "manifest.parquet").read_bytes()
    assert len(Manifest.read(tmp_path / "capped")) == 8
    run(path, tmp_path / "capped")
    assert (tmp_path / "capped" / "manifest.parquet").read_bytes() == first
    run(path, code=2)
    assert "name the folder to write" in capsys.readouterr().err
    run("balanced", tmp_path / "a", tmp_path / "b", code=2)
    run("balenced", tmp_path / "a", *sources, code=2)
    assert "no mix recipe or file called 'balenced'" in capsys.readouterr().err
    run(tmp_path / "a", *sources, "--set", "min_cel=3", code=2)
    assert "did you mean 'min_cell'" in capsys.readouterr().err
    run(tmp_path / "a", "--real", sets["real"], "--scale", 0.5, code=2)
    run(tmp_path / "a", "--real", sets["real"], "--real", sets["real"], code=2)
    assert "names of their own" in capsys.readouterr().err
