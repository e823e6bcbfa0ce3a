"""How long an import took to find faces, by group, beside the data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evenface.data.finding_times import FINDING_TIMES_NAME, GroupTime, read_finding_times
from evenface.data.importing import import_folder


def plant(root: Path, *, side: int) -> Path:
    """Two groups of two people: an aligned face each, and a grey picture without a face."""
    for group in ("north", "south"):
        for person in ("a", "b"):
            folder = root / group / f"{group}-{person}"
            folder.mkdir(parents=True)
            noise = np.random.default_rng(len(group)).integers(0, 256, (112, 112, 3))
            Image.fromarray(noise.astype(np.uint8)).save(folder / "0.png")
            Image.new("RGB", (side, side), "grey").save(folder / "1.png")
    return root


def import_it(source: Path, out: Path) -> Path:
    import_folder(source, out, dataset="d", origin="synthetic", licence="none", max_bad_rate=0.9)
    return out


def test_images_that_a_detector_looked_at_are_timed_by_group(tmp_path: Path) -> None:
    out = import_it(plant(tmp_path / "faces", side=160), tmp_path / "out")
    times = read_finding_times(out)
    assert times is not None
    assert times.everyone.images == 4  # the aligned faces need no detector
    assert {value: of.images for value, of in times.by["group"].items()} == {"north": 2, "south": 2}
    assert 0 < times.everyone.median <= times.everyone.p95
    assert times.machine["cores"] >= 1
    assert set(times.of_groups(("group",))) == {"north", "south"}
    assert times.of_groups(()) == {"all": times.everyone}
    assert times.of_groups(("group", "age")) == times.of_groups(("age",)) == {}
    (out / FINDING_TIMES_NAME).write_text("{}")
    assert read_finding_times(out) is None


def test_there_are_no_times_without_a_detector(tmp_path: Path) -> None:
    out = import_it(plant(tmp_path / "faces", side=112), tmp_path / "out")
    assert not (out / FINDING_TIMES_NAME).exists()


def test_milliseconds_are_quantiles_of_the_seconds() -> None:
    seconds = np.arange(1, 101) / 1000
    found = GroupTime.of(seconds.tolist())
    assert (found.images, found.median) == (100, pytest.approx(50.5))
    assert found.p95 == pytest.approx(95.05)
