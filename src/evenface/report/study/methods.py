"""The methods section of a study, written from what its results record and from nothing else.

What results do not say is left out: those of an older layout have no recipes, and so no sentence on
losses and optimisation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from evenface.evaluate.arms import ArmEvaluation
from evenface.registry import Description, descriptions
from evenface.report.numbers import coverage, percent
from evenface.report.page import sentence
from evenface.report.prose import Cite, Paragraph, Piece, Prose, Section, cite
from evenface.study.record import Benchmark, Model, Results, TrainingSet
from evenface.study.spec import (
    AnyFaces,
    FolderFaces,
    HeldOutFaces,
    MixedSet,
    PublishedFaces,
    StudySpec,
    TrainedTeacher,
    WholeSet,
)
from evenface.study.wording import listed
from evenface.train.recipe import DistillationLossRecipe, TrainRecipe

_Value = TypeVar("_Value")

_SYMBOLS = (
    "f is the student's L2-normalised embedding, f_t the teacher's, W_j the normalised centre of "
    "class j, y the image's own class, cos θ_j = f · W_j and θ = θ_y"
)
"""In the formulas of heads and distillation losses."""
_TEMPLATE = "template"
"""The distillation loss whose weight has an equivalent λ."""
_AS_PAPERS = {"angle": "safe", "assign": "rank", "norms": "features"}
"""Options that are not told where they are as the papers have it."""
_MOST_NAMED = 4
"""Models that are listed one by one where no factor tells them apart."""


def write_methods(results: Results, *, rules: bool = True) -> Prose:
    """How the study was done, section by section, with numbered citations.

    Args:
        results: the study.
        rules: whether the rules of the claims are quoted; a page has them beside the verdicts.
    """
    spec = _spec(results)
    recipes = _recipes(results)
    sections = (
        Section("Design", _design(results)),
        Section("Faces", _faces(results, spec)),
        Section("Training sets", _training_sets(results, spec)),
        Section("Teachers", _teachers(results, spec)),
        Section("Models brought by the user", _given(results)),
        Section("Networks", _networks(results)),
        Section("Losses", [*_heads(results, recipes), *_distillation(results, recipes)]),
        Section("Optimisation", _optimisation(results, recipes)),
        Section("Evaluation", _evaluation(results, spec)),
        Section("Statistics", _statistics(results, rules=rules)),
        Section("Software and machine", _software(results)),
    )
    return Prose(tuple(section for section in sections if section.paragraphs))


def _spec(results: Results) -> StudySpec | None:
    """The study's settings; None where they are not recorded, or not those of this version."""
    try:
        return StudySpec.model_validate(results.study.spec)
    except ValidationError:
        return None


def _recipes(results: Results) -> dict[str, TrainRecipe]:
    """Student → its resolved recipe, where results record one that this version understands."""
    found = {}
    for model in results.students:
        content: dict[str, Any] = {"name": model.id, **(model.recipe or {})}
        if isinstance(distill := content.get("distill"), Mapping) and not distill.get("teacher"):
            content["distill"] = {**distill, "cache": "of the study"}  # paths are not recorded
        try:
            found[model.id] = TrainRecipe.model_validate(content)
        except ValidationError:
            continue
    return found


def _design(results: Results) -> list[Paragraph]:
    study, students = results.study, results.students
    paragraphs: list[Paragraph] = []
    if study.simulated:
        paragraphs.append([sentence(study.statement)])
    parts = [f"{len(results.training_sets)} training sets"]
    for factor, levels in results.factors.items():
        if len(levels) > 1:
            parts.append(f"{factor.replace('_', ' ')} ({listed(levels)})")
    if results.distillers:
        names = [results.teacher_name(teacher) for teacher in results.distillers]
        parts.append(f"distillation (none, from {' or from '.join(names)})")
    trainings = sum(len(model.seeds) for model in students)
    design: list[Piece] = [
        f"The study crosses {listed(parts)}: {len(students)} kinds of student, {trainings} "
        f"trainings with the seeds {listed([str(seed) for seed in study.seeds])}. What is drawn at "
        f"random besides (faces, training sets, pairs) has the seed {study.seed}."
    ]
    if results.distillers and any(item.kind == "mix" for item in results.sets):
        design += [" The question is that of", cite("neto2024"), "."]
    if results.failures:
        lost = len(results.failures)
        design.append(
            f" {lost} training{' ' if lost == 1 else 's '}failed and "
            f"{'is' if lost == 1 else 'are'} missing."
        )
    paragraphs.append(design)
    if study.stand_ins:
        paragraphs.append([sentence(study.stand_ins)])
    return paragraphs


