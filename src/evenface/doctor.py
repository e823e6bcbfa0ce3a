"""What is installed and works, what is missing, and what it would be for."""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from packaging.requirements import Requirement

from evenface import assets
from evenface.assets.cache import state
from evenface.parallel import death, usable_cores
from evenface.version import __version__

Status = Literal["ok", "missing", "warning", "broken"]

_EXTRAS = {
    "train": "training students, teachers from PyTorch weights",
    "render": "synthetic faces",
    "report": "the HTML report",
    "bcolz": "verification sets as bcolz arrays (face.evoLVe's)",
    "export": "ONNX export; lifting the fixed batch size of ONNX teachers (faster)",
    "prune": "students of fewer channels",
    "openvino": "faster ONNX teachers on x86 processors",
    "demo": "the local page that compares two pictures",
    "label": "groups from teacher embeddings",
    "calibrate": "calibration by score and by cluster",
    "ray": "studies on a Ray cluster",
    "tensorboard": "the training log for TensorBoard",
    "timm": "timm's networks as backbones",
    "wandb": "the training log for Weights & Biases",
    "docs": "the documentation site",
    "dev": "tests, linter, type checker",
}
_MODULES = {
    "import-linter": "importlinter",
    "mkdocs-material": "material",
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "pytest-xdist": "xdist",
    "pyyaml": "yaml",
    "scikit-learn": "sklearn",
    "types-pyyaml": "",
}
"""Distribution → the module that it installs, where the names differ; "" for stubs."""
_IMPORTER = """
import importlib, json, os, sys
report = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)  # what packages print while they are imported
sys.modules["openvino_telemetry"] = None  # which would tell OpenVINO's makers of the import
for name in sys.argv[1:]:
    error = None
    try:
        importlib.import_module(name)
    except BaseException as caught:
        error = f"{type(caught).__name__}: {caught}"
    print(json.dumps([name, error]), file=report)
"""
_CV2_DISTRIBUTIONS = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FREE_BYTES_WANTED = 2_000_000_000


@dataclass(frozen=True)
class Finding:
    """One line of the diagnosis.

    ``broken`` means that the base install cannot work, ``missing`` that something optional is
    not there, ``warning`` that trouble is likely; ``remedy`` then says what to do.
    """

    topic: str
    name: str
    status: Status
    detail: str
    remedy: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """All findings, in the order in which they are shown."""

    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Whether the base install works; what is optional may be missing."""
        return all(finding.status != "broken" for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able: ``healthy`` and the list ``findings``."""
        return {"healthy": self.healthy, "findings": [asdict(item) for item in self.findings]}


def diagnose(cache_dir: Path | None = None) -> Diagnosis:
    """Look at this environment; ``cache_dir`` is the root of the cache, None for the default."""
    root = assets.cache_dir() if cache_dir is None else cache_dir
    errors = import_errors(_installed_modules())
    return Diagnosis(
        (
            *check_system(),
            *check_base(errors),
            *check_extras(errors),
            *check_cv2(),
            *check_devices(errors),
            *check_assets(root),
            *check_cache(root),
            *check_browser(),
        )
    )


def check_system() -> Iterator[Finding]:
    """Versions of evenface, Python and the platform."""
    yield Finding("system", "evenface", "ok", __version__)
    detail = f"{platform.python_version()} ({sys.executable})"
    tested = tested_pythons()
    if sys.version_info[:2] in tested:
        yield Finding("system", "python", "ok", detail)
    else:
        first, last = (".".join(map(str, version)) for version in (tested[0], tested[-1]))
        detail += f"; evenface is tested with {first} to {last}"
        remedy = f"create the environment with Python {first} to {last}"
        yield Finding("system", "python", "warning", detail, remedy)
    yield Finding("system", "platform", "ok", platform.platform())


def tested_pythons() -> list[tuple[int, int]]:
    """Versions of Python that evenface is tested with, ascending, as its metadata declare."""
    classifiers = metadata.metadata("evenface").get_all("Classifier") or []
    versions = re.findall(r":: Python :: (\d+)\.(\d+)$", "\n".join(classifiers), re.MULTILINE)
    return sorted((int(major), int(minor)) for major, minor in versions)


def import_errors(modules: Sequence[str]) -> dict[str, str]:
    """Module → why importing it fails, for those that fail.

    They are imported one after the other in another process, since a broken native library may
    end the process that loads it; the modules after that one are then imported in a new process.
    """
    errors: dict[str, str] = {}
    left = list(modules)
    while left:
        process = subprocess.run(
            [sys.executable, "-P", "-c", _IMPORTER, *left],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            text=True,
            check=False,
        )
        reports = [json.loads(line) for line in process.stdout.splitlines()]
        errors |= {name: error for name, error in reports if error}
        left = left[len(reports) :]
        if left:
            errors[left.pop(0)] = death(process.returncode)
    return errors


def check_base(errors: Mapping[str, str]) -> Iterator[Finding]:
    """The packages that everything needs: importable, and recent enough.

    Args:
        errors: of :func:`import_errors`.
    """
    for requirement in requirements(""):
        name, module = requirement.name, module_of(requirement)
        remedy = f'pip install "{requirement}"'
        version = _version(name)
        if module in errors:
            detail = f"cannot be imported: {errors[module]}"
            yield Finding("base", name, "broken", detail, remedy)
        elif version is None:
            yield Finding("base", name, "warning", f"{module} comes from another package", remedy)
        elif not requirement.specifier.contains(version, prereleases=True):
            detail = f"{version}, but {requirement.specifier} is needed"
            yield Finding("base", name, "broken", detail, remedy)
        else:
            yield Finding("base", name, "ok", version)


