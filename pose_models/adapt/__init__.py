"""Adaptation of trained pose models to images without labels, and to few labels."""