def _faces(results: Results, spec: StudySpec | None) -> list[Paragraph]:
    if spec is None:
        return []
    faces = spec.faces
    parts = [
        *([] if faces.real is None else [("Training faces called real", faces.real)]),
        *(
            (f"Synthetic training faces{'' if role == 'synthetic' else f' (“{role[10:]}”)'}", part)
            for role, part in faces.synthetic_parts().items()
        ),
        ("Test faces", faces.test),
        *((f"Further test faces (“{name}”)", part) for name, part in faces.more_tests.items()),
    ]
    paragraphs: list[Paragraph] = [[f"{name} {_face_source(part)}"] for name, part in parts]
    if any(isinstance(part, FolderFaces) and part.align != "never" for _, part in parts):
        paragraphs.append(
            [
                "Where landmarks were needed and not given, YuNet",
                cite("wu2023yunet"),
                " found them.",
            ]
        )
    if "orl" in spec.evaluation.real_people:
        paragraphs.append(
            ["Photographs of the 40 people of ORL", cite("samaria1994orl"), " are a further test."]
        )
    groups = next((b.group_by for b in results.benchmarks if b.group_by), None)
    if groups:
        paragraphs.append([f"Groups are the values of “{groups}” that the data declare."])
    return paragraphs


def _face_source(part: AnyFaces) -> str:
    if isinstance(part, PublishedFaces):
        name = Path(part.spec.partition("@")[0]).name
        return f"({part.origin}) are the published verification set “{name}”, with its own pairs."
    if isinstance(part, HeldOutFaces):
        return (
            f"are those of {percent(part.fraction, digits=0)} % of the real identities of each "
            "group, drawn at random and not trained on."
        )
    if isinstance(part, FolderFaces):
        aligned = {
            "auto": "images of 112 × 112 pixels taken as aligned, others aligned by landmarks",
            "always": "all aligned by landmarks",
            "never": "resized as they are",
        }[part.align]
        return f"({part.origin}) were imported from “{part.path.name}”, {aligned}."
    kept = [f"{count} of {group}" for group, count in part.keep.items()]
    uneven = f"; of these, {listed(kept)} were kept" if kept else ""
    return (
        f"are renders of a parametric head model in the look “{part.look}”: "
        f"{part.identities_per_group} identities a group, {part.images_per_identity} images each, "
        f"people of the split “{part.split}”, numbered from {part.first_identity}{uneven}."
    )


def _training_sets(results: Results, spec: StudySpec | None) -> list[Paragraph]:
    paragraphs: list[Paragraph] = []
    for item in results.sets:
        wanted = spec.training_sets.get(item.key or item.name) if spec else None
        groups = [
            f"{size.identities:,} identities ({size.images:,} images) of {group}"
            for group, size in item.groups.items()
        ]
        composed = f", {listed(groups)}" if len(groups) > 1 else ""
        recipe = f" {_set_recipe(wanted)}" if wanted else ""
        paragraphs.append(
            [
                f"“{item.name}”: {item.identities:,} identities and {item.images:,} images"
                f"{composed}.{recipe}{_counted_shares(item)}"
            ]
        )
    return paragraphs


def _counted_shares(item: TrainingSet) -> str:
    """How much of a mix is of the real faces; "" for other sets, and where it was not counted."""
    counted = item.real_share
    if item.kind != "mix" or counted is None:
        return ""
    people, images = (percent(of, digits=1) for of in (counted.identities, counted.images))
    return f" {people} % of its identities and {images} % of its images are of the real faces."


