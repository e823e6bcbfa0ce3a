"""Peak memory and time of the paper's study at full size, on a stand-in made from row numbers.

    python benchmarks/rehearsal.py [--scale 1] [--networks paper|mini] [--skip-rehearsal] [--json]

The stand-in has the sizes of the paper's data: a labelled real set of 1,248,932 rows and 27,997
people in four groups, two synthetic sets without labels, and a test of 4 × 6,000 pairs. Its images
and teacher embeddings are computed from the row number whenever one is read: nothing is stored, and
no image is empty. Parts, each in a process of its own, so that its peak is its own:

- ``rehearsal``: ``study run paper --rehearse``.
- ``labels``: the classifier of groups on embeddings of all rows, and all training sets.
- ``gather``: teacher embeddings (64 dimensions) of a mix, gathered from those of all rows.
- ``train``: two steps of a distilled MobileFaceNet on that mix, a class for each of its people.
- ``evaluate``: one model's measures on the test's pairs, with 1,000 resamples.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evenface.data.embedded import EmbeddedRows
from evenface.data.embedding_cache import CacheRecord, EmbeddingCache
from evenface.data.labels import label_manifest
from evenface.data.manifest import MANIFEST_NAME, Manifest
from evenface.data.store import HEADER_NAME, IMAGE_SHAPE, ImageStore, register_store
from evenface.evaluate import Protocol, evaluate_embeddings, protocol_from_manifest
from evenface.evaluate.protocols import PROTOCOL_NAME
from evenface.files import fingerprint, write_json
from evenface.study.faces import StudyFaces, draw_set, join_sources
from evenface.study.rehearsal import rehearse_study
from evenface.study.spec import StudySpec, load_study
from evenface.teachers.subset import subset_cache
from evenface.train.loop import train
from evenface.train.recipe import load_recipe

FORMAT = "benchmark-rows"
GROUPS = {"African": 324_106, "Asian": 324_202, "Caucasian": 326_070, "Indian": 274_554}
"""Images of each group, of 7,000 people but for the last."""
PEOPLE = {"African": 7000, "Asian": 7000, "Caucasian": 7000, "Indian": 6997}
SYNTHETIC = {"dcface": (20_000, 20), "idiff": (10_050, 50)}
"""People, and images of each."""
TESTS = dict.fromkeys(GROUPS, (3000, 4))
SIZE = 512
SMALL = 64


# --- images and embeddings from row numbers ------------------------------------------------------


def mixed(numbers: np.ndarray) -> np.ndarray:
    """uint64, scrambled (splitmix64), of any integers."""
    z = numbers.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def uniform(keys: np.ndarray, width: int) -> np.ndarray:
    """float32 (n, width) in [−1, 1), a function of each key (n,)."""
    with np.errstate(over="ignore"):
        codes = mixed(mixed(keys)[:, None] + np.arange(width, dtype=np.uint64))
    return ((codes >> np.uint64(40)).astype(np.float32) / 2**23) - 1


@dataclass(frozen=True)
class People:
    """Who is on each row: contiguous people, contiguous groups.

    Attributes:
        seed: tells sets apart.
        first: (people + 1,) row at which each person begins.
        group: (people,) number of the group.
    """

    seed: int
    first: np.ndarray
    group: np.ndarray

    @classmethod
    def of(cls, seed: int, counts: list[tuple[int, int]]) -> People:
        """Groups of (people, rows); a group's rows are spread evenly over its people."""
        sizes = [
            np.diff(np.linspace(0, rows, people + 1).round().astype(np.int64))
            for people, rows in counts
        ]
        first = np.concatenate([[0], np.cumsum(np.concatenate(sizes))])
        group = np.repeat(np.arange(len(counts)), [people for people, _ in counts])
        return cls(seed, first, group)

    def at(self, rows: np.ndarray) -> np.ndarray:
        """The person of each row."""
        return np.searchsorted(self.first, rows, side="right") - 1

    def features(self, rows: np.ndarray, width: int) -> np.ndarray:
        """float32 (n, width): group, person and row, in falling weight."""
        person = self.at(rows)
        of_group = uniform(self.group[person], width)
        of_person = uniform(person + self.seed * 10_000_019 + 1_000, width)
        of_row = uniform(rows + self.seed * 1_000_000_007 + 77, width)
        return 0.6 * of_group + of_person + 0.3 * of_row


class RowStore(ImageStore):
    """A store whose images are computed from their numbers."""

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        self.path = path
        self.fingerprint = fingerprint(dict(header))
        self.people = People.of(header["seed"], [tuple(part) for part in header["groups"]])

    def __len__(self) -> int:
        return int(self.people.first[-1])

    def __getitem__(self, indices: Any) -> np.ndarray:
        rows = np.arange(len(self))[indices]
        tiles = self.people.features(np.atleast_1d(rows), 7 * 7 * 3).reshape(-1, 7, 7, 3)
        pixels = (128 + 60 * tiles).clip(1, 255).astype(np.uint8)
        images = pixels.repeat(16, axis=1).repeat(16, axis=2)
        assert images.shape[1:] == IMAGE_SHAPE
        return images if np.ndim(rows) else images[0]

    def verify(self) -> None:
        """There is nothing on the disk to compare with."""


