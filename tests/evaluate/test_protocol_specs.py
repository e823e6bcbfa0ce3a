"""Folders that hold pairs are evaluated on them; new pairs are drawn where they are asked for."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from evaluate.made_faces import PixelModel, write_rfw
from evenface.cli.main import main
from evenface.data.manifest import Manifest
from evenface.errors import DataError
from evenface.evaluate import Protocol, subjects
from evenface.evaluate.protocol_specs import ProtocolOptions, kept_pairs, spec_path, tasks_of


def run(*arguments: object) -> None:
    with pytest.raises(SystemExit) as done:
        main([*map(str, arguments)])
    assert done.value.code in (0, None)


@pytest.fixture(scope="module")
def rfw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small RFW as ``evenface data verification-set`` prepares it."""
    root = tmp_path_factory.mktemp("published")
    run("data", "verification-set", write_rfw(root / "RFW"), root / "rfw", "--licence", "none")
    return root / "rfw"


def test_the_pairs_of_a_prepared_folder_are_used(rfw: Path) -> None:
    written = Protocol.read(rfw / "protocol.parquet")
    for spec in (rfw, rfw / "manifest.parquet", f"{rfw / 'protocol.parquet'}@{rfw}"):
        (task,) = tasks_of(str(spec))
        assert task.protocol is not None
        assert task.fingerprint == written.fingerprint
        assert task.protocol.pairs == "published"
        assert len(task.protocol.fold_pairs) == 80


def test_the_pairs_are_those_of_the_published_files(rfw: Path) -> None:
    (task,) = tasks_of(str(rfw))
    (files,) = tasks_of(str(rfw.parent / "RFW"))
    assert task.protocol is not None
    assert files.protocol is not None
    ours, theirs = task.protocol.fold_pairs, files.protocol.fold_pairs
    np.testing.assert_array_equal(ours.genuine, theirs.genuine)
    np.testing.assert_array_equal(ours.fold, theirs.fold)
    for side in ("a", "b"):
        np.testing.assert_array_equal(
            task.faces.images(getattr(ours, side)), files.faces.images(getattr(theirs, side))
        )


def test_new_pairs_are_drawn_by_name(rfw: Path) -> None:
    (task,) = tasks_of(f"draw:{rfw}", ProtocolOptions(seed=3))
    assert task.protocol is not None
    assert task.protocol.pairs == "drawn"
    assert task.protocol.seed == 3
    assert task.fingerprint != Protocol.read(rfw / "protocol.parquet").fingerprint


def test_options_of_drawn_pairs_are_not_ignored_in_silence(
    rfw: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks_of(str(rfw), ProtocolOptions(pairs_per_group=40, group_by=()))
    said = " ".join(capsys.readouterr().err.split())
    assert "group-by, pairs-per-group mean nothing" in said
    assert "give draw:" in said
    tasks_of(str(rfw))
    assert "mean nothing" not in capsys.readouterr().err


def test_pairs_of_another_manifest_are_refused(rfw: Path, tmp_path: Path) -> None:
    Manifest.read(rfw).select(np.arange(8)).write(tmp_path / "manifest.parquet")
    assert kept_pairs(tmp_path) is None
    (tmp_path / "protocol.parquet").write_bytes((rfw / "protocol.parquet").read_bytes())
    with pytest.raises(DataError, match=r"another manifest.*draw:"):
        tasks_of(str(tmp_path))
    assert tasks_of(f"draw:{rfw}")


def test_path_of_a_spec(tmp_path: Path) -> None:
    assert spec_path("draw:data/rfw") == Path("data/rfw")
    assert spec_path("pairs.txt@images") == Path("pairs.txt")
    (tmp_path / "a@b").mkdir()
    assert spec_path(str(tmp_path / "a@b")) == tmp_path / "a@b"


@pytest.mark.parametrize(("prefix", "pairs"), [("", "published"), ("draw:", "drawn")])
def test_every_result_says_which_pairs(
    rfw: Path,
    prefix: str,
    pairs: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(subjects, "load_teacher", lambda spec: PixelModel())
    spec, quick = f"{prefix}{rfw}", ("--replicates", 5)
    run("evaluate", "m.onnx", "--protocol", spec, "--out", tmp_path / "suite", *quick)
    assert f"Pairs: {pairs}" in capsys.readouterr().out
    run("evaluate", "m.onnx", spec, "--out", tmp_path / "one", *quick)
    assert f"Pairs: {pairs}" in capsys.readouterr().out
    for folder in (
        tmp_path / "suite" / "pixels" / ("RFW" if not prefix else "rfw"),
        tmp_path / "one",
    ):
        told = json.loads((folder / "evaluation.json").read_text())["protocol"]
        assert told["pairs"] == pairs
        assert Protocol.read(folder / "protocol.parquet").pairs == pairs
    assert f"Pairs: {pairs}" in (tmp_path / "suite" / "summary.md").read_text()
    rows = list(csv.DictReader((tmp_path / "suite" / "summary.csv").read_text().splitlines()))
    assert {row["pairs"] for row in rows} == {pairs}
    assert f"Pairs: {pairs}" in (tmp_path / "one" / "report.html").read_text()
