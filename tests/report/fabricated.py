"""Fabricated results of a study: invented numbers in the layout of results.json."""

from __future__ import annotations

from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from PIL import Image

GROUPS = ("african", "asian", "caucasian")
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
    }


def evaluation(accuracies: dict[str, float], model: str) -> dict[str, Any]:
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
    worst = list(accuracies)[int(values.argmin())]
    ser = float(errors.max() / errors.min()) if several else 0.0
    return {
        "version": 1,
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
        "groups": {group: group_result(value) for group, value in accuracies.items()},
        "overall": {
            "accuracy": estimate(float(values.mean()), 0.006),
            "std_sample": estimate(float(values.std(ddof=1)), 0.005) if several else nothing,
            "std_population": estimate(float(values.std()), 0.004) if several else nothing,
            "ser": {"value": ser, "low": 1.02, "high": ser + 0.4, "note": None}
            if several
            else nothing,
            "gap": estimate(float(np.ptp(values)), 0.008) if several else nothing,
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
            "fdr": estimate(0.981, 0.01) if several else nothing,
            "garbe": estimate(0.12, 0.04) if several else nothing,
            "note": "chosen on the pairs it is measured on",
        },
        "notes": [
            "STD, SER and gap are never negative and so are biased upwards when groups are nearly "
            "equal: sampling noise alone makes them positive"
        ]
        if several
        else [],
    }


def _models() -> list[dict[str, Any]]:
    models = [
        {
            "id": f"{name}-{'kd' if kd else 'plain'}",
            "title": f"{name}, {'with' if kd else 'without'} KD",
            "kind": "student",
            "set": name,
            "kd": kd,
            "backbone": "mobilefacenet_small",
            "parameters": 412_384,
            "embedding_size": 128,
            "steps": 900,
            "seconds": 71.5 + 9 * kd,
            "final_loss": 3.21 - kd,
        }
        for name in SETS
        for kd in (False, True)
    ]
    reference = {"set": None, "kd": None, "steps": None, "seconds": None, "final_loss": None}
    models.append(
        {
            "id": "teacher",
            "title": "teacher (sface)",
            "kind": "teacher",
            "backbone": "sface",
            "parameters": None,
            "embedding_size": 128,
            **reference,
        }
    )
    models.append(
        {
            "id": "untrained",
            "title": "untrained network",
            "kind": "untrained",
            "backbone": "mobilefacenet_small",
            "parameters": 412_384,
            "embedding_size": 128,
            **reference,
        }
    )
    return models


def _accuracy(model: dict[str, Any], group: str) -> float:
    if model["kind"] == "teacher":
        return 0.978 + 0.4 * _OFFSET[group]
    if model["kind"] == "untrained":
        return 0.61 + 0.4 * _OFFSET[group]
    name = model["set"]
    gain = _GAIN[name] * (1 + 25 * _OFFSET[group]) if model["kd"] else 0.0
    return _BASE[name] + _OFFSET[group] + gain


def _differences(evaluations: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for name in SETS:
        for benchmark in ("groups", "orl", "openpeople"):
            plain, kd = (evaluations[f"{name}-{k}"][benchmark] for k in ("plain", "kd"))
            cells = [
                (group, metric, plain["groups"][group][metric], kd["groups"][group][metric])
                for group in plain["groups"]
                for metric in ("accuracy", "eer")
            ]
            if benchmark == "groups":
                cells += [
                    ("mean", metric, plain["overall"][metric], kd["overall"][metric])
                    for metric in ("accuracy", "std_sample", "ser")
                ]
            for group, metric, before, after in cells:
                half = 0.15 if metric == "ser" else 0.011
                value = after["value"] - before["value"]
                rows.append(
                    {
                        "set": name,
                        "benchmark": benchmark,
                        "group": group,
                        "metric": metric,
                        "value": value,
                        "low": value - half,
                        "high": value + half,
                        "p_value": 0.04,
                    }
                )
    return rows


def _curve(kd: bool) -> list[dict[str, Any]]:
    rng = np.random.default_rng(int(kd))
    rows = []
    for step in range(10, 901, 10):
        fall = float(np.exp(-step / 300))
        classification = 4 + 14 * fall + float(rng.normal(0, 0.4))
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
    """Three groups, six students, teacher and untrained network, three benchmarks."""
    models = _models()
    evaluations = {
        model["id"]: {
            "groups": evaluation({g: _accuracy(model, g) for g in GROUPS}, model["id"]),
            "orl": evaluation({"all": _accuracy(model, "all") - 0.03}, model["id"]),
            "openpeople": evaluation({"all": _accuracy(model, "all") - 0.01}, model["id"]),
        }
        for model in models
    }
    return {
        "schema": 1,
        "study": {
            "name": "quick",
            "description": "Fabricated numbers for testing the page: nothing here was measured.",
            "simulated": True,
            "statement": "All numbers on this page are fabricated. In a study, rendered faces "
            "stand in for photographs, for training and for the test by group; the people of ORL "
            "are real.",
            "command": "evenface study run quick --out studies/quick",
            "finished_at": "2026-01-02T03:04:05+00:00",
            "seed": 0,
            "evenface": "0.1.0",
            "spec": {
                "name": "quick",
                "seed": 0,
                "distillation_weight": 39.06,
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
        "teacher": {
            "name": "sface",
            "embedding_size": 128,
            "fingerprint": "a" * 64,
            "origin": "OpenCV Zoo, face_recognition_sface_2021dec.onnx",
            "licence": "Apache-2.0",
            "note": "trained on real faces by its authors",
        },
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
        "curves": {m["id"]: _curve(m["kd"]) for m in models if m["kind"] == "student"},
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
    """Sheets of drawn noise where :func:`fabricated_results` expects sample faces."""
    folder = base / "samples"
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for name in SETS:
        coarse = rng.integers(60, 200, (16, 32, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((928, 464), Image.Resampling.BICUBIC)
        image.save(folder / f"{name}.png")
