"""Rendering a whole dataset folder: in parallel, resumable, the same bytes every time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from evenface.console import progress
from evenface.errors import MissingDependencyError, UsageError
from evenface.files import fingerprint, read_json, write_json
from evenface.lock import LOCK_NAME, FolderLock
from evenface.parallel import usable_cores, worker_pool
from evenface.render.names import GROUPS, LOOKS, RANGE_SIZE, SPLIT_RANGES, check_known
from evenface.render.worker import render_people, start

REPORT_NAME = "render.json"
ATTRIBUTE = "phenotype_axis"
_PROGRESS_NAME = ".render-progress.json"
_GENERATOR_VERSION = 2
"""Raised whenever the same arguments would give other images."""
_IMAGES_A_TASK = 48
_STATEMENT = (
    "These faces are simulated: drawn from a parametric head model and ray cast; they show nobody. "
    "The groups are the generator's own phenotype axes (MakeHuman's african, asian, caucasian), "
    "not people's ethnicity, and no claim about fairness towards real people follows from them."
)


@dataclass(frozen=True)
class _Job:
    """The arguments that decide the images."""

    look: str
    split: str
    identities_per_group: int
    images_per_identity: int
    seed: int
    first_identity: int
    groups: tuple[str, ...]

    def check(self) -> None:
        check_known("look", self.look, LOOKS)
        check_known("split", self.split, tuple(SPLIT_RANGES))
        for group in self.groups:
            check_known("group", group, GROUPS)
        if not self.groups or len(set(self.groups)) < len(self.groups):
            raise UsageError(f"groups must be some of {', '.join(GROUPS)}, each once")
        for name in ("identities_per_group", "images_per_identity"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.first_identity < 0:
            raise UsageError(f"first_identity must not be negative, got {self.first_identity}")
        if self.first_identity + self.identities_per_group > RANGE_SIZE:
            raise UsageError(
                f"split {self.split!r} has {RANGE_SIZE:,} identities a group; first_identity "
                f"{self.first_identity:,} + identities_per_group {self.identities_per_group:,} "
                "goes beyond them"
            )

    @property
    def people(self) -> list[tuple[str, int]]:
        """(group, index) in the order of the manifest."""
        first = SPLIT_RANGES[self.split].start + self.first_identity
        return [
            (group, first + number)
            for group in self.groups
            for number in range(self.identities_per_group)
        ]

    @property
    def fingerprint(self) -> str:
        versions = {"generator": _GENERATOR_VERSION, "anny": metadata.version("anny")}
        return fingerprint({**asdict(self), "groups": list(self.groups), **versions})


def render_dataset(
    out: str | Path,
    *,
    look: str,
    split: str,
    identities_per_group: int,
    images_per_identity: int,
    seed: int,
    first_identity: int = 0,
    groups: Sequence[str] = GROUPS,
    workers: int | None = None,
) -> Path:
    """Render a dataset folder of synthetic faces.

    The images are a pure function of the arguments other than ``out`` and ``workers``. A person is
    a function of (seed, group, index) alone, so two calls with the same seed and split show the
    same people in different looks. Interrupted work is continued by the same call; finished work
    is not repeated. Rendering processes are spawned: a script must guard its entry point with
    ``if __name__ == "__main__":``.

    Args:
        out: folder to make.
        look: one of :data:`LOOKS`.
        split: one of :data:`SPLIT_RANGES`; written to the manifest, and choosing the range of
            indices that identities are taken from.
        identities_per_group: people of each group.
        images_per_identity: images of each person.
        seed: of people and images.
        first_identity: skip so many identities of the split's range.
        groups: some of :data:`GROUPS`.
        workers: processes; all available cores by default.

    Returns:
        The folder: image store, ``manifest.parquet``, ``render.json``.

    Raises:
        UsageError: unknown look, split or group; counts out of range; ``out`` holds something
            else, or a render with other arguments.
        MissingDependencyError: anny or embreex is not installed.
    """
    for package in ("anny", "embreex"):
        if find_spec(package) is None:
            raise MissingDependencyError(package, "render", "rendering faces")
    job = _Job(
        look=look,
        split=split,
        identities_per_group=identities_per_group,
        images_per_identity=images_per_identity,
        seed=seed,
        first_identity=first_identity,
        groups=tuple(groups),
    )
    job.check()
    if workers is not None and workers < 1:
        raise UsageError(f"workers must be at least 1, got {workers}")
    out = Path(out)
    if _is_finished(out, job):
        return out
    with FolderLock(out, doing="is rendering there. Wait for it, or choose another folder"):
        if not _is_finished(out, job):
            _render_store(out, job, workers or usable_cores())
            _write_manifest(out, job)
            write_json(out / REPORT_NAME, _report(job))
            (out / _PROGRESS_NAME).unlink(missing_ok=True)
    return out


def _is_finished(out: Path, job: _Job) -> bool:
    """Whether ``out`` holds this render whole; UsageError when it holds something else."""
    for name in (REPORT_NAME, _PROGRESS_NAME):
        if (out / name).is_file():
            found = read_json(out / name)
            if not isinstance(found, dict) or found.get("fingerprint") != job.fingerprint:
                raise UsageError(
                    f"{out}: holds a render with other arguments or of another version (see "
                    f"{name} there). Choose another folder or delete this one"
                )
            return name == REPORT_NAME
    if out.exists() and (not out.is_dir() or {path.name for path in out.iterdir()} - {LOCK_NAME}):
        raise UsageError(f"{out}: exists and holds something else. Choose another folder")
    return False


def _render_store(out: Path, job: _Job, workers: int) -> None:
    from evenface.data.store import HEADER_NAME, ImageStoreWriter
    from evenface.render.bake import load_head

    if (out / HEADER_NAME).is_file():
        return
    load_head()  # Baked here once rather than by every process.
    journal = out / _PROGRESS_NAME
    done = int(read_json(journal)["images"]) if journal.is_file() else 0
    images = job.images_per_identity
    people = job.people
    step = max(1, _IMAGES_A_TASK // images)
    rest = people[done // images :]
    tasks = [rest[start : start + step] for start in range(0, len(rest), step)]
    write_json(journal, _journal(job, done))
    title = f"render {job.look} {job.split}"
    with (
        ImageStoreWriter(out, resume=done) as writer,
        progress(title, len(people) * images, unit="images", done=done) as bar,
    ):
        for batch in _rendered(tasks, job, min(workers, max(1, len(tasks)))):
            writer.append(batch)
            writer.flush()
            write_json(journal, _journal(job, len(writer)))
            bar.advance(len(batch))


def _journal(job: _Job, images: int) -> dict[str, Any]:
    return {"fingerprint": job.fingerprint, "images": images}


def _rendered(tasks: list[list[tuple[str, int]]], job: _Job, workers: int) -> Iterator[np.ndarray]:
    """Images of each task in order; few tasks ahead, so that memory stays small."""
    render = partial(render_people, look=job.look, images=job.images_per_identity, seed=job.seed)
    waiting: deque[Future[np.ndarray]] = deque()
    with worker_pool(workers, what="rendering", initializer=start) as submit:
        for task in tasks:
            waiting.append(submit(render, task))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _write_manifest(out: Path, job: _Job) -> None:
    from evenface.data.manifest import MANIFEST_NAME, Manifest

    images = job.images_per_identity
    groups = np.repeat([group for group, _ in job.people], images)
    names = np.repeat([f"{group}-{index:07d}" for group, index in job.people], images)
    manifest = Manifest.from_columns(
        out,
        index=np.arange(len(names)),
        identity=names,
        origin="synthetic",
        dataset=f"evenface-render-{job.look}",
        licence="CC0-1.0",
        split=job.split,
        attributes={ATTRIBUTE: groups},
    )
    manifest.write(out / MANIFEST_NAME)


def _report(job: _Job) -> dict[str, Any]:
    packages = ("evenface", "anny", "embreex", "numpy")
    return {
        "fingerprint": job.fingerprint,
        "simulated": True,
        "statement": _STATEMENT,
        "arguments": {**asdict(job), "groups": list(job.groups)},
        "identities": len(job.people),
        "images": len(job.people) * job.images_per_identity,
        "generator_version": _GENERATOR_VERSION,
        "versions": {name: metadata.version(name) for name in packages},
    }
