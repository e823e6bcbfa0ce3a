"""A study in small before it runs for days: what works, what it will take, what will fail.

The user's own faces pass every stage and every model is trained for two optimiser steps, in a
folder of its own. Tables are drawn at full size, so that a mix that lacks people shows at once.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from evenface.data.labels import LabelReport, label_manifest
from evenface.data.manifest import Manifest
from evenface.errors import EvenfaceError, UsageError
from evenface.files import read_json, write_json
from evenface.lock import FolderLock
from evenface.machine import free_memory, peak_memory
from evenface.parallel import one_line
from evenface.study import layout
from evenface.study.executors import Executor
from evenface.study.face_counts import Size, total
from evenface.study.faces import (
    StudyFaces,
    check_groups,
    draw_set,
    hold_out,
    join_sources,
    of_those_left,
    prepare_faces,
    without_groups,
)
from evenface.study.labels import label_synthetic
from evenface.study.overlap import find_people, leave_out_people, without_people
from evenface.study.plan import plan_study
from evenface.study.plan_result import Plan
from evenface.study.rehearsal_needs import Need, time_needs
from evenface.study.run import RESULTS_NAME, missing_packages, run_study
from evenface.study.run_list import RUNS_NAME, StudyRun, read_runs
from evenface.study.samples import IMAGES, Sample, sample, with_placeholder_groups
from evenface.study.small import CPU_IMAGES, largest_batch, small_study
from evenface.study.spec import (
    AnyFaces,
    HeldOutFaces,
    MixedSet,
    PredictionsFile,
    RenderedFaces,
    StudySpec,
    TrainedTeacher,
    teacher_id,
)
from evenface.study.stage_log import STAGES_NAME, StageLog
from evenface.study.students import processes

REHEARSAL_NAME = "rehearsal.json"
STUDY_NAME = "study"
_IDENTITIES = 12
"""Of each group at least: the held-out share and the classifier's folds need a few."""

State = Literal["works", "warning", "fails", "not reached"]


@dataclass(frozen=True)
class Finding:
    """What the rehearsal found of one thing.

    Attributes:
        what: a stage, or what was checked.
        remedy: what to do, where something is wrong.
    """

    what: str
    state: State
    detail: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Rehearsal:
    """What a rehearsal found.

    Attributes:
        folder: of the rehearsal.
        seconds: that it took.
        disk: bytes that the full study has yet to write; None: not known.
        free: bytes free there.
        memory: bytes of the largest training on its device; None: not known.
        host: bytes of memory of this process and its children at their highest.
    """

    study: str
    folder: Path
    findings: tuple[Finding, ...]
    needs: tuple[Need, ...]
    seconds: float
    disk: int | None = None
    free: int | None = None
    memory: int | None = None
    host: int | None = None

    @property
    def fails(self) -> bool:
        """Whether the full study would fail, or not answer what it asks."""
        return any(finding.state == "fails" for finding in self.findings)

    def write(self) -> None:
        """Write ``rehearsal.json``."""
        write_json(
            self.folder / REHEARSAL_NAME,
            asdict(self) | {"folder": str(self.folder), "fails": self.fails},
        )


def rehearsal_folder(out: Path) -> Path:
    """Where the study of the folder ``out`` is rehearsed."""
    return out.with_name(f"{out.name}-rehearsal")


def rehearse_study(
    spec: StudySpec, out: Path, *, command: str, executor: Executor | None = None
) -> Rehearsal:
    """Rehearse a study; nothing is written into its own folder.

    Args:
        spec: the study.
        out: the folder that it will have.
        command: of the rehearsal, for its report.
        executor: where its students will be trained.

    Raises:
        UsageError: overrides do not fit the study's recipes, or another process rehearses it.
    """
    folder = rehearsal_folder(out)
    folder.mkdir(parents=True, exist_ok=True)
    with FolderLock(folder, doing="is rehearsing this study. Wait for it"):
        made = _Rehearsal(spec, out, folder).run(command, executor)
        made.write()
    return made


