"""Drawings: data in, inline SVG out."""
