"""Any Python function as a teacher."""

from __future__ import annotations

import importlib
import inspect
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from evenface.errors import DataError, UsageError
from evenface.files import fingerprint, sha256_file
from evenface.teachers.base import IMAGE_SHAPE, check_images, check_network

_WANTED = "a function from uint8 images (N, 112, 112, 3), RGB, to embeddings (N, D)"


class FunctionTeacher:
    """A function from uint8 RGB images (N,112,112,3) to embeddings (N,D).

    What a function computes cannot be seen from outside. So unless it has an attribute
    ``fingerprint`` (a text that its author changes with the weights), its embeddings are not kept:
    ``cacheable`` is False. The file of its code is part of the fingerprint.

    Args:
        function: what embeds.
        name: None for the function's own name.

    Raises:
        UsageError: the function fails on a test image.
        DataError: it does not return (N,D) finite numbers, or the same for unlike images.
    """

    def __init__(self, function: Callable[[np.ndarray], Any], *, name: str | None = None) -> None:
        self._function = function
        self.name = name or str(getattr(function, "__name__", type(function).__name__))
        version = getattr(function, "fingerprint", None)
        self.cacheable = version is not None
        self.fingerprint = fingerprint(
            {
                "function": self.name,
                "version": str(version or secrets.token_hex(16)),
                "code": _code_digest(function),
            }
        )
        self.embedding_size: int = self.embed(np.zeros((1, *IMAGE_SHAPE), np.uint8)).shape[1]
        check_network(self, self.name)

    @property
    def details(self) -> dict[str, str]:
        """Where the function is from, for the reader."""
        module = getattr(self._function, "__module__", "?")
        return {
            "function": f"{module}:{self.name}",
            "preprocessing": "by the function itself; it gets RGB, 0–255",
            "embeddings kept": "yes" if self.cacheable else "no (it has no 'fingerprint')",
        }

    def embed(self, images: np.ndarray) -> np.ndarray:
        """Embeddings, float32 (N,D), not normalised, of uint8 RGB images (N,112,112,3), N ≥ 0.

        Raises ValueError for images of another shape or type, UsageError when the function fails,
        DataError for outputs that are NaN, infinite or of another shape.
        """
        check_images(images)
        if not len(images):
            return np.empty((0, self.embedding_size), dtype=np.float32)
        try:
            output = np.asarray(self._function(images), dtype=np.float32)
        # The user's own code may raise anything; --debug shows where.
        except (Exception, SystemExit) as error:
            raise UsageError(
                f"{self.name} failed on {len(images)} images: {type(error).__name__}: {error}"
            ) from error
        if output.ndim != 2 or len(output) != len(images):
            raise DataError(
                f"{self.name} returned the shape {output.shape} for {len(images)} images; "
                f"expected ({len(images)}, D)"
            )
        if not np.isfinite(output).all():
            bad = int((~np.isfinite(output).all(axis=1)).argmax())
            raise DataError(f"{self.name} returned NaN or infinite values for image {bad}")
        return output


def _code_digest(function: Callable[..., Any]) -> str | None:
    """SHA-256 (hex) of the file that a function or an object's class is written in; None of one
    without a file."""
    try:
        path = inspect.getsourcefile(inspect.unwrap(function))
    except TypeError:
        try:
            path = inspect.getsourcefile(type(function))
        except TypeError:
            path = None
    return sha256_file(Path(path)) if path and Path(path).is_file() else None


def load(spec: Path) -> FunctionTeacher:
    """The function ``module:name``; modules are looked for in the working folder too.

    Raises:
        UsageError: no such module or name, a module that fails, or nothing that can be called.
    """
    module_name, _, name = str(spec).partition(":")
    # As ``python -m`` does; the command line's own path has only its script's folder.
    sys.path.insert(0, os.getcwd())
    try:
        target: Any = importlib.import_module(module_name)
        for part in name.split("."):
            target = getattr(target, part)
    except ModuleNotFoundError as error:
        raise UsageError(f"{spec}: cannot import {error.name!r}") from error
    except AttributeError as error:
        raise UsageError(f"{spec}: {error}") from error
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UsageError(f"{spec}: the module {module_name} fails: {reason}") from error
    finally:
        sys.path.remove(os.getcwd())
    if not callable(target):
        raise UsageError(f"{spec} is a {type(target).__name__}; expected {_WANTED}")
    return FunctionTeacher(target, name=name)
