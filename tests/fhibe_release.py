"""A folder laid out as FHIBE's release of cropped faces, made of noise."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

NAME = "fhibe.20250716.u.gT5_rFTA_downsampled_public"
TABLE = "data/processed/fhibe_face_crop_align/fhibe_face_crop_align.csv"
POINTS = {
    "0. Nose": [100.0, 110.0, 1.0],
    "2. Right eye": [78.0, 85.0, 1.0],
    "5. Left eye": [123.0, 84.0, 1.0],
    "9. Mouth right": [82.0, 137.0, 1.0],
    "10. Mouth left": [119.0, 136.0, 1.0],
    "11. Right shoulder": [0.0, 0.0, 0.0],
}
"""Of every face, in pixels of its crop."""
DEFAULTS: dict[str, Any] = {
    "age": 34,
    "ancestry": "['0. Africa']",
    "pronoun": "['0. She/her/hers']",
    "natural_skin_color": "['3. [161, 102, 94]']",
    "apparent_skin_color": "['2. [112, 65, 57]']",
    "location_country": "Kenya",
    "head_pose": "0. Typical",
    "multiple_subjects": False,
    "keypoints": str(POINTS),
    "segments": "[{'class_name': '1. Face skin', 'polygon': [{'x': 1.0, 'y': 2.0}]}]",
}


def crop(person: int, image: int) -> np.ndarray:
    """uint8 (200, 200, 3): a smooth pattern of a person with the noise of an image."""
    pattern = np.random.default_rng(person).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    large = cv2.resize(pattern, (200, 200), interpolation=cv2.INTER_CUBIC).astype(float)
    noise = np.random.default_rng([person, image]).normal(0, 30, large.shape)
    return np.clip(large + noise, 0, 255).astype(np.uint8)


def write_release(
    folder: Path, people: Sequence[Mapping[str, Any]], *, images: int = 3, name: str = NAME
) -> Path:
    """Write a release of so many people, each a mapping of what differs from :data:`DEFAULTS`.

    A list as a value has an entry for each image.

    Returns:
        the unpacked folder.
    """
    root = folder / name
    table = root / TABLE
    table.parent.mkdir(parents=True)
    with open(table, "w", newline="", encoding="utf-8") as handle:
        rows = csv.DictWriter(handle, ["", "filepath", "subject_id", *DEFAULTS])
        rows.writeheader()
        for number, person in enumerate(people):
            for image in range(images):
                path = (
                    f"data/raw/fhibe_downsampled/s{number}/i{image}/"
                    f"faces_crop_and_align_i{image}_s{number}.png"
                )
                (root / path).parent.mkdir(parents=True)
                Image.fromarray(crop(number, image)).save(root / path)
                own = {k: v[image] if isinstance(v, list) else v for k, v in person.items()}
                row = {"filepath": path, "subject_id": f"s{number}", **DEFAULTS, **own}
                rows.writerow(row)
    return root
