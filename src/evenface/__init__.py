"""evenface: fair face recognition with little or no real data."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"
__all__ = ["Recogniser", "__version__"]


def __getattr__(name: str) -> Any:
    # Imported when asked for, so that `evenface --help` loads nothing heavy.
    if name == "Recogniser":
        from evenface.recogniser import Recogniser

        return Recogniser
    raise AttributeError(f"module 'evenface' has no attribute {name!r}")
