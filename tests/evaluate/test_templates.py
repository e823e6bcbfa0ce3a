"""Template-based verification, against means taken by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_faces import PixelModel, encoded, person

from evenface.data.align import ARCFACE_TEMPLATE
from evenface.errors import DataError
from evenface.evaluate.protocol_specs import tasks_of
from evenface.evaluate.tasks import Settings
from evenface.evaluate.templates import pooled, read_templates


def test_pooling_by_hand() -> None:
    # Template 0: medium 7 of two images, medium 8 of one; template 1: one image.
    unit = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.6, 0.8]])
    result = pooled(unit, np.array([0, 0, 0, 1]), np.array([7, 7, 8, 9]))
    # Medium 7 is (1/2, 1/2), medium 8 is (1, 0): their mean is (3/4, 1/4).
    expected = np.array([[3, 1] / np.sqrt(10), [0.6, 0.8]])
    np.testing.assert_allclose(result, expected, atol=1e-15)


def test_images_that_cancel_each_other() -> None:
    with pytest.raises(DataError, match="row 0 has zero norm"):
        pooled(np.array([[1.0, 0.0], [-1.0, 0.0]]), np.zeros(2, int), np.array([0, 1]))


def write_ijb(root: Path, people: int = 4, *, groups: bool = False) -> None:
    """Each person has two templates: two frames of a video and a still; one still."""
    (root / "meta").mkdir(parents=True)
    (root / "loose_crop").mkdir()
    media, pairs = [], []
    for number in range(people):
        group = [f"g{number % 2}"] if groups else []
        for take in range(4):
            name = f"{number}-{take}.png"
            (root / "loose_crop" / name).write_bytes(encoded(person(number, take)))
            template = 10 * number + (take == 3)
            media.append(" ".join([name, str(template), str(min(take, 1)), *group]))
        pairs.append(f"{10 * number} {10 * number + 1} 1")
        pairs += [
            f"{10 * number}\t{10 * other + 1}\t0" for other in range(people) if other != number
        ]
    (root / "meta" / "x_face_tid_mid.txt").write_text("\n".join(media) + "\n")
    (root / "meta" / "x_template_pair_label.txt").write_text("\n".join(pairs) + "\n")


def test_ijb_layout(tmp_path: Path) -> None:
    write_ijb(tmp_path)
    given = read_templates(tmp_path)
    assert given.count == 8
    assert len(given.faces) == 16
    assert given.protocol.score_pairs.genuine.sum() == 4
    assert len(given.protocol.score_pairs) == 16
    assert given.protocol.fold_pairs.genuine.sum() == 4
    assert len(given.protocol.fold_pairs) == 8
    assert "8 templates of 16 images in 12 media" in given.protocol.notes[0]
    rng = np.random.default_rng(0)
    values = rng.normal(size=(16, 5))
    unit = values / np.linalg.norm(values, axis=1, keepdims=True)
    row = {name: place for place, name in enumerate(given.names)}
    media = [(unit[row["2-1.png"]] + unit[row["2-2.png"]]) / 2, unit[row["2-0.png"]]]
    expected = np.mean(media, axis=0)
    # Templates are numbered in the order of their names as text: 0, 1, 10, 11, 20, …
    np.testing.assert_allclose(
        given.pool(values)[4], expected / np.linalg.norm(expected), atol=1e-12
    )


def test_evaluated_like_any_protocol(tmp_path: Path) -> None:
    write_ijb(tmp_path, people=8, groups=True)
    (task,) = tasks_of(str(tmp_path))
    values = PixelModel().embed(task.faces.images(task.rows))
    result = task.measure(values, Settings(replicates=0), "pixels")
    assert list(result.groups) == ["g0", "g1"]
    assert result.groups["g0"].auc.value == 1.0
    assert any("32 impostor pairs across groups are left out" in n for n in result.protocol.notes)


def test_landmarks_align(tmp_path: Path) -> None:
    write_ijb(tmp_path)
    shifted = ARCFACE_TEMPLATE + np.array([3, 0])
    points = " ".join(f"{value:.4f}" for value in shifted.ravel())
    lines = [f"{number}-{take}.png {points} 0.99" for number in range(4) for take in range(4)]
    path = tmp_path / "meta" / "x_name_5pts_score.txt"
    path.write_text("\n".join(lines))
    given = read_templates(tmp_path)
    image = given.faces.images(np.array([0]))[0]
    np.testing.assert_allclose(image[:, :100], person(0, 0)[:, 3:103], atol=1)
    path.write_text("\n".join(lines[1:]))
    with pytest.raises(DataError, match=r"no landmarks of image '0-0.png'"):
        read_templates(tmp_path)
    path.write_text("\n".join([lines[0].replace("0.99", "x"), *lines[1:]]))
    read_templates(tmp_path)
    path.write_text("\n".join([*lines[1:], "0-0.png " + " ".join(["nan"] * 10) + " 1"]))
    with pytest.raises(DataError, match=r"image '0-0.png' are not finite"):
        read_templates(tmp_path)


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("pair_label", "0 1 1", "0 99 1", "line 1: template '99' is not in the media list"),
        ("pair_label", "0 1 1", "0 1 yes", "line 1: label is 'yes'"),
        ("pair_label", "0 1 1\n", "0 1\n", "line 1 has 2 columns, expected 3"),
        ("face_tid_mid", "0-1.png 0 1", "0-1.png 0", "not a list of 3 columns"),
        ("face_tid_mid", "0-1.png 0 1", "0-9.png 0 1", "line 2: no file"),
    ],
)
def test_bad_lists(tmp_path: Path, file: str, old: str, new: str, message: str) -> None:
    write_ijb(tmp_path)
    (path,) = (tmp_path / "meta").glob(f"*{file}.txt")
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(DataError, match=message):
        read_templates(tmp_path)


def test_one_template_in_two_groups(tmp_path: Path) -> None:
    write_ijb(tmp_path, groups=True)
    (path,) = (tmp_path / "meta").glob("*face_tid_mid.txt")
    path.write_text(path.read_text().replace("0-1.png 0 1 g0", "0-1.png 0 1 g1"))
    with pytest.raises(DataError, match="another group than a further line"):
        read_templates(tmp_path)
