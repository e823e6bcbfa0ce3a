"""Failures to enrol: the counts of an import by group, and when nothing is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_faces import PixelModel, encoded, person

from evenface.data.import_report import REPORT_NAME
from evenface.data.importing import import_folder
from evenface.data.manifest import MANIFEST_NAME, Manifest
from evenface.evaluate.enrolment import failures_to_enrol
from evenface.evaluate.evaluation import Evaluation
from evenface.evaluate.protocol_specs import ProtocolOptions, tasks_of
from evenface.evaluate.rates import count_rate
from evenface.evaluate.subjects import ModelSubject
from evenface.evaluate.suite import run_suite
from evenface.evaluate.tasks import Settings

PEOPLE, TAKES = 10, 3


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two groups; of "north" two images show no face and one is no image."""
    root = tmp_path_factory.mktemp("enrolment")
    for place, group in enumerate(("north", "south")):
        for number in range(PEOPLE):
            folder = root / "faces" / group / f"{group}-{number}"
            folder.mkdir(parents=True)
            for take in range(TAKES):
                image = encoded(person(100 * place + number, take))
                (folder / f"{take}.png").write_bytes(image)
    blank = encoded(np.full((160, 160, 3), 128, dtype=np.uint8))
    for number in (0, 1):
        (root / "faces" / "north" / f"north-{number}" / "blank.png").write_bytes(blank)
    (root / "faces" / "north" / "north-0" / "damaged.png").write_bytes(b"\x89PNG damaged")
    import_folder(
        root / "faces",
        root / "set",
        dataset="made",
        origin="synthetic",
        licence="none",
        max_bad_rate=0.2,
        workers=1,
    )
    return root / "set"


def test_failures_are_counted_by_group(dataset: Path) -> None:
    manifest = Manifest.read(dataset / MANIFEST_NAME)
    found = failures_to_enrol(manifest, ("group",))
    assert found is not None
    north, south = found["north"], found["south"]
    assert (north.images, north.no_face, north.unreadable) == (PEOPLE * TAKES + 3, 2, 1)
    assert north.failure_to_enrol.value == pytest.approx(3 / 33)
    assert north.face_found.value == pytest.approx(30 / 32)
    assert (south.images, south.failure_to_enrol.value) == (PEOPLE * TAKES, 0.0)
    # No failure among ten people: 1 − 0.025^(1/10).
    assert south.failure_to_enrol.high == pytest.approx(1 - 0.025**0.1)
    everyone = failures_to_enrol(manifest, ())
    assert everyone is not None
    assert everyone["all"].no_face == 2


def test_a_part_of_an_import_or_one_without_report_tells_nothing(
    dataset: Path, tmp_path: Path
) -> None:
    manifest = Manifest.read(dataset / MANIFEST_NAME)
    assert failures_to_enrol(manifest.select(np.arange(5)), ("group",)) is None
    assert failures_to_enrol(manifest, ("age",)) is None
    report = dataset / REPORT_NAME
    kept = report.rename(tmp_path / "kept.json")
    try:
        assert failures_to_enrol(manifest, ("group",)) is None
    finally:
        kept.rename(report)


def test_an_evaluation_holds_enrolment_and_a_scan(dataset: Path, tmp_path: Path) -> None:
    tasks = tasks_of(str(dataset), ProtocolOptions(pairs_per_group=40, folds=4))
    settings = Settings(replicates=20, scan=("all",))
    entry = run_suite([ModelSubject(PixelModel())], tasks, tmp_path, settings=settings)[0]
    read = Evaluation.read(entry.folder)
    assert read.enrolment is not None
    assert read.enrolment["north"].no_face == 2
    assert read.crossings is not None
    assert read.crossings.attributes == ("group",)
    assert [cell.values for cell in read.crossings.too_small] == [("north",), ("south",)]


def test_the_variance_of_a_rate_counts_people_once() -> None:
    """Against the sums over all pairs of trials that share a person, written out."""
    rng = np.random.default_rng(0)
    people = rng.integers(0, 12, (2, 200))
    people[1] = np.where(people[0] == people[1], (people[1] + 1) % 12, people[1])
    wrong = rng.random(200) < 0.3 + 0.05 * people[0]
    error = wrong - wrong.mean()
    shared = (people[:, None, :, None] == people[None, :, None, :]).any(axis=(0, 1))
    rate = count_rate(wrong, people)
    assert rate.robust == pytest.approx(float(error @ shared @ error))
    alone = count_rate(wrong, people[0])
    clusters = people[0][:, None] == people[0][None]
    assert alone.robust == pytest.approx(float(error @ clusters @ error))
