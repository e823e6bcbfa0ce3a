"""Put a finished study's findings and picture into README.md, and all of it into docs/results.

    python tools/readme_figures.py studies/quick

README has a place for each study that it shows, between ``<!-- NAME:begin -->`` and
``<!-- NAME:end -->``. Needs Chromium and the extra ``dev``.
"""

from __future__ import annotations

import argparse
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from evenface.files import atomic_path, read_json, write_text
from evenface.report.markdown import markdown_table
from filled import fill

ROOT = Path(__file__).parents[1]
FULL = "quick"
"""The study whose whole table stands in README."""
RUN_LINK = re.compile(r'<a href="pages/[^"]*"[^>]*>(.*?)</a>')
"""The page of each run stays in the study's folder: a hundred pages that only that study needs."""
SHOWN = {"sweep": "#sweep"}
"""Section of the page whose figure is shown; else the summary."""
KEPT = ("results.json", "report.html", "tables", "methods.md", "references.bib")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("study", type=Path)
    study: Path = parser.parse_args().study
    results = read_json(study / "results.json")
    name = results["study"]["name"]
    target = ROOT / "docs" / "results" / name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for kept in KEPT:
        if (study / kept).is_dir():
            shutil.copytree(study / kept, target / kept)
        elif (study / kept).exists():
            shutil.copyfile(study / kept, target / kept)
    page = target / "report.html"
    write_text(page, RUN_LINK.sub(r"\1", page.read_text("utf-8")))
    picture = ROOT / "docs" / "images" / f"{name}.png"
    said = _photograph(page, picture)
    fill(ROOT / "README.md", name, "\n".join(_section(results, said, picture.name)))


def _section(results: dict, said: str, picture: str) -> Iterator[str]:
    study, machine = results["study"], results["machine"]
    minutes = sum(stage["seconds"] for stage in results["stages"]) / 60
    yield f"**{study['statement']}**"
    yield ""
    yield (
        f"`{study['command']}` on {machine['cores']} cores ({machine['processor']}), "
        f"{study['finished_at'][:10]}, {minutes:.0f} minutes:"
    )
    yield ""
    if study["name"] == FULL:
        yield from (markdown_table(results), _verdicts(results))
    else:
        yield said
    yield ""
    yield f"![Accuracy without and with distillation; simulated faces](docs/images/{picture})"
    yield ""
    folder = f"docs/results/{study['name']}"
    yield (
        f"All of it: [results.json]({folder}/results.json) and the page "
        f"[report.html]({folder}/report.html) (download it to see it)."
    )


def _verdicts(results: dict) -> str:
    """Questions × (teacher, test)."""
    columns: list[tuple[str, dict[str, str]]] = []
    for benchmark in (b for b in results["benchmarks"] if b["group_by"]):
        teachers, found = verdicts(results, benchmark["id"])
        columns += [
            (f"{teacher} on {benchmark['id']}", {q: cells[place] for q, cells in found.items()})
            for place, teacher in enumerate(teachers)
        ]
    questions = dict.fromkeys(question for _, column in columns for question in column)
    rows = [["question", *(title for title, _ in columns)], ["---"] * (len(columns) + 1)]
    rows += [[q, *(column.get(q, "") for _, column in columns)] for q in questions]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _photograph(page: Path, picture: Path) -> str:
    """Save the figure of what the study asks; what the page says about it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        tab = browser.new_page(viewport={"width": 1100, "height": 900}, device_scale_factor=1.5)
        tab.goto(page.resolve().as_uri())
        section = SHOWN.get(picture.stem, "#summary")
        with atomic_path(picture) as temporary:
            tab.locator(f"{section} figure:has(.chart)").first.screenshot(path=temporary)
        said = "\n\n".join(tab.locator(f"p.headline, {section} p.answer").all_inner_texts())
        browser.close()
    return said


if __name__ == "__main__":
    main()
