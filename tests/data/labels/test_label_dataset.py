"""Labels by a classifier on teacher embeddings, and by an outside one; what the manifest says."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from evenface.cli.main import main
from evenface.data.inspect import inspect
from evenface.data.labels import label_dataset
from evenface.data.labels.classifier import calibration_error
from evenface.data.manifest import Manifest
from evenface.errors import DataError, MissingDependencyError, UsageError
from pattern_people import embed, write_people

GROUPS = ("east", "north", "west")


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A labelled set of 3 × 15 people, and an unlabelled one of 3 × 6 whose names tell the truth,
    with one who is half of each of two groups."""
    root = tmp_path_factory.mktemp("labels")
    known = [(f"{group}-known-{i}", group, 3) for group in GROUPS for i in range(15)]
    new = [(f"{group}-{i}", group, 4) for group in GROUPS for i in range(6)]
    new += [("both", "east", 2), ("both", "west", 2)]
    train = write_people(root / "train", known)
    target = write_people(root / "target", new, origin="synthetic", declared=False)
    return {
        "root": root,
        "train": root / "train",
        "target": root / "target",
        "train cache": embed(train, root / "train-cache"),
        "target cache": embed(target, root / "target-cache"),
    }


def caches(sets: dict[str, Path]) -> list[Path]:
    return [sets["train cache"], sets["target cache"]]


def test_classifier(sets: dict[str, Path], tmp_path: Path) -> None:
    report = label_dataset(
        sets["target"],
        tmp_path / "out",
        attribute="ethnicity",
        train=sets["train"],
        embeddings=caches(sets),
        min_cell=3,
    )
    assert {name: count.identities for name, count in report.predicted.items()} == dict.fromkeys(
        GROUPS, 6
    )
    assert [u.identity for u in report.uncertain] == ["both"]
    assert 0.4 < report.uncertain[0].score < 0.6
    held = report.held_out
    assert held is not None
    assert held.columns == [*GROUPS, "abstained"]
    assert {name: sum(counts) for name, counts in held.confusion.items()} == dict.fromkeys(
        GROUPS, 3
    )
    # Patterns are easy: all are right.
    assert held.confusion["north"] == [0, 3, 0, 0]
    assert held.recall == dict.fromkeys(GROUPS, 1.0)
    assert held.calibration_error < 0.3
    labelled = Manifest.read(tmp_path / "out")
    for name, value, source in zip(
        labelled.column("identity"),
        labelled.column("ethnicity"),
        labelled.column("ethnicity_source"),
        strict=True,
    ):
        if name == "both":
            assert (value, source) == (None, "")
        else:
            assert (value, source) == (name.split("-")[0], "predicted")
    found = inspect(labelled)
    assert found.attributes["ethnicity"].sources == {"predicted": 72}
    assert found.attributes["ethnicity"].images_without_value == 4
    confidence = labelled.confidence("ethnicity")
    table = pq.read_table(tmp_path / "out" / "labels.parquet")
    sure = dict(zip(table["identity"].to_pylist(), table["confidence"].to_pylist(), strict=True))
    for name, value in zip(labelled.column("identity"), confidence, strict=True):
        assert np.isnan(value) if name == "both" else value == np.float32(sure[name])
    scores = np.stack([table[f"score_{group}"].to_numpy() for group in GROUPS])
    np.testing.assert_allclose(scores.sum(axis=0), 1)


def test_rates_of_few_people_are_not_stated(sets: dict[str, Path], tmp_path: Path) -> None:
    report = label_dataset(
        sets["target"],
        tmp_path / "out",
        attribute="ethnicity",
        train=sets["train"],
        embeddings=caches(sets),
    )
    assert report.held_out is not None
    assert set(report.held_out.recall.values()) == {"too small"}


