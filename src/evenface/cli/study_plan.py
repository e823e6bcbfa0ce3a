"""evenface study plan, diff, bundle: what is to do, how two studies differ, tables as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evenface.cli.common import AsJson, print_table
from evenface.cli.study_options import (
    Assignments,
    Folder,
    Out,
    Real,
    Reuse,
    Synthetic,
    Teachers,
    Test,
    chosen_study,
    existing_study,
    study_folder,
)
from evenface.errors import UsageError
from evenface.study import STUDIES

if TYPE_CHECKING:
    from evenface.study.diff import RunState, StudyDiff
    from evenface.study.plan_result import Plan, PlannedRun, PlannedStage


def register(study: typer.Typer) -> None:
    """Add the commands to ``evenface study``."""
    study.command("plan")(plan)
    study.command("diff")(diff)
    study.command("bundle")(bundle)


def plan(
    name: Annotated[
        str, typer.Argument(metavar="STUDY", help="Name of a study, or a study file (YAML).")
    ],
    out: Out = None,
    real: Real = None,
    synthetic: Synthetic = None,
    test: Test = None,
    teachers: Teachers = None,
    assignments: Assignments = None,
    measure: Annotated[
        bool,
        typer.Option(
            "--measure", help="Time a few training steps where no finished run gives the time."
        ),
    ] = False,
    power: Annotated[
        bool,
        typer.Option(
            "--power",
            help="Show the smallest effect of each claim that 4 of 5 such studies would decide.",
        ),
    ] = False,
    effects: Annotated[
        list[str] | None,
        typer.Option(
            "--effect",
            metavar="CLAIM=SIZE",
            help="Show what is needed to decide this effect, in points (% of a gap): "
            "kd-raises-accuracy=1, kd-lowers-absolute-unevenness=1.6:1.0. May be repeated.",
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="STUDY",
            help="Finished study (name, folder or results.json) whose variances --power uses. "
            "Default: those of the committed results of quick.",
        ),
    ] = None,
    people: Annotated[
        int | None, typer.Option(min=20, help="--power: test people in each group.")
    ] = None,
    pairs: Annotated[
        int | None, typer.Option(min=20, help="--power: fold pairs in each group.")
    ] = None,
    reuse: Reuse = None,
    as_json: AsJson = False,
) -> None:
    """Show what a study would do before it starts: runs, stages, time, disk, memory.

    Writes nothing, and works without the data. A run is finished, started (at a step), to do, or
    unknown: its folder exists, but its inputs cannot be compared until they are made.

    With --power: what the study can decide. Simulates studies of the planned numbers of test
    people, pairs and training seeds.
    """
    import dataclasses
    import json

    from evenface.study.plan import plan_study

    spec = chosen_study(name, real, synthetic, test, teachers, assignments)
    if power or effects:
        from evenface.cli import study_power

        folder = out or STUDIES / spec.name
        decided = study_power.power_plan(spec, folder, source, effects or [], people, pairs)
        if as_json:
            typer.echo(json.dumps(study_power.as_json(decided), indent=2))
        else:
            study_power.print_power(decided, len(spec.training_seeds))
        return
    if source or people or pairs:
        raise UsageError("--from, --people and --pairs go with --power")
    found = plan_study(
        spec,
        out or STUDIES / spec.name,
        measuring=measure,
        reuse=[study_folder(folder) for folder in reuse or []],
    )
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(found), indent=2, default=str))
        return
    _print_plan(found)


def _print_plan(found: Plan) -> None:
    from evenface.console import out

    out().print(_runs_table(found))
    out().print()
    out().print(_tree(found), soft_wrap=False)
    for line in _summary(found):
        out().print(line, markup=False, highlight=False)


def _runs_table(found: Plan) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for heading in ("run", "differs from the first", "state"):
        table.add_column(heading, overflow="fold")
    for heading in ("steps", "time left"):
        table.add_column(heading, justify="right")
    if found.notes:
        table.add_column("note", overflow="fold")
    for run in (*found.teachers, *found.runs):
        table.add_row(*map(Text, _run_row(run)), *([Text(run.note)] if found.notes else []))
    return table


def _run_row(run: PlannedRun) -> tuple[str, ...]:
    changed = ", ".join(
        f"{key.removesuffix('.name')}={_value(value)}" for key, value in run.changes.items()
    )
    state = f"at step {run.step:,}" if run.state == "started" else run.state
    if run.same_as is not None:
        state = f"as {run.same_as}"
    left = "" if run.state == "finished" or run.same_as else _duration(run.left)
    steps = "unknown" if run.steps is None else f"{run.steps:,}"
    return run.name, changed or "–", state, steps, left


def _value(value: Any) -> str:
    return "–" if value is None else str(value)


_KINDS = {
    "faces": "faces",
    "pairs": "pairs",
    "overlap": "people of the tests",
    "labels": "labels",
    "set": "training sets",
    "teacher": "teachers",
    "embeddings": "embeddings",
    "gather": "embeddings of the training sets",
    "untrained": "untrained networks",
}
"""Of stages, by the name that the tree gives them; runs and evaluations are counted."""


def _tree(found: Plan) -> Any:
    """Kinds of stages, each under the one that it waits for last."""
    from rich.text import Text
    from rich.tree import Tree

    def line(kind: str) -> Text:
        parts = (_stage(stage) for stage in found.stages if stage.kind == kind)
        return Text(f"{_KINDS[kind]}: {', '.join(parts)}")

    tree = Tree(line("faces"))
    tree.add(line("pairs"))
    for kind in ("overlap", "labels"):
        if any(stage.kind == kind for stage in found.stages):
            tree.add(line(kind))
    branch = tree.add(line("set"))
    if any(stage.kind == "teacher" for stage in found.stages):
        branch = branch.add(line("teacher"))
    branch = branch.add(line("embeddings"))
    branch.add(line("gather"))
    branch.add(line("untrained"))
    runs = branch.add(Text(f"runs: {_counts(found)}"))
    for stage in found.stages:
        if stage.kind == "evaluate" and stage.together:
            runs.add(Text(f"evaluations: {_stage(stage)}"))
    runs.add(Text(f"report: {found.report}"))
    return tree


def _stage(stage: PlannedStage) -> str:
    note = f"; {stage.note}" if stage.note else ""
    time = f"; about {_duration(stage.left)}" if stage.left else ""
    return f"{stage.name} ({stage.state}{note}{time})"


def _counts(found: Plan) -> str:
    counts = [
        f"{found.count(state)} {state}"
        for state in ("finished", "started", "to do", "unknown")
        if found.count(state)
    ]
    same = len(found.runs) - len(found.trainings)
    shared = f"; {same} more are the same as one of them" if same else ""
    return f"{len(found.trainings)} ({', '.join(counts)}{shared})"


def _summary(found: Plan) -> list[str]:
    time = "unknown; --measure takes a few steps" if found.pace == "unknown" else "unknown"
    if found.seconds is not None:
        time = f"about {_duration(found.seconds)}, {found.workers} at once, from {found.pace}"
    if all(run.state == "finished" for run in (*found.teachers, *found.trainings)):
        time = "none"
    disk = "unknown without the data and torch"
    if found.disk is not None and found.disk_left is not None:
        disk = f"about {_bytes(found.disk)}, of which {_bytes(found.disk_left)} yet to be written"
    if found.disk_left is not None and found.disk_left > found.free:
        disk += "; THAT IS MORE THAN IS FREE"
    memory = "unknown without torch" if found.memory is None else f"about {_bytes(found.memory)}"
    lines = [
        *_design(found),
        f"Training time left: {time}.",
        *_other_time(found),
        f"Disk: {disk}; {_bytes(found.free)} free.",
        f"Device memory of the largest training: {memory}; work space comes on top.",
    ]
    lines += [f"Missing: {what}." for what in found.missing]
    return [*lines, *(f"Warning: {what}." for what in found.warnings)]


def _other_time(found: Plan) -> list[str]:
    """Time of the stages that are no trainings, as far as finished stages give it."""
    todo = [
        stage
        for stage in found.stages
        if stage.kind not in ("train", "teacher") and stage.state != "finished"
    ]
    together = {name for stage in todo for name in stage.together}  # one entry is of them all
    todo = [stage for stage in todo if stage.name not in together]
    known = [stage.left for stage in todo if stage.left is not None]
    if not known:
        return []
    unknown = len(todo) - len(known)
    note = f"; {unknown} more take an unknown time" if unknown else ""
    return [
        f"Time left for {len(known)} other stages: about {_duration(sum(known))}, from finished "
        f"stages of their kinds{note}."
    ]


def _design(found: Plan) -> list[str]:
    """What is compared: variant, notes on arms, teachers, epochs, shares of real faces."""
    lines = [] if found.variant is None else [f"Variant: {found.variant}."]
    if found.notes:
        counts = "; ".join(f"{count} {note}" for note, count in found.notes.items())
        lines.append(f"Students: {counts}.")
    taught = found.taught
    if len({tuple(sets) for sets in taught.values()}) > 1:
        parts = (f"{teacher} teaches {', '.join(sets)}" for teacher, sets in taught.items())
        lines.append(f"Teachers: {'; '.join(parts)}.")
    if found.epochs_of == "set":
        lines.append("Epochs: of each training set, so that students take different steps.")
    mixes = {name: of for name, of in found.real_shares.items() if of.identities not in (0, 1)}
    shares = (
        f"{name} {_percent(of.identities)} of identities, {_percent(of.images)} of images"
        for name, of in mixes.items()
    )
    return [*lines, f"Real faces: {'; '.join(shares)}."] if mixes else lines


def _percent(share: float | None) -> str:
    return "unknown share" if share is None else f"{100 * share:.1f} %"


def _duration(seconds: float | None) -> str:
    from evenface.console import duration

    return "unknown" if seconds is None else duration(seconds)


def _bytes(count: int) -> str:
    for size, unit in ((2**40, "TiB"), (2**30, "GiB")):
        if count >= size:
            return f"{count / size:.2f} {unit}"
    return f"{count / 2**20:.1f} MiB"


def diff(
    first: Annotated[
        str, typer.Argument(metavar="A", help="A study: its name, file (YAML) or folder.")
    ],
    second: Annotated[str, typer.Argument(metavar="B", help="The study to compare with A.")],
    as_json: AsJson = False,
) -> None:
    """Compare two studies: settings, runs and, where both have them, results."""
    import dataclasses
    import json

    from evenface.study.diff import diff_studies

    first, second = (str(existing_study(study) or study) for study in (first, second))
    found = diff_studies(first, second)
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(found), indent=2, default=str))
        return
    _print_diff(found)


def _print_diff(found: StudyDiff) -> None:
    from evenface.console import out

    def say(text: str) -> None:
        out().print(text, markup=False, highlight=False)

    say(f"A: {found.first}")
    say(f"B: {found.second}")
    if found.settings:
        rows = [(k, _value(c.first), _value(c.second)) for k, c in found.settings.items()]
        print_table(("setting", "A", "B"), rows)
    else:
        say("Settings: the same.")
    changed = found.named("changed")
    for what, names in _by_change(found, changed).items():
        say(f"Changed: {', '.join(names)}")
        for line in what:
            say(f"  {line}")
    sides: tuple[tuple[RunState, str], ...] = (("first", "A"), ("second", "B"))
    for state, where in sides:
        if only := found.named(state):
            say(f"Only in {where}: {', '.join(only)}")
    same = found.named("same")
    by_settings = sum(not found.runs[name].exact for name in same)
    how = f" ({by_settings} by settings alone, not by fingerprints)" if by_settings else ""
    say(f"Runs: {len(same)} the same{how}, {len(changed)} changed.")
    if found.results is None:
        say("Results: not in both.")
        return
    equal, different = found.results.equal, found.results.different
    say(f"Results: {len(equal)} models bitwise equal, {len(different)} different.")
    figures = [
        (f.model, f.benchmark, f.measure, *_figures(f.first, f.second))
        for f in found.results.figures
    ]
    if figures:
        headings = ("model", "benchmark", "measure", "A", "B", "B − A")
        print_table(headings, figures)


def _by_change(found: StudyDiff, names: Sequence[str]) -> dict[tuple[str, ...], list[str]]:
    """What differs → the runs that differ in just that."""
    grouped: dict[tuple[str, ...], list[str]] = {}
    for name in names:
        run = found.runs[name]
        what = [
            f"{key}: {_value(change.first)} → {_value(change.second)}"
            for key, change in run.changes.items()
        ]
        grouped.setdefault(tuple(what) or (run.note,), []).append(name)
    return grouped


def _figures(first: float | None, second: float | None) -> tuple[str, str, str]:
    texts = ["–" if value is None else f"{value:.6g}" for value in (first, second)]
    change = "–" if first is None or second is None else f"{second - first:+.3g}"
    return texts[0], texts[1], change


def bundle(
    folder: Folder,
    out: Annotated[
        Path | None, typer.Option("--out", help="Where to write. Default: the study's folder.")
    ] = None,
) -> None:
    """Write a study's tables (CSV, Markdown, LaTeX), methods section and references as files."""
    from evenface.console import out as console
    from evenface.report.study.bundle import write_bundle
    from evenface.study.run import RESULTS_NAME

    folder = study_folder(folder)
    target = out or folder
    written = write_bundle(folder / RESULTS_NAME, target)
    console().print(f"Written: {len(written)} files in {target}", markup=False, highlight=False)
