"""The page on a data set: what it says first, whom it shows, and that it needs nothing else."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evenface.cli.main import main
from evenface.data.inspect import inspect
from evenface.data.manifest import Manifest
from evenface.data.store import ImageStoreWriter
from evenface.report.dataset import write_dataset_page

Write = Callable[..., str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """40 people of 1 to 40 images; half of them real; two attributes, one predicted."""
    counts = np.arange(1, 41)
    rows = int(counts.sum())
    people = np.repeat(np.arange(40), counts)
    place = tmp_path / "set"
    with ImageStoreWriter(place) as writer:
        for origin in people % 2:
            writer.append(np.full((1, 112, 112, 3), 128 * origin, np.uint8))
    Manifest.from_columns(
        place,
        index=range(rows),
        identity=[f"p{person:02}" for person in people],
        origin=[("synthetic", "real")[person % 2] for person in people],
        dataset="<b>little</b>",
        licence=["CC0-1.0", "CC BY 4.0"][:1] * rows,
        attributes={
            "ethnicity": [("north", "south & east", None)[person // 18] for person in people],
            "gender": [("f", "m")[person // 2 % 2] for person in people],
        },
        attribute_sources={"gender": "predicted"},
    ).write(place / "manifest.parquet")
    return place


@pytest.fixture
def write(folder: Path, tmp_path: Path) -> Write:
    def page(manifest: Manifest | None = None, **options: object) -> str:
        manifest = manifest or Manifest.read(folder)
        found = inspect(manifest)
        out = write_dataset_page(manifest, found, tmp_path / "p.html", title="set", **options)
        return out.read_text(encoding="utf-8")

    return page


def faces(page: str) -> list[np.ndarray]:
    uris = re.findall(r"data:image/jpeg;base64,([^\"]+)", page)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(uri)))) for uri in uris]


def test_what_it_says(write: Write) -> None:
    page = write()
    assert page.index("Real and simulated faces") < page.index('id="groups"')
    assert "400 of 820 images are synthetic" in page
    assert "420 images are photographs of real people. They are not shown here." in page
    assert "those of gender are, wholly or in part, predicted by a classifier" in page
    assert "ethnicity × gender" in page
    assert "too small" in page
    assert "Too small: fewer than 10 identities" in page
    assert "south &amp; east" in page
    assert "<b>little" not in page
    assert "identities have a single image" in page
    assert 'aria-label="Identities by their number of images. 1: 1, 2: 1, 3–4: 2' in page
    assert write() == page


def test_real_people_are_shown_on_request_only(write: Write, folder: Path) -> None:
    def greys(page: str) -> int:
        return max(int(((sheet > 120) & (sheet < 136)).sum()) for sheet in faces(page))

    assert greys(write()) < 112 * 112
    page = write(show_real=True)
    assert page.index("This page shows photographs of real people") < page.index('id="groups"')
    assert greys(page) > 112 * 112 * 3
    real = Manifest.read(folder).where(origin="real")
    hidden = write(real)
    assert faces(hidden) == []
    assert "shown only on request (--faces)" in hidden
    assert "synthetic" not in hidden.split("<main>")[1].split('id="stores"')[0]


def test_without_attributes(write: Write, folder: Path) -> None:
    manifest = Manifest.from_columns(
        folder, index=[0, 1], identity="a", origin="synthetic", dataset="d", licence="l"
    )
    page = write(manifest)
    assert "Simulated faces" in page
    assert "declares no attribute" in page
    assert len(faces(page)) == 1


def test_the_command(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "deep" / "page.html"
    with pytest.raises(SystemExit) as done:
        main(["data", "inspect", str(folder), "--html", str(out), "--faces", "--min-cell", "0"])
    assert done.value.code == 0
    assert "photographs of real people: do not publish" in capsys.readouterr().err
    assert "oo small" not in out.read_text()
    assert "This page shows photographs" in out.read_text()


@pytest.mark.browser
@pytest.mark.parametrize("width", [360, 1280])
def test_in_the_browser(browser, write: Write, tmp_path: Path, width: int) -> None:
    write(show_real=True)
    asked: list[str] = []
    said: list[str] = []
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.on("request", lambda r: asked.append(r.url))
    page.on("console", lambda m: said.append(m.text))
    page.goto((tmp_path / "p.html").as_uri())
    overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    page.close()
    assert overflow <= 0
    assert [url for url in asked if not url.startswith("data:")] == [(tmp_path / "p.html").as_uri()]
    assert said == []
