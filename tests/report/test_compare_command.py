"""`evenface compare` and `evenface report`, and the report that `evenface evaluate` writes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from audits import evaluation, score_table

from evenface.cli.main import main
from evenface.evaluate import Evaluation, compare_evaluations
from evenface.evaluate.score_table import ScoreTable


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    out = tmp_path_factory.mktemp("evaluations")
    evaluation().write(out / "first")
    evaluation(3.4, model="second").write(out / "second")
    return out / "first", out / "second"


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    assert isinstance(left.value.code, int)
    return left.value.code


def test_json_holds_the_paired_tests(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("compare", *folders, "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)
    expected = compare_evaluations(*map(Evaluation.read, folders))
    assert (found["first"], found["second"]) == ("first", "second")
    shown = found["comparison"]["overall"][0]
    assert shown["measure"] == "overall.accuracy"
    assert shown["answer"] == expected.overall[0].answer == "higher"
    assert shown["difference"]["value"] == expected.overall[0].difference.value


def test_terminal_says_the_answer(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("compare", *folders) == 0
    said = capsys.readouterr().out
    assert "Is second better than first on simulated scores? Yes" in said
    assert "not distinguishable" in said
    assert "simulated" not in said.replace("simulated scores", "")


def test_three_models_make_a_report_with_two_comparisons(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    evaluation(2.2, model="third", seed=1).write(tmp_path / "third")
    assert run("compare", *folders, tmp_path / "third", "--out", tmp_path / "out") == 0
    assert (tmp_path / "out" / "report.html").exists()
    content = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert [(c["first"], c["second"]) for c in content["comparisons"]] == [
        ("first", "second"),
        ("first", "third"),
    ]
    before = (tmp_path / "out" / "report.html").read_bytes()
    (tmp_path / "out" / "report.html").unlink()
    assert run("report", tmp_path / "out") == 0
    assert (tmp_path / "out" / "report.html").read_bytes() == before


def test_models_of_one_name_are_told_apart_by_folder(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluation(3.4, model="first").write(tmp_path / "other")
    assert run("compare", folders[0], tmp_path / "other", "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["first"] == f"first ({folders[0]})"
    assert found["second"] == f"first ({tmp_path / 'other'})"


def test_folders_of_models_are_compared_protocol_by_protocol(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for model in ("x", "y"):
        for groups in (("a", "b"), ("c",)):
            found = evaluation(groups=groups, model=model, name=groups[0])
            found.write(tmp_path / model / groups[0])
    assert run("compare", tmp_path / "x", tmp_path / "y", "--json") == 0
    assert [c["protocol"] for c in json.loads(capsys.readouterr().out)] == ["a", "c"]


def test_other_pairs_are_refused(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluation(groups=("a", "b")).write(tmp_path / "other")
    assert run("compare", folders[0], tmp_path / "other") == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "are not of the same pairs" in said
    assert "Evaluate both with the same protocol" in said


def test_other_resamples_are_refused(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluation(3.4, replicates=20).write(tmp_path / "other")
    evaluation(3.4, replicates=0).write(tmp_path / "none")
    for name in ("other", "none"):
        assert run("compare", folders[0], tmp_path / name) == 2
        assert "--replicates" in capsys.readouterr().err


@pytest.mark.parametrize("broken", ["empty", "json", "archive"])
def test_unusable_folders_are_named(
    broken: str, folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "other"
    place.mkdir()
    if broken != "empty":
        evaluation().write(place)
        name = "evaluation.json" if broken == "json" else "replicates.npz"
        whole = (place / name).read_bytes()
        (place / name).write_bytes(whole[: len(whole) // 2])
    assert run("compare", folders[0], place) == 1
    assert str(place) in capsys.readouterr().err.replace("\n", "")


def test_one_folder_or_the_same_twice_is_wrong_usage(folders: tuple[Path, Path]) -> None:
    assert run("compare", folders[0]) == 2
    assert run("compare", folders[0], folders[0]) == 2


def test_evaluating_tables_of_scores_writes_their_report(tmp_path: Path) -> None:
    for name, separation in (("a", 2.2), ("b", 3.4)):
        write_scores(tmp_path / f"{name}.csv", score_table(separation))
    tables = (tmp_path / "a.csv", tmp_path / "b.csv")
    assert run("evaluate", *tables, "--out", tmp_path / "out", "--replicates", "20", "--json") == 0
    content = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    # Two tables of the same pairs are two models on one protocol.
    assert [(c["first"], c["second"]) for c in content["comparisons"]] == [("a", "b")]
    assert (tmp_path / "out" / "report.html").exists()


def test_without_the_extra_the_results_are_written_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "jinja2", None)
    write_scores(tmp_path / "a.csv", score_table())
    assert run("evaluate", tmp_path / "a.csv", "--out", tmp_path, "--replicates", "20") == 0
    assert "no report was written" in capsys.readouterr().err
    assert (tmp_path / "evaluation.json").exists()
    assert not (tmp_path / "report.html").exists()


def write_scores(path: Path, table: ScoreTable) -> None:
    """As `evenface evaluate` reads them."""
    names = ("score", "genuine", "group", "group2", "identity1", "identity2")
    groups = ([table.groups[g] for g in codes] for codes in (table.group1, table.group2))
    columns = (
        table.score.tolist(),
        table.genuine.astype(int).tolist(),
        *groups,
        table.identity1.tolist(),
        table.identity2.tolist(),
    )
    with open(path, "w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(names)
        writer.writerows(zip(*columns, strict=True))
