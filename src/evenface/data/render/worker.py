"""What a rendering process does. Spawned with one thread, so that sums have one order."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from evenface.data.render.image import Shot
    from evenface.data.render.photograph import Sitter

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@contextmanager
def single_threaded_children() -> Iterator[None]:
    """Processes started inside use one thread each for linear algebra."""
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def start() -> None:
    """Initialise a rendering process; it ends when the process that started it does."""
    import cv2

    from evenface.data.render.bake import load_head

    threading.Thread(target=_leave_with_parent, daemon=True).start()
    cv2.setNumThreads(1)
    load_head()


def _leave_with_parent() -> None:
    """End this process once its parent is gone: a pool's workers would wait for tasks forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def render_people(
    people: list[tuple[str, int]], *, look: str, images: int, seed: int
) -> np.ndarray:
    """uint8 (people · images, 112, 112, 3): all images of each (group, index) in turn."""
    return np.concatenate(
        [
            render_person(group, index, look=look, images=images, seed=seed)
            for group, index in people
        ]
    )


def render_person(group: str, index: int, *, look: str, images: int, seed: int) -> np.ndarray:
    """uint8 (images, 112, 112, 3) of one person."""
    sitter, shots = _sitting(group, index, look=look, images=images, seed=seed)
    return np.stack([sitter.photograph(shot) for shot in shots])


def render_loose(
    person: tuple[str, int], *, look: str, images: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whole heads with some room, as a detector would be given them.

    Returns:
        uint8 (images, 224, 224, 3); float64 (images, 5, 2) exact landmarks in their pixels;
        bool (images,) whether there is a thing before the face.
    """
    from evenface.data.render.raster import LOOSE

    sitter, shots = _sitting(*person, look=look, images=images, seed=seed)
    pictures = [sitter.take(shot, LOOSE) for shot in shots]
    return (
        np.stack([picture.image for picture in pictures]),
        np.stack([picture.landmarks for picture in pictures]),
        np.array([shot.occluder is not None for shot in shots]),
    )


def _sitting(
    group: str, index: int, *, look: str, images: int, seed: int
) -> tuple[Sitter, list[Shot]]:
    from evenface.data.render.bake import load_head
    from evenface.data.render.identity import draw_identity
    from evenface.data.render.image import draw_shot
    from evenface.data.render.looks import looks
    from evenface.data.render.photograph import Sitter

    head = load_head()
    sitter = Sitter(head, draw_identity(head, seed=seed, group=group, index=index))
    shots = [
        draw_shot(looks[look], seed=seed, name=look, group=group, index=index, number=number)
        for number in range(images)
    ]
    return sitter, shots