def _set_recipe(wanted: WholeSet | MixedSet) -> str:
    if isinstance(wanted, WholeSet):
        if wanted.identities is None:
            return f"All {wanted.kind} faces."
        return f"{wanted.identities:,} identities of the {wanted.kind} faces, drawn at random."
    share = percent(wanted.real_fraction, digits=0)
    balance = {
        "identities": "each group has equally many identities",
        "images": "each group has equally many images",
        "none": "groups as they come",
    }[wanted.balance]
    size = (
        "No larger than the real faces alone."
        if wanted.identities is None
        else f"{wanted.identities:,} identities were asked for."
    )
    return (
        f"A mix of {share} % real faces and the rest synthetic, drawn at random; {balance}. {size}"
    )


def _teachers(results: Results, spec: StudySpec | None) -> list[Paragraph]:
    trained = {
        teacher.name: teacher
        for teacher in (spec.teachers if spec else ())
        if isinstance(teacher, TrainedTeacher)
    }
    paragraphs: list[Paragraph] = []
    for teacher in results.teachers:
        size = f", {teacher.embedding_size} dimensions" if teacher.embedding_size else ""
        pieces: list[Piece] = [f"“{teacher.name}”{size}"]
        if teacher.id == "sface":
            pieces.append(cite("zhong2021sface"))
        if own := trained.get(teacher.id):
            pieces.append(f": trained by this study on “{own.set}”, seed {own.seed}")
        elif teacher.origin:
            pieces.append(f": {teacher.origin}")
        pieces.append(f". {sentence(teacher.note)}" if teacher.note else ".")
        paragraphs.append(pieces)
    return paragraphs


def _given(results: Results) -> list[Paragraph]:
    return [
        [
            f"“{of.name}” stands for {model.title}, seed {of.seed}: "
            f"{', '.join(of.details.values())}; fingerprint {of.fingerprint[:16]}."
        ]
        for model in results.students
        for of in model.given
    ]


def _networks(results: Results) -> list[Paragraph]:
    by_name: dict[tuple[str, int | None], list[Model]] = {}
    for model in results.students:
        if model.backbone:
            by_name.setdefault((model.backbone, model.embedding_size), []).append(model)
    paragraphs: list[Paragraph] = []
    for (name, size), models in by_name.items():
        part = _described("models", "BACKBONES", name)
        first = models[0]
        facts = [
            *([f"{size} dimensions"] if size else []),
            *([f"{first.parameters:,} parameters"] if first.parameters else []),
            *([f"{first.macs:,} multiply–adds an image"] if first.macs else []),
        ]
        paragraphs.append(
            [
                f"{_whose(results, models)} {'is' if len(by_name) == 1 else 'are'} {part.title}",
                Cite(part.works),
                f": {', '.join(facts)}." if facts else ".",
            ]
        )
    if paragraphs and len(results.study.seeds) >= 1:
        paragraphs.append(
            [
                "Inputs are aligned faces of 112 × 112 pixels, RGB, scaled to [−1, 1]. Trainings "
                "of one seed and network start from the same random weights."
            ]
        )
    return paragraphs


def _heads(results: Results, recipes: Mapping[str, TrainRecipe]) -> list[Paragraph]:
    paragraphs: list[Paragraph] = []
    found = _by_value(
        results, recipes, lambda recipe: recipe.head and recipe.head.model_dump(mode="json")
    )
    if not found:
        return []
    paragraphs.append([f"Below, {_SYMBOLS}."])
    for models in found:
        head = recipes[models[0].id].head
        who = _whose(results, models)
        if head is None or not head.weight:
            paragraphs.append([f"{who}: no classification loss; identities are not learned."])
            continue
        part = _described("models", "HEADS", head.name)
        formula = f" has the logit {part.formula}, others s cos θ_j" if part.formula else ""
        weight = f", times {head.weight:g}" if head.weight != 1 else ""
        some = (
            f" Each step uses {percent(head.sample, digits=0)} % of the classes, those of its "
            "batch among them."
            if head.sample < 1
            else ""
        )
        published = " Options not given are those of published code." if head.published else ""
        paragraphs.append(
            [
                f"{who}: cross-entropy of {part.title}",
                Cite(part.works),
                f"{weight}. An image's own class{formula}; {_options(part, head.options)}."
                if formula
                else f"{weight}; {_options(part, head.options)}.",
                some + published,
            ]
        )
    return paragraphs


