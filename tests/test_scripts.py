"""The scripts of benchmarks/ and tools/ import, the Makefile's test target goes its ways."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts import load_script

ROOT = Path(__file__).parents[1]
HELPERS = {"filled.py", "simulated_rows.py"}  # of other scripts
SCRIPTS = sorted(
    path
    for folder in ("benchmarks", "tools")
    for path in ROOT.glob(f"{folder}/*.py")
    if path.name not in HELPERS
)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_scripts_import(path: Path) -> None:
    assert callable(load_script(path).main)


def _stub(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
@pytest.mark.parametrize(("required", "tested"), [("", True), ("0", True), ("1", False)])
def test_unit_tests_run_without_assets_unless_required(
    tmp_path: Path, required: str, tested: bool
) -> None:
    (tmp_path / "bin").mkdir()
    _stub(tmp_path / "bin" / "evenface", "exit 1")
    _stub(tmp_path / "bin" / "python", 'echo "called $*"')
    (tmp_path / ".dev").touch()
    done = subprocess.run(
        ["make", "unit", f"VENV={tmp_path}"],
        cwd=ROOT,
        env=os.environ | {"EVENFACE_REQUIRE_ASSETS": required},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) is tested, done.stderr
    assert ("called -m pytest" in done.stdout) is tested
