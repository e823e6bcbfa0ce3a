"""render_dataset: same bytes however it is run, continued after a kill, honest about arguments."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from evenface.data.manifest import Manifest
from evenface.data.store import ImageStore
from evenface.errors import EvenfaceError, MissingDependencyError, UsageError
from evenface.render import SPLIT_RANGES, dataset, render_dataset

SMALL = {
    "look": "camera",
    "split": "validation",
    "identities_per_group": 2,
    "images_per_identity": 2,
    "seed": 5,
    "groups": ("asian", "african"),
}


@pytest.fixture(autouse=True)
def small_tasks(monkeypatch):
    monkeypatch.setattr(dataset, "_IMAGES_A_TASK", 2)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    return render_dataset(tmp_path_factory.mktemp("one") / "faces", **SMALL, workers=1)


def test_same_bytes_whatever_the_workers(rendered, tmp_path):
    other = render_dataset(tmp_path / "faces", **SMALL, workers=2)
    for name in ("images.bin", "store.json", "render.json"):
        assert (other / name).read_bytes() == (rendered / name).read_bytes()
    assert Manifest.read(other).fingerprint == Manifest.read(rendered).fingerprint


def test_folder_is_a_dataset(rendered):
    manifest = Manifest.read(rendered)
    ImageStore.open(rendered).verify()
    assert len(manifest) == 8
    first = SPLIT_RANGES["validation"].start
    expected = [f"{g}-{first + n:07d}" for g in ("asian", "african") for n in (0, 0, 1, 1)]
    assert list(manifest.column("identity")) == expected
    assert list(manifest.groups("phenotype_axis")) == ["asian"] * 4 + ["african"] * 4
    for name, value in {
        "origin": "synthetic",
        "dataset": "evenface-render-camera",
        "licence": "CC0-1.0",
        "split": "validation",
        "phenotype_axis_source": "declared",
    }.items():
        assert set(manifest.table.column(name).to_pylist()) == {value}
    assert sorted(path.name for path in rendered.iterdir()) == [
        "images.bin",
        "manifest.parquet",
        "render.json",
        "store.json",
    ]


def test_report_says_what_it_is(rendered):
    report = json.loads((rendered / "render.json").read_text())
    assert report["simulated"] is True
    assert "no claim about fairness" in report["statement"]
    assert report["arguments"]["seed"] == 5
    assert report["arguments"]["groups"] == ["asian", "african"]
    assert report["images"] == 8
    assert "anny" in report["versions"]


def test_killed_and_continued(rendered, tmp_path, monkeypatch):
    out = tmp_path / "faces"
    whole = dataset._rendered

    def dies(tasks, job, workers):
        batches = whole(tasks, job, workers)
        yield next(batches)
        yield next(batches)
        raise KeyboardInterrupt

    monkeypatch.setattr(dataset, "_rendered", dies)
    with pytest.raises(KeyboardInterrupt):
        render_dataset(out, **SMALL, workers=1)
    assert not (out / "store.json").exists()
    with open(out / "images.bin.partial", "ab") as handle:
        handle.write(b"half an image")

    left = []

    def counts(tasks, job, workers):
        left.extend(tasks)
        return whole(tasks, job, workers)

    monkeypatch.setattr(dataset, "_rendered", counts)
    render_dataset(out, **SMALL, workers=1)
    assert len(left) == 2
    assert (out / "images.bin").read_bytes() == (rendered / "images.bin").read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_worker_outlives_a_killed_parent(tmp_path):
    script = tmp_path / "job.py"
    arguments = SMALL | {"identities_per_group": 400, "images_per_identity": 8}
    script.write_text(
        "from evenface.render import render_dataset\n"
        "if __name__ == '__main__':\n"
        f"    render_dataset({str(tmp_path / 'faces')!r}, **{arguments!r}, workers=2)\n"
    )
    job = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.DEVNULL)
    journal = tmp_path / "faces" / ".render-progress.json"
    _wait_until(lambda: journal.is_file() and json.loads(journal.read_text())["images"] > 0)
    children = Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text().split()
    assert len(children) >= 2
    job.kill()
    job.wait()
    _wait_until(lambda: not any(_is_running(child) for child in children))


def _wait_until(true, seconds=60.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def _is_running(process):
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


def test_killed_between_store_and_manifest(rendered, tmp_path, monkeypatch):
    out = tmp_path / "faces"
    out.mkdir()
    for name in ("images.bin", "store.json"):
        (out / name).write_bytes((rendered / name).read_bytes())
    fingerprint = json.loads((rendered / "render.json").read_text())["fingerprint"]
    journal = {"fingerprint": fingerprint, "images": 8}
    (out / ".render-progress.json").write_text(json.dumps(journal))
    monkeypatch.setattr(dataset, "_rendered", None)
    render_dataset(out, **SMALL)
    assert len(Manifest.read(out)) == 8


def test_finished_work_is_not_repeated(rendered, monkeypatch):
    monkeypatch.setattr(dataset, "_rendered", None)
    assert render_dataset(rendered, **SMALL) == rendered


def test_other_arguments_are_refused(rendered):
    before = (rendered / "images.bin").stat().st_mtime_ns
    with pytest.raises(UsageError, match="other arguments"):
        render_dataset(rendered, **(SMALL | {"seed": 6}))
    assert (rendered / "images.bin").stat().st_mtime_ns == before


def test_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match="something else"):
        render_dataset(tmp_path, **SMALL)
    assert (tmp_path / "letter.txt").read_text() == "dear"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"look": "oil"}, "unknown look 'oil'; known: camera, plain, studio"),
        ({"split": "dev"}, "unknown split 'dev'; known: teacher, train, validation, test"),
        ({"groups": ("martian",)}, "unknown group 'martian'; known: african, asian, caucasian"),
        ({"groups": ()}, "groups must be"),
        ({"groups": ("asian", "asian")}, "each once"),
        ({"identities_per_group": 0}, "identities_per_group must be at least 1"),
        ({"images_per_identity": -1}, "images_per_identity must be at least 1"),
        ({"first_identity": -1}, "first_identity must not be negative"),
        ({"first_identity": 999_999}, "goes beyond"),
        ({"workers": 0}, "workers must be at least 1"),
    ],
)
def test_bad_arguments(tmp_path, change, message):
    with pytest.raises(UsageError, match=message):
        render_dataset(tmp_path / "faces", **(SMALL | change))
    assert not (tmp_path / "faces").exists()


@pytest.mark.parametrize("package", ["anny", "embreex"])
def test_missing_package_is_named(tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=rf"'{package}'.*evenface\[render\]"):
        render_dataset(tmp_path / "faces", **SMALL)


def test_dead_worker_is_explained(tmp_path, monkeypatch):
    monkeypatch.setattr(dataset, "start", _die)
    with pytest.raises(EvenfaceError, match="a rendering process died"):
        render_dataset(tmp_path / "faces", **SMALL, workers=1)


def test_importing_the_package_is_light():
    program = (
        "import sys, evenface.render\n"
        "heavy = {'torch', 'anny', 'embreex', 'cv2', 'pyarrow'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def _die():
    import os

    os._exit(1)


def test_seed_and_look_change_the_images(rendered, tmp_path):
    few = SMALL | {"identities_per_group": 1, "groups": ("asian",)}
    plain = render_dataset(tmp_path / "plain", **(few | {"look": "plain"}), workers=1)
    camera = ImageStore.open(rendered)[0].astype(int)
    assert np.abs(ImageStore.open(plain)[0].astype(int) - camera).mean() > 3