def _described(folder: str, registry: str, name: str) -> Description:
    """What a network or loss is; of one that is not this package's, its name."""
    return descriptions(folder, registry).get(name, Description(name))


def _options(part: Description, given: Mapping[str, Any]) -> str:
    shown = [
        f"{name} = {_plain(value)}"
        for name, value in part.options(given).items()
        if _AS_PAPERS.get(name) != value
    ]
    return ", ".join(shown) if shown else "it has no options"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _distillation(results: Results, recipes: Mapping[str, TrainRecipe]) -> list[Paragraph]:
    def described(recipe: TrainRecipe) -> Any:
        return recipe.distill and (
            recipe.distill.content(),
            recipe.target_view,
            recipe.backbone.embedding_size,
        )

    paragraphs: list[Paragraph] = []
    for models in _by_value(results, recipes, described):
        recipe = recipes[models[0].id]
        distill = recipe.distill
        if distill is None:
            continue
        labels = recipe.head is not None and recipe.head.weight > 0
        pieces: list[Piece] = [
            f"{_whose(results, models)}: {'to the loss is added' if labels else 'the loss is'} "
        ]
        for number, term in enumerate(distill.terms):
            pieces += [" Added to that is " if number else "", *_term(term)]
            if term.name == _TEMPLATE and recipe.backbone.embedding_size:
                part = _described("distill", "DISTILLATIONS", _TEMPLATE)
                weight = term.weight or part.weight or 0.0
                size = recipe.backbone.embedding_size
                pieces.append(
                    f" For D = {size} dimensions this equals λ times the mean squared error of the "
                    "normalised embeddings, over batch and dimensions, with "
                    f"λ = {weight:g} · D / 2 = {weight * size / 2:,.0f}."
                )
        pieces.append(_supply(recipe))
        if distill.projection:
            pieces.append(" A learned linear map takes the student's embedding to the teacher's.")
        if distill.centres:
            centres = (
                "normalised mean embeddings of the identities"
                if distill.centres == "mean"
                else "given in a file"
            )
            pieces.append(f" The teacher's class centres are {centres}.")
        if distill.groups:
            weights = [f"{group} {of:g}" for group, of in distill.groups.weights.items()]
            if weights:
                pieces.append(f" Distances of groups have weights ({', '.join(weights)}; else 1).")
            if distill.groups.step:
                pieces += [
                    " Weights of groups move towards the group with the largest distance, "
                    f"η = {distill.groups.step:g}, as in group DRO",
                    cite("sagawa2020"),
                    ".",
                ]
        paragraphs.append(pieces)
    return paragraphs


def _term(term: DistillationLossRecipe) -> list[Piece]:
    part = _described("distill", "DISTILLATIONS", term.name)
    weight = part.weight if term.weight is None else term.weight
    times = "" if weight is None or weight == 1 else f"{weight:g} times "
    options = part.options(term.options)
    tail = f" ({', '.join(f'{k} = {_plain(v)}' for k, v in options.items())})" if options else ""
    formula = f", {times}{part.formula}, a mean over the batch" if part.formula else f", {times}it"
    return [f"{part.title}", Cite(part.works), f"{formula}{tail}."]


def _supply(recipe: TrainRecipe) -> str:
    assert recipe.distill is not None
    if recipe.distill.teacher is not None:
        return " The teacher embeds the very pixels that the student sees, in every step."
    view = {
        "same": "the view that the student sees is the target",
        "original": "the target is always the image's own",
    }[recipe.target_view]
    return f" Teacher embeddings of image and mirror image were computed beforehand; {view}."


_PARTS = (
    "optimizer", "schedule", "batch_size", "micro_batches", "precision", "sampler", "flip",
    "augment", "ema", "recovery",
)  # fmt: skip
"""Keys of a recipe that the section on optimisation tells."""


