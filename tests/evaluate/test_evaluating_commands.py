"""The commands for tables of scores and for search, the old spellings, targets and exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from made_faces import PixelModel

import evenface
from evenface.cli.main import main
from evenface.data.manifest import Manifest
from evenface.evaluate import Evaluation, subjects
from evenface.evaluate.crossings import scan_crossings
from evenface.evaluate.results import Enrolment
from evenface.record import Estimate


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """400 pairs of two groups that differ little."""
    rng = np.random.default_rng(0)
    genuine = np.arange(800) % 2
    scores = rng.normal(3 * genuine, 1)
    rows = [
        f"{s},{g},{'ab'[k // 2 % 2]}" for k, (s, g) in enumerate(zip(scores, genuine, strict=True))
    ]
    path = tmp_path / "scores.csv"
    path.write_text("\n".join(["score,genuine,group", *rows]))
    return path


def scanned(people: int) -> Evaluation:
    """An evaluation with a scan in which old women are rejected more often, and with enrolment."""
    rng = np.random.default_rng(0)
    who = np.repeat(np.arange(4 * people), 6)
    other = (who + 4 * rng.integers(1, people, len(who))) % (4 * people)
    ends = np.stack([np.tile(who, 2), np.concatenate([who, other])])
    genuine = np.arange(2 * len(who)) < len(who)
    values = {
        "sex": np.where(ends % 2, "woman", "man"),
        "age": np.where(ends // 2 % 2, "old", "young"),
    }
    hard = (values["sex"][0] == "woman") & (values["age"][0] == "old")
    scores = rng.normal(4 * genuine - 3 * (hard & genuine), 1)
    scan = scan_crossings(scores, genuine, ends, values, 2.0, target_fmr=1e-2)
    rate = Estimate(value=0.1, low=0.0, high=0.2)
    enrolment = Enrolment(
        images=10, no_face=1, unreadable=0, failure_to_enrol=rate, face_found=rate
    )
    found = evenface.audit(scores, genuine, values["sex"][0], replicates=20)
    return found.model_copy(update={"crossings": scan, "enrolment": {"man": enrolment}})


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main([*map(str, arguments)])
    return int(stop.value.code or 0)


def test_scores_have_a_command_and_the_old_spelling_names_it(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--replicates", 20, "--json")
    assert run("evaluate-scores", table, *options) == 0
    new = capsys.readouterr()
    assert run("evaluate", table, *options) == 0
    old = capsys.readouterr()
    assert json.loads(old.out) == json.loads(new.out)
    assert "evenface evaluate-scores" in old.err
    assert "evenface evaluate-scores" not in new.err


def test_search_has_a_command(
    two_groups: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subjects, "load_teacher", lambda spec: PixelModel())
    split = np.where(np.arange(len(two_groups)) % 4 < 2, "gallery", "probe")
    dataset, out = tmp_path / "set.parquet", tmp_path / "out"
    two_groups.with_column("split", split).write(dataset)
    given = ("m.onnx", "--gallery", dataset, "--replicates", 5, "--out", out)
    assert run("evaluate-identification", *given) == 0
    (found,) = out.glob("*/*/identification.json")
    assert "rank_rate" in json.loads(found.read_text())


@pytest.mark.parametrize(
    ("targets", "code", "verdicts"),
    [
        (["accuracy>=10%"], 0, ["met"]),
        (["accuracy>=10%", "accuracy>=99.9%"], 3, ["met", "missed"]),
        (["accuracy>=93%"], 4, ["undecided"]),
    ],
)
def test_exit_codes_follow_targets(
    table: Path, tmp_path: Path, targets: list[str], code: int, verdicts: list[str]
) -> None:
    given = [part for target in targets for part in ("--target", target)]
    out = tmp_path / "out"
    rest = ("--exit-code", "--replicates", 200, "--out", out)
    assert run("evaluate-scores", table, *given, *rest) == code
    assert [of["verdict"] for of in json.loads((out / "targets.json").read_text())] == verdicts


def test_an_exit_code_needs_a_target(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("evaluate-scores", table, "--exit-code") == 2
    assert "--exit-code needs --target" in capsys.readouterr().err


def test_a_scan_is_printed(
    two_groups: Manifest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(subjects, "load_teacher", lambda spec: PixelModel())
    two_groups.write(tmp_path / "set.parquet")
    given = ("m.onnx", tmp_path / "set.parquet", "--replicates", 5, "--scan", "all")
    assert run("evaluate", *given) == 0
    assert "Crossings of" in capsys.readouterr().out


def test_the_audit_page_shows_crossings_and_enrolment(tmp_path: Path) -> None:
    evaluation = scanned(people=30)
    page = evaluation.report(tmp_path / "audit").read_text()
    assert "Crossings of attributes" in page
    assert "woman × old" in page
    assert "failure to enrol" in page
    assert (tmp_path / "audit" / "tables").is_dir()
