"""A catalogue of tiny assets, carried by a tiny wheel that pip accepts."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from evenface.assets import entries
from evenface.assets.entries import Asset, Wheel

MODEL = b"the bytes of a model " * 50
OTHER = b"the bytes of another model"
PHOTO = b"a photograph that must stay in the wheel"


@dataclass(frozen=True)
class Shop:
    """Where the tests' assets can be had: a folder of wheels and a folder of bare files."""

    wheels: Path
    files: Path
    cache: Path

    @property
    def wheel(self) -> Path:
        return self.wheels / "toyfaces-1.0-py3-none-any.whl"

    @property
    def model(self) -> Path:
        return self.files / "model.onnx"

    def cached_files(self) -> list[str]:
        """Everything in the cache, relative."""
        found = [path for path in self.cache.rglob("*") if path.is_file()]
        return sorted(str(path.relative_to(self.cache)) for path in found)


def _write_wheel(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("toyfaces/models/model.onnx", MODEL)
        archive.writestr("toyfaces/models/other.onnx", OTHER)
        archive.writestr("toyfaces/photo.jpg", PHOTO)
        info = "toyfaces-1.0.dist-info"
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: toyfaces\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{info}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr(f"{info}/RECORD", "")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """The only sources and the only assets that exist during a test.

    Assets: ``model`` and ``other`` (members of the wheel; ``model`` also has an address) and
    ``album`` (the wheel itself).
    """
    shop = Shop(tmp_path / "wheels", tmp_path / "files", tmp_path / "cache")
    shop.wheels.mkdir()
    shop.files.mkdir()
    _write_wheel(shop.wheel)
    shop.model.write_bytes(MODEL)
    content = shop.wheel.read_bytes()
    wheel = Wheel(
        distribution="toyfaces",
        version="1.0",
        file_name=shop.wheel.name,
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
    )

    def member(name: str, content: bytes, url: str | None = None) -> Asset:
        return Asset(
            name=name,
            file_name=f"{name}.onnx",
            sha256=hashlib.sha256(content).hexdigest(),
            size=len(content),
            purpose="testing",
            origin="a toy zoo",
            licence="CC0-1.0",
            wheel=wheel,
            member=f"toyfaces/models/{name}.onnx",
            url=url,
        )

    album = Asset(
        name="album",
        file_name=wheel.file_name,
        sha256=wheel.sha256,
        size=wheel.size,
        purpose="testing",
        origin="a toy album",
        licence="CC0-1.0",
        wheel=wheel,
    )
    assets = [member("model", MODEL, shop.model.as_uri()), member("other", OTHER), album]
    monkeypatch.setattr(entries, "ASSETS", {asset.name: asset for asset in assets})
    monkeypatch.setenv("EVENFACE_CACHE_DIR", str(shop.cache))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shop.wheels))
    return shop
