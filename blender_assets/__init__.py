"""Embedded defaults: textures and a small stylizer made by this project, CC0-1.0."""