def _optimisation(results: Results, recipes: Mapping[str, TrainRecipe]) -> list[Paragraph]:
    def described(recipe: TrainRecipe) -> Any:
        return recipe.model_dump(mode="json", include=set(_PARTS))

    paragraphs: list[Paragraph] = []
    for models in _by_value(results, recipes, described):
        recipe = recipes[models[0].id]
        steps = {model.steps for model in models if model.steps}
        paragraphs.append(
            [
                f"{_whose(results, models)}: ",
                *_rate(recipe),
                *_length(recipe, steps.pop() if len(steps) == 1 else None),
                _images(recipe),
                _weights(recipe),
            ]
        )
    return paragraphs


def _rate(recipe: TrainRecipe) -> list[Piece]:
    optimizer = recipe.optimizer
    name = f"SGD with momentum {optimizer.momentum:g}" + ", Nesterov's" * optimizer.nesterov
    if optimizer.name != "sgd":
        name = " ".join(
            [{"adamw": "AdamW"}.get(optimizer.name, optimizer.name)]
            + [f"({key} {_plain(value)})" for key, value in optimizer.options.items()]
        )
    spared = "" if optimizer.decay_norms else " (none of norms and biases)"
    pieces: list[Piece] = [
        f"{name}, weight decay {optimizer.weight_decay:g}{spared}, "
        f"batches of {recipe.batch_size} images, "
    ]
    if optimizer.lr_batch is None:
        pieces.append(f"learning rate {optimizer.lr:g}")
    else:
        peak = optimizer.lr * recipe.batch_size / optimizer.lr_batch
        pieces += [
            f"learning rate {optimizer.lr:g} · {recipe.batch_size}/{optimizer.lr_batch} = {peak:g}",
            cite("goyal2017"),
        ]
    pieces.append(f", the backbone's gradient clipped to norm {optimizer.clip_norm:g}.")
    return pieces


def _length(recipe: TrainRecipe, steps: int | None) -> list[Piece]:
    schedule = recipe.schedule
    length = f"{schedule.epochs} epochs" if schedule.epochs else f"{schedule.steps:,} steps"
    if schedule.stop_epoch:
        length = f"the first {schedule.stop_epoch} of {length}"
    if schedule.epochs and schedule.epoch_steps:
        length += f" of {schedule.epoch_steps:,} steps"
    elif schedule.epochs and not steps:
        length += " of each training set"
    if schedule.epochs and steps:
        length += f" ({steps:,} steps)"
    pieces: list[Piece] = [f" Trained for {length}"]
    if schedule.warmup_steps:
        pieces.append(f", the rate rising over the first {schedule.warmup_steps:,} steps")
    if schedule.kind == "cosine":
        pieces += [", then falling to 0 along a cosine", cite("loshchilov2017")]
    elif schedule.kind == "polynomial":
        pieces.append(", then falling to 0 as the square of the steps that are left")
    elif schedule.milestones:
        at = listed([str(epoch) for epoch in schedule.milestones])
        pieces.append(f", the rate times {schedule.gamma:g} from epochs {at} (counted from 0)")
    pieces.append(".")
    return pieces


def _images(recipe: TrainRecipe) -> str:
    flip = {
        True: "Every image is mirrored with probability ½",
        False: "Images are never mirrored",
        "real": "Real images are mirrored with probability ½, synthetic ones never",
    }[recipe.flip]
    parts = []
    for name, options in recipe.augment.items():
        chosen = ", ".join(f"{key} = {_plain(value)}" for key, value in options.items())
        parts.append(f"{name} ({chosen})" if chosen else name)
    changed = f"; augmented by {listed(parts)}" if parts else "; no other augmentation"
    by = {
        "uniform": "",
        "identities": " Identities are sampled equally often.",
        "groups": " Groups are sampled equally often.",
        "groups_identities": " Groups, and identities within them, are sampled equally often.",
    }.get(recipe.sampler.name, f" Sampler: {recipe.sampler.name}.")
    return f" {flip}{changed}.{by}"


def _weights(recipe: TrainRecipe) -> str:
    text = "" if recipe.precision == "fp32" else f" The backbone is computed in {recipe.precision}."
    if recipe.micro_batches > 1:
        text += f" Batches are computed in {recipe.micro_batches} parts."
    if recipe.recovery:
        text += (
            " A training that diverges goes on from its last checkpoint at "
            f"{recipe.recovery.lower:g} times the rate, at most {recipe.recovery.attempts} times."
        )
    if recipe.ema and recipe.ema.evaluate:
        result = f"the moving average of the weights (decay {recipe.ema.decay:g}) at the last step"
    else:
        result = "the weights of the last step"
    return f"{text} The result is {result}: no test set chooses."


