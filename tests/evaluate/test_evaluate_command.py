"""`evenface evaluate` from the command line, with a stand-in for the model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from evenface.cli.main import main
from evenface.data.manifest import Manifest
from evenface.evaluate import Evaluation, Protocol, subjects


class PixelTeacher:
    """Embeds by a fixed projection of coarse pixels."""

    name = "pixels"
    embedding_size = 16
    fingerprint = "pixels"

    def embed(self, images: np.ndarray) -> np.ndarray:
        projection = np.random.default_rng(0).normal(size=(147, 16))
        coarse = images[:, 8::16, 8::16].reshape(len(images), -1) / 255 - 0.5
        return (coarse @ projection).astype(np.float32)


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subjects, "load_teacher", lambda spec: PixelTeacher())


@pytest.fixture
def dataset(two_groups: Manifest, tmp_path: Path) -> Path:
    half = np.where(np.arange(len(two_groups)) % 4 < 2, "test", "train")
    path = tmp_path / "set.parquet"
    two_groups.with_column("split", half).write(path)
    return path


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", *map(str, arguments)])
    return int(stop.value.code or 0)


def test_table_says_first_that_results_are_simulated(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("model.onnx", dataset, "--replicates", 20) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("SIMULATED: 192 of 192 images are synthetic")
    assert "labels that the data set declares" in printed
    for word in ("accuracy", "EER", "TAR@FAR", "SER", "worst group", "pixels"):
        assert word in printed


def test_json_and_files(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert run("m.onnx", dataset, "--replicates", 20, "--out", out, "--json", "--pairs", 100) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((out / "evaluation.json").read_text())
    assert list(printed["groups"]) == ["a", "b"]
    assert printed["groups"]["a"]["fold_pairs"] == 100
    assert Evaluation.read(out).to_dict() == printed
    assert Protocol.read(out / "protocol.parquet").fingerprint == printed["protocol"]["fingerprint"]


def test_real_images_are_not_called_simulated(
    make_manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "real.parquet"
    make_manifest({"a": [4] * 20}, origin="real").write(path)
    assert run("m.onnx", path, "--replicates", 0) == 0
    assert "SIMULATED" not in capsys.readouterr().out


def test_split_and_no_groups(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--split", "test", "--group-by", "none", "--replicates", 5, "--json")
    assert run("m.onnx", dataset, *options) == 0
    result = json.loads(capsys.readouterr().out)
    assert list(result["groups"]) == ["all"]
    assert result["groups"]["all"]["images"] == 96
    assert result["overall"]["ser"]["value"] is None


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--split", "nowhere"), 2, "no rows of split 'nowhere'"),
        (("--group-by", "age"), 2, "no attribute 'age'"),
        (("--group-by", "ethnicity,"), 2, "separated by commas"),
        (("--pairs", 10), 2, "at least"),
        (("--folds", 1), 2, "folds"),
        (("--replicates", -1), 2, "replicates"),
    ],
)
def test_bad_options(
    dataset: Path, capsys: pytest.CaptureFixture[str], options, code: int, message: str
) -> None:
    assert run("m.onnx", dataset, *options) == code
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


def test_missing_data_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("m.onnx", tmp_path / "none") == 1
    assert "no such manifest" in capsys.readouterr().err


def test_no_figure_is_cut_short_in_a_narrow_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    genuine = np.arange(800) % 2
    score = rng.normal(2 * genuine, 1)
    path = tmp_path / "scores.csv"
    lines = [
        f"{s},{g},group [{k % 4 // 2}]" for k, (s, g) in enumerate(zip(score, genuine, strict=True))
    ]
    path.write_text("\n".join(["score,genuine,group", *lines]))
    monkeypatch.setenv("COLUMNS", "80")
    assert run(path, "--replicates", 20) == 0
    printed = capsys.readouterr().out
    assert "…" not in printed
    assert "group [1]" in printed
    assert "FNMR" in printed, "rates at one threshold, by group"
