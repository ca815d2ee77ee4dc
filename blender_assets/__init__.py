"""Embedded defaults: CAD models and textures made by this project, CC0-1.0."""
