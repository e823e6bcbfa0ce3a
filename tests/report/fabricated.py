"""Fabricated results of a study: invented numbers in the layout of results.json."""

from __future__ import annotations

from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from PIL import Image

GROUPS = ("african", "asian", "caucasian")
SEEDS = (0, 1, 2)
TEACHERS = {"study": "study teacher", "sface": "sface"}
"""Names by id, the main teacher first."""
BY_GROUP = ("groups", "studio")
PEOPLE = ("orl", "openpeople")
SETS = {
    "real": "real: camera look (rendered stand-in for photographs)",
    "synthetic": "synthetic: plain look (rendered)",
    "mix": "mix of 70 % real and 30 % synthetic, by identities",
}
_BASE = {"real": 0.912, "synthetic": 0.861, "mix": 0.903}
_GAIN = {"real": 0.018, "synthetic": 0.031, "mix": 0.012}
_OFFSET = {"african": -0.014, "asian": 0.006, "caucasian": 0.011, "all": 0.0}


def estimate(value: float, half: float, *, note: str | None = None) -> dict[str, Any]:
    """A fraction with a symmetric interval, cut to [0, 1]."""
    return {
        "value": value,
        "low": max(0.0, value - half),
        "high": min(1.0, value + half),
        "note": note,
    }


def roc(separation: float) -> dict[str, list[float]]:
    """ROC corners of two normal distributions ``separation`` apart."""
    rng = np.random.default_rng(round(1000 * separation))
    impostors = np.sort(rng.normal(0, 1, 2000))[::-1]
    genuine = rng.normal(separation, 1, 1200)
    kept = np.unique(np.geomspace(1, 2000, 60).astype(int)) - 1
    far = [0.0, *((kept + 1) / 2000)]
    tar = [0.0, *(float(np.mean(genuine >= impostors[k])) for k in kept)]
    return {"far": [float(f) for f in far], "tar": tar}


def group_result(accuracy: float) -> dict[str, Any]:
    """All measures of a group, loosely consistent with its accuracy."""
    error = 1 - accuracy
    return {
        "accuracy": {**estimate(accuracy, 0.009), "fold_std": 0.012},
        "folds": [accuracy] * 10,
        "eer": estimate(error * 1.05, 0.008),
        "auc": estimate(1 - error**1.6, 0.004),
        "dprime": {"value": 4.0, "low": 3.8, "high": 4.2, "note": None},
        "tar_at_far": {
            "1e-2": estimate(accuracy**4, 0.03),
            "1e-3": {
                "value": None,
                "low": None,
                "high": None,
                "note": "not measurable: 640 impostor pairs give 0.64 expected false accepts at "
                "FAR 0.001; at least 1,000 pairs are needed",
            },
        },
        "fold_pairs": 1200,
        "genuine_pairs": 1120,
        "impostor_pairs": 640,
        "identities": 40,
        "images": 320,
        "single_image_identities": 0,
        "mean_genuine_cosine": 0.62,
        "mean_impostor_cosine": 0.11,
        "roc": roc(2 * NormalDist().inv_cdf(accuracy)),
        "measures": {"genuine_shift": number(0.1, 0.2), "impostor_shift": number(-0.1, 0.2)},
    }


def number(value: float, half: float) -> dict[str, Any]:
    """An estimate that is no fraction, with a symmetric interval."""
    return {"value": value, "low": value - half, "high": value + half, "note": None}


def _seed_results(accuracies: dict[str, float], seeds: tuple[int, ...]) -> list[dict[str, Any]]:
    """Accuracies of each seed, whose mean is ``accuracies``."""
    rows = []
    for i, seed in enumerate(seeds):
        shift = 0.004 * (i - (len(seeds) - 1) / 2)
        values = {group: value + shift for group, value in accuracies.items()}
        mean = sum(values.values()) / len(values)
        rows.append({"seed": seed, "accuracy": values, "mean": mean})
    return rows


