"""Fixtures of the tests of exporting."""

from __future__ import annotations

from pathlib import Path

import pytest

from evenface.data.manifest import Manifest
from untrained_run import write_faces, write_run


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "student")


@pytest.fixture(scope="session")
def calibration_folder(tmp_path_factory) -> Path:
    return write_faces(tmp_path_factory.mktemp("calibration") / "faces", seed=1)


@pytest.fixture(scope="session")
def audit_folder(tmp_path_factory) -> Path:
    return write_faces(tmp_path_factory.mktemp("audit") / "faces", seed=2)


@pytest.fixture(scope="session")
def calibration(calibration_folder) -> Manifest:
    return Manifest.read(calibration_folder)


@pytest.fixture(scope="session")
def audit(audit_folder) -> Manifest:
    return Manifest.read(audit_folder)