register_store(FORMAT, RowStore)  # spawned processes import this file as well


class RowEmbeddings:
    """What stands for an array (N, D) of embeddings: rows are computed when they are taken."""

    def __init__(self, people: People, width: int) -> None:
        self._people = people
        self.shape = (int(people.first[-1]), width)
        self.dtype = np.dtype(np.float32)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        return self._people.features(np.arange(len(self))[rows], self.shape[1])


class RowCache(EmbeddingCache):
    """A teacher's embeddings of a set, computed from row numbers."""

    def __init__(self, manifest: Manifest, people: People, width: int) -> None:
        self.people = people
        views = {"original": len(manifest), "flip": len(manifest)}
        super().__init__(
            manifest.folder,
            CacheRecord(
                "rows", "rows", manifest.image_fingerprint, len(manifest), width, "float32", views
            ),
        )

    def view(self, name: str = "original") -> np.ndarray:
        return RowEmbeddings(self.people, self.record.embedding_size)  # type: ignore[return-value]


# --- the stand-in --------------------------------------------------------------------------------


def make_data(root: Path, scale: float) -> None:
    """Manifests of all sets, and the test's pairs."""
    real = [(round(PEOPLE[g] * scale), round(rows * scale)) for g, rows in GROUPS.items()]
    write_set(root / "bupt-balancedface", 1, real, origin="real", declared=True)
    for seed, (name, (people, each)) in enumerate(SYNTHETIC.items(), 2):
        parts = [(round(people * scale / 4), round(people * scale / 4) * each) for _ in GROUPS]
        write_set(root / name, seed, parts, origin="synthetic", declared=False)
    tests = [(round(p * scale), round(p * scale) * each) for p, each in TESTS.values()]
    manifest = write_set(root / "rfw", 9, tests, origin="real", declared=True)
    protocol = protocol_from_manifest(manifest, pairs_per_group=6000, max_pairs=6000, name="rfw")
    protocol.write(root / "rfw" / PROTOCOL_NAME)


def write_set(
    folder: Path, seed: int, groups: list[tuple[int, int]], *, origin: str, declared: bool
) -> Manifest:
    """A store that holds nothing but its recipe, and the manifest of its rows."""
    write_json(folder / HEADER_NAME, {"format": FORMAT, "seed": seed, "groups": groups})
    people = People.of(seed, groups)
    rows = np.arange(people.first[-1])
    person = people.at(rows)
    names = np.array([f"{folder.name[0]}.{i:06d}" for i in range(len(people.group))], object)
    labels = np.array(list(GROUPS), dtype=object)[people.group]
    manifest = Manifest.from_columns(
        folder,
        index=rows,
        identity=names[person],
        origin=origin,
        dataset=folder.name,
        licence="none",
        attributes={"ethnicity": labels[person]} if declared else {},
    )
    manifest.write(folder / MANIFEST_NAME)
    return manifest


def study(root: Path, scale: float, networks: str) -> StudySpec:
    """The paper's study on the stand-in."""
    overrides: dict[str, Any] = {
        "faces.real.path": str(root / "bupt-balancedface"),
        "faces.synthetic": [
            {"name": name, "kind": "folder", "path": str(root / name), "origin": "synthetic"}
            for name in SYNTHETIC
        ],
        "faces.test.spec": str(root / "rfw"),
        "faces.more_tests": {},
        "workers": 1,
    }
    sets = load_study("paper").training_sets
    for name, wanted in sets.items():
        overrides[f"training_sets.{name}.identities"] = int((wanted.identities or 0) * scale)
    if networks == "mini":
        for level, backbone in (
            ("iresnet50", "mini_l"), ("iresnet34", "mini_m"), ("mobilefacenet", "mini_s")
        ):  # fmt: skip
            overrides[f"factors.backbone.{level}"] = {"backbone.name": backbone}
        overrides["teachers"] = [
            {"name": "teacher", "recipe": "teacher-paper-{variant}", "set": "balanced",
             "overrides": {"backbone.name": "mini_l"}}
        ]  # fmt: skip
    return load_study("paper", overrides)


# --- parts ---------------------------------------------------------------------------------------


def part_rehearsal(root: Path, spec: StudySpec) -> dict[str, Any]:
    made = rehearse_study(spec, root / "studies" / "paper", command="benchmarks/rehearsal.py")
    fails = [f"{finding.what}: {finding.detail}" for finding in made.findings if made.fails
             and finding.state == "fails"]  # fmt: skip
    needs = {need.stage: need.seconds for need in made.needs}
    works = sum(finding.state == "works" for finding in made.findings)
    return {"works": works, "fails": fails, "the full study on this machine, s": needs}