def evaluation(
    accuracies: dict[str, float], model: str, seeds: tuple[int, ...] = ()
) -> dict[str, Any]:
    """One model on one benchmark, from the accuracy of each group."""
    values = np.array(list(accuracies.values()))
    several = len(values) > 1
    nothing = {
        "value": None,
        "low": None,
        "high": None,
        "note": "there is one group: nothing to compare",
    }
    errors = 1 - values
    probits = [NormalDist().inv_cdf(value) for value in values]
    worst = list(accuracies)[int(values.argmin())]
    ser = float(errors.max() / errors.min()) if several else 0.0
    return {
        "version": 4,
        "model": model,
        "protocol": {
            "name": "pairs",
            "fingerprint": "f" * 64,
            "manifest_fingerprint": "e" * 64,
            "group_by": ["phenotype_axis"],
            "folds": 10,
            "seed": 0,
            "origins": {"synthetic": 960},
            "simulated": True,
            "notes": [],
        },
        "bootstrap": {"unit": "identity", "replicates": 1000, "seed": 0, "level": 0.95},
        "seeds": _seed_results(accuracies, seeds),
        "groups": {group: group_result(value) for group, value in accuracies.items()},
        "overall": {
            "accuracy": estimate(float(values.mean()), 0.006),
            "std_sample": estimate(float(values.std(ddof=1)), 0.005) if several else nothing,
            "std_population": estimate(float(values.std()), 0.004) if several else nothing,
            "ser": {"value": ser, "low": 1.02, "high": ser + 0.4, "note": None}
            if several
            else nothing,
            "gap": estimate(float(np.ptp(values)), 0.008) if several else nothing,
            "std_expected": {"value": 0.006, "low": 0.002, "high": 0.012, "note": None}
            if several
            else nothing,
            "std_excess_p": 0.018 if several else None,
            "std_corrected": {"value": 0.004, "low": 0.0, "high": 0.01, "note": None}
            if several
            else nothing,
            "means": {"eer": estimate(0.05, 0.01), "auc": estimate(0.98, 0.01)},
            "measures": {"avg_minus_std": estimate(float(values.mean() - values.std(ddof=1)), 0.01)}
            if several
            else {},
            "dprime_gap": number(0.31, 0.2) if several else nothing,
            "probit_gap": number(float(np.ptp(probits)), 0.05) if several else nothing,
            "worst_group": {
                "value": worst if several else None,
                "share": {g: 0.87 if g == worst else 0.065 for g in accuracies}
                if several
                else None,
                "note": None if several else nothing["note"],
            },
        },
        "global_threshold": {
            "target_fmr": 0.01,
            "threshold": 0.41,
            "fmr": {g: estimate(0.012 - 0.2 * _OFFSET[g], 0.004) for g in accuracies},
            "fnmr": {g: estimate(2 * (1 - v), 0.02) for g, v in accuracies.items()},
            "fnmr_ratio": number(1.6, 0.4) if several else nothing,
            "fdr": estimate(0.981, 0.01) if several else nothing,
            "garbe": estimate(0.12, 0.04) if several else nothing,
            "note": "chosen on the pairs it is measured on",
        },
        # A study measures the core only.
        "operating_points": [],
        "worst_case_threshold": None,
        "cross_tables": [],
        "calibration": None,
        "crossings": None,
        "enrolment": None,
        "failed_pairs": None,
        "notes": [
            "STD, SER and gap are never negative and so are biased upwards when groups are nearly "
            "equal: sampling noise alone makes them positive"
        ]
        if several
        else [],
    }


def _student(name: str, teacher: str | None) -> dict[str, Any]:
    kd = teacher is not None
    return {
        "id": f"{name}-kd-{teacher}" if kd else f"{name}-plain",
        "title": f"{name}, KD from {TEACHERS[teacher]}" if teacher else f"{name}, without KD",
        "kind": "student",
        "set": name,
        "kd": kd,
        "teacher": teacher,
        "seeds": list(SEEDS),
        "backbone": "mobilefacenet_small",
        "parameters": 412_384,
        "embedding_size": 128,
        "steps": 900,
        "seconds": 71.5 + 9 * kd,
    }


