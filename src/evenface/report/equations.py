"""What a recipe's parts are in the words of a paper: networks, margin losses, distillation losses.

Needs no torch. That the options' defaults are those of the parts themselves is tested.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Part:
    """A network or a loss.

    Attributes:
        name: in a sentence.
        works: keys of :data:`evenface.report.citations.WORKS`.
        formula: in the symbols of :data:`SYMBOLS`; "" for a network.
        defaults: option → value where a recipe gives none.
        weight: of a distillation loss where a recipe gives none.
    """

    name: str
    works: tuple[str, ...] = ()
    formula: str = ""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    weight: float | None = None

    def options(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All options in use: the given ones over the defaults."""
        return {**self.defaults, **given}


SYMBOLS = (
    "f is the student's L2-normalised embedding, f_t the teacher's, W_j the normalised centre of "
    "class j, y the image's own class, cos θ_j = f · W_j and θ = θ_y"
)

_IRESNET = ("he2016", "deng2019arcface")
_MOBILE = ("chen2018mobilefacenets",)
_MINI = "small residual network"

NETWORKS: dict[str, Part] = {
    "iresnet18": Part("IResNet-18", _IRESNET),
    "iresnet34": Part("IResNet-34", _IRESNET),
    "iresnet50": Part("IResNet-50", _IRESNET),
    "iresnet100": Part("IResNet-100", _IRESNET),
    "ir18": Part("IR-18", _IRESNET),
    "ir34": Part("IR-34", _IRESNET),
    "ir50": Part("IR-50", _IRESNET),
    "ir101": Part("IR-101", _IRESNET),
    "mobilefacenet": Part("MobileFaceNet", _MOBILE),
    "mobilefacenet_small": Part("a narrower MobileFaceNet (mobilefacenet_small)", _MOBILE),
    "mini_l": Part(f"a {_MINI} (mini_l)", ("he2016",)),
    "mini_m": Part(f"a {_MINI} (mini_m)", ("he2016",)),
    "mini_s": Part(f"a {_MINI} (mini_s)", ("he2016",)),
    "mini_x": Part(f"a {_MINI} with overlapping stem (mini_x)", ("he2016",)),
}
"""Backbones by the names of recipes."""

HEADS: dict[str, Part] = {
    "normface": Part("NormFace", ("wang2017normface",), "s cos θ", {"s": 64.0}),
    "cosface": Part("CosFace", ("wang2018cosface",), "s (cos θ − m)", {"s": 64.0, "m": 0.35}),
    "arcface": Part(
        "ArcFace", ("deng2019arcface",), "s cos(θ + m)", {"s": 64.0, "m": 0.5, "angle": "safe"}
    ),
    "combined": Part(
        "the combined margin",
        ("deng2019arcface",),
        "s (cos(m1 θ + m2) − m3)",
        {"s": 64.0, "m1": 1.0, "m2": 0.3, "m3": 0.2},
    ),
    "elasticarcface": Part(
        "ElasticFace-Arc",
        ("boutros2022elasticface",),
        "s cos(θ + m_i), with m_i drawn for every image from a normal distribution of mean m and "
        "deviation std",
        {"s": 64.0, "m": 0.5, "std": 0.05, "angle": "safe"},
    ),
    "elasticcosface": Part(
        "ElasticFace-Cos",
        ("boutros2022elasticface",),
        "s (cos θ − m_i), with m_i drawn for every image from a normal distribution of mean m and "
        "deviation std",
        {"s": 64.0, "m": 0.35, "std": 0.05},
    ),
    "elasticarcface_plus": Part(
        "ElasticFace-Arc+",
        ("boutros2022elasticface",),
        "s cos(θ + m_i), with a batch's m_i drawn from a normal distribution of mean m and "
        "deviation std and dealt by rank of cos θ",
        {"s": 64.0, "m": 0.5, "std": 0.0175, "angle": "safe", "assign": "rank"},
    ),
    "elasticcosface_plus": Part(
        "ElasticFace-Cos+",
        ("boutros2022elasticface",),
        "s (cos θ − m_i), with a batch's m_i drawn from a normal distribution of mean m and "
        "deviation std and dealt by rank of cos θ",
        {"s": 64.0, "m": 0.35, "std": 0.02, "assign": "rank"},
    ),
    "adaface": Part(
        "AdaFace",
        ("kim2022adaface",),
        "s (cos(θ − m z) − (m z + m)), with z the norm of the embedding, standardised by running "
        "statistics of rate t_alpha, times h, clamped to [−1, 1]",
        {"s": 64.0, "m": 0.4, "h": 0.333, "t_alpha": 0.01, "norms": "features"},
    ),
    "curricularface": Part(
        "CurricularFace",
        ("huang2020curricularface",),
        "s cos(θ + m), where another class j whose cosine exceeds cos(θ + m) gets "
        "s cos θ_j (t + cos θ_j), t a running mean of cos θ of rate t_alpha",
        {"s": 64.0, "m": 0.5, "t_alpha": 0.01},
    ),
    "magface": Part(
        "MagFace",
        ("meng2021magface",),
        "s cos(θ + m(a)), with a the norm of the embedding in [l_a, u_a] and m(a) linear from l_m "
        "to u_m, and s cos θ where cos θ ≤ 0 (easy_margin); λ_g (1/a + a/u_a²) is added to the "
        "loss",
        {
            "s": 64.0,
            "l_a": 10.0,
            "u_a": 110.0,
            "l_m": 0.45,
            "u_m": 0.8,
            "lambda_g": 35.0,
            "easy_margin": True,
        },
    ),
}
"""Heads by the names of recipes; the formula is the logit of the image's own class."""

