"""Make the package's recogniser anew: render, try recipes, train the chosen one, measure, release.

    python tools/flagship.py [--work build/flagship] [--plan tools/flagship.yaml]

Every step continues where an interrupted call stopped. What is tried stands in the plan; how it is
judged here: by the agreement with the teacher on people and in a look that no trial has seen.
Photographs of real people are looked at after the choice, and decide nothing.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterable
from concurrent.futures import as_completed
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from evenface.console import note, progress
from evenface.data.embedding_cache import EmbeddingCache
from evenface.data.manifest import MANIFEST_NAME, Manifest
from evenface.data.sources import import_openpeople, import_orl
from evenface.evaluate import (
    Estimate,
    Evaluation,
    PairedDifference,
    compare_evaluations,
    evaluate_model,
    protocol_from_manifest,
)
from evenface.export.hub import write_card
from evenface.export.ship import export_onnx
from evenface.files import write_json, write_text
from evenface.parallel import usable_cores, worker_pool
from evenface.recogniser import Recogniser
from evenface.render import render_dataset
from evenface.run_folder import RUN_NAME, WEIGHTS_NAME
from evenface.teachers import load_teacher
from evenface.teachers.base import Engine
from evenface.teachers.cache import cached_embeddings
from evenface.teachers.small import SMALL, small_folder
from evenface.teachers.subset import subset_cache
from evenface.train import load_recipe
from evenface.train.augment import create_augmenter
from evenface.train.loop import train
from filled import fill

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results" / "flagship"
PAGE = ROOT / "docs" / "flagship.md"
TEACHER = "sface"
SPOILT = {"rescale": {"smallest": 0.3}, "blur": {"highest": 1.5}, "grey": {}}
"""How validation images are spoilt."""
TEACHER_KEY, DIFFERENCE = "teacher", "student − teacher"
FULL = "no-augmentation"
"""The trial whose training the curve has with less."""
TITLES = {"orl": "ORL, 40 real people", "openpeople": "openpeople, 10 generated people"}
PEOPLE = """## Faces it has seen, and faces it has not

**This student has seen no photograph of anybody**: it was trained on computer renders of people who
do not exist. Its teacher, SFace, was trained on photographs of real people; we cannot verify
whether they consented, or what the licences of their photographs allow. The student's knowledge
comes from there.

Measured once, after all choices were made on renders; 95 % intervals from a bootstrap over
identities. So few people show little, and they have no group labels: nothing is known about this
model's fairness towards real people."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", type=Path, default=Path("build/flagship"))
    parser.add_argument("--plan", type=Path, default=Path(__file__).with_suffix(".yaml"))
    parser.add_argument("--until", choices=("faces", "trials", "curve", "final"))
    arguments = parser.parse_args()
    work: Path = arguments.work
    plan = yaml.safe_load(arguments.plan.read_text("utf-8"))
    prepare(work, plan)
    if arguments.until == "faces":
        return
    for part in ("trials", "curve"):
        trials = [{**t, "set": {**plan["trial"], **t.get("set", {})}} for t in plan[part]]
        records = run_all(work, plan, trials)
        write_json(RESULTS / f"{part}.json", records)
        fill(PAGE, part, _trials_table(records))
        if arguments.until == part:
            return
    chosen = run_trial(work, plan, plan["final"])
    write_json(RESULTS / "final.json", chosen)
    fill(PAGE, "final", _trials_table([chosen]))
    run = work / "runs" / plan["final"]["name"]
    exported = export(work, run)
    curve = [trial["name"] for trial in plan["curve"]]
    people = meet_people(work, run, exported, [*curve, FULL])
    write_json(RESULTS / "people.json", people)
    fill(PAGE, "people", _people_table(people))
    fill(PAGE, "curve-people", _curve_table(people))
    if arguments.until != "final":
        release(run, exported, people)


def prepare(work: Path, plan: dict[str, Any]) -> None:
    """Render all faces, and embed those to learn from by the teacher."""
    for name, faces in plan["faces"].items():
        render_dataset(work / name, **faces)
    teacher = load_teacher(plan["teacher"]["source"], engine=plan["teacher"]["engine"])
    for name, faces in plan["faces"].items():
        if faces["split"] == "train":
            cached_embeddings(teacher, Manifest.read(work / name), work / f"{name}-teacher")


