"""What an audit says is what the evaluations hold."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from audits import FORMULA, HOSTILE, evaluation
from document import Element, parse

from evenface.errors import DataError
from evenface.evaluate import Evaluation, compare_evaluations
from evenface.report.audit import Audit, collect_audit, write_audit
from evenface.report.audit.chapter import chapters
from evenface.report.audit.tables import fairness_table, operating_table


def simulated(found: Evaluation) -> Evaluation:
    protocol = found.protocol.model_copy(
        update={"simulated": True, "origins": {"synthetic": 70, "real": 30}}
    )
    return found.model_copy(update={"protocol": protocol})


@pytest.fixture(scope="module")
def two() -> tuple[Evaluation, Evaluation]:
    return simulated(evaluation()), simulated(evaluation(3.4, model="second", seed=0))


@pytest.fixture(scope="module")
def folder(two: tuple[Evaluation, Evaluation], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("audit")
    write_audit(collect_audit([(str(e.model), e) for e in two]), out)
    return out


@pytest.fixture(scope="module")
def page(folder: Path) -> Element:
    return parse((folder / "report.html").read_text(encoding="utf-8"))


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    with open(folder / "tables" / f"{name}.csv", encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def test_accuracies_of_tables_are_those_of_the_records(
    folder: Path, two: tuple[Evaluation, Evaluation]
) -> None:
    found = rows(folder, "p1-accuracy")
    assert [row["model"] for row in found] == ["first", "second"]
    for row, expected in zip(found, two, strict=True):
        for group, result in expected.groups.items():
            assert float(row[group]) == result.accuracy.value
            assert float(row[f"{group} low"]) == result.accuracy.low
            assert float(row[f"{group} high"]) == result.accuracy.high
        assert float(row["STD"]) == expected.overall.std_sample.value


def test_operating_points_of_tables_are_those_of_the_records(
    folder: Path, two: tuple[Evaluation, Evaluation]
) -> None:
    point = next(p for p in two[0].operating_points if p.key == "1e-1")
    found = [row for row in rows(folder, "p1-operating-1e-1") if row["model"] == "first"]
    assert [row["group"] for row in found] == list(two[0].groups)
    for row in found:
        group = row["group"]
        assert float(row["FMR"]) == point.fmr[group].value
        assert float(row["FNMR high"]) == point.fnmr[group].high
        assert float(row["threshold"]) == point.threshold
        assert float(row["FNMR, own threshold"]) == point.own[group].fnmr.value


def test_differences_of_tables_are_those_of_the_comparison(
    folder: Path, two: tuple[Evaluation, Evaluation]
) -> None:
    expected = compare_evaluations(*two)
    accuracy = next(m for m in expected.by_group if m.measure == "accuracy")
    row = next(r for r in rows(folder, "p1-differences-0") if r["measure"] == "accuracy")
    for of_group in accuracy.groups:
        assert float(row[of_group.group]) == of_group.difference.value
        assert float(row[f"{of_group.group} low"]) == of_group.difference.low
    mean = next(r for r in rows(folder, "p1-overall-differences-0"))
    assert float(mean["difference"]) == expected.overall[0].difference.value
    assert mean["answer"] == "better"


def test_page_shows_the_numbers(page: Element, two: tuple[Evaluation, Evaluation]) -> None:
    table = page.one("div", id="p1-accuracy").text
    for expected in two:
        for result in expected.groups.values():
            assert result.accuracy.value is not None
            assert f"{100 * result.accuracy.value:.2f}" in table


def test_simulated_faces_come_first(page: Element) -> None:
    text = page.one("body").text
    said = text.index("These figures say nothing about real people")
    assert said < text.index("Is second better")
    assert "70 synthetic and 30 real" in page.one("aside").text


def test_answers_begin_with_the_comparison(page: Element) -> None:
    answers = page.one("section", id="answers")
    first = next(answers.every("li"))
    assert first.one("h3").text == "Is second better than first on simulated scores?"
    assert first.one("p", class_="answer").text.startswith(
        "Yes: second judges more pairs correctly"
    )


def test_links_lead_somewhere_and_ids_are_unique(page: Element) -> None:
    ids = [e.attributes["id"] for e in page.every() if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    targets = [
        e.attributes["href"]
        for e in page.every("a")
        if e.attributes.get("href", "").startswith("#")
    ]
    assert set(targets) <= {f"#{i}" for i in ids}


def test_plots_are_complete_files(folder: Path) -> None:
    files = sorted((folder / "plots").glob("*.svg"))
    names = {path.name.split("-")[1] for path in files}
    assert names == {
        "rates",
        "distributions",
        "thresholds",
        "roc",
        "det",
        "targets",
        "cross",
        "reliability",
    }
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert "var(" not in text
        assert "simulated faces" in text
        root = ElementTree.fromstring(text)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        ids = {e.get("id") for e in root.iter()}
        link = "{http://www.w3.org/1999/xlink}href"
        assert {e.get(link, "")[1:] for e in root.iter() if e.get(link)} <= ids


def test_same_results_same_bytes(folder: Path, two: tuple[Evaluation, Evaluation]) -> None:
    other = folder.parent / "again"
    write_audit(collect_audit([(str(e.model), e) for e in two]), other)
    for path in folder.rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (other / path.relative_to(folder)).read_bytes(), path


def test_report_from_files_is_the_report(folder: Path, tmp_path: Path) -> None:
    audit = Audit.read(folder / "results.json")
    page = write_audit(audit, tmp_path)
    assert page.read_bytes() == (folder / "report.html").read_bytes()


def test_results_hold_every_evaluation(folder: Path, two: tuple[Evaluation, Evaluation]) -> None:
    content = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert (content["kind"], content["version"]) == ("evenface audit", 1)
    assert [v["result"] for v in content["verification"]] == [e.to_dict() for e in two]
    assert [(c["first"], c["second"]) for c in content["comparisons"]] == [("first", "second")]


def test_other_pairs_are_another_chapter() -> None:
    other = evaluation(groups=("a", "b"), model="first")
    audit = collect_audit([("first", evaluation()), ("first", other)])
    assert len(chapters(audit)) == 2
    assert audit.comparisons == []
    # The same name for other pairs would mix them.
    assert len({chapter.title for chapter in chapters(audit)}) == 2


def test_a_model_twice_on_the_same_pairs_is_not_compared_with_itself() -> None:
    audit = collect_audit([("first", evaluation()), ("first", evaluation())])
    assert audit.comparisons == []
    assert [len(c.models) for c in chapters(audit)] == [1, 1]


def test_what_cannot_be_compared_is_noted_or_refused() -> None:
    pair = [("a", evaluation()), ("b", evaluation(replicates=0))]
    audit = collect_audit(pair)
    assert audit.comparisons == []
    assert "a and b on simulated scores were not compared" in audit.notes[0]
    with pytest.raises(ValueError, match="replicates"):
        collect_audit(pair, strict=True)


@pytest.mark.parametrize(
    "arguments",
    [
        {"groups": ("only",)},
        {"replicates": 0},
        {"named": False},
        {"groups": ("only",), "named": False, "replicates": 0},
    ],
    ids=["one-group", "no-intervals", "no-people", "nothing"],
)
def test_holes_are_shown_as_holes(arguments: dict[str, object], tmp_path: Path) -> None:
    found = evaluation(**arguments)  # type: ignore[arg-type]
    page = parse(write_audit(collect_audit([("m", found)]), tmp_path).read_text(encoding="utf-8"))
    text = page.one("main").text
    assert "None" not in text
    assert "nan" not in text.casefold().split()
    if len(found.groups) == 1:
        assert "so fairness cannot be measured" in text
        assert fairness_table(chapters(collect_audit([("m", found)]))[0]) is None
    if not found.bootstrap.replicates:
        assert "No intervals were asked for" in text
    if found.protocol.origins == {} and arguments.get("named") is False:
        assert "not given by the protocol" in page.one("div", id="p1-pairs").text.casefold()


def test_evaluations_of_version_2_are_shown(tmp_path: Path) -> None:
    full = evaluation()
    bare = full.model_copy(
        update={
            "version": 2,
            "operating_points": [],
            "cross_tables": [],
            "calibration": None,
            "worst_case_threshold": None,
            "groups": {
                g: r.model_copy(
                    update={"accuracy_exact": None, "distribution": None, "rates": None}
                )
                for g, r in full.groups.items()
            },
        }
    )
    page = parse(write_audit(collect_audit([("m", bare)]), tmp_path).read_text(encoding="utf-8"))
    text = page.one("main").text
    for hole in ("No distributions", "No calibration", "No cross-table", "support no target"):
        assert hole in text


def test_repeated_colours_are_said(tmp_path: Path) -> None:
    found = evaluation(groups=tuple("abcdefg"), replicates=0)
    page = write_audit(collect_audit([("m", found)]), tmp_path).read_text(encoding="utf-8")
    assert "Colours repeat after 6 groups" in page


def test_a_target_that_one_model_does_not_support_is_a_hole() -> None:
    chapter = chapters(collect_audit([("m", evaluation())]))[0]
    table = operating_table(chapter, "1e-5")
    assert table.rows[0].cells[1].text == "–"
    assert "do not support" in table.notes[0]


def test_hostile_names_are_text(tmp_path: Path) -> None:
    found = evaluation(groups=(HOSTILE, FORMULA, "b\x01"), model=HOSTILE, name=HOSTILE)
    page = write_audit(collect_audit([(HOSTILE, found)]), tmp_path)
    text = page.read_text(encoding="utf-8")
    assert "<script" not in text
    assert "alert(1)" in text
    for path in (tmp_path / "plots").glob("*.svg"):
        ElementTree.parse(path)
    for path in (tmp_path / "tables").glob("*.csv"):
        for row in csv.reader(path.read_text(encoding="utf-8").splitlines()):
            assert not any(field.startswith(("=", "@")) for field in row)


def test_folders_of_others_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "tables" / "rfw").mkdir(parents=True)
    with pytest.raises(DataError, match="not of an audit"):
        write_audit(collect_audit([("m", evaluation())]), tmp_path)
    assert (tmp_path / "tables" / "rfw").is_dir()
    assert not (tmp_path / "results.json").exists()


def test_results_of_a_study_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text('{"schema": 2}')
    with pytest.raises(DataError, match="not of an audit"):
        write_audit(collect_audit([("m", evaluation())]), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{}", "not the results of an audit"),
        ('{"schema": 2}', "not the results of an audit"),
        ("[]", "not the results of an audit"),
        ('{"kind": "evenface audit", "version": 9}', "version 9"),
        ('{"kind": "evenface audit", "version": 1, "verification": [{}]}', "verification"),
        ("{", "not valid JSON"),
    ],
)
def test_other_files_are_refused(content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(DataError, match=said) as caught:
        Audit.read(tmp_path / "results.json")
    assert "results.json" in str(caught.value)
