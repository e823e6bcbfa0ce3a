"""Python functions as teachers."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from evenface.errors import DataError, UsageError
from evenface.teachers import load_teacher


def means(images: np.ndarray) -> list[list[float]]:
    return images.mean(axis=(1, 2)).tolist()


def test_a_function_embeds(faces: np.ndarray) -> None:
    teacher = load_teacher(means)
    assert teacher.name == "means"
    assert teacher.embedding_size == 3
    embedded = teacher.embed(faces)
    assert embedded.dtype == np.float32
    np.testing.assert_allclose(embedded, faces.mean(axis=(1, 2)), rtol=1e-6)
    assert teacher.embed(faces[:0]).shape == (0, 3)
    with pytest.raises(ValueError, match="uint8"):
        teacher.embed(faces.astype(float))


def test_only_a_declared_fingerprint_is_kept() -> None:
    first, second = load_teacher(means), load_teacher(means)
    assert first.fingerprint != second.fingerprint
    assert first.cacheable is False

    def declared(images: np.ndarray) -> np.ndarray:
        return images.mean(axis=(1, 2))

    declared.fingerprint = "v1"  # type: ignore[attr-defined]
    one, two = load_teacher(declared), load_teacher(declared)
    assert one.fingerprint == two.fingerprint
    assert one.cacheable is True
    declared.fingerprint = "v2"  # type: ignore[attr-defined]
    assert load_teacher(declared).fingerprint != one.fingerprint


@pytest.mark.parametrize(
    ("function", "kind", "message"),
    [
        (lambda images: images.mean(), DataError, r"shape \(\) for 1 images"),
        (lambda images: images[:0].reshape(0, 4), DataError, r"shape \(0, 4\) for 1"),
        (lambda images: np.full((len(images), 2), np.nan), DataError, "NaN or infinite"),
        (lambda images: images.nothing, UsageError, "AttributeError"),
        (lambda images: "text", UsageError, "ValueError"),
        (lambda images: sys.exit(0), UsageError, "SystemExit: 0"),
        (lambda images: np.ones((len(images), 2)), DataError, "have the same embedding"),
    ],
)
def test_functions_that_do_not_embed(function, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        load_teacher(function)


@pytest.mark.parametrize(
    "code", ["def embed(images) return images", "raise RuntimeError('no')", "raise SystemExit"]
)
def test_modules_that_fail(tmp_path, monkeypatch, code: str) -> None:
    (tmp_path / "failing_module.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        UsageError, match=r"the module failing_module fails: (Syntax|Runtime)Error|SystemExit"
    ):
        load_teacher("failing_module:embed")


def test_the_file_of_the_code_is_part_of_the_fingerprint(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    code = "def embed(images):\n    return images.mean(axis=(1, 2))\nembed.fingerprint = 'v1'\n"
    found = []
    for more in ("", "", "# another version\n"):
        (tmp_path / "own_model.py").write_text(code + more)
        monkeypatch.delitem(sys.modules, "own_model", raising=False)
        found.append(load_teacher("own_model:embed").fingerprint)
    assert found[0] == found[1] != found[2]
