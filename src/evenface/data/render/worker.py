"""What a rendering process does."""

from __future__ import annotations

import numpy as np


def start() -> None:
    """Initialise a rendering process."""
    import cv2

    from evenface.data.render.bake import load_head

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
    from evenface.data.render.bake import load_head
    from evenface.data.render.identity import draw_identity
    from evenface.data.render.image import draw_shot
    from evenface.data.render.looks import looks
    from evenface.data.render.photograph import Sitter

    head = load_head()
    sitter = Sitter(head, draw_identity(head, seed=seed, group=group, index=index))
    return np.stack(
        [
            sitter.photograph(
                draw_shot(
                    looks[look], seed=seed, name=look, group=group, index=index, number=number
                )
            )
            for number in range(images)
        ]
    )
