"""Evaluations as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import pyarrow as pa
from pydantic import BaseModel

from evenface.errors import EvenfaceError
from evenface.evaluate.text import format_estimate

if TYPE_CHECKING:
    from evenface.evaluate.results import Evaluation, OperatingPoint
    from evenface.record import Estimate

_SCHEMA = pa.schema(
    {
        "model": pa.string(),
        "protocol": pa.string(),
        "measure": pa.string(),
        "group": pa.string(),
        "other_group": pa.string(),
        "value": pa.float64(),
        "low": pa.float64(),
        "high": pa.float64(),
        "level": pa.float64(),
        "note": pa.string(),
    }
)
_COUNTS = ("identities", "images", "genuine_pairs", "impostor_pairs", "fold_pairs")


class Row(NamedTuple):
    """A figure of an evaluation."""

    measure: str
    group: str | None = None
    other_group: str | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    note: str | None = None

    @classmethod
    def of(
        cls, measure: str, estimate: Estimate, group: str | None = None, other: str | None = None
    ) -> Row:
        """An estimate."""
        bounds = estimate.value, estimate.low, estimate.high
        return cls(measure, group, other, *bounds, estimate.note)


def rows(evaluation: Evaluation) -> Iterator[Row]:
    """All figures: those of each group, over groups, and at each operating point.

    A measure has the name that :meth:`Evaluation.compare` takes; counts, thresholds, the
    cross-table (``cross_fmr@…``) and the p of the STD have no differences.
    """
    yield from _of_groups(evaluation)
    yield from _over_groups(evaluation)
    for group, failed in (evaluation.failed_pairs or {}).items():
        yield Row.of("genuine_failure", failed.genuine_failure, group)
        yield Row.of("impostor_failure", failed.impostor_failure, group)
    for point in evaluation.operating_points:
        yield from _at_point(point)
    if (worst := evaluation.worst_case_threshold) is not None:
        yield Row("worst_case.threshold", value=worst.threshold, note=worst.note)
        yield Row.of("worst_case.worst_error", worst.worst_error)
        for group, estimate in worst.error.items():
            yield Row.of("worst_case.error", estimate, group)
    if evaluation.calibration is not None:
        for group, of in evaluation.calibration.groups.items():
            yield Row.of("calibration.brier", of.brier, group)
            yield Row.of("calibration.error", of.error, group)
    keys = {point.target_fmr: point.key for point in evaluation.operating_points}
    for table in evaluation.cross_tables:
        measure = f"cross_fmr@{keys.get(table.target_fmr, format(table.target_fmr, 'g'))}"
        for group, cells in table.cells.items():
            for other, cell in cells.items():
                yield Row.of(measure, cell, group, other)


def to_table(models: Mapping[str, Evaluation]) -> pa.Table:
    """The figures of models as a long Arrow table; see :meth:`Evaluation.to_table`."""
    records = [
        {
            "model": model,
            "protocol": evaluation.protocol.name,
            "level": evaluation.bootstrap.level if evaluation.bootstrap.replicates else None,
            **row._asdict(),
        }
        for model, evaluation in models.items()
        for row in rows(evaluation)
    ]
    return pa.Table.from_pylist(records, schema=_SCHEMA)


def to_frame(models: Mapping[str, Evaluation]) -> Any:
    """As :func:`to_table`, as a pandas data frame.

    Raises:
        EvenfaceError: pandas is not installed.
    """
    if find_spec("pandas") is None:
        raise EvenfaceError(
            "to_frame() needs the package 'pandas', which is not installed: pip install pandas. "
            "to_table() gives the same as an Arrow table, which polars.from_arrow reads"
        )
    return to_table(models).to_pandas()


def to_html(models: Mapping[str, Evaluation]) -> str:
    """The main figures as an HTML table that needs nothing else, for notebooks."""
    shown = _Shown.of(models)
    notes = shown.notes
    return "".join(
        [
            '<div class="evenface">',
            *(f"<p>{escape(line)}</p>" for line in shown.said),
            "<table><thead><tr>",
            *(f"<th>{escape(head)}</th>" for head in shown.heads),
            "</tr></thead><tbody>",
            *(f"<tr>{''.join(f'<td>{escape(c)}</td>' for c in line)}</tr>" for line in shown.body),
            "</tbody></table>",
            f"<details><summary>Remarks ({len(notes)})</summary><ul>" if notes else "",
            *(f"<li>{escape(note)}</li>" for note in notes),
            "</ul></details>" if notes else "",
            "</div>",
        ]
    )


def to_text(models: Mapping[str, Evaluation]) -> str:
    """The main figures as lines of text, for a console."""
    shown = _Shown.of(models)
    lines = [shown.heads, *shown.body]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = (
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
    remarks = (f"• {note}" for note in shown.notes)
    return "\n".join([*shown.said, *rows, *remarks])


@dataclass(frozen=True)
class _Shown:
    """The main figures of one model or several, as text."""

    said: list[str]
    heads: list[str]
    body: list[list[str]]
    notes: list[str]

    @classmethod
    def of(cls, models: Mapping[str, Evaluation]) -> Self:
        """A row for each model and group."""
        first = next(iter(models.values()))
        several, one = len(models) > 1, len(first.groups) == 1
        level = f" with {100 * first.bootstrap.level:g} % intervals" * bool(
            first.bootstrap.replicates
        )
        point = _first_point(first)
        at = f"FMR {100 * point.target_fmr:g} %" if point else ""
        heads = ["model"] * several + ["group", "accuracy, %", "EER, %"]
        heads += [f"FNMR, %, at {at}", f"FMR, %, at {at}"] if point else []
        body = []
        for model, evaluation in models.items():
            here = point and evaluation.point(point.key)
            for group, found in evaluation.groups.items():
                cells = [found.accuracy, found.eer]
                cells += [here.fnmr[group], here.fmr[group]] if here else []
                body.append([model] * several + [group] + [format_estimate(c) for c in cells])
            if not one:
                overall = evaluation.overall
                over = {"mean": overall.accuracy, "STD over groups, points": overall.std_sample}
                body += [
                    [model] * several + [name, format_estimate(of)] for name, of in over.items()
                ]
        names = ", ".join(name for name in models if several or name)
        said = [f"{names or 'Evaluation'} on {first.protocol.name}{level}"]
        if first.protocol.simulated:
            said.insert(0, "SIMULATED: nothing follows for real people")
        notes = dict.fromkeys(
            note for of in models.values() for note in (*of.protocol.notes, *of.notes)
        )
        filled = [[*line, *[""] * (len(heads) - len(line))] for line in body]
        return cls(said, heads, filled, list(notes))


def _of_groups(evaluation: Evaluation) -> Iterator[Row]:
    for group, found in evaluation.groups.items():
        yield from (
            Row(count, group, value=getattr(found, count))
            for count in _COUNTS
            if getattr(found, count) is not None
        )
        for name, estimate in _estimates(found, {"tar_at_far": "tar@far="}):
            yield Row.of(name, estimate, group)


def _over_groups(evaluation: Evaluation) -> Iterator[Row]:
    overall = evaluation.overall
    for name, estimate in _estimates(overall, {"means": "mean."}, "overall."):
        yield Row.of(name, estimate)
    yield Row("overall.std_excess_p", value=overall.std_excess_p)
    one = evaluation.global_threshold
    yield Row("global.threshold", value=one.threshold, note=one.note)
    for name in ("fdr", "garbe", "fnmr_ratio"):
        yield Row.of(f"global.{name}", getattr(one, name))
    for name in ("fmr", "fnmr"):
        for group, estimate in getattr(one, name).items():
            yield Row.of(name, estimate, group)


def _estimates(
    record: BaseModel, prefixes: Mapping[str, str], scope: str = ""
) -> Iterator[tuple[str, Estimate]]:
    """Name and estimate of a record's fields, and of those that are mappings of estimates.

    Args:
        record: of a group or over groups.
        prefixes: mapping among the fields → what its names begin with, if not ``scope``.
        scope: what names begin with.
    """
    for field in type(record).model_fields:
        value = getattr(record, field)
        if _is_estimate(value):
            yield f"{scope}{field}", value
        elif isinstance(value, dict):
            for name, estimate in value.items():
                if _is_estimate(estimate):
                    yield f"{prefixes.get(field, scope)}{name}", estimate


def _is_estimate(value: Any) -> bool:
    return all(hasattr(value, name) for name in ("value", "low", "high", "note"))


def _at_point(point: OperatingPoint) -> Iterator[Row]:
    key = point.key
    yield Row(f"threshold@{key}", value=point.threshold, note=point.note)
    yield Row.of(f"mean_fmr@{key}", point.mean_fmr)
    yield Row.of(f"mean_fnmr@{key}", point.mean_fnmr)
    for name, estimate in point.measures.items():
        yield Row.of(f"{name}@{key}", estimate)
    for group in point.fmr:
        yield Row.of(f"fmr@{key}", point.fmr[group], group)
        yield Row.of(f"fnmr@{key}", point.fnmr[group], group)
    for measure in ("gfmr", "gfnmr"):
        for group, rate in getattr(point, measure).items():
            yield Row.of(f"{measure}@{key}", rate, group)
    for group, own in point.own.items():
        yield Row.of(f"own.fmr@{key}", own.fmr, group)
        yield Row.of(f"own.fnmr@{key}", own.fnmr, group)


def _first_point(evaluation: Evaluation) -> OperatingPoint | None:
    """At 0.1 % where the pairs support that, else the strictest that they support."""
    supported = [p for p in evaluation.operating_points if p.threshold is not None]
    return evaluation.point("1e-3") or (supported[-1] if supported else None)
