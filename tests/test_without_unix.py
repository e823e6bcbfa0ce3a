"""The base install's main paths without what only Unix has: ``fcntl``, ``resource``, ``os.pread``.

The interpreter of the test is one of Unix: what is taken away is what Windows lacks and a module
would find missing there. Paths and signals of Windows are not imitated.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from test_base_install import FORBID
from toy_onnx import write_recogniser

UNIX = """
import os, sys
sys.modules.update(dict.fromkeys(["fcntl", "resource", "pwd", "grp", "termios", "tty"]))
for name in ("pread", "preadv", "pwrite", "fork", "sched_getaffinity", "getloadavg", "mkfifo"):
    if hasattr(os, name):
        delattr(os, name)
import signal
for name in ("SIGHUP", "SIGKILL", "SIGUSR1", "SIGALRM", "setitimer"):
    if hasattr(signal, name):
        delattr(signal, name)
from evenface.cli.main import main
def call(*arguments):
    try:
        main(list(arguments))
    except SystemExit as done:
        assert not done.code, (arguments, done.code)
"""


def run(code: str, folder: Path) -> str:
    process = subprocess.run(
        [sys.executable, "-c", FORBID + UNIX + code],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


def test_the_main_paths(tmp_path: Path) -> None:
    """Import, embed, evaluate, tables of scores, verify, a gallery, and a front door's audit."""
    write_recogniser(tmp_path / "toy.onnx")
    random = np.random.default_rng(0)
    for number in range(12):
        person = tmp_path / "faces" / ("north" if number % 2 else "south") / f"p{number}"
        person.mkdir(parents=True)
        pattern = random.integers(40, 216, (4, 4, 3)).repeat(28, axis=0).repeat(28, axis=1)
        for take in range(3):
            pixels = pattern + random.integers(-20, 20, (112, 112, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(person / f"{take}.png")
    out = run(
        """
call("data", "import", "faces", "set", "--workers", "1")
call("data", "inspect", "set")
call("teacher", "embed", "toy.onnx", "set", "--out", "cache")
call("evaluate", "toy.onnx", "set", "--folds", "2", "--replicates", "3", "--out", "audit",
     "--json")
import numpy as np
rng = np.random.default_rng(0)
rows = [f"{rng.normal(3 * k):.4f},{k}" for k in [0, 1] * 60]
open("scores.csv", "w").write("\\n".join(["score,genuine", *rows, ",1"]) + "\\n")
call("evaluate-scores", "scores.csv", "--replicates", "3", "--out", "scores")
photo = "faces/south/p0/0.png"
call("verify", photo, photo, "--model", "toy.onnx", "--threshold", "0.5")
call("gallery", "add", "people.parquet", "faces/south", "--model", "toy.onnx")
call("identify", photo, "--gallery", "people.parquet", "--model", "toy.onnx")
import evenface
evenface.audit([0.9, 0.8, 0.3, 0.1], [1, 1, 0, 0], replicates=3)
""",
        tmp_path,
    )
    assert "1. p0: cosine 1.0000" in out
    assert (tmp_path / "audit" / "evaluation.json").is_file()
    assert (tmp_path / "scores" / "evaluation.json").is_file()
    assert (tmp_path / "people.parquet").is_file()


def test_what_is_taken_away_is_missing(tmp_path: Path) -> None:
    code = """
import importlib
for name in ("fcntl", "resource"):
    try:
        importlib.import_module(name)
    except ImportError:
        print(name)
print(hasattr(os, "pread"))
"""
    assert run(code, tmp_path).split() == ["fcntl", "resource", "False"]
