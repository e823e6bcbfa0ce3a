"""Make the study teacher anew: render its people, train it, measure it, put it into the package.

    python tools/study_teacher.py [--work build/teacher]

Every step continues where an interrupted call stopped. It is measured on people of the validation
split, whom neither the teacher nor any student of a study has seen, in all looks, and the card is
written from those figures.
"""

from __future__ import annotations

import argparse
import shutil
from datetime import UTC, datetime
from pathlib import Path

from evenface import __version__
from evenface.console import note
from evenface.data.manifest import Manifest
from evenface.evaluate import Estimate, Evaluation, evaluate_model, protocol_from_manifest
from evenface.files import read_json, sha256_file, write_text
from evenface.machine import describe_machine
from evenface.render import LOOKS, render_dataset
from evenface.run_folder import RUN_NAME, WEIGHTS_NAME
from evenface.teachers import load_teacher
from evenface.teachers.study import study_teacher_folder
from evenface.train import load_recipe
from evenface.train.loop import train

RECIPE = "teacher-study"
PEOPLE, IMAGES = 1000, 8
TEST_PEOPLE, TEST_IMAGES = 100, 6
SEED = 0

CARD = """# Card of the study teacher

**Everything here is simulated.** This network was trained on computer renders of people who do
not exist and has seen no photograph. It is the teacher of evenface's quick study, not a recogniser
of real people: do not use it on any.

- **What it is**: `{backbone}`, {parameters:.2f} M parameters, {embedding_size} dimensions, aligned
  112×112 RGB faces in [−1, 1]; safetensors, {megabytes:.1f} MB, Apache-2.0 like the package.
- **Trained on**: {images:,} renders of {identities:,} people ({people:,} of each of the
  generator's three phenotype axes, {each} images each), look `camera`, split `teacher`, seed
  {seed}. No study, student or test uses these people. The head model's data are CC0.
- **How**: recipe `{recipe}`: {head}, {steps:,} steps of {batch_size} images in {minutes:.0f}
  minutes. `make teacher` rebuilds it.
- **Weights**: SHA-256 `{sha256}`.

## Measured

{test_people} people of each axis × {test_images} images, split `validation` (seen by no model),
10-fold accuracy and EER in %, 95 % intervals from a bootstrap over identities. Groups are the
generator's phenotype axes, not people's ethnicity.

| look | group | accuracy | EER |
|---|---|---|---|
{rows}

It was trained on the look `camera` only.

Made {date} with evenface {version} on {processor}, {cores} cores, torch {torch}.

## Limits

It is trained, tested and used within one generator: its figures say how well it knows that
generator. The differences between groups are a property of the renders. Nothing here supports a
claim about real people.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", type=Path, default=Path("build/teacher"))
    work: Path = parser.parse_args().work
    faces = render_dataset(
        work / "faces",
        look="camera",
        split="teacher",
        identities_per_group=PEOPLE,
        images_per_identity=IMAGES,
        seed=SEED,
    )
    run = work / "run"
    train(load_recipe(RECIPE, {"data": str(faces)}), run)
    target = study_teacher_folder()
    target.mkdir(exist_ok=True)
    for name in (WEIGHTS_NAME, RUN_NAME):
        shutil.copyfile(run / name, target / name)
    write_text(target / "README.md", _card(run, {look: _measure(look, work) for look in LOOKS}))
    note(f"{target}: weights, record and card written")


def _measure(look: str, work: Path) -> Evaluation:
    faces = render_dataset(
        work / f"test-{look}",
        look=look,
        split="validation",
        identities_per_group=TEST_PEOPLE,
        images_per_identity=TEST_IMAGES,
        seed=SEED,
    )
    manifest = Manifest.read(faces)
    return evaluate_model(load_teacher("study"), manifest, protocol_from_manifest(manifest))


def _card(run: Path, measured: dict[str, Evaluation]) -> str:
    record = read_json(run / RUN_NAME)
    rows = [
        f"| `{look}` | {group} | {_percent(result.accuracy)} | {_percent(result.eer)} |"
        for look, evaluation in measured.items()
        for group, result in evaluation.groups.items()
    ]
    machine = describe_machine(record["device"])
    weights = run / WEIGHTS_NAME
    return CARD.format(
        backbone=record["backbone"],
        parameters=record["parameters"] / 1e6,
        embedding_size=record["embedding_size"],
        megabytes=weights.stat().st_size / 1e6,
        images=record["images"],
        identities=record["num_identities"],
        people=PEOPLE,
        each=IMAGES,
        seed=SEED,
        recipe=RECIPE,
        head=record["head"],
        steps=record["steps"],
        batch_size=record["batch_size"],
        minutes=record["seconds"] / 60,
        sha256=sha256_file(weights),
        test_people=TEST_PEOPLE,
        test_images=TEST_IMAGES,
        rows="\n".join(rows),
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        version=__version__,
        processor=machine["processor"],
        cores=machine["cores"],
        torch=machine["torch"],
    )


def _percent(estimate: Estimate) -> str:
    values = [estimate.value, estimate.low, estimate.high]
    value, low, high = (f"{100 * v:.1f}" if v is not None else "–" for v in values)
    return f"{value} [{low}, {high}]"


if __name__ == "__main__":
    main()
