"""Synthetic datasets for category-level 3D pose: render, stylize, pack."""

__version__ = "0.1.0"
