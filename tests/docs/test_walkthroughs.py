"""Commands of the pages, run as they stand, on tiny faces under the names that the pages use.

A training is run with ``--explain``, which refuses whatever the training would. README's walk and
docs/own-data.md are run whole in ``test_readme_walk.py`` and ``test_own_data_week.py``.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from pages import commands
from PIL import Image

import toy_onnx
from evenface.cli.main import main
from evenface.data.manifest import Manifest
from evenface.evaluate import protocol_from_manifest
from evenface.seeds import generator
from evenface.teachers.cache import cached_embeddings
from fhibe_release import write_release
from pattern_people import write_people

GROUPS = ("African", "Asian")


def people(
    prefix: str, each: int = 12, images: int = 3, group: str | None = None
) -> list[tuple[str, str, int]]:
    """Person, group and number of images, of one group or of all."""
    groups = GROUPS if group is None else (group,)
    return [(f"{prefix}-{name}-{i}", name, images) for name in groups for i in range(each)]


def face(person: str, group: str, image: int) -> np.ndarray:
    """Colours by which people differ more than groups do, uint8 (112, 112, 3)."""
    cells = 127.5 + generator("group", group).uniform(-40, 40, (4, 4, 3))
    cells = cells + generator("person", person).uniform(-80, 80, (4, 4, 3))
    cells = cells + generator("image", person, image).uniform(-7, 7, (4, 4, 3))
    return cells.repeat(28, axis=0).repeat(28, axis=1).astype(np.uint8)


def write_folder(root: str, prefix: str) -> None:
    """Images as ``<root>/<group>/<identity>/<number>.png``."""
    for person, group, count in people(prefix):
        folder = Path(root, group, person)
        folder.mkdir(parents=True)
        for i in range(count):
            Image.fromarray(face(person, group, i)).save(folder / f"{i}.png")


class NoiseTeacher:
    """Unlike embeddings for unlike images, equal ones for copies."""

    name = "noise"
    fingerprint = "noise"

    def __init__(self, embedding_size: int) -> None:
        self.embedding_size = embedding_size

    def embed(self, images: np.ndarray) -> np.ndarray:
        draws = [generator("noise", image.tobytes().hex()) for image in images]
        return np.stack([draw.normal(size=self.embedding_size) for draw in draws]).astype("f4")


def embedded(data: str, cache: str, size: int = 128) -> None:
    cached_embeddings(NoiseTeacher(size), Manifest.read(data), cache)


def training(size: int = 128) -> None:
    write_people(Path("faces"), people("a"))
    embedded("faces", "cache", size)


def own_data() -> None:
    write_folder("faces", "a")
    header = "path,identity,ethnicity,gender\n"
    rows = [
        f"faces/{group}/{person}/{i}.png,{person},{group},{'female' if i % 2 else 'male'}\n"
        for person, group, count in people("a")
        for i in range(count)
    ]
    Path("faces.csv").write_text(header + "".join(rows), encoding="utf-8")


def exporting() -> None:
    write_people(Path("data/mix"), people("a"))
    write_people(Path("data/rfw"), people("b", images=6))
    protocol_from_manifest(Manifest.read("data/rfw"), folds=2).write(
        Path("data/rfw/protocol.parquet")
    )


def mixing() -> None:
    write_people(Path("data/bupt"), people("real"))
    write_people(Path("data/rfw"), [*people("test"), *people("real")[:3]])
    write_people(Path("data/dcface"), people("made"), origin="synthetic", declared=False)
    scores = [
        f"{person}/{i}.jpg,{'0.9,0.1' if group == GROUPS[0] else '0.1,0.9'}\n"
        for person, group, count in people("made")
        for i in range(count)
    ]
    Path("scores.csv").write_text(f"path,{','.join(GROUPS)}\n" + "".join(scores), encoding="utf-8")
    embedded("data/bupt", "caches/bupt")
    embedded("data/rfw", "caches/rfw")


def teachers() -> None:
    toy_onnx.write_recogniser(Path("model.onnx"))


def fhibe() -> None:
    toy_onnx.write_recogniser(Path("model.onnx"))
    stated = product(("['0. She/her/hers']", "['1. He/him/his']"), ("['0. Africa']", "['3. Asia']"))
    groups = [{"pronoun": pronoun, "ancestry": ancestry} for pronoun, ancestry in stated]
    write_release(Path(), [group for group in groups for _ in range(4)])


# Page → what lies there, beginnings of the commands that are run in the page's order.
WALKTHROUGHS: dict[str, tuple[Callable[[], None], list[str]]] = {
    "docs/training.md": (  # fine-tuning needs a finished run: tests/train/test_fine_tuning.py
        training,
        [
            "train --list",
            "train student-cpu --set data=faces --explain",
            "train student-cpu --set data=faces --set distill",
        ],
    ),
    "docs/losses.md": (training, ["train"]),
    "docs/faithful.md": (lambda: training(512), ["train"]),
    "docs/study.md": (lambda: None, ["study list"]),
    "docs/data.md": (own_data, ["data import faces.csv", "data inspect", "data preview"]),
    "docs/formats.md": (
        exporting,
        ["data export data/mix", "data export data/rfw out", "data export draw:data/rfw out"],
    ),
    "docs/mixing.md": (
        mixing,
        [
            "data label data/dcface data/dcface-labelled --attribute ethnicity --predictions",
            "data mix data/mix",
            "data overlap",
        ],
    ),
    "docs/fhibe.md": (fhibe, ["data import", "data inspect", "evaluate"]),
    "docs/teachers.md": (teachers, ["assets list", "teacher info model.onnx"]),
}


@pytest.mark.slow
@pytest.mark.parametrize("page", WALKTHROUGHS)
def test_commands_run(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    prepare, beginnings = WALKTHROUGHS[page]
    prepare()
    texts = [shlex.split(shown.text, comments=True) for shown in commands() if shown.page == page]
    lines = [words[1:] for words in texts if words[0] == "evenface"]
    for beginning in beginnings:
        assert any(shlex.join(words).startswith(beginning) for words in lines), beginning
    capsys.readouterr()
    for words in lines:
        if not shlex.join(words).startswith(tuple(beginnings)):
            continue
        if words[0] == "train" and "--list" not in words and "--explain" not in words:
            words = [*words, "--explain"]
        with pytest.raises(SystemExit) as stop:
            main(words)
        told = capsys.readouterr()
        assert stop.value.code == 0, (words, told.err)
        assert told.out.strip() or told.err.strip(), words
