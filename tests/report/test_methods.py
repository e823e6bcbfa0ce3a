"""The methods section says what the results record, no more, and cites what it speaks of."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from document import parse

from evenface.distill.registry import DISTILLATIONS as LOSSES
from evenface.models.registry import BACKBONES, HEAD_ARGUMENTS
from evenface.models.registry import HEADS as MARGINS
from evenface.registry import descriptions
from evenface.report.citations import read_bibtex, works
from evenface.report.prose import Prose, Section, cite
from evenface.report.study.methods import write_methods
from evenface.study.cells import cells
from evenface.study.record import Results
from evenface.study.spec import StudySpec, load_study
from evenface.study.students import student_recipe

QUICK = Path(__file__).parents[2] / "docs" / "results" / "quick" / "results.json"
_GIVEN = {"weight", "embedding_size", "num_identities", "centres", "channels"}
"""Arguments of a distillation loss that are no options, or have no default."""


def with_recipes(results: dict[str, Any], spec: StudySpec) -> dict[str, Any]:
    """The fabricated results with the students of a study, as its results record them."""
    template = next(model for model in results["models"] if model["kind"] == "student")
    students = []
    for cell in cells(spec):
        cache = None if cell.teacher is None else Path("cache")
        recipe = student_recipe(
            spec, cell.id, overrides=cell.overrides, seed=0, size=128, cache=cache
        )
        content = recipe.model_dump(mode="json", exclude={"name", "data"}, exclude_defaults=True)
        content.get("distill", {}).pop("cache", None)
        students.append(
            template
            | {
                "id": cell.id,
                "title": cell.title,
                "set": cell.set,
                "kd": cell.teacher is not None,
                "teacher": cell.teacher,
                "levels": dict(cell.levels),
                "backbone": recipe.backbone.name,
                "recipe": content,
            }
        )
    results["schema"] = 3
    results["models"] = students
    results["study"] |= {
        "spec": spec.model_dump(mode="json"),
        "factors": {name: list(levels) for name, levels in spec.factors.items()},
        "stand_ins": spec.stand_ins,
    }
    return results


def text_of(results: dict[str, Any]) -> str:
    return write_methods(Results.parse(results)).markdown("Methods")


def section(text: str, title: str) -> str:
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_epochs_of_sets_and_early_ends_are_told(results: dict[str, Any]) -> None:
    changes = {"variant": "faithful", "student.overrides": {"schedule.stop_epoch": 14}}
    content = with_recipes(results, load_study("paper", changes))
    for number, model in enumerate(content["models"]):
        model["steps"] = 100 + number
    told = section(text_of(content), "Optimisation")
    assert "Trained for the first 14 of 26 epochs of each training set" in told


def test_recipes_of_a_grid_are_told(results: dict[str, Any]) -> None:
    text = text_of(with_recipes(results, load_study("paper-mini")))
    losses, optimisation = section(text, "Losses"), section(text, "Optimisation")
    assert "Students of head elasticarcface: cross-entropy of ElasticFace-Arc" in losses
    assert "s = 32, m = 0.3, std = 0.0125" in losses
    assert "Students of head adaface: cross-entropy of AdaFace" in losses
    assert "s = 32, m = 0.3, h = 0.333, t\\_alpha = 0.01" in losses
    assert "39.0625 times 1 − cos(f, f\\_t)" in losses
    assert "λ = 39.0625 · D / 2 = 2,500" in losses  # λ = 10,000 at 512 dimensions
    assert "learning rate 0.8 · 64/512 = 0.1" in optimisation
    assert "500 steps, the rate rising over the first 30 steps" in optimisation
    assert "computed in bf16" in optimisation
    assert "Kim" in section(text, "References")
    assert "mini\\_l, mini\\_m and mini\\_s" in section(text, "Design")


def test_nothing_is_said_that_was_not_done(results: dict[str, Any]) -> None:
    plain = load_study("quick", {"student.overrides": {"flip": False}})
    text = text_of(with_recipes(results, plain))
    assert "AdaFace" not in text
    assert "cosine" in section(text, "Optimisation")
    assert "never mirrored" in text
    assert "bf16" not in text
    assert "group DRO" not in text


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"distill.losses": [{"name": "template"}, {"name": "rkd"}]}, "Relational Knowledge"),
        ({"distill.groups": {"step": 0.01}}, "η = 0.01"),
        ({"head": None}, "no classification loss"),
        ({"augment": {"crop": {"smallest": 0.5}}}, "augmented by crop (smallest = 0.5)"),
        ({"sampler": "groups"}, "Groups are sampled equally often"),
        ({"optimizer.lr_batch": None}, "learning rate 0.8, "),
        ({"ema": {}}, "moving average of the weights (decay 0.9999)"),
        ({"head.sample": 0.5}, "50 % of the classes"),
        ({"micro_batches": 2}, "2 parts"),
        ({"recovery": {}}, "diverges goes on"),
        ({"flip": "real"}, "synthetic ones never"),
        ({"target_view": "original"}, "the target is always the image's own"),
    ],
)
def test_options_of_a_recipe(
    results: dict[str, Any], overrides: dict[str, Any], words: str
) -> None:
    changes: dict[str, Any] = {
        "factors": {"variant": {"one": overrides, "two": {"batch_size": 32}}}
    }
    if "head" in overrides:  # without distillation nothing would be left to learn
        changes["constraints"] = [{"when": {"variant": "one"}, "require": {"teacher": "sface"}}]
    spec = load_study("smoke", changes)
    assert words in text_of(with_recipes(results, spec))


def test_old_results_have_what_they_record() -> None:
    old = json.loads(QUICK.read_text("utf-8"))
    for model in old["models"]:
        model.pop("recipe", None)
    methods = write_methods(Results.parse(old))
    titles = [of.title for of in methods.sections]
    assert "Losses" not in titles
    assert {"Design", "Faces", "Training sets", "Evaluation", "Statistics"} <= set(titles)
    assert "1,000 bootstrap replicates" in methods.markdown("Methods")


def test_results_without_settings_and_evaluations(results: dict[str, Any]) -> None:
    results["study"]["spec"] = {"of another": "version"}
    results["evaluations"], results["claims"] = {}, []
    titles = [of.title for of in write_methods(Results.parse(results)).sections]
    assert titles[0] == "Design"
    assert not {"Faces", "Evaluation", "Statistics"} & set(titles)


def test_a_recipe_of_another_version_is_left_out(results: dict[str, Any]) -> None:
    content = with_recipes(results, load_study("smoke"))
    for model in content["models"]:
        model["recipe"]["no_such_key"] = 1
    assert "## Losses" not in text_of(content)


def test_users_words_are_no_markup(results: dict[str, Any]) -> None:
    results["sets"][0]["name"] = "<b>*[a](b)*"
    methods = write_methods(Results.parse(results))
    assert "<b>" not in methods.markdown("Methods")
    assert "<b>" not in "".join(methods.html())


def test_citations_are_numbered_and_linked(results: dict[str, Any]) -> None:
    methods = write_methods(Results.parse(with_recipes(results, load_study("paper-mini"))))
    text = methods.markdown("Methods")
    body = text.split("## References")[0]
    numbers = [int(n) for n in re.findall(r"\[(\d+)\]", body)]
    assert sorted(set(numbers)) == list(range(1, len(methods.references) + 1))
    assert list(dict.fromkeys(numbers)) == sorted(set(numbers)), "in order of appearance"
    page = parse("<html><body>" + "".join(methods.html()) + "</body></html>")
    ids = {e.attributes["id"] for e in page.every("li")}
    links = {e.attributes["href"][1:] for e in page.every("a") if e.attributes["href"][0] == "#"}
    assert links == ids
    entries = re.findall(r"^@(\w+)\{(\w+),$", methods.bibtex(), re.MULTILINE)
    assert [key for _, key in entries] == [work.key for work in methods.references]
    assert methods.bibtex().count("{") == methods.bibtex().count("}")


def test_an_unknown_work_is_an_error() -> None:
    with pytest.raises(KeyError):
        Prose((Section("A", [["b", cite("nobody1900")]]),)).references  # noqa: B018


@pytest.mark.parametrize("work", works().values(), ids=lambda work: work.key)
def test_works(work: Any) -> None:
    assert all(work.authors)
    assert re.fullmatch(r"|\d{4}\.\d{4,5}", work.arxiv)
    assert work.arxiv[:2] == "" or int(work.arxiv[:2]) in range(7, 27)
    assert re.fullmatch(r"(19|20)\d\d", work.fields["year"])
    assert work.text.endswith(".")
    assert work.venue or work.arxiv, "a preprint without a number"
    assert read_bibtex(work.bibtex) == {work.key: work}


def test_an_entry_is_read_field_by_field() -> None:
    text = (
        "% a comment\n@article{a2020,\n  author = {Ab, C. and others},\n  title = {{On {Ds}}},\n"
        "  journal = {E \\& F},\n  year = {2020},\n  pages = {1--9},\n}\n"
    )
    (work,) = read_bibtex(text).values()
    assert work.text == "C. Ab, et al. On {Ds}. E & F, pp. 1–9. 2020."


@pytest.mark.parametrize(
    "text",
    [
        "@article{a,\n  title = {b},\n}\n",
        "@article{a,\n  author = b,\n}\n",
        "stray\n",
        2 * "@misc{a,\n  author = {b},\n  title = {c},\n  year = {2020},\n}\n",
    ],
)
def test_a_damaged_bibliography_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="references: "):
        read_bibtex(text)


@pytest.mark.parametrize("name", MARGINS.names())
def test_descriptions_of_heads_have_the_heads_defaults(name: str) -> None:
    parameters = inspect.signature(MARGINS[name]).parameters
    defaults = {k: p.default for k, p in parameters.items() if k not in HEAD_ARGUMENTS}
    described = descriptions("models", "HEADS")[name]
    assert described.options({}) == defaults
    assert described.formula
    assert set(described.works) <= works().keys()


@pytest.mark.parametrize("name", LOSSES.names())
def test_descriptions_of_losses_have_the_losses_defaults(name: str) -> None:
    parameters = inspect.signature(LOSSES[name]).parameters
    described = descriptions("distill", "DISTILLATIONS")[name]
    required = {k for k, p in parameters.items() if p.default is inspect.Parameter.empty}
    options = {k: p.default for k, p in parameters.items() if k not in _GIVEN | required}
    assert described.options({}) == options
    assert described.weight == parameters["weight"].default
    assert described.formula
    assert set(described.works) <= works().keys()


def test_every_backbone_has_words() -> None:
    assert set(descriptions("models", "BACKBONES")) == set(BACKBONES.names())


def test_describing_imports_no_torch() -> None:
    code = (
        "import sys; from evenface.registry import descriptions; "
        "print(descriptions('distill', 'DISTILLATIONS')['rkd'].title, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "relational distillation False"


def test_the_same_results_give_the_same_text(results: dict[str, Any]) -> None:
    content = with_recipes(results, load_study("paper-mini"))
    assert text_of(content) == text_of(json.loads(json.dumps(content)))