def part_labels(root: Path, spec: StudySpec) -> dict[str, Any]:
    sources = {"real": Manifest.read(root / "bupt-balancedface")} | {
        f"synthetic-{name}": Manifest.read(root / name) for name in SYNTHETIC
    }
    real, synthetic = sources["real"], join_sources(spec, sources)
    values = [RowEmbeddings(m.stores["."].people, SIZE) for m in sources.values()]  # type: ignore[attr-defined]
    found = label_manifest(
        synthetic,
        attribute="ethnicity",
        labelled=(real, EmbeddedRows(values[0], np.arange(len(real)), "rows")),  # type: ignore[arg-type]
        embeddings=EmbeddedRows(_joined(values[1:]), np.arange(len(synthetic)), "rows"),
    )
    faces = StudyFaces(real, found.manifest, real, {}, "ethnicity", {})
    rows = {}
    for name, wanted in spec.training_sets.items():
        drawn, _ = draw_set(wanted, faces, spec)
        rows[name] = len(drawn)
        drawn.write(root / "sets" / name / MANIFEST_NAME)
    accuracy = found.report.held_out.accuracy_decided if found.report.held_out else None
    return {"rows": rows, "labelled": len(found.scores.identities), "accuracy": accuracy}


def _joined(parts: list[RowEmbeddings]) -> Any:
    """Several embeddings one after the other."""

    class Joined:
        shape = (sum(map(len, parts)), SIZE)
        dtype = np.dtype(np.float32)

        def __getitem__(self, rows: np.ndarray) -> np.ndarray:
            found = np.empty((len(rows), SIZE), np.float32)
            start = 0
            for part in parts:
                own = (rows >= start) & (rows < start + len(part))
                found[own] = part[rows[own] - start]
                start += len(part)
            return found

    return Joined()


def part_gather(root: Path, spec: StudySpec) -> dict[str, Any]:
    caches = []
    for name in ("bupt-balancedface", *SYNTHETIC):
        manifest = Manifest.read(root / name)
        store = manifest.stores["."]
        assert isinstance(store, RowStore)
        caches.append((manifest, RowCache(manifest, store.people, SMALL)))
    mix = Manifest.read(root / "sets" / "mix-equal-ids")
    cache = subset_cache(caches, mix, root / "sets" / "mix-equal-ids" / "embeddings")
    return {"rows": len(cache), "bytes a row": 2 * SMALL * 4}


def part_train(root: Path, spec: StudySpec) -> dict[str, Any]:
    folder = root / "sets" / "mix-equal-ids"
    changes = {"name": "two-steps", "data": str(folder), "backbone.name": "mobilefacenet",
               "backbone.embedding_size": SMALL, "schedule": {"steps": 2}, "batch_size": 16,
               "distill.cache": str(folder / "embeddings"), "device": "cpu"}  # fmt: skip
    result = train(load_recipe("student-paper-corrected", changes), root / "run", quiet=True)
    return {"images": result["images"], "classes": result["num_identities"]}


def part_evaluate(root: Path, spec: StudySpec) -> dict[str, Any]:
    protocol = Protocol.read(root / "rfw" / PROTOCOL_NAME)
    store = ImageStore.open(root / "rfw")
    assert isinstance(store, RowStore)
    embeddings = RowEmbeddings(store.people, SIZE)[:]
    found = evaluate_embeddings(embeddings, protocol, replicates=1000, detail=False)
    return {"pairs": len(protocol.fold_pairs), "accuracy": found.overall.accuracy.value}


PARTS: dict[str, Callable[[Path, StudySpec], dict[str, Any]]] = {
    name.removeprefix("part_"): part
    for name, part in list(globals().items())
    if name.startswith("part_")
}


def measured(name: str, root: Path, scale: float, networks: str) -> dict[str, Any]:
    """Do a part in this process: what it found, seconds, and GiB at its highest."""
    begun, processor = time.perf_counter(), time.process_time()
    found = PARTS[name](root, study(root, scale, networks))
    peak = max(
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return found | {
        "seconds": round(time.perf_counter() - begun, 1),
        "processor seconds": round(time.process_time() - processor, 1),
        "peak GiB": round(peak * (1 if sys.platform == "darwin" else 1024) / 2**30, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--scale", type=float, default=1.0, help="of rows and people")
    parser.add_argument("--networks", choices=("paper", "mini"), default="paper")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--root", type=Path, help="where data are kept for further calls")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    root = given.root or Path(tempfile.mkdtemp(prefix="rehearsal-"))
    try:
        if not (root / "rfw").exists():
            begun = time.perf_counter()
            make_data(root, given.scale)
            print(f"stand-in made in {time.perf_counter() - begun:.1f} s", file=sys.stderr)
        results = {}
        for name in given.parts:
            spawn = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(1, spawn) as pool:
                results[name] = pool.submit(
                    measured, name, root, given.scale, given.networks
                ).result()
            print(json.dumps({name: results[name]}, indent=None if given.json else 2), flush=True)
    finally:
        if given.root is None:
            shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    main()
