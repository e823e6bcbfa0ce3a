"""One process at a time in a folder, whatever it does there."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evenface.data.importing import import_folder
from evenface.data.manifest import Manifest
from evenface.errors import DataError, UsageError
from evenface.lock import LOCK_NAME, FolderLock, lock_holder, written_together

HOLD = """
import sys, time
from pathlib import Path
from evenface.lock import FolderLock
with FolderLock(Path(sys.argv[1]), doing="is at work"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_lock_leaves_nothing_behind(tmp_path):
    with FolderLock(tmp_path / "a" / "new"):
        assert lock_holder(tmp_path / "a" / "new").startswith("process ")
    assert not (tmp_path / "a" / "new").exists()
    with FolderLock(tmp_path / "b"):
        (tmp_path / "b" / "content").touch()
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["content"]
    with FolderLock(tmp_path / "c", beside=True):
        assert not (tmp_path / "c").exists()
    assert not list(tmp_path.glob("*c*")) + list(tmp_path.glob(".*"))


def test_a_killed_holder_frees_the_folder(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(UsageError, match=rf"process {process.pid} on .* is at work"):
            FolderLock(tmp_path, doing="is at work").__enter__()
        process.kill()
    with FolderLock(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def _count(folder: Path, times: int) -> None:
    for _ in range(times):
        with FolderLock(folder, patience=60):
            path = folder.with_name("count")
            number = int(path.read_text())
            time.sleep(0.001)
            path.write_text(str(number + 1))


def test_no_two_hold_it_although_its_file_comes_and_goes(tmp_path):
    (tmp_path / "count").write_text("0")
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_count, args=(tmp_path / "x", 25)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert (tmp_path / "count").read_text() == "75"


def test_two_imports_into_one_folder(tmp_path):
    random = np.random.default_rng(0)
    for person in range(8):
        (tmp_path / "faces" / f"p{person}").mkdir(parents=True)
        for number in range(8):
            pixels = random.integers(0, 255, (112, 112, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "faces" / f"p{person}" / f"{number}.png")
    errors: list[Exception] = []
    labels = {"dataset": "x", "origin": "synthetic", "licence": "y"}

    def run() -> None:
        try:
            import_folder(tmp_path / "faces", tmp_path / "out", **labels)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(isinstance(error, UsageError) for error in errors)
    assert all("is importing there. Wait for it" in str(error) for error in errors)
    assert len(Manifest.read(tmp_path / "out")) == 64
    assert LOCK_NAME not in {path.name for path in (tmp_path / "out").iterdir()}


def test_files_written_together_appear_together_or_not_at_all(tmp_path):
    out = tmp_path / "out"
    with written_together(out, {"a": 1}, "report.json") as folder:
        (folder / "report.json").write_text('{"a": 1}')
        assert not out.exists()
        with (
            pytest.raises(UsageError, match=r"process .* is writing it"),
            written_together(out, {"a": 1}, "report.json"),
        ):
            pass
    with written_together(out, {"a": 1}, "report.json") as folder:
        assert folder == out
    with (
        pytest.raises(DataError, match="holds something else"),
        written_together(out, {"a": 2}, "report.json"),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
