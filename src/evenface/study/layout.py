"""Where the parts of a study are in its folder: every path, relative to it, is written here."""

from __future__ import annotations

from evenface.study.left_out import LEFT_OUT

ASSETS = "assets"
"""Says that the study's assets were fetched."""
OVERLAP = str(LEFT_OUT.parent)
"""Training people whom a test has."""
LABELS = "labels/synthetic"
"""The synthetic faces with predicted groups."""
EMBEDDINGS = "embeddings"
"""Of all teachers."""
RUNS = "runs"
"""Of students and untrained networks."""


def faces(role: str) -> str:
    """Rendered or imported faces of a role."""
    return f"data/{role}"


def training_set(name: str) -> str:
    """The manifest of a training set."""
    return f"sets/{name}"


def teacher(name: str) -> str:
    """The run of a teacher that the study trains."""
    return f"teachers/{name}"


def embeddings(network: str, role: str) -> str:
    """A teacher's embeddings of the faces of a role."""
    return f"{EMBEDDINGS}/{network}/{role}"


def compared_embeddings(role: str) -> str:
    """Embeddings of the faces of a role by a teacher that only compares people."""
    return f"overlap-embeddings/{role}"


def set_embeddings(network: str, name: str) -> str:
    """A teacher's embeddings of a training set, in its order."""
    return f"{training_set(name)}/embeddings-{network}"


def run(name: str) -> str:
    """The run of a student, or its network before the first step."""
    return f"{RUNS}/{name}"


def benchmark(name: str) -> str:
    """Faces and pairs of a test."""
    return f"benchmarks/{name}"


def evaluation(name: str) -> str:
    """A model's results on all tests."""
    return f"evaluations/{name}"


def sample(role: str) -> str:
    """A few faces of a role, in the folder of a rehearsal."""
    return f"samples/{role}"
