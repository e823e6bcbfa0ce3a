"""How good the rendered faces are: found by a detector, told apart by a recogniser, all different.

    python benchmarks/generator.py [--looks camera plain studio] [--identities 60] [--images 6]
                                  [--loose 1] [--crowd 100] [--seed 0] [--workers N] [--json FILE]

For each look and group, on people of the split ``test``:

- *found*: share of loose 224-pixel renders without an occluder in which YuNet, given them at twice
  their size, finds a face with a score of at least 0.6, *error*: mean distance of its landmarks
  from the known ones in percent of the known distance between the eyes, where a face is found;
- *in full*: share of the same renders in which a face is found whose landmarks lie on average
  within 10 percent of the distance between the eyes, here the one that the head would show from
  the front at the same scale: the distance in the image shrinks as the head turns, and the same
  error in pixels would count for more;
- *genuine*, *impostor*, *EER*: SFace's cosines within the group on aligned renders;
- *nearest other*: the highest cosine between mean embeddings of two people of any group, and
  *self*: the share of people for whom the mean of the second half of their images is nearest to the
  mean of their own first half, among all people of the look.

Then a crowd of people in the look ``plain``: the same two figures, and how near the two most
similar people are in the generator's own shape parameters. Needs the asset ``sface``.
Differences between the groups are the generator's and the networks' together.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from evenface.data.detect import FaceDetector
from evenface.data.store import ImageStore
from evenface.evaluate.verification import eer
from evenface.parallel import usable_cores, worker_pool
from evenface.render import GROUPS, LOOKS, SPLIT_RANGES, render_dataset
from evenface.render.bake import load_head
from evenface.render.identity import draw_identity
from evenface.render.worker import render_loose, start
from evenface.teachers import load_teacher
from evenface.teachers.base import Teacher

_FIRST = SPLIT_RANGES["test"].start
_MIN_SCORE = 0.6
_IN_FULL = 0.1
"""Greatest mean error of the landmarks of a face found in full, in frontal eye distances."""


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors along the last axis, scaled to length 1."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def embed(
    teacher: Teacher, look: str, people: int, images: int, seed: int, workers: int
) -> np.ndarray:
    """Unit embeddings (groups, people, images, d) of aligned renders."""
    with tempfile.TemporaryDirectory() as folder:
        out = render_dataset(
            Path(folder) / "faces",
            look=look,
            split="test",
            identities_per_group=people,
            images_per_identity=images,
            seed=seed,
            workers=workers,
        )
        found = teacher.embed(np.asarray(ImageStore.open(out)[:]))
    return unit(found).reshape(len(GROUPS), people, images, -1)


def verification(embeddings: np.ndarray) -> dict[str, float]:
    """Cosines of all pairs of (people, images, d)."""
    people, images, _ = embeddings.shape
    flat = embeddings.reshape(people * images, -1)
    owner = np.repeat(np.arange(people), images)
    one, other = np.triu_indices(len(flat), 1)
    cosines = np.einsum("ij,ij->i", flat[one], flat[other])
    same = owner[one] == owner[other]
    return {
        "genuine": float(cosines[same].mean()),
        "impostor": float(cosines[~same].mean()),
        "eer": float(eer(cosines, same)),
    }


def neighbours(embeddings: np.ndarray) -> dict[str, np.ndarray]:
    """Per group of (groups, people, images, d): nearest other person, and share found as selves."""
    groups, people, images, _ = embeddings.shape
    first, second, whole = (
        unit(part.mean(axis=2)).reshape(groups * people, -1)
        for part in (embeddings[:, :, : images // 2], embeddings[:, :, images // 2 :], embeddings)
    )
    others = whole @ whole.T
    np.fill_diagonal(others, -1)
    own = (second @ first.T).argmax(axis=1) == np.arange(groups * people)
    return {
        "nearest_other": others.max(axis=1).reshape(groups, people).max(axis=1),
        "self": own.reshape(groups, people).mean(axis=1),
    }


def landmark_error(detector: FaceDetector, picture: np.ndarray, known: np.ndarray) -> float:
    """Mean distance (pixels) of the best face's landmarks from ``known`` (5, 2); NaN for none."""
    faces = detector.detect(cv2.resize(picture, None, fx=2, fy=2))
    marked = [(face.landmarks - 0.5) / 2 for face in faces]
    return min((np.linalg.norm(m - known, axis=1).mean() for m in marked), default=np.nan)


