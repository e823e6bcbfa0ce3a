"""Assets that a study uses, fetched before anything else."""

from __future__ import annotations

from evenface.assets import ASSETS, get_assets
from evenface.errors import EvenfaceError
from evenface.study import layout
from evenface.study.spec import StudySpec
from evenface.study.stage import Stage


def assets_stage(spec: StudySpec) -> Stage:
    """Fetches the study's assets."""
    inputs = {"assets": assets_of(spec)}
    return Stage("assets", inputs, layout.ASSETS, lambda _: _fetch(spec), kind="assets")


def assets_of(spec: StudySpec) -> list[str]:
    """Names of the assets that the study uses."""
    teachers = [t for t in spec.teachers if isinstance(t, str) and t in ASSETS]
    rules = spec.faces.exclude_overlap
    if rules and rules.by != "names" and (compared := spec.overlap_teacher()) in ASSETS:
        teachers.append(compared)
    return list(dict.fromkeys([*spec.evaluation.real_people, *teachers]))


def _fetch(spec: StudySpec) -> None:
    """Fetch the study's assets; EvenfaceError says how to do without those that cannot be had."""
    try:
        get_assets(assets_of(spec))
    except EvenfaceError as error:
        without = []
        if any(isinstance(teacher, str) and teacher in ASSETS for teacher in spec.teachers):
            without.append("--teacher study")
        if spec.evaluation.real_people:
            without.append("--set evaluation.real_people=[]")
        remedy = f"\nOr run the study without them: {' '.join(without)}" if without else ""
        raise EvenfaceError(f"{error}{remedy}") from None
