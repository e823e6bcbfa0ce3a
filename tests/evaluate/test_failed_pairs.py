"""Pairs without a score: failure rates by group, and generalised error rates."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import evenface
from evenface.cli.main import main
from evenface.errors import DataError
from evenface.evaluate.results import Evaluation
from evenface.evaluate.score_evaluation import evaluate_scores
from evenface.evaluate.score_table import ScoreTable, read_scores
from evenface.evaluate.targets import check_target, parse_target

PEOPLE, SIZE = 40, 1600


def table(*, folded: bool = True, named: bool = True, failed: float = 0.1) -> ScoreTable:
    """Two groups of :data:`PEOPLE`, the second with failed comparisons."""
    rng = np.random.default_rng(3)
    group = rng.integers(0, 2, SIZE)
    genuine = rng.random(SIZE) < 0.5
    fold = rng.integers(0, 5, SIZE)
    first = rng.integers(0, PEOPLE // 5, SIZE)
    second = np.where(genuine, first, (first + 1 + rng.integers(0, PEOPLE // 5 - 1, SIZE)) % 8)
    score = rng.normal(3.0 * genuine, 1.0)
    score[(group == 1) & (rng.random(SIZE) < failed)] = np.nan
    unknown = np.full(SIZE, -1)
    return ScoreTable(
        score=score,
        genuine=genuine,
        group1=group,
        group2=group,
        groups=("north", "south"),
        fold=fold if folded else unknown,
        identity1=group * PEOPLE + fold * 8 + first if named else unknown,
        identity2=group * PEOPLE + fold * 8 + second if named else unknown,
    )


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("folded", [True, False])
def test_the_generalised_rates_are_those_of_the_standard(named: bool, folded: bool) -> None:
    """ISO/IEC 19795-1: GFNMR = F + (1 − F) FNMR, GFMR = (1 − F) FMR, by group."""
    pairs = table(named=named, folded=folded)
    found = evaluate_scores(pairs, replicates=10)
    assert found.failed_pairs is not None
    for g, name in enumerate(pairs.groups):
        of = found.failed_pairs[name]
        kinds = [(pairs.group1 == g) & (pairs.genuine == kind) for kind in (True, False)]
        lost = [float(np.isnan(pairs.score[kind]).mean()) for kind in kinds]
        assert of.genuine_pairs == kinds[0].sum()
        assert of.genuine_failure.value == pytest.approx(lost[0])
        assert of.impostor_failure.value == pytest.approx(lost[1])
        assert of.genuine_failure.low <= lost[0] <= of.genuine_failure.high
        for point in found.operating_points:
            if point.threshold is None:
                assert not point.gfnmr
                continue
            plain = point.fnmr[name].value
            assert point.gfnmr[name].value == pytest.approx(lost[0] + (1 - lost[0]) * plain)
            if folded or not named:  # else impostor pairs across the halves are in neither
                expected = (1 - lost[1]) * point.fmr[name].value
                assert point.gfmr[name].value == pytest.approx(expected)
    assert found.failed_pairs["north"].genuine_failed == 0
    assert found.failed_pairs["south"].genuine_failure.value > 0.05
    json.dumps(found.to_dict(), allow_nan=False)


def test_the_plain_figures_are_those_of_the_other_pairs() -> None:
    pairs = table()
    kept = ~np.isnan(pairs.score)
    arrays = ("score", "genuine", "group1", "group2", "fold", "identity1", "identity2")
    others = replace(pairs, **{name: getattr(pairs, name)[kept] for name in arrays})
    with_failed, without = (evaluate_scores(of, replicates=10) for of in (pairs, others))
    assert with_failed.groups == without.groups
    assert with_failed.cross_tables == without.cross_tables
    assert without.failed_pairs is None
    for mine, theirs in zip(with_failed.operating_points, without.operating_points, strict=True):
        assert (mine.fmr, mine.fnmr, mine.measures) == (theirs.fmr, theirs.fnmr, theirs.measures)


def test_models_that_fail_on_other_pairs_are_compared() -> None:
    """The resamples are of everyone who was to be compared."""
    some, more = table(folded=False), table(folded=False, failed=0.4)
    first, second = (evaluate_scores(of, replicates=10) for of in (some, more))
    assert first.protocol.fingerprint == second.protocol.fingerprint
    assert first.compare(second, "eer", group="north").value == 0.0
    assert first.compare(second, "eer", group="south").value is not None


@pytest.mark.parametrize("text", ["", "nan", "NA", "-1"])
def test_how_a_table_says_that_a_comparison_failed(tmp_path: Path, text: str) -> None:
    path = tmp_path / "scores.csv"
    path.write_text(f"score,genuine\n0.5,1\n{text},1\n0.1,0\n")
    read = read_scores(path, missing=-1.0)
    assert np.isnan(read.score).tolist() == [False, True, False]
    distances = read_scores(path, missing=-1.0, distance=True)
    assert np.isnan(distances.score).tolist() == [False, True, False]


def test_a_group_that_failed_throughout_is_named() -> None:
    pairs = table()
    lost = np.where((pairs.group1 == 1) & pairs.genuine, np.nan, pairs.score)
    with pytest.raises(DataError, match=r"'south' has no genuine pair within .* has a score"):
        evaluate_scores(replace(pairs, score=lost))
    with pytest.raises(DataError, match="no pair has a score"):
        evaluate_scores(replace(pairs, score=np.full(SIZE, np.nan)))


def test_the_front_door_takes_none_nan_and_a_declared_number() -> None:
    pairs = table(named=False, folded=False)
    groups = np.array(pairs.groups)[pairs.group1]
    declared = np.where(np.isnan(pairs.score), -math.inf, pairs.score)
    listed = [None if np.isnan(score) else score for score in pairs.score.tolist()]
    found = [
        evenface.audit(scores, pairs.genuine, groups, replicates=0, **options)
        for scores, options in (
            (pairs.score, {}),
            (listed, {}),
            (declared, {"missing": -math.inf}),
        )
    ]
    assert found[0].to_dict() == found[1].to_dict() == found[2].to_dict()
    shown = found[0].to_table().to_pylist()
    rows = {(row["measure"], row["group"]): row["value"] for row in shown}
    failed = found[0].failed_pairs
    assert failed is not None
    assert rows["genuine_failure", "south"] == failed["south"].genuine_failure.value
    assert rows["gfnmr@1e-2", "south"] > rows["fnmr@1e-2", "south"]
    assert found[0].estimate("gfnmr@1e-2", "south").value == rows["gfnmr@1e-2", "south"]
    verdict = check_target(found[0], parse_target("gfnmr<=1%@fmr=1e-2"))
    assert verdict.group == "south"


def test_the_command_reports_failures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = table(named=False, folded=False)
    path = tmp_path / "vendor.csv"
    rows = zip(pairs.score, pairs.genuine, pairs.group1, strict=True)
    lines = [f"{'-inf' if np.isnan(s) else s},{int(g)},{pairs.groups[of]}" for s, g, of in rows]
    path.write_text("\n".join(["score,genuine,group", *lines]) + "\n")
    command = ["evaluate-scores", str(path), "--replicates", "5"]
    with pytest.raises(SystemExit) as refused:
        main(command)
    assert refused.value.code == 1
    assert "--missing=-inf" in capsys.readouterr().err
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as done:
        main([*command, "--missing=-inf", "--out", str(out)])
    assert done.value.code == 0
    assert "GFNMR" in capsys.readouterr().out
    read = Evaluation.read(out)
    assert read.failed_pairs is not None
    assert read.failed_pairs["south"].genuine_failed > 20
    page = (out / "report.html").read_text()
    assert "Pairs without a score" in page
    assert "GFNMR" in (out / "tables" / "p1-failures.md").read_text()