def _reference(identifier: str, title: str, kind: str, **entries: Any) -> dict[str, Any]:
    return {
        "id": identifier,
        "title": title,
        "kind": kind,
        "set": None,
        "kd": None,
        "teacher": None,
        "seeds": [],
        "backbone": "mobilefacenet_small",
        "parameters": None,
        "embedding_size": 128,
        "steps": None,
        "seconds": None,
        **entries,
    }


def _models() -> list[dict[str, Any]]:
    return [
        *(_student(name, teacher) for name in SETS for teacher in (None, *TEACHERS)),
        *(
            _reference(f"teacher-{t}", f"teacher: {name}", "teacher", teacher=t)
            for t, name in TEACHERS.items()
        ),
        _reference("untrained", "untrained network", "untrained", seeds=list(SEEDS)),
    ]


def _accuracy(model: dict[str, Any], group: str, look: str = "groups") -> float:
    shift = -0.012 if look == "studio" else 0.0
    if model["kind"] == "teacher":
        return 0.978 + 0.4 * _OFFSET[group] + shift
    if model["kind"] == "untrained":
        return 0.61 + 0.4 * _OFFSET[group] + shift
    name = model["set"]
    gain = _GAIN[name] * (1 + 25 * _OFFSET[group]) if model["kd"] else 0.0
    if model["teacher"] == "sface":
        gain *= 0.6
    return _BASE[name] + _OFFSET[group] + gain + shift


def _differences(evaluations: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        row
        for name in SETS
        for teacher in TEACHERS
        for benchmark in (*BY_GROUP, *PEOPLE)
        for row in _pair(evaluations, name, teacher, benchmark)
    ]


