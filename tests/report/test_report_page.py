"""The page: what stands where, escaping, determinism, self-containedness."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from document import Element, parse, table_rows
from fabricated import GROUPS, draw_samples, fabricated_results, one_seed
from PIL import Image
from pydantic import BaseModel

from evenface.errors import DataError
from evenface.evaluate import Evaluation
from evenface.report import write_report
from evenface.study.record import Results

Write = Callable[[dict[str, Any]], Element]


def test_fabricated_evaluations_have_every_entry_of_real_ones() -> None:
    for of_model in fabricated_results()["evaluations"].values():
        for evaluation in of_model.values():
            apart = {"replicates", "pair_replicates", "shrinkage"}
            assert set(Evaluation.model_fields) <= {*evaluation, *apart}
            for part in ("overall", "global_threshold"):
                model = Evaluation.model_fields[part].annotation
                assert isinstance(model, type)
                assert issubclass(model, BaseModel)
                assert set(model.model_fields) <= set(evaluation[part])


def test_sections_stand_in_order(page: Element) -> None:
    order = [section.attributes["id"] for section in page.every("section")]
    assert order == [
        "answers",
        "groups",
        "unevenness",
        "others",
        "roc",
        "training",
        "sets",
        "methods",
        "repeat",
        "glossary",
    ]


def test_headings_go_down_one_level_at_a_time(page: Element) -> None:
    levels = [int(e.tag[1]) for e in page.every() if re.fullmatch("h[1-6]", e.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(below - above <= 1 for above, below in pairwise(levels))


def test_ids_are_unique_and_every_link_has_its_target(page: Element) -> None:
    ids = [e.attributes["id"] for e in page.every() if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    links = [e.attributes["href"] for e in page.every() if e.tag in ("a", "use")]
    assert links
    assert {link.removeprefix("#") for link in links} <= set(ids)
    attribute = "aria-labelledby"
    labels = {e.attributes[attribute] for e in page.every() if attribute in e.attributes}
    assert labels <= set(ids)


def test_main_table_has_every_model_and_its_numbers(page: Element) -> None:
    rows = table_rows(page, "accuracy-groups")
    assert list(rows) == [
        *(
            f"{name}, {arm}"
            for name in ("real", "synthetic", "mix")
            for arm in ("without KD", "KD from study teacher", "KD from SFace")
        ),
        "study teacher",
        "SFace (teacher)",
        "untrained network",
    ]
    # 91.2 % on average, offset by −1.4, +0.6, +1.1, seeds 0.4 apart: worked by hand.
    assert rows["real, without KD"] == [
        "89.80 [88.90, 90.70]",
        "91.80 [90.90, 92.70]",
        "92.30 [91.40, 93.20]",
        "91.30 [90.70, 91.90] seeds 90.90 · 91.30 · 91.70",
        "1.32 [0.82, 1.82]",
        "1.32 [1.02, 1.72]",
        "african in 87 %",
    ]
    assert "seeds" not in rows["SFace (teacher)"][3]
    bodies = [len(list(b.every("tr"))) for b in page.one(id="accuracy-groups").every("tbody")]
    assert bodies == [3, 3, 3, 3]


def test_arms_stand_in_order_whatever_that_of_the_results(
    results: dict[str, Any], write: Write
) -> None:
    results["models"].sort(key=lambda m: (m["kind"] != "student", m["id"]))
    rows = list(table_rows(write(results), "accuracy-groups"))
    assert rows[:3] == ["mix, without KD", "mix, KD from study teacher", "mix, KD from SFace"]


def test_unevenness_with_what_noise_alone_gives(page: Element) -> None:
    rows = table_rows(page, "unevenness-groups")
    # Probits of 89.8 % and 92.3 %: 1.270 and 1.426.
    assert rows["real, without KD"] == [
        "1.32 [0.82, 1.82] pop. 1.08",
        "0.60 [0.20, 1.20] reached in 2 %",
        "1.32 [1.02, 1.72]",
        "2.50 [1.70, 3.30]",
        "0.31 [0.11, 0.51]",
        "0.16 [0.11, 0.21]",
        "89.98 [88.98, 90.98]",
        "1.60 [1.20, 2.00]",
    ]
    differences = page.one(id="differences-groups-overall")
    headings = [h.text for h in differences.one("thead").every("th")]
    assert headings == ["training set", "STD", "SER", "d′ gap", "probit gap", "FNMR ratio"]


def test_paired_differences_are_listed_with_sign_interval_and_corrected_p(page: Element) -> None:
    rows = table_rows(page, "differences-groups-accuracy")
    # 1.8 points · (1 − 25 · 0.014)
    assert rows["real KD from study teacher"][0] == "+1.17 [+0.07, +2.27] p 0.039"
    assert rows["real KD from study teacher"][-1] == "+1.85 [+0.75, +2.95]"
    assert "Holm" in page.one(id="differences-groups-accuracy").text


def test_held_out_look_is_a_compact_table(page: Element) -> None:
    section = page.one("section", id="others")
    # 1.2 points below the main look.
    assert table_rows(section, "accuracy-studio")["real, without KD"] == [
        "88.60 [87.70, 89.50]",
        "90.60 [89.70, 91.50]",
        "91.10 [90.20, 92.00]",
        "90.10 [89.50, 90.70]",
        "1.32 [0.82, 1.82]",
        "1.28 [1.02, 1.68]",
    ]
    assert "a look that no training set has" in section.text
    assert "Impostors are people of one group each" in page.one(id="threshold-groups").text


def test_real_people_have_all_arms_and_references(page: Element) -> None:
    rows = table_rows(page, "people")
    # EER = 1.05 · (100 − accuracy + 3)
    assert rows["synthetic, without KD"][0] == "17.75 [16.95, 18.55]"
    assert len(rows) == 12
    labels = page.one(id="people-chart-figure").text
    assert "untrained network" in labels
    assert "SFace (teacher)" in labels
    assert "synthetic, KD from SFace" in labels


def test_figures_are_images_with_labels_and_captions(page: Element) -> None:
    figures = [f for f in page.every("figure") if list(f.every("svg"))]
    for figure in figures:
        assert figure.one("figcaption").text
        for panel in figure.every("div", class_="panel"):
            drawing = panel.one("svg")
            assert drawing.attributes["role"] == "img"
            assert len(drawing.attributes["aria-label"]) > 20
    panels = {
        f.attributes["id"].removesuffix("-figure"): len(list(f.every("div", class_="panel")))
        for f in figures
    }
    # Three training sets × two teachers; two sets of people; ROC of three references as well. One
    # size of student and nearly one training time: no chart of costs.
    assert panels == {"picture": 1, "slope": 6, "people-chart": 2, "roc-curves": 9}


def test_single_seeds_are_drawn_behind_their_mean(
    page: Element, results: dict[str, Any], write: Write
) -> None:
    assert "Thin lines are single seeds" in page.one(id="slope-figure").text
    one_seed(results)
    assert "Thin lines" not in write(results).one(id="slope-figure").text


def test_seeds_are_noted_as_far_as_they_go(
    page: Element, results: dict[str, Any], write: Write
) -> None:
    caveats = page.one(id="caveats").text.replace("\xa0", " ")
    assert "One seed:" not in caveats
    assert "more seeds would make them narrower" in caveats
    assert "means over 3 training seeds" in page.one("section", id="groups").text
    one_seed(results)
    single = write(results)
    assert "with seed 0" in single.one(id="caveats").text
    assert "not the chance in training" in single.one(id="caveats").text
    assert "means over" not in single.one("section", id="groups").text
    assert "seeds 9" not in single.one(id="accuracy-groups").text
    assert "Few seeds:" not in single.text


@pytest.mark.parametrize(("seeds", "few"), [(2, True), (7, True), (8, False)])
def test_few_seeds_are_a_caveat(
    results: dict[str, Any], write: Write, seeds: int, few: bool
) -> None:
    results["study"]["seeds"] = list(range(seeds))
    text = write(results).one(id="caveats").text
    assert ("Few seeds:" in text) == few
    assert (f"trained {seeds} times" in text) == few


def test_everything_simulated_says_so(page: Element) -> None:
    assert "simulated faces" in page.one(id="picture-figure").text
    for section in ("groups", "unevenness", "others", "roc"):
        assert "simulated faces" in page.one("section", id=section).text
    people = page.one("section", id="others")
    assert [h.text for h in people.every("h3")] == [
        "held-out look: studio simulated faces",
        "ORL, 40 real people real people",
        "openpeople, 10 generated people simulated faces",
        "Equal error rates",
    ]


def test_how_to_repeat_it(page: Element) -> None:
    text = page.one("section", id="repeat").text
    for part in (
        "evenface study run quick --out studies/quick",
        "Fabricated CPU",
        "memory, GiB 7.8",
        "torch 2.13.0",
        "a" * 64,
        "b" * 64,
        "0, 1, 2 for training",
        "1" * 64,
        "2026-01-02 03:04 UTC",
        "real_fraction: 0.7",
    ):
        assert part in text
    assert "anny" not in text  # not installed there


def test_stage_times_have_a_total(page: Element) -> None:
    rows = table_rows(page, "stages")
    assert rows["render faces: real"] == ["2 min 11 s", "", "yes"]
    assert rows["total"][0] == "4 min 33 s"  # 131.2 + 48.07 + 71.5 + 22.4 = 273.17 s


def test_losses_of_arms_can_be_compared(page: Element, results: dict[str, Any]) -> None:
    """Of classification alone, as arms without KD have no other."""
    for arm, title in (
        ("real-plain", "real, without KD"),
        ("real-kd-sface", "real, KD from SFace"),
    ):
        last = [curve[-1]["classification"] for curve in results["curves"][arm]]
        assert table_rows(page, "models")[title][-1] == f"{sum(last) / len(last):.3f}"
    assert page.one(id="models").one("thead").text.endswith("classification loss")


def test_sample_sheets_are_embedded(page: Element) -> None:
    images = list(page.one("section", id="sets").every("img"))
    assert len(images) == 3
    for image in images:
        kind, _, data = image.attributes["src"].partition(",")
        assert kind == "data:image/jpeg;base64"
        with Image.open(io.BytesIO(base64.b64decode(data))) as opened:
            assert opened.size == (932, 468)
        assert (image.attributes["width"], image.attributes["height"]) == ("932", "468")


def test_nothing_is_fetched_from_anywhere(page: Element, page_path: Path) -> None:
    for element in page.every():
        assert element.tag not in ("iframe", "object", "embed", "base")
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
    write_report(Results.parse(fabricated_results()), tmp_path / "again.html")
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
    results["teachers"][0] |= {"name": evil, "note": evil, "origin": evil}
    for claim in results["claims"]:
        claim |= {"question": f"{claim['id']} {evil}", "statement": evil, "rule": evil}
        claim["tests"][0] |= {"label": evil, "note": evil}
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
    text = write_report(Results.parse(results), tmp_path / "report.html").read_text(
        encoding="utf-8"
    )
    assert text.count("<script") == 1  # the page's own
    page = parse(text)
    assert evil in page.one("pre").text
    assert evil in page.one(id="claim-1").one("h4").text
    assert evil in [h.text for h in page.one(id="accuracy-groups").every("th")]
    assert evil in page.one(id="slope-figure").one("ul").text


def test_characters_of_all_scripts_pass_through(results: dict[str, Any], write: Write) -> None:
    name = "日本\x07 العربية 🙂"
    results["benchmarks"][0]["groups"] = [name]
    for of_model in results["evaluations"].values():
        groups = of_model["groups"]["groups"]
        groups[name] = groups["asian"]
    page = write(results)
    assert name in [h.text for h in page.one(id="accuracy-groups").every("th")]


def test_page_without_simulation_makes_no_such_claim(results: dict[str, Any], write: Write) -> None:
    results["study"] |= {"simulated": False, "statement": "All faces are the user's own."}
    for benchmark in results["benchmarks"]:
        benchmark["simulated"] = False
    for item in results["sets"]:
        item["origins"] = {"real": 1344, "synthetic": 576}
    page = write(results)
    assert "simulated" not in page.one("main").text
    assert not list(page.every("span", class_="badge")) or all(
        badge.text == "real people" for badge in page.every("span", class_="badge")
    )


def test_photographs_of_real_people_are_never_shown(
    results: dict[str, Any], tmp_path: Path
) -> None:
    draw_samples(tmp_path)
    results["sets"][0]["origins"] = {"real": 1919, "synthetic": 1}
    page = parse(
        write_report(Results.parse(results), tmp_path / "report.html").read_text(encoding="utf-8")
    )
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
        write_report(Results.parse(results), tmp_path / "study" / "report.html")
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n truncated"])
def test_broken_sample_sheet_is_named(
    results: dict[str, Any], tmp_path: Path, content: bytes
) -> None:
    draw_samples(tmp_path)
    (tmp_path / "samples" / "mix.png").write_bytes(content)
    with pytest.raises(DataError, match=r"mix\.png: not a readable image"):
        write_report(Results.parse(results), tmp_path / "report.html")


def test_people_left_out_are_counted_by_group_and_reason(
    results: dict[str, Any], write: Write
) -> None:
    person = {"test": "test", "test_identity": "t", "images": 4}
    results["left_out"] = {
        "by": "both",
        "teacher": "sface",
        "teacher_fingerprint": "ab",
        "threshold": 0.6,
        "image_threshold": 0.95,
        "faces": {
            "real": {
                "identities": 1200,
                "images": 4800,
                "groups": {"east": 700, "west": 500},
                "people": [
                    {**person, "identity": "a", "group": "east", "reason": "name", "cosine": None},
                    {
                        **person,
                        "identity": "b",
                        "group": "east",
                        "reason": "people alike",
                        "cosine": 0.71,
                    },
                ],
                "closest_kept": [
                    {"identity": "c", "test": "test", "test_identity": "t", "cosine": 0.58}
                ],
            },
            "synthetic": {
                "identities": 900,
                "images": 900,
                "groups": {},
                "people": [],
                "closest_kept": [],
            },
        },
    }
    section = write(results).one(id="sets")
    rows = table_rows(section, "left-out")
    assert rows["real"] == ["1,200", "2", "1", "1", "0", "0.71–0.71"]
    assert rows["real, east"] == ["700", "2", "1", "1", "0", "0.71–0.71"]
    assert "real, west" not in rows
    assert rows["synthetic"] == ["900", "0", "0", "0", "0", "–"]
    assert "the most similar has a cosine of 0.58" in section.text
    results["left_out"] = {}  # of a study that did not look for them
    assert "left out of training" not in write(results).one(id="sets").text
