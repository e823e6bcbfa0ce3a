"""evenface: fair face recognition with little or no real data."""

__version__ = "0.1.0"