def check_extras(errors: Mapping[str, str]) -> Iterator[Finding]:
    """Which extras are complete and can be imported, and what each is for.

    Args:
        errors: of :func:`import_errors`.
    """
    for extra, purpose in _EXTRAS.items():
        needed = requirements(extra)
        lacking = [str(requirement) for requirement in needed if not _satisfied(requirement)]
        failing = {
            requirement.name: errors[module]
            for requirement in needed
            if (module := module_of(requirement)) in errors
        }
        if lacking:
            detail = f"{purpose}; not installed: {', '.join(lacking)}"
            yield Finding("extra", extra, "missing", detail, f'pip install "evenface[{extra}]"')
        elif failing:
            reasons = "; ".join(f"{name}: {error}" for name, error in failing.items())
            detail = f"{purpose}; cannot be imported: {reasons}"
            remedy = f"pip install --force-reinstall {' '.join(failing)}"
            yield Finding("extra", extra, "warning", detail, remedy)
        else:
            yield Finding("extra", extra, "ok", purpose)


def check_cv2() -> Iterator[Finding]:
    """Several distributions that write into one ``cv2`` folder overwrite each other's files."""
    installed = [name for name in _CV2_DISTRIBUTIONS if _version(name) is not None]
    detail = ", ".join(f"{name} {_version(name)}" for name in installed) or "none"
    if len(installed) < 2:
        yield Finding("opencv", "distributions", "ok", detail)
        return
    yield Finding(
        "opencv",
        "distributions",
        "warning",
        f"{detail} share one cv2 folder; which version runs is chance",
        f"pip uninstall -y {' '.join(installed)} && pip install opencv-python-headless",
    )


def check_devices(errors: Mapping[str, str]) -> Iterator[Finding]:
    """Processor cores, onnxruntime's providers, and the GPU of PyTorch where it is installed.

    Args:
        errors: of :func:`import_errors`; what is in them is not imported here.
    """
    yield Finding("device", "cpu", "ok", f"{usable_cores()} usable cores")
    if "onnxruntime" not in errors:
        import onnxruntime

        providers = ", ".join(onnxruntime.get_available_providers())
        yield Finding("device", "onnxruntime", "ok", providers)
    if "torch" in errors:
        return
    try:
        import torch
    except ImportError:
        return
    detail = f"torch {torch.__version__}, {torch.get_num_threads()} threads"
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        detail += f", CUDA {torch.version.cuda}: {', '.join(names)}"
    else:
        detail += ", no CUDA device"
    yield Finding("device", "torch", "ok", detail)


def check_assets(root: Path) -> Iterator[Finding]:
    """Which assets are in the cache below ``root``."""
    option = "" if root == assets.cache_dir() else f" --cache-dir {root}"
    for asset in assets.catalog():
        remedy = f"evenface assets get {asset.name}{option}"
        match state(asset.name, cache_dir=root):
            case "present":
                yield Finding("asset", asset.name, "ok", asset.purpose)
            case "missing":
                yield Finding("asset", asset.name, "missing", asset.purpose, remedy)
            case "damaged":
                detail = f"damaged file in the cache; {asset.purpose}"
                yield Finding("asset", asset.name, "warning", detail, remedy)


def check_cache(root: Path) -> Iterator[Finding]:
    """Whether the cache folder can be written, and how much space its disk has."""
    remedy = f"set {assets.CACHE_VARIABLE} to a folder on a disk with space"
    existing = root.absolute()
    while not existing.exists():
        existing = existing.parent
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        yield Finding("cache", str(root), "warning", f"not writable: {error.strerror}", remedy)
        return
    free = shutil.disk_usage(existing).free
    status: Status = "ok" if free >= _FREE_BYTES_WANTED else "warning"
    detail = f"writable, {free / 1e9:.1f} GB free"
    yield Finding("cache", str(root), status, detail, "" if status == "ok" else remedy)


def check_browser() -> Iterator[Finding]:
    """Chromium, in which tests look at the report."""
    found = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if found:
        yield Finding("browser", "chromium", "ok", found)
    else:
        yield Finding(
            "browser",
            "chromium",
            "missing",
            "tests look at the HTML report in it",
            "install Chromium, e.g. apt-get install chromium",
        )


def requirements(extra: str) -> list[Requirement]:
    """What this installation of evenface declares for an extra, "" for the base."""
    found = []
    for line in metadata.requires("evenface") or ():
        requirement = Requirement(line)
        # The marker is `extra == "…"` or absent: the base's requirements hold for every extra.
        in_base = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        in_extra = requirement.marker is None or requirement.marker.evaluate({"extra": extra})
        if in_base == (extra == "") and in_extra:
            requirement.marker = None
            found.append(requirement)
    return found


def module_of(requirement: Requirement) -> str:
    """The module that a required distribution installs; "" for stubs of a type checker."""
    name = requirement.name.lower()
    return _MODULES.get(name, name.replace("-", "_"))


def _installed_modules() -> list[str]:
    """Modules of the base, installed or not, and of the installed packages of all extras."""
    needed = [
        *requirements(""),
        *(item for extra in _EXTRAS for item in requirements(extra) if _version(item.name)),
    ]
    return list(dict.fromkeys(filter(None, map(module_of, needed))))


def _satisfied(requirement: Requirement) -> bool:
    version = _version(requirement.name)
    return version is not None and requirement.specifier.contains(version, prereleases=True)


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
