"""Small face-like images and files of the field's formats, and a model that tells them apart."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from evenface.data.formats.verification_bin import write_bin


def person(number: int, take: int) -> np.ndarray:
    """uint8 (112, 112, 3): coarse cells of a person, a little different in each take."""
    base = np.random.default_rng([1, number]).integers(40, 216, (7, 7, 3))
    noise = np.random.default_rng([2, number, take]).normal(0, 12, (7, 7, 3))
    return np.clip(base + noise, 0, 255).astype(np.uint8).repeat(16, 0).repeat(16, 1)


def encoded(image: np.ndarray) -> bytes:
    """As PNG."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def write_set(path: Path, *, first: int = 0, folds: int = 10, people: int = 2) -> None:
    """A .bin file: in each fold as many genuine pairs as people, then as many impostor pairs."""
    images, genuine = [], []
    for fold in range(folds):
        own = [first + fold * people + k for k in range(people)]
        for number in own:
            images += [person(number, 0), person(number, 1)]
            genuine.append(True)
        for place, number in enumerate(own):
            images += [person(number, 0), person(own[(place + 1) % people], 1)]
            genuine.append(False)
    write_bin(path, [encoded(image) for image in images], genuine)


def write_rfw(root: Path, races: tuple[str, ...] = ("African", "Asian")) -> Path:
    """RFW's folders, 20 people a race, and in each of 10 folds 2 genuine and 2 impostor pairs."""
    for place, race in enumerate(races):
        numbers = range(100 * place, 100 * place + 20)
        names = {number: f"m.0{number:03d}" for number in numbers}
        for number, name in names.items():
            for take in (0, 1):
                path = root / "images" / race / name / f"{name}_{take + 1:04d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(encoded(person(number, take)))
        lines = []
        for first in numbers[::2]:
            one, other = names[first], names[first + 1]
            lines += [f"{one}\t1\t2", f"{other}\t1\t2"]
            lines += [f"{one}\t1\t{other}\t2", f"{other}\t1\t{one}\t2"]
        pairs = root / "txts" / race / f"{race}_pairs.txt"
        pairs.parent.mkdir(parents=True)
        pairs.write_text("\n".join(lines) + "\n")
    return root


class PixelModel:
    """Embeds by coarse pixels; counts how often it sees each image."""

    name = "pixels"
    fingerprint = "ab" * 32
    embedding_size = 147

    def __init__(self) -> None:
        self.seen: list[bytes] = []

    def embed(self, images: np.ndarray) -> np.ndarray:
        cells = images[:, 8::16, 8::16].astype(np.float32)
        self.seen += [cell.tobytes() for cell in cells]
        return cells.reshape(len(images), -1) - 127.5
