"""Contact sheets of rendered faces for docs/gallery.md: all simulated.

    python tools/gallery.py docs/images [--seed 0] [--workers N]

For each look two JPEG files: ``LOOK-people.jpg``, a hundred people with one image each, the groups
(the generator's phenotype axes) taking turns, and ``LOOK-images.jpg``, nine people with eight
images each, a row being one person. All looks show the same people.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from evenface.parallel import usable_cores, worker_pool
from evenface.render import GROUPS, LOOKS, SPLIT_RANGES
from evenface.render.worker import render_people, start

_PEOPLE, _ACROSS = 100, 20
_ROWS, _IMAGES = 9, 8
_SIDE = 84
_QUALITY = 85


def sheet(images: np.ndarray, across: int) -> np.ndarray:
    """uint8 (H, W, 3): (n, 112, 112, 3) images in rows of ``across``, made smaller."""
    small = [cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA) for image in images]
    return np.concatenate(
        [
            np.concatenate(small[first : first + across], axis=1)
            for first in range(0, len(small), across)
        ]
    )


def write(path: Path, image: np.ndarray) -> None:
    """Write a JPEG file; OpenCV wants BGR."""
    cv2.imwrite(str(path), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])


def main() -> None:
    """Render and write all sheets."""
    parser = argparse.ArgumentParser(description="Contact sheets of rendered faces.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=usable_cores())
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    first = SPLIT_RANGES["train"].start
    people = [(GROUPS[n % len(GROUPS)], first + n // len(GROUPS)) for n in range(_PEOPLE)]
    with worker_pool(arguments.workers, what="rendering", initializer=start) as submit:
        for look in LOOKS:
            for name, shown, images, across in (
                ("people", people, 1, _ACROSS),
                ("images", people[:_ROWS], _IMAGES, _IMAGES),
            ):
                render = partial(render_people, look=look, images=images, seed=arguments.seed)
                rendered = [submit(render, [person]) for person in shown]
                faces = np.concatenate([future.result() for future in rendered])
                write(arguments.out / f"{look}-{name}.jpg", sheet(faces, across))


if __name__ == "__main__":
    main()