def detection(look: str, people: int, images: int, seed: int, workers: int) -> list[dict]:
    """Per group: shares found and found in full, error of the landmarks over the eyes' distance."""
    detector = FaceDetector(min_score=_MIN_SCORE)
    render = partial(render_loose, look=look, images=images, seed=seed)
    rows = []
    with worker_pool(workers, what="rendering", initializer=start) as submit:
        for group in GROUPS:
            named = [(group, _FIRST + number) for number in range(people)]
            futures = [submit(render, person) for person in named]
            parts = zip(*(future.result() for future in futures), strict=True)
            pictures, landmarks, frontal, occluded = map(np.concatenate, parts)
            free = np.flatnonzero(~occluded)
            errors = np.array([landmark_error(detector, pictures[i], landmarks[i]) for i in free])
            apart = np.linalg.norm(landmarks[free, 0] - landmarks[free, 1], axis=1)
            rows.append(
                {
                    "loose_images": len(free),
                    "found": float(np.isfinite(errors).mean()),
                    "found_in_full": float((errors <= _IN_FULL * frontal[free]).mean()),
                    "error": float(np.nanmean(errors / apart)),
                }
            )
    return rows


def parameters(people: int, seed: int) -> dict[str, float]:
    """Distance of the two people of all groups who are nearest in shape axes, over the median."""
    head = load_head()
    named = itertools.product(GROUPS, range(_FIRST, _FIRST + people))
    axes = np.stack([draw_identity(head, seed=seed, group=g, index=i).axes for g, i in named])
    square = (axes**2).sum(axis=1)
    apart = np.sqrt(np.clip(square[:, None] + square - 2 * axes @ axes.T, 0, None))
    apart = apart[np.triu_indices(len(axes), 1)]
    return {"people": len(axes), "nearest_over_median": float(apart.min() / np.median(apart))}


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """All figures."""
    teacher = load_teacher("sface")
    seed, workers = arguments.seed, arguments.workers
    rows = []
    for look in arguments.looks:
        embeddings = embed(teacher, look, arguments.identities, arguments.images, seed, workers)
        found = detection(look, arguments.identities, arguments.loose, seed, workers)
        near = neighbours(embeddings)
        for number, group in enumerate(GROUPS):
            row = {"look": look, "group": group, **found[number]}
            row |= verification(embeddings[number])
            row |= {name: float(values[number]) for name, values in near.items()}
            rows.append(row)
    crowd = neighbours(embed(teacher, "plain", arguments.crowd, 4, seed + 1, workers))
    return {
        "identities": arguments.identities,
        "images": arguments.images,
        "seed": seed,
        "rows": rows,
        "crowd": {
            "people": arguments.crowd * len(GROUPS),
            "nearest_other": float(crowd["nearest_other"].max()),
            "self": float(crowd["self"].mean()),
        },
        "parameters": parameters(10 * arguments.crowd, seed + 1),
    }


def markdown(result: dict[str, Any]) -> str:
    """The figures as a table and two sentences."""
    columns = (
        *("look", "axis", "found", "in full", "error"),
        *("genuine", "impostor", "EER", "nearest other", "self"),
    )
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    last = None
    for row in result["rows"]:
        cells = (
            f"`{row['look']}`" if row["look"] != last else "",
            row["group"],
            f"{row['found']:.1%}",
            f"{row['found_in_full']:.1%}",
            f"{100 * row['error']:.1f}",
            f"{row['genuine']:.2f}",
            f"{row['impostor']:.2f}",
            f"{row['eer']:.1%}",
            f"{row['nearest_other']:.2f}",
            f"{row['self']:.1%}",
        )
        last = row["look"]
        lines.append(f"| {' | '.join(cells)} |")
    crowd, shape = result["crowd"], result["parameters"]
    lines += [
        "",
        f"Crowd of {crowd['people']} in `plain`: nearest other {crowd['nearest_other']:.2f}, "
        f"self {crowd['self']:.1%}.",
        f"Shape axes of {shape['people']} people: the two nearest lie "
        f"{shape['nearest_over_median']:.2f} of the median distance apart.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and write if asked."""
    parser = argparse.ArgumentParser(description="How good the rendered faces are.")
    parser.add_argument("--looks", nargs="+", choices=LOOKS, default=list(LOOKS))
    parser.add_argument("--identities", type=int, default=60, help="people a group")
    parser.add_argument("--images", type=int, default=6, help="aligned images a person")
    parser.add_argument("--loose", type=int, default=1, help="loose images a person")
    parser.add_argument("--crowd", type=int, default=100, help="people a group of the crowd")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=usable_cores())
    parser.add_argument("--json", type=Path, help="file to write all figures to")
    arguments = parser.parse_args()
    result = measure(arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    print(markdown(result))


if __name__ == "__main__":
    main()
