"""The version of the package, read by its build as well. Imports nothing."""

__version__ = "0.1.0"
