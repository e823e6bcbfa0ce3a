"""The model card (Mitchell et al., FAT* 2019): what a model is for and how good for whom."""

from __future__ import annotations

import json
import re
from typing import Any

from evenface.evaluate.measures import MEASURES
from evenface.evaluate.results import Evaluation, GroupResult, Overall, seen_notes
from evenface.evaluate.text import MISSING, format_estimate
from evenface.export.ship import FINE_TUNED, ExportReport, Learned
from evenface.markdown import escape_text, markdown_row
from evenface.teachers.record import ModelRecord

SIMULATED = (
    "> **Measured on simulated faces.** The figures below come from synthetic images. They say "
    "nothing about real people."
)


def model_card(
    record: ModelRecord,
    *,
    recipe: str,
    evaluation: Evaluation | None = None,
    exports: list[ExportReport] | None = None,
) -> str:
    """A card in Markdown with the front matter that model hubs read.

    Args:
        record: of the model.
        recipe: the resolved training recipe, YAML.
        evaluation: per group, or None where the model was not audited.
        exports: reports of the files that are shipped with it.
    """
    sections = [
        _front_matter(record),
        f"# {escape_text(record.name)}",
        *([SIMULATED] if evaluation and evaluation.protocol.simulated else []),
        *(f"> **{note}.**" for note in seen_notes(evaluation.notes if evaluation else ())),
        _what(record),
        _uses(),
        _training(record),
        _results(evaluation),
        _operating_point(record),
        _files(exports or []),
        _limits(),
        _recipe(recipe),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _front_matter(record: ModelRecord) -> str:
    return "\n".join(
        [
            "---",
            "library_name: evenface",
            "tags: [face-recognition, fairness, knowledge-distillation]",
            f"model_name: {json.dumps(record.name)}",
            "---",
        ]
    )


def _what(record: ModelRecord) -> str:
    return (
        f"A face recogniser: backbone {_code(record.backbone)}, {record.parameters / 1e6:.2f} M "
        f"parameters, embeddings of {record.embedding_size} dimensions. It takes aligned RGB faces "
        "of 112 × 112 pixels (five landmarks on the ArcFace template) and gives vectors of length "
        "one; the cosine of two says how alike two faces are.\n\n"
        f"Training run {_code(f'{record.run[:16]}…')}, weights SHA-256 {_code(record.weights)}, "
        f"exported by evenface {escape_text(record.evenface)}."
    )


def _uses() -> str:
    return (
        "## Intended use\n\n"
        "Research on face verification and its fairness, and verification with the consent of the "
        "people shown. Not for covert identification, for surveillance, or for guessing a person's "
        "ethnicity, gender or character; not as the only ground of a decision about a person."
    )


def _training(record: ModelRecord) -> str:
    known = record.training
    lines = ["## Training data", ""]
    if "images" in known:
        lines.append(
            f"- {known['images']:,} images of {known.get('num_identities', 0):,} identities "
            f"(fingerprint {_print(known.get('data_fingerprint'))})"
        )
    data: dict[str, Any] = known.get("data") or {}
    for key, heading in (
        ("origins", "origins"),
        ("datasets", "data sets"),
        ("licences", "licences, as declared at import"),
        ("groups", "groups, as the data sets declare them"),
    ):
        if data.get(key):
            lines.append(f"- {heading}: " + ", ".join(map(_counted, data[key].items())))
    if not data:
        lines.append("- origin and licences of the data are not recorded in the run")
    teacher = known.get("teacher_fingerprint")
    lines.append(
        f"- distilled from a teacher (fingerprint {_print(teacher)}): what the teacher was trained "
        "on, and the consent of the people in it, is part of this model too and cannot be verified "
        "from here"
        if teacher
        else "- without a teacher"
    )
    if pruned := known.get("pruned"):
        before, after = pruned["parameters"]
        lines.append(
            f"- pruned to {100 * pruned['keep']:g} % of the channels of run "
            f"{_print(pruned['run'])}: {after:,} of {before:,} parameters are left"
        )
    return "\n".join(lines)


def _counted(item: tuple[str, Any]) -> str:
    name, count = item
    number = count["images"] if isinstance(count, dict) else count
    return f"{escape_text(str(name))} {number:,}"


def _results(evaluation: Evaluation | None) -> str:
    if evaluation is None:
        return "## Results\n\nNot audited: no labelled data were given at export."
    protocol = evaluation.protocol
    lines = [
        "## Results per group",
        "",
        f"Protocol {_code(protocol.name)}: "
        + ", ".join(
            f"{count:,} {escape_text(origin)} images" for origin, count in protocol.origins.items()
        )
        + f"; 95 % intervals from {evaluation.bootstrap.replicates:,} bootstrap replicates over "
        f"identities. {escape_text(protocol.pairs_statement)} Groups are the labels that the data "
        "set declares.",
        "",
        "| group | identities | 10-fold accuracy, % | EER, % |",
        "|---|---:|---:|---:|",
        *(_group_row(name, of) for name, of in evaluation.groups.items()),
        "",
        _over_groups(evaluation.overall),
    ]
    return "\n".join(lines)


def _group_row(name: str, of: GroupResult) -> str:
    people = MISSING if of.identities is None else f"{of.identities:,}"
    return _row(name, people, format_estimate(of.accuracy), format_estimate(of.eer))


def _over_groups(overall: Overall) -> str:
    said = [f"mean accuracy {format_estimate(overall.accuracy, unit=' %')}"]
    for name in ("std_sample", "ser", *overall.measures):
        of = MEASURES[name]
        said.append(f"{of.title} {format_estimate(overall.estimate(name), scale=of.scale)}")
    return f"Over groups, the STD in percentage points: {', '.join(said)}."


def _operating_point(record: ModelRecord) -> str:
    point = record.operating_point
    if point is None:
        return ""
    rows = [
        _row(name, format_estimate(point.fmr[name]), format_estimate(point.fnmr[name]))
        for name in point.fmr
    ]
    return "\n".join(
        [
            "## Operating point",
            "",
            f"One threshold for all: cosine {point.threshold:.4f}, chosen so that the mean false "
            f"match rate of the groups is at most {point.target_fmr:g} on {_code(point.protocol)} "
            f"(set on {escape_text(point.chosen_on)}; the rates are those of the pairs that did "
            "not set it).",
            "",
            "| group | false matches, % | false non-matches, % |",
            "|---|---:|---:|",
            *rows,
            *(f"\n{escape_text(note)}" for note in point.notes),
        ]
    )


def _files(exports: list[ExportReport]) -> str:
    if not exports:
        return ""
    lines = [
        "## Files",
        "",
        "| file | precision | size, MB | 1 − cos to the trained network: mean, max |",
        "|---|---|---:|---:|",
    ]
    for report in exports:
        lines.append(
            f"| {_code(report.file)} | {report.record.precision} | {report.size_bytes / 1e6:.2f} | "
            f"{report.parity.mean:.1e}, {report.parity.max:.1e} |"
        )
    for report in exports:
        if report.compression:
            lines += ["", f"{report.record.precision}: {escape_text(report.compression.verdict)}"]
        if report.finetuning and report.finetuning.kept == FINE_TUNED:
            lines += ["", _fine_tuning(report.record.precision, report.finetuning)]
    return "\n".join(lines)


def _fine_tuning(precision: str, learned: Learned) -> str:
    return (
        f"{precision}: trained further in this precision for {learned.steps:,} steps on "
        f"{learned.images:,} images (fingerprint {_print(learned.data_fingerprint)}), distilled "
        f"from {escape_text(learned.teacher)}; chosen over calibration alone by the audit above."
    )


def _recipe(text: str) -> str:
    """In a fence that is longer than any in the text."""
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", text)), 0)
    return f"## Recipe\n\n{fence}yaml\n{text.strip()}\n{fence}"


def _row(name: str, *cells: str) -> str:
    return markdown_row([escape_text(name), *cells])


def _code(text: str) -> str:
    """A code span, in a table too; what would end it is replaced."""
    return f"`{' '.join(text.split()).replace('`', chr(39)).replace('|', '¦')}`"


def _print(fingerprint: object) -> str:
    return _code(f"{str(fingerprint)[:16]}…")


def _limits() -> str:
    return (
        "## Limits\n\n"
        "Error rates hold for people, cameras and poses like those of the audit; measure on your "
        "own before you decide by this threshold. Groups that the audit does not name were not "
        "measured. A threshold audited on one precision is not that of another."
    )