def run_all(
    work: Path, plan: dict[str, Any], trials: Iterable[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Train and judge, as many at once as there are cores, one thread each; in the given order."""
    trials = list(trials)
    records: dict[str, dict[str, Any]] = {}
    with (
        worker_pool(usable_cores(), what="a trial") as submit,
        progress("trials", len(trials), unit="trials") as bar,
    ):
        begun = {submit(run_trial, work, plan, trial): trial["name"] for trial in trials}
        for future in as_completed(begun):
            records[begun[future]] = future.result()
            bar.advance(1)
            note(f"{begun[future]}: {records[begun[future]]}")
    return [records[trial["name"]] for trial in trials]


def run_trial(work: Path, plan: dict[str, Any], trial: dict[str, Any]) -> dict[str, Any]:
    """Train one trial and judge it on the validation renders."""
    out = work / "runs" / trial["name"]
    manifest, cache = training_set(work, trial)
    overrides = dict(trial.get("set", {}))
    if overrides.pop("online", False):
        overrides["distill.teacher"] = plan["teacher"]
    else:
        overrides |= {"distill.cache": str(cache), "distill.teacher": None}
    recipe = load_recipe(plan["recipe"], overrides)
    result = train(recipe, out, manifest=manifest, quiet=True)
    return {
        "name": trial["name"],
        "why": trial["why"],
        "set": trial.get("set", {}),
        "looks": trial.get("looks", ["camera"]),
        "identities": len(manifest.identities()),
        "images": len(manifest),
        "steps": recipe.schedule.steps,
        "minutes": round(result["seconds"] / 60, 1),
        **judge(work, plan, out),
    }


def training_set(work: Path, trial: dict[str, Any]) -> tuple[Manifest, Path]:
    """The rows of a trial (of each look, identities in equal parts of the groups), and their
    teacher embeddings."""
    looks = trial.get("looks", ["camera"])
    sources = [Manifest.read(work / look) for look in looks]
    caches = [
        EmbeddingCache.open(work / f"{look}-teacher", image_fingerprint=source.image_fingerprint)
        for look, source in zip(looks, sources, strict=True)
    ]
    parts = [
        source.select(_first(source, trial.get("identities"), trial.get("images")))
        for source in sources
    ]
    manifest = parts[0] if len(parts) == 1 else Manifest.concat(parts)
    folder = work / "sets" / manifest.fingerprint[:16]
    if not (folder / "cache" / "cache.json").exists():
        subset_cache(list(zip(sources, caches, strict=True)), manifest, folder / "cache")
    return manifest, folder / "cache"


def _first(manifest: Manifest, identities: int | None, images: int | None) -> np.ndarray:
    """Rows of the first ``identities``, equally many of each group, and of their first images."""
    groups = manifest.groups()
    labels = manifest.labels()
    chosen = np.ones(len(manifest), dtype=bool)
    if identities is not None:
        names = np.unique(groups)
        chosen[:] = False
        for place, group in enumerate(names):
            members = np.unique(labels[groups == group])
            share = identities // len(names) + (place < identities % len(names))
            chosen |= np.isin(labels, members[:share])
    if images is not None:
        order = np.argsort(labels, kind="stable")
        starts = np.searchsorted(labels[order], labels[order])
        rank = np.empty(len(labels), dtype=int)
        rank[order] = np.arange(len(labels)) - starts
        chosen &= rank < images
    return chosen


def judge(work: Path, plan: dict[str, Any], run: Path) -> dict[str, float]:
    """Agreement with the teacher on the validation renders, as they are and spoilt, and EER.

    The agreement is the mean cosine between the student's embedding of an image and the teacher's
    of the same pixels. Spoilt images have lost their colour and most of their detail.
    """
    manifest = Manifest.read(work / "validation")
    student = Recogniser(load_teacher(run))
    agreements = [
        float(np.mean(np.sum(student.embed(images) * targets, axis=1)))
        for images, targets in validation(work, **plan["teacher"])
    ]
    evaluation = evaluate_model(
        student.model, manifest, protocol_from_manifest(manifest), replicates=200, detail=False
    )
    return {
        "agreement": round(agreements[0], 4),
        "agreement_spoilt": round(agreements[1], 4),
        "eer": round(mean_eer(evaluation), 4),
    }


@cache
def validation(work: Path, source: str, engine: Engine) -> list[tuple[np.ndarray, np.ndarray]]:
    """The validation images, as they are and spoilt, each with the teacher's unit embeddings."""
    manifest = Manifest.read(work / "validation")
    teacher = Recogniser(load_teacher(source, engine=engine))
    spoil = create_augmenter(SPOILT, seed=0)
    images = np.array(manifest.images())
    spoilt = spoil.on_device(torch.from_numpy(images.copy()), 0, np.arange(len(images))).numpy()
    return [(pixels, teacher.embed(pixels)) for pixels in (images, spoilt)]


def mean_eer(evaluation: Evaluation) -> float:
    """Mean over groups."""
    return float(np.mean([group.eer.value for group in evaluation.groups.values()]))


def export(work: Path, run: Path) -> Path:
    """ONNX in fp32 and int8, audited on renders of people that it has not seen."""
    folder = work / "export"
    audit = Manifest.read(work / "audit")
    for precision in ("fp32", "int8"):
        export_onnx(
            run,
            folder,
            precision=precision,
            name=SMALL,
            calibrate=Manifest.read(work / "calibration") if precision == "int8" else None,
            audit=audit,
        )
    return folder


def meet_people(work: Path, run: Path, exported: Path, curve: list[str]) -> dict[str, Any]:
    """EER on the two sets of other people, of the student, of what was exported, of the teacher and
    of the curve's students; and the paired difference to the teacher."""
    models: dict[str, str | Path] = {TEACHER_KEY: TEACHER, "student": run}
    models |= {path.stem: path for path in sorted(exported.glob("*.onnx"))}
    students = {trial: work / "runs" / trial for trial in curve}
    sets = {}
    for name, importer in {"orl": import_orl, "openpeople": import_openpeople}.items():
        folder = work / name
        if not (folder / MANIFEST_NAME).exists():
            importer(folder)
        manifest = Manifest.read(folder)
        protocol = protocol_from_manifest(manifest, group_by=(), name=name)
        measured = {
            key: evaluate_model(load_teacher(model), manifest, protocol, detail=False)
            for key, model in {**models, **students}.items()
        }
        compared = compare_evaluations(measured[TEACHER_KEY], measured["student"]).by_group
        difference = next(of for of in compared if of.measure == "eer").groups[0].difference
        eer = {
            key: _interval(group.eer)
            for key, evaluation in measured.items()
            for group in evaluation.groups.values()  # there is one
        }
        sets[name] = {
            "identities": len(manifest.identities()),
            "images": len(manifest),
            DIFFERENCE: _interval(difference),
            **{key: eer[key] for key in models},
            "curve": {trial: eer[trial] for trial in students},
        }
    return sets


def _interval(of: Estimate | PairedDifference) -> dict[str, float | None]:
    return {"value": of.value, "low": of.low, "high": of.high}


def release(run: Path, exported: Path, people: dict[str, Any]) -> None:
    """Put weights, ONNX files and card into the package."""
    target = small_folder()
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in (WEIGHTS_NAME, RUN_NAME):
        shutil.copyfile(run / name, target / name)
    for path in exported.glob("*.onnx"):
        shutil.copyfile(path, target / path.name)
    write_card(run, exported, target / "README.md")
    card = (target / "README.md").read_text("utf-8")
    card = card.replace(f"{run.parents[1]}/", "")  # where the faces lay is nobody's business
    heading = "## Results per group"
    write_text(
        target / "README.md",
        card.replace(heading, f"{PEOPLE}\n\n{_people_table(people)}\n\n{heading}", 1),
    )
    note(f"{target}: weights, ONNX files and card written")


def _trials_table(records: list[dict[str, Any]]) -> str:
    rows = [
        f"| {of['name']} | {of['why']} | {of['identities']:,} | {of['images']:,} | "
        f"{of['steps']:,} | {of['agreement']:.3f} | "
        f"{of['agreement_spoilt']:.3f} | {100 * of['eer']:.1f} |"
        for of in records
    ]
    return _table(
        "trial | what for | identities | images | steps | agreement | spoilt | EER, %",
        rows,
    )


def _curve_table(people: dict[str, Any]) -> str:
    rows = [
        f"| {trial} | " + " | ".join(_percent(of["curve"][trial]) for of in people.values()) + " |"
        for trial in people["orl"]["curve"]
    ]
    return _table("students | " + " | ".join(f"{TITLES[n]}: EER, %" for n in people), rows)


def _people_table(people: dict[str, Any]) -> str:
    rows = [
        f"| {TITLES[name]} | "
        + " | ".join(
            _percent(of[key]) for key in ("student", "small-int8", TEACHER_KEY, DIFFERENCE)
        )
        + " |"
        for name, of in people.items()
    ]
    return _table("people | EER, % | in int8 | SFace | student − SFace, points", rows)


def _percent(estimate: dict[str, float | None]) -> str:
    value, low, high = ("–" if v is None else f"{100 * v:.1f}" for v in estimate.values())
    return f"{value} [{low}, {high}]"


def _table(heading: str, rows: list[str]) -> str:
    columns = heading.count("|") + 1
    return "\n".join([f"| {heading} |", "|---" * columns + "|", *rows])


if __name__ == "__main__":
    main()
