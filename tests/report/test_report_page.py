"""The page: what stands where, escaping, determinism, self-containedness, holes."""

from __future__ import annotations

import base64
import io
import json
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from document import Element, parse
from fabricated import GROUPS, draw_samples, fabricated_results
from PIL import Image

from evenface.errors import DataError, MissingDependencyError
from evenface.evaluate import Evaluation
from evenface.report import write_report

Write = Callable[[dict[str, Any]], Element]


def _rows(page: Element, table: str) -> dict[str, list[str]]:
    """Cells of a table by the text of the row's header."""
    rows = {}
    for row in page.one(id=table).every("tr"):
        if header := list(row.every("th", scope="row")):
            rows[header[0].text] = [cell.text for cell in row.every("td")]
    return rows


def test_fabricated_evaluations_have_the_real_layout() -> None:
    for of_model in fabricated_results()["evaluations"].values():
        for evaluation in of_model.values():
            Evaluation.model_validate({**evaluation, "replicates": {}})


def test_sections_stand_in_order(page: Element) -> None:
    order = [section.attributes["id"] for section in page.every("section")]
    assert order == [
        "answer",
        "models-groups",
        "slopes",
        "paired",
        "operating-points",
        "roc",
        "other-faces",
        "training",
        "sets",
        "times",
        "repeat",
        "limits",
        "glossary",
    ]


def test_what_was_simulated_comes_before_any_number(page: Element) -> None:
    everything = list(page.every())
    title, box, table = (
        everything.index(page.one(tag, **attributes))
        for tag, attributes in (("h1", {}), ("aside", {"id": "statement"}), ("table", {}))
    )
    assert title < box < everything.index(page.one(id="answer")) < table
    text = page.one("aside").text
    assert "What was simulated" in text
    assert "rendered faces stand in for photographs" in text
    assert "the labels that the data declare: african, asian, caucasian (phenotype axis)" in text
    assert "No claim about fairness towards real people" in text


