"""Blender in a process of its own. `worker`, `scene` and `cad` run there and alone import bpy; `client` runs here."""