@dataclass
class _Rehearsal:
    """A rehearsal under way."""

    spec: StudySpec
    out: Path
    folder: Path
    findings: list[Finding] = field(default_factory=list)
    samples: dict[str, Sample] = field(default_factory=dict)
    sets: dict[str, Size] = field(default_factory=dict)
    """Of the full training sets that could be drawn."""

    def run(self, command: str, executor: Executor | None) -> Rehearsal:
        begun = time.monotonic()
        if not self._packages():
            return self._made((), begun)
        small = self._in_small()
        labels = None
        if small is not None:
            self._carry_out(small, command, executor)
            labels = self._labels(small)
        self._tables(labels)
        plan = self._plan()
        self._checks(plan)
        small_folder = self.folder / STUDY_NAME
        runs = _runs(small_folder)
        needs = time_needs(self.spec, plan, self.samples, small_folder, runs)
        return self._made(needs, begun, plan)

    def _made(self, needs: Sequence[Need], begun: float, plan: Plan | None = None) -> Rehearsal:
        return Rehearsal(
            self.spec.name,
            self.folder,
            tuple(self.findings),
            tuple(needs),
            round(time.monotonic() - begun, 1),
            disk=None if plan is None else plan.disk_left,
            free=None if plan is None else plan.free,
            memory=None if plan is None else plan.memory,
            host=peak_memory(),
        )

    def _say(self, what: str, state: State, detail: str = "", remedy: str = "") -> None:
        self.findings.append(Finding(what, state, detail, remedy))

    def _packages(self) -> bool:
        lacking = missing_packages(self.spec)
        if lacking:
            extras = ",".join(dict.fromkeys(lacking.values()))
            listed = f"not installed: {', '.join(lacking)}"
            self._say("packages", "fails", listed, f'pip install "evenface[{extras}]"')
        return not lacking

    # --- the study in small ----------------------------------------------------------------------

    def _in_small(self) -> StudySpec | None:
        """The study on a few faces; None where so much is missing that there is none."""
        log = StageLog(self.folder)
        parts = self.spec.faces.by_role()
        identities = max(_IDENTITIES, -(-2 * largest_batch(self.spec) // IMAGES))
        for role, part in parts.items():
            try:
                self.samples[role] = sample(part, role, self.spec, log, identities=identities)
            except EvenfaceError as error:
                self._say(f"faces: {role}", "fails", str(error), _remedy_of_faces(role))
        kept = {role: found.part for role, found in self.samples.items()}
        try:
            return small_study(self.spec, self._with_groups(kept))
        except UsageError as error:
            self._say("study on a few faces", "not reached", str(error))
            return None

    def _with_groups(self, kept: dict[str, AnyFaces]) -> dict[str, AnyFaces]:
        """The synthetic samples with groups, which mixes may need before any are predicted."""
        real = self.samples.get("real")
        if real is None or real.whole is None:
            return kept
        attribute = self._attribute(real.whole)
        if attribute is None or attribute not in real.whole.attributes:
            return kept
        groups = real.whole.codes(attribute)[0]
        found = dict(kept)
        for role in self.spec.faces.synthetic_parts():
            if role in self.samples:
                at = self.folder / layout.sample(f"{role}-grouped")
                found[role] = with_placeholder_groups(
                    self.samples[role], attribute, groups, at
                ).part
        return found

    def _attribute(self, real: Manifest) -> str | None:
        return self.spec.faces.group_by or next(iter(real.attributes), None)

    def _carry_out(self, small: StudySpec, command: str, executor: Executor | None) -> None:
        """Run the small study and record what became of its stages."""
        folder = self.folder / STUDY_NAME
        error = None
        try:
            run_study(small, folder, command=command, executor=executor)
        except Exception as raised:
            error = one_line(raised)
        stages = read_json(folder / STAGES_NAME) if (folder / STAGES_NAME).exists() else {}
        singles = {f"train: {run.name}" for run in _runs(folder)}
        for name, record in stages.items():
            if name in singles or name.startswith("evaluate: "):
                continue
            if record["finished"]:
                self._say(name, "works", f"{record['seconds']:.1f} s")
        failures = _failures(folder) if error is None else []
        for failure in failures:
            self._say(f"{failure['stage']}", "fails", failure["error"], _REMEDIES["model"])
        if error is not None:
            begun = [name for name, record in stages.items() if not record["finished"]]
            last = "results and report" if stages else "the study's first checks"
            at = begun[-1] if begun else last
            self._say(at, "fails", error, _REMEDIES["stage"])
            self._say("the stages after it", "not reached")
        else:
            self._say("report", "works")

    def _labels(self, small: StudySpec) -> LabelReport | None:
        """Predict groups of the sample as the study will."""
        wanted = self.spec.faces.synthetic_labels
        if wanted is None:
            return None
        parts = {role: found.part for role, found in self.samples.items()}
        log = StageLog(self.folder / STUDY_NAME)
        try:
            unlabelled = small_study(self.spec, parts, labels=True)
            faces = leave_out_people(unlabelled, prepare_faces(unlabelled, log), log)
            found = label_synthetic(unlabelled, faces, log).labels
        except EvenfaceError as error:
            self._say("labels of synthetic faces", "fails", str(error), _REMEDIES["labels"])
            return None
        if found is not None:
            counts = ", ".join(f"{name} {c.identities:,}" for name, c in found.predicted.items())
            detail = f"on the sample: {counts}, none {len(found.uncertain):,}"
            if self._untrained_labels():
                detail += "; by a teacher of two steps, so these numbers mean nothing"
            self._say("labels of synthetic faces", "works", detail)
        return found

    def _untrained_labels(self) -> bool:
        """Whether the labels' teacher is one that the study trains."""
        labels = self.spec.faces.synthetic_labels
        name = getattr(labels, "teacher", None)
        given = next(t for t in self.spec.teachers if name in (None, teacher_id(t)))
        return isinstance(given, TrainedTeacher) and not isinstance(labels, PredictionsFile)

    # --- tables at full size ---------------------------------------------------------------------

    def _without_people(self, faces: StudyFaces, tests: Mapping[str, Manifest]) -> StudyFaces:
        """The faces without people whose names a test has; those alike take embeddings."""
        rules = self.spec.faces.exclude_overlap
        if rules is None or rules.by == "embeddings":
            return faces
        training = {"real": faces.real, "synthetic": faces.synthetic}
        by_names = rules.model_copy(update={"by": "names"})
        return without_people(faces, find_people(training, tests, by_names, faces.group_by))

    def _tables(self, labels: LabelReport | None) -> None:
        """Draw the training sets from all rows, without an image."""
        roles = ["real", *self.spec.faces.synthetic_parts()]
        whole = {role: found.whole for role, found in self.samples.items()}
        training = {role: m for role in roles if (m := whole.get(role)) is not None}
        if list(training) != roles:
            return
        real, by = training["real"], self._attribute(training["real"])
        tests = {r: m for r, m in whole.items() if r not in roles and m is not None}
        if isinstance(self.spec.faces.test, HeldOutFaces):
            real, tests["test"] = hold_out(real, self.spec.faces.test, self.spec.seed, by)
        training["real"] = real
        try:
            joined = join_sources(self.spec, training)
            faces = self._without_people(StudyFaces(real, joined, real, {}, by, {}), tests)
            synthetic, assumed = self._labelled(faces.synthetic, by, labels)
            faces = replace(faces, synthetic=synthetic)
            check_groups(self.spec, faces)
        except EvenfaceError as error:
            self._say("training sets at full size", "fails", str(error))
            return
        for name, wanted in self.spec.training_sets.items():
            balanced = isinstance(wanted, MixedSet) and wanted.balance != "none"
            remark = assumed if balanced or wanted.groups is not None else ""
            try:
                drawn, _ = draw_set(of_those_left(name, wanted, faces), faces, self.spec)
            except EvenfaceError as error:
                remedy = f"Lower training_sets.{name}.identities, or bring more faces"
                self._say(f"set {name}, at full size", "fails", f"{error}{remark}", remedy)
                continue
            size = Size(len(drawn.codes("identity")[0]), len(drawn), exact=not remark)
            self.sets[f"set {name}"] = size
            detail = f"{size.identities:,} people, {size.images:,} images{remark}"
            self._say(f"set {name}, at full size", "works", detail)

    def _labelled(
        self, synthetic: Manifest, attribute: str | None, labels: LabelReport | None
    ) -> tuple[Manifest, str]:
        """The synthetic faces with groups as far as they can be known, and what that assumes."""
        wanted = self.spec.faces.synthetic_labels
        if wanted is None or attribute is None:
            return synthetic, ""
        if not without_groups(self.spec, synthetic, attribute):
            return synthetic, ""
        if isinstance(wanted, PredictionsFile):
            found = label_manifest(
                synthetic, attribute=attribute, predictions=wanted.path, abstain=wanted.abstain
            )
            return found.manifest, ""
        groups = [*(labels.classes if labels else self._groups(attribute))]
        shares = np.full(len(groups), 1 / len(groups))
        assumed = "; assuming that the synthetic people are spread evenly over the groups"
        if labels is not None and not self._untrained_labels():
            counts = [
                labels.predicted[g].identities if g in labels.predicted else 0 for g in groups
            ]
            uncertain = len(labels.uncertain)
            groups.append("")
            shares = np.array([*counts, uncertain]) / (sum(counts) + uncertain)
            assumed = (
                f"; assuming the shares of the groups that were predicted for "
                f"{sum(counts) + uncertain:,} people of the sample"
            )
        names = len(synthetic.codes("identity")[0])
        edges = np.round(np.cumsum(shares) * names).astype(np.int64)
        order = np.random.default_rng(self.spec.seed).permutation(names)
        group_of = np.searchsorted(edges, order, side="right")
        values = np.array([group or None for group in groups], dtype=object)
        drawn = values[np.minimum(group_of, len(groups) - 1)[synthetic.labels()]]
        return synthetic.with_attribute(attribute, drawn, source="predicted"), assumed

    def _groups(self, attribute: str) -> list[str]:
        real = self.samples["real"].whole
        assert real is not None
        return sorted(real.codes(attribute)[0])

    # --- what will fail, and what it takes -------------------------------------------------------

    def _sizes(self) -> dict[str, Size]:
        """Of the whole parts, by role, and of the training sets drawn."""
        known = {
            role: found.size
            for role, found in self.samples.items()
            if not isinstance(found.part, RenderedFaces | HeldOutFaces)
        }
        parts = list(self.spec.faces.synthetic_parts())
        if set(parts) <= set(known):
            known["synthetic"] = total(known[role] for role in parts)
        return known | self.sets

    def _plan(self) -> Plan:
        """The full study's, with steps timed at its batches and number of classes."""
        sizes = self._sizes()
        try:
            return plan_study(
                self.spec, self.out, measuring=True, most_images=CPU_IMAGES, sizes=sizes
            )
        except UsageError:
            raise
        except Exception as error:  # such as a GPU whose memory is too small
            self._say("a step at full size", "fails", one_line(error), _REMEDIES["memory"])
            return plan_study(self.spec, self.out, sizes=sizes)

    def _checks(self, plan: Plan) -> None:
        said = {finding.detail for finding in self.findings}
        drawn = {f.what for f in self.findings if f.what.endswith("at full size")}
        for what in plan.missing:
            name = what.partition(":")[0].replace("training set", "set")
            role = name.removesuffix(" faces")
            if what in said or f"{name}, at full size" in drawn:
                continue
            if any(f.what == f"faces: {role}" and f.state == "fails" for f in self.findings):
                continue
            kind: State = "warning" if what.startswith("asset ") else "fails"
            self._say("inputs", kind, what, "" if kind == "warning" else _remedy_of_faces(role))
        for warning in plan.warnings:
            remedy = "More seeds, or --set claims=[] for tables without verdicts"
            self._say("verdicts", "fails", warning, remedy)
        if plan.disk_left is None:
            self._say("disk", "warning", "how much is needed is not known")
        elif plan.disk_left > plan.free:
            need = f"{_gb(plan.disk_left)} to be written, {_gb(plan.free)} free"
            self._say("disk", "fails", need, "Free some space, or choose another --out")
        else:
            need = f"{_gb(plan.disk_left)} to be written, {_gb(plan.free)} free"
            self._say("disk", "works", need)
        self._check_memory(plan)

    def _check_memory(self, plan: Plan) -> None:
        import torch

        if plan.memory is None:
            return
        gpu = torch.cuda.is_available()
        there = torch.cuda.mem_get_info()[1] if gpu else free_memory()
        at_once = 1 if gpu else min(processes(self.spec), max(1, len(plan.trainings)))
        need = f"{_gb(plan.memory)} for the largest training"
        need += f", {at_once} at once" if at_once > 1 else ""
        if there is None:
            self._say("memory", "warning", f"{need}; what there is is not known")
        elif plan.memory * at_once > there:
            remedy = "" if gpu else f", or --set workers={max(1, at_once // 2)}"
            needs = f"{need}; {_gb(there)} there"
            self._say("memory", "fails", needs, _REMEDIES["memory"] + remedy)
        else:
            self._say("memory", "works", f"{need}; {_gb(there)} there")


_REMEDIES = {
    "model": "Correct the model's recipe or data; its run folder has the log",
    "stage": "Correct what the message names and rehearse again; finished parts are kept",
    "memory": "Override micro_batches (2 halves activations) or recompute (true) in the recipes",
    "labels": "Label the sets with 'evenface data label', or give faces.synthetic_labels a file",
}


def _remedy_of_faces(role: str) -> str:
    options = {"real": "--real", "synthetic": "--synthetic", "test": "--test"}
    option = options.get(role, f"--set faces.more_tests.{role}.spec=…")
    if role.startswith("synthetic-"):
        option = "--set faces.synthetic=[…] or --synthetic"
    return f"Put the faces there, or name another place with {option}"


def _failures(folder: Path) -> list[dict[str, Any]]:
    failures: list[dict[str, Any]] = read_json(folder / RESULTS_NAME)["failures"]
    return failures


def _gb(count: int) -> str:
    return f"{count / 1e9:.1f} GB"


def _runs(folder: Path) -> list[StudyRun]:
    return read_runs(folder) if (folder / RUNS_NAME).is_file() else []
