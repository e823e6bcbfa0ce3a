"""The data commands as a person types them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evenface.cli.main import main
from evenface.data.manifest import Manifest
from evenface.render.names import LOOKS


def run(*arguments: object, code: int = 0) -> None:
    with pytest.raises(SystemExit) as done:
        main(["data", *map(str, arguments)])
    assert done.value.code == code


@pytest.fixture
def imported(face_folder: Path, tmp_path: Path) -> tuple[Path, Path]:
    parts = tmp_path / "real", tmp_path / "synthetic"
    run("import", face_folder, parts[0], "--group-attribute", "ethnicity", "--split", "train")
    for path in face_folder.glob("*/*/*.png"):
        Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    run(
        *("import", face_folder, parts[1], "--group-attribute", "ethnicity"),
        *("--origin", "synthetic", "--licence", "CC0-1.0", "--dataset", "turned"),
    )
    return parts


def test_import_with_defaults(
    face_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("import", face_folder, tmp_path / "out")
    manifest = Manifest.read(tmp_path / "out")
    assert set(manifest.column("dataset")) == {"faces"}
    assert set(manifest.column("origin")) == {"real"}
    assert set(manifest.column("licence")) == {"unspecified"}
    assert manifest.attributes == ("group",)
    printed = capsys.readouterr()
    assert "taken as 'faces', origin real, licence unspecified" in printed.err
    assert "12 images of 6 identities" in printed.err


def test_import_that_fails(
    face_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (face_folder / "north" / "np1" / "a.png").write_bytes(b"")
    run("import", face_folder, tmp_path / "out", code=1)
    assert "north/np1/a.png: the file is empty" in capsys.readouterr().err
    run("import", face_folder, tmp_path / "out", "--max-bad-rate", 0.1)
    assert "1 image files left out" in capsys.readouterr().err


def test_import_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("import", tmp_path / "gone", tmp_path / "out", code=1)
    assert "gone: no such file or folder" in capsys.readouterr().err
    run("import", tmp_path, tmp_path / "out", "--origin", "drawn", code=2)


def test_small_sets_take_no_description(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("import", "orl", tmp_path / "out", "--origin", "synthetic", code=2)
    assert "./orl" in capsys.readouterr().err


def test_inspect(imported: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    run("inspect", imported[0], "--json", "--verify")
    found = json.loads(capsys.readouterr().out)
    assert (found["images"], found["identities"]) == (12, 6)
    assert found["groups"]["north"] == {"images": 6, "identities": 3}
    assert found["splits"] == {"train": 12}
    run("inspect", imported[0] / "manifest.parquet")
    printed = capsys.readouterr().out
    assert "ethnicity" in printed
    assert "south" in printed


def test_inspect_of_damage(imported: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    with open(imported[0] / "images.bin", "r+b") as handle:
        handle.write(b"damage")
    run("inspect", imported[0], "--verify", code=1)
    assert "do not match their checksum" in capsys.readouterr().err
    run("inspect", imported[0], "--group-by", "ethnicity,mood", code=2)


def test_preview(imported: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    sheet = imported[0].parent / "sheet.png"
    capsys.readouterr()
    run("preview", imported[0], sheet, "--identities", 3, "--images", 2)
    printed = capsys.readouterr()
    with Image.open(sheet) as image:
        assert image.size == (2 * 116 + 4, 3 * 116 + 4)
    assert "3 identities" in printed.out
    assert "real people" in printed.err
    run("preview", imported[1], sheet)
    assert "real people" not in capsys.readouterr().err
    run("preview", imported[1], sheet.with_suffix(".txt"), code=2)


def test_mix(imported: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    real, synthetic = imported
    out = real.parent / "mix"
    capsys.readouterr()
    parts = ("--real", real, "--synthetic", synthetic)
    run("mix", *parts, out, "--real-fraction", 0.5, "--group-by", "ethnicity", "--json")
    report = json.loads(capsys.readouterr().out)
    assert report["total"] == 12
    assert report["prefixed"] is True
    assert len(Manifest.read(out)) == report["images"] == 24
    run("mix", *parts, out, "--real-fraction", 0.5)
    assert "no image was copied" in capsys.readouterr().err
    run("mix", *parts, real.parent / "more", "--total", 100, code=2)
    assert "cannot be had" in capsys.readouterr().err
    run("mix", *parts, real.parent / "more", "--split", "train", code=2)
    assert "no rows of split 'train'; it has ''" in capsys.readouterr().err
    run("mix", "--real", real, out, code=2)


def test_render_passes_its_options_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import evenface.render as renderer

    calls: list[dict] = []

    def render_dataset(out: Path, **options: object) -> Path:
        calls.append(options)
        return out

    monkeypatch.setattr(renderer, "render_dataset", render_dataset, raising=False)
    monkeypatch.setattr(renderer, "GROUPS", ("african", "asian", "caucasian"), raising=False)
    run("render", tmp_path / "out", "--look", "camera", "--groups", "asian,african", "--seed", 7)
    run("render", tmp_path / "out", "--first-identity", 40, "--workers", 2)
    assert calls[0]["look"] == "camera"
    assert calls[0]["groups"] == ("asian", "african")
    assert calls[0]["seed"] == 7
    assert calls[1]["groups"] == ("african", "asian", "caucasian")
    assert (calls[1]["first_identity"], calls[1]["workers"]) == (40, 2)


@pytest.mark.parametrize("look", LOOKS)
def test_every_look_can_be_rendered(look: str, tmp_path: Path) -> None:
    run(
        *("render", tmp_path / "out", "--look", look, "--groups", "asian", "--workers", 1),
        *("--identities-per-group", 1, "--images-per-identity", 1),
    )
    assert set(Manifest.read(tmp_path / "out").column("dataset")) == {f"evenface-render-{look}"}


def test_other_looks_are_refused_and_help_names_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("render", tmp_path / "out", "--look", "sketch", code=2)
    assert f"unknown look 'sketch'; known: {', '.join(LOOKS)}" in capsys.readouterr().err
    run("render", "--help")
    printed = capsys.readouterr().out
    assert all(look in printed for look in LOOKS)


def test_help_of_import_names_every_format(capsys: pytest.CaptureFixture[str]) -> None:
    from evenface.data.formats import FORMATS

    run("import", "--help")
    words = set(re.findall(r"[a-z]+", capsys.readouterr().out))
    assert set(FORMATS) <= words
