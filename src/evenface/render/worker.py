"""What a rendering process does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from evenface.render.image import Shot
    from evenface.render.photograph import Sitter


def start() -> None:
    """Initialise a rendering process."""
    import cv2

    from evenface.render.bake import load_head

    cv2.setNumThreads(1)
    load_head()


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
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Whole heads with some room, as a detector would be given them.

    Returns:
        uint8 (images, 224, 224, 3); float64 (images, 5, 2) exact landmarks in their pixels;
        float64 (images,) pixels between the eyes if the head were seen from the front; bool
        (images,) whether there is a thing before the face.
    """
    from evenface.render.raster import LOOSE

    sitter, shots = _sitting(*person, look=look, images=images, seed=seed)
    pictures = [sitter.take(shot, LOOSE) for shot in shots]
    return (
        np.stack([picture.image for picture in pictures]),
        np.stack([picture.landmarks for picture in pictures]),
        np.array([picture.eye_distance for picture in pictures]),
        np.array([shot.occluder is not None for shot in shots]),
    )


def _sitting(
    group: str, index: int, *, look: str, images: int, seed: int
) -> tuple[Sitter, list[Shot]]:
    from evenface.render.bake import load_head
    from evenface.render.identity import draw_identity
    from evenface.render.image import draw_shot
    from evenface.render.looks import looks
    from evenface.render.photograph import Sitter

    head = load_head()
    sitter = Sitter(head, draw_identity(head, seed=seed, group=group, index=index))
    shots = [
        draw_shot(looks[look], seed=seed, name=look, group=group, index=index, number=number)
        for number in range(images)
    ]
    return sitter, shots
