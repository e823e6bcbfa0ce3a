"""Time per image by group: measured, shown, and no part of the results."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from evenface.cli.main import main
from evenface.data.manifest import Manifest
from evenface.evaluate.protocols import protocol_from_manifest
from evenface.evaluate.results import EVALUATION_FILE
from evenface.evaluate.times import TIMES_FILE, read_times, time_embedding
from toy_onnx import write_recogniser
from untrained_run import write_faces


class SlowOn:
    """Takes five milliseconds longer for the given images."""

    name, fingerprint, embedding_size = "slow", "0" * 64, 4

    def __init__(self, images: NDArray[np.uint8]) -> None:
        self._slow = {image.tobytes() for image in images}

    def embed(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        if images[0].tobytes() in self._slow:
            time.sleep(0.005)
        return np.ones((len(images), 4), dtype=np.float32)


def test_a_group_that_takes_longer_is_seen(tmp_path: Path) -> None:
    faces = Manifest.read(write_faces(tmp_path / "faces"))
    protocol = protocol_from_manifest(faces, folds=2)
    slow = np.flatnonzero(faces.groups() == protocol.groups[0])
    model = SlowOn(faces.images(slow))
    found = time_embedding(model, faces, protocol, name="faces", views=("original",))
    assert list(found.groups) == list(protocol.groups)
    first, second = found.groups.values()
    assert first.median >= 5 > second.median
    assert first.median <= first.p95
    assert (found.model, found.protocol, first.images) == ("slow", "faces", second.images)
    assert found.machine["cores"] >= 1


def test_an_evaluation_shows_times_and_its_results_stay_equal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toy, faces = write_recogniser(tmp_path / "toy.onnx"), write_faces(tmp_path / "faces")
    for out in ("a", "b"):
        with pytest.raises(SystemExit) as done:
            main(["evaluate", str(toy.path), str(faces), "--folds", "2", "--replicates", "0",
                  "--out", str(tmp_path / out)])  # fmt: skip
        assert done.value.code == 0
    assert "Time per image on this machine" in capsys.readouterr().out
    a, b = tmp_path / "a", tmp_path / "b"
    for name in (EVALUATION_FILE, "results.json", "made_from.json"):
        assert (a / name).read_bytes() == (b / name).read_bytes()
    (times,) = read_times(a)
    assert set(times.groups) == {"north", "south"}
    page = (a / "report.html").read_text()
    assert "Time per image on this machine" in page
    with pytest.raises(SystemExit):
        main(["report", str(a)])  # as it was, times included
    assert (a / "report.html").read_text() == page
    (a / TIMES_FILE).write_text("{}")
    assert read_times(a) == []
