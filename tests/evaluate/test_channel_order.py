"""Red and blue swapped: the wrong order is noticed on labelled pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_faces import PixelModel, write_set

from evenface.cli.main import main
from evenface.errors import DataError
from evenface.evaluate.channel_order import (
    LabelledPairs,
    check_order,
    probe_preprocessing,
    some_pairs,
)
from evenface.evaluate.protocol_specs import tasks_of
from toy_onnx import write_recogniser


def pairs(seed: int = 0, *, grey: bool = False) -> LabelledPairs:
    """40 people twice; what tells them apart is in red, blue varies from take to take."""
    rng = np.random.default_rng(seed)
    base = rng.integers(40, 216, (40, 1, 7, 7, 3))
    images = np.broadcast_to(base, (40, 2, 7, 7, 3)).astype(float)
    images = images + rng.normal(0, 1, images.shape) * np.array([5, 20, 80])
    if grey:
        images = np.repeat(images[..., :1], 3, axis=-1)
    cells = np.clip(images, 0, 255).astype(np.uint8).reshape(80, 7, 7, 3)
    people = np.arange(40)
    return LabelledPairs(
        cells.repeat(16, 1).repeat(16, 2),
        np.concatenate([2 * people, 2 * people]),
        np.concatenate([2 * people + 1, 2 * np.roll(people, 1) + 1]),
        np.repeat([True, False], 40),
    )


class RedModel(PixelModel):
    """Looks at red only; or, given BGR, at what it takes for red."""

    def __init__(self, channel: int) -> None:
        super().__init__()
        self.channel = channel

    def embed(self, images: np.ndarray) -> np.ndarray:
        return images[:, 8::16, 8::16, self.channel].reshape(len(images), -1) - 127.5


@pytest.mark.parametrize(
    ("channel", "verdict"),
    [(0, "as declared"), (2, "the other order scores higher"), (1, "cannot tell")],
)
def test_verdicts(channel: int, verdict: str) -> None:
    check = check_order(RedModel(channel), pairs())
    assert check.verdict == verdict
    assert verdict in str(check)
    assert check.genuine == check.impostor == 40


def test_grey_images_tell_nothing() -> None:
    assert check_order(RedModel(0), pairs(grey=True)).verdict == "cannot tell"


def test_pairs_of_a_protocol(tmp_path: Path) -> None:
    write_set(tmp_path / "lfw.bin")
    (task,) = tasks_of(str(tmp_path / "lfw.bin"))
    taken = some_pairs(task, limit=7)
    assert taken.genuine.tolist() == [True] * 7 + [False] * 7
    assert len(taken.images) <= 28
    assert check_order(PixelModel(), taken).declared.auc == 1.0


def test_protocols_without_pairs_of_images(two_groups, tmp_path: Path) -> None:
    split = np.where(np.arange(len(two_groups)) % 4 < 2, "gallery", "probe")
    two_groups.with_column("split", split).write(tmp_path / "set.parquet")
    (task,) = tasks_of(f"identify:{tmp_path / 'set.parquet'}")
    with pytest.raises(DataError, match="it has none"):
        some_pairs(task)


def test_preprocessing_is_probed(tmp_path: Path) -> None:
    recogniser = write_recogniser(tmp_path / "toy.onnx")
    found = probe_preprocessing(str(recogniser.path), pairs())
    assert len(found) == 10
    values = [separation.dprime for _, _, separation in found]
    assert values == sorted(values, reverse=True)
    # Around the mean, faces point in all directions; far from it they all point the same way.
    assert found[0][0] != "x"
    assert {order for _, order, _ in found} == {"RGB", "BGR"}


def test_probe_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recogniser = write_recogniser(tmp_path / "toy.onnx")
    write_set(tmp_path / "lfw.bin")
    with pytest.raises(SystemExit) as stop:
        main(["teacher", "probe", str(recogniser.path), str(tmp_path / "lfw.bin")])
    assert not stop.value.code
    printed = capsys.readouterr().out
    assert "BGR" in printed
    assert "20 genuine and 20 impostor pairs" in printed
