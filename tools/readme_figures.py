"""Put a finished quick study's table and picture into README.md and docs/results.

    python tools/readme_figures.py studies/quick

Needs Chromium and the extra ``dev``.
"""

from __future__ import annotations

import argparse
import re
import shutil
from pathlib import Path

from evenface.files import atomic_path, read_json, write_text
from evenface.report.markdown import markdown_table
from evenface.study.results import verdicts

BEGIN, END = "<!-- quick:begin -->", "<!-- quick:end -->"
ROOT = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("study", type=Path)
    study: Path = parser.parse_args().study
    target = ROOT / "docs" / "results" / "quick"
    target.mkdir(parents=True, exist_ok=True)
    for name in ("results.json", "report.html"):
        shutil.copyfile(study / name, target / name)
    picture = ROOT / "docs" / "images" / "quick-slopes.png"
    _photograph(target / "report.html", picture)
    readme = ROOT / "README.md"
    section = _section(read_json(target / "results.json"))
    text = readme.read_text("utf-8")
    between = re.compile(f"{BEGIN}.*{END}", re.DOTALL)
    write_text(readme, between.sub(lambda _: f"{BEGIN}\n{section}\n{END}", text))


def _section(results: dict) -> str:
    study, machine = results["study"], results["machine"]
    minutes = sum(stage["seconds"] for stage in results["stages"]) / 60
    return "\n".join(
        [
            f"**{study['statement']}**",
            "",
            f"`{study['command']}` on {machine['cores']} cores ({machine['processor']}), "
            f"{study['finished_at'][:10]}, {minutes:.0f} minutes:",
            "",
            markdown_table(results),
            _verdicts(results),
            "",
            "![Accuracy of each group without and with distillation; simulated "
            "faces](docs/images/quick-slopes.png)",
            "",
            "All of it: [results.json](docs/results/quick/results.json) and the page "
            "[report.html](docs/results/quick/report.html) (download it to see it).",
        ]
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


def _photograph(page: Path, picture: Path) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        tab = browser.new_page(viewport={"width": 1100, "height": 900}, device_scale_factor=1.5)
        tab.goto(page.resolve().as_uri())
        figure = tab.locator("figure:has(.chart)").first
        with atomic_path(picture) as temporary:
            figure.screenshot(path=temporary)
        browser.close()


if __name__ == "__main__":
    main()
