"""Put a finished study into docs/results, its picture into docs/images, its answer into README.md.

    python tools/readme_figures.py studies/quick
    python tools/readme_figures.py docs/results/quick    # anew, from the results kept there

It writes ``docs/results/NAME/`` (results, page, tables, sample faces), the page ``NAME.md`` beside
it, ``docs/images/NAME.png`` (the picture of the page's first screen) and, for the study quick,
``docs/images/faces.jpg`` (a row of faces of each training set). README.md gets the answer between
``<!-- NAME:begin -->`` and ``<!-- NAME:end -->``, and the caveat of quick. Needs Chromium and the
extra ``dev``.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from evenface.files import atomic_path, write_text
from evenface.report import write_report
from evenface.report.formats import to_markdown
from evenface.report.numbers import duration
from evenface.report.samples import shown_sets, strip_of
from evenface.report.study.bundle import write_bundle
from evenface.report.study.by_group import group_table
from evenface.report.study.claims import collect_claims, verdict_table
from evenface.report.study.names import readable
from evenface.report.study.summary import first_screen
from evenface.study.record import Results, read_results
from filled import fill

ROOT = Path(__file__).parents[1]
RESULTS, IMAGES = ROOT / "docs" / "results", ROOT / "docs" / "images"
MAIN = "quick"
"""The study whose caveat and training faces README shows."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("study", type=Path)
    folder: Path = parser.parse_args().study
    study = readable(read_results(folder / "results.json"))
    name = study.study.name
    kept = RESULTS / name
    if folder.resolve() != kept.resolve():
        _keep(study, folder, kept)
    write_bundle(kept / "results.json", kept)
    page = write_report(kept / "results.json", kept / "report.html")
    _photograph(page, IMAGES / f"{name}.png")
    if name == MAIN:
        _faces(study, kept, IMAGES / "faces.jpg")
    write_text(RESULTS / f"{name}.md", "\n".join(_page(study, kept)))
    first = first_screen(study)
    fill(ROOT / "README.md", name, first.answer)
    if name == MAIN:
        fill(ROOT / "README.md", "caveat", f"*{first.caveat}*")


def _keep(study: Results, folder: Path, kept: Path) -> None:
    """The results, and the sheets of faces that the page shows, as small images."""
    shutil.rmtree(kept, ignore_errors=True)
    (kept / "samples").mkdir(parents=True)
    shutil.copyfile(folder / "results.json", kept / "results.json")
    for item in shown_sets(study):
        source = folder / study.samples.get(item.name, "")
        if source.is_file():
            with Image.open(source) as sheet:
                sheet.convert("RGB").save(
                    kept / "samples" / f"{source.stem}.jpg", quality=85, optimize=True
                )


def _photograph(page: Path, picture: Path) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        tab = browser.new_page(viewport={"width": 1400, "height": 900}, device_scale_factor=1.5)
        tab.goto(page.resolve().as_uri())
        with atomic_path(picture) as temporary:
            tab.locator("#picture-figure").screenshot(path=temporary)
        browser.close()


def _faces(study: Results, kept: Path, picture: Path) -> None:
    """A row of faces for each training set, in the order of the study."""
    rows = []
    for item in shown_sets(study):
        path = kept / Path(study.samples.get(item.name, "")).with_suffix(".jpg")
        if path.is_file():
            with Image.open(path) as sheet:
                rows.append(strip_of(sheet.convert("RGB")))
    found = [row for row in rows if row is not None]
    if not found:
        return
    height = found[0].height
    image = Image.new("RGB", (found[0].width, (height + 8) * len(found) - 8), "white")
    for place, row in enumerate(found):
        image.paste(row, (0, place * (height + 8)))
    with atomic_path(picture) as temporary:
        image.save(temporary, "JPEG", quality=90, optimize=True)


def _page(study: Results, kept: Path) -> Iterator[str]:
    """The page of the site: answer, picture, key numbers, tables."""
    first, of, machine = first_screen(study), study.study, study.machine
    yield f"# {first.question}"
    yield f"\n**{first.answer}**\n\n*{first.caveat}*\n"
    yield f"![{first.question} Simulated faces.](../images/{of.name}.png)\n"
    yield "| | | |\n| --: | :-- | :-- |"
    for number in first.numbers:
        said = "; ".join([number.label, *number.others])
        yield f"| **{number.value}** | {number.bounds} | {said} |"
    took = duration(sum(stage.seconds for stage in study.stages))
    where = f"{machine.get('cores')} cores ({machine.get('processor')})"
    yield f"\n`{of.command}`, {of.finished_at[:10]}, {took} on {where}.\n"
    links = [
        f"[{text}]({of.name}/{file})"
        for text, file in (
            ("the page", "report.html"),
            ("results.json", "results.json"),
            ("methods", "methods.md"),
            ("references", "references.bib"),
        )
        if (kept / file).exists()
    ]
    yield f"All of it: {', '.join(links)}; tables as CSV, Markdown and LaTeX beside them.\n"
    if study.main:
        yield "## Accuracy by group\n"
        yield to_markdown(group_table(study, study.main))
    yield "## Verdicts\n"
    yield to_markdown(verdict_table(collect_claims(study)))
    yield f"## What was measured\n\n{of.statement}\n"
    if of.stand_ins:
        yield f"{of.stand_ins}\n"


if __name__ == "__main__":
    main()