def test_same_inputs_same_bytes(sets: dict[str, Path], tmp_path: Path) -> None:
    for out in ("one", "two"):
        label_dataset(
            sets["target"],
            tmp_path / out,
            attribute="ethnicity",
            train=sets["train"],
            embeddings=caches(sets),
        )
    for name in ("labels.parquet", "labels-report.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    one, two = Manifest.read(tmp_path / "one"), Manifest.read(tmp_path / "two")
    assert one.table.equals(two.table)


def test_outside_predictions_and_what_is_declared(sets: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text(
        "path,m,f\nx/east-0/1.jpg,0.9,0.1\nx/east-0/2.jpg,0.7,0.3\nx/east-1/1.jpg,0.5,0.5\n"
        "x/gone/1.jpg,1,0\n"
    )
    report = label_dataset(
        sets["target"], tmp_path / "out", attribute="gender", predictions=path, abstain=0.6
    )
    assert {name: count.identities for name, count in report.predicted.items()} == {"m": 1}
    assert [u.identity for u in report.uncertain] == ["east-1"]
    assert report.unmatched == ["gone"]
    assert len(report.without_scores) == 17
    assert report.held_out is None
    # A declared value is never touched; what was predicted is replaced.
    first = Manifest.read(tmp_path / "out")
    people, values = first.column("identity"), first.column("gender")
    mixed = first.with_attribute(
        "gender",
        np.where(people == "east-1", "f", values),
        source=np.where(people == "east-1", "declared", "predicted"),
        confidence=np.full(len(first), 0.8),
    )
    mixed.write(tmp_path / "partly" / "manifest.parquet")
    path.write_text("identity,m,f\neast-0,0,1\neast-1,1,0\n")
    report = label_dataset(
        tmp_path / "partly", tmp_path / "again", attribute="gender", predictions=path
    )
    assert report.declared_identities == 1
    again = Manifest.read(tmp_path / "again")
    got = {
        name: (value, source)
        for name, value, source in zip(
            again.column("identity"),
            again.column("gender"),
            again.column("gender_source"),
            strict=True,
        )
        if value
    }
    assert got == {"east-0": ("f", "predicted"), "east-1": ("f", "declared")}


def test_wrong_requests(sets: dict[str, Path], tmp_path: Path) -> None:
    out, target, train = tmp_path / "out", sets["target"], sets["train"]
    few = write_people(tmp_path / "few", [(f"a{i}", "a", 1) for i in range(5)] + [("b", "b", 1)])
    few_cache = embed(few, tmp_path / "few-cache")
    other = embed(Manifest.read(train), tmp_path / "other-cache", "another teacher")
    one = write_people(tmp_path / "one", [(f"a{i}", "a", 1) for i in range(5)])
    two_values = write_people(tmp_path / "two", [("a", "a", 1), ("a", "b", 1), ("c", "c", 1)])
    for options, message in (
        ({}, "give either"),
        ({"train": train, "predictions": "x.csv"}, "give either"),
        ({"train": train}, "no embedding cache of it is given"),
        ({"train": train, "embeddings": caches(sets), "attribute": "Skin"}, "cannot name"),
        ({"train": train, "embeddings": caches(sets), "attribute": "mood"}, "no attribute 'mood'"),
        (
            {"train": train, "embeddings": [other, sets["target cache"]]},
            "different teachers",
        ),
        (
            {"train": tmp_path / "few", "embeddings": [few_cache, sets["target cache"]]},
            "'b' has 1 identities",
        ),
        (
            {
                "train": tmp_path / "one",
                "embeddings": [embed(one, tmp_path / "c1"), sets["target cache"]],
            },
            "1 declared values",
        ),
        (
            {
                "train": tmp_path / "two",
                "embeddings": [embed(two_values, tmp_path / "c2"), sets["target cache"]],
            },
            "'a' has two values",
        ),
    ):
        with pytest.raises(UsageError, match=message):
            label_dataset(target, out, **{"attribute": "ethnicity", **options})
    with pytest.raises(UsageError, match="every identity declares"):
        label_dataset(train, out, attribute="ethnicity", predictions="x.csv")
    assert not out.exists()


def test_a_folder_in_use_is_refused(sets: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    path = tmp_path / "scores.csv"
    path.write_text("identity,m,f\neast-0,0,1\n")
    with pytest.raises(DataError, match="holds something else"):
        label_dataset(sets["target"], tmp_path, attribute="gender", predictions=path)


def test_without_scikit_learn(
    sets: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "sklearn"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(MissingDependencyError, match=r"evenface\[label\]"):
        label_dataset(
            sets["target"],
            tmp_path / "out",
            attribute="ethnicity",
            train=sets["train"],
            embeddings=caches(sets),
        )


def test_calibration_error_by_hand() -> None:
    confidence = np.array([0.95, 0.95, 0.65, 1.0])
    correct = np.array([1, 0, 1, 1])
    # Bin 0.9–1: mean confidence 2.9/3, accuracy 2/3; bin 0.6–0.7: 0.65 and 1.
    expected = 3 / 4 * (2.9 / 3 - 2 / 3) + 1 / 4 * 0.35
    assert calibration_error(confidence, correct) == pytest.approx(expected)


def test_command(sets: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: object, code: int = 0) -> None:
        with pytest.raises(SystemExit) as done:
            main(["data", *map(str, arguments)])
        assert done.value.code == code

    embeddings = [argument for cache in caches(sets) for argument in ("--embeddings", cache)]
    ask = ("label", sets["target"], tmp_path / "out", "--train", sets["train"], *embeddings)
    run(*ask)
    printed = capsys.readouterr()
    assert "ethnicity (predicted)" in printed.out
    assert "too small" in printed.out
    assert "1 identities are too uncertain" in printed.err
    run(*ask, "--json")
    assert json.loads(capsys.readouterr().out)["uncertain"][0]["identity"] == "both"
    run("inspect", tmp_path / "out")
    assert "predicted" in capsys.readouterr().out
    run("label", sets["target"], tmp_path / "no", code=2)
    # The labels serve a mix, by confidence too, and are told there.
    run(
        *("mix", tmp_path / "mix", "--real", sets["train"], "--synthetic", tmp_path / "out"),
        *("--select", "confidence", "--real-fraction", 0.5, "--total", 12),
    )
    printed = capsys.readouterr()
    assert "'ethnicity' of 24 of its images is predicted" in printed.err
    assert "too small" in printed.out