def _evaluation(results: Results, spec: StudySpec | None) -> list[Paragraph]:
    found = [
        (benchmark, evaluation)
        for benchmark in results.benchmarks
        if (evaluation := _any_evaluation(results, benchmark))
    ]
    if not found:
        return []
    paragraphs: list[Paragraph] = [_accuracy(spec)]
    for benchmark, evaluation in found:
        sizes = [
            f"{group} {result.genuine_pairs:,} and {result.impostor_pairs:,}"
            for group, result in evaluation.groups.items()
        ]
        people = (
            f"{benchmark.identities:,} identities, {benchmark.images:,} images"
            if benchmark.identities and benchmark.images
            else ""
        )
        pairs = f"genuine and impostor pairs: {', '.join(sizes)}" if sizes else ""
        facts = "; ".join(filter(None, (people, pairs)))
        paragraphs.append([f"{sentence(benchmark.title)[:-1]}{': ' if facts else ''}{facts}."])
    measures = _measures([evaluation for _, evaluation in found])
    return [*paragraphs, measures] if measures else paragraphs


def _accuracy(spec: StudySpec | None) -> Paragraph:
    pieces: list[Piece] = []
    if spec:
        wanted = spec.evaluation.pairs_per_group
        most = f"{wanted:,}" if wanted else "at most 6,000, or 24 a person where that is more,"
        pieces += [
            f"Pairs are drawn within groups, {most} a group, half genuine, in "
            f"{spec.evaluation.folds} folds after the protocols of LFW and RFW",
            cite("huang2007lfw", "wang2019rfw"),
            ". ",
        ]
    pieces.append(
        "Embeddings of image and mirror image are added and L2-normalised. Accuracy: the threshold "
        "that is best on the other folds of a group's own pairs scores each fold; mean over folds."
    )
    return pieces


def _measures(evaluations: Sequence[ArmEvaluation]) -> Paragraph:
    """Those that the evaluations hold a value of."""
    overall = [e.overall for e in evaluations]
    groups = [group for e in evaluations for group in e.groups.values()]
    pieces: list[Piece] = []
    if any(group.eer.value is not None for group in groups):
        pieces.append(
            "EER, AUC, TAR at fixed FAR and d′ take all genuine and impostor pairs of a group, or "
            "100,000 of each kind drawn at random. "
        )
    if any(o.std_sample.value is not None for o in overall):
        pieces.append(
            "STD is the sample deviation of the groups' accuracies, beside the one that noise "
            "alone would give were the groups equal. "
        )
    if any(o.ser.value is not None for o in overall):
        pieces += ["SER is the largest group error over the smallest", cite("wang2020rlrbn"), ". "]
    targets = [e.global_threshold.target_fmr for e in evaluations]
    several = any(e.global_threshold.fdr.value is not None for e in evaluations)
    if targets and several:
        pieces += [
            "FMR and FNMR of all groups are measured at one threshold too, the loosest whose mean "
            f"FMR over groups is at most {percent(targets[0], digits=1)} %, with FDR",
            cite("pereira2021fdr"),
            " and GARBE",
            cite("howard2022garbe"),
            ".",
        ]
    return pieces


def _any_evaluation(results: Results, benchmark: Benchmark) -> ArmEvaluation | None:
    found = (results.evaluation(model.id, benchmark.id) for model in results.models)
    return next((evaluation for evaluation in found if evaluation), None)


