"""The study: a grid of training sets × distillation, its state, and its results."""

from pathlib import Path

STUDIES = Path("studies")
"""Where studies are written and found by their names."""
