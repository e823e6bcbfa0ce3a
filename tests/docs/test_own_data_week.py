"""docs/own-data.md: every command of the page as typed, on tiny faces in the published layouts.

The study ``paper`` keeps its file; what makes it large (identities, networks, epochs) is made small
where the file is read. Trainings by hand are run with ``--explain``, which refuses whatever the
training would.
"""

from __future__ import annotations

import csv
import io
import shlex
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pages import commands
from PIL import Image

import mxnet_files
import toy_onnx
from evenface import recipes
from evenface.cli.main import main
from evenface.data.formats.verification_bin import write_bin
from evenface.data.manifest import Manifest
from evenface.files import read_json
from evenface.seeds import generator
from untrained_run import write_run

PAGE = "docs/own-data.md"
RACES = {"African": 3, "Asian": 2}
"""As BUPT-BalancedFace numbers them, of four."""
EACH = 12
SHARED = "m.0African0"
"""Of BUPT and of RFW."""
STUDY = Path("studies/paper")
SETS = {
    "balanced": 24,
    "synthetic": 40,
    "synthetic-mix": 20,
    "mix-equal-ids": 20,
    "mix-equal-img": 20,
}
"""Training set → identities, in place of 22,094 and more."""
BENCHMARKS = ("lfw", "cfp_fp", "cplfw", "calfw", "agedb_30")


def face(person: str, race: str, image: int) -> np.ndarray:
    """Colours by which people differ more than groups do, uint8 (112, 112, 3)."""
    cells = 127.5 + generator("group", race).uniform(-40, 40, (4, 4, 3))
    cells = cells + generator("person", person).uniform(-80, 80, (4, 4, 3))
    cells = cells + generator("image", person, image).uniform(-7, 7, (4, 4, 3))
    return cells.repeat(28, axis=0).repeat(28, axis=1).astype(np.uint8)