def test_headings_go_down_one_level_at_a_time(page: Element) -> None:
    levels = [int(e.tag[1]) for e in page.every() if re.fullmatch("h[1-6]", e.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(below - above <= 1 for above, below in zip(levels, levels[1:], strict=False))


def test_ids_are_unique_and_every_link_has_its_target(page: Element) -> None:
    ids = [e.attributes["id"] for e in page.every() if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    links = [e.attributes["href"] for e in page.every() if e.tag in ("a", "use")]
    assert links
    assert {link.removeprefix("#") for link in links} <= set(ids)
    labels = {
        e.attributes["aria-labelledby"] for e in page.every() if "aria-labelledby" in e.attributes
    }
    assert labels <= set(ids)


def test_main_table_has_every_model_and_its_numbers(page: Element) -> None:
    rows = _rows(page, "accuracy")
    assert list(rows) == [
        "real, without KD",
        "real, with KD",
        "synthetic, without KD",
        "synthetic, with KD",
        "mix, without KD",
        "mix, with KD",
        "teacher (sface)",
        "untrained network",
    ]
    # 91.2 % on average, offset by −1.4, +0.6, +1.1: worked by hand.
    assert rows["real, without KD"] == [
        "89.80 [88.90, 90.70]",
        "91.80 [90.90, 92.70]",
        "92.30 [91.40, 93.20]",
        "91.30 [90.70, 91.90]",
        "1.32 [0.82, 1.82] pop. 1.08",
        "1.32 [1.02, 1.72]",
        "2.50 [1.70, 3.30]",
        "african in 87 %",
    ]
    bodies = [len(list(body.every("tr"))) for body in page.one(id="accuracy").every("tbody")]
    assert bodies == [2, 2, 2, 2]


def test_paired_differences_are_listed_with_sign_and_interval(page: Element) -> None:
    table = page.one(id="differences-groups").text
    # 1.8 points · (1 − 25 · 0.014)
    assert "+1.17 [+0.07, +2.27]" in table
    assert "−1.23 [−2.33, −0.13]" in table
    assert "over groups" in table


def test_far_that_is_not_supported_is_explained(page: Element) -> None:
    table = page.one(id="operating-groups")
    assert "TAR@FAR 0.1\xa0%" in [e.text for e in table.every("a")] or "TAR@FAR 0.1 %" in table.text
    assert "640 impostor pairs give 0.64 expected false accepts" in table.one("ol").text
    assert "african 1,120 and 640" in table.text


def test_figures_are_images_with_labels_and_captions(page: Element) -> None:
    figures = [f for f in page.every("figure") if list(f.every("svg"))]
    assert len(figures) == 6
    for figure in figures:
        assert figure.one("figcaption").text
        for panel in figure.every("div", class_="panel"):
            drawing = panel.one("svg")
            assert drawing.attributes["role"] == "img"
            assert len(drawing.attributes["aria-label"]) > 20
    panels = [len(list(f.every("div", class_="panel"))) for f in figures]
    assert panels == [3, 3, 5, 1, 1, 3]


def test_everything_simulated_says_so(page: Element) -> None:
    for section in ("models-groups", "slopes", "paired", "operating-points", "roc"):
        assert "simulated faces" in page.one("section", id=section).text
    people = page.one("section", id="other-faces")
    assert [h.text for h in people.every("h3")] == [
        "ORL, 40 real people real people",
        "openpeople, 10 generated people simulated faces",
    ]


def test_how_to_repeat_it(page: Element) -> None:
    text = page.one("section", id="repeat").text
    for part in (
        "evenface study run quick --out studies/quick",
        "Fabricated CPU",
        "memory, GiB 7.8",
        "torch 2.13.0",
        "a" * 64,
        "1" * 64,
        "2026-01-02 03:04 UTC",
        "real_fraction: 0.7",
    ):
        assert part in text
    assert "anny" not in text  # not installed there


def test_stage_times_have_a_total(page: Element) -> None:
    rows = _rows(page, "stages")
    assert rows["render faces: real"] == ["2 min 11 s", "", "yes"]
    assert rows["total"][0] == "4 min 33 s"  # 131.2 + 48.07 + 71.5 + 22.4 = 273.17 s


def test_distillation_weight_is_shown_as_lambda_too(page: Element) -> None:
    # 39.06 · 128 / 2 = 2499.84
    assert "39.06 · (1 − cos)" in page.one("section", id="training").text
    assert "λ = 2,500" in page.one("section", id="training").text


def test_sample_sheets_are_embedded(page: Element) -> None:
    images = list(page.one("section", id="sets").every("img"))
    assert len(images) == 3
    for image in images:
        kind, _, data = image.attributes["src"].partition(",")
        assert kind == "data:image/jpeg;base64"
        with Image.open(io.BytesIO(base64.b64decode(data))) as opened:
            assert opened.size == (928, 464)
        assert (image.attributes["width"], image.attributes["height"]) == ("928", "464")


def test_nothing_is_fetched_from_anywhere(page: Element, page_path: Path) -> None:
    for element in page.every():
        assert element.tag not in ("script", "iframe", "object", "embed", "base")
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            if name in element.attributes:
                assert element.attributes[name].startswith(("#", "data:"))
        assert not any(name.startswith("on") for name in element.attributes)
    text = page_path.read_text(encoding="utf-8")
    assert "://" not in text
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    assert page_path.stat().st_size < 3_000_000


def test_same_results_same_bytes(tmp_path: Path, page_path: Path) -> None:
    draw_samples(tmp_path)
    write_report(fabricated_results(), tmp_path / "again.html")
    assert (tmp_path / "again.html").read_bytes() == page_path.read_bytes()


def test_results_may_be_a_file_beside_its_samples(tmp_path: Path, page_path: Path) -> None:
    folder = tmp_path / "study"
    draw_samples(folder)
    (folder / "results.json").write_text(json.dumps(fabricated_results()), encoding="utf-8")
    out = write_report(folder / "results.json", tmp_path / "elsewhere" / "page.html")
    assert out == tmp_path / "elsewhere" / "page.html"
    assert out.read_bytes() == page_path.read_bytes()


def test_user_text_is_escaped_everywhere(results: dict[str, Any], tmp_path: Path) -> None:
    evil = "<script>alert('x')</script>&\"$\\frac"
    results["study"] |= {"description": evil, "statement": evil, "command": evil}
    results["study"]["spec"] = {evil: evil}
    results["machine"][evil] = evil
    results["teacher"] |= {"name": evil, "note": evil}
    results["stages"][0]["name"] = evil
    main = results["benchmarks"][0]
    main |= {"title": evil, "statement": evil, "notes": [evil], "groups": [evil, *GROUPS[1:]]}
    for item in results["sets"]:
        item["title"] = f"{item['title']} {evil}"
    for model in results["models"]:
        model["title"] = f"{model['title']} {evil}"
        evaluation = results["evaluations"][model["id"]]["groups"]
        evaluation["groups"][evil] = evaluation["groups"].pop("african")
        evaluation["overall"]["worst_group"]["value"] = evil
        evaluation["notes"] = [evil]
    for difference in results["differences"]:
        if difference["group"] == "african":
            difference["group"] = evil
    text = write_report(results, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script" not in text
    page = parse(text)
    assert evil in page.one("pre").text
    assert evil in [h.text for h in page.one(id="accuracy").every("th")]
    assert any(evil[:10] in label.text for label in page.one(id="forest-figure").every("text"))


def test_characters_of_all_scripts_pass_through(results: dict[str, Any], write: Write) -> None:
    name = "日本\x07 العربية 🙂"
    results["benchmarks"][0]["groups"] = [name]
    for of_model in results["evaluations"].values():
        groups = of_model["groups"]["groups"]
        groups[name] = groups["asian"]
    page = write(results)
    assert name in [h.text for h in page.one(id="accuracy").every("th")]


def test_page_without_simulation_makes_no_such_claim(results: dict[str, Any], write: Write) -> None:
    results["study"] |= {"simulated": False, "statement": "All faces are the user's own."}
    for benchmark in results["benchmarks"]:
        benchmark["simulated"] = False
    for item in results["sets"]:
        item["origins"] = {"real": 1344, "synthetic": 576}
    page = write(results)
    assert "What was measured" in page.one("aside").text
    assert "simulated" not in page.one("main").text
    assert not list(page.every("span", class_="badge")) or all(
        badge.text == "real people" for badge in page.every("span", class_="badge")
    )


def test_photographs_of_real_people_are_never_shown(
    results: dict[str, Any], tmp_path: Path
) -> None:
    draw_samples(tmp_path)
    results["sets"][0]["origins"] = {"real": 1919, "synthetic": 1}
    page = parse(write_report(results, tmp_path / "report.html").read_text(encoding="utf-8"))
    sets = page.one("section", id="sets")
    assert len(list(sets.every("img"))) == 2
    assert "Photographs of real people are not shown" in sets.text


def test_missing_sample_sheets_are_named(results: dict[str, Any], write: Write) -> None:
    del results["samples"]["mix"]
    text = write(results).one("section", id="sets").text
    assert "The sample sheet samples/real.png is missing." in text
    assert "The study made no sample sheet." in text


@pytest.mark.parametrize("path", ["../secret.png", "/etc/hostname", "samples/../../x.png"])
def test_samples_outside_the_study_are_refused(
    results: dict[str, Any], tmp_path: Path, path: str
) -> None:
    results["samples"]["real"] = path
    with pytest.raises(DataError, match="leads out of the study's folder"):
        write_report(results, tmp_path / "study" / "report.html")
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n truncated"])
def test_broken_sample_sheet_is_named(
    results: dict[str, Any], tmp_path: Path, content: bytes
) -> None:
    draw_samples(tmp_path)
    (tmp_path / "samples" / "mix.png").write_bytes(content)
    with pytest.raises(DataError, match=r"mix\.png: not a readable image"):
        write_report(results, tmp_path / "report.html")


def test_study_without_kd_pairs(results: dict[str, Any], write: Write) -> None:
    results["models"] = [m for m in results["models"] if not m["kd"]]
    results["differences"] = []
    page = write(results)
    assert "does not say whether distillation helps" in page.one("section", id="answer").text
    assert "No training set has students both" in page.one("section", id="slopes").text
    assert "No paired differences" in page.one("section", id="paired").text
    assert len(list(page.one("section", id="roc").every("figure"))) == 1


def test_one_group_only(results: dict[str, Any], write: Write) -> None:
    results["benchmarks"] = [
        {**results["benchmarks"][1], "id": "groups", "simulated": True, "title": "one group"}
    ]
    for of_model in results["evaluations"].values():
        of_model["groups"] = of_model.pop("orl")
    results["differences"] = [
        {**d, "benchmark": "groups"} for d in results["differences"] if d["benchmark"] == "orl"
    ]
    page = write(results)
    assert (
        "there is one group: nothing to compare" in page.one(id="accuracy").one("ol").text.lower()
    )
    assert _rows(page, "accuracy")["real, with KD"][2:] == ["– 1"] * 4
    assert "not checked on other faces" in page.one("section", id="other-faces").text


def test_bare_minimum(results: dict[str, Any], write: Write) -> None:
    kept = {"schema", "study", "teacher"}
    bare = {key: value for key, value in results.items() if key in kept}
    page = write({**bare, "models": [], "benchmarks": []})
    holes = [hole.text for hole in page.every("p", class_="hole")]
    assert "This study has no benchmark." in holes
    assert "No training curves are in the results." in holes
    assert "No stage times are in the results." in holes
    assert "No training sets are in the results." in holes


def test_models_and_groups_without_evaluation_leave_visible_holes(
    results: dict[str, Any], write: Write
) -> None:
    del results["evaluations"]["mix-kd"]
    del results["evaluations"]["mix-plain"]["groups"]["groups"]["asian"]
    page = write(results)
    rows = _rows(page, "accuracy")
    assert rows["mix, with KD"] == ["– 2"] * 8
    assert rows["mix, without KD"][1] == "– 1"
    assert [note.text for note in page.one(id="accuracy").every("li")] == [
        "This group is not in the model's evaluation.",
        "This model was not evaluated on this benchmark.",
    ]


def test_undefined_and_infinite_numbers_are_words(results: dict[str, Any], write: Write) -> None:
    overall = results["evaluations"]["teacher"]["groups"]["overall"]
    overall["ser"] = {
        "value": None,
        "low": 2.5,
        "high": None,
        "note": "undefined: no error seen in asian",
    }
    overall["gap"] = {"value": math.inf, "low": None, "high": None}
    overall["std_sample"] = {"value": math.nan, "low": -math.inf, "high": math.inf}
    results["models"][0]["final_loss"] = math.nan
    results["curves"]["real-kd"][3]["classification"] = math.nan
    results["differences"][0] |= {"value": None, "low": None, "high": None}
    page = write(results)
    teacher = _rows(page, "accuracy")["teacher (sface)"]
    assert teacher[4] == "undefined [minus infinite, infinite] pop. 0.43"
    assert teacher[5] == "– 1 [2.50, no upper bound]"
    assert teacher[6] == "infinite"
    assert "no error seen in asian" in page.one(id="accuracy").one("ol").text
    assert _rows(page, "models")["real, without KD"][-1] == "undefined"
    words = re.findall(r"\b(?:nan|inf|None)\b", page.one("main").text)
    assert words == []


def test_no_real_people(results: dict[str, Any], write: Write) -> None:
    results["benchmarks"] = results["benchmarks"][:1]
    page = write(results)
    assert "not checked on other faces" in page.one("section", id="other-faces").text
    assert "ORL" not in page.one("section", id="answer").text


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda r: r.pop("study"), "study: Field required"),
        (lambda r: r.update(schema=2), "schema: Input should be 1"),
        (lambda r: r["models"][0].update(kind="pupil"), "models.0.kind"),
        (lambda r: r["stages"][0].update(seconds="long"), "stages.0.seconds"),
    ],
)
def test_wrong_results_are_named(
    results: dict[str, Any], tmp_path: Path, change: Callable[[dict[str, Any]], Any], named: str
) -> None:
    change(results)
    with pytest.raises(DataError, match=re.escape(named)):
        write_report(results, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"schema": 1}'])
def test_file_that_is_no_results_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=r"results\.json"):
        write_report(path, tmp_path / "report.html")


def test_failure_keeps_the_report_that_is_there(results: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    out.write_text("before")
    results["samples"]["real"] = "../x.png"
    with pytest.raises(DataError):
        write_report(results, out)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    assert out.read_text() == "before"


@pytest.mark.parametrize("package", ["matplotlib", "jinja2"])
def test_missing_package_names_the_extra(
    results: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    for name in list(sys.modules):
        if name.partition(".")[0] == package:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=r"evenface\[report\]"):
        write_report(results, tmp_path / "report.html")
