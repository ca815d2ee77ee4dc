"""Baselines of the papers' tables."""