def encoded(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def people(prefix: str, count: int = EACH) -> list[tuple[str, str]]:
    """Person and race."""
    return [(f"{prefix}{race}{i}", race) for race in RACES for i in range(count)]


def write_bupt(folder: Path, images: int = 3) -> None:
    """``train.rec``, ``.idx``, ``property`` and a list with races."""
    records, lines = [], []
    for label, (person, race) in enumerate(people("m.0")):
        for i in range(images):
            records.append((label, encoded(face(person, race, i))))
            lines.append(f"1\t/bupt/{race}/{person}/{i}.jpg\t{label}\t{RACES[race]}\n")
    mxnet_files.write_training_set(folder, records)
    (folder / "train.lst").write_text("".join(lines), encoding="utf-8")


def write_rfw(folder: Path, count: int = 10) -> None:
    """Photographs and lists of pairs; the first person is one of BUPT's."""
    for race in RACES:
        names = [SHARED if race == "African" and not i else f"m.1{race}{i}" for i in range(count)]
        for person in names:
            below = folder / "images" / race / person
            below.mkdir(parents=True)
            for i in (1, 2):
                (below / f"{person}_{i:04d}.jpg").write_bytes(encoded(face(person, race, i)))
        genuine = [f"{name}\t1\t2" for name in names]
        impostor = [f"{a}\t1\t{b}\t1" for a, b in pairwise([*names, names[0]])]
        pairs = folder / "txts" / race / f"{race}_pairs.txt"
        pairs.parent.mkdir(parents=True)
        listed = chain(*zip(genuine, impostor, strict=True))
        pairs.write_text("\n".join(listed) + "\n", encoding="utf-8")


def write_benchmark(path: Path, pairs: int = 20) -> None:
    """As many genuine as impostor pairs, in turn."""
    images = []
    for i in range(pairs):
        first, second = f"{path.stem}{i}", f"{path.stem}{i + i % 2}"
        images += [encoded(face(first, "Asian", 0)), encoded(face(second, "Asian", 1))]
    write_bin(path, images, [i % 2 == 0 for i in range(pairs)])


def lay_out() -> None:
    """What the page's table says is on disk, teacher.onnx, and runs for the steps by hand."""
    write_bupt(Path("BUPT-BalancedFace"))
    for name, prefix in (("dcface_0.5m", "d"), ("idiff-face", "i")):
        for person, race in people(prefix):
            folder = Path(name, person)
            folder.mkdir(parents=True)
            for i in range(2):
                (folder / f"{i}.jpg").write_bytes(encoded(face(person, race, i)))
    write_rfw(Path("RFW"))
    Path("data").mkdir()
    for name in BENCHMARKS:
        write_benchmark(Path("data", f"{name}.bin"))
    toy_onnx.write_recogniser(Path("teacher.onnx"), dimensions=128)
    for name in ("mix", "mix-plain"):
        write_run(Path("runs", name))


def small(content: dict[str, Any]) -> dict[str, Any]:
    """The study file with few identities, small networks and two steps."""
    steps = {"batch_size": 8, "schedule.epochs": 2, "schedule.milestones": [1]}
    for name, wanted in content["training_sets"].items():
        wanted["identities"] = SETS[name]
    for level in content["factors"]["backbone"].values():
        level["backbone.name"] = "mini_s"
    for factor in ("backbone", "head"):  # the first of two networks and of two losses
        levels = list(content["factors"][factor].items())
        content["factors"][factor] = dict(levels[:2])
    content["constraints"] = [
        {
            "when": {"set": list(SETS)},
            "require": {"backbone": "iresnet50", "head": "elasticarcface"},
        }
    ]
    content.pop("arm_notes", None)
    for teacher in content["teachers"]:
        overrides = {**steps, "backbone.name": "mini_s", "schedule.epoch_steps": 4}
        teacher["overrides"] = teacher.get("overrides", {}) | overrides
    content["student"]["overrides"] = {**steps, "schedule.epoch_steps": 1}
    content["faces"]["synthetic_labels"]["abstain"] = 0.0  # such a teacher is sure of nothing
    content["evaluation"]["replicates"] = 100
    content["workers"] = 1
    return content


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_command_runs_as_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    lay_out()
    read = recipes.read

    def read_small(kind: str, source: str) -> dict[str, Any]:
        content = read(kind, source)
        return small(content) if (kind, source) == ("study", "paper") else content

    monkeypatch.setattr(recipes, "read", read_small)
    said: dict[str, str] = {}
    for command in [shown.text for shown in commands() if shown.page == PAGE]:
        program, *words = shlex.split(command, comments=True)
        assert program == "evenface"
        words += ["--explain"] if words[0] == "train" else []
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main(words)
        told = capsys.readouterr()
        assert stop.value.code == 0, f"{command}\n{told.out}\n{told.err}"
        assert told.out.strip() or told.err.strip(), command
        said[" ".join(words[:2])] = " ".join((told.out + told.err).split())

    bupt = Manifest.read("data/bupt-balancedface")
    assert sorted(set(bupt.column("ethnicity"))) == ["African", "Asian"]
    assert SHARED in bupt.identities()
    assert "is not there" not in said["study plan"]
    left_out = "Left out of training, since a test has them: 1 of 24 identities of the real faces"
    assert left_out in said["study run"]
    assert left_out in said["study status"]
    results = read_json(STUDY / "results.json")
    assert results["left_out"]["faces"]["real"]["people"][0]["identity"] == SHARED
    assert results["labels"]["attribute"] == "ethnicity"
    assert next(b for b in results["benchmarks"] if b["id"] == "groups")["pairs"] == "published"
    assert {s["name"]: s["identities"] for s in results["sets"]}["balanced"] == 23
    with open(STUDY / "tables" / "paper-groups.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert {row[0] for row in rows[1:]} >= set(SETS)
    assert {"African", "Asian", "LFW", "CFP-FP", "CPLFW", "CALFW", "AgeDB-30"} <= set(rows[0])
    assert (STUDY / "tables" / "intervals-groups.md").is_file()