def _statistics(results: Results, *, rules: bool) -> list[Paragraph]:
    every = results.every_evaluation
    if not every:
        return []
    drawn, seeds = every[0].bootstrap, len(results.study.seeds)
    pieces: list[Piece] = [
        f"Intervals are {coverage(drawn.level)} intervals from {drawn.replicates:,} "
        f"bootstrap replicates (seed {drawn.seed}) that resample identities within groups",
        cite("bolle2004"),
    ]
    if seeds > 1:
        pieces += [
            " and, jointly, the training seeds, n − 1 draws of n",
            cite("rao1988"),
            "; values are means over seeds, of each model's own measure",
        ]
    else:
        pieces.append("; one training seed shows nothing of the chance in training")
    pieces.append(". Resamples are shared by all models: differences are paired.")
    if any(e.overall.std_excess_p is not None for e in every):
        pieces += [
            " Whether STD exceeds that of equal groups is a bootstrap test under the null "
            "hypothesis",
            cite("hall1991"),
            ".",
        ]
    if any(d.p_holm is not None for d in results.differences):
        pieces += [
            " p of single groups are corrected for choosing among groups",
            cite("holm1979"),
            ".",
        ]
    paragraphs: list[Paragraph] = [pieces]
    return [*paragraphs, *(_rules(results) if rules else ())]


def _rules(results: Results) -> list[Paragraph]:
    """The rules that were declared for the claims, each once, under the questions' names."""
    rules: dict[str, list[str]] = {}
    for claim in results.claims:
        if claim.rule:
            rules.setdefault(claim.rule, []).append(claim.id.partition(":")[0])
    if not rules:
        return []
    paragraphs: list[Paragraph] = [["Rules were fixed before the numbers were seen."]]
    for rule, names in rules.items():
        pieces: list[Piece] = [f"{listed(list(dict.fromkeys(names)))}: {sentence(rule)}"]
        if "intersection–union" in rule:
            pieces += [" On the intersection–union test see", cite("berger1982"), "."]
        paragraphs.append(pieces)
    return paragraphs


def _software(results: Results) -> list[Paragraph]:
    machine = results.machine
    versions = [
        f"{name} {machine[key]}"
        for key, name in (
            ("python", "Python"),
            ("torch", "PyTorch"),
            ("onnxruntime", "ONNX Runtime"),
            ("numpy", "NumPy"),
            ("anny", "anny"),
        )
        if machine.get(key)
    ]
    pieces: list[Piece] = [f"evenface {results.study.evenface}"]
    if versions:
        pieces.append(f" with {listed(versions)}")
    if machine.get("torch"):
        pieces.append(cite("paszke2019pytorch"))
    where = [str(machine[key]) for key in ("processor", "device", "platform") if machine.get(key)]
    pieces.append(f", on {', '.join(where)}." if where else ".")
    pieces.append(f" Command: {results.study.command}")
    return [pieces]


def _by_value(
    results: Results, recipes: Mapping[str, TrainRecipe], value: Callable[[TrainRecipe], _Value]
) -> list[list[Model]]:
    """The students that have a recipe, those of equal value together, in the study's order."""
    found: list[tuple[_Value, list[Model]]] = []
    for model in results.students:
        if model.id not in recipes:
            continue
        of = value(recipes[model.id])
        for known, models in found:
            if known == of:
                models.append(model)
                break
        else:
            found.append((of, [model]))
    return [models for _, models in found]


def _whose(results: Results, models: Sequence[Model]) -> str:
    """Which students these are: all, those of some levels of one factor, or by their titles."""
    ids = {model.id for model in models}
    students = results.students
    if ids == {model.id for model in students}:
        return "Every student"
    if ids == {model.id for model in students if not model.kd}:
        return "Students without KD"
    if ids == {model.id for model in students if model.kd}:
        return "Students with KD"
    for kd in (None, True):
        among = [model for model in students if kd is None or model.kd is kd]
        for name, level in _factors(results):
            levels = {level(model) for model in models}
            if ids == {model.id for model in among if level(model) in levels}:
                with_kd = " with KD" if kd else ""
                return f"Students{with_kd} of {name} {listed(sorted(map(str, levels)))}"
    titles = [f"“{model.title}”" for model in models]
    more = len(titles) - _MOST_NAMED
    return listed([*titles[:_MOST_NAMED], *([f"{more} more students"] if more > 0 else [])])


def _factors(results: Results) -> Iterable[tuple[str, Callable[[Model], Any]]]:
    yield "training set", lambda model: model.set
    yield "teacher", lambda model: model.teacher
    for factor in results.factors:
        yield factor.replace("_", " "), partial(_level, factor)


def _level(factor: str, model: Model) -> str | None:
    return model.levels.get(factor)