def _pair(
    evaluations: dict[str, Any], name: str, teacher: str, benchmark: str
) -> list[dict[str, Any]]:
    plain = evaluations[f"{name}-plain"][benchmark]
    kd = evaluations[f"{name}-kd-{teacher}"][benchmark]
    cells = [
        (group, metric, plain["groups"][group][metric], kd["groups"][group][metric])
        for group in plain["groups"]
        for metric in ("accuracy", "eer")
    ]
    if benchmark in BY_GROUP:
        cells += [
            ("mean", metric, plain["overall"][metric], kd["overall"][metric])
            for metric in ("accuracy", "std_sample", "ser", "dprime_gap", "probit_gap")
        ]
        ratios = (of["global_threshold"]["fnmr_ratio"] for of in (plain, kd))
        cells.append(("mean", "fnmr_ratio", *ratios))
    rows = []
    for group, metric, before, after in cells:
        half = 0.15 if metric in ("ser", "dprime_gap", "probit_gap", "fnmr_ratio") else 0.011
        value = after["value"] - before["value"]
        rows.append(
            {
                "set": name,
                "teacher": teacher,
                "benchmark": benchmark,
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


def _test(label: str, value: float | None, half: float, unit: str, **more: Any) -> dict[str, Any]:
    bounds = (None, None) if value is None else (value - half, value + half)
    return {
        "label": label,
        "value": value,
        "low": bounds[0],
        "high": bounds[1],
        "p_value": 0.004,
        "p_holm": 0.012,
        "unit": unit,
        "note": None,
        **more,
    }


def _claim(
    identifier: str, question: str, verdict: str, statement: str, tests: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "id": identifier,
        "question": question,
        "verdict": verdict,
        "statement": statement,
        "rule": "supported if every interval lies above zero and every Holm p is at most 0.05",
        "tests": tests,
    }


def _circle(benchmark: str, teacher: str) -> list[dict[str, Any]]:
    """The claims of one benchmark by group and one teacher."""
    main = (benchmark, teacher) == ("groups", "study")
    groups = [_test(group, 0.018, 0.011, "points") for group in GROUPS]
    claims = [
        _claim(
            "kd-raises-accuracy:synthetic",
            "Does KD raise accuracy in every group, trained on synthetic faces?",
            "supported",
            "With KD accuracy is higher in all three groups: +2.02 points [+0.92, +3.12] for "
            "african, +3.56 [+2.46, +4.66] for asian and +3.95 [+2.85, +5.05] for caucasian.",
            groups,
        ),
        _claim(
            "kd-lowers-unevenness:synthetic",
            "Does KD lower the unevenness over groups, trained on synthetic faces?",
            "not supported" if main else "undecided",
            "STD rises by 1.03 points [−0.07, +2.13], SER by 0.31 [+0.16, +0.46].",
            [_test("STD", 0.0103, 0.011, "points"), _test("SER", 0.31, 0.15, "ratio", p_holm=None)],
        ),
        _claim(
            "gap-closed",
            "How much of the gap between synthetic and real faces does KD close?",
            "undecided",
            "KD on synthetic faces closes 62 % [38 %, 91 %] of the gap to real faces without KD.",
            [_test("share of the gap", 0.62, 0.25, "share", p_value=None, p_holm=None)],
        ),
        _claim(
            "mix-matches-real",
            "Does the mix match real faces, both with KD?",
            "undefined",
            "Not computed: the arm “mix” of this teacher has no evaluation.",
            [_test("difference", None, 0, "points", p_value=None, note="an arm is missing")],
        ),
    ]
    return [{**claim, "benchmark": benchmark, "teacher": teacher} for claim in claims]


def _claims() -> list[dict[str, Any]]:
    people = [
        {
            **_claim(
                f"real-people:{benchmark}",
                f"Does KD help on {benchmark}?",
                "supported",
                f"On {benchmark} the EER falls by 3.26 points [−4.36, −2.16] with KD.",
                [_test("EER", -0.0326, 0.011, "points", p_holm=None)],
            ),
            "benchmark": benchmark,
            "teacher": teacher,
        }
        for teacher in TEACHERS
        for benchmark in PEOPLE
    ]
    circles = [_circle(benchmark, teacher) for teacher in TEACHERS for benchmark in BY_GROUP]
    return [claim for circle in circles for claim in circle] + people


def _curve(kd: bool, seed: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng((seed, int(kd)))
    rows = []
    for step in range(10, 901, 10):
        fall = float(np.exp(-step / 300))
        classification = 4 + 2 * (not kd) + 14 * fall + float(rng.normal(0, 0.4))
        distillation = 6 + 30 * fall + float(rng.normal(0, 0.4)) if kd else None
        rows.append(
            {
                "step": step,
                "loss": classification + (distillation or 0),
                "classification": classification,
                "distillation": distillation,
            }
        )
    return rows


def fabricated_results() -> dict[str, Any]:
    """Three groups, nine arms of three seeds, two teachers, two looks, two sets of people."""
    models = _models()
    evaluations = {
        model["id"]: {
            **{
                look: evaluation(
                    {g: _accuracy(model, g, look) for g in GROUPS},
                    model["id"],
                    tuple(model["seeds"]),
                )
                for look in BY_GROUP
            },
            "orl": evaluation({"all": _accuracy(model, "all") - 0.03}, model["id"]),
            "openpeople": evaluation({"all": _accuracy(model, "all") - 0.01}, model["id"]),
        }
        for model in models
    }
    return {
        "schema": 2,
        "study": {
            "name": "quick",
            "description": "Fabricated numbers for testing the page: nothing here was measured.",
            "simulated": True,
            "statement": "All numbers on this page are fabricated. In a study, rendered faces "
            "stand in for photographs, for training and for the test by group; the people of ORL "
            "are real. Teacher, camera arm and test come from one generator, so distillation "
            "hands the synthetic arm the test's domain. No claim about fairness towards real "
            "people follows from these numbers.",
            "command": "evenface study run quick --out studies/quick",
            "finished_at": "2026-01-02T03:04:05+00:00",
            "seed": 0,
            "seeds": list(SEEDS),
            "evenface": "0.1.0",
            "spec": {
                "name": "quick",
                "seed": 0,
                "distillation_weight": 39.0625,
                "mix": {"real_fraction": 0.7},
            },
        },
        "machine": {
            "processor": "Fabricated CPU @ 2.00GHz",
            "cores": 2,
            "memory_gib": 7.8,
            "platform": "Linux-6.1-x86_64",
            "python": "3.11.9",
            "device": "cpu",
            "threads": 2,
            "torch": "2.13.0",
            "onnxruntime": "1.20.0",
            "anny": None,
        },
        "teachers": [
            {
                "id": "study",
                "name": "study teacher",
                "embedding_size": 128,
                "fingerprint": "b" * 64,
                "origin": "trained by this study on rendered faces",
                "licence": "Apache-2.0",
                "note": None,
            },
            {
                "id": "sface",
                "name": "sface",
                "embedding_size": 128,
                "fingerprint": "a" * 64,
                "origin": "OpenCV Zoo, face_recognition_sface_2021dec.onnx",
                "licence": "Apache-2.0",
                "note": "trained on real faces by its authors",
            },
        ],
        "sets": [
            {
                "name": name,
                "title": title,
                "images": 1920,
                "identities": 120,
                "groups": {group: {"images": 640, "identities": 40} for group in GROUPS},
                "origins": {"synthetic": 1920},
                "real_fraction": 0.7 if name == "mix" else None,
                "fingerprint": f"{i}" * 64,
            }
            for i, (name, title) in enumerate(SETS.items())
        ],
        "models": models,
        "benchmarks": [
            {
                "id": "groups",
                "title": "held-out rendered identities",
                "simulated": True,
                "real_people": False,
                "group_by": "phenotype_axis",
                "groups": list(GROUPS),
                "images": 960,
                "identities": 120,
                "notes": ["no identity of the test is in any training set"],
                "statement": "Rendered people that no student has seen, camera look.",
            },
            {
                "id": "studio",
                "title": "held-out look: studio",
                "simulated": True,
                "real_people": False,
                "group_by": "phenotype_axis",
                "groups": list(GROUPS),
                "images": 960,
                "identities": 120,
                "notes": [],
                "statement": "The same people in a look that no training set has.",
            },
            {
                "id": "orl",
                "title": "ORL, 40 real people",
                "simulated": False,
                "real_people": True,
                "group_by": None,
                "groups": ["all"],
                "images": 398,
                "identities": 40,
                "notes": ["2 of 400 images lost: no face found"],
                "statement": "Photographs of 40 people, taken in the 1990s; no groups declared.",
            },
            {
                "id": "openpeople",
                "title": "openpeople, 10 generated people",
                "simulated": True,
                "real_people": False,
                "group_by": None,
                "groups": ["all"],
                "images": 80,
                "identities": 10,
                "notes": [],
                "statement": "Ten people made by an image generator.",
            },
        ],
        "evaluations": evaluations,
        "differences": _differences(evaluations),
        "claims": _claims(),
        "curves": {
            m["id"]: [_curve(m["kd"], seed) for seed in SEEDS]
            for m in models
            if m["kind"] == "student"
        },
        "stages": [
            {"name": "render faces: real", "seconds": 131.2, "reused": True},
            {"name": "teacher embeddings", "seconds": 48.07, "reused": False},
            {"name": "train real-plain", "seconds": 71.5, "reused": False},
            {"name": "evaluate", "seconds": 22.4, "reused": False},
        ],
        "samples": {name: f"samples/{name}.png" for name in SETS},
        "files": {},
    }


def draw_samples(base: Path) -> None:
    """Sheets of noise in the layout of sample faces, where the results expect them."""
    folder = base / "samples"
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for name in SETS:
        coarse = rng.integers(60, 200, (16, 32, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((932, 468), Image.Resampling.BICUBIC)
        image.save(folder / f"{name}.png")


def one_seed(results: dict[str, Any]) -> None:
    """Leave one seed of :func:`fabricated_results`."""
    results["study"]["seeds"] = [0]
    for model in results["models"]:
        model["seeds"] = model["seeds"][:1]
    for of_model in results["evaluations"].values():
        for evaluated in of_model.values():
            evaluated["seeds"] = evaluated["seeds"][:1]
    results["curves"] = {arm: curves[:1] for arm, curves in results["curves"].items()}
