"""Fabricated results of a grid: 33 models over backbones, heads and five training sets, a sweep,
inheritance, comparisons of levels, costs and failed runs. Invented numbers.
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml
from fabricated import GROUPS, SEEDS, estimate, evaluation, fabricated_results

SETS = {
    "balanced": ("real", 0.912, 0.018),
    "synthetic": ("synthetic", 0.851, 0.041),
    "synthetic-mix": ("synthetic", 0.858, 0.036),
    "mix-equal-ids": ("mix", 0.903, 0.014),
    "mix-equal-img": ("mix", 0.899, 0.004),
}
"""Name → kind, accuracy without KD, gain with it."""
BACKBONES = {"mini_l": 0.0, "mini_m": -0.014, "mini_s": -0.032}
SIZES = {
    "mini_l": (700_000, 41_000_000),
    "mini_m": (260_000, 17_000_000),
    "mini_s": (89_440, 6_200_000),
}
SLICES = [
    *({"backbone": backbone, "head": "elasticarcface"} for backbone in BACKBONES),
    {"backbone": "mini_l", "head": "adaface"},
]
LOOKS = ("groups", "studio")
TEACHER = "study"
_OFFSETS = {"african": -0.014, "asian": 0.006, "caucasian": 0.011}
HALF = 0.012
"""Half width of every interval of a difference."""


def cells() -> list[tuple[str, dict[str, str]]]:
    """Training set and levels of the sixteen pairs."""
    return [
        (name, levels)
        for name in SETS
        for levels in SLICES
        if levels["head"] == "elasticarcface" or name == "balanced"
    ]


def arm_id(name: str, levels: dict[str, str], *, kd: bool) -> str:
    """As the study names its arms."""
    return "-".join((name, *levels.values(), f"kd-{TEACHER}" if kd else "plain"))


def _gain(name: str, levels: dict[str, str]) -> float:
    return SETS[name][2] * (1.2 if levels["backbone"] == "mini_s" else 1.0)


def accuracies(name: str, levels: dict[str, str], *, kd: bool, look: str) -> dict[str, float]:
    """Accuracy by group."""
    base = SETS[name][1] + BACKBONES[levels["backbone"]]
    base += 0.003 * (levels["head"] == "adaface") - 0.012 * (look == "studio")
    gain = _gain(name, levels) if kd else 0.0
    return {g: base + (1 - 0.3 * kd) * offset + gain for g, offset in _OFFSETS.items()}


def _model(name: str, levels: dict[str, str], *, kd: bool) -> dict[str, Any]:
    identifier = arm_id(name, levels, kd=kd)
    parameters, macs = SIZES[levels["backbone"]]
    seconds = parameters / 9000 + 6 * kd
    return {
        "id": identifier,
        "title": ", ".join((name, *levels.values(), "KD from study" if kd else "without KD")),
        "kind": "student",
        "set": name,
        "kd": kd,
        "teacher": TEACHER if kd else None,
        "levels": levels,
        "seeds": list(SEEDS),
        "backbone": levels["backbone"],
        "head": levels["head"],
        "parameters": parameters,
        "macs": macs,
        "embedding_size": 128,
        "steps": 600,
        "seconds": seconds,
        "energy_wh": seconds * 30 / 3600,
        "runs": [
            {
                "seed": seed,
                "run": f"runs/{identifier}-s{seed}",
                "fingerprint": f"{seed}" * 64,
                "seconds": seconds,
                "images_seen": 38_400,
            }
            for seed in SEEDS
        ],
        "recipe": recipe(identifier, levels, kd=kd),
    }


def recipe(identifier: str, levels: dict[str, str], *, kd: bool) -> dict[str, Any]:
    """A resolved recipe without paths."""
    distill = {"distill": {"name": "template", "weight": 39.0625}} if kd else {}
    return {
        "name": f"{identifier}-s0",
        "seed": 0,
        "backbone": {"name": levels["backbone"], "embedding_size": 128},
        "head": {"name": levels["head"], "options": {"s": 32.0, "m": 0.3}},
        **distill,
        "schedule": {"kind": "cosine", "steps": 600},
        "batch_size": 64,
    }


def _differences(evaluations: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for name, levels in cells():
        for look in LOOKS:
            plain, kd = (evaluations[arm_id(name, levels, kd=k)].get(look) for k in (False, True))
            if plain is None or kd is None:
                continue
            pairs = [
                (g, metric, plain["groups"][g][metric], kd["groups"][g][metric])
                for g in GROUPS
                for metric in ("accuracy", "eer")
            ]
            pairs += [
                ("mean", metric, plain["overall"][metric], kd["overall"][metric])
                for metric in ("accuracy", "std_sample", "ser", "dprime_gap", "probit_gap")
            ]
            for group, metric, before, after in pairs:
                half = 0.15 if metric in ("ser", "dprime_gap", "probit_gap") else HALF
                value = after["value"] - before["value"]
                rows.append(
                    {
                        "set": name,
                        "levels": levels,
                        "teacher": TEACHER,
                        "benchmark": look,
                        "group": group,
                        "metric": metric,
                        "value": value,
                        "low": value - half,
                        "high": value + half,
                        "p_value": 0.013,
                        "p_holm": 0.039 if group in GROUPS else None,
                    }
                )
    return rows


def _test(label: str, value: float, half: float = HALF, unit: str = "points") -> dict[str, Any]:
    bounds = {"value": value, "low": value - half, "high": value + half}
    return {"label": label, **bounds, "p_value": 0.004, "p_holm": 0.012, "unit": unit, "note": None}


def _claim(
    rule: str, question: str, verdict: str, tests: list[dict[str, Any]], **entries: Any
) -> dict[str, Any]:
    return {
        "id": rule,
        "question": question,
        "verdict": verdict,
        "statement": f"Fabricated: {tests[0]['label']} is {100 * tests[0]['value']:+.2f} points.",
        "rule": "supported if every interval lies above zero and every Holm p is at most 0.05",
        "tests": tests,
        "teacher": TEACHER,
        "levels": {},
        **entries,
    }


def _verdict(value: float, half: float = HALF) -> str:
    return "supported" if value > half else "not supported" if value < -half else "undecided"


def _claims() -> list[dict[str, Any]]:
    return [claim for look in LOOKS for claim in (*_whole(look), *_sliced(look), *_levels(look))]


def _whole(look: str) -> list[dict[str, Any]]:
    gains = [_gain(name, levels) for name, levels in cells()]
    return [
        _claim(
            "kd-raises-accuracy-everywhere",
            "Does distillation raise the accuracy of every group in every cell?",
            "undecided",
            [{**_test("all groups in all cells", min(gains)), "low": None, "high": None}],
            benchmark=look,
        ),
        _claim(
            "kd-helps-on-average",
            "Does distillation raise mean accuracy, on average over all cells?",
            "supported",
            [
                _test("mean accuracy, mean over cells", fmean(gains), 0.005),
                *(
                    _test(
                        f"{name}, backbone {of['backbone']} and head {of['head']}", _gain(name, of)
                    )
                    for name, of in cells()
                ),
            ],
            benchmark=look,
        ),
    ]


def _words(levels: dict[str, str]) -> str:
    return f"backbone {levels['backbone']} and head {levels['head']}"


def _sliced(look: str) -> list[dict[str, Any]]:
    claims = []
    for levels in SLICES:
        suffix = "-".join(levels.values())
        words = f"for {_words(levels)}"
        names = [name for name, of in cells() if of == levels]
        shared: dict[str, Any] = {"benchmark": look, "levels": levels}
        for name in names:
            gain = _gain(name, levels)
            claims += [
                _claim(
                    f"kd-raises-accuracy:{name}:{suffix}",
                    f"Does distillation raise accuracy in every group ({name}), {words}?",
                    _verdict(gain),
                    [_test("mean over groups", gain), *(_test(g, gain) for g in GROUPS)],
                    **shared,
                ),
                _claim(
                    f"kd-lowers-unevenness:{name}:{suffix}",
                    f"Does distillation make groups more alike (training set {name}), {words}?",
                    "undecided",
                    [_test("STD of accuracy", -0.004), _test("SER", -0.05, 0.15, "ratio")],
                    **shared,
                ),
            ]
        for name in (n for n in names if SETS[n][0] == "synthetic"):
            claims.append(
                _claim(
                    f"gap-closed-synthetic:{name}:{suffix}",
                    f"Does distillation bring {name} nearer to real faces, {words}?",
                    "supported",
                    [_test("share of the gap closed", 0.6 + 0.01 * len(name), 0.2, "share")],
                    **shared,
                )
            )
        for name in (n for n in names if SETS[n][0] == "mix"):
            loss = SETS[name][1] - 0.912
            claims.append(
                _claim(
                    f"mix-matches-real:{name}:{suffix}",
                    f"Is the mix {name} as good as real faces alone, with KD, {words}?",
                    "supported" if name == "mix-equal-ids" else "undecided",
                    [_test(f"{name} − balanced", loss)],
                    **shared,
                )
            )
    return claims


def _levels(look: str) -> list[dict[str, Any]]:
    claims = []
    for factor, baseline, others in (
        ("backbone", "mini_l", {"mini_m": -0.014, "mini_s": -0.032}),
        ("head", "elasticarcface", {"adaface": 0.003}),
    ):
        for level, change in others.items():
            for teacher in (TEACHER, None):
                claims.append(
                    _claim(
                        f"level-beats-baseline:{factor}:{level}{'' if teacher else ':plain'}",
                        f"Do students with {factor} {level} do better than with {baseline}?",
                        _verdict(change),
                        [
                            {**_test("mean accuracy and worst group", change), "low": None},
                            _test("mean over groups", change),
                            _test("worst group", change - 0.002),
                            _test("STD of accuracy", 0.001),
                        ],
                        benchmark=look,
                        levels={factor: level},
                        teacher=teacher,
                    )
                )
    return claims


def _sweep() -> list[dict[str, Any]]:
    levels = {"backbone": "mini_s", "head": "elasticarcface"}
    sweeps = []
    for teacher in (None, TEACHER):
        points = []
        for percent in (0, 10, 25, 50, 75, 100):
            rho = percent / 100
            mean = 0.86 + 0.05 * rho**0.4 + (0.03 * (1 - 0.5 * rho) if teacher else 0)
            points.append(
                {
                    "fraction": rho,
                    "set": f"real-{percent}",
                    "model": f"real-{percent}-{'kd-study' if teacher else 'plain'}",
                    "mean": estimate(mean, 0.008),
                    "worst": estimate(mean - 0.02, 0.012),
                    "groups": {g: estimate(mean + o, 0.01) for g, o in _OFFSETS.items()},
                }
            )
        sweeps.append(
            {
                "benchmark": "groups",
                "levels": levels,
                "teacher": teacher,
                "epsilon": 0.01,
                "points": points,
                "smallest": {
                    "fraction": 0.5 if teacher is None else 0.25,
                    "statement": f"{25 if teacher else 50} % real faces are shown to be enough "
                    "(fabricated).",
                },
            }
        )
    sweeps[1]["smallest_against_plain"] = {
        "fraction": 0.0,
        "statement": "Synthetic faces alone are shown to be enough (fabricated).",
    }
    return sweeps


def _inheritance() -> list[dict[str, Any]]:
    entries = []
    for name, levels in cells():
        plain, kd = (accuracies(name, levels, kd=k, look="groups") for k in (False, True))
        entries.append(
            {
                "benchmark": "groups",
                "levels": levels,
                "set": name,
                "teacher": TEACHER,
                "groups": {
                    g: {"teacher": 0.02 - 0.4 * o, "plain": 1 - plain[g], "kd": 1 - kd[g]}
                    for g, o in _OFFSETS.items()
                },
                "correlation": {"plain": 0.71, "kd": 0.93},
                "change": {"value": 0.22, "low": -0.05, "high": 0.49},
                "p_permutation": 0.167,
                "statement": "Fabricated: with KD the order of groups is the teacher's.",
            }
        )
    whole = {**entries[0], "levels": {}, "set": "all", "statement": "Fabricated: undecided."}
    return [*entries, whole]


def _curve(kd: bool) -> list[dict[str, Any]]:
    rows = []
    for step in range(10, 601, 10):
        classification = 4 + 14 * 2 ** (-step / 200)
        distillation = 6 + 30 * 2 ** (-step / 200) if kd else None
        loss = classification + (distillation or 0)
        parts = {"classification": classification, "distillation": distillation}
        rows.append({"step": step, "loss": loss, **parts})
    return rows


def grid_results() -> dict[str, Any]:
    """Results of the third layout: sixteen pairs, a teacher and an untrained network."""
    base = fabricated_results()
    references = [m for m in base["models"] if m["id"] in ("teacher-study", "untrained")]
    references[0] |= {"parameters": 700_000, "macs": 41_000_000, "seconds": 900.0, "energy_wh": 9.0}
    students = [_model(name, levels, kd=kd) for name, levels in cells() for kd in (False, True)]
    evaluations = {m["id"]: dict(base["evaluations"][m["id"]]) for m in references}
    for model in students:
        name, levels = model["set"], model["levels"]
        evaluations[model["id"]] = {
            look: evaluation(
                accuracies(name, levels, kd=model["kd"], look=look), model["id"], SEEDS
            )
            for look in LOOKS
        }
    failed, partly = students[-1], students[3]
    evaluations[failed["id"]] = {}
    failed |= {"seeds": [], "runs": [], "seconds": None}
    partly |= {"seeds": list(SEEDS[:2]), "runs": partly["runs"][:2]}
    message = "the loss is not finite at step 40, after 3 attempts"
    return {
        **base,
        "schema": 3,
        "study": {
            **base["study"],
            "name": "paper-mini",
            "description": "Fabricated numbers of a grid: nothing here was measured.",
            "factors": {
                "backbone": list(BACKBONES),
                "head": ["elasticarcface", "adaface"],
            },
            "stand_ins": "mini_l, mini_m and mini_s stand in for IResNet-50, IResNet-34 and "
            "MobileFaceNet",
        },
        "teachers": base["teachers"][:1],
        "sets": [
            {
                **base["sets"][0],
                "name": name,
                "title": f"{name} (rendered)",
                "kind": kind,
                "real_fraction": {"real": 1.0, "synthetic": 0.0, "mix": 0.7}[kind],
                "fingerprint": f"{i}" * 64,
            }
            for i, (name, (kind, *_)) in enumerate(SETS.items())
        ],
        "models": [*students, *references],
        "benchmarks": [b for b in base["benchmarks"] if b["id"] in LOOKS],
        "evaluations": evaluations,
        "differences": _differences(evaluations),
        "claims": _claims(),
        "curves": {m["id"]: [_curve(m["kd"]) for _ in m["seeds"]] for m in students},
        "samples": {},
        "failures": [
            *(
                {
                    "model": failed["id"],
                    "seed": s,
                    "stage": "train",
                    "error": message,
                    "attempts": 3,
                }
                for s in SEEDS
            ),
            {
                "model": partly["id"],
                "seed": SEEDS[2],
                "stage": "train",
                "error": "killed by the operating system",
                "attempts": 2,
            },
        ],
        "sweep": _sweep(),
        "inheritance": _inheritance(),
        "pareto": [
            {
                "benchmark": "groups",
                "models": ["teacher-study", arm_id("balanced", SLICES[0], kd=True)],
                "axes": ["parameters", "macs", "seconds"],
            }
        ],
    }


def draw_runs(results: dict[str, Any], base: Path, *, models: int = 2) -> None:
    """Run folders of the first few models of :func:`grid_results`."""
    for model in results["models"][:models]:
        for run in model["runs"]:
            folder = base / run["run"]
            folder.mkdir(parents=True)
            record = {
                "finished": True,
                "fingerprint": run["fingerprint"],
                "head": model["head"],
                "data_fingerprint": "d" * 64,
                "teacher_fingerprint": "b" * 64 if model["kd"] else None,
                "steps": 600,
                "batch_size": 64,
                "images_seen": 38_400,
                "seconds": run["seconds"],
                "device": "cpu",
                "threads": 1,
                "torch": "2.13.0",
                "environment": {"processor": "Fabricated CPU", "cores": 2},
            }
            (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")
            content = {**model["recipe"], "seed": run["seed"], "data": "/home/someone/faces"}
            (folder / "recipe.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
            log = [{**row, "lr": 0.1 * (1 - row["step"] / 700)} for row in _curve(model["kd"])]
            lines = "".join(json.dumps(row) + "\n" for row in log)
            (folder / "log.jsonl").write_text(lines, encoding="utf-8")