TEMPLATE = "template"
"""The distillation loss whose weight has an equivalent λ."""

DISTILLATIONS: dict[str, Part] = {
    TEMPLATE: Part(
        "template distillation", ("huber2021maskinv", "neto2024"), "1 − cos(f, f_t)", {}, 39.0625
    ),
    "rkd": Part(
        "relational distillation",
        ("park2019rkd",),
        "distance · Huber loss of the pairwise distances over their mean + angle · Huber loss of "
        "the cosines of all triangles' angles",
        {"distance": 25.0, "angle": 50.0},
        1.0,
    ),
    "cckd": Part(
        "correlation congruence",
        ("peng2019cckd",),
        "mean squared difference of the matrices k(x, y) = Σ_{p ≤ order} e^(−2 gamma) "
        "(2 gamma)^p / p! · (x · y)^p",
        {"gamma": 0.4, "order": 2},
        1.0,
    ),
    "sp": Part(
        "similarity-preserving distillation",
        ("tung2019sp",),
        "‖G − G_t‖²_F / B², with G = F Fᵀ of a batch of B, its rows L2-normalised",
        {},
        3000.0,
    ),
    "pkt": Part(
        "probabilistic knowledge transfer",
        ("passalis2018pkt",),
        "mean over pairs of p_t log(p_t / p), p = (cos + 1)/2 over its row's sum",
        {},
        30000.0,
    ),
    "darkrank": Part(
        "DarkRank",
        ("chen2018darkrank",),
        "−log likelihood, under scores −alpha · distance^beta, of the teacher's order of each "
        "image's nearest",
        {"alpha": 3.0, "beta": 3.0, "length": 4},
        1.0,
    ),
    "ekd": Part(
        "evaluation-oriented distillation",
        ("huang2022ekd",),
        "positive · MSE of soft ranks over pairs of one person + negative · the same over the "
        "hardest pairs of different people",
        {
            "positive": 0.02,
            "negative": 0.01,
            "hardest": 2000,
            "temperature": 0.01,
            "momentum": 0.01,
        },
        1.0,
    ),
    "adadistill": Part(
        "AdaDistill",
        ("boutros2024adadistill",),
        "margin softmax over centres that follow the teacher: W_y ← α W_y + (1 − α) f_t, "
        "α = cos(f, f_t) · cos(W_y, f_t), clamped",
        {"s": 64.0, "m": 0.45, "kind": "arc"},
        1.0,
    ),
    "margindistillation": Part(
        "MarginDistillation",
        ("svitov2020margindistillation",),
        "ArcFace softmax over centres that start as the teacher's, with the margin "
        "(m_max − m_min)/D_max · cos(f_t, W_y) + m_min",
        {"s": 64.0, "m_min": 0.2, "m_max": 0.5, "learn": True},
        1.0,
    ),
    "proxylesskd": Part(
        "ProxylessKD",
        ("shi2020proxylesskd",),
        "margin softmax over the teacher's class centres, which stay",
        {"s": 64.0, "m": 0.5, "kind": "arc"},
        1.0,
    ),
    "logit": Part(
        "logit distillation",
        ("hinton2015",),
        "T² KL(softmax(z_t/T) ‖ softmax(z/T)), T = temperature, z_t = s · cos with the teacher's "
        "centres, z the head's logits without margin",
        {"temperature": 4.0, "s": 64.0},
        1.0,
    ),
    "fitnet": Part(
        "hints of feature maps",
        ("romero2015fitnets",),
        "distance of feature maps, the student's through a learned 1 × 1 convolution",
        {"distance": "mse"},
        1.0,
    ),
}
"""Distillation losses by the names of recipes."""
